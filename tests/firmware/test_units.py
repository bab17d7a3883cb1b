"""The systemd units: systemd itself finds no fault in them, and each has exactly the rights its service needs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edge import camera_network
from vedette import cli
from vedette.config import CameraSection

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "systemd"
HARDENING = "vedette-.service.d/10-hardening.conf"
DEVICE = ("recorder", "reader", "panel", "position", "uplink", "keeper")
SERVICES = (*DEVICE, "central", "worker")

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")


def _settings(path: Path) -> dict[str, list[str]]:
    settings: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            settings.setdefault(name, []).append(value)
    return settings


def _unit(service: str) -> dict[str, list[str]]:
    return _settings(FOLDER / f"vedette-{service}.service")


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """The units as on a machine on which the programs are there."""
    folder = tmp_path / "units"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("jetson", "scale", "*.conf"))
    for drop_in in ("vedette-.service.d", "vedette-position.service.d"):
        shutil.copytree(FOLDER / drop_in, folder / drop_in, dirs_exist_ok=True)
    for path in folder.glob("*.service"):
        path.write_text(re.sub(r"/opt/vedette/\w+/bin/\w+", shutil.which("true") or "/bin/true", path.read_text()))
    return folder


def _verify(folder: Path) -> subprocess.CompletedProcess[str]:
    units = [str(path) for path in sorted(folder.iterdir()) if path.suffix in (".service", ".target")]
    command = ["systemd-analyze", "verify", "--man=no", *units]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@needs_systemd
def test_units_have_no_fault_when_systemd_verifies_them(copies: Path) -> None:
    done = _verify(copies)
    assert [line for line in done.stderr.splitlines() if "vedette" in line] == []
    assert done.returncode == 0, done.stderr


def _with_network_camera(units: Path, source: str = "rtsp:rtsp://10.0.0.7/street") -> Path:
    """The drop-in that `vedette device camera-network` makes, beside the units in this folder."""
    root = units / "root"
    camera_network.settle(CameraSection(adapter="gst", source=source), root)
    path = units / camera_network.DROP_IN.parent.name / camera_network.DROP_IN.name
    path.parent.mkdir()
    shutil.move(root / camera_network.DROP_IN, path)
    shutil.rmtree(root)
    return path


@needs_systemd
def test_addition_for_a_network_camera_has_no_fault_when_systemd_verifies_it(copies: Path) -> None:
    """CF-13."""
    path = _with_network_camera(copies)
    done = _verify(copies)
    assert ([line for line in done.stderr.splitlines() if "vedette" in line], done.returncode) == ([], 0)
    path.write_text(path.read_text().replace("IPAddressAllow=", "IPAddressAllow=cam.local "))
    assert "cam.local" in _verify(copies).stderr


@needs_systemd
def test_verification_finds_a_fault_when_there_is_one(copies: Path) -> None:
    path = copies / HARDENING
    path.write_text(path.read_text() + "NoNewPrivilegs=yes\n")
    assert "NoNewPrivilegs" in _verify(copies).stderr


@needs_systemd
def test_jetson_addition_has_no_fault_when_systemd_verifies_it(copies: Path) -> None:
    shutil.copytree(FOLDER / "jetson", copies, dirs_exist_ok=True)
    assert [line for line in _verify(copies).stderr.splitlines() if "jetson" in line] == []


@needs_systemd
@pytest.mark.parametrize("service", ["central", "worker"])
def test_addition_for_far_stores_has_no_fault_when_systemd_verifies_it(copies: Path, service: str) -> None:
    place = copies / f"vedette-{service}.service.d" / "20-scale.conf"
    place.parent.mkdir()
    shutil.copy(FOLDER / "scale" / place.name, place)
    done = _verify(copies)
    assert ([line for line in done.stderr.splitlines() if "scale" in line], done.returncode) == ([], 0)


@pytest.mark.parametrize("service", DEVICE)
def test_commands_without_a_configuration_take_that_of_the_installed_device(service: str) -> None:
    (command,) = _unit(service)["ExecStart"]
    assert f"--config {camera_network.INSTALLED}" in command
    for verb in ("status", "start", "camera-network"):
        assert cli.build_parser("device", verb).parse_args(["device", verb]).config == camera_network.INSTALLED


def test_worker_elsewhere_writes_nothing_but_parts_and_its_status_when_it_runs() -> None:
    """CS-16: its keys are read only."""
    unit = _unit("worker")
    place = "/var/lib/vedette-central/worker"
    assert " ".join(unit["ReadWritePaths"]).split() == [f"{place}/incoming", f"{place}/run"]
    assert unit["EnvironmentFile"] == [f"{place}/worker.env"]
    assert unit["ExecStart"][0].endswith(f"-m sync.central.worker --config {place}/central.toml --name ${{WORKER}}")


@pytest.mark.parametrize("service", ["recorder", "reader", "panel", "keeper"])
def test_service_has_no_network_when_it_needs_none(service: str) -> None:
    unit = _unit(service)
    assert (unit["PrivateNetwork"], unit["IPAddressDeny"]) == (["yes"], ["any"])
    assert "AF_INET" not in unit["RestrictAddressFamilies"][0]


@needs_systemd
def test_recorder_is_open_to_its_network_camera_and_to_nothing_else_when_systemd_looks_at_both_states(
    copies: Path,
) -> None:
    """CF-13: by systemd's own account of unit and drop-ins together; of what it looks at only these differ."""
    closed = _security(copies)
    _with_network_camera(copies)
    opened = _security(copies)
    assert {name: told for name, told in opened.items() if told != closed[name]} == {
        "PrivateNetwork=": "Service has access to the host's network",
        "RestrictAddressFamilies=~AF_(INET|INET6)": "Service may allocate Internet sockets",
        # Not "does not define an IP address allow list", as where nothing is denied.
        "IPAddressDeny=": "Service defines IP address allow list with non-localhost entries",
    }


def _security(units: Path) -> dict[str, str]:
    """What `systemd-analyze security` says of each thing that it looks at in the recorder's unit."""
    root = units.parent / "security"
    shutil.copytree(units, root / "etc/systemd/system", dirs_exist_ok=True)
    command = ["systemd-analyze", "security", "--offline=yes", f"--root={root}", "--json=short", "--no-pager"]
    done = subprocess.run([*command, "vedette-recorder.service"], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("["), done.stderr
    return {row["name"]: row["description"] for row in json.loads(done.stdout)}


def test_position_reaches_this_machine_alone_and_may_ask_the_kernel_about_its_clock() -> None:
    """PO-16."""
    unit = _unit("position")
    assert (unit["IPAddressDeny"], unit["IPAddressAllow"]) == (["any"], ["localhost"])
    hidden = " ".join(unit["InaccessiblePaths"]).split()
    assert {f"-/var/lib/vedette/device/{name}" for name in ("spool/segment", "spool/hit", "receipts")} <= set(hidden)
    addition = _settings(FOLDER / "vedette-position.service.d" / "20-clock.conf")
    assert addition == {"ProtectClock": ["no"], "SystemCallFilter": ["adjtimex clock_adjtime"]}
    assert _settings(FOLDER / HARDENING)["CapabilityBoundingSet"] == [""]


def test_position_may_read_the_accelerometer_s_files_and_set_nothing_there() -> None:
    """AC-39: ProtectKernelTunables leaves /sys readable; nothing of the unit hides it or opens it for writing."""
    unit, common = _unit("position"), _settings(FOLDER / HARDENING)
    assert common["ProtectKernelTunables"] == ["yes"]
    hiding = ("InaccessiblePaths", "TemporaryFileSystem", "RootDirectory", "RootImage", "ReadWritePaths", "BindPaths")
    paths = " ".join(value for name in hiding for value in [*unit.get(name, []), *common.get(name, [])]).split()
    assert [path for path in paths if path.lstrip("-+").startswith("/sys") or path.lstrip("-+") == "/"] == []


@pytest.mark.parametrize("service", SERVICES)
def test_service_is_restarted_in_a_second_and_watched_when_it_dies_or_hangs(service: str) -> None:
    common = _settings(FOLDER / HARDENING)
    assert (common["Restart"], common["RestartSec"], common["StartLimitIntervalSec"]) == (["always"], ["1"], ["0"])
    assert common["Type"] == ["notify"]
    assert int(_unit(service)["WatchdogSec"][0]) > 5


@pytest.mark.parametrize("service", SERVICES)
def test_service_is_not_root_and_names_what_it_writes_when_started(service: str) -> None:
    unit = _unit(service)
    assert unit["User"][0].startswith("vedette")
    paths = " ".join(unit["ReadWritePaths"]).split()
    assert [path for path in paths if not path.startswith(("/run/vedette", "/var/lib/vedette"))] == []


def test_memory_stays_in_memory_when_services_run() -> None:
    common = _settings(FOLDER / HARDENING)
    assert (common["MemorySwapMax"], common["LimitCORE"]) == (["0"], ["0"])
    assert "/tmp" in common["TemporaryFileSystem"][0]


def test_uplink_may_not_change_recordings_hits_or_keys_when_it_runs() -> None:
    kept = " ".join(_unit("uplink")["ReadOnlyPaths"]).split()
    assert {f"/var/lib/vedette/device/{name}" for name in ("keys", "spool/segment", "spool/hit")} <= set(kept)
    written = " ".join(_unit("uplink")["ReadWritePaths"]).split()
    assert [path for path in written if "/keys" in path] == ["/var/lib/vedette/device/keys/renewed"]


def test_only_the_uplink_and_the_keeper_reach_receipts_when_units_are_compared() -> None:
    paths = {service: " ".join(_unit(service)["ReadWritePaths"]).split() for service in DEVICE}
    covers = ("/var/lib/vedette/device", "/var/lib/vedette/device/receipts")
    assert [name for name, own in paths.items() if set(own) & set(covers)] == ["uplink", "keeper"]


def test_only_the_panel_reaches_the_pins_and_it_reaches_nothing_else_when_units_are_compared() -> None:
    owners = [name for name in DEVICE if any("gpio" in one for one in _unit(name).get("DeviceAllow", []))]
    assert owners == ["panel"]
    hidden = " ".join(_unit("panel")["InaccessiblePaths"]).split()
    assert hidden == [f"-/var/lib/vedette/device/{name}" for name in ("keys", "spool", "journal")]
    assert _unit("panel")["ReadWritePaths"] == ["/run/vedette /run/vedette-officer"]


def test_only_the_recorder_hears_a_microphone_when_units_are_compared() -> None:
    assert [name for name in DEVICE if "char-alsa rw" in _unit(name).get("DeviceAllow", [])] == ["recorder"]
    groups = {name: " ".join(_unit(name).get("SupplementaryGroups", [])).split() for name in DEVICE}
    assert [name for name, own in groups.items() if "audio" in own] == ["recorder"]


def test_gstreamer_keeps_its_list_of_plugins_where_only_the_recorder_writes_when_units_are_compared() -> None:
    """The services have no home folder; without a place of its own GStreamer looks into every plugin at every start."""
    kept = {name: _unit(name).get("CacheDirectory") for name in DEVICE}
    assert kept == {**dict.fromkeys(DEVICE), "recorder": ["vedette"]}
    environment = " ".join(_unit("recorder")["Environment"]).split()
    assert "GST_REGISTRY=/var/cache/vedette/gstreamer.registry" in environment


def test_target_wants_all_six_services_when_the_device_starts() -> None:
    wanted = _settings(FOLDER / "vedette.target")["Wants"][0].split()
    assert wanted == [f"vedette-{service}.service" for service in DEVICE]
    assert [_unit(service)["PartOf"] for service in DEVICE] == [["vedette.target"]] * 6


def test_every_folder_a_unit_writes_is_made_before_it_starts() -> None:
    """ReadWritePaths of a folder that is missing keeps the service from starting at all."""
    made_by_init = {"spool", "receipts", "journal"}
    lines = (FOLDER / "tmpfiles-device.conf").read_text().splitlines()
    made = {line.split()[1] for line in lines if line.startswith("d ")}
    made |= {f"/var/lib/vedette/device/{name}" for name in made_by_init}
    written = {path for service in DEVICE for path in " ".join(_unit(service)["ReadWritePaths"]).split()}
    assert written - made == set()
