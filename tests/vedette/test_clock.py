"""Clocks and UUIDv7."""

import re

import pytest

from vedette.clock import FakeClock, SystemClock, check_uuid7, iso, uuid7
from vedette.errors import Integrity


def test_uuid7_carries_the_milliseconds_and_the_version_when_made() -> None:
    """RE-4."""
    clock = FakeClock(utc_us=1_795_425_430_123_456)
    made = uuid7(clock)
    assert check_uuid7(made) == made
    assert int(made.replace("-", "")[:12], 16) == 1_795_425_430_123
    assert made != uuid7(clock)


def test_uuid7_sorts_by_time_when_the_clock_moves() -> None:
    """RE-4."""
    clock = FakeClock()
    made = []
    for _ in range(50):
        made.append(uuid7(clock))
        clock.advance(1000)
    assert made == sorted(made)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "../../etc/passwd",
        "0192f000-0000-7000-8000-000000000000\n",
        "0192F000-0000-7000-8000-000000000000",
        "0192f000-0000-4000-8000-000000000000",
        None,
        7,
    ],
)
def test_uuid7_is_refused_when_it_is_not_the_canonical_form(text: object) -> None:
    """SP-1."""
    with pytest.raises(Integrity):
        check_uuid7(text)


def test_iso_shows_microseconds_and_zone() -> None:
    """RE-4."""
    assert iso(1_795_425_430_000_001) == "2026-11-23T09:17:10.000001Z"


def test_fake_clock_jump_moves_only_the_wall_clock() -> None:
    clock = FakeClock(utc_us=10, mono_us=5)
    clock.jump(-3)
    assert (clock.utc_us(), clock.mono_us()) == (7, 5)


def test_system_clock_names_the_boot_of_the_machine() -> None:
    """TI-10: what the kernel says, the same for every process until the machine is started anew."""
    named = SystemClock().machine()
    assert named is not None
    assert re.fullmatch("[0-9a-f]{16}", named)
    assert SystemClock().machine() == named


def test_system_clock_names_its_source() -> None:
    assert SystemClock().quality().source in {"ntp", "rtc"}
