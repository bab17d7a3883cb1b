"""What a process really did to the disk, SQLite and every other library in it included, as the kernel saw it.

Decided here: a forked child is watched by strace, and its system calls become the operations of `simulator.disk`, in
their order. A call on a watched file that this reader does not know is an error, never passed over; so is writing
through mapped memory, but for SQLite's `-shm`, which is made anew after a cut.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from simulator.disk import Disk, Names, Operation, Sync, Truncate, Write
from vedette.errors import NotFound, Refused

MARK = "/vedette-mark"
NAMELESS_END = "-shm"
_CALLS = (
    "open,openat,creat,close,read,pread64,write,pwrite64,writev,pwritev,pwritev2,lseek,fsync,fdatasync,sync_file_range,"
    "ftruncate,truncate,fallocate,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,mkdir,mkdirat,"
    "rmdir,dup,dup2,dup3,fcntl,mmap,copy_file_range,sendfile"
)
_STRACE = ("strace", "-f", "-qq", "-xx", "-s", str(1 << 26), "-e", f"trace={_CALLS}", "-e", "signal=none")
_WITH_PATHS = ("open", "crea", "rena", "link", "syml", "unli", "mkdi", "trun")
_HARMLESS = {"read", "pread64", "sync_file_range"}
_CALL = re.compile(r"^(?P<name>\w+)\((?P<words>.*)\)\s+= (?P<result>-?\d+|0x[0-9a-f]+|\?)")
_SYNC = re.compile(r"^f(?:data)?sync\((?P<descriptor>\d+)")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_PATH = re.compile(r'(?:(\w+), )?"((?:\\x[0-9a-f]{2})*)"')
_PR_SET_PTRACER = 0x59616D61
_ANY_TRACER = ctypes.c_ulong(-1)
_SAID_BYTES = 300


@dataclass(slots=True)
class _Open:
    """An open file: its number, and where it reads and writes next."""

    file: int
    at: int = 0
    appends: bool = False


@dataclass(slots=True)
class Traced:
    """Turns lines of strace into operations on what lies below `root`; `numbers` are the files there before, by path.

    `marks` are what the child said by `mark`, each with the number of operations before it.
    """

    root: str
    numbers: dict[str, int]
    operations: list[Operation] = field(default_factory=list)
    marks: list[tuple[int, str]] = field(default_factory=list)
    _sizes: dict[int, int] = field(default_factory=dict)
    _open: dict[int, _Open | str] = field(default_factory=dict)
    _files: int = 0

    def __post_init__(self) -> None:
        self._files = max(self.numbers.values(), default=-1) + 1
        self._sizes = {number: (Path(self.root) / path).stat().st_size for path, number in self.numbers.items()}

    def take(self, lines: Iterable[str]) -> None:
        """Take the lines of the whole trace; `Refused` names a call that is not known."""
        halves: dict[str, str] = {}
        begun: set[str] = set()
        for line in lines:
            thread, _, rest = line.strip().partition(" ")
            said = rest.strip()
            if said.endswith("<unfinished ...>"):
                halves[thread] = said.removesuffix("<unfinished ...>")
                if (sync := _SYNC.match(said)) is not None:
                    # What another thread writes before it ends is not sure to be durable then.
                    self._sync(int(sync["descriptor"]))
                    begun.add(thread)
                continue
            if said.startswith("<...") and thread in begun:
                begun.remove(thread)
                del halves[thread]
                if not said.endswith("= 0"):
                    raise Refused(f"strace: {said} is not known here")
                continue
            if said.startswith("<..."):
                said = halves.pop(thread) + said.partition("resumed>")[2]
            found = _CALL.match(said)
            if found is not None and found["result"] != "?":
                self._call(found["name"], found["words"], int(found["result"], 0))

    def _call(self, name: str, words: str, result: int) -> None:
        paths = self._paths(words) if name.startswith(_WITH_PATHS) else []
        first, *others = words.split(", ")
        if name.startswith("mkdir") and result < 0:
            self._mark(words)
        elif result < 0:
            return
        elif name in ("open", "openat", "creat"):
            self._opened(paths[0], words, result)
        elif name.startswith("rename"):
            self._renamed(paths[0], paths[1])
        elif name.startswith("link") and paths[1] is not None:
            self._name((paths[1], self.numbers[paths[0] or ""]))
        elif name.startswith("unlink") and paths[0] is not None and "AT_REMOVEDIR" not in words:
            self._name((paths[0], None))
        elif name.startswith(("symlink", "truncate")) and paths[-1] is not None:
            raise Refused(f"strace: {name} of a watched path is not known here")
        elif name in ("mmap", "copy_file_range"):
            self._not_past_us(name, others, words)
        elif first.isdigit() and int(first) in self._open:
            self._on_descriptor(name, int(first), words, result)

    def _on_descriptor(self, name: str, descriptor: int, words: str, result: int) -> None:
        opened = self._open[descriptor]
        if name == "close":
            del self._open[descriptor]
        elif name in ("fsync", "fdatasync"):
            self._sync(descriptor)
        elif name == "fcntl" and "F_DUPFD" not in words:
            return
        elif name in ("fcntl", "dup"):
            self._open[result] = opened
        elif isinstance(opened, str):
            raise Refused(f"strace: {name} of a folder is not known here")
        elif name == "lseek":
            opened.at = result
        elif name == "read":
            opened.at += result
        elif name == "write":
            at = self._sizes[opened.file] if opened.appends else opened.at
            self._write(opened.file, at, _bytes(words)[:result])
            opened.at = at + result
        elif name == "pwrite64":
            self._write(opened.file, int(words.rpartition(", ")[2]), _bytes(words)[:result])
        elif name == "ftruncate":
            self._sizes[opened.file] = int(words.rpartition(", ")[2])
            self.operations.append(Truncate(opened.file, self._sizes[opened.file]))
        elif name not in _HARMLESS:
            raise Refused(f"strace: {name} on a watched file is not known here")

    def _not_past_us(self, name: str, others: list[str], words: str) -> None:
        """Refuse what changes a watched file without a write: a writable shared mapping, a copy inside the kernel."""
        if name == "mmap" and not ("PROT_WRITE" in words and "MAP_SHARED" in words):
            return
        target = others[3] if name == "mmap" else others[1]
        if target.isdigit() and int(target) in self._open:
            raise Refused(f"strace: {name} of a watched file is not known here")

    def _sync(self, descriptor: int) -> None:
        opened = self._open.get(descriptor)
        if opened is not None:
            self.operations.append(Sync(opened if isinstance(opened, str) else opened.file))

    def _write(self, file: int, at: int, payload: bytes) -> None:
        self._sizes[file] = max(self._sizes[file], at + len(payload))
        self.operations.append(Write(file, at, payload))

    def _opened(self, path: str | None, words: str, descriptor: int) -> None:
        self._open.pop(descriptor, None)
        if path is None or path.endswith(NAMELESS_END):
            return
        if (Path(self.root) / path).is_dir() or "O_DIRECTORY" in words:
            self._open[descriptor] = path
            return
        if path not in self.numbers:
            self._sizes[self._files] = 0
            self._name((path, self._files))
            self._files += 1
        elif "O_TRUNC" in words and self._sizes[self.numbers[path]]:
            self._sizes[self.numbers[path]] = 0
            self.operations.append(Truncate(self.numbers[path], 0))
        self._open[descriptor] = _Open(self.numbers[path], appends="O_APPEND" in words)

    def _renamed(self, source: str | None, target: str | None) -> None:
        if source is None and target is None:
            return
        if source is None or target is None or source not in self.numbers:
            raise Refused(f"strace: a rename of a folder, or across the edge of {self.root}, is not known here")
        self._name((source, None), (target, self.numbers[source]))

    def _name(self, *changes: tuple[str, int | None]) -> None:
        told = [(path, number) for path, number in changes if not path.endswith(NAMELESS_END)]
        for path, number in told:
            if number is None:
                self.numbers.pop(path, None)
            else:
                self.numbers[path] = number
        if told:
            self.operations.append(Names(tuple((*os.path.split(path), number) for path, number in told)))

    def _mark(self, words: str) -> None:
        path = _bytes(words).decode("utf-8", "replace")
        if path.startswith(f"{MARK}/"):
            self.marks.append((len(self.operations), path.removeprefix(f"{MARK}/")))

    def _paths(self, words: str) -> list[str | None]:
        """The paths of a call as they lie below `root`, None for one that does not."""
        found = []
        for folder, text in _PATH.findall(words):
            path = bytes.fromhex(text.replace("\\x", "")).decode("utf-8", "replace")
            opened = self._open.get(int(folder)) if folder.isdigit() else None
            found.append(self._inside(str(Path(self.root, opened, path)) if isinstance(opened, str) else path))
        return found

    def _inside(self, path: str) -> str | None:
        if path == self.root:
            return ""
        return os.path.relpath(path, self.root) if path.startswith(f"{self.root}/") else None


def mark(text: str) -> None:
    """Leave `text` in the trace of this process, between what it did before and after."""
    try:
        Path(f"{MARK}/{text}").mkdir()
    except OSError:
        return
    raise Refused(f"{MARK} exists on this machine")


def watched(folder: Path, work: Callable[[], None], trace: Path) -> tuple[Disk, Traced]:
    """Do `work` in a child: the disk as it is known afterwards, and the reader with its marks. Raises as `traced`."""
    disk = Disk(folder, lambda: 0)
    with disk.watched():
        found = Traced(root=str(folder), numbers=disk.before)
    found.take(traced(work, trace))
    disk.operations += [(0, operation) for operation in found.operations]
    return disk, found


def traced(work: Callable[[], None], trace: Path) -> list[str]:
    """Fork, do `work` in the child under strace; its lines.

    `NotFound` where strace is missing or may not watch a child here; `Refused` when the child failed.
    """
    if shutil.which("strace") is None:
        raise NotFound("strace is not installed (apt-get install strace)")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _child(work, reading)
    watcher = subprocess.Popen([*_STRACE, "-o", str(trace), "-p", str(child)], stderr=subprocess.PIPE, text=True)
    try:
        _wait_for_tracer(child, watcher)
    finally:
        os.write(writing, b"x")
        os.close(writing)
        os.close(reading)
        _, status = os.waitpid(child, 0)
        watcher.communicate()
    if status:
        raise Refused(f"the traced child ended with {status}; see what it printed")
    return trace.read_text().splitlines()


def _child(work: Callable[[], None], reading: int) -> None:
    code = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _ANY_TRACER, 0, 0, 0)
        os.read(reading, 1)
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _wait_for_tracer(child: int, watcher: subprocess.Popen[str]) -> None:
    while "TracerPid:\t0" in Path(f"/proc/{child}/status").read_text():
        if watcher.poll() is not None:
            said = watcher.stderr.read().strip() if watcher.stderr is not None else ""
            raise NotFound(f"strace may not watch a child here: {said[:_SAID_BYTES]}")


def _bytes(words: str) -> bytes:
    found = _TEXT.search(words)
    return bytes.fromhex(found[1].replace("\\x", "")) if found else b""
