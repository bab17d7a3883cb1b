"""Which movements leave a peak that is a crash, and which do not: blows drawn as half sines, read at several rates."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest

from edge.board.iio import G_MS2, Vector
from edge.board.shock import DOUBT_US, LEAST_READINGS, SPAN_US, Reading, Shock, mean_of

CRASH_MG = 2500
AT_US = 2_000_000
UP = (0.0, 0.0, 1.0)
Pulse = Callable[[float], float]


def sine(peak_g: float, length_s: float) -> Pulse:
    """Half a sine, as blows are drawn."""
    return lambda at_s: peak_g * math.sin(math.pi * at_s / length_s) if 0 <= at_s <= length_s else 0.0


def block(g: float, length_s: float) -> Pulse:
    return lambda at_s: g if 0 <= at_s <= length_s else 0.0


def peak(
    pulse: Pulse, along: Vector = (1.0, 0.0, 0.0), *, up: Vector = UP, every_us: int = 10_000, until_us: int = 5_000_000
) -> int | None:
    """The largest peak in mg that a pulse along this direction leaves; it begins after two seconds at rest."""
    shock, found = Shock(), list[int]()
    for at_us in range(0, until_us, every_us):
        size_g = pulse((at_us - AT_US) / 1e6)
        x, y, z = ((one + size_g * other) * G_MS2 for one, other in zip(up, along, strict=True))
        shock.take(Reading(at_us, (x, y, z)))
        if (mg := shock.peak_mg(at_us)) is not None:
            found.append(mg)
    return max(found, default=None)


@pytest.mark.parametrize("every_us", [10_000, 15_000, 27_000, 40_000])
@pytest.mark.parametrize(
    ("peak_g", "length_s"), [(6.7, 0.1), (4.0, 0.15), (20.0, 0.1), (30.0, 0.05)], ids=["15km/h", "14", "45", "34"]
)
def test_crash_is_one_at_every_rate_that_is_allowed(peak_g: float, length_s: float, every_us: int) -> None:
    """AC-37: a bumper's blow of 15 km/h is the least of them."""
    found = peak(sine(peak_g, length_s), every_us=every_us)
    assert found is not None
    assert found >= CRASH_MG


@pytest.mark.parametrize("every_us", [10_000, 15_000, 27_000, 40_000])
@pytest.mark.parametrize(
    ("pulse", "along"),
    [
        (block(0.8, 3.0), (-1.0, 0.0, 0.0)),
        (block(1.1, 2.5), (-1.0, 0.0, 0.0)),
        (sine(5.0, 0.03), (0.0, 0.0, 1.0)),
        (sine(-4.0, 0.04), (0.3, 0.0, 1.0)),
        (sine(1.8, 0.2), (0.0, 0.0, 1.0)),
        (sine(12.0, 0.01), (0.0, 1.0, 0.0)),
        (lambda at_s: 1.5 * math.sin(2 * math.pi * 27 * at_s), (0.0, 0.0, 1.0)),
    ],
    ids=["braking", "emergency", "pothole", "pothole's edge", "speed bump", "door", "engine"],
)
def test_what_shakes_a_car_every_day_is_no_crash(pulse: Pulse, along: Vector, every_us: int) -> None:
    """AC-37."""
    found = peak(pulse, along, every_us=every_us)
    assert found is not None
    assert found < CRASH_MG


@pytest.mark.parametrize(
    "up",
    [*itertools.chain.from_iterable(itertools.permutations((0.0, 0.0, sign)) for sign in (1, -1)), (0.6, 0.0, 0.8)],
)
def test_peak_is_the_same_however_the_device_is_mounted(up: Vector) -> None:
    """AC-38: gravity is found by itself, and a blow has its size from every side."""
    side = (up[1], up[2], up[0])
    across = (side[0] - up[0] * _dot(side, up), side[1] - up[1] * _dot(side, up), side[2] - up[2] * _dot(side, up))
    length = math.hypot(*across)
    along = (across[0] / length, across[1] / length, across[2] / length)
    assert peak(sine(6.7, 0.1), along, up=up) == pytest.approx(4180, abs=40)
    assert peak(sine(6.7, 0.1), up, up=up) == pytest.approx(4180, abs=40)


def _dot(one: Vector, two: Vector) -> float:
    return sum(left * right for left, right in zip(one, two, strict=True))


def test_nothing_is_measured_before_gravity_is_known() -> None:
    """AC-38: not within the first second, and a device that is put upside down is no crash."""
    assert peak(block(0.0, 0.0), until_us=1_000_000) is None
    assert peak(block(0.0, 0.0), until_us=1_500_000) == 0
    turned = peak(block(-2.0, 60.0), UP, until_us=30_000_000)
    assert turned is not None
    assert turned < CRASH_MG


def test_tilt_and_a_chip_s_own_error_are_forgotten_in_seconds() -> None:
    """AC-38: parked on a slope, and 80 mg of zero error."""
    shock = Shock()
    for at_us in range(0, 40_000_000, 10_000):
        slope = (0.26, 0.08, 0.97) if at_us >= AT_US else (0.0, 0.08, 1.0)
        shock.take(Reading(at_us, (slope[0] * G_MS2, slope[1] * G_MS2, slope[2] * G_MS2)))
    now = shock.peak_mg(40_000_000)
    assert now is not None
    assert now < 10


@pytest.mark.parametrize(("after_us", "known"), [(1_000_000, True), (1_010_000, False)])
def test_peak_is_told_for_a_second(after_us: int, known: bool) -> None:
    """AC-37: whoever looks ten times a second sees it, whatever file was there between two looks."""
    shock, highest_mg, highest_us = Shock(), 0, 0
    for at_us in range(0, AT_US + 200_000, 10_000):
        shock.take(Reading(at_us, (sine(6.7, 0.1)((at_us - AT_US) / 1e6) * G_MS2, 0.0, G_MS2)))
        if (mg := shock.peak_mg(at_us) or 0) > highest_mg:
            highest_mg, highest_us = mg, at_us
    for at_us in range(AT_US + 200_000, highest_us + after_us + 1, 10_000):
        shock.take(Reading(at_us, (0.0, 0.0, G_MS2)))
    assert (shock.peak_mg(highest_us + after_us) == highest_mg) is known


@pytest.mark.parametrize(
    ("count", "span_us", "known"),
    [
        (LEAST_READINGS, SPAN_US, True), (LEAST_READINGS - 1, SPAN_US, False), (LEAST_READINGS, SPAN_US - 2, False),
        (0, 0, False), (1, 0, False),
    ],
)  # fmt: skip
def test_mean_needs_enough_readings_that_lie_far_enough_apart(count: int, span_us: int, known: bool) -> None:
    """AC-40."""
    readings = [Reading(number * span_us // max(1, count - 1), (1.0, 2.0, 3.0)) for number in range(count)]
    assert (mean_of(readings) is not None) is known


def test_mean_is_one_over_time_when_readings_come_unevenly() -> None:
    """AC-37: a thread that was held up does not make the last readings count more."""
    times_us = (0, 80_000, 85_000, 90_000, 95_000, 100_000)
    readings = [Reading(at_us, (float(at_us), 0.0, -1.0)) for at_us in times_us]
    assert mean_of(readings) == pytest.approx((50_000.0, 0.0, -1.0))


def test_sensor_is_slow_when_its_readings_are_too_few_for_a_second() -> None:
    """AC-40: one reading in 60 ms."""
    shock = Shock()
    for at_us in range(0, 3_000_000, 60_000):
        shock.take(Reading(at_us, (0.0, 0.0, G_MS2)))
        assert shock.peak_mg(at_us) is None
    assert shock.is_slow(3_000_000)
    for at_us in range(3_000_000, 4_000_000, 10_000):
        shock.take(Reading(at_us, (0.0, 0.0, G_MS2)))
    assert not shock.is_slow(4_000_000)


@pytest.mark.parametrize("felt_g", [0.0, 0.49, 1.51, 8.0])
def test_sensor_that_feels_no_gravity_from_the_first_is_doubted_at_once(felt_g: float) -> None:
    """AC-38: zeros of a broken bus; a scale of another range."""
    shock = Shock()
    for at_us in range(0, 1_500_000, 10_000):
        shock.take(Reading(at_us, (0.0, felt_g * G_MS2, 0.0)))
    assert shock.is_weightless(1_500_000)


def test_sensor_is_doubted_after_ten_seconds_without_gravity_and_not_because_of_a_crash() -> None:
    """AC-38: 40 g for a tenth of a second move what is taken for gravity for a while."""
    shock, crash_us, free_us = Shock(), 3_000_000, 9_000_000
    for at_us in range(0, free_us + DOUBT_US, 10_000):
        felt_g = 0.0 if at_us >= free_us else 40.0 if crash_us <= at_us < crash_us + 100_000 else 1.0
        shock.take(Reading(at_us, (0.0, 0.0, felt_g * G_MS2)))
        assert not shock.is_weightless(at_us)
    end_us = free_us + DOUBT_US + 5_000_000
    for at_us in range(free_us + DOUBT_US, end_us, 10_000):
        shock.take(Reading(at_us, (0.0, 0.0, 0.0)))
    assert shock.is_weightless(end_us)
