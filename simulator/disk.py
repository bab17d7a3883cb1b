"""A disk that remembers every file operation, and what a power cut at any of them could leave behind.

Decided here: what was fsynced is there; of everything since, any write may be there, missing, torn or there without
the one before it, and any new name, rename or removal in a folder that was not fsynced may have happened or not. That
is more than ext4 or f2fs would do, so what survives it survives them. It watches this process only.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

_NAMES = ("open", "write", "pwrite", "fsync", "fdatasync", "replace", "rename", "link", "unlink", "ftruncate", "mkdir")


@dataclass(frozen=True, slots=True)
class Write:
    """`data` at `offset` of a file; a hole before it reads as zeros."""

    file: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    """The file got this size."""

    file: int
    size: int


@dataclass(frozen=True, slots=True)
class Names:
    """Names that changed at once: (folder, name) to the file it stands for now, None where it is gone."""

    changes: tuple[tuple[str, str, int | None], ...]


@dataclass(frozen=True, slots=True)
class Sync:
    """A file (by its number) or a folder (by its path) is durable as it is."""

    what: int | str


Operation = Write | Truncate | Names | Sync


@dataclass(slots=True)
class Disk:
    """The files below `root`, by number; `operations` in order, each with what `now` said then."""

    root: Path
    now: Callable[[], int]
    operations: list[tuple[int, Operation]] = field(default_factory=list)
    _contents: dict[int, bytearray] = field(default_factory=dict)
    _numbers: dict[tuple[int, int], int] = field(default_factory=dict)
    _before: dict[str, int] = field(default_factory=dict)
    _before_contents: dict[int, bytes] = field(default_factory=dict)
    _folders: set[str] = field(default_factory=set)

    @contextmanager
    def watched(self) -> Iterator[Disk]:
        """Record what this process does below `root` from now on."""
        for path in sorted(self.root.rglob("*")):
            if path.is_dir():
                self._folders.add(self._inside(path) or "")
            elif path.is_file():
                number = self._number(path, is_new=True)
                self._contents[number][:] = path.read_bytes()
                self._before[str(path.relative_to(self.root))] = number
                self._before_contents[number] = bytes(self._contents[number])
        originals = {name: getattr(os, name) for name in _NAMES}
        for name, original in originals.items():
            setattr(os, name, getattr(self, f"_{name}")(original))
        try:
            yield self
        finally:
            for name, original in originals.items():
                setattr(os, name, original)

    @property
    def before(self) -> dict[str, int]:
        """The number of each file that was there before, by its path."""
        return dict(self._before)

    @property
    def paths(self) -> dict[int, str]:
        """The first name of each file, by its number."""
        found = {number: path for path, number in self._before.items()}
        for _, one in self.operations:
            for folder, name, number in one.changes if isinstance(one, Names) else ():
                if number is not None:
                    found.setdefault(number, str(Path(folder) / name))
        return found

    def whole(self) -> dict[str, bytes]:
        """Every file by its path after all operations, with no cut."""
        files = {number: bytearray(data) for number, data in self._before_contents.items()}
        names = dict(self._before)
        for _, one in self.operations:
            if isinstance(one, Write | Truncate):
                _apply(files.setdefault(one.file, bytearray()), one)
            elif isinstance(one, Names):
                _rename(names, [one])
        return {path: bytes(files.get(number, b"")) for path, number in names.items()}

    def left_after(self, count: int, chance: Random) -> dict[str, bytes]:
        """One of the states that a cut after `count` operations may leave: the bytes of each file by its path."""
        files = {number: bytearray(data) for number, data in self._before_contents.items()}
        names = dict(self._before)
        pending_files: dict[int, list[Write | Truncate]] = {}
        pending_names: list[Names] = []
        for _, one in self.operations[:count]:
            if isinstance(one, Write | Truncate):
                pending_files.setdefault(one.file, []).append(one)
            elif isinstance(one, Names):
                pending_names.append(one)
            elif isinstance(one.what, int):
                for change in pending_files.pop(one.what, []):
                    _apply(files.setdefault(one.what, bytearray()), change)
            else:
                done = [change for change in pending_names if any(c[0] == one.what for c in change.changes)]
                pending_names = [change for change in pending_names if change not in done]
                _rename(names, done)
        for number, changes in pending_files.items():
            for change in changes:
                _perhaps(files.setdefault(number, bytearray()), change, chance)
        _rename(names, [change for change in pending_names if chance.random() < 0.5])
        return {path: bytes(files.get(number, b"")) for path, number in names.items()}

    def lay_out(self, files: dict[str, bytes], folder: Path) -> None:
        """Write the files of a state below `folder`, with every folder that there was."""
        for name in sorted(self._folders):
            (folder / name).mkdir(parents=True, exist_ok=True)
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)

    def _say(self, operation: Operation) -> None:
        self.operations.append((self.now(), operation))

    def _inside(self, path: object) -> str | None:
        """The path from `root`, None where it lies elsewhere."""
        absolute = Path.cwd() / str(path)
        return str(absolute.relative_to(self.root)) if absolute.is_relative_to(self.root) else None

    def _number(self, path: Path | str | int, *, is_new: bool = False) -> int:
        status = os.fstat(path) if isinstance(path, int) else Path(path).stat()
        key = (status.st_dev, status.st_ino)
        if is_new or key not in self._numbers:
            self._numbers[key] = len(self._contents)
            self._contents[self._numbers[key]] = bytearray()
        return self._numbers[key]

    def _name(self, *changes: tuple[object, int | None]) -> None:
        inside = [(self._inside(path), number) for path, number in changes]
        self._say(Names(tuple((*os.path.split(path), number) for path, number in inside if path is not None)))

    def _file_of(self, descriptor: int) -> str | None:
        return self._inside(str(Path(f"/proc/self/fd/{descriptor}").readlink()).removesuffix(" (deleted)"))

    def _open(self, original: Callable[..., int]) -> Callable[..., int]:
        def operation(path: Any, flags: int, *more: Any, **named: Any) -> int:
            is_there = os.path.lexists(path) if flags & os.O_CREAT else True
            descriptor = original(path, flags, *more, **named)
            if self._inside(path) is not None and not is_there:
                self._name((path, self._number(path, is_new=True)))
            elif self._inside(path) is not None and flags & os.O_TRUNC:
                self._seen(descriptor)
            return descriptor

        return operation

    def _write(self, original: Callable[..., int]) -> Callable[..., int]:
        def operation(descriptor: int, data: Any) -> int:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode) or self._file_of(descriptor) is None:
                return original(descriptor, data)
            written = original(descriptor, data)
            end = os.lseek(descriptor, 0, os.SEEK_CUR)
            self._change(Write(self._number(descriptor), end - written, bytes(memoryview(data)[:written])))
            return written

        return operation

    def _pwrite(self, original: Callable[..., int]) -> Callable[..., int]:
        def operation(descriptor: int, data: Any, offset: int) -> int:
            written = original(descriptor, data, offset)
            if self._file_of(descriptor) is not None:
                self._change(Write(self._number(descriptor), offset, bytes(memoryview(data)[:written])))
            return written

        return operation

    def _ftruncate(self, original: Callable[..., None]) -> Callable[..., None]:
        def operation(descriptor: int, size: int) -> None:
            original(descriptor, size)
            if self._file_of(descriptor) is not None:
                self._change(Truncate(self._number(descriptor), size))

        return operation

    def _fsync(self, original: Callable[..., None]) -> Callable[..., None]:
        def operation(descriptor: int) -> None:
            inside = self._file_of(descriptor)
            is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
            if inside is not None and not is_folder:
                self._seen(descriptor)
            original(descriptor)
            if inside is not None:
                self._say(Sync(("" if inside == "." else inside) if is_folder else self._number(descriptor)))

        return operation

    _fdatasync = _fsync

    def _replace(self, original: Callable[..., None]) -> Callable[..., None]:
        def operation(source: Any, target: Any, **more: Any) -> None:
            number = self._number(source)
            original(source, target, **more)
            if self._inside(target) is not None:
                self._name((source, None), (target, number))

        return operation

    _rename = _replace

    def _link(self, original: Callable[..., None]) -> Callable[..., None]:
        def operation(source: Any, target: Any, **more: Any) -> None:
            original(source, target, **more)
            if self._inside(target) is not None:
                self._name((target, self._number(target)))

        return operation

    def _unlink(self, original: Callable[..., None]) -> Callable[..., None]:
        def operation(path: Any, **more: Any) -> None:
            original(path, **more)
            if self._inside(path) is not None:
                self._name((path, None))

        return operation

    def _mkdir(self, original: Callable[..., None]) -> Callable[..., None]:
        """Folders are made once, at the first start, and are taken to be there."""

        def operation(path: Any, *more: Any, **named: Any) -> None:
            original(path, *more, **named)
            inside = self._inside(path)
            if inside is not None:
                self._folders.add(inside)

        return operation

    def _seen(self, descriptor: int) -> None:
        """Find what was written past `os.write`, by buffered files: the file is compared with what is known of it."""
        number = self._number(descriptor)
        real = Path(f"/proc/self/fd/{descriptor}").read_bytes()
        known = self._contents[number]
        if real == known:
            return
        if len(real) < len(known):
            self._change(Truncate(number, len(real)))
        same = next(
            (i for i, (a, b) in enumerate(zip(real, known, strict=False)) if a != b), min(len(real), len(known))
        )
        if real[same:]:
            self._change(Write(number, same, real[same:]))

    def _change(self, change: Write | Truncate) -> None:
        _apply(self._contents[change.file], change)
        self._say(change)


def _apply(content: bytearray, change: Write | Truncate) -> None:
    if isinstance(change, Truncate):
        del content[change.size :]
        content.extend(bytes(max(0, change.size - len(content))))
        return
    content.extend(bytes(max(0, change.offset - len(content))))
    content[change.offset : change.offset + len(change.data)] = change.data


def _perhaps(content: bytearray, change: Write | Truncate, chance: Random) -> None:
    """The change happens, or not, or only the beginning of it, or its size but not its bytes."""
    kind = chance.random()
    if kind < 0.4:
        _apply(content, change)
    elif kind < 0.75 and isinstance(change, Write):
        kept = chance.randrange(len(change.data) + 1)
        zeros = bytes(len(change.data) - kept) if kind < 0.55 else b""
        _apply(content, Write(change.file, change.offset, change.data[:kept] + zeros))


def _rename(names: dict[str, int], done: list[Names]) -> None:
    for change in done:
        for folder, name, number in change.changes:
            path = f"{folder}/{name}" if folder else name
            if number is None:
                names.pop(path, None)
            else:
                names[path] = number
