"""A worker that never comes to the end of its line is sent less, until a hit waits no longer behind bulk."""

from __future__ import annotations

import pytest

from sync.budget import FIRST_BYTES, GROW, LEAST_BYTES, SHRINK, TARGET_US, Budget

MOST = 64 << 20
STEP_US = 10_000


def after(budget: Budget, begins_us: int, lasts_us: int, *, emptied: bool) -> int:
    """The budget after looks every 10 ms."""
    for now_us in range(begins_us, begins_us + lasts_us + 1, STEP_US):
        budget.looked(now_us, emptied=emptied, used_bytes=budget.bytes)
    return budget.bytes


def test_budget_grows_to_the_configured_most_while_the_line_empties() -> None:
    """WI-68."""
    budget = Budget(MOST)
    assert budget.bytes == FIRST_BYTES
    assert after(budget, 0, 60 * TARGET_US, emptied=True) == MOST


def test_budget_does_not_grow_while_nobody_wants_it() -> None:
    """WI-68: or a night's rest would let the morning's first uploads fill the broker."""
    budget = Budget(MOST)
    for now_us in range(0, 60 * TARGET_US, STEP_US):
        budget.looked(now_us, emptied=True, used_bytes=budget.bytes // 2)
    assert budget.bytes == FIRST_BYTES


def test_budget_shrinks_to_its_least_while_the_line_never_empties() -> None:
    """WI-68."""
    budget = Budget(MOST)
    assert after(budget, 0, 60 * TARGET_US, emptied=False) == LEAST_BYTES


@pytest.mark.parametrize(("lasts_us", "shrinks"), [(TARGET_US - 1, 0), (TARGET_US, 1), (2 * TARGET_US, 2)])
def test_budget_shrinks_a_quarter_for_each_target_in_which_the_line_did_not_empty(lasts_us: int, shrinks: int) -> None:
    """WI-68."""
    budget = Budget(MOST)
    budget.looked(0, emptied=True, used_bytes=0)
    before = budget.bytes
    for _ in range(shrinks):
        before -= before // SHRINK
    budget.looked(1, emptied=False, used_bytes=MOST)
    for now_us in sorted({min(n * TARGET_US, lasts_us) for n in range(1, 4)}):
        budget.looked(now_us, emptied=False, used_bytes=MOST)
    assert budget.bytes == before


def test_line_that_empties_now_and_then_keeps_its_budget() -> None:
    """WI-68: much on its way over slow networks is no queue."""
    budget = Budget(MOST)
    at_us = 0
    for _ in range(200):
        at_us += TARGET_US // 4
        budget.looked(at_us, emptied=False, used_bytes=MOST)
        at_us += TARGET_US // 4
        budget.looked(at_us, emptied=True, used_bytes=MOST)
    assert budget.bytes == MOST
    assert 1 < SHRINK < GROW


def test_small_configured_budget_is_never_exceeded() -> None:
    """WI-25."""
    budget = Budget(1 << 20)
    assert after(budget, 0, 20 * TARGET_US, emptied=True) == 1 << 20
    assert after(budget, 10**9, 20 * TARGET_US, emptied=False) == 1 << 20
