"""Child processes of a stage: started, watched, restarted as systemd would, and stopped by their own process id.

A child dies with its parent (PR_SET_PDEATHSIG), so an interrupted demo leaves nothing running.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from vedette.errors import Refused

RESTART_AFTER_S = 1.0
STEADY_AFTER_S = 5.0
MOST_EARLY_DEATHS = 4
STOP_WITHIN_S = 20.0
_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Process:
    """One `vedette …` command as a child; what it prints goes to `log`."""

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name = name
        self.restarts = 0
        self._command = [sys.executable, "-m", "vedette.cli", *command]
        self._log = log
        self._child: subprocess.Popen[bytes] | None = None
        self._died_at: float | None = None
        self._started_at = 0.0
        self._early_deaths = 0

    def start(self) -> None:
        """Start the child; its working folder is the log's."""
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._log.parent,
                preexec_fn=_die_with_parent,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        self._died_at, self._started_at = None, time.monotonic()

    @property
    def pid(self) -> int:
        """The child's process id."""
        if self._child is None:
            raise Refused(f"{self.name} was not started")
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether the child lives now."""
        return self._child is not None and self._child.poll() is None

    def tend(self) -> None:
        """Start the child again a second after it died, as systemd does; `Refused` when it dies at each start."""
        if self._child is None or self.running:
            return
        now = time.monotonic()
        if self._died_at is None:
            self._died_at = now
            self._early_deaths = self._early_deaths + 1 if now - self._started_at < STEADY_AFTER_S else 0
            if self._early_deaths > MOST_EARLY_DEATHS:
                raise Refused(f"{self.name} does not stay up; the last it said:\n{self.last_words()}")
        elif now - self._died_at >= RESTART_AFTER_S:
            self.restarts += 1
            self.start()

    def kill(self) -> None:
        """`kill -9`, as a fault."""
        os.kill(self.pid, signal.SIGKILL)
        if self._child is not None:
            self._child.wait()

    def stop(self, within_s: float = STOP_WITHIN_S) -> int:
        """Ask the child to end and wait; its exit code. One that does not end in time is killed and said to be."""
        if self._child is None:
            return 0
        self._child.terminate()
        try:
            code = self._child.wait(within_s)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
            raise Refused(f"{self.name} did not end within {within_s:.0f} s; see {self._log}") from None
        self._child = None
        return code

    def last_words(self) -> str:
        """The last lines the child printed."""
        try:
            return "\n".join(self._log.read_text(errors="replace").splitlines()[-5:])
        except FileNotFoundError:
            return ""
