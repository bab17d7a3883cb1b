"""The recorder as it is installed: systemd as the first process of namespaces of its own, the installer, the unit with
all its restrictions, and a real network camera. What is written lies in memory, above a view of this machine.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vedette.keys import SigningKey
from vedette.sealed import HybridIdentity
from vedette.trust import Trust

ROOT = Path(__file__).resolve().parents[2]
INSTALL = [str(ROOT / "firmware_scripts" / "install.sh"), "--role", "device", "--board", "none", "--no-packages"]
SERVER = ROOT / "tests" / "edge" / "rtsp_server.py"
PYTHON, SYSTEMD = "/usr/bin/python3", Path("/lib/systemd/systemd")
DEVICE, DROP_INS = Path("var/lib/vedette/device"), Path("etc/systemd/system/vedette-recorder.service.d")
SERVER_NEEDS = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
HIDDEN = ("/root", "/home", "/tmp", "/run")  # from the recorder, by its unit
DEADLINE_S = 120

# A root of its own: `$1` is an empty folder, `$2` the place of the programs. Nothing but systemd itself is started.
BOOT = """
mount -t tmpfs none "$1"
mkdir "$1/up" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/up,workdir=$1/work" "$1/root"
cd "$1/root"
for place in "$2" "$3"; do mkdir -p ".$place"; mount --bind "$place" ".$place"; done
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for place in dev run tmp; do mount -t tmpfs none $place; done
chmod 1777 tmp
for name in null zero full random urandom tty; do cp -a /dev/$name dev/; done
mkdir -m 1777 dev/shm
rm -rf etc/systemd/system/* opt/vedette
mkdir -p etc/systemd/system
printf '[Unit]\\nDefaultDependencies=no\\nAllowIsolate=yes\\n' > etc/systemd/system/bare.target
mkdir .before
pivot_root . .before
umount -l /.before
ip link set lo up
exec env -i container=test PATH="$PATH" "$4" --unit=bare.target --log-target=null </dev/null >/dev/null 2>&1
"""
LISTENER = """
import socket
listener = socket.create_server(("::", 8555), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
while True:
    listener.accept()[0].close()
"""
# In the recorder's own place, before it: what it reaches of a listener at every address of the loopback.
TRY = """
import socket
for name in ("127.0.0.1", "127.0.0.2", "::1"):
    try:
        socket.create_connection((name, 8555), 2).close()
        print(name, "reached", file=open("/run/vedette/tried", "a"))
    except OSError as error:
        print(name, type(error).__name__, file=open("/run/vedette/tried", "a"))
"""


class Machine:
    """A machine that has booted; `root` is its root as seen from here."""

    def __init__(self, folder: Path, cgroup: Path) -> None:
        words = [
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "--uts",
            "--ipc",
            "--net",
            "--cgroup",
            "--pid",
            "--fork",
        ]
        boot = ["sh", "-euc", BOOT, "sh", str(folder), str(ROOT), sys.prefix, str(SYSTEMD)]
        # Its control groups lie below one of its own, which is gone with it.
        enter = ["sh", "-euc", f'echo $$ > "{cgroup}/cgroup.procs"; exec "$@"', "sh"]
        self._outer = subprocess.Popen([*enter, *words, *boot], stderr=subprocess.PIPE, text=True)
        self._servers: list[subprocess.Popen[str]] = []
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children")
        wait_for(lambda: self._has_ended() or children.read_text(), lambda: "no first process")
        self._pid = 0 if self._has_ended() else int(children.read_text())
        self.root = Path(f"/proc/{self._pid}/root")
        ready = self.root / "run/systemd/private"
        wait_for(lambda: self._has_ended() or ready.exists(), lambda: "systemd does not come up")
        if self._has_ended():
            pytest.skip(f"this machine lets nobody boot another within it: {self._outer.communicate()[1].strip()}")

    def _has_ended(self) -> bool:
        return self._outer.poll() is not None

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """What one command says in it."""
        return subprocess.run(
            [*self._enter(), *command], capture_output=True, text=True, timeout=DEADLINE_S, check=False
        )

    def serve(self, *command: str) -> str:
        """Start a server in it; the first line that it says."""
        self._servers.append(
            subprocess.Popen([*self._enter(), *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
        assert self._servers[-1].stdout is not None
        return self._servers[-1].stdout.readline()

    def status(self) -> dict[str, object]:
        """What the recorder says of itself, nothing before it has."""
        try:
            found: dict[str, object] = json.loads((self.root / "run/vedette/status/recorder.json").read_text())
        except (OSError, ValueError):
            return {}
        return found

    def told(self) -> str:
        return self.run("systemctl", "status", "--no-pager", "vedette-recorder").stdout

    def close(self) -> None:
        # All that runs in it ends with its first process.
        os.kill(self._pid, signal.SIGKILL)
        for one in (*self._servers, self._outer):
            one.communicate(timeout=DEADLINE_S)

    def _enter(self) -> list[str]:
        return ["nsenter", "-t", str(self._pid), "-m", "-u", "-i", "-n", "-p", "-C", "env", "-C", "/"]


def wait_for(found: Callable[[], object], told: Callable[[], object]) -> None:
    """Until it is so, within bounds; an error says what is `told`."""
    deadline = time.monotonic() + DEADLINE_S
    while not found():
        assert time.monotonic() < deadline, told()
        time.sleep(0.1)


@pytest.fixture
def cgroup() -> Iterator[Path]:
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if line.split()[2] == "cgroup2"]
    if os.geteuid() != 0 or not SYSTEMD.exists() or not mounts:
        pytest.skip("needs root, systemd and control groups of version 2")
    folder = Path(mounts[0]) / f"vedette-test-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"this machine lets nobody make control groups: {error}")
    yield folder
    for one in sorted(folder.rglob("*/"), reverse=True):
        one.rmdir()
    folder.rmdir()


@pytest.fixture
def machine(tmp_path: Path, cgroup: Path) -> Iterator[Machine]:
    needed = subprocess.run([PYTHON, "-c", SERVER_NEEDS], capture_output=True, check=False)
    if needed.returncode or shutil.which("gst-launch-1.0") is None:
        pytest.skip("GStreamer or its RTSP server is not installed (apt install gir1.2-gst-rtsp-server-1.0 python3-gi)")
    version = subprocess.run([PYTHON, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, text=True)
    if version.stdout.strip() != str(sys.version_info[:2]) or str(ROOT).startswith(HIDDEN):
        pytest.skip(f"the recorder's user needs a Python like this one as {PYTHON}, and a place that its unit shows it")
    one = Machine(tmp_path, cgroup)
    yield one
    one.close()


def install(machine: Machine, source: str) -> None:
    """By the installer, over a release that is this environment; then trust, as enrolment leaves it."""
    rehearsed = machine.run(*INSTALL, "--dry-run")
    named = re.search(r"release (\w+-\w+)", rehearsed.stderr)
    assert named is not None, rehearsed.stderr
    release = machine.root / "opt/vedette/releases" / named[1]
    (release / "bin").mkdir(parents=True)
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    program = f'#!/bin/sh\nPYTHONPATH={ROOT}:{packages} exec {PYTHON} -m vedette.cli "$@"\n'
    (release / "bin/vedette").write_text(program)
    (release / "bin/vedette").chmod(0o755)
    (release / ".whole").touch()
    done = machine.run(*INSTALL, "--device-id", "car-1", "--camera", "gst", "--source", source)
    assert done.returncode == 0, done.stderr
    recipient, key = HybridIdentity.generate().recipient.text, SigningKey.generate().public
    trust = Trust(
        centre=key, list_signer=key, log_origin="t/log", evidence=(recipient,), oversight=(recipient,), triage=recipient
    )
    (machine.root / DEVICE / "trust.json").write_bytes(trust.to_bytes())
    (machine.root / DEVICE / "trust.json").chmod(0o644)
    # Nothing but the recorder: not what systemd starts before any service of a whole machine.
    (machine.root / DROP_INS).mkdir(exist_ok=True)
    (machine.root / DROP_INS / "50-bare.conf").write_text(
        f"[Unit]\nDefaultDependencies=no\n[Service]\nExecStartPre={PYTHON} -I /opt/try.py\n"
    )
    (machine.root / "opt/try.py").write_text(TRY)


def restart(machine: Machine) -> list[str]:
    """Start the recorder anew; what it reached of the listener."""
    (machine.root / "run/vedette/tried").unlink(missing_ok=True)
    (machine.root / "run/vedette/status/recorder.json").unlink(missing_ok=True)
    for words in (["daemon-reload"], ["restart", "vedette-recorder"]):
        done = machine.run("systemctl", *words)
        assert done.returncode == 0, done.stderr
    return (machine.root / "run/vedette/tried").read_text().splitlines()


def test_installed_recorder_records_its_network_camera_and_reaches_nothing_else(machine: Machine) -> None:
    """CF-13, CF-14: closed it says what to do, and that is all that has to be done."""
    camera = machine.serve(PYTHON, str(SERVER), "8554").strip()
    machine.serve(PYTHON, "-Ic", LISTENER)
    install(machine, f"rtsp:{camera}")
    command = ("/opt/vedette/device/bin/vedette", "device")
    config = ("--config", f"/{DEVICE}/device.toml")

    (machine.root / DROP_INS / "25-network-camera.conf").unlink()
    assert restart(machine) == ["127.0.0.1 OSError", "127.0.0.2 OSError", "::1 OSError"]
    wait_for(lambda: machine.status().get("camera") == "unplugged", machine.told)
    journal = "".join(path.read_text() for path in (machine.root / DEVICE / "journal/recorder").glob("*.jsonl"))
    assert "the recorder's unit lets it reach no network: run sudo vedette device camera-network, then" in journal
    told = machine.run("runuser", "-u", "vedette", "--", *command, "status", *config).stdout
    assert "the recorder's unit does not let it reach 127.0.0.1: sudo vedette device camera-network, then" in told

    done = machine.run(*command, "camera-network")
    assert "the recorder reaches 127.0.0.1 and nothing else" in done.stdout, done.stderr
    assert restart(machine) == ["127.0.0.1 reached", "127.0.0.2 TimeoutError", "::1 OSError"]
    wait_for(lambda: machine.status().get("units"), machine.told)
    assert (machine.status()["camera"], machine.status()["state"]) == ("ok", "recording")


def test_installed_recorder_records_a_network_camera_with_an_ipv6_address_and_reaches_nothing_else(
    machine: Machine,
) -> None:
    """CF-18: the installer lets it through, by IPv6 alone."""
    camera = machine.serve(PYTHON, str(SERVER), "[::1]:8554").strip()
    assert camera == "rtsp://[::1]:8554/street"
    machine.serve(PYTHON, "-Ic", LISTENER)
    install(machine, f"rtsp:{camera}")
    assert restart(machine) == ["127.0.0.1 OSError", "127.0.0.2 OSError", "::1 reached"]
    wait_for(lambda: machine.status().get("units"), machine.told)
    assert (machine.status()["camera"], machine.status()["state"]) == ("ok", "recording")
