"""How hard something hits, from an accelerometer's readings: the peak of acceleration without gravity.

Decided here: what counts is the mean of 100 ms as a vector, less gravity, and of that the length. Such a mean is the
change of velocity within 100 ms: what shakes and comes back (a pothole, a door, an engine) leaves little of itself, and
a crash all. Gravity is the slow mean of the readings themselves, so that it does not matter how the device is mounted,
and so does a chip's own error. What peak is a crash: edge/panel/motion.py. Implements AC-37, AC-38 and AC-40 of
docs/spec/activation.md.

Event data recorders of cars begin at a change of 8 km/h within 150 ms (49 CFR 563.5); 2.5 g over 100 ms are 8.8 km/h.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from edge.board.iio import G_MS2, Vector

WINDOW_US = 100_000
SPAN_US = 75_000
LEAST_READINGS = 3
SETTLE_US = 1_000_000
GRAVITY_US = 5_000_000
PEAK_US = 1_000_000
DOUBT_US = 10_000_000
LEAST_GRAVITY_MG, MOST_GRAVITY_MG = 500.0, 1500.0
_NOTHING = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Reading:
    """An acceleration along three axes in m/s², gravity included, at `at_us` of the monotonic clock."""

    at_us: int
    ms2: Vector


class Shock:
    """Follows gravity and keeps the last second's peak; every time is the reading's own."""

    def __init__(self) -> None:
        self._window: deque[Reading] = deque()
        self._gravity: Vector | None = None
        self._since_us: int | None = None
        self._sum, self._count = _NOTHING, 0
        # Never rising: the first is the largest of the last second.
        self._peaks: deque[tuple[int, int]] = deque()
        self._mean_us = self._likely_us = 0

    def take(self, reading: Reading) -> None:
        """Follow one more reading."""
        now_us = reading.at_us
        before_us = self._window[-1].at_us if self._window else now_us
        self._window.append(reading)
        while now_us - self._window[0].at_us > WINDOW_US:
            self._window.popleft()
        if self._gravity is None:
            self._settle(reading)
            return
        self._follow(self._gravity, reading, before_us)
        self._measure(self._gravity, now_us)

    @property
    def settled(self) -> bool:
        """True once gravity is known."""
        return self._gravity is not None

    def peak_mg(self, now_us: int) -> int | None:
        """The largest peak within the last second, in thousandths of g; None where nothing could be measured."""
        while self._peaks and now_us - self._peaks[0][0] > PEAK_US:
            self._peaks.popleft()
        return self._peaks[0][1] if self._peaks else None

    def is_slow(self, now_us: int) -> bool:
        """True when for a second there were too few readings for a mean."""
        return self.settled and now_us - self._mean_us > PEAK_US

    def is_weightless(self, now_us: int) -> bool:
        """True when what ought to be gravity is none: a sensor that is stuck, or a scale that is wrong."""
        return self.settled and now_us - self._likely_us > DOUBT_US

    def _settle(self, reading: Reading) -> None:
        """Gravity is at first the mean of a whole second."""
        if self._since_us is None:
            self._since_us = reading.at_us
        self._sum, self._count = _plus(self._sum, reading.ms2, 1.0), self._count + 1
        if reading.at_us - self._since_us >= SETTLE_US:
            self._gravity = _plus(_NOTHING, self._sum, 1.0 / self._count)
            self._mean_us = reading.at_us
            self._likely_us = reading.at_us if _is_likely(self._gravity) else reading.at_us - DOUBT_US - 1

    def _follow(self, gravity: Vector, reading: Reading, before_us: int) -> None:
        """A mean that forgets: what was five seconds ago counts a third. One reading after a gap says little."""
        share = min(reading.at_us - before_us, WINDOW_US) / GRAVITY_US
        self._gravity = _plus(gravity, _plus(reading.ms2, gravity, -1.0), share)
        if _is_likely(self._gravity):
            self._likely_us = reading.at_us

    def _measure(self, gravity: Vector, now_us: int) -> None:
        mean = mean_of(self._window)
        if mean is None:
            return
        self._mean_us = now_us
        peak_mg = round(math.hypot(*_plus(mean, gravity, -1.0)) * 1000 / G_MS2)
        while self._peaks and self._peaks[-1][1] <= peak_mg:
            self._peaks.pop()
        self._peaks.append((now_us, peak_mg))


def mean_of(readings: Sequence[Reading]) -> Vector | None:
    """The mean over the time from the first reading to the last (trapezoids); None when they are too few or too close.

    A slow sensor's few readings of a blow that is shorter than their distance would say too much or nothing.
    """
    if len(readings) < LEAST_READINGS or readings[-1].at_us - readings[0].at_us < SPAN_US:
        return None
    total = _NOTHING
    for number in range(1, len(readings)):
        one, two = readings[number - 1], readings[number]
        half_us = (two.at_us - one.at_us) / 2
        total = _plus(_plus(total, one.ms2, half_us), two.ms2, half_us)
    return _plus(_NOTHING, total, 1.0 / (readings[-1].at_us - readings[0].at_us))


def _is_likely(gravity: Vector) -> bool:
    return LEAST_GRAVITY_MG <= math.hypot(*gravity) * 1000 / G_MS2 <= MOST_GRAVITY_MG


def _plus(one: Vector, two: Vector, share: float) -> Vector:
    return one[0] + two[0] * share, one[1] + two[1] * share, one[2] + two[2] * share
