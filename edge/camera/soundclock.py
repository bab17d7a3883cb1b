"""Where on the monotonic clock sound belongs that comes in buffers, each with a time that may be late.

Decided here: samples are counted, as their pace is the device's and no machine's load changes it; where the count
stands on the clock is what the least late of the buffers of the last twenty seconds says, so that neither a slow start
nor a busy moment moves what follows, and a device whose clock drifts is followed. Buffers that all come late by more
than 20 ms for a quarter of a second tell of samples that are missing: from the first of them on the count stands anew.
Until that is known, and at the very beginning, sound waits. Pure rules; implements SG-18 of docs/spec/segment.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from vedette.errors import Refused

WINDOW_US, SETTLE_US, LATE_US = 20_000_000, 250_000, 20_000
# No queue before us is longer; a clock that does this is not one.
BACK_US = 6_000_000


@dataclass(frozen=True, slots=True)
class Heard:
    """Sound of some length, and the monotonic time of its first sample as far as the device knows (microseconds)."""

    payload: bytes
    samples: int
    mono_us: int


class SoundClock:
    """One device's samples on the monotonic clock."""

    def __init__(self, rate: int) -> None:
        """`rate` is in samples a second."""
        self._rate = rate
        self._count = 0
        # (time by the count, offset from it to the clock) of buffers, each less late than all after it.
        self._least: deque[tuple[int, int]] = deque()
        self._waiting: list[Heard] = []
        self._waiting_samples = 0

    def take(self, found: Sequence[Heard]) -> list[Heard]:
        """What can be placed now of what has been taken so far, in its order, with its time put right.

        Raises Refused where the device's times go back.
        """
        placed: list[Heard] = []
        for one in found:
            self._waiting.append(one)
            self._waiting_samples += one.samples
            if not self._is_late(one):
                placed += self._place()
            elif self._us(self._waiting_samples) >= SETTLE_US:
                self._least.clear()
                placed += self._place()
        return placed

    def _is_late(self, newest: Heard) -> bool:
        if not self._least:
            return True
        by_count_us = self._us(self._count + self._waiting_samples - newest.samples)
        late_us = newest.mono_us - by_count_us - self._least[0][1]
        if late_us < -BACK_US:
            raise Refused(f"its time went back by {-late_us / 1e6:.1f} s")
        return late_us > LATE_US

    def _place(self) -> list[Heard]:
        """Everything that waits, placed by the least late of it and of what came in the last twenty seconds."""
        waiting, self._waiting, self._waiting_samples = self._waiting, [], 0
        counts_us = []
        for one in waiting:
            counts_us.append(self._us(self._count))
            self._note(counts_us[-1], one.mono_us - counts_us[-1])
            self._count += one.samples
        offset_us = self._least[0][1]
        return [
            Heard(one.payload, one.samples, at_us + offset_us) for one, at_us in zip(waiting, counts_us, strict=True)
        ]

    def _note(self, at_us: int, offset_us: int) -> None:
        while self._least and self._least[-1][1] >= offset_us:
            self._least.pop()
        self._least.append((at_us, offset_us))
        while self._least[0][0] < at_us - WINDOW_US:
            self._least.popleft()

    def _us(self, samples: int) -> int:
        return samples * 1_000_000 // self._rate
