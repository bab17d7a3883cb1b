"""The loop that drives a service."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

from vedette import daemon
from vedette.clock import FakeClock


class Steps:
    """Counts its steps and asks the loop to stop in the third."""

    name = "steps"

    def __init__(self) -> None:
        self.seen: list[str] = []

    def step(self, now_us: int) -> float:
        self.seen.append("step")
        if len(self.seen) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return 0.0

    def close(self) -> None:
        self.seen.append("close")


def test_loop_closes_the_service_when_told_to_stop() -> None:
    service = Steps()
    assert daemon.run(service, clock=FakeClock()) == 0
    assert service.seen == ["step", "step", "step", "close"]


def test_loop_feeds_the_watchdog_only_after_a_step_returned(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.settimeout(20)
        script = textwrap.dedent(
            """
            from vedette import daemon
            from vedette.clock import SystemClock
            class Fails:
                name = "fails"
                count = 0
                def step(self, now_us):
                    self.count += 1
                    if self.count == 2:
                        raise RuntimeError("a programmer's mistake")
                    return 0.0
                def close(self):
                    pass
            daemon.run(Fails(), clock=SystemClock())
            """
        )
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "NOTIFY_SOCKET": address},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        said = [listener.recv(100) for _ in range(3)]
    assert said == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]
    assert done.returncode != 0
    assert "a programmer's mistake" in done.stderr


def test_status_is_read_back_when_written_and_empty_when_damaged(tmp_path: Path) -> None:
    daemon.write_status(tmp_path, "recorder", {"recorded_s": 3, "state": "recording"})
    assert daemon.read_status(tmp_path, "recorder") == {"recorded_s": 3, "state": "recording"}
    (tmp_path / "status" / "recorder.json").write_bytes(b"{")
    assert daemon.read_status(tmp_path, "recorder") == {}
    assert daemon.read_status(tmp_path, "keeper") == {}


def test_status_stays_the_older_one_when_the_disk_takes_none(tmp_path: Path) -> None:
    daemon.write_status(tmp_path, "keeper", {"deleted": 1})
    (tmp_path / "status" / ".keeper.tmp").mkdir()
    daemon.write_status(tmp_path, "keeper", {"deleted": 2})
    assert daemon.read_status(tmp_path, "keeper") == {"deleted": 1}
