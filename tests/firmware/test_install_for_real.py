"""The installer run for real, in a mount namespace where /etc, /opt, /run and /var/lib are copies: who may read what,
and what an old configuration brings about. The release is this environment; nothing is fetched."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INSTALL = ROOT / "firmware_scripts" / "install.sh"
ASKED = ("--role", "device", "--board", "none", "--no-packages")
NAMESPACE = ["unshare", "--mount", "--propagation", "private", "sh", "-eu", "-c"]
TOOLS = ("unshare", "dpkg", "systemd-sysusers", "systemd-tmpfiles")
CONFIG = '[device]\nid = "car-1"\ndata = "."\n{zone}[recorder]\n{recorder}'

PAGE, WITHIN = "/run/vedette-officer/officer.html", "/run/vedette/officer/officer.html"
STATUS = "/run/vedette/reader.status"
NETWORK_CAMERA = '[device]\nid = "car-1"\ndata = "."\n[camera]\nadapter = "gst"\nsource = "rtsp:rtsp://{host}/street"\n'
DROP_IN = Path("etc/systemd/system/vedette-recorder.service.d/25-network-camera.conf")
SLEEP = ("hibernate", "hybrid-sleep", "sleep", "suspend", "suspend-then-hibernate")

# Writes as the panel does and says of each path what a member of one group sees of it.
LOOK = """
import grp, os, pwd, sys
from pathlib import Path
from edge.panel import page

def as_user(uid, gid, groups, does):
    if (child := os.fork()) == 0:
        os.setgroups(groups), os.setgid(gid), os.setuid(uid), os.umask(0o027)
        does()
        sys.stdout.flush()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0

def write():
    Path("/run/vedette/reader.status").write_text("{}")
    page.write(Path("/run/vedette"), page.Shown(state="standby"), written_ms=0)

def look(name):
    for path in sys.argv[1:]:
        try:
            print(name, path, "read" if Path(path).read_bytes() else "empty")
        except OSError as error:
            print(name, path, type(error).__name__)

owner = pwd.getpwnam("vedette")
as_user(owner.pw_uid, owner.pw_gid, [], write)
for name in ("vedette", "vedette-officer", "nogroup"):
    as_user(65534, 65534, [grp.getgrnam(name).gr_gid], lambda: look(name))
"""


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Copies of what the installer changes, and a release that is whole already."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root and {', '.join(missing) or 'nothing more'}: the installer makes users and folders")
    if subprocess.run([*NAMESPACE, "mount -t tmpfs none /opt"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine lets nobody mount")
    for name in ("opt", "run", "lib", "bin"):
        (tmp_path / name).mkdir()
    shutil.copytree("/etc", tmp_path / "etc", symlinks=True)
    _release(tmp_path, ASKED)
    return tmp_path


def _release(machine: Path, asked: tuple[str, ...]) -> Path:
    """Put down the release that the installer would make for these words, which is this environment."""
    rehearsed = subprocess.run([str(INSTALL), *asked, "--dry-run"], capture_output=True, text=True, check=True)
    named = re.search(r"release (\w+-\w+)", rehearsed.stderr)
    assert named is not None
    release = machine / "opt" / "vedette" / "releases" / named[1]
    (release / "bin").mkdir(parents=True)
    (release / "bin" / "vedette").symlink_to(Path(sys.executable).parent / "vedette")
    (release / ".whole").touch()
    return release


def _on(machine: Path, *commands: list[str]) -> subprocess.CompletedProcess[str]:
    places = {"etc": "/etc", "opt": "/opt", "run": "/run", "lib": "/var/lib", "bin": "/usr/local/bin"}
    mounts = [f"mount --bind '{machine / name}' {place}" for name, place in places.items()]
    said = [" ".join(f"'{word}'" for word in command) for command in commands]
    script = "\n".join([*mounts, *said])
    return subprocess.run([*NAMESPACE, script], capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)


def _configure(machine: Path, text: str) -> None:
    folder = machine / "lib" / "vedette" / "device"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "device.toml").write_text(text)


def test_officers_group_reads_the_page_and_nothing_else_when_installed(machine: Path) -> None:
    """RI-22: by the product's own writer, on the folders, users and groups that the installer made."""
    (machine / "look.py").write_text(LOOK)
    done = _on(machine, [str(INSTALL), *ASKED], [sys.executable, str(machine / "look.py"), PAGE, WITHIN, STATUS])
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"vedette {PAGE} PermissionError",
        f"vedette {WITHIN} PermissionError",
        f"vedette {STATUS} read",
        f"vedette-officer {PAGE} read",
        f"vedette-officer {WITHIN} PermissionError",
        f"vedette-officer {STATUS} PermissionError",
        f"nogroup {PAGE} PermissionError",
        f"nogroup {WITHIN} PermissionError",
        f"nogroup {STATUS} PermissionError",
    ]


@pytest.mark.parametrize("key", ["schedule_zone", "stamp_zone"])
def test_release_that_does_not_take_the_configuration_is_not_changed_to(machine: Path, key: str) -> None:
    _configure(machine, CONFIG.format(zone="", recorder=f'{key} = "Africa/Casablanca"\n'))
    done = _on(machine, [str(INSTALL), *ASKED])
    assert done.returncode == 1
    assert 'write zone = "Africa/Casablanca" under [device] instead' in done.stderr
    assert "the one before stays in use: change it and install again" in done.stderr
    assert not os.path.lexists(machine / "opt" / "vedette" / "device")
    assert not list((machine / "etc" / "systemd" / "system").glob("vedette-*"))


def test_release_is_changed_to_when_it_takes_the_configuration(machine: Path) -> None:
    _configure(machine, CONFIG.format(zone='zone = "Africa/Casablanca"\n', recorder=""))
    done = _on(machine, [str(INSTALL), *ASKED])
    assert done.returncode == 0, done.stderr
    assert os.path.lexists(machine / "opt" / "vedette" / "device")
    assert (machine / "etc" / "systemd" / "system" / "vedette-panel.service").is_file()


def test_worker_is_installed_with_its_user_folder_and_unit_and_taken_away_again(machine: Path) -> None:
    asked = ("--role", "worker", "--no-packages")
    release = _release(machine, asked)
    look = ["stat", "-c", "%U %G %a", "/var/lib/vedette-central"]
    done = _on(machine, [str(INSTALL), *asked], look, ["readlink", "-f", "/opt/vedette/worker"])
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == [
        "vedette-central vedette-central 750",
        f"/opt/vedette/releases/{release.name}",
    ]
    assert "vedette central worker CENTRAL NAME FOLDER" in done.stderr
    units = machine / "etc" / "systemd" / "system"
    assert (units / "multi-user.target.wants" / "vedette-worker.service").is_symlink()
    assert (units / "vedette-worker.service.d" / "20-scale.conf").is_file()
    assert not (units / "vedette-central.service").exists()

    done = _on(machine, [str(INSTALL), *asked, "--uninstall"])
    assert done.returncode == 0, done.stderr
    assert list(units.glob("**/vedette-*")) == []
    assert list((machine / "opt" / "vedette").glob("*")) == []


def test_centre_that_keeps_rows_or_blobs_elsewhere_gets_what_reaches_them_unasked(machine: Path) -> None:
    """A new release without it would replace one with it, and the centre would not start again."""
    rehearse = [str(INSTALL), "--role", "central", "--no-packages", "--dry-run"]
    folder = machine / "lib" / "vedette-central" / "centre"
    folder.mkdir(parents=True)
    extras = []
    for text in ("", '[store]\nurl = "postgresql://db/vedette"\n', '[blobs]\nurl = "s3://bucket/police"\n'):
        (folder / "central.toml").write_text(f'[central]\ndata = "."\n{text}')
        done = _on(machine, rehearse)
        assert done.returncode == 0, done.stderr
        extras.append(re.findall(r"\[(central[a-z-]*)\]", done.stdout))
    assert extras == [["central"], ["central-scale"], ["central-scale"]]


def test_network_camera_alone_is_let_through_as_often_as_it_is_installed(machine: Path) -> None:
    """CF-13: an address, another, a name that nobody knows, and no network camera any more."""
    _configure(machine, NETWORK_CAMERA.format(host="10.0.0.7"))
    done = _on(machine, [str(INSTALL), *ASKED])
    assert done.returncode == 0, done.stderr
    assert "IPAddressAllow=10.0.0.7\n" in (machine / DROP_IN).read_text()
    before = (machine / DROP_IN).stat()
    done = _on(machine, [str(INSTALL), *ASKED])
    assert done.returncode == 0, done.stderr
    assert (machine / DROP_IN).stat() == before

    _configure(machine, NETWORK_CAMERA.format(host="10.0.0.8"))
    assert _on(machine, [str(INSTALL), *ASKED]).returncode == 0
    assert re.findall("IPAddressAllow=(.*)", (machine / DROP_IN).read_text()) == ["10.0.0.8"]

    _configure(machine, NETWORK_CAMERA.format(host="cam.local"))
    done = _on(machine, [str(INSTALL), *ASKED])
    assert done.returncode == 1
    assert "'cam.local' is not in /etc/hosts" in done.stderr
    assert "all is installed, but the recorder cannot reach its camera (above)" in done.stderr
    assert not (machine / DROP_IN).exists()

    with (machine / "etc" / "hosts").open("a") as names:
        names.write("10.0.0.9 cam.local\n")
    assert _on(machine, [str(INSTALL), *ASKED]).returncode == 0
    assert re.findall("IPAddressAllow=(.*)", (machine / DROP_IN).read_text()) == ["10.0.0.9"]

    _configure(machine, CONFIG.format(zone="", recorder=""))
    assert _on(machine, [str(INSTALL), *ASKED]).returncode == 0
    assert not (machine / DROP_IN).exists()


def _masked(machine: Path) -> list[str]:
    units = (machine / "etc" / "systemd" / "system").iterdir()
    return sorted(path.stem for path in units if path.is_symlink() and str(path.readlink()) == "/dev/null")


def test_machine_cannot_be_suspended_while_a_device_is_installed(machine: Path) -> None:
    """CF-15: what somebody else had masked stays masked afterwards."""
    before = _masked(machine)
    units = machine / "etc" / "systemd" / "system"
    (units / "hibernate.target").symlink_to("/dev/null")
    for _ in range(2):
        done = _on(machine, [str(INSTALL), *ASKED])
        assert done.returncode == 0, done.stderr
        assert _masked(machine) == sorted({*before, *SLEEP})
    assert _on(machine, [str(INSTALL), *ASKED, "--uninstall"]).returncode == 0
    assert _masked(machine) == sorted({*before, "hibernate"})


def test_suspension_that_somebody_changed_is_left_and_warned_of(machine: Path) -> None:
    """CF-15."""
    own = machine / "etc" / "systemd" / "system" / "sleep.target"
    own.write_text("[Unit]\nDescription=Our own sleep\n")
    done = _on(machine, [str(INSTALL), *ASKED])
    assert done.returncode == 0, done.stderr
    assert "warning: /etc/systemd/system/sleep.target is somebody's own and was left" in done.stderr
    assert _on(machine, [str(INSTALL), *ASKED, "--uninstall"]).returncode == 0
    assert "Our own sleep" in own.read_text()
