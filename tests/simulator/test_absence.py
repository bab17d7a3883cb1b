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
    """WI-28, WI-30, RC-1 to RC-3. In order: hits, custody, marked recordings, bulk, by the receipts that came."""
    came = absence.run(DEVICES, step_s=STEP_S, each=EACH)

    assert came.sessions >= 2 * DEVICES  # all were cut off at least by the broker's two ends
    assert came.messages >= DEVICES * absence.STRETCHES == DEVICES * len(came.memory)
    assert max(came.memory) <= came.most <= MOST_BROKER_BYTES

    assert came.account.checked >= LEAST_ITEMS * DEVICES
    assert came.account.ok, came.account

    assert len(came.orders) == DEVICES
    assert [order for order in came.orders if order != sorted(order)] == []
    assert all({0, 3, 4} <= set(order) for order in came.orders)
