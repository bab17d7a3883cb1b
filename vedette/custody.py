"""The custody journal of one service: signed, chained lines, each durable before `append` returns.

Decided here: one writer per journal (held by a lock on the folder); every start of a service begins a new file, so
a closed file is never written again; what a power cut tore off the last line was never acknowledged, is cut off and
recorded; a journal that was damaged otherwise is left as it is, recorded as `journal.damaged` and continued in a
new file, because recording never waits. The keeper deletes a closed file once the item that carries its copy has
its receipt. Implements CJ-10 to CJ-18 of docs/spec/custody-journal.md.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from vedette import files
from vedette.clock import Clock, uuid7
from vedette.custody_entry import FIRST_PREV, DetailValue, Entry, sign_entry
from vedette.custody_seal import drop_sealed, seal_closed
from vedette.custody_tail import MAX_FILE_ENTRIES, journal_files, mend
from vedette.custody_verify import check_segment, split_lines, verify_chain
from vedette.errors import Refused
from vedette.keys import SigningKey

__all__ = [
    "MAX_FILE_ENTRIES", "Entry", "Journal", "NoRoom",
    "check_segment", "drop_sealed", "seal_closed", "split_lines", "verify_chain",
]  # fmt: skip


class NoRoom(Refused):
    """The disk takes no line; the journal is as it was before, and the call may be repeated."""


class Journal:
    """The journal of one service on one device; `open` is the way in. Not for several threads."""

    def __init__(self, folder: Path, *, service: str, device: str, key: SigningKey, clock: Clock) -> None:
        """Prepare only; use `open`."""
        self.folder = folder
        self.service = service
        self.device = device
        self.key = key
        self.clock = clock
        self._boot = uuid7(clock)
        self._head = (0, FIRST_PREV)
        self._lock: int | None = None
        self._file: int | None = None
        self._path: Path | None = None
        self._size = 0
        self._entries = 0
        self._noted: set[str] = set()
        self._unsealed: dict[Path, None] | None = None
        self._follower: Callable[[Entry], None] | None = None

    @classmethod
    def open(cls, folder: Path, *, service: str, device: str, key: SigningKey, clock: Clock) -> Journal:
        """Continue (or begin) the journal in `folder`: mends its tail and appends `service.started`.

        Raises Refused when another process writes this journal, `NoRoom` when the disk takes no line.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        except OSError as error:
            raise NoRoom(f"custody journal {folder}: its folder cannot be made ({error.strerror})") from None
        journal = cls(folder, service=service, device=device, key=key, clock=clock)
        journal._take_lock()
        try:
            journal._start()
        except BaseException:
            journal.close()
            raise
        return journal

    @property
    def head(self) -> tuple[int, str]:
        """(seq, SHA-256 in hex) of the last line; (0, 64 zeros) before the first."""
        return self._head

    def append(self, event: str, item: str | None = None, detail: Mapping[str, DetailValue] | None = None) -> Entry:
        """Sign, write and fsync one line; the entry is durable on return.

        Raises `NoRoom` when the disk does not take it, Integrity when event or detail break the spec.
        """
        quality = self.clock.quality()
        unsigned = Entry(
            seq=self._head[0] + 1,
            prev=self._head[1],
            utc_us=self.clock.utc_us(),
            mono_us=self.clock.mono_us(),
            time_source=quality.source,
            time_error_us=quality.error_us,
            boot=self._boot,
            device=self.device,
            service=self.service,
            event=event,
            item=item,
            detail=dict(detail or {}),
        )
        entry = sign_entry(unsigned, self.key)
        self._write(entry)
        self._head = (entry.seq, entry.sha256)
        self._entries += 1
        if self._follower is not None:
            self._follower(entry)
        if self._entries >= MAX_FILE_ENTRIES:
            self.roll()
        return entry

    def follow(self, follower: Callable[[Entry], None]) -> None:
        """Give each further line to `follower` once it is durable, in place of the one before."""
        self._follower = follower

    def note_damage(self, file: str, why: str) -> None:
        """Write `journal.damaged` for one of the journal's files, once in a run."""
        if file not in self._noted:
            self._noted.add(file)
            self.append("journal.damaged", detail={"file": file, "why": why[:512]})

    def roll(self) -> Path | None:
        """Close the current file (the next line begins a new one) and return it; None where there is none."""
        path, self._path = self._path, None
        if self._file is not None:
            os.close(self._file)
        self._file, self._size, self._entries = None, 0, 0
        if path is not None and self._unsealed is not None:
            self._unsealed[path] = None
        return path

    def closed_files(self) -> list[Path]:
        """The journal's files that are never written again, oldest first."""
        return [path for path in journal_files(self.folder) if path != self._path]

    def unsealed_files(self) -> list[Path]:
        """The closed files of which `note_sealed` was not told, oldest first; the folder is listed once in a run."""
        if self._unsealed is None:
            self._unsealed = dict.fromkeys(self.closed_files())
        return list(self._unsealed)

    def note_sealed(self, path: Path) -> None:
        """A closed file has its sealed copy, or is gone: nothing is to be done with it any more."""
        if self._unsealed is not None:
            self._unsealed.pop(path, None)

    def close(self) -> None:
        """Close the file and let go of the journal; appends nothing (`service.stopped` is the service's to say)."""
        self.roll()
        if self._lock is not None:
            os.close(self._lock)
        self._lock = None

    def _take_lock(self) -> None:
        self._lock = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            self._lock = None
            raise Refused(f"another process writes the custody journal {self.folder}; stop it first") from None

    def _start(self) -> None:
        tail = mend(self.folder, self.key.public)
        self._head = tail.head
        if tail.torn:
            digest = hashlib.sha256(tail.torn).hexdigest()
            self.append("journal.torn", detail={"file": tail.file, "bytes": len(tail.torn), "sha256": digest})
        if tail.damage:
            self.note_damage(tail.file, tail.damage)
        gap_us = self.clock.utc_us() - tail.last.utc_us if tail.last else None
        self.append("service.started", detail={"gap_us": gap_us, "machine": self.clock.machine()})

    def _write(self, entry: Entry) -> None:
        try:
            if self._file is None:
                self._begin_file(entry.seq)
            assert self._file is not None
            _write_all(self._file, entry.line + b"\n")
            os.fsync(self._file)
            self._size += len(entry.line) + 1
        except OSError as error:
            self._take_back()
            raise NoRoom(f"custody journal {self.folder}: the disk takes no line ({error.strerror})") from None

    def _begin_file(self, seq: int) -> None:
        path = self.folder / f"{seq:012d}.jsonl"
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o640)
        self._path = path
        files.fsync_dir(self.folder)

    def _take_back(self) -> None:
        """After a failed write: no part of the line may stay, or the next line would continue it."""
        if self._file is None:
            return
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, self._size)
        if self._size == 0 and self._path is not None:
            path = self.roll()
            assert path is not None
            with contextlib.suppress(OSError):
                files.remove(path)


def _write_all(descriptor: int, line: bytes) -> None:
    while line:
        line = line[os.write(descriptor, line) :]
