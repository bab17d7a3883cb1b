"""Crash and speed from what the vehicle's sensors and its receiver say (edge/board/motion.py, position.py).

Decided here: what counts as a crash (a peak of acceleration, or a loss of speed within a second) and as speed (for some
time without a break), and that each activates once: a crash again after `CRASH_PAUSE_US`, speed again once it was below
its limit. Peaks and speeds have clocks of their own: a sensor that knows no speed does not interrupt one that the
receiver says. Not decided here: the limits (device.toml). Implements docs/spec/activation.md, AC-16 to AC-19.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from edge.board.motion import MAX_SPEED_CM_S, Motion
from vedette.hitfile import Position

CRASH_PAUSE_US = 10_000_000
WITHIN_US = 1_000_000
# Fixes come once a second, give or take the time until somebody looks.
APART_US = 1_500_000
UNBROKEN_US = 5_000_000
MAX_SAMPLES = 32
CRASH, SPEED = "crash", "speed"
_METRES_PER_E7 = 40_075_017 / 360 / 1e7
_FIX_APART_US = (500_000, UNBROKEN_US)
_MAX_ACCURACY_CM = 2000


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """From when on motion activates; 0 switches a rule off."""

    crash_mg: int
    drop_cm_s: int
    speed_cm_s: int
    speed_us: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """When a peak was measured last, the last speeds (µs, cm/s), since when it is fast, whether that was told, when a
    crash was told.
    """

    peak_us: int = 0
    speeds: tuple[tuple[int, int], ...] = ()
    fast_since_us: int | None = None
    speed_told: bool = False
    crash_us: int | None = None


def after_peak(course: Course, motion: Motion, limits: Limits) -> tuple[Course, list[str]]:
    """The course after a sensor's peak, and what it activates; an old or repeated measurement changes nothing."""
    if motion.measured_us <= course.peak_us:
        return course, []
    course = replace(course, peak_us=motion.measured_us)
    if not limits.crash_mg or motion.peak_mg < limits.crash_mg:
        return course, []
    return _after_crash(course, motion.measured_us)


def after_speed(course: Course, at_us: int, speed_cm_s: int | None, limits: Limits) -> tuple[Course, list[str]]:
    """The course after a speed at `at_us`, None where nobody knows it; what it activates. An old one does nothing."""
    if speed_cm_s is None:
        return replace(course, fast_since_us=None), []
    last_us = course.speeds[-1][0] if course.speeds else 0
    if at_us <= last_us:
        return course, []
    recent = [one for one in course.speeds if at_us - one[0] <= APART_US]
    since_us = course.fast_since_us if at_us - last_us <= UNBROKEN_US else None
    course = replace(course, speeds=(*recent, (at_us, speed_cm_s))[-MAX_SAMPLES:])
    asked: list[str] = []
    if limits.drop_cm_s and any(_loss(one, at_us, speed_cm_s) >= limits.drop_cm_s for one in recent):
        course, asked = _after_crash(course, at_us)
    if not limits.speed_cm_s or speed_cm_s < limits.speed_cm_s:
        return replace(course, fast_since_us=None, speed_told=False), asked
    since_us = at_us if since_us is None else since_us
    course = replace(course, fast_since_us=since_us)
    if at_us - since_us >= limits.speed_us and not course.speed_told:
        return replace(course, speed_told=True), [*asked, SPEED]
    return course, asked


def _after_crash(course: Course, at_us: int) -> tuple[Course, list[str]]:
    if course.crash_us is not None and at_us - course.crash_us < CRASH_PAUSE_US:
        return course, []
    return replace(course, crash_us=at_us), [CRASH]


def _loss(before: tuple[int, int], at_us: int, speed_cm_s: int) -> float:
    """The loss since `before`; over more than a second the loss a second, or hard braking would pass for a crash."""
    return (before[1] - speed_cm_s) * WITHIN_US / max(at_us - before[0], WITHIN_US)


def speed_between(first: Position, second: Position) -> int | None:
    """The speed in cm/s from one fix to the next; None where they are too close, too far apart or not sharp enough.

    Plane geometry is enough over the metres of a few seconds. Half of each fix's error is taken off the way, so that
    a receiver that wanders about does not drive.
    """
    apart_us = second.fixed_us - first.fixed_us
    errors = (first.accuracy_cm, second.accuracy_cm)
    if not _FIX_APART_US[0] <= apart_us <= _FIX_APART_US[1]:
        return None
    if any(error is None or error > _MAX_ACCURACY_CM for error in errors):
        return None
    north_m = (second.lat_e7 - first.lat_e7) * _METRES_PER_E7
    east_m = (second.lon_e7 - first.lon_e7) * _METRES_PER_E7 * math.cos(math.radians(first.lat_e7 / 1e7))
    way_cm = math.hypot(north_m, east_m) * 100 - sum(error or 0 for error in errors) / 2
    return min(max(0, round(way_cm * 1_000_000 / apart_us)), MAX_SPEED_CM_S)
