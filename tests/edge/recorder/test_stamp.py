"""The line over the pictures: what it says, and that it says so when something is not known."""

import datetime
import zoneinfo
from dataclasses import replace
from typing import Any

import pytest

from edge.board.position import Fix
from edge.recorder.stamp import Place, position_text, quality_text, stamp, time_text
from edge.recorder.surroundings import MAX_SECONDS, MUTED, Moment, Surroundings
from vedette.clock import FakeClock, TimeQuality
from vedette.hitfile import Position

NOON_US = 1_795_608_402_900_000  # 2026-11-25 12:06:42.9 UTC
UTC = datetime.timezone.utc


def fix(mode: str | None = None, satellites: int | None = None, **more: int | None) -> Fix:
    where = {"lat_e7": 335_731_049, "lon_e7": -75_898_051, "accuracy_cm": 450, "fixed_us": NOON_US, **more}
    return Fix(position=Position(**where), mode=mode, satellites=satellites)


def test_stamp_says_time_device_place_clock_and_recording():
    """SG-11."""
    place = Place(device="car-1", recording="0192…", sequence=3, zone=UTC)
    quality = TimeQuality(source="ntp", error_us=19_001)
    moment = Moment(quality=quality, fix=fix("3d", 9))
    assert stamp(place, moment, at_us=NOON_US) == (
        "2026-11-25 12:06:42 UTC+00:00  car-1  33.57310 N 7.58981 W ±5 m 3D 9 sat\n"
        "time from ntp, ±20 ms  recording 0192…/3"
    )


@pytest.mark.parametrize(
    ("trusted", "at_us", "end"),
    [
        (False, NOON_US, "3D 9 sat  GNSS time not trusted"),
        (False, NOON_US + 12_000_000, "3D 9 sat (12 s old)  GNSS time not trusted"),
        (True, NOON_US, "3D 9 sat"),
        (None, NOON_US, "3D 9 sat"),
    ],
)
def test_stamp_says_that_the_receivers_time_is_not_trusted(trusted: bool | None, at_us: int, end: str):
    """SG-25: a spoofed place must not look like a good one; of what nobody judged nothing is said."""
    place = Place(device="car-1", recording="0192…", sequence=3, zone=UTC)
    doubted = replace(fix("3d", 9), satellite_time_trusted=trusted)
    first, _second = stamp(
        place, Moment(quality=TimeQuality(source="ntp", error_us=1), fix=doubted), at_us=at_us
    ).split("\n")
    assert first.endswith(end)


def test_stamp_says_unknown_when_there_is_no_position_and_no_bound():
    place = Place(device="car-1", recording="0192…", sequence=0, zone=UTC)
    moment = Moment(quality=TimeQuality(source="rtc", error_us=None), fix=None, sound=MUTED)
    line = stamp(place, moment, at_us=NOON_US)
    assert line.endswith("  sound muted")
    assert "position unknown" in line
    assert "time from rtc, error unknown" in line


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        (UTC, "2026-11-25 12:06:42 UTC+00:00"),
        (datetime.timezone(datetime.timedelta(hours=-3, minutes=-30)), "2026-11-25 08:36:42 UTC-03:30"),
        (zoneinfo.ZoneInfo("Europe/Paris"), "2026-11-25 13:06:42 UTC+01:00"),
    ],
)
def test_time_is_in_the_zone_and_says_its_distance_from_utc(zone: datetime.tzinfo, text: str):
    assert time_text(NOON_US, zone) == text


@pytest.mark.parametrize(("error_us", "text"), [(0, "±0 ms"), (1, "±1 ms"), (1000, "±1 ms"), (1001, "±2 ms")])
def test_error_is_rounded_up(error_us: int, text: str):
    assert quality_text(TimeQuality(source="gnss", error_us=error_us)) == f"time from gnss, {text}"


@pytest.mark.parametrize(
    ("more", "at_us", "text"),
    [
        ({"lat_e7": -9, "lon_e7": 1_799_999_960, "accuracy_cm": None}, NOON_US, "0.00000 S 180.00000 E"),
        ({"accuracy_cm": 401}, NOON_US + 2_000_000, "33.57310 N 7.58981 W ±5 m"),
        ({"mode": "3d", "satellites": 11}, NOON_US, "33.57310 N 7.58981 W ±5 m 3D 11 sat"),
        ({"mode": "2d", "accuracy_cm": None}, NOON_US - 3_000_000, "33.57310 N 7.58981 W 2D (3 s later)"),
        ({"satellites": 0}, NOON_US, "33.57310 N 7.58981 W ±5 m 0 sat"),
        ({}, NOON_US + 2_000_001, "33.57310 N 7.58981 W ±5 m (2 s old)"),
        ({}, NOON_US - 12_000_000, "33.57310 N 7.58981 W ±5 m (12 s later)"),
    ],
)
def test_position_says_accuracy_kind_of_fix_satellites_and_age(more: dict[str, Any], at_us: int, text: str):
    """SG-11: of these what is known."""
    assert position_text(fix(**more), at_us=at_us) == text


def test_moment_is_that_of_its_own_second_when_asked_later():
    asked: list[int] = []

    def find(at_us: int) -> Fix:
        asked.append(at_us)
        return fix(fixed_us=at_us)

    around = Surroundings(FakeClock(), find)
    first = around.note(NOON_US, NOON_US)
    around.note(NOON_US + 1_000_000, NOON_US + 1_000_000)
    assert around.note(NOON_US + 50_000, NOON_US + 50_000) is first
    assert asked == [NOON_US, NOON_US + 1_000_000]


@pytest.mark.parametrize("back_s", [1, 60, 3_600])
def test_moment_is_another_one_when_the_clock_was_put_back_to_its_second(back_s: int):
    """SG-10: or a picture would be stamped with the place of an earlier one."""
    around = Surroundings(FakeClock(), lambda at_us: fix(fixed_us=at_us))
    first = around.note(NOON_US, 0)
    second = around.note(NOON_US, back_s * 1_000_000)
    assert second is not first
    assert (around.note(NOON_US, 0), around.note(NOON_US, back_s * 1_000_000)) == (first, second)


@pytest.mark.parametrize(("seconds", "is_kept"), [(MAX_SECONDS - 1, True), (MAX_SECONDS, False)])
def test_surroundings_forget_the_oldest_second_at_their_limit(seconds: int, is_kept: bool):
    around = Surroundings(FakeClock(), lambda at_us: fix(fixed_us=at_us))
    first = around.note(NOON_US, NOON_US)
    for second in range(1, seconds + 1):
        around.note(NOON_US + second * 1_000_000, NOON_US + second * 1_000_000)
    assert (around.note(NOON_US, NOON_US) is first) == is_kept
