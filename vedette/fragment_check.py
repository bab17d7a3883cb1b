"""Holds an opened recording against the marks of its fragments that the device signed, and says which fragment is
changed, missing, out of its place or cut off, and where bytes stand that the device never wrote.

Decided here: what is not where it was is looked for wherever a box of an MP4 begins and wherever a fragment would begin
had bytes been put in or taken out before it, within a bound on the work. Implements the reading side of CJ-34 to CJ-37
and BU-54 to BU-57. The travelling verifiers do the same in `vedette.verifier`.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from vedette.custody_entry import Entry
from vedette.custody_verify import CHECKPOINT, CLOSED, RECOVERED
from vedette.errors import Integrity
from vedette.fragment_marks import MARK_BYTES

MAX_SAID = 8
MAX_HEADS = 1 << 16
WORK_BYTES, WORK_TIMES, LOOK_BYTES = 64 << 20, 8, 64
READ_BYTES = 1 << 20
_HEADS = re.compile(rb"ftyp|moof|free|mfra")
_MARKS = re.compile(r"(?:[1-9][0-9]{0,12}:(?:0|[1-9][0-9]{0,12}):[0-9a-f]{32}(?:,(?!$)|$)){0,64}")
_KEY_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Fragment:
    """A fragment as the device signed it: its bytes in the opened file (`end` is behind it), its time, its mark."""

    first: int
    end: int
    from_us: int
    to_us: int
    mark: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Signed:
    """The fragments of an item in order, which lie without a gap, and the id of their key."""

    fragments: tuple[Fragment, ...]
    key_id: str

    @property
    def size(self) -> int:
        """The bytes that they have."""
        return self.fragments[-1].end if self.fragments else 0


def signed_fragments(entries: Sequence[Entry], item: str) -> Signed | None:
    """What the (verified) lines sign of an item's fragments; None where they sign none.

    Raises Integrity where a line has marks of another form, or where only some of the lines have any.
    """
    lines = [one for one in entries if one.item == item and one.event in (CHECKPOINT, CLOSED)]
    if not any("fragments" in one.detail for one in lines):
        return None
    cuts = [_number(one.detail.get("sealed_size")) for one in entries if one.item == item and one.event == RECOVERED]
    fragments: list[Fragment] = []
    for one in lines:
        offset = _number(one.detail.get("offset" if one.event == CHECKPOINT else "sealed_size"))
        if not cuts or offset <= min(cuts):
            fragments += _of_line(one, fragments[-1] if fragments else None)
    keys = {one.detail.get("fragments_key") for one in lines}
    found = keys.pop()
    if keys or not isinstance(found, str) or not _KEY_ID.fullmatch(found):
        raise Integrity(f"the lines of item {item} name no key of their fragments' marks, or more than one")
    return Signed(fragments=tuple(fragments), key_id=found)


def _number(value: object) -> int:
    """A size of the sealed file in a line; one that is none is damage, which `marks_of` names."""
    return value if type(value) is int and 0 <= value < 1 << 53 else 0


def _of_line(entry: Entry, last: Fragment | None) -> Iterator[Fragment]:
    text = entry.detail.get("fragments")
    if not isinstance(text, str) or not _MARKS.fullmatch(text):
        raise Integrity(f"custody seq {entry.seq}, {entry.event}: its fragments are missing or not what they must be")
    end, at_us = (last.end, last.to_us) if last else (0, 0)
    for one in text.split(",") if text else ():
        size, media_us, mark = one.split(":")
        if int(media_us) < at_us:
            raise Integrity(f"custody seq {entry.seq}: a fragment ends before it begins, at {media_us} us")
        yield Fragment(first=end, end=end + int(size), from_us=at_us, to_us=int(media_us), mark=mark)
        end, at_us = end + int(size), int(media_us)


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """A stretch of the file: the fragment (its index) that stands there, or None for bytes that are none."""

    at: int
    end: int
    index: int | None


def check_fragments(signed: Signed, key: bytes, file: BinaryIO, *, size: int, is_whole: bool) -> str:
    """What holds, where `file` (seekable) is the opened recording of `size` bytes and `key` the one that the lines
    name; raises Integrity, which names every fragment that is not as it was.

    Where the recording was cut (not `is_whole`) bytes may follow behind the last fragment, which no mark covers.
    """
    if signed.size > size or (is_whole and signed.size < size):
        raise Integrity(f"its lines sign fragments of {signed.size} bytes in all, its manifest {size}")
    looking = _Looking(signed, key, file, size)
    placed = looking.in_place()
    placed = looking.anywhere() if placed is None else placed
    said = list(_said(signed, placed, looking.size, size))
    if looking.is_exhausted:
        said.append("not everything that stands elsewhere was looked for")
    if said:
        more = f"; and {len(said) - MAX_SAID} more" if len(said) > MAX_SAID else ""
        raise Integrity("; ".join(said[:MAX_SAID]) + more)
    seconds = signed.fragments[-1].to_us / 1e6 if signed.fragments else 0
    rest = "" if is_whole else f"; the {size - signed.size} bytes behind them are under no mark"
    return f"{len(signed.fragments)} hold: {signed.size} bytes, {seconds:.3f} s, each by the device's own mark{rest}"


class _Looking:
    """Looks for fragments in one file."""

    def __init__(self, signed: Signed, key: bytes, file: BinaryIO, size: int) -> None:
        self._signed, self._key, self._file = signed, key, file
        self.size = file.seek(0, os.SEEK_END)
        self._shift = self.size - size
        self._left = WORK_BYTES + WORK_TIMES * max(self.size, size)
        self.is_exhausted = False

    def in_place(self) -> list[Placed] | None:
        """Every fragment in its own place, or None where one is not."""
        placed = [Placed(at=one.first, end=one.end, index=at) for at, one in enumerate(self._signed.fragments)]
        for one in placed:
            assert one.index is not None
            if one.end > self.size or self._mark(one.at, one.end) != self._signed.fragments[one.index].mark:
                return None
        rest = [] if self._signed.size >= self.size else [Placed(at=self._signed.size, end=self.size, index=None)]
        return placed + rest

    def anywhere(self) -> list[Placed]:
        """The fragments that stand somewhere in the file, in its order, and what stands between them."""
        fragments = self._signed.fragments
        by_mark = {one.mark: at for at, one in enumerate(fragments)}
        lengths = sorted({one.end - one.first for one in fragments})
        starts = self._starts()
        known, placed, at, expected = {*starts, self.size}, list[Placed](), 0, 0
        while at < self.size:
            index = self._at(at, expected, by_mark, lengths, known)
            while index is None and at < self.size:
                place = bisect_left(starts, at + 1)
                end = starts[place] if place < len(starts) and not self.is_exhausted else self.size
                placed.append(Placed(at=at, end=end, index=None))
                at = end
                index = self._at(at, expected, by_mark, lengths, known) if at < self.size else None
            if index is not None:
                end = at + fragments[index].end - fragments[index].first
                placed.append(Placed(at=at, end=end, index=index))
                at, expected = end, index + 1
        return placed

    def _at(
        self, at: int, expected: int, by_mark: Mapping[str, int], lengths: Sequence[int], known: set[int]
    ) -> int | None:
        """The fragment that stands at `at`: the expected one, or any that ends where something else may begin."""
        fragments = self._signed.fragments
        if expected < len(fragments):
            one = fragments[expected]
            end = at + one.end - one.first
            if end <= self.size and self._mark(at, end) == one.mark:
                return expected
        self._left -= LOOK_BYTES * len(lengths)
        self.is_exhausted = self.is_exhausted or self._left < 0
        if self.is_exhausted:
            return None
        ends = (at + length for length in lengths)
        found = (by_mark.get(self._mark(at, end)) for end in ends if end in known)
        return next((index for index in found if index is not None), None)

    def _starts(self) -> list[int]:
        """Where a fragment may begin: at a box, at its own place, or there when what is before it grew or shrank."""
        own = {one.first + shift for one in self._signed.fragments for shift in (0, self._shift)}
        return sorted(one for one in own.union(self._heads()) if 0 < one < self.size)

    def _heads(self) -> Iterator[int]:
        self._file.seek(0)
        begins, held, count = 0, b"", 0
        while piece := self._file.read(READ_BYTES):
            held += piece
            for found in _HEADS.finditer(held):
                count += 1
                if count > MAX_HEADS:
                    self.is_exhausted = True
                    return
                yield begins + found.start() - 4  # A box's size stands before its name.
            begins, held = begins + max(0, len(held) - 3), held[-3:]

    def _mark(self, first: int, end: int) -> str:
        running, left = hmac.new(self._key, digestmod=hashlib.sha256), end - first
        self._left -= left
        self._file.seek(first)
        while left and (piece := self._file.read(min(left, READ_BYTES))):
            running.update(piece)
            left -= len(piece)
        return running.digest()[:MARK_BYTES].hex()


def _in_order(placed: Sequence[Placed]) -> set[int]:
    """Which of `placed` (by place in it) are the most fragments that stand in the order in which they were made."""
    tails: list[int] = []
    heads: list[int] = []
    before: dict[int, int | None] = {}
    for place, one in enumerate(placed):
        if one.index is None:
            continue
        row = bisect_left(tails, one.index)
        if tails[row : row + 1] == [one.index]:
            continue  # It stands a second time.
        before[place] = heads[row - 1] if row else None
        tails[row : row + 1], heads[row : row + 1] = [one.index], [place]
    kept: set[int] = set()
    at = heads[-1] if heads else None
    while at is not None:
        kept.add(at)
        at = before[at]
    return kept


def _said(signed: Signed, placed: Sequence[Placed], here: int, size: int) -> Iterator[str]:
    """A sentence for everything that is not as the device made it, in the order of the file."""
    kept, there = _in_order(placed), Counter(one.index for one in placed if one.index is not None)
    last, foreign, moved = -1, list[Placed](), list[str]()
    for place, one in enumerate(placed):
        if one.index is None:
            foreign.append(one)
        elif place in kept:
            yield from _between(signed, last, one.index, there, foreign)
            yield from moved
            last, foreign, moved = one.index, [], []
        else:
            how = "a second time" if there[one.index] > 1 else "out of its place"
            moved.append(f"{_name(signed, one.index, one.index)} stands {how}, at byte {one.at}")
    yield from _tail(signed, last, there, foreign, here, size)
    yield from moved


def _tail(
    signed: Signed, last: int, there: Counter[int], foreign: Sequence[Placed], here: int, size: int
) -> Iterator[str]:
    """What is said of the end: behind the last fragment only what the recording had there may follow."""
    count, unmarked = len(signed.fragments), size - signed.size
    stray = sum(one.end - one.at for one in foreign)
    if any(index not in there for index in range(last + 1, count)):
        yield from _between(signed, last, count, there, foreign, unmarked)
    elif stray > unmarked:
        yield f"{stray - unmarked} bytes follow behind its end (byte {here - stray + unmarked})"
    elif stray < unmarked:
        yield f"{unmarked - stray} bytes are cut off at its end, behind the last fragment (byte {here})"


def _between(
    signed: Signed, last: int, after: int, there: Counter[int], foreign: Sequence[Placed], unmarked: int = 0
) -> Iterator[str]:
    """What is said of the fragments between two that hold, and of the bytes that stand there."""
    lost = [index for index in range(last + 1, after) if index not in there]
    stray = sum(one.end - one.at for one in foreign)
    if not lost:
        if stray:
            where = f"behind {_name(signed, last, last)}" if last >= 0 else "before the first fragment"
            yield f"{stray} bytes that the device did not write stand at byte {foreign[0].at}, {where}"
        return
    name, is_end = _name(signed, lost[0], lost[-1]), after == len(signed.fragments)
    wanted = unmarked + sum(signed.fragments[index].end - signed.fragments[index].first for index in lost)
    are = "is" if lost[0] == lost[-1] else "are"
    if not stray:
        yield f"{name} {are} {'cut off' if is_end else 'missing'}"
    elif stray == wanted:
        yield f"{name} {are} changed"
    else:
        how = "cut off or changed" if is_end and stray < wanted else "changed"
        yield f"{name} {are} {how}: {stray} bytes stand at byte {foreign[0].at} in place of {wanted}"


def _name(signed: Signed, first: int, last: int) -> str:
    begins, ends, count = signed.fragments[first], signed.fragments[last], len(signed.fragments)
    which = f"fragment {first + 1}" if first == last else f"fragments {first + 1} to {last + 1}"
    seconds = f"{begins.from_us / 1e6:.3f} s to {ends.to_us / 1e6:.3f} s"
    return f"{which} of {count} ({seconds}, bytes {begins.first} to {ends.end - 1})"
