"""What `verify.py` knows of the fragments of an opened recording: the device's marks, and what is not as it was.

A part of verify.py (see `vedette.verifier`): standard library only. The same as `vedette.fragment_check`.
"""

from __future__ import annotations

import collections
import functools
import hashlib
import hmac
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Any

from vedette.verifier.records import HASH, KEY_ID, UUID7, Bad, key_id, like, loads, number, shaped

# ---- from here on in verify.py ----
# Fragments of the opened recording (docs/spec/custody-journal.md CJ-34 to CJ-37): (first, end, from_us, to_us, mark).
MARKS = re.compile(r"(?:[1-9][0-9]{0,12}:(?:0|[1-9][0-9]{0,12}):[0-9a-f]{32}(?:,(?!$)|$)){0,64}")
MARKED = ("segment.checkpoint", "segment.closed")
MOST_SAID, MOST_BOXES, READ_AT_ONCE = 8, 1 << 16, 1 << 20
NOT_LOCATED = "so a change of it is found, but not where in it"
NO_MARKS = f"no line that holds has marks of its fragments (older software, or nobody activated it), {NOT_LOCATED}"
NO_KEY = f"the key to the device's marks of its fragments is not in this bundle, {NOT_LOCATED}"
Fragment = tuple[int, int, int, int, str]
Placed = tuple[int, int, Any]


def signed_fragments(entries: list[Any], item: str) -> tuple[list[Fragment], str] | None:
    """The fragments of an item that the lines sign, and the id of their key; None where they sign none."""
    lines = [one for one in entries if one["item"] == item and one["event"] in MARKED]
    if not any("fragments" in one["detail"] for one in lines):
        return None
    cuts = [
        one["detail"].get("sealed_size")
        for one in entries
        if one["item"] == item and one["event"] == "segment.recovered"
    ]
    found: list[Fragment] = []
    for one in lines:
        offset = one["detail"].get("offset" if one["event"] == MARKED[0] else "sealed_size")
        if not cuts or (offset if number()(offset) else 0) <= min(cut if number()(cut) else 0 for cut in cuts):
            found += fragments_of_line(one, found[-1] if found else (0, 0, 0, 0, ""))
    keys = {one["detail"].get("fragments_key") for one in lines}
    if len(keys) > 1 or not like(KEY_ID)(next(iter(keys))):
        raise Bad(f"the lines of item {item} name no key of their fragments' marks, or more than one")
    return found, next(iter(keys))


def fragments_of_line(entry: Any, last: Fragment) -> Iterator[Fragment]:
    content, end, at_us = entry["detail"].get("fragments"), last[1], last[3]
    if not like(MARKS)(content):
        raise Bad(f"custody seq {entry['seq']}, {entry['event']}: its fragments are missing or not what they must be")
    for one in content.split(",") if content else ():
        size, media_us, mark = one.split(":")
        if int(media_us) < at_us:
            raise Bad(f"custody seq {entry['seq']}: a fragment ends before it begins, at {media_us} us")
        yield end, end + int(size), at_us, int(media_us), mark
        end, at_us = end + int(size), int(media_us)


def key_of_marks(content: bytes, item: str, named: str) -> bytes:
    body = shaped(loads(content, 512), "the key to the marks", item=like(UUID7), key=like(HASH))
    if body["item"] != item:
        raise Bad(f"it is the key to the marks of item {body['item']}")
    if key_id(bytes.fromhex(body["key"])) != named:
        raise Bad("the key to the marks is not the one that the device's lines name")
    return bytes.fromhex(body["key"])


class Looking:
    """Looks for fragments in one file of `here` bytes, which was made of `size`; `part` gives bytes of it."""

    def __init__(
        self, fragments: list[Fragment], key: bytes, part: Callable[[int, int], bytes], here: int, size: int
    ) -> None:
        self.fragments, self.key, self.part, self.here, self.size = fragments, key, part, here, size
        self.left = (64 << 20) + 8 * max(here, size)
        self.exhausted = False

    def mark(self, first: int, end: int) -> str:
        running, at = hmac.new(self.key, digestmod=hashlib.sha256), first
        self.left -= end - first
        while at < end and (piece := self.part(at, min(end - at, READ_AT_ONCE))):
            running.update(piece)
            at += len(piece)
        return running.digest()[:16].hex()

    def in_place(self) -> list[Placed] | None:
        for first, end, _from, _to, mark in self.fragments:
            if end > self.here or self.mark(first, end) != mark:
                return None
        placed: list[Placed] = [(one[0], one[1], at) for at, one in enumerate(self.fragments)]
        last = placed[-1][1] if placed else 0
        return placed + ([(last, self.here, None)] if last < self.here else [])

    def anywhere(self) -> list[Placed]:
        marks = {one[4]: at for at, one in enumerate(self.fragments)}
        lengths = sorted({one[1] - one[0] for one in self.fragments})
        own = {one[0] + shift for one in self.fragments for shift in (0, self.here - self.size)}
        starts = sorted(one for one in own.union(self.heads()) if 0 < one < self.here)
        known, placed, at, expected = {*starts, self.here}, list[Placed](), 0, 0
        while at < self.here:
            index = self.found(at, expected, marks, lengths, known)
            while index is None and at < self.here:
                place = bisect_left(starts, at + 1)
                end = starts[place] if place < len(starts) and not self.exhausted else self.here
                placed.append((at, end, None))
                at = end
                index = self.found(at, expected, marks, lengths, known) if at < self.here else None
            if index is not None:
                end = at + self.fragments[index][1] - self.fragments[index][0]
                placed.append((at, end, index))
                at, expected = end, index + 1
        return placed

    def found(self, at: int, expected: int, marks: dict[str, int], lengths: list[int], known: set[int]) -> int | None:
        """The fragment that stands at `at`: the expected one, or any that ends where something else may begin."""
        if expected < len(self.fragments):
            first, end, _from, _to, mark = self.fragments[expected]
            if at + end - first <= self.here and self.mark(at, at + end - first) == mark:
                return expected
        self.left -= 64 * len(lengths)
        self.exhausted = self.exhausted or self.left < 0
        if self.exhausted:
            return None
        hits = (marks.get(self.mark(at, at + length)) for length in lengths if at + length in known)
        return next((one for one in hits if one is not None), None)

    def heads(self) -> Iterator[int]:
        """Where a box begins at which a fragment may."""
        at, held, count = 0, b"", 0
        while piece := self.part(at, READ_AT_ONCE):
            begins, held = at - len(held), held + piece
            at += len(piece)
            for one in re.finditer(rb"ftyp|moof|free|mfra", held):
                count += 1
                if count > MOST_BOXES:
                    self.exhausted = True
                    return
                yield begins + one.start() - 4
            held = held[-3:]


def in_order(placed: list[Placed]) -> set[int]:
    """Which of `placed` are the most fragments that stand in the order in which they were made."""
    tails, heads, before = list[int](), list[int](), dict[int, int]()
    for place, (_at, _end, index) in enumerate(placed):
        row = bisect_left(tails, index) if index is not None else 0
        if index is not None and tails[row : row + 1] != [index]:
            before[place] = heads[row - 1] if row else -1
            tails[row : row + 1], heads[row : row + 1] = [index], [place]
    kept, at = set(), heads[-1] if heads else -1
    while at >= 0:
        kept.add(at)
        at = before[at]
    return kept


def fragment_name(fragments: list[Fragment], first: int, last: int) -> str:
    which = f"fragment {first + 1}" if first == last else f"fragments {first + 1} to {last + 1}"
    seconds = f"{fragments[first][2] / 1e6:.3f} s to {fragments[last][3] / 1e6:.3f} s"
    return f"{which} of {len(fragments)} ({seconds}, bytes {fragments[first][0]} to {fragments[last][1] - 1})"


def not_as_made(fragments: list[Fragment], placed: list[Placed], here: int, size: int) -> Iterator[str]:
    """A sentence for everything that is not as the device made it, in the order of the file."""
    kept, there = in_order(placed), collections.Counter(one[2] for one in placed if one[2] is not None)
    last, stray, from_at, moved = -1, 0, 0, list[str]()
    for place, (at, end, index) in enumerate(placed):
        if index is None:
            stray, from_at = stray + end - at, from_at if stray else at
        elif place in kept:
            yield from between(fragments, (last, index), there, (stray, from_at), 0)
            yield from moved
            last, stray, moved = index, 0, []
        else:
            how = "a second time" if there[index] > 1 else "out of its place"
            moved.append(f"{fragment_name(fragments, index, index)} stands {how}, at byte {at}")
    count, unmarked = len(fragments), size - (fragments[-1][1] if fragments else 0)
    if any(index not in there for index in range(last + 1, count)):
        yield from between(fragments, (last, count), there, (stray, from_at), unmarked)
    elif stray > unmarked:
        yield f"{stray - unmarked} bytes follow behind its end (byte {here - stray + unmarked})"
    elif stray < unmarked:
        yield f"{unmarked - stray} bytes are cut off at its end, behind the last fragment (byte {here})"
    yield from moved


def between(
    fragments: list[Fragment], gap: tuple[int, int], there: Any, stray: tuple[int, int], unmarked: int
) -> Iterator[str]:
    """What is said of the fragments between two that hold, and of the bytes that stand there."""
    last, (count, at) = gap[0], stray
    lost = [index for index in range(last + 1, gap[1]) if index not in there]
    if not lost:
        if count:
            where = f"behind {fragment_name(fragments, last, last)}" if last >= 0 else "before the first fragment"
            yield f"{count} bytes that the device did not write stand at byte {at}, {where}"
        return
    name, is_end = fragment_name(fragments, lost[0], lost[-1]), gap[1] == len(fragments)
    wanted = unmarked + sum(fragments[index][1] - fragments[index][0] for index in lost)
    are = "is" if lost[0] == lost[-1] else "are"
    if not count:
        yield f"{name} {are} {'cut off' if is_end else 'missing'}"
    elif count == wanted:
        yield f"{name} {are} changed"
    else:
        how = "cut off or changed" if is_end and count < wanted else "changed"
        yield f"{name} {are} {how}: {count} bytes stand at byte {at} in place of {wanted}"


def check_fragments(bundle: Any, name: str, entries: list[Any]) -> None:
    """Each fragment of the opened recording of `bundle` is the one that the device marked, in its place."""
    what, item, marks = "opened fragments", bundle.item, f"{bundle.item}.marks"
    signed = bundle.run(what, name, lambda: signed_fragments(entries, item) or NO_MARKS)
    if signed is None:
        return
    if isinstance(signed, str) or marks not in bundle.listed:
        bundle.findings.append((what, name, None, signed if isinstance(signed, str) else NO_KEY))
        return
    key = bundle.run("marks", marks, lambda: key_of_marks(bundle.read(marks, 512), item, signed[1]))
    if key is not None:
        bundle.run(what, name, lambda: fragments_hold(bundle, name, signed[0], key), str)


def fragments_hold(bundle: Any, name: str, fragments: list[Fragment], key: bytes) -> str:
    size, is_whole = bundle.manifest["plain_size"], bundle.manifest["complete"]
    end, here = fragments[-1][1] if fragments else 0, bundle.hashes.get(name, (0, ""))[0]
    if end > size or (is_whole and end < size):
        raise Bad(f"its lines sign fragments of {end} bytes in all, its manifest {size}")
    looking = Looking(fragments, key, functools.partial(bundle.source.part, name), here, size)
    placed = looking.in_place()
    placed = looking.anywhere() if placed is None else placed
    said = list(not_as_made(fragments, placed, here, size))
    said += ["not everything that stands elsewhere was looked for"] if looking.exhausted else []
    if said:
        more = f"; and {len(said) - MOST_SAID} more" if len(said) > MOST_SAID else ""
        raise Bad("; ".join(said[:MOST_SAID]) + more)
    seconds = fragments[-1][3] / 1e6 if fragments else 0
    rest = "" if is_whole else f"; the {size - end} bytes behind them are under no mark"
    return f"{len(fragments)} hold: {end} bytes, {seconds:.3f} s, each by the device's own mark{rest}"
