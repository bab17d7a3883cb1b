"""Which plates are read, and how often."""

from itertools import pairwise

import pytest

from edge.reader.attention import MAX_READS, MAX_WAIT_US, PATIENCE, SETTLED_US, Attention, Outcome

PICTURE_US = 40_000


def reads(outcome: Outcome, *, pictures: int, widths: list[int] | None = None) -> list[int]:
    """The pictures in which one track was read when each look brings `outcome`."""
    attention = Attention()
    found = []
    for number in range(pictures):
        width = widths[number] if widths else 100
        if attention.choose([1], [width], number * PICTURE_US):
            found.append(number)
            attention.learn(1, outcome, width, number * PICTURE_US)
    return found


def test_track_is_read_in_each_picture_while_it_votes_without_agreement() -> None:
    assert reads(Outcome.VOTE, pictures=20) == list(range(20))


def test_track_is_read_twice_a_second_when_its_looks_agree() -> None:
    step = -(-SETTLED_US // PICTURE_US)
    assert reads(Outcome.AGREED, pictures=50) == [0, step, 2 * step, 3 * step]


def test_track_is_read_ever_more_seldom_when_it_gives_nothing() -> None:
    found = reads(Outcome.FRUITLESS, pictures=400)
    assert found[:PATIENCE] == list(range(PATIENCE))
    pauses = [(after - before) * PICTURE_US for before, after in pairwise(found)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == MAX_WAIT_US


def test_track_that_gives_nothing_is_read_at_once_when_it_grows() -> None:
    widths = [100] * 8 + [114] + [115] * 2
    assert reads(Outcome.FRUITLESS, pictures=11, widths=widths)[PATIENCE:] == [6, 9]


def test_new_track_is_read_at_once_when_others_wait() -> None:
    attention = Attention()
    attention.learn(1, Outcome.AGREED, 100, 0)
    assert attention.choose([1, 2], [100, 50], PICTURE_US) == [1]
    attention.forget(1)
    assert attention.choose([1, 2], [100, 50], PICTURE_US) == [0, 1]


@pytest.mark.parametrize("plates", [0, 1, MAX_READS, MAX_READS + 1])
def test_widest_plates_are_read_up_to_the_limit(plates: int) -> None:
    chosen = Attention().choose(list(range(plates)), list(range(plates)), 0)
    assert chosen == list(reversed(range(plates)))[:MAX_READS]
