"""Who sends more than it was granted: how much of it is an honest network's doing, and what becomes of the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from sync.overdraft import ALLOWED_BUDGETS, HELD_US, Overdraft
from sync.receiver import Complain, Forget, Receiver, Send, Sync, Write
from sync.receiving import Action
from vedette.wire import MIN_PART_BYTES, Ack, Grant, Init, Part, Refuse, RefuseCode

PART = MIN_PART_BYTES
BUDGET_PARTS = 8
ALLOWED_PARTS = ALLOWED_BUDGETS * BUDGET_PARTS
MANY = 40_000
AGAIN_US = 1 + HELD_US
Factory = Callable[..., Any]


class Centre:
    """A receiver, and a device that sends it what it likes; the clock stands unless it is told."""

    def __init__(self, brokers: int = 1, broker_of: Callable[[str], int] = lambda _device: 0) -> None:
        budget_bytes = BUDGET_PARTS * PART
        self.receiver = Receiver(
            worker="w1", budget_bytes=budget_bytes, part_size=PART, brokers=brokers, broker_of=broker_of
        )
        self.now_us = 1

    def begin(self, device: str, init: Init) -> list[Action]:
        begun = self.receiver.receive(device, init, self.now_us)
        if isinstance(begun[0], Send):
            return begun
        return self.receiver.opened(device, init.item, part_size=PART, have=())

    def part(self, device: str, item: str, index: int) -> list[Action]:
        return self.receiver.receive(device, Part(item=item, index=index, payload=bytes(PART)), self.now_us)

    def settle(self) -> list[Action]:
        """Make durable what came."""
        actions = self.receiver.flush()
        syncs = [one for one in actions if isinstance(one, Sync)]
        return [action for one in syncs for action in self.receiver.synced((one.device, one.item))]


@pytest.fixture
def large(init_of: Factory) -> Callable[[], Init]:
    """An init of an item of very many parts."""
    return lambda: replace(init_of(bytes(PART)), size=MANY * PART)


def new(number: int) -> int:
    return number + BUDGET_PARTS


def same(_number: int) -> int:
    return 0


@pytest.mark.parametrize("index", [new, same])
def test_device_that_goes_on_beyond_its_credit_is_refused_once_and_then_not_heard(
    index: Callable[[int], int], large: Callable[[], Init]
) -> None:
    """WI-73. At the bound and one past it, with parts that were not granted or with one that is here already."""
    centre, init = Centre(), large()
    (granted,) = centre.begin("car-1", init)
    assert isinstance(granted, Send) and isinstance(granted.message, Grant)
    centre.part("car-1", init.item, 0)
    (word,) = centre.settle()
    assert isinstance(word, Send) and isinstance(word.message, Ack)

    within = [centre.part("car-1", init.item, index(number)) for number in range(ALLOWED_PARTS)]
    beyond = [centre.part("car-1", init.item, index(number)) for number in range(3)]

    assert not [one for actions in within for one in actions if not isinstance(one, Write)]
    forgotten, told, complaint = beyond[0]
    assert forgotten == Forget(device="car-1", item=init.item)
    assert isinstance(told, Send) and isinstance(told.message, Refuse) and told.message.code is RefuseCode.BUSY
    assert isinstance(complaint, Complain) and (complaint.device, complaint.item) == ("car-1", init.item)
    assert beyond[1:] == [[], []]
    assert (centre.receiver.under_way, centre.receiver.beyond) == (0, 3)


def test_parts_of_an_item_that_nobody_granted_count_as_well(large: Callable[[], Init]) -> None:
    """WI-73: each was answered by a word of its own."""
    centre, init = Centre(), large()

    answers = [centre.part("car-1", init.item, number) for number in range(ALLOWED_PARTS + 2)]

    assert [len(actions) for actions in answers] == [1] * (ALLOWED_PARTS + 1) + [0]
    assert [type(actions[0]) for actions in answers[-2:-1]] == [Complain]


def test_device_whose_every_part_comes_twice_is_never_refused(large: Callable[[], Init]) -> None:
    """WI-73: a network doubles them, or the acks were lost; however long it goes on."""
    centre, init = Centre(), large()
    centre.begin("car-1", init)
    for number in range(40 * ALLOWED_PARTS):
        for _ in range(2):
            centre.part("car-1", init.item, number)
        centre.settle()

    assert centre.receiver.beyond == 0


def test_device_that_begins_anew_again_and_again_is_never_refused(large: Callable[[], Init]) -> None:
    """WI-73: whatever it was granted before is lost each time, on a network that never brings an ack back."""
    centre, init = Centre(), large()
    (granted,) = centre.begin("car-1", init)
    for _ in range(20 * ALLOWED_BUDGETS):
        assert isinstance(granted, Send) and isinstance(granted.message, Grant)
        for number in range(granted.message.credit):
            centre.part("car-1", init.item, number)
        centre.settle()
        (granted,) = centre.receiver.receive("car-1", init, centre.now_us)

    assert centre.receiver.beyond == 0


def test_device_that_is_put_off_begins_anew_a_minute_after_its_last_part(large: Callable[[], Init]) -> None:
    """WI-73. Parts that it sends meanwhile put that off, and asking does not."""
    centre, init = Centre(), large()
    for number in range(ALLOWED_PARTS + 1):
        centre.part("car-1", init.item, number)
    told = []
    for pause_us, sends in ((1, False), (HELD_US - 2, False), (0, True), (HELD_US, False), (1, False)):
        centre.now_us += pause_us
        if sends:
            centre.part("car-1", init.item, 0)
        (answer,) = centre.begin("car-1", init)
        assert isinstance(answer, Send)
        told.append(type(answer.message))

    assert told == [Refuse] * 4 + [Grant]
    assert centre.part("car-1", init.item, 0)[0].__class__ is Write


def test_parts_a_budget_and_more_after_the_refusal_are_counted_for_whoever_cuts() -> None:
    """WI-73. At the bound and past it."""
    account = Overdraft(BUDGET_PARTS)
    for _ in range(ALLOWED_PARTS):
        assert account.came("car-1", 1, 1) >= 0
    far = []
    for _ in range(BUDGET_PARTS + 2):
        account.went_beyond("car-1", account.came("car-1", 1, 1), 1)
        far.append(dict(account.take_far()))

    assert far == [{}] * BUDGET_PARTS + [{"car-1": 1}] * 2


def test_others_are_granted_and_acknowledged_as_before(large: Callable[[], Init]) -> None:
    """WI-73, WI-54: the one is put off, and its share is free."""
    centre, mine, other = Centre(), large(), large()
    centre.begin("car-1", mine)
    centre.begin("car-2", other)
    for number in range(4 * ALLOWED_PARTS):
        centre.part("car-1", mine.item, number)
        if number % ALLOWED_PARTS == 0:
            centre.part("car-2", other.item, number)
            centre.settle()
    assert centre.receiver.beyond > 0

    (word,) = [one for one in [*centre.part("car-2", other.item, 1), *centre.settle()] if isinstance(one, Send)]

    assert isinstance(word.message, Ack) and word.message.credit > BUDGET_PARTS // 2


def test_flow_tells_what_was_granted_from_what_was_not_at_each_broker(large: Callable[[], Init]) -> None:
    """WI-73."""
    centre = Centre(brokers=2, broker_of=lambda device: int(device == "car-2"))
    for device in ("car-1", "car-2"):
        init = large()
        (granted,) = centre.begin(device, init)
        assert isinstance(granted, Send) and isinstance(granted.message, Grant)
        for number in range(granted.message.credit + (3 if device == "car-2" else 0)):
            centre.part(device, init.item, number)

    flows = [centre.receiver.take_flow(broker) for broker in (0, 1)]

    assert [flow.stray_bytes for flow in flows] == [0, 3 * PART]
    assert all(flow.taken_bytes > 0 for flow in flows)
    assert centre.receiver.take_flow(1).taken_bytes == 0
