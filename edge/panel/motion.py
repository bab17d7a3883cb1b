"""Crash and speed from what the vehicle's sensors leave in the run folder: `motion.json`, canonical JSON.

Decided here: the file's form, what counts as a crash (a peak of acceleration, or a loss of speed within a second) and
as speed (for some time without a break), and that each activates once: a crash again after `CRASH_PAUSE_US`, speed
again once it was below its limit. Not decided here: the limits (device.toml). Implements docs/spec/activation.md,
AC-16 to AC-19.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vedette import canonical, files
from vedette.errors import VedetteError
from vedette.fields import Fields
from vedette.hitfile import Position

MAX_MOTION_BYTES = 512
MAX_AGE_US = 2_000_000
CRASH_PAUSE_US = 10_000_000
WITHIN_US = 1_000_000
MAX_SPEED_CM_S = 20_000
MAX_SAMPLES = 32
CRASH, SPEED = "crash", "speed"
_METRES_PER_E7 = 40_075_017 / 360 / 1e7
_FIX_APART_US = (500_000, 5_000_000)
_MAX_ACCURACY_CM = 2000


@dataclass(frozen=True, kw_only=True, slots=True)
class Motion:
    """What was measured by `measured_us` (UTC): peak acceleration, without gravity, since the file before; speed."""

    measured_us: int
    peak_mg: int
    speed_cm_s: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """From when on motion activates; 0 switches a rule off."""

    crash_mg: int
    drop_cm_s: int
    speed_cm_s: int
    speed_us: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """The last second's speeds (µs, cm/s), since when it is fast, whether that was told, when a crash was told."""

    speeds: tuple[tuple[int, int], ...] = ()
    last_us: int = 0
    fast_since_us: int | None = None
    speed_told: bool = False
    crash_us: int | None = None


def after_motion(course: Course, motion: Motion, limits: Limits) -> tuple[Course, list[str]]:
    """The course after a measurement, and the activations because of it; an old or repeated one changes nothing."""
    if motion.measured_us <= course.last_us:
        return course, []
    now_us, speed = motion.measured_us, motion.speed_cm_s
    recent = [one for one in course.speeds if now_us - one[0] <= WITHIN_US]
    if speed is not None:
        recent.append((now_us, speed))
    course = replace(course, last_us=now_us, speeds=tuple(recent[-MAX_SAMPLES:]))
    asked = []
    if _is_crash(motion, course.speeds, limits) and not (
        course.crash_us is not None and now_us - course.crash_us < CRASH_PAUSE_US
    ):
        course = replace(course, crash_us=now_us)
        asked.append(CRASH)
    if speed is None or not limits.speed_cm_s or speed < limits.speed_cm_s:
        return replace(course, fast_since_us=None, speed_told=False), asked
    since_us = now_us if course.fast_since_us is None else course.fast_since_us
    if now_us - since_us >= limits.speed_us and not course.speed_told:
        return replace(course, fast_since_us=since_us, speed_told=True), [*asked, SPEED]
    return replace(course, fast_since_us=since_us), asked


def _is_crash(motion: Motion, speeds: Sequence[tuple[int, int]], limits: Limits) -> bool:
    if limits.crash_mg and motion.peak_mg >= limits.crash_mg:
        return True
    if not limits.drop_cm_s or motion.speed_cm_s is None:
        return False
    return max(speed for _, speed in speeds) - motion.speed_cm_s >= limits.drop_cm_s


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


def read_motion(run_dir: Path, *, now_us: int) -> Motion | None:
    """The motion in `run_dir`; None when there is none, it is not whole, or it is more than two seconds old."""
    try:
        found = parse_motion(files.read(run_dir / "motion.json", max_bytes=MAX_MOTION_BYTES))
    except VedetteError:
        return None
    return found if abs(now_us - found.measured_us) <= MAX_AGE_US else None


def parse_motion(data: bytes) -> Motion:
    """The motion in the file's bytes; `Integrity` names the field that is wrong."""
    fields = Fields(canonical.loads(data, max_bytes=MAX_MOTION_BYTES), "motion")
    found = Motion(
        measured_us=fields.integer("measured_us"),
        peak_mg=fields.integer("peak_mg", most=1_000_000),
        speed_cm_s=fields.optional("speed_cm_s", lambda name: fields.integer(name, most=MAX_SPEED_CM_S)),
    )
    fields.close()
    return found
