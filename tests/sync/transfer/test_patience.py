"""Who says much of which nothing comes: how much of that is an honest device's lot, and what becomes of the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from sync.outbox import FIRST_RETRY_US
from sync.patience import AGAIN_US, AHEAD_US, FAR_US, HEARD, LAST, NONSENSE, UNIT_US, Patience
from sync.receiver import MAX_UPLOADS_PER_DEVICE, Complain, Forget, Open, Receiver, Seal, Send
from sync.receiving import Action
from sync.retry import LEAST_RETRY_US
from sync.sender import MAX_UNDER_WAY, Offer, Sender, SendInit
from vedette.records import PRIORITY_BULK
from vedette.wire import MIN_PART_BYTES, Fin, Grant, Init, Part, Refuse, RefuseCode, Sealed

PART = MIN_PART_BYTES
ALLOWED = AHEAD_US // UNIT_US
SECOND_US = 1_000_000
HOUR_S = 3600
# A car's 128 GB at 3 Mbit/s in segments of a minute, and a journal and a hit for each: no outbox has more items.
FULL_OUTBOX = 3 * 128_000_000_000 // (3_000_000 // 8 * 60)
Factory = Callable[..., Any]


class Centre:
    """A receiver whose shell answers at once; the clock stands unless it is told."""

    def __init__(self) -> None:
        self.receiver = Receiver(worker="w1", budget_bytes=64 * PART, part_size=PART)
        self.now_us = 1

    def say(self, device: str, *messages: Init | Part | Fin) -> list[Action]:
        return [one for message in messages for one in self.receiver.receive(device, message, self.now_us)]

    def begin(self, device: str, init: Init) -> list[Action]:
        begun = self.say(device, init)
        if begun and isinstance(begun[0], Open):
            return self.receiver.opened(device, init.item, part_size=PART, have=())
        return begun

    def store(self, device: str, init: Init) -> list[Action]:
        """The whole of an item of one part, each word of the device doubled by the network."""
        fin = Fin(item=init.item, sha256=init.sha256)
        actions = [*self.begin(device, init), *self.say(device, init)]
        actions += self.say(device, *[Part(item=init.item, index=0, payload=bytes(PART))] * 2)
        for one in self.receiver.flush():
            actions += self.receiver.synced((device, init.item)) if not isinstance(one, Send) else []
        actions += self.say(device, fin)
        assert [one for one in actions if isinstance(one, Seal)]
        actions += self.receiver.stored(device, init.item, b"receipt")
        return [*actions, *self.say(device, fin)]


@pytest.fixture
def init(init_of: Factory) -> Init:
    made: Init = init_of(bytes(PART))
    return made


def items() -> Iterable[str]:
    return (f"0192a000-0000-7000-8000-{number:012x}" for number in count())


def refusals(actions: Iterable[Action]) -> list[RefuseCode]:
    return [one.message.code for one in actions if isinstance(one, Send) and isinstance(one.message, Refuse)]


def test_device_that_asks_on_and_on_is_refused_once_and_then_answered_busy(init: Init) -> None:
    """WI-74. At the bound and one past it: what it had begun is let go of, and its parts and fins are not looked at."""
    centre = Centre()
    centre.begin("car-1", init)
    within = centre.say("car-1", *[init] * (ALLOWED - 1))
    beyond = centre.say("car-1", init)
    after = centre.say("car-1", init, Fin(item=init.item, sha256=init.sha256))
    part = centre.say("car-1", Part(item=init.item, index=0, payload=bytes(PART)))

    assert {type(one.message) for one in within if isinstance(one, Send)} == {Grant}
    forgotten, told, complaint = beyond
    assert forgotten == Forget(device="car-1", item=init.item)
    assert refusals([told]) == [RefuseCode.BUSY]
    assert isinstance(complaint, Complain) and (complaint.item, complaint.code) == (init.item, RefuseCode.BUSY)
    assert complaint.evidence == init.encode()
    assert (refusals(after), len(after), part) == ([RefuseCode.BUSY], 1, [])
    assert (centre.receiver.under_way, centre.receiver.beyond) == (0, 3)


def test_what_is_no_message_costs_as_much_as_five_questions() -> None:
    """WI-74. At the bound and past it: it is not put down any more, and what it costs is shared with all else."""
    centre = Centre()
    within = [centre.receiver.charge("car-1", b"?", 1) for _ in range(ALLOWED // NONSENSE)]
    (complaint,) = centre.receiver.charge("car-1", b"!", 1) or []
    after = [centre.receiver.charge("car-1", b"?", 1) for _ in range(3)]

    assert within == [None] * (ALLOWED // NONSENSE)
    assert isinstance(complaint, Complain) and (complaint.item, complaint.evidence) == (None, b"!")
    assert after == [[]] * 3


def test_items_that_never_come_are_not_paid_for(init: Init) -> None:
    """WI-74, WI-25: each is refused since the device has as many under way as it may."""
    centre = Centre()
    made = zip(items(), range(ALLOWED + 1), strict=False)
    answers = [centre.begin("car-1", replace(init, item=item)) for item, _number in made]

    busy = [code for actions in answers for code in refusals(actions)]
    assert len(busy) == ALLOWED + 1 - MAX_UPLOADS_PER_DEVICE - 1 + MAX_UPLOADS_PER_DEVICE
    assert isinstance(answers[-1][-1], Complain)


@pytest.mark.parametrize("seconds", [1, HOUR_S])
def test_a_hundred_questions_a_second_are_heard_for_any_time(seconds: int) -> None:
    """WI-74."""
    patience = Patience()
    heeded = {patience.charge("car-1", 1, UNIT_US * number) for number in range(100 * seconds)}

    assert heeded == {HEARD}
    assert patience.ahead_us("car-1", 100 * seconds * UNIT_US) == 0


def test_item_that_comes_to_be_stored_costs_nothing(init: Init) -> None:
    """WI-74: it pays for its question and its fin, doubled by the network; so an outbox is sent at whatever speed."""
    centre, ahead_us = Centre(), set()
    for item, _number in zip(items(), range(1000), strict=False):
        centre.store("car-1", replace(init, item=item))
        ahead_us.add(centre.receiver.patience.ahead_us("car-1", centre.now_us))

    assert centre.receiver.beyond == 0
    assert max(ahead_us) <= UNIT_US  # the second fin came when all was over, and the next item pays for that


def test_trouble_of_the_centre_s_own_accuses_nobody(init: Init) -> None:
    """WI-74: a full disk at the centre answers every question by `busy`, however many there are."""
    centre = Centre()
    for item, _number in zip(items(), range(ALLOWED + 1), strict=False):
        (opening,) = centre.say("car-1", replace(init, item=item))
        assert isinstance(opening, Open)
        centre.receiver.refuse("car-1", item, RefuseCode.BUSY, "the centre's disk is full")

    assert centre.receiver.patience.ahead_us("car-1", centre.now_us) == 0


@pytest.mark.parametrize("answer", ["sealed", "invalid"])
def test_full_outbox_of_which_nothing_can_come_is_asked_for_and_not_accused(init: Init, answer: str) -> None:
    """WI-74. All of it is stored and its receipts cannot be kept, or all is refused, at no distance and in no time; and
    again when the outbox tries again, as soon as it may."""
    centre = Centre()
    for tries in range(8):
        for item, _number in zip(items(), range(FULL_OUTBOX), strict=False):
            asked = replace(init, item=item)
            centre.say("car-1", asked)
            if answer == "sealed":
                centre.receiver.stored("car-1", item, b"receipt")
            else:
                centre.receiver.refuse("car-1", item, RefuseCode.INVALID, "no")
        centre.now_us += min(600 * SECOND_US, FIRST_RETRY_US << tries)

    assert FULL_OUTBOX < ALLOWED
    assert centre.receiver.beyond == 0


def devices_sender(init: Init) -> Sender:
    """A device with as much under way as it can have: four items of each priority."""

    def believe(_item: str, _receipt: bytes) -> None:
        """Every receipt."""

    sender, names = Sender(believe), iter(items())
    for priority in range(PRIORITY_BULK, -1, -1):
        while sender.has_room(priority):
            offer = Offer(
                item=next(names),
                kind=init.kind,
                size=init.size,
                sha256=init.sha256,
                priority=priority,
                manifest=init.manifest,
            )
            sender.offer(offer)
    return sender


def test_device_that_restarts_every_second_is_not_accused(init: Init) -> None:
    """WI-74, WI-22: nor one whose broker does, or whose worker is taken over: it asks for all it has under way."""
    centre, most_us = Centre(), 0
    for second in range(HOUR_S):
        centre.now_us = 1 + second * SECOND_US
        sender = devices_sender(init)
        while isinstance(action := sender.next_action(), SendInit):
            centre.say("car-1", action.message, action.message)
            sender.sent(action, centre.now_us)
        most_us = max(most_us, centre.receiver.patience.ahead_us("car-1", centre.now_us))

    assert centre.receiver.beyond == 0
    assert most_us == 2 * MAX_UNDER_WAY * (1 + PRIORITY_BULK) * UNIT_US < AHEAD_US // 100


def test_device_that_is_never_answered_is_not_accused(init: Init) -> None:
    """WI-74, WI-27: it asks again after a second at the earliest, ever more rarely, and gives up; all of it doubled."""
    centre, sender = Centre(), devices_sender(init)
    for _ in range(2000):
        while isinstance(action := sender.next_action(), SendInit):
            centre.say("car-1", action.message, action.message)
            sender.sent(action, centre.now_us)
        due_us = sender.next_tick_us()
        if due_us is None:
            break
        assert due_us >= centre.now_us + LEAST_RETRY_US
        centre.now_us = due_us
        sender.tick(due_us)

    assert sender.under_way == frozenset()
    assert centre.receiver.beyond == 0


def test_device_that_is_put_off_begins_anew_when_a_minute_was_paid_for(init: Init) -> None:
    """WI-74. At the bound and one past it; what it says meanwhile puts that off."""
    centre = Centre()
    centre.begin("car-1", init)
    centre.say("car-1", *[init] * ALLOWED)
    told = []
    for pause_us in (AHEAD_US - AGAIN_US, UNIT_US, 2 * UNIT_US, 3 * UNIT_US):
        centre.now_us += pause_us
        told.append(centre.say("car-1", init))

    assert [refusals(actions) for actions in told] == [[RefuseCode.BUSY]] * 3 + [[]]
    assert isinstance(told[-1][0], Open)


def test_what_comes_a_quarter_more_after_the_refusal_is_counted_for_whoever_cuts() -> None:
    """WI-74. At the bound and past it."""
    patience = Patience()
    quarter = (FAR_US - AHEAD_US) // UNIT_US
    heeded = [patience.charge("car-1", 1, 1) for _ in range(ALLOWED + 1)]
    far = []
    for _ in range(quarter - 3):
        patience.charge("car-1", 1, 1)
    for _ in range(3):
        patience.charge("car-1", 1, 1)
        far.append(dict(patience.take_far()))

    assert heeded[-2:] == [HEARD, LAST]
    assert far == [{}, {"car-1": 1}, {"car-1": 1}]
    assert patience.ahead_us("car-1", 1) == FAR_US


def test_other_devices_are_answered_as_before(init: Init) -> None:
    """WI-74, WI-55."""
    centre = Centre()
    centre.say("car-1", *[init] * (2 * ALLOWED))

    assert dict(centre.receiver.take_far()) == {"car-1": 2 * ALLOWED - FAR_US // UNIT_US + 1}
    answers = centre.store("car-2", replace(init, item=next(iter(items()))))
    assert [one for one in answers if isinstance(one, Send) and isinstance(one.message, Sealed)]
    assert refusals(answers) == [RefuseCode.UNKNOWN_ITEM]  # to the fin that came twice


def test_account_has_a_bound_when_many_devices_come_and_go() -> None:
    """WI-74: one number for each that is ahead."""
    patience, most = Patience(), 0
    for number in range(20_000):
        patience.charge(f"car-{number}", 1, number * UNIT_US)
        most = max(most, len(patience._until))

    assert most <= 1025
