"""Sender and Receiver over a network that loses, doubles, delays, reorders, forges and restarts both sides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from vedette import wire
from vedette.errors import NotTrusted
from vedette.wire import MIN_PART_BYTES, Part

PART = MIN_PART_BYTES
SIZES = (1, PART - 1, PART, PART + 1, 2 * PART, 5 * PART + 17)
Factory = Callable[..., Any]


@pytest.mark.parametrize("block", range(10))
def test_transfer_completes_with_right_bytes_when_the_network_is_hostile(block: int, network: Factory) -> None:
    """WI-20. WI-21. WI-24. Two thousand schedules in all."""
    for seed in range(block * 200, block * 200 + 200):
        net = network(seed, sizes=(1, PART, 2 * PART + 5))
        net.run()
        assert net.centre.stored == net.device.files
        assert net.centre.seals == len(net.device.files)


@pytest.mark.parametrize("seed", range(12))
def test_transfer_completes_when_half_is_lost_and_both_sides_restart_all_the_time(seed: int, network: Factory) -> None:
    """WI-21. WI-22."""
    net = network(seed, loss=0.5, restarts=0.03)
    net.run()
    assert net.centre.stored == net.device.files


@pytest.mark.parametrize("seed", range(12))
def test_transfer_believes_nothing_foreign_when_messages_are_forged(seed: int, network: Factory) -> None:
    """WI-26."""
    net = network(seed, loss=0.1)
    for _ in range(500):
        net.forge()
        net.turn()
    net.run()
    assert net.centre.stored == net.device.files
    assert net.device.bad


def test_transfer_never_ends_when_no_receipt_is_right(network: Factory) -> None:
    """WI-26: safety does not depend on the centre's word."""
    net = network(1, restarts=0.0)
    net.device.check = lambda item, receipt: (_ for _ in ()).throw(NotTrusted("never"))
    net.device.restart()
    for _ in range(3000):
        net.turn()
    assert net.device.receipts == {}
    assert net.device.bad


@pytest.mark.parametrize("size", SIZES)
def test_transfer_sends_every_part_once_when_nothing_is_lost(size: int, network: Factory) -> None:
    """WI-23."""
    net = network(size, sizes=(size,), loss=0.0, double=0.0, damage=0.0, restarts=0.0)
    sent: list[wire.Message] = []
    carry = net.carry
    net.carry = lambda queue, message: (sent.append(message), carry(queue, message))
    net.run()
    indexes = [message.index for message in sent if isinstance(message, Part)]
    assert sorted(indexes) == list(range(wire.parts_of(size, PART)))


def test_transfer_sends_only_what_is_missing_when_both_sides_restarted(one_item: Factory, centre: Any) -> None:
    """WI-22."""
    device = one_item(6 * PART)
    for message in device.drain():
        centre.work(centre.receiver.receive("car-1", message, 1))
    item = next(iter(device.files))
    centre.disk[item] = {0: device.files[item][:PART], 3: device.files[item][3 * PART : 4 * PART]}
    device.restart()
    centre.restart()
    (init,) = device.drain()
    for answer in centre.work(centre.receiver.receive("car-1", init, 2)):
        device.note(device.sender.receive(answer, 2))
    assert [message.index for message in device.drain() if isinstance(message, Part)] == [1, 2, 4, 5]
