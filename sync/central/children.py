"""A child process that the centre keeps alive and that never outlives it.

Decided here: a child that dies is started again after a short, growing pause; when the centre is killed the
kernel kills the child too (PR_SET_PDEATHSIG, set by `sync.central.tether`), and should that not have worked,
the next start finds the orphan by its process id *and* its start time and ends it. Only processes that this
centre started are ever signalled.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from vedette import files
from vedette.errors import Refused

FIRST_PAUSE_US = 200_000
MOST_PAUSE_US = 10_000_000
STEADY_US = 30_000_000
STOP_S = 5.0
LOCK = "lock"
MAX_LOG_BYTES = 1 << 20
MAX_LAST_WORDS = 400


class Child:
    """One supervised process called `name`: its id in `run/<name>.pid.json`, its output in `run/<name>.log`.

    `folder` is the one it starts in, the centre's own where none is given.
    """

    def __init__(self, name: str, command: Sequence[str], run: Path, folder: Path | None = None) -> None:
        self.name = name
        self._folder = folder
        self._command = [sys.executable, "-m", "sync.central.tether", str(os.getpid()), *command]
        self._pid_file = run / f"{name}.pid.json"
        self._log = run / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._started_us = 0
        self._deaths = 0
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """The running process's id."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def was_killed(self) -> bool:
        """Whether a signal has ended the process, which did not end by itself."""
        return self._process is not None and (self._process.poll() or 0) < 0

    def start(self, now_us: int) -> None:
        """Start the process; an orphan of an earlier centre is ended first."""
        self.end_orphan()
        if self._log.exists() and self._log.stat().st_size > MAX_LOG_BYTES:
            self._log.replace(self._log.with_suffix(".log.1"))
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self._folder,
            )
        self._started_us = now_us
        self.starts += 1
        identity = {"pid": self._process.pid, "started": process_start(self._process.pid)}
        files.replace(self._pid_file, json.dumps(identity).encode())

    def tend(self, now_us: int) -> bool:
        """Start the process again when it has died and its pause is over; True when it did."""
        if self._process is None or self._process.poll() is None:
            return False
        if self._started_us and now_us - self._started_us > STEADY_US:
            self._deaths = 0
        pause_us = min(MOST_PAUSE_US, FIRST_PAUSE_US << min(self._deaths, 10))
        if now_us - self._started_us < pause_us:
            return False
        self._deaths += 1
        self.start(now_us)
        return True

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; nothing where it is dead, for then it is started anew."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def stop(self) -> None:
        """End the process: politely, then not."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._pid_file.unlink(missing_ok=True)

    def end_orphan(self) -> None:
        """Kill the process an earlier centre left behind, if it is still that one."""
        orphan = _identity(self._pid_file)
        if orphan is None:
            return
        pid, started = orphan
        if process_start(pid) == started:
            os.kill(pid, signal.SIGKILL)
            _wait_gone(pid, started)
        self._pid_file.unlink(missing_ok=True)

    def last_words(self) -> str:
        """The end of what the process printed."""
        try:
            text = self._log.read_bytes()[-MAX_LAST_WORDS:].decode("utf-8", "replace")
        except OSError:
            return ""
        return text.strip()


def take_lock(run: Path) -> IO[bytes]:
    """Hold the lock of the centre whose run folder this is while the file is open; `Refused` when another has it."""
    run.mkdir(exist_ok=True)
    file = (run / LOCK).open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise Refused(f"a centre is running on {run.parent} already; stop it first") from None
    file.truncate(0)
    file.write(json.dumps({"pid": os.getpid(), "started": process_start(os.getpid())}).encode())
    file.flush()
    return file


def is_running(run: Path) -> bool:
    """Whether the centre that last held this run folder's lock is alive; takes no lock itself."""
    holder = _identity(run / LOCK)
    return holder is not None and process_start(holder[0]) == holder[1]


def _identity(path: Path) -> tuple[int, str] | None:
    """The process that a file names by id and start; None when it names none."""
    try:
        identity = json.loads(path.read_bytes())
        pid, started = int(identity["pid"]), str(identity["started"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (pid, started) if started else None


def process_start(pid: int) -> str:
    """What tells a process from a later one with the same id: the boot it runs in and when it began; "" when gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else f"{boot}/{fields[19]}"


def _wait_gone(pid: int, started: str) -> None:
    until = time.monotonic() + STOP_S
    while process_start(pid) == started:
        if time.monotonic() > until:
            raise Refused(f"process {pid} of an earlier centre does not end; end it by hand")
        time.sleep(0.02)
