"""A PostgreSQL of this machine that may be killed at any moment: the centre's other store, in trials.

Decided here: it is Debian's newest, in a folder of its own below the machine's temporary one, on a loopback port, and
waits for the disk as in production (the product refuses one that does not). A kill is `kill -9` of all its processes at
once, so that nothing of it can say goodbye; a start goes on from what its log has on the disk.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from vedette.errors import NotFound, Refused

OWNER = "postgres"
NAME = "centre"
MADE_WITHIN_S = 900.0
STARTS_WITHIN_S = 600.0
STOPS_WITHIN_S = 20.0
LAST_LINES = 12
_LOOK_S = 0.05
_PR_SET_PDEATHSIG = 1


class Database:
    """A new cluster with one empty database, running between `with` and its end; `NotFound` without PostgreSQL."""

    def __init__(self) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not found:
            raise NotFound("PostgreSQL is not installed: apt-get install postgresql")
        self._binaries = found[-1].parent
        self._folder = Path(tempfile.mkdtemp(prefix="vedette-database-"))
        self._child: subprocess.Popen[bytes] | None = None
        self._said_before = 0
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._port = int(probe.getsockname()[1])

    def __enter__(self) -> Database:
        try:
            self._make()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def url(self) -> str:
        """Its address for `[store] url` in central.toml."""
        return f"postgresql://vedette@127.0.0.1:{self._port}/{NAME}"

    @property
    def running(self) -> bool:
        """Whether its first process lives now."""
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        """Start it; it takes connections a moment later."""
        with (self._folder / "log").open("ab") as log:
            self._said_before = log.tell()
            self._child = subprocess.Popen(
                [str(self._binaries / "postgres"), "-D", str(self._folder / "data")],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=OWNER if os.geteuid() == 0 else None,
                preexec_fn=_die_with_parent,
            )

    def kill(self) -> None:
        """`kill -9` of all its processes."""
        if self._child is None:
            return
        with suppress(ProcessLookupError):
            os.kill(self._child.pid, signal.SIGSTOP)  # so that it starts no other while they are counted
        end = time.monotonic() + STOPS_WITHIN_S
        while self.running and _state(self._child.pid) not in "TZ" and time.monotonic() < end:
            time.sleep(_LOOK_S)
        family = [self._child.pid, *_children(self._child.pid)]
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._child.wait()
        end = time.monotonic() + STOPS_WITHIN_S
        while any(Path(f"/proc/{pid}").exists() for pid in family[1:]) and time.monotonic() < end:
            time.sleep(_LOOK_S)  # it does not start beside what is left of it

    def stop(self) -> None:
        """End it in order; what does not end in time is killed."""
        if self._child is None or not self.running:
            return
        self._child.send_signal(signal.SIGINT)
        try:
            self._child.wait(STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def last_words(self) -> str:
        """The end of what it said since it was last started."""
        said = (self._folder / "log").read_bytes()[self._said_before :].decode(errors="replace")
        return "\n".join(said.splitlines()[-LAST_LINES:])

    def faults(self) -> list[str]:
        """What PostgreSQL's own check finds wrong in tables and indexes, a line each."""
        words = ("-h", "127.0.0.1", "-p", str(self._port), "-U", "vedette", "--install-missing", "--heapallindexed")
        check = [str(self._binaries / "pg_amcheck"), *words, "-d", NAME]
        done = subprocess.run(check, cwd="/", capture_output=True, text=True, timeout=MADE_WITHIN_S, check=False)
        found = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        return found if done.returncode == 0 or found else [f"pg_amcheck ended with {done.returncode}"]

    def _make(self) -> None:
        data = self._folder / "data"
        if os.geteuid() == 0:  # it refuses to run as root
            owner = pwd.getpwnam(OWNER)
            os.chown(self._folder, owner.pw_uid, owner.pw_gid)
        self._run("initdb", "-U", "vedette", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-D", str(data))
        with (data / "postgresql.conf").open("a") as config:
            config.write(f"listen_addresses = '127.0.0.1'\nport = {self._port}\nunix_socket_directories = ''\n")
            config.write("shared_buffers = 32MB\nmin_wal_size = 32MB\nmax_wal_size = 128MB\n")
        self.start()
        end = time.monotonic() + STARTS_WITHIN_S
        while not self._answers():
            if not self.running or time.monotonic() > end:
                raise Refused(f"PostgreSQL does not start: {self.last_words()}")
            time.sleep(_LOOK_S)
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self._port), "-U", "vedette", NAME)

    def _answers(self) -> bool:
        ready = [str(self._binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        return subprocess.run(ready, check=False).returncode == 0

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [str(self._binaries / program), *words],
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=MADE_WITHIN_S,
            user=OWNER if os.geteuid() == 0 else None,
            check=False,
        )
        if done.returncode != 0:
            raise Refused(f"{program}: {done.stderr.strip()[-500:]}")


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


def _state(pid: int) -> str:
    """T: it is stopped, Z: it is dead and was not waited for; proc(5)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return "Z"


def _children(parent: int) -> list[int]:
    """The processes whose parent is `parent`; each has a session of its own, so no group tells them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(path.parent.name))
    return found
