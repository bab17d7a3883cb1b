"""How a journal's newest file ends after a crash: what of it is whole, what was torn off, what is damaged.

Decided here: bytes behind the last good line are *torn* when no line among them parses (a write that never finished
leaves that), and *damage* when one does (a changed line in the middle, another key). Torn bytes were never
acknowledged and may go; damage stays as evidence. Implements CJ-13 to CJ-15 of docs/spec/custody-journal.md.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vedette import files
from vedette.custody_entry import FIRST_PREV, MAX_LINE_BYTES, Entry, parse_line
from vedette.custody_verify import split_lines, verify_chain
from vedette.errors import Integrity, NotFound, Refused, VedetteError
from vedette.keys import PublicKey

MAX_FILE_ENTRIES = 512
MAX_FILE_BYTES = (MAX_FILE_ENTRIES + 1) * (MAX_LINE_BYTES + 1)
HEAD_NAME = "head.jsonl"
FILE_NAME = re.compile(r"^[0-9]{12}\.jsonl$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Tail:
    """`head` is (seq, SHA-256 hex) of the line the next one follows, `last` the last good entry; `torn` lies behind
    `good_bytes`.
    """

    file: str
    head: tuple[int, str]
    last: Entry | None
    good_bytes: int = 0
    torn: bytes = b""
    damage: str = ""


def journal_files(folder: Path) -> list[Path]:
    """The files of one service's journal, oldest first."""
    return sorted(path for path in folder.iterdir() if FILE_NAME.match(path.name))


def newest_name(folder: Path) -> str:
    """The name of the newest file of one service's journal, empty where there is none."""
    return max(filter(FILE_NAME.match, os.listdir(folder)), default="")


def mend(folder: Path, public: PublicKey) -> Tail:
    """Where the journal in `folder` continues: a torn end is cut off the newest file, one without a whole line goes.

    `torn` and `damage` of the result say what was found. An empty journal has head (0, 64 zeros) and no `last`.
    """
    torn, file = b"", ""
    tail = _kept(folder, public)
    for path in reversed(journal_files(folder)):
        found = _tail_or_none(path, public)
        if found is None:
            continue
        torn, file = torn or found.torn, file or found.file
        if found.torn:
            _truncate(path, found.good_bytes)
        if found.last is not None or found.damage:
            tail = max(tail, found, key=lambda one: one.head[0])
            break
        files.remove(path)
    return replace(tail, torn=torn, file=file or tail.file)


def keep_head(path: Path) -> bool:
    """Keep the last line of a journal file about to be deleted, so that the chain goes on from it; False where it
    is damaged.
    """
    line = files.read(path, max_bytes=MAX_FILE_BYTES).removesuffix(b"\n").rpartition(b"\n")[2]
    if _parses(line):
        files.replace(path.parent / HEAD_NAME, line + b"\n")
        return True
    return False


def _kept(folder: Path, public: PublicKey) -> Tail:
    path = folder / HEAD_NAME
    if not path.exists():
        return Tail(file="", head=(0, FIRST_PREV), last=None)
    try:
        entry = verify_chain(split_lines(files.read(path, max_bytes=MAX_LINE_BYTES + 1)), public)[0]
    except VedetteError as error:
        return Tail(file=HEAD_NAME, head=(0, FIRST_PREV), last=None, damage=str(error))
    return Tail(file=HEAD_NAME, head=(entry.seq, entry.sha256), last=entry)


def _tail_or_none(path: Path, public: PublicKey) -> Tail | None:
    """The file's tail; None where the keeper deleted it since the folder was listed (its head was kept before that)."""
    try:
        return tail_of(files.read(path, max_bytes=MAX_FILE_BYTES), path.name, public)
    except NotFound:
        return None
    except (Refused, OSError) as error:
        # Unreadable, or far too large. No later line can follow it, but the service starts and its seqs stay unique.
        seq = int(path.stem) + MAX_FILE_ENTRIES
        return Tail(file=path.name, head=(seq, FIRST_PREV), last=None, damage=str(error))


def _truncate(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)
        os.fsync(file.fileno())


def tail_of(journal: bytes, name: str, public: PublicKey) -> Tail:
    """The tail of a file's bytes; its name says which seq its first line has."""
    first_seq = int(name.partition(".")[0])
    lines = journal.split(b"\n")
    whole, why = _good_lines(lines[:-1], first_seq, public)
    good_bytes = sum(len(entry.line) + 1 for entry in whole)
    last = whole[-1] if whole else None
    head = (last.seq, last.sha256) if last else (first_seq - 1, FIRST_PREV)
    rest = journal[good_bytes:]
    if not any(map(_parses, rest.split(b"\n")[:-1])):
        return Tail(file=name, head=head, last=last, good_bytes=good_bytes, torn=rest)
    found = journal.removesuffix(b"\n").split(b"\n")
    head = (first_seq + len(found) - 1, hashlib.sha256(found[-1]).hexdigest())
    return Tail(file=name, head=head, last=last, good_bytes=good_bytes, damage=why)


def _good_lines(lines: Sequence[bytes], first_seq: int, public: PublicKey) -> tuple[list[Entry], str]:
    """The longest good beginning of these lines, and why it ends where it does."""
    good: list[Entry] = []
    for line in lines:
        try:
            start = (good[-1].seq, good[-1].sha256) if good else None
            entry = verify_chain([line], public, start=start)[0]
            if entry.seq != first_seq + len(good):
                raise Integrity(f"seq {entry.seq} is not what the file's name says")
        except VedetteError as error:
            return good, str(error)
        good.append(entry)
    return good, ""


def _parses(line: bytes) -> bool:
    try:
        parse_line(line)
    except Integrity:
        return False
    return True
