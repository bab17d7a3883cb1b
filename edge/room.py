"""The room on the device's disk: what has to give way at how little of it, and how long it will last.

Decided here: the ladder of what gives way, one rung after the other. Below `low` files that have their receipt go at
once, however long they were to stay, and so does what nobody activated (`edge.ring`, where policy has it); below
`unmarked` continuous recording stops; below `marked` marked recording does too. No item without a receipt is ever
deleted, so the last rung is to stop. A rung is left only with some room to spare, or it would be entered and left with
every file.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from vedette import daemon

# How much more than its own bound must be free before a rung is left: an eighth, but no more than this.
MOST_SPARE_BYTES = 64 << 20
# A forecast looks back this far; one further ahead is of no use to an officer.
FORECAST_WINDOW_US = 600 * 1_000_000
LONGEST_FORECAST_S = 100 * 3600
# What the keeper's status says of what gives way first, and for how long that counts.
YIELDING = "yielding_bytes"
YIELDING_FRESH_US = 30 * 1_000_000


class Rung(IntEnum):
    """What gives way now; each rung includes those before it."""

    PLENTY = 0
    RECEIPTED_GOES = 1
    UNMARKED_STOPS = 2
    MARKED_STOPS = 3


def spare_bytes(bound_bytes: int) -> int:
    """How much more than its bound must be free before a rung is left."""
    return min(bound_bytes // 8, MOST_SPARE_BYTES)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ladder:
    """The free bytes below which each rung is entered; `low` is the largest and `marked` the smallest."""

    low_bytes: int
    unmarked_bytes: int
    marked_bytes: int

    def rung(self, free_bytes: int, now: Rung = Rung.PLENTY) -> Rung:
        """The rung at this much free space for who stands on `now`."""
        bounds = {
            Rung.MARKED_STOPS: self.marked_bytes,
            Rung.UNMARKED_STOPS: max(self.unmarked_bytes, self.marked_bytes),
            Rung.RECEIPTED_GOES: max(self.low_bytes, self.unmarked_bytes, self.marked_bytes),
        }
        for rung, bound in bounds.items():
            spare = spare_bytes(bound) if now >= rung else 0
            if free_bytes < bound + spare:
                return rung
        return Rung.PLENTY


@dataclass(slots=True)
class Forecast:
    """How long the room lasts at the pace of the last ten minutes of recording."""

    _seen: tuple[tuple[int, int], ...] = ()

    def note(self, at_us: int, written_bytes: int) -> None:
        """`written_bytes` were written until `at_us`, a time that only rises; the total only rises too."""
        oldest_us = at_us - FORECAST_WINDOW_US
        kept = tuple(one for one in self._seen if one[0] >= oldest_us)
        if not kept or at_us - kept[-1][0] >= FORECAST_WINDOW_US // 60:
            kept = (*kept, (at_us, written_bytes))
        self._seen = kept

    def left_s(self, usable_bytes: int) -> int | None:
        """Seconds until `usable_bytes` are written, `LONGEST_FORECAST_S` at most; None while no pace is known."""
        if len(self._seen) < 2:
            return None
        (first_us, first), (last_us, last) = self._seen[0], self._seen[-1]
        if last <= first:
            return None
        return min(LONGEST_FORECAST_S, max(0, usable_bytes) * (last_us - first_us) // ((last - first) * 1_000_000))


def read_yielding(run_dir: Path, *, now_us: int) -> int:
    """The bytes that give way before anything stops, as the keeper says; 0 where it has not said so lately (UTC µs)."""
    status = daemon.read_status(run_dir, "keeper")
    size_bytes, said_us = status.get(YIELDING), status.get("utc_us")
    if not isinstance(size_bytes, int) or not isinstance(said_us, int) or abs(now_us - said_us) > YIELDING_FRESH_US:
        return 0
    return max(0, size_bytes)


def free_bytes(folder: Path) -> int:
    """The space that is free for this process on the disk under `folder`."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize
