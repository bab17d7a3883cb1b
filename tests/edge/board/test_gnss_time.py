"""Whether the satellites' time is believed."""

from __future__ import annotations

import pytest

from edge.board.gnss_time import (
    AGREE_COUNT,
    BEFORE_LAST,
    CONTRADICTS_CLOCK,
    JUMPED,
    LATENCY_US,
    RETURN_COUNT,
    Belief,
    Knowledge,
    Sample,
    after_sample,
    error_of,
)

SECOND = 1_000_000
EIGHT = 1_795_420_800 * SECOND
NOTHING = Knowledge(clock_error_us=None, past_us=0)
TOLERANCE_US = 2 * SECOND


def sample(at_s: float, *, off_s: float = 0, clock_off_s: float = 0) -> Sample:
    """At `at_s` after eight: the satellites say `off_s` more, the wall clock `clock_off_s` more."""
    at_us = round(at_s * SECOND)
    return Sample(
        satellite_us=EIGHT + at_us + round(off_s * SECOND), error_us=5000, mono_us=at_us + 40 * SECOND,
        utc_us=EIGHT + at_us + round(clock_off_s * SECOND),
    )  # fmt: skip


def believed(*samples: Sample, known: Knowledge = NOTHING, start: Belief | None = None) -> Belief:
    belief = start or Belief()
    for one in samples:
        belief = after_sample(belief, one, known, tolerance_us=TOLERANCE_US)
    return belief


def honest(count: int, since_s: int = 0) -> list[Sample]:
    return [sample(since_s + one) for one in range(count)]


@pytest.mark.parametrize(("count", "trusted"), [(0, False), (AGREE_COUNT - 1, False), (AGREE_COUNT, True)])
def test_time_is_believed_once_enough_reports_agree(count: int, trusted: bool) -> None:
    """PO-10."""
    assert believed(*honest(count)).is_trusted is trusted


def test_reports_that_do_not_agree_are_not_believed() -> None:
    """PO-10."""
    assert not believed(*(sample(one, off_s=one * 60) for one in range(20))).is_trusted


@pytest.mark.parametrize("off_s", [-3600, -10, 10, 3600])
def test_a_jump_is_suspect_at_once_and_for_as_long_as_it_lasts(off_s: float) -> None:
    """PO-11."""
    start = believed(*honest(10))
    found = believed(*(sample(10 + one, off_s=off_s) for one in range(200)), start=start)
    assert (found.suspect, found.is_trusted) == (JUMPED, False)
    assert found.off_us == off_s * SECOND
    assert believed(sample(10, off_s=off_s), start=start).suspect == JUMPED


def test_a_slow_pull_is_found_when_it_has_come_far() -> None:
    """PO-11: each step is small; the wall clock that a time service keeps is the witness."""
    known = Knowledge(clock_error_us=50_000, past_us=0)
    pulled = [sample(one, off_s=one * 0.1) for one in range(100)]
    assert believed(*pulled, known=known).suspect in (CONTRADICTS_CLOCK, JUMPED)


def test_lateness_and_drift_are_no_jump() -> None:
    """PO-11."""
    start = believed(*honest(10))
    assert believed(sample(11, off_s=-0.9), sample(12, off_s=0.9), start=start).is_trusted
    assert believed(sample(80_000, off_s=7.5), start=start).suspect is None


@pytest.mark.parametrize(("off_s", "why"), [(-300, CONTRADICTS_CLOCK), (300, CONTRADICTS_CLOCK), (2, None)])
def test_a_time_that_contradicts_a_clock_known_to_be_right_is_suspect(off_s: float, why: str | None) -> None:
    """PO-12."""
    known = Knowledge(clock_error_us=50_000, past_us=0)
    assert believed(*(sample(one, off_s=off_s) for one in range(5)), known=known).suspect == why


def test_a_clock_that_nobody_set_is_no_witness() -> None:
    """PO-12: a board without a battery wakes in 1970."""
    assert believed(*(sample(one, clock_off_s=-1e6) for one in range(5))).is_trusted


def test_a_time_before_one_that_is_past_is_suspect() -> None:
    """PO-12: a replayed day."""
    known = Knowledge(clock_error_us=None, past_us=EIGHT + 100 * SECOND)
    assert believed(*honest(5), known=known).suspect == BEFORE_LAST
    assert believed(*honest(5, since_s=98), known=known).is_trusted


def test_time_is_believed_again_only_after_a_while() -> None:
    """PO-13."""
    suspect = believed(sample(10, off_s=60), start=believed(*honest(10)))
    almost = believed(*honest(RETURN_COUNT - 1, since_s=11), start=suspect)
    assert (almost.suspect, almost.is_trusted) == (JUMPED, False)
    assert believed(sample(11 + RETURN_COUNT), start=almost).is_trusted


def test_the_bound_grows_with_age_and_holds_the_wall_clock_s_own_error() -> None:
    """PO-14."""
    belief = believed(*honest(5))
    now = sample(4)
    assert error_of(belief, mono_us=now.mono_us, utc_us=now.utc_us) == LATENCY_US + 5000
    later = sample(10_004)
    assert error_of(belief, mono_us=later.mono_us, utc_us=later.utc_us) == LATENCY_US + 5000 + SECOND
    off = sample(4, clock_off_s=-30)
    assert error_of(belief, mono_us=off.mono_us, utc_us=off.utc_us) == LATENCY_US + 5000 + 30 * SECOND
    suspect = believed(sample(5, off_s=60), start=belief)
    assert error_of(suspect, mono_us=now.mono_us, utc_us=now.utc_us) is None
    assert error_of(Belief(), mono_us=0, utc_us=0) is None
