"""A day without the centre, with ten devices at a real broker: `python -m bench absence` in small.

The broker is restarted and killed, half of the devices are killed, connections are cut; in the end the centre comes
back. Two hundred devices, a step each minute, are the bench's.
"""

from __future__ import annotations

import pytest

from bench import absence
from sync.central import mosquitto

DEVICES, EACH, STEP_S = 10, 5, 600
MOST_BROKER_BYTES = 150 * 1000 * 1000
LEAST_ITEMS = 16  # of one device; custody, and what was killed and made again, adds to that


@pytest.fixture(scope="module")
def came() -> absence.Outcome:
    if mosquitto.find_mosquitto() is None:
        pytest.skip("mosquitto is not installed: apt-get install mosquitto")
    return absence.run(DEVICES, step_s=STEP_S, each=EACH)


def test_broker_stays_small_while_nobody_takes_evidence_in(came: absence.Outcome) -> None:
    assert len(came.memory) == absence.STRETCHES
    assert max(came.memory) <= came.most <= MOST_BROKER_BYTES
    assert came.sessions >= 2 * DEVICES  # all were cut off at least by the broker's two ends
    assert came.messages >= DEVICES * absence.STRETCHES


def test_nothing_is_lost_or_there_twice_once_the_centre_is_back(came: absence.Outcome) -> None:
    """RC-1 to RC-3, WI-28."""
    assert came.account.checked >= LEAST_ITEMS * DEVICES
    assert came.account.ok, came.account


def test_every_device_empties_in_order_of_priority(came: absence.Outcome) -> None:
    """WI-30: hits, custody, marked recordings, bulk, by the receipts that came."""
    assert len(came.orders) == DEVICES
    assert [order for order in came.orders if order != sorted(order)] == []
    assert all({0, 3, 4} <= set(order) for order in came.orders)
