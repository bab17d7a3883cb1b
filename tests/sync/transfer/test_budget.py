"""A worker whose line waits, or that never comes to its end, is sent less, until a hit waits no longer behind bulk."""

from __future__ import annotations

import pytest

from sync.budget import (
    COMING,
    FIRST_BYTES,
    GROW,
    HOLD_US,
    LEAST_BYTES,
    REST_US,
    SHRINK,
    STANDS_US,
    TARGET_US,
    Budget,
    Flow,
)

CONFIGURED = 64 << 20
MOST = CONFIGURED // COMING
STEP_US = 10_000
LONG_US = 120 * REST_US


def after(budget: Budget, begins_us: int, lasts_us: int, *, emptied: bool, waited_us: int | None = None) -> int:
    """The budget after looks every 10 ms, all of it granted."""
    for now_us in range(begins_us, begins_us + lasts_us + 1, STEP_US):
        budget.looked(now_us, emptied=emptied, waited_us=waited_us, used_bytes=budget.bytes)
    return budget.bytes


@pytest.mark.parametrize("waited_us", [None, 0, TARGET_US // 2 - 1])
def test_budget_grows_to_a_third_of_the_configured_while_nothing_waits_long(waited_us: int | None) -> None:
    """WI-68. WI-76: what is on its way stands at the broker, twice, as soon as a worker stops for a moment."""
    budget = Budget(CONFIGURED)
    assert budget.bytes == FIRST_BYTES
    assert after(budget, 0, LONG_US, emptied=True, waited_us=waited_us) == CONFIGURED // 3


@pytest.mark.parametrize("waited_us", [TARGET_US // 2, TARGET_US - 1])
def test_budget_stays_where_what_comes_waits_for_about_the_target(waited_us: int) -> None:
    """WI-68."""
    assert after(Budget(CONFIGURED), 0, LONG_US, emptied=True, waited_us=waited_us) == FIRST_BYTES


@pytest.mark.parametrize("waited_us", [TARGET_US, 2 * TARGET_US, 10**9])
def test_budget_shrinks_to_its_least_while_what_comes_waits_long_though_each_look_ends(waited_us: int) -> None:
    """WI-68: what a broker keeps in its own memory is no less a queue than what waits in a socket."""
    assert after(Budget(CONFIGURED), 0, LONG_US, emptied=True, waited_us=waited_us) == LEAST_BYTES


@pytest.mark.parametrize(
    ("waited_us", "left"),
    [(TARGET_US, FIRST_BYTES - FIRST_BYTES // SHRINK), (2 * TARGET_US, FIRST_BYTES // 2)],
)
def test_what_waited_twice_the_target_halves_the_budget(waited_us: int, left: int) -> None:
    """WI-68."""
    assert Budget(CONFIGURED).looked(0, emptied=True, waited_us=waited_us, used_bytes=MOST) == left


def test_budget_that_shrank_grows_no_more_for_a_while() -> None:
    """WI-68: it would swing about what the worker can do."""
    budget = Budget(CONFIGURED)
    before = budget.looked(0, emptied=True, waited_us=TARGET_US, used_bytes=MOST)
    assert after(budget, STEP_US, HOLD_US - 2 * STEP_US, emptied=True, waited_us=0) == before
    assert after(budget, HOLD_US, 0, emptied=True, waited_us=0) == before + before // GROW


def test_look_that_tells_nothing_of_waiting_does_not_let_a_waiting_line_grow() -> None:
    """WI-68."""
    budget = Budget(CONFIGURED)
    budget.looked(0, emptied=True, waited_us=TARGET_US - 1, used_bytes=MOST)
    assert after(budget, STEP_US, LONG_US, emptied=True, waited_us=None) == FIRST_BYTES


def test_budget_does_not_grow_while_nobody_wants_it() -> None:
    """WI-68: or a night's rest would let the morning's first uploads fill the broker."""
    budget = Budget(CONFIGURED)
    for now_us in range(0, LONG_US, STEP_US):
        budget.looked(now_us, emptied=True, waited_us=0, used_bytes=budget.bytes // 2)
    assert budget.bytes == FIRST_BYTES


def test_budget_shrinks_to_its_least_while_the_line_never_empties() -> None:
    """WI-68, also where a broker's answers go past the line."""
    budget = Budget(CONFIGURED)
    assert after(budget, 0, LONG_US, emptied=False, waited_us=0) == LEAST_BYTES


@pytest.mark.parametrize(("lasts_us", "shrinks"), [(STANDS_US - 1, 0), (STANDS_US, 1), (STANDS_US + REST_US, 2)])
def test_budget_shrinks_a_quarter_for_each_time_in_which_the_line_did_not_empty(lasts_us: int, shrinks: int) -> None:
    """WI-68."""
    budget = Budget(CONFIGURED)
    budget.looked(0, emptied=True, waited_us=None, used_bytes=0)
    before = budget.bytes
    for _ in range(shrinks):
        before -= before // SHRINK
    for now_us in sorted({1, *(min(at_us, lasts_us) for at_us in (STANDS_US, STANDS_US + REST_US))}):
        budget.looked(now_us, emptied=False, waited_us=None, used_bytes=MOST)
    assert budget.bytes == before


def test_line_that_empties_now_and_then_keeps_its_budget() -> None:
    """WI-68: much on its way over slow networks is no queue."""
    budget = Budget(CONFIGURED)
    at_us = 0
    for _ in range(400):
        at_us += STANDS_US // 4
        budget.looked(at_us, emptied=False, waited_us=None, used_bytes=MOST)
        at_us += STANDS_US // 4
        budget.looked(at_us, emptied=True, waited_us=0, used_bytes=MOST)
    assert budget.bytes == MOST
    assert 1 < SHRINK < GROW


def test_small_configured_budget_is_never_exceeded() -> None:
    """WI-25, WI-76."""
    budget = Budget(1 << 20)
    assert after(budget, 0, LONG_US, emptied=True, waited_us=0) == (1 << 20) // COMING
    assert after(budget, 10**9, LONG_US, emptied=False, waited_us=10**9) == (1 << 20) // COMING


PART_BYTES = 64 * 1024


@pytest.mark.parametrize(("emptied", "waited_us"), [(True, TARGET_US), (True, 10**9), (False, None), (False, 0)])
@pytest.mark.parametrize(
    ("stray_bytes", "left"), [(0, LEAST_BYTES), (PART_BYTES, LEAST_BYTES), (2 * PART_BYTES, FIRST_BYTES)]
)
def test_nobody_is_granted_less_while_most_of_what_comes_was_never_granted(
    stray_bytes: int, left: int, emptied: bool, waited_us: int | None
) -> None:
    """WI-73: less granted would not shorten that line. Half of what comes is not most of it."""
    budget = Budget(CONFIGURED)
    flow = Flow(stray_bytes=stray_bytes, taken_bytes=PART_BYTES)
    for now_us in range(0, LONG_US, STEP_US):
        budget.looked(now_us, emptied=emptied, waited_us=waited_us, used_bytes=MOST, flow=flow)
    assert budget.bytes == left


def test_line_that_stands_when_what_was_never_granted_comes_no_more_is_granted_less_again() -> None:
    """WI-73. Looks to which nothing came say nothing of what comes."""
    budget = Budget(CONFIGURED)
    budget.looked(0, emptied=True, waited_us=0, used_bytes=0, flow=Flow(stray_bytes=MOST, taken_bytes=0))
    assert after(budget, STEP_US, LONG_US, emptied=True, waited_us=TARGET_US) == FIRST_BYTES
    for now_us in range(LONG_US, 2 * LONG_US, STEP_US):
        budget.looked(
            now_us, emptied=True, waited_us=TARGET_US, used_bytes=0, flow=Flow(stray_bytes=0, taken_bytes=MOST)
        )
    assert budget.bytes == LEAST_BYTES


@pytest.mark.parametrize("brokers", [1, 2, 64])
def test_budgets_at_several_brokers_begin_with_equal_shares_and_each_may_grow_to_the_most(brokers: int) -> None:
    """WI-68."""
    budgets = [Budget(CONFIGURED, brokers) for _ in range(brokers)]
    assert sum(one.bytes for one in budgets) == FIRST_BYTES
    assert sum(after(one, 0, LONG_US, emptied=False) for one in budgets) == LEAST_BYTES
    assert after(budgets[0], 10**8, 2 * LONG_US, emptied=True, waited_us=0) == MOST
