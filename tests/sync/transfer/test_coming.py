"""What was granted and has not come stays within what is lent, however long the disk takes for what has."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from sync import receiver as centre_side
from sync.transfer import Receiver
from vedette.wire import MIN_PART_BYTES, Ack, Grant, Part, parts_of

PART = MIN_PART_BYTES
WHOLE, LENT, PARTS = 48, 16, 40


@pytest.mark.parametrize("seed", range(20))
def test_what_has_not_come_is_within_what_is_lent_while_the_disk_is_slow(
    seed: int, init_of: Callable[..., Any]
) -> None:
    """WI-76, WI-68: what waits for the disk is lent room beside it, and gives that back."""
    rng = random.Random(seed)
    receiver = Receiver(worker="w1", budget_bytes=WHOLE * PART, part_size=PART)
    receiver.lend(LENT * PART)
    items = {f"car-{number}": init_of(bytes(PARTS * PART)) for number in range(4)}
    sent = dict.fromkeys(items, 0)  # parts come in order
    room, durable = dict.fromkeys(items, 0), dict.fromkeys(items, 0)
    syncs: list[centre_side.Sync] = []
    most = 0

    def hear(actions: list[centre_side.Action]) -> None:
        for action in actions:
            if isinstance(action, centre_side.Sync):
                syncs.append(action)
            elif isinstance(action, centre_side.Send) and isinstance(action.message, (Grant, Ack)):
                room[action.device] = action.message.credit
                done = action.message.have if isinstance(action.message, Grant) else action.message.ranges
                durable[action.device] = sum(last - first + 1 for first, last in done)

    for device, init in items.items():
        receiver.receive(device, init, 1)
        hear(receiver.opened(device, init.item, part_size=PART, have=()))
    for _ in range(3000):
        device = rng.choice(list(items))
        if sent[device] < min(PARTS, durable[device] + room[device]):
            part = Part(item=items[device].item, index=sent[device], payload=bytes(PART))
            hear(receiver.receive(device, part, 1))
            sent[device] += 1
        if rng.random() < 0.2:
            hear(receiver.flush())
        if syncs and rng.random() < 0.1:
            batch, syncs = syncs, []
            hear(receiver.synced(*((one.device, one.item) for one in batch)))
        receiver.lend(LENT * PART)
        here = sum(receiver.here_by_broker)
        most = max(most, receiver.exposed_bytes)
        assert receiver.exposed_bytes - here <= LENT * PART
        assert receiver.exposed_bytes <= WHOLE * PART
    assert all(durable[device] == parts_of(PARTS * PART, PART) for device in items)
    assert most > LENT * PART
