"""The ladder of what gives way when the disk fills up, and how long the room will last."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from edge.room import LONGEST_FORECAST_S, Forecast, Ladder, Rung, free_bytes

MIB = 1 << 20
LADDER = Ladder(low_bytes=2048 * MIB, unmarked_bytes=512 * MIB, marked_bytes=64 * MIB)


def test_rungs_are_entered_one_after_the_other_as_the_room_goes():
    """ST-1."""
    found = [LADDER.rung(mib * MIB) for mib in (4000, 2048, 2047, 512, 511, 64, 63, 0)]
    assert found == [Rung.PLENTY, Rung.PLENTY, *[Rung.RECEIPTED_GOES] * 2, *[Rung.UNMARKED_STOPS] * 2,
                     *[Rung.MARKED_STOPS] * 2]  # fmt: skip


def test_a_rung_is_left_only_with_room_to_spare():
    """ST-1."""
    assert LADDER.rung(520 * MIB, Rung.UNMARKED_STOPS) is Rung.UNMARKED_STOPS
    assert LADDER.rung(576 * MIB, Rung.UNMARKED_STOPS) is Rung.RECEIPTED_GOES
    assert LADDER.rung(70 * MIB, Rung.MARKED_STOPS) is Rung.MARKED_STOPS
    assert LADDER.rung(72 * MIB, Rung.MARKED_STOPS) is Rung.UNMARKED_STOPS


@given(st.integers(0, 1 << 33), st.integers(0, 1 << 33), st.sampled_from(Rung))
def test_more_room_never_means_a_higher_rung(one: int, other: int, now: Rung):
    less, more = sorted((one, other))
    assert LADDER.rung(more, now) <= LADDER.rung(less, now)


def test_bounds_in_the_wrong_order_are_taken_as_the_larger_one():
    """ST-1."""
    odd = Ladder(low_bytes=0, unmarked_bytes=100, marked_bytes=200)
    assert [odd.rung(free) for free in (199, 200)] == [Rung.MARKED_STOPS, Rung.PLENTY]


def test_the_room_lasts_as_the_last_ten_minutes_say():
    """ST-4."""
    forecast = Forecast()
    assert forecast.left_s(1000) is None
    for minute in range(31):
        pace = 100 if minute < 15 else 50
        written = sum(100 if m < 15 else 50 for m in range(minute)) * MIB
        forecast.note(minute * 60_000_000, written)
    assert pace == 50
    assert forecast.left_s(500 * MIB) == 600
    assert forecast.left_s(-1) == 0
    assert forecast.left_s(1 << 60) == LONGEST_FORECAST_S


def test_nothing_written_means_no_forecast():
    forecast = Forecast()
    for minute in range(5):
        forecast.note(minute * 60_000_000, 7)
    assert forecast.left_s(1 << 30) is None


def test_free_space_is_that_of_the_disk_under_the_folder(tmp_path: Path):
    assert 0 < free_bytes(tmp_path) < 1 << 60
