"""Damages bytes in every way that accident or a forger without the keys can: flips, cuts, swaps, splices, replays.

Decided here: the ways, drawn from a seeded generator, for any bytes and for a journal's lines. What a verifier makes of
the result is `simulator.mutation_trial`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MAX_REGION = 70_000


@dataclass(frozen=True, slots=True)
class Mutant:
    """Damaged bytes: how, and the first byte that differs from the good ones."""

    how: str
    data: bytes
    first: int


Way = Callable[[bytes, Sequence[bytes], random.Random], bytes]


def mutate(good: bytes, donors: Sequence[bytes], rng: random.Random, *, is_lines: bool = False) -> Mutant:
    """`good` damaged in one drawn way; `donors` are genuine bytes of other items that may be put in."""
    while True:
        ways = {**_BYTES, **_LINES} if is_lines else _BYTES
        how = rng.choice(sorted(ways))
        data = ways[how](good, donors, rng)
        if data != good:
            return Mutant(how, data, first_difference(good, data))


def first_difference(one: bytes, other: bytes) -> int:
    """The place of the first byte that differs; the shorter one's length where it is the beginning of the longer."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[:middle] == other[:middle] else (low, middle - 1)
    return low


def _flip(good: bytes, donors: Sequence[bytes], rng: random.Random) -> bytes:
    place = rng.randrange(len(good))
    return good[:place] + bytes([good[place] ^ (1 << rng.randrange(8))]) + good[place + 1 :]


def _set(good: bytes, donors: Sequence[bytes], rng: random.Random) -> bytes:
    place = rng.randrange(len(good))
    return good[:place] + bytes([rng.choice((0, 255, 10, 32, 48, 34, rng.randrange(256)))]) + good[place + 1 :]


def _number(good: bytes, donors: Sequence[bytes], rng: random.Random) -> bytes:
    """Another digit where one stands: a size, a time, an offset, part of a hash."""
    digits = [place for place, byte in enumerate(good[:200_000]) if 48 <= byte < 58]
    if not digits:
        return good
    place = rng.choice(digits)
    return good[:place] + bytes([rng.randrange(48, 58)]) + good[place + 1 :]


def _cut_end(good: bytes, donors: Sequence[bytes], rng: random.Random) -> bytes:
    return good[: rng.choice((rng.randrange(len(good)), len(good) - 1, max(0, len(good) - 65_552)))]


def _cut_out(good: bytes, donors: Sequence[bytes], rng: random.Random) -> bytes:
    start, end = _region(good, rng)
    return good[:start] + good[end:]


def _insert(good: bytes, donors: Sequence[bytes], rng: random.Random) -> bytes:
    place = rng.randrange(len(good) + 1)
    return good[:place] + rng.randbytes(rng.choice((1, 16, 4096))) + good[place:]


def _append(good: bytes, donors: Sequence[bytes], rng: random.Random) -> bytes:
    return good + rng.choice((b"\0", b"\n", rng.randbytes(100), good[-16:], good[-65_552:]))


def _blank(good: bytes, donors: Sequence[bytes], rng: random.Random) -> bytes:
    start, end = _region(good, rng)
    return good[:start] + bytes(end - start) + good[end:]


def _swap(good: bytes, donors: Sequence[bytes], rng: random.Random) -> bytes:
    """Two regions of the same length change places."""
    length = rng.randrange(1, max(2, min(MAX_REGION, len(good) // 3)))
    first = rng.randrange(max(1, len(good) - 2 * length))
    second = rng.randrange(first + length, len(good) - length + 1) if first + 2 * length <= len(good) else first
    one, other = good[first : first + length], good[second : second + length]
    return good[:first] + other + good[first + length : second] + one + good[second + length :]


def _repeat(good: bytes, donors: Sequence[bytes], rng: random.Random) -> bytes:
    start, end = _region(good, rng)
    return good[:end] + good[start:end] + good[end:]


def _replay(good: bytes, donors: Sequence[bytes], rng: random.Random) -> bytes:
    """The whole of another item's file."""
    return rng.choice(list(donors)) if donors else good


def _splice(good: bytes, donors: Sequence[bytes], rng: random.Random) -> bytes:
    """Another item's end, or stretch, at the same place."""
    if not donors:
        return good
    other = rng.choice(list(donors))
    start, end = _region(good, rng)
    return good[:start] + other[start : rng.choice((end, len(other)))] + (good[end:] if rng.random() < 0.5 else b"")


def _region(good: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(good))
    return start, min(len(good), start + rng.randrange(1, MAX_REGION))


_BYTES: dict[str, Way] = {
    "bit flipped": _flip,
    "byte set": _set,
    "digit changed": _number,
    "end cut off": _cut_end,
    "piece cut out": _cut_out,
    "bytes put in": _insert,
    "bytes behind": _append,
    "piece blanked": _blank,
    "pieces swapped": _swap,
    "piece repeated": _repeat,
    "replayed": _replay,
    "spliced": _splice,
}


def _on_lines(change: Callable[[list[bytes], list[bytes], random.Random], list[bytes]]) -> Way:
    def way(good: bytes, donors: Sequence[bytes], rng: random.Random) -> bytes:
        others = [line for donor in donors for line in donor.splitlines(keepends=True)]
        return b"".join(change(good.splitlines(keepends=True), others, rng))

    return way


def _drop_line(lines: list[bytes], others: list[bytes], rng: random.Random) -> list[bytes]:
    del lines[rng.randrange(len(lines))]
    return lines


def _cut_lines(lines: list[bytes], others: list[bytes], rng: random.Random) -> list[bytes]:
    keep = rng.randrange(1, len(lines)) if len(lines) > 1 else 1
    return lines[:keep] if rng.random() < 0.5 else lines[-keep:]


def _swap_lines(lines: list[bytes], others: list[bytes], rng: random.Random) -> list[bytes]:
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return lines


def _repeat_line(lines: list[bytes], others: list[bytes], rng: random.Random) -> list[bytes]:
    place = rng.randrange(len(lines))
    return [*lines[:place], lines[place], *lines[place:]]


def _foreign_line(lines: list[bytes], others: list[bytes], rng: random.Random) -> list[bytes]:
    if not others:
        return lines
    place = rng.randrange(len(lines) + 1)
    gone = rng.randrange(2)
    return [*lines[:place], rng.choice(others), *lines[place + gone :]]


_LINES: dict[str, Way] = {
    "line dropped": _on_lines(_drop_line),
    "lines cut off": _on_lines(_cut_lines),
    "lines swapped": _on_lines(_swap_lines),
    "line repeated": _on_lines(_repeat_line),
    "line of another item": _on_lines(_foreign_line),
}
