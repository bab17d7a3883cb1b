"""The rule that every second is accounted for."""

from hypothesis import given
from hypothesis import strategies as st

from simulator.checks import Account, account


def test_account_is_whole_when_segments_and_gaps_meet() -> None:
    found = account([(0, 10), (14, 20)], [(10, 14)], tolerance_us=0)
    assert found == Account(recorded_us=16, gap_us=4, unexplained=(), twice=())


def test_account_names_the_hole_when_a_gap_is_not_named() -> None:
    assert account([(0, 10), (14, 20)], [], tolerance_us=3).unexplained == ((10, 14),)
    assert account([(0, 10), (14, 20)], [], tolerance_us=4).unexplained == ()


def test_account_names_the_time_when_it_was_recorded_twice() -> None:
    assert account([(0, 10), (5, 20)], [], tolerance_us=0).twice == ((5, 10),)
    assert account([(0, 10), (0, 10)], [], tolerance_us=0).twice == ((0, 10),)


def test_account_is_empty_when_nothing_was_recorded() -> None:
    assert account([], []) == Account(recorded_us=0, gap_us=0, unexplained=(), twice=())


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=20), st.integers(0, 19))
def test_account_finds_any_one_missing_piece(lengths: list[int], lost: int) -> None:
    spans, at = [], 0
    for length in [5, *lengths, 5]:
        spans.append((at, at + length))
        at += length
    missing = spans.pop(1 + lost % len(lengths))
    assert account(spans, [], tolerance_us=0).unexplained == (missing,)
