"""How a journal's newest file ends after a crash: what of it is whole, what was torn off, what is damaged.

Decided here: bytes behind the last good line are *torn* when no line among them parses (a write that never finished leaves that), and
*damage* when one does (a changed line in the middle, another key). Torn bytes were never acknowledged and may go; damage stays as
evidence. Implements CJ-13 and CJ-14 of docs/spec/custody-journal.md.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vedette import files
from vedette.custody_entry import MAX_LINE_BYTES, Entry, parse_line
from vedette.custody_verify import verify_chain
from vedette.errors import Integrity, VedetteError
from vedette.keys import PublicKey

MAX_FILE_ENTRIES = 512
MAX_FILE_BYTES = (MAX_FILE_ENTRIES + 1) * (MAX_LINE_BYTES + 1)
_FILE_NAME = re.compile(r"^[0-9]{12}\.jsonl$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Tail:
    """`head` is (seq, SHA-256 hex) of the last line a next one follows, `last` its entry if it is good; `torn` lies behind `good_bytes`."""

    head: tuple[int, str]
    last: Entry | None
    good_bytes: int
    torn: bytes = b""
    damage: str = ""


def journal_files(folder: Path) -> list[Path]:
    """The files of one service's journal, oldest first."""
    return sorted(path for path in folder.iterdir() if _FILE_NAME.match(path.name))


def read_tail(path: Path, public: PublicKey) -> Tail:
    """The tail of one journal file of the key `public`."""
    journal = files.read(path, max_bytes=MAX_FILE_BYTES)
    return tail_of(journal, int(path.stem), public)


def tail_of(journal: bytes, first_seq: int, public: PublicKey) -> Tail:
    """The tail of a file's bytes whose first line has seq `first_seq` (the file's name says so)."""
    lines = journal.split(b"\n")
    whole, why = _good_lines(lines[:-1], first_seq, public)
    good_bytes = sum(len(entry.line) + 1 for entry in whole)
    last = whole[-1] if whole else None
    head = (last.seq, last.sha256) if last else (first_seq - 1, "")
    rest = journal[good_bytes:]
    if not any(map(_parses, rest.split(b"\n"))):
        return Tail(head=head, last=last, good_bytes=good_bytes, torn=rest)
    found = journal.removesuffix(b"\n").split(b"\n")
    head = (first_seq + len(found) - 1, hashlib.sha256(found[-1]).hexdigest())
    return Tail(head=head, last=last, good_bytes=good_bytes, damage=why or "a whole line without its newline")


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
