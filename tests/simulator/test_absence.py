"""A day without the centre, with ten devices at a real broker: `python -m bench absence` in small.

The broker is restarted and killed, half of the devices are killed, connections are cut; in the end the centre comes
back. Two hundred devices, a step each minute, are the bench's.
"""

from __future__ import annotations

from bench import absence

DEVICES, EACH, STEP_S = 10, 5, 600
MOST_BROKER_BYTES = 150 * 1000 * 1000
LEAST_ITEMS = 16  # of one device; custody, and what was killed and made again, adds to that


def test_day_without_the_centre_costs_a_small_broker_and_no_item() -> None:
    """WI-28, WI-30, RC-1 to RC-3. In order: hits, marked recordings, bulk, by the receipts that came; what is under way
    beside an item may overtake it, as both wait for the same disk."""
    came = absence.run(DEVICES, step_s=STEP_S, each=EACH)

    assert came.sessions >= 2 * DEVICES  # all were cut off at least by the broker's two ends
    assert came.messages >= DEVICES * absence.STRETCHES == DEVICES * len(came.memory)
    assert max(came.memory) <= came.most <= MOST_BROKER_BYTES

    assert came.account.checked >= LEAST_ITEMS * DEVICES
    assert came.account.ok, came.account

    assert len(came.orders) == DEVICES
    assert all({0, 3, 4} <= set(order) for order in came.orders)
    assert came.overtaken <= absence.BESIDE, came.orders


def test_overtaking_is_counted_by_items_that_are_less_urgent() -> None:
    orders = {0: [0, 0, 3, 4], 1: [0, 4, 3, 4], 2: [3, 4, 0], 6: [3, 3, 4, 4, 4, 4, 0]}
    assert {absence.Outcome(orders=[[0], order]).overtaken for order in orders.values()} == set(orders)
