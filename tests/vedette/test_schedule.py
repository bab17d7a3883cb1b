"""The times of the week at which recording is on."""

import datetime

import pytest

from vedette.errors import Usage
from vedette.schedule import MAX_ENTRIES, parse_schedule


def at(text: str) -> int:
    return int(datetime.datetime.fromisoformat(text + "+00:00").timestamp()) * 1_000_000


# 2026-11-23 is a Monday.
@pytest.mark.parametrize(
    ("moment", "is_on"),
    [
        ("2026-11-23T05:59:59", False),
        ("2026-11-23T06:00:00", True),
        ("2026-11-23T21:59:59", True),
        ("2026-11-23T22:00:00", False),
        ("2026-11-27T12:00:00", True),
        ("2026-11-28T12:00:00", False),
        ("2026-11-29T21:59:00", False),
        ("2026-11-29T22:00:00", True),
        ("2026-11-30T03:59:59", True),
        ("2026-11-30T04:00:00", False),
    ],
)
def test_schedule_is_on_within_its_entries_and_over_midnight_and_the_weeks_end(moment: str, is_on: bool) -> None:
    """AC-6."""
    assert parse_schedule("mon-fri 06:00-22:00, sun 22:00-04:00", "UTC").is_on(at(moment)) is is_on


@pytest.mark.parametrize(("zone", "moment", "is_on"), [
    ("Europe/Paris", "2026-07-06T05:00:00", True),
    ("Europe/Paris", "2026-12-07T05:00:00", False),
    ("Europe/Paris", "2026-12-07T06:00:00", True),
    ("Africa/Casablanca", "2026-07-06T05:30:00", False),
])  # fmt: skip
def test_schedule_follows_its_zones_clock_through_summer_time(zone: str, moment: str, is_on: bool) -> None:
    """AC-6."""
    assert parse_schedule("mon 07:00-08:00", zone).is_on(at(moment)) is is_on


def test_schedule_is_never_on_when_it_is_empty_and_always_when_it_covers_the_week() -> None:
    """AC-6."""
    hours = [at("2026-11-23T00:00:00") + hour * 3_600_000_000 for hour in range(168)]
    assert not any(parse_schedule(" ", "UTC").is_on(one) for one in hours)
    assert all(parse_schedule("fri-thu 00:00-24:00", "UTC").is_on(one) for one in hours)
    assert sum(parse_schedule("sat-mon 00:00-24:00", "UTC").is_on(one) for one in hours) == 72


@pytest.mark.parametrize(
    "text",
    ["mon", "mon 6:00-7:00", "mom 06:00-07:00", "mon-fry 06:00-07:00", "mon 24:00-01:00", "mon 06:60-07:00",
     "mon 06:00-24:01", "mon 06:00-07:00 tue 06:00-07:00", ", ".join(["mon 06:00-07:00"] * (MAX_ENTRIES + 1))],
)  # fmt: skip
def test_schedule_is_refused_when_an_entry_is_none(text: str) -> None:
    """AC-6."""
    with pytest.raises(Usage, match=r"recorder\.schedule"):
        parse_schedule(text, "UTC")


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../etc/passwd", "/etc/localtime"])
def test_schedule_is_refused_when_its_zone_is_none(zone: str) -> None:
    """AC-6."""
    with pytest.raises(Usage, match=r"device\.zone"):
        parse_schedule("mon 06:00-07:00", zone)
