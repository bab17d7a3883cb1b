"""Where sound belongs on the clock, by buffers whose times are late, drift, or tell of samples that are missing."""

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.camera.soundclock import BACK_US, LATE_US, SETTLE_US, WINDOW_US, Heard, SoundClock
from vedette.errors import Refused

RATE, BLOCK, BLOCK_US = 48_000, 480, 10_000
SETTLE, WINDOW = SETTLE_US // BLOCK_US, WINDOW_US // BLOCK_US


def heard(late_us: Sequence[int], *, pace_us: float = BLOCK_US, missing: dict[int, int] | None = None) -> list[Heard]:
    """Blocks of 10 ms, `pace_us` apart, each with a time that is that much late; `missing`: block -> lost before it."""
    found, lost_us = [], 0
    for n, late in enumerate(late_us):
        lost_us += (missing or {}).get(n, 0)
        found.append(Heard(n.to_bytes(4, "big"), BLOCK, round(n * pace_us) + lost_us + late))
    return found


def errors_us(given_: Sequence[Heard], truth: Sequence[Heard]) -> list[int]:
    """How far each placed block is from where the truth has it; of those placed, which must be in order."""
    assert [one.payload for one in given_] == [one.payload for one in truth[: len(given_)]]
    return [one.mono_us - true.mono_us for one, true in zip(given_, truth, strict=False)]


def test_late_start_moves_nothing_that_follows():
    """SG-18: the first fifth of a second comes 80 ms late, as on a machine that is busy starting."""
    late_us = [80_000] * 20 + [0] * 500
    placed = SoundClock(RATE).take(heard(late_us))
    assert set(errors_us(placed, heard([0] * 520))) == {0}
    assert len(placed) == 520


def test_start_that_is_late_for_longer_is_put_right_by_the_first_buffer_that_is_not():
    """SG-18."""
    late_us = [80_000] * 60 + [0] * 500
    off_us = errors_us(SoundClock(RATE).take(heard(late_us)), heard([0] * 560))
    assert off_us == [80_000] * 60 + [0] * 500


def test_first_sound_waits_for_a_quarter_of_a_second():
    clock = SoundClock(RATE)
    assert clock.take(heard([0] * SETTLE)[:-1]) == []
    assert len(clock.take(heard([0] * SETTLE)[-1:])) == SETTLE


@given(st.lists(st.integers(0, LATE_US), min_size=100, max_size=300), st.integers(0, SETTLE - 1))
def test_times_that_are_late_now_and_then_never_move_sound(late_us: list[int], timely: int):
    """SG-18: one buffer in time places all that come after it."""
    late_us[timely] = 0
    placed = SoundClock(RATE).take(heard(late_us))
    assert set(errors_us(placed, heard([0] * len(late_us)))) == {0}
    assert len(placed) == len(late_us)


@given(st.lists(st.integers(0, 400_000), min_size=60, max_size=300))
def test_nothing_is_lost_or_changes_places_whatever_the_times_are(late_us: list[int]):
    placed = SoundClock(RATE).take(heard(late_us))
    errors_us(placed, heard(late_us))
    assert len(placed) >= len(late_us) - SETTLE
    assert all(one.mono_us <= true.mono_us for one, true in zip(placed, heard(late_us), strict=False))


def test_buffers_late_for_a_moment_wait_and_are_placed_by_the_ones_before():
    clock, blocks = SoundClock(RATE), heard([0] * 100 + [200_000] * (SETTLE - 1) + [0])
    before = clock.take(blocks[:100])
    assert clock.take(blocks[100:-1]) == []
    after = clock.take(blocks[-1:])
    assert set(errors_us([*before, *after], heard([0] * len(blocks)))) == {0}


@pytest.mark.parametrize("lost_us", [LATE_US + 1, 100_000, 3_000_000])
def test_what_comes_after_missing_samples_stands_at_its_own_time(lost_us: int):
    """SG-18: and nothing from before them is moved."""
    clock, truth = SoundClock(RATE), heard([0] * 400, missing={200: lost_us})
    assert errors_us(clock.take(truth), truth) == [0] * 400


@pytest.mark.parametrize("parts_per_million", [-1000, -200, 200, 1000])
def test_device_whose_clock_drifts_is_followed_for_an_hour(parts_per_million: int):
    """SG-18: within its bound of 40 ms, where counting alone would be seconds off."""
    blocks = 360_000
    pace_us = BLOCK_US * (1 + parts_per_million / 1e6)
    truth = heard([0] * blocks, pace_us=pace_us)
    off_us = errors_us(SoundClock(RATE).take(truth), truth)
    assert max(map(abs, off_us)) <= abs(parts_per_million) * WINDOW_US // 1_000_000 + 1_000
    assert max(map(abs, off_us)) < 40_000


def test_window_forgets_what_came_before_it():
    """A hole that is too small to be noticed at once: after the window it is made good."""
    truth = heard([0] * (2 * WINDOW), missing={100: LATE_US})
    off_us = errors_us(SoundClock(RATE).take(truth), truth)
    assert off_us[100] == -LATE_US
    assert off_us[100 + WINDOW :] == [0] * (WINDOW - 100)


def test_time_that_goes_back_is_refused():
    clock = SoundClock(RATE)
    clock.take(heard([BACK_US] * 50))
    with pytest.raises(Refused, match="went back"):
        clock.take([Heard(b"", BLOCK, 50 * BLOCK_US - 1)])


def test_buffers_of_any_size_are_counted():
    sizes = [480, 1, 1024, 4800, 17, 12_000, 960]
    count, blocks = 0, []
    for size in sizes:
        blocks.append(Heard(b"", size, count * 1_000_000 // RATE))
        count += size
    placed = SoundClock(RATE).take(blocks)
    assert [one.mono_us for one in placed] == [one.mono_us for one in blocks[: len(placed)]]
    assert all(b.mono_us > a.mono_us for a, b in itertools.pairwise(placed))
