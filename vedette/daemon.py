"""The one loop that drives a service, tells systemd about it, and the status file it leaves for people to read.

A service is `step(now_us) -> seconds until the next step`. The loop is the only place that sleeps. The watchdog is
fed only after a step has returned, so a service that hangs is restarted. Protocol: sd_notify(3).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Protocol

from vedette import canonical
from vedette.clock import Clock
from vedette.errors import Integrity

MAX_SLEEP_S = 5.0
MAX_STATUS_BYTES = 64 * 1024

Counters = Mapping[str, int | str | bool | None]


class Step(Protocol):
    """One service: everything it needs was handed to its constructor."""

    name: str

    def step(self, now_us: int) -> float:
        """Do the work that is due at `now_us` (monotonic) and return the seconds until the next step."""

    def close(self) -> None:
        """Finish what is open, in bounded time; called once."""


def run(service: Step, *, clock: Clock) -> int:
    """Drive `service` until SIGTERM or SIGINT, then close it; the process's exit code."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    stopped = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True

    signal.set_wakeup_fd(writer)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    notify("READY=1")
    try:
        while not stopped:
            pause_s = service.step(clock.mono_us())
            notify("WATCHDOG=1")
            if not stopped:
                select.select([reader], [], [], min(max(pause_s, 0.0), MAX_SLEEP_S))
    finally:
        notify("STOPPING=1")
        service.close()
        signal.set_wakeup_fd(-1)
        os.close(reader)
        os.close(writer)
    return 0


def notify(state: str) -> None:
    """Send `state` to systemd when it started this process; nothing otherwise."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
        connection.connect("\0" + address[1:] if address.startswith("@") else address)
        connection.send(state.encode())


def write_status(run_dir: Path, name: str, counters: Counters) -> None:
    """Leave `counters` where `vedette device status` and the demo find them; never a plate, a position, an officer.

    A disk that does not take them is no reason for a service to stop: the older ones stay, and their time tells.
    """
    data = canonical.dumps(dict(counters))
    status = run_dir / "status"
    beside = status / f".{name}.tmp"
    with contextlib.suppress(OSError):
        status.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(data)
        os.replace(beside, status / f"{name}.json")


def read_status(run_dir: Path, name: str) -> dict[str, int | str | bool | None]:
    """The counters a service left last; empty when it left none."""
    try:
        body = canonical.loads((run_dir / "status" / f"{name}.json").read_bytes(), max_bytes=MAX_STATUS_BYTES)
    except (OSError, Integrity):
        return {}
    return body if isinstance(body, dict) else {}
