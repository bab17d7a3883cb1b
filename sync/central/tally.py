"""Counts that wait to be written, so that a flood costs the database one commit a second and not one a message.

Decided here: what is counted when a second has passed since the last write goes out at once, the rest within the
second, added up. The memory is bounded: one sum for each device, reason and outcome, and past `MAX_WAITING` sums none
waits.
What is counted, and how it is written, is quarantine.py. Implements CS-18 of docs/spec/case-store.md.
"""

from __future__ import annotations

import threading
from dataclasses import replace

from sync.central.rows import QuarantineCount

EVERY_US = 1_000_000
MAX_WAITING = 1000


class Tally:
    """Sums of one process; any of its threads may add to them or take them out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, str, str], QuarantineCount] = {}
        self._next_us = 0

    def add(self, one: QuarantineCount) -> None:
        """Count this too."""
        key = (one.device, one.code, one.outcome)
        with self._lock:
            had = self._waiting.get(key)
            self._waiting[key] = one if had is None else _sum(had, one)

    def due(self, now_us: int) -> list[QuarantineCount]:
        """The sums to write now, taken out and in one order for every process; `now_us` is monotonic.

        None of them while less than a second has passed since some were last given out and few wait.
        """
        with self._lock:
            is_due = now_us >= self._next_us or len(self._waiting) >= MAX_WAITING
            return self._take(now_us) if self._waiting and is_due else []

    def rest(self, now_us: int) -> list[QuarantineCount]:
        """All sums, taken out, whenever the last were."""
        with self._lock:
            return self._take(now_us)

    def _take(self, now_us: int) -> list[QuarantineCount]:
        self._next_us = now_us + EVERY_US
        taken, self._waiting = self._waiting, {}
        return [taken[key] for key in sorted(taken)]


def _sum(one: QuarantineCount, other: QuarantineCount) -> QuarantineCount:
    return replace(
        one,
        times=one.times + other.times,
        first_us=min(one.first_us, other.first_us),
        last_us=max(one.last_us, other.last_us),
    )
