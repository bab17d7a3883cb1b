"""What a custody journal proves: an unbroken signed chain, and which seconds of a sealed file are as they were
recorded.

Decided here: a chain is checked line by line and the first bad line is named with its number; a sealed file is
checked against every checkpoint its recorder signed, so that a cut or changed file still proves everything before
the first bad second. Implements CJ-7 to CJ-9 and CJ-19 to CJ-22 of docs/spec/custody-journal.md. Needs no key that
opens anything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from vedette.custody_entry import FIRST_PREV, MAX_LINE_BYTES, Entry, parse_line
from vedette.errors import Integrity, NotTrusted
from vedette.fields import Fields
from vedette.keys import PublicKey

READ_BYTES = 1 << 20
OPENED = "segment.opened"
CHECKPOINT = "segment.checkpoint"
CLOSED = "segment.closed"
RECOVERED = "segment.recovered"


def split_lines(journal: bytes) -> list[bytes]:
    """The lines of a whole journal file, without their newlines; Integrity when the last one is cut or one is too
    long.
    """
    lines, fault = whole_lines(journal)
    if fault is not None:
        raise fault
    return lines


def whole_lines(journal: bytes) -> tuple[list[bytes], Integrity | None]:
    """The whole lines of a journal file, without their newlines, and what is wrong with the file: its last line, which
    is then not among them, is cut, or one is too long (CJ-9).
    """
    *lines, fragment = journal.split(b"\n")
    too_long = next((number for number, line in enumerate(lines, start=1) if len(line) > MAX_LINE_BYTES), None)
    if too_long is not None:
        return lines, Integrity(f"custody journal: line {too_long} is over {MAX_LINE_BYTES} bytes")
    if fragment:
        cut = f"(line {len(lines) + 1}; {len(fragment)} bytes of it are here)"
        return lines, Integrity(f"custody journal: the last line is cut off {cut}")
    return lines, None


def verify_chain(lines: Iterable[bytes], public: PublicKey, *, start: tuple[int, str] | None = None) -> list[Entry]:
    """The entries of a chain in which every line is `public`'s, follows the line before and is of one device and
    service.

    `lines` are without newlines. `start` is the (seq, sha256) of the line before the first; without it the chain
    may begin anywhere, and a chain that begins at seq 1 must begin with 64 zeros. Raises Integrity or NotTrusted,
    naming the line and its seq.
    """
    entries: list[Entry] = []
    expected = start
    for number, line in enumerate(lines, start=1):
        try:
            entry = parse_line(line)
            _check_link(entry, expected, entries[0] if entries else None)
            entry.check_signature(public)
        except (Integrity, NotTrusted) as error:
            seq = expected[0] + 1 if expected else None
            where = f"line {number}" if seq is None else f"line {number} (seq {seq})"
            raise type(error)(f"custody chain, {where}: {error}") from None
        entries.append(entry)
        expected = (entry.seq, entry.sha256)
    return entries


def verify_arrived(entries: Sequence[Entry], public: PublicKey) -> None:
    """Return when the lines of one journal, each of which `verify_chain` took when it came, are what they were then.

    They are in the order of their numbers, with holes or without. Within a run of the service each line names the
    hash of the one before, which the same process had signed: checked are these hashes and, before a hole and where
    a run ends, the signature. It is asked of every run, for the first line of one may follow what nobody signed
    (CJ-14). Raises Integrity or NotTrusted, naming the seq.
    """
    key_id = public.key_id
    for index, entry in enumerate(entries):
        before = entries[index - 1] if index else None
        after = entries[index + 1] if index + 1 < len(entries) else None
        follows = before is not None and entry.seq == before.seq + 1
        try:
            _check_link(entry, (before.seq, before.sha256) if before and follows else None, before)
            if entry.key != key_id:
                raise NotTrusted(f"it is signed by key {entry.key}, the chain is checked against {key_id}")
            if after is None or (after.seq, after.boot) != (entry.seq + 1, entry.boot):
                parse_line(entry.line).check_signature(public)
        except (Integrity, NotTrusted) as error:
            raise type(error)(f"custody chain, seq {entry.seq}: {error}") from None


def _check_link(entry: Entry, expected: tuple[int, str] | None, first: Entry | None) -> None:
    if expected is None:
        expected = (entry.seq - 1, FIRST_PREV if entry.seq == 1 else entry.prev)
    if entry.seq != expected[0] + 1:
        raise Integrity(f"its seq is {entry.seq}: lines are missing, repeated or out of order")
    if entry.prev != expected[1]:
        raise Integrity("it does not follow the line before it: that line was changed, or this one is of another chain")
    if first is not None and (entry.device, entry.service) != (first.device, first.service):
        raise Integrity(f"it is of {entry.device}/{entry.service}, the chain of {first.device}/{first.service}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A promise about a sealed file: its first `offset` bytes have this SHA-256 (hex) and hold `media_us` of
    recording.
    """

    offset: int
    sha256: str
    media_us: int
    is_end: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentCheck:
    """How much of a sealed file its journal proves.

    The first `proven_bytes` (`proven_us` of recording) are as the device wrote them. `fault` is None when every
    mark holds, else a sentence that names the bytes and seconds between the last good mark and the first bad one,
    which are `bad_from` and `bad_to` (bytes). `is_closed` tells whether the journal says where the file ends.
    """

    marks: int
    proven_bytes: int
    proven_us: int
    is_closed: bool
    fault: str | None
    bad_from: int | None = None
    bad_to: int | None = None


def marks_of(entries: Sequence[Entry], item: str) -> list[Mark]:
    """The marks of an item in the order they were signed; Integrity where one goes back or lacks its fields.

    A recovery after a power cut says where the file ends from then on; checkpoints behind that end no longer count.
    """
    marks: list[Mark] = []
    for entry in entries:
        if entry.item != item or entry.event not in (CHECKPOINT, CLOSED, RECOVERED):
            continue
        mark = _mark(entry)
        if entry.event == RECOVERED:
            marks = [one for one in marks if one.offset <= mark.offset]
        if marks and mark.offset < marks[-1].offset:
            raise Integrity(f"custody seq {entry.seq}: the checkpoint goes back to byte {mark.offset}")
        marks.append(mark)
    return marks


def check_segment(entries: Sequence[Entry], item: str, source: BinaryIO) -> SegmentCheck:
    """Read a sealed file once, from its start, and hold it against every mark that `entries` (verified) have of
    `item`.
    """
    marks = marks_of(entries, item)
    running, position = hashlib.sha256(), 0
    good = Mark(offset=0, sha256="", media_us=0, is_end=False)
    for mark in marks:
        position += _feed(running, source, mark.offset - position)
        if position < mark.offset:
            return _fault(marks, good, mark, f"the file ends at byte {position}")
        if running.hexdigest() != mark.sha256:
            return _fault(marks, good, mark, "the bytes are not those that were recorded")
        good = mark
    return _end(marks, good, source)


def _end(marks: Sequence[Mark], good: Mark, source: BinaryIO) -> SegmentCheck:
    is_closed = any(mark.is_end for mark in marks)
    fault = "bytes follow after the end that was recorded" if is_closed and source.read(1) else None
    return SegmentCheck(
        marks=len(marks),
        proven_bytes=good.offset,
        proven_us=good.media_us,
        is_closed=is_closed,
        fault=fault and f"{fault} (byte {good.offset})",
        bad_from=good.offset if fault else None,
    )


def _fault(marks: Sequence[Mark], good: Mark, bad: Mark, what: str) -> SegmentCheck:
    seconds = f"{good.media_us / 1e6:.3f} s to {bad.media_us / 1e6:.3f} s"
    return SegmentCheck(
        marks=len(marks),
        proven_bytes=good.offset,
        proven_us=good.media_us,
        is_closed=any(mark.is_end for mark in marks),
        fault=f"{what} between byte {good.offset} and byte {bad.offset} ({seconds}); what is before is whole",
        bad_from=good.offset,
        bad_to=bad.offset,
    )


def _mark(entry: Entry) -> Mark:
    fields = Fields(dict(entry.detail), f"custody seq {entry.seq}, {entry.event}")
    is_end = entry.event != CHECKPOINT
    return Mark(
        offset=fields.integer("sealed_size" if is_end else "offset"),
        sha256=fields.sha256("sealed_sha256" if is_end else "sha256"),
        media_us=fields.integer("media_us"),
        is_end=is_end,
    )


def _feed(running: hashlib._Hash, source: BinaryIO, count: int) -> int:
    """Hash the next `count` bytes of `source`, fewer where it ends; returns how many."""
    left = count
    while left:
        piece = source.read(min(left, READ_BYTES))
        if not piece:
            break
        running.update(piece)
        left -= len(piece)
    return count - left
