"""Crash and speed rules, and the file they are fed from."""

import json
from pathlib import Path

import pytest

from edge.board.motion import MAX_AGE_US, Motion, parse_motion, read_motion, write_motion
from edge.panel.motion import (
    APART_US,
    CRASH_PAUSE_US,
    MAX_SAMPLES,
    UNBROKEN_US,
    Course,
    Limits,
    after_peak,
    after_speed,
    speed_between,
)
from vedette import canonical
from vedette.errors import Integrity
from vedette.hitfile import Position

T = 1_795_420_800_000_000
LIMITS = Limits(crash_mg=2500, drop_cm_s=1000, speed_cm_s=3000, speed_us=3_000_000)
NONE = Limits(crash_mg=0, drop_cm_s=0, speed_cm_s=0, speed_us=3_000_000)
FILE = {"measured_us": T, "peak_mg": 900, "speed_cm_s": 1400}


def asked(*measured: tuple[int, int, int | None], limits: Limits = LIMITS) -> list[tuple[int, str]]:
    """What (ms, mg, cm/s) after (ms, mg, cm/s) activates, and at which ms."""
    course, found = Course(), []
    for at_ms, peak_mg, speed in measured:
        at_us = T + at_ms * 1000
        course, whys = after_peak(course, Motion(measured_us=at_us, peak_mg=peak_mg, speed_cm_s=speed), limits)
        course, more = after_speed(course, at_us, speed, limits)
        found += [(at_ms, why) for why in whys + more]
    return found


@pytest.mark.parametrize(("peak_mg", "is_crash"), [(0, False), (2499, False), (2500, True), (9000, True)])
def test_peak_of_acceleration_is_a_crash_from_its_limit_on(peak_mg: int, is_crash: bool) -> None:
    """AC-16."""
    assert asked((0, peak_mg, None)) == ([(0, "crash")] if is_crash else [])


@pytest.mark.parametrize(
    ("drop", "apart_ms", "is_crash"), [(999, 500, False), (1000, 500, True), (1000, 1000, True), (1000, 1001, False)]
)
def test_loss_of_speed_is_a_crash_when_it_comes_within_a_second(drop: int, apart_ms: int, is_crash: bool) -> None:
    """AC-16."""
    found = asked((0, 0, 1500), (apart_ms, 0, 1500 - drop))
    assert found == ([(apart_ms, "crash")] if is_crash else [])


def test_crash_is_asked_once_while_it_goes_on_and_again_after_the_pause() -> None:
    """AC-18."""
    pause_ms = CRASH_PAUSE_US // 1000
    assert asked((0, 5000, None), (100, 5000, None), (pause_ms - 1, 5000, None), (pause_ms, 5000, None)) == [
        (0, "crash"),
        (pause_ms, "crash"),
    ]


def test_speed_activates_once_when_it_lasts_and_again_after_it_was_below() -> None:
    """AC-17, AC-18."""
    fast = [(ms, 0, 3000) for ms in range(0, 6000, 500)]
    assert asked(*fast) == [(3000, "speed")]
    assert asked(*fast, (6000, 0, 2999), *[(ms, 0, 3000) for ms in range(6500, 10_500, 500)])[1:] == [(9500, "speed")]


@pytest.mark.parametrize(
    ("drop", "apart_us", "is_crash"),
    [(1499, APART_US, False), (1500, APART_US, True), (1100, 1_100_000, True), (9999, APART_US + 1, False)],
)
def test_loss_over_more_than_a_second_counts_by_the_second(drop: int, apart_us: int, is_crash: bool) -> None:
    """AC-16, AC-19."""
    course, _ = after_speed(Course(), T, 10_000, LIMITS)
    assert after_speed(course, T + apart_us, 10_000 - drop, LIMITS)[1] == (["crash"] if is_crash else [])


@pytest.mark.parametrize(("apart_us", "whys"), [(UNBROKEN_US, ["speed"]), (UNBROKEN_US + 1, [])])
def test_speed_lasts_only_where_it_was_known_all_the_time(apart_us: int, whys: list[str]) -> None:
    """AC-17, AC-19."""
    course, _ = after_speed(Course(), T, 3000, LIMITS)
    assert after_speed(course, T + apart_us, 3000, LIMITS)[1] == whys


def test_speed_is_not_told_again_because_nobody_knew_it_for_a_while() -> None:
    """AC-18: once until it was below its limit."""
    fast = [(ms, 0, 3000) for ms in range(0, 6000, 500)]
    tunnel = [(6000, 0, None), *[(ms, 0, 3000) for ms in range(6500, 12_000, 500)]]
    assert asked(*fast, *tunnel) == [(3000, "speed")]


def test_peak_is_measured_beside_a_speed_that_is_later() -> None:
    """AC-18: what is old is told by each of the two alone."""
    course, _ = after_speed(Course(), T + 500_000, 0, LIMITS)
    motion = Motion(measured_us=T, peak_mg=2500, speed_cm_s=None)
    assert after_peak(course, motion, LIMITS)[1] == ["crash"]


@pytest.mark.parametrize("between", [2999, None])
def test_speed_does_not_activate_when_it_breaks_off_or_is_unknown_in_between(between: int | None) -> None:
    """AC-17."""
    assert asked((0, 0, 3000), (2000, 0, between), (3000, 0, 3000), (5999, 0, 3000)) == []


def test_rules_are_off_when_their_limits_are_zero() -> None:
    """AC-16, AC-17."""
    assert asked((0, 16_000, 9000), (500, 16_000, 0), (9000, 0, 9000), (19_000, 0, 9000), limits=NONE) == []


def test_measurement_changes_nothing_when_it_is_repeated_or_older() -> None:
    """AC-18."""
    assert asked((1000, 0, 1500), (1000, 9000, 0), (900, 9000, 0)) == []


def test_course_is_bounded_when_measurements_flood() -> None:
    course = Course()
    for at_us in range(10 * MAX_SAMPLES):
        course, _ = after_speed(course, T + at_us, 1, LIMITS)
    assert len(course.speeds) == MAX_SAMPLES


def fix(metres_north: float, at_ms: int, accuracy_cm: int | None = 100) -> Position:
    lat_e7 = 340_000_000 + round(metres_north / (40_075_017 / 360) * 1e7)
    return Position(lat_e7=lat_e7, lon_e7=-68_000_000, accuracy_cm=accuracy_cm, fixed_us=T + at_ms * 1000)


def test_two_fixes_give_a_speed_less_their_error() -> None:
    """AC-19."""
    assert speed_between(fix(0, 0), fix(28.8, 1000)) == pytest.approx(2780, abs=3)
    east = Position(lat_e7=600_000_000, lon_e7=0, accuracy_cm=0, fixed_us=T)
    further = Position(lat_e7=600_000_000, lon_e7=10_000, accuracy_cm=0, fixed_us=T + 1_000_000)
    assert speed_between(east, further) == pytest.approx(5566, abs=5)


@pytest.mark.parametrize(
    ("second", "speed"),
    [(fix(1, 1000, 200), 0), (fix(30, 400), None), (fix(30, 5001), None), (fix(30, 1000, None), None),
     (fix(30, 1000, 2001), None), (fix(30, -1000), None)],
)  # fmt: skip
def test_two_fixes_give_no_speed_when_they_cannot(second: Position, speed: int | None) -> None:
    """AC-19."""
    assert speed_between(fix(0, 0, 200), second) == speed


@pytest.mark.parametrize(
    "changed", [{"peak_mg": -1}, {"peak_mg": 2.5}, {"speed_cm_s": 20_001}, {"measured_us": "now"}, {"plate": "x"}]
)
def test_motion_is_none_when_the_file_is_not_what_it_must_be(tmp_path: Path, changed: dict[str, object]) -> None:
    """AC-19."""
    data = json.dumps({**FILE, **changed}, separators=(",", ":"), sort_keys=True).encode()
    with pytest.raises(Integrity):
        parse_motion(data)
    (tmp_path / "motion.json").write_bytes(data)
    assert read_motion(tmp_path, now_us=T) is None


@pytest.mark.parametrize(("age_us", "known"), [(0, True), (MAX_AGE_US, True), (MAX_AGE_US + 1, False)])
def test_motion_is_known_only_while_it_is_recent(tmp_path: Path, age_us: int, known: bool) -> None:
    """AC-19."""
    (tmp_path / "motion.json").write_bytes(canonical.dumps(FILE))
    found = read_motion(tmp_path, now_us=T + age_us)
    assert (found == Motion(measured_us=T, peak_mg=900, speed_cm_s=1400)) is known
    assert (found is None) is not known


def test_motion_is_written_as_it_is_read_and_nothing_stays_beside_it(tmp_path: Path) -> None:
    """AC-19; a folder that is gone is no reason to stop."""
    motion = Motion(measured_us=T, peak_mg=900, speed_cm_s=None)
    write_motion(tmp_path, motion)
    assert read_motion(tmp_path, now_us=T) == motion
    assert [one.name for one in tmp_path.iterdir()] == ["motion.json"]
    write_motion(tmp_path / "gone", motion)
