"""The installer's rehearsal: what it would do on each kind of machine, and that it does nothing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INSTALL = ROOT / "firmware_scripts" / "install.sh"
PLACES = [
    Path(name) for name in ("/etc/systemd/system", "/etc/sysusers.d", "/etc/tmpfiles.d", "/opt", "/usr/local/bin")
]

pytestmark = pytest.mark.skipif(shutil.which("dpkg") is None, reason="dpkg is not here: the installer is for Debian")


def _install(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(INSTALL), *arguments], capture_output=True, text=True, timeout=120, check=False)


def _names() -> list[list[str]]:
    return [sorted(os.listdir(place)) for place in PLACES if place.is_dir()]


@pytest.mark.parametrize(
    ("board", "wanted"),
    [
        ("pi", ["python3-picamera2", "--system-site-packages", "[device-pi]"]),
        ("jetson", ["gstreamer1.0-tools", "[device-jetson]", "20-jetson.conf"]),
        ("none", ["[device]", "/etc/udev/rules.d/70-vedette-motion.rules"]),
    ],
)
def test_install_names_what_the_board_needs_when_rehearsed(board: str, wanted: list[str]) -> None:
    done = _install("--role", "device", "--board", board, "--dry-run", "--device-id", "car-17")
    assert done.returncode == 0, done.stderr
    # A package may be on this machine already, and is then not installed.
    packages = subprocess.run(["dpkg-query", "-W", "-f", "${Package}\n"], capture_output=True, text=True, check=True)
    said = done.stdout + packages.stdout
    assert [words for words in wanted if words not in said] == []
    assert "device init /var/lib/vedette/device --id car-17" in done.stdout
    assert "device camera-network --config /var/lib/vedette/device/device.toml\n" in done.stdout
    assert re.search(r" --zone [A-Za-z]+[A-Za-z/_+-]*[0-9]*$", done.stdout, re.MULTILINE)


def test_install_gives_the_device_the_zone_that_is_asked_for() -> None:
    asked = ("--device-id", "car-17", "--zone", "Africa/Casablanca")
    done = _install("--role", "device", "--board", "none", "--dry-run", "--no-packages", *asked)
    assert done.returncode == 0, done.stderr
    assert " --zone Africa/Casablanca\n" in done.stdout


def test_install_enables_only_the_centre_when_that_is_the_role() -> None:
    done = _install("--role", "central", "--dry-run", "--no-packages")
    assert done.returncode == 0, done.stderr
    assert "[central]" in done.stdout
    assert "systemctl enable -q vedette-central.service" in done.stdout
    assert "recorder" not in done.stdout


def test_install_gives_the_centre_larger_socket_buffers_and_takes_them_back() -> None:
    """WI-77: the centre alone."""
    place, size = "/etc/sysctl.d/60-vedette-central.conf", "net.core.wmem_default = 1048576"
    asked = ("--role", "central", "--dry-run", "--no-packages")
    assert f"sysctl-central.conf {place}\n" in _install(*asked).stdout
    assert size in (ROOT / "systemd" / "sysctl-central.conf").read_text(encoding="utf-8").splitlines()
    assert f"rm -f {place}\n" in _install(*asked, "--uninstall").stdout
    for role in ("device", "worker"):
        assert place not in _install("--role", role, "--dry-run", "--no-packages").stdout


def test_install_brings_what_reaches_postgresql_and_s3_when_the_centre_is_scaled_out() -> None:
    done = _install("--role", "central", "--scale", "--dry-run", "--no-packages")
    assert done.returncode == 0, done.stderr
    assert "[central-scale]" in done.stdout
    assert "/etc/systemd/system/vedette-central.service.d/20-scale.conf" in done.stdout
    assert "vedette-worker" not in done.stdout


def test_install_brings_a_worker_and_no_broker_when_that_is_the_role() -> None:
    done = _install("--role", "worker", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "[central-scale]" in done.stdout
    assert "systemctl enable -q vedette-worker.service" in done.stdout
    assert "/etc/systemd/system/vedette-worker.service.d/20-scale.conf" in done.stdout
    assert [word for word in ("mosquitto", "vedette-central.service", "recorder") if word in done.stdout] == []


def test_install_changes_nothing_when_rehearsed() -> None:
    before = _names()
    for role in ("device", "central", "worker"):
        done = _install("--role", role, "--dry-run", "--no-packages")
        assert [line for line in done.stdout.splitlines() if not line.startswith("+ ")] == []
    assert _names() == before


def test_install_uses_no_index_when_wheels_are_brought_along(tmp_path: Path) -> None:
    done = _install("--role", "device", "--board", "none", "--dry-run", "--no-packages", "--wheels", str(tmp_path))
    assert f"pip install -q --no-index --find-links {tmp_path}" in done.stdout


def test_uninstall_leaves_keys_and_evidence_when_rehearsed() -> None:
    done = _install("--role", "device", "--dry-run", "--uninstall")
    assert done.returncode == 0
    assert "rm -f /etc/systemd/system/vedette-recorder.service" in done.stdout
    assert "/var/lib/vedette" not in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--role", "phone"],
        ["--role"],
        ["--role", "device", "--board", "toaster"],
        ["--role", "device", "--device-id", "Car 17"],
        ["--role", "device", "--device-id", "ab"],
        ["--role", "device", "--device-id", "c" * 60],
        ["--role", "device", "--wheels", "/nowhere/at/all"],
        ["--role", "device", "--surprise"],
        ["--role", "device", "--scale"],
        ["--role", "worker", "--scale"],
    ],
)
def test_install_says_what_is_wrong_and_ends_with_2_when_called_wrongly(arguments: list[str]) -> None:
    done = _install("--dry-run", *arguments)
    assert done.returncode == 2
    assert "vedette: " in done.stderr
    assert done.stdout == ""
