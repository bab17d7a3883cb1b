"""A child process that a camera adapter reads by pipes: started, watched and ended without ever waiting for it.

Decided here: an end is asked for politely and forced after two seconds, by whoever next wants to start the child again;
while the one before is still there (a driver that does not let go of it) none is started, so that there is never more
than one, and no thread. What it says on its standard error is taken as it comes, so that it cannot block on that, and
the end of it is kept. Told something as it starts, it may be told more later: a line that its pipe does not take is
left out. A child that is left alone sees its pipes break.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress

from vedette.clock import Clock

STOP_US = 2_000_000
PIPE_BYTES = 1 << 20
MAX_READS = 64
MAX_WORDS_BYTES = 4096
# After a pipe ended: for the last words, and for the exit status.
LAST_WORDS_S = 0.2

Command = Callable[[Sequence[int]], Sequence[str]]


class Child:
    """One child process at a time; `ends` are the pipes it writes to, in the order in which they were asked for."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._leaving: subprocess.Popen[bytes] | None = None
        self._kill_us = 0
        self._words = b""
        self.ends: list[int] = []

    @property
    def is_running(self) -> bool:
        """Whether it was started and not ended by us."""
        return self._process is not None

    @property
    def pid(self) -> int | None:
        """The process that runs."""
        return self._process.pid if self._process else None

    @property
    def leaving_pid(self) -> int | None:
        """The process that was asked to end and is still there."""
        return self._leaving.pid if self._leaving else None

    def start(self, pipes: int, command: Command, told: bytes | None = None) -> bool:
        """Start the command that `command` makes of the pipes' numbers; False while the one before has not gone.

        `told` is what it reads first on its standard input, which then stays open for `tell`.
        """
        if self._process is not None or not self.has_left():
            return False
        made = [os.pipe() for _ in range(pipes)]
        self.ends, writes = [read for read, _ in made], [write for _, write in made]
        self._words = b""
        for end in self.ends:
            os.set_blocking(end, False)
            with suppress(OSError):
                fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        try:
            self._process = subprocess.Popen(
                command(writes),
                stdin=subprocess.DEVNULL if told is None else subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=writes,
                bufsize=0,
                # A signal that is meant for us at a terminal is not for it: it would look like a fault.
                start_new_session=True,
            )
        except OSError:
            self._close_ends()
            raise
        finally:
            for write in writes:
                os.close(write)
        assert self._process.stderr is not None
        os.set_blocking(self._process.stderr.fileno(), False)
        if told is not None and self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.write(told)
            os.set_blocking(self._process.stdin.fileno(), False)
        return True

    def tell(self, line: bytes) -> None:
        """Have it read a line of at most 4,096 bytes: a pipe takes it whole, or it is left out, as where none runs."""
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.write(line)

    def wait(self, timeout_s: float) -> list[int]:
        """The pipes that have something or have ended, once there is one, `timeout_s` at most."""
        if self._process is None or self._process.stderr is None:
            return []
        words = self._process.stderr.fileno()
        ready, _, _ = select.select([*self.ends, words], [], [], timeout_s)
        if words in ready:
            self._hear()
            # Words, and their end, are nothing to wake up for.
            ready, _, _ = select.select(self.ends, [], [], 0 if len(ready) > 1 else min(timeout_s, 0.05))
        return [end for end in self.ends if end in ready]

    def read(self, end: int) -> list[bytes]:
        """What the pipe has now, a bounded number of reads. Raises EOFError where it has ended and nothing is left."""
        found: list[bytes] = []
        for _ in range(MAX_READS):
            try:
                data = os.read(end, PIPE_BYTES)
            except BlockingIOError:
                break
            if not data and not found:
                raise EOFError
            if not data:
                break
            found.append(data)
        return found

    def last_words(self) -> str:
        """What it said on its standard error, the end of it; for once a pipe has ended."""
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(LAST_WORDS_S)
            self._hear()
        return self._words.decode("utf-8", "replace")

    @property
    def exit_status(self) -> int | None:
        """Its exit status, None where it has none yet."""
        return self._process.poll() if self._process else None

    def stop(self) -> None:
        """Ask it to end, and close the pipes; nobody waits. May be called twice."""
        self._close_ends()
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        with suppress(OSError):
            process.send_signal(signal.SIGINT)
        self._leaving, self._kill_us = process, self._clock.mono_us() + STOP_US

    def has_left(self, wait_s: float = 0.0) -> bool:
        """Whether the one that was asked to end is gone; after two seconds, or `wait_s` waited, it is made to go."""
        leaving = self._leaving
        if leaving is None:
            return True
        if wait_s:
            with suppress(subprocess.TimeoutExpired):
                leaving.wait(wait_s)
        if leaving.poll() is None:
            if not wait_s and self._clock.mono_us() < self._kill_us:
                return False
            leaving.kill()
            with suppress(subprocess.TimeoutExpired):
                leaving.wait(LAST_WORDS_S if wait_s else 0)
        if leaving.poll() is None:
            return False
        self._leaving = None
        if leaving.stderr is not None:
            leaving.stderr.close()
        return True

    def _hear(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        with suppress(OSError):
            while said := self._process.stderr.read(MAX_WORDS_BYTES):
                self._words = (self._words + said)[-MAX_WORDS_BYTES:]

    def _close_ends(self) -> None:
        for end in self.ends:
            os.close(end)
        self.ends = []
