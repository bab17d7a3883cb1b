"""The sender: what goes first, how much is in flight, when it asks again, and what it believes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from sync import sender as device_side
from sync.sender import Done, Sender, SendFin, SendInit, SendPart, Stopped
from vedette import wire
from vedette.clock import FakeClock, uuid7
from vedette.wire import MIN_PART_BYTES, Ack, Fin, Grant, Init, Part, RefuseCode, Sealed

PART = MIN_PART_BYTES
Factory = Callable[..., Any]


def test_sender_puts_a_hit_before_bulk_when_bulk_fills_the_window(one_item: Factory) -> None:
    """WI-30. WI-31: bulk in flight never takes a hit's room."""
    device = one_item(50 * PART)
    device.granted()
    assert len(device.drain()) == device.window
    hit = device.add(b"x" * (PART + 1), priority=0)
    assert [(type(message), message.item) for message in device.drain()] == [
        (Init, hit),
        (Part, hit),
        (Part, hit),
        (Fin, hit),
    ]


def test_sender_takes_the_most_urgent_item_first_when_several_are_offered(device: Any) -> None:
    """WI-30."""
    for number in range(5):
        device.add(bytes([number]), priority=4 - number)
    assert [device.offers[message.item].priority for message in device.drain()] == [0, 1, 2, 3, 4]


def test_sender_has_room_for_urgent_items_when_bulk_takes_all(offer_of: Factory) -> None:
    """WI-31."""
    sender = Sender(lambda item, receipt: None)
    for _ in range(device_side.MAX_UNDER_WAY):
        assert sender.has_room(4)
        sender.offer(offer_of(uuid7(FakeClock()), b"x", priority=4))
    assert not sender.has_room(4)
    assert sender.has_room(3)


@pytest.mark.parametrize(("credit", "expected"), [(0, 0), (1, 1), (3, 3), (4, 4), (1024, 4)])
def test_sender_keeps_the_smaller_of_window_and_credit_in_flight(credit: int, expected: int, one_item: Factory) -> None:
    """WI-25."""
    device = one_item(50 * PART)
    device.granted(credit=credit)
    assert len(device.drain()) == expected


def test_sender_asks_again_and_gives_up_in_the_end_when_nobody_answers(one_item: Factory) -> None:
    """WI-27. WI-28."""
    device = one_item()
    inits, now_us = 0, 1
    while not device.stopped:
        inits += len(device.drain(now_us))
        due_us = device.sender.next_tick_us()
        assert due_us is not None and due_us - now_us <= device_side.MOST_RETRY_US
        now_us = due_us
        assert device.sender.tick(now_us - 1) == []
        device.note(device.sender.tick(now_us))
    assert inits == device_side.MAX_TRIES
    assert device.stopped[0].code is None
    assert now_us > 180_000_000


def test_sender_asks_instead_of_sending_twice_when_an_ack_is_late(one_item: Factory) -> None:
    """WI-27: a slow link is not answered with more traffic."""
    device = one_item(50 * PART)
    item = device.granted()
    assert len(device.drain()) == 4
    device.note(device.sender.tick(60_000_001))
    assert [type(message) for message in device.drain(60_000_001)] == [Init]
    grant = Grant(item=item, worker="w1", part_size=PART, have=((0, 3),), credit=32, lease_s=60)
    device.note(device.sender.receive(grant, 60_000_002))
    assert [message.index for message in device.drain() if isinstance(message, Part)] == [4, 5, 6, 7]


def test_sender_keeps_its_patience_when_an_answer_may_be_to_the_first_or_the_second_try(one_item: Factory) -> None:
    """WI-27: Karn's rule; a part sent twice measures nothing."""
    device = one_item(50 * PART)
    item = device.granted()
    device.drain()
    device.note(device.sender.tick(60_000_000))
    device.drain(60_000_000)
    patience_us = device.sender.next_tick_us() - 60_000_000
    grant = Grant(item=item, worker="w1", part_size=PART, have=(), credit=32, lease_s=60)
    device.note(device.sender.receive(grant, 90_000_000))
    device.drain(90_000_000)
    device.note(device.sender.receive(Ack(item=item, ranges=((0, 3),), credit=32), 90_000_001))
    device.drain(90_000_001)
    assert device.sender.next_tick_us() - 90_000_001 == patience_us
    device.note(device.sender.receive(Ack(item=item, ranges=((0, 7),), credit=32), 90_000_002))
    device.drain(90_000_002)
    assert device.sender.next_tick_us() - 90_000_002 < patience_us


def test_sender_believes_the_grant_when_the_centre_has_less_than_it_acknowledged(one_item: Factory) -> None:
    """WI-22. WI-24: the centre threw bytes away that did not match."""
    device = one_item(4 * PART)
    item = device.granted()
    device.drain()
    device.note(device.sender.receive(Ack(item=item, ranges=((0, 3),), credit=32), 2))
    device.note(device.sender.receive(wire.Refuse(item=item, code=RefuseCode.UNKNOWN_ITEM, text=""), 3))
    assert [type(message) for message in device.drain(3)] == [Init]
    grant = Grant(item=item, worker="w1", part_size=PART, have=((1, 1),), credit=32, lease_s=60)
    device.note(device.sender.receive(grant, 4))
    assert [message.index for message in device.drain(4) if isinstance(message, Part)] == [0, 2, 3]


def test_sender_asks_ever_more_rarely_and_counts_no_failure_when_nobody_hears_its_init(one_item: Factory) -> None:
    """WI-29."""
    device, now_us, waits = one_item(), 1, []
    for _ in range(3 * device_side.MAX_TRIES):
        assert [type(message) for message in device.drain(now_us)] == [Init]
        device.sender.unheard(now_us)
        waits.append(device.sender.next_tick_us() - now_us)
        now_us += waits[-1]
        device.note(device.sender.tick(now_us))
    assert device.stopped == []
    assert waits[:5] == [seconds * 1_000_000 for seconds in (2, 4, 8, 16, 30)]
    assert set(waits[5:]) == {device_side.MOST_UNHEARD_RETRY_US}


def deaf(device: Any, now_us: int) -> tuple[int, list[str]]:
    """Whatever it says now is heard by nobody; when it has something to do again, and which items it asked for."""
    asked = [message.item for message in device.drain(now_us)]
    device.sender.unheard(now_us)
    now_us = device.sender.next_tick_us()
    device.note(device.sender.tick(now_us))
    return now_us, asked


def test_sender_asks_with_its_most_urgent_item_only_while_nobody_hears_it(device: Any) -> None:
    """WI-29: what a metered network is spared; a hit that is new asks once and then goes first."""
    first, second = device.add(b"a", priority=3), device.add(b"b", priority=4)
    now_us, asked = deaf(device, 1)
    assert asked == [first, second]
    for _ in range(5):
        now_us, asked = deaf(device, now_us)
        assert asked == [first]
    hit = device.add(b"c", priority=0)
    now_us, asked = deaf(device, now_us)
    assert asked == [hit, first]
    assert deaf(device, now_us)[1] == [hit]


@pytest.mark.parametrize("code", [RefuseCode.BUSY, RefuseCode.UNKNOWN_ITEM])
def test_sender_asks_for_everything_when_the_centre_is_heard_again(code: RefuseCode, device: Any) -> None:
    """WI-29: whatever it says, there is somebody."""
    first, second, third = (device.add(b"a", priority=number) for number in (1, 3, 4))
    now_us, _ = deaf(device, 1)
    now_us, _ = deaf(device, now_us)
    assert [message.item for message in device.drain(now_us)] == [first]
    device.note(device.sender.receive(wire.Refuse(item=first, code=code, text=""), now_us))
    assert {message.item for message in device.drain(now_us)} >= {second, third}
    device.sender.unheard(now_us)
    assert device.sender.next_tick_us() == now_us + device_side.UNHEARD_RETRY_US


def test_sender_spends_little_in_a_day_in_which_nobody_hears_it(device: Any) -> None:
    """WI-29: 2,884 questions instead of 172,800."""
    for number in range(4):
        device.add(b"x", priority=number + 1)
    questions, now_us = 0, 1
    while now_us < 86_400_000_000:
        now_us, asked = deaf(device, now_us)
        questions += len(asked)
    assert 2_800 < questions < 2_900
    assert device.stopped == []


def test_sender_asks_at_once_when_its_worker_is_gone(one_item: Factory) -> None:
    """WI-29."""
    device = one_item()
    device.granted()
    device.drain()
    device.sender.undelivered("another")
    assert device.drain() == []
    device.sender.undelivered("w1")
    assert [type(message) for message in device.drain()] == [Init]


@pytest.mark.parametrize("code", [code for code in RefuseCode if code is not RefuseCode.UNKNOWN_ITEM])
def test_sender_stops_an_item_and_keeps_the_reason_when_it_is_refused(code: RefuseCode, one_item: Factory) -> None:
    """WI-28."""
    device = one_item()
    item = device.granted()
    outcomes = device.sender.receive(wire.Refuse(item=item, code=code, text="because"), 2)
    assert outcomes == [Stopped(item=item, code=code, text="because")]
    assert device.sender.under_way == frozenset()


def test_sender_ignores_ranges_when_they_lie_outside_the_item(one_item: Factory) -> None:
    """WI-26."""
    device = one_item(2 * PART)
    item = device.granted(have=((0, 2),))
    assert device.drain() == []
    device.note(device.sender.receive(Grant(item=item, worker="w1", part_size=PART, have=(), credit=9, lease_s=9), 2))
    device.note(device.sender.receive(Ack(item=item, ranges=((1, 2),), credit=9), 2))
    assert [type(message) for message in device.drain()] == [Part, Part, Fin]


def test_sender_accepts_a_receipt_when_it_had_given_up_the_item(one_item: Factory) -> None:
    """WI-26: a right receipt is right whenever it comes."""
    device = one_item()
    item = device.granted()
    device.sender.drop(item)
    receipt = device.receipt(item)
    assert device.sender.receive(Sealed(item=item, receipt=receipt), 9) == [Done(item=item, receipt=receipt)]


def test_retry_time_follows_the_link_when_answers_are_measured() -> None:
    """WI-27."""
    retry = device_side.RetryTime()
    retry.measured(8_000_000)
    assert retry.us == 24_000_000
    for _ in range(50):
        retry.measured(20_000)
    assert retry.us == device_side.LEAST_RETRY_US
    for _ in range(10):
        retry.silence()
    assert retry.us == device_side.MOST_RETRY_US


def test_sender_names_what_it_sends_when_asked_for_the_next_action(one_item: Factory) -> None:
    """WI-20."""
    device = one_item(PART + 3)
    first = device.sender.next_action()
    assert isinstance(first, SendInit)
    item = device.granted()
    parts = [device.sender.next_action()]
    device.sender.sent(parts[0], 1)
    parts.append(device.sender.next_action())
    device.sender.sent(parts[1], 1)
    assert parts == [
        SendPart(item=item, index=0, offset=0, length=PART, worker="w1", bulk=True),
        SendPart(item=item, index=1, offset=PART, length=3, worker="w1", bulk=True),
    ]
    assert isinstance(device.sender.next_action(), SendFin)


def test_sender_renews_its_lease_and_fails_no_item_when_it_has_no_credit(one_item: Factory) -> None:
    """WI-57: an hour without room is a centre that is full, and no reason to give the item up."""
    device, now_us = one_item(50 * PART), 1
    item = device.granted(credit=0)
    for _ in range(500):
        assert device.drain(now_us) == []
        assert device.sender.next_tick_us() - now_us <= device_side.CREDIT_WAIT_US
        now_us = device.sender.next_tick_us()
        device.note(device.sender.tick(now_us))
        assert [type(message) for message in device.drain(now_us)] == [Init]
        grant = Grant(item=item, worker="w1", part_size=PART, have=(), credit=0, lease_s=30)
        device.note(device.sender.receive(grant, now_us))
    assert device.stopped == []
    device.note(device.sender.receive(Ack(item=item, ranges=(), credit=2), now_us))
    assert [message.index for message in device.drain(now_us)] == [0, 1]


def test_sender_asks_before_half_of_a_short_lease_is_over(one_item: Factory) -> None:
    """WI-57."""
    device = one_item(50 * PART)
    item = next(iter(device.files))
    device.drain(1)
    device.note(device.sender.receive(Grant(item=item, worker="w1", part_size=PART, have=(), credit=0, lease_s=4), 1))
    assert device.sender.next_tick_us() == 1 + 2_000_000


def test_sender_asks_again_for_what_was_on_the_connection_for_bulk_when_that_is_lost(one_item: Factory) -> None:
    """WI-59: and a hit, which travels on the other one, goes on."""
    device = one_item(50 * PART)
    bulk = device.granted()
    device.drain()
    hit = device.add(b"x" * (PART + 1), priority=0)
    assert [message.item for message in device.drain(2)] == [hit] * 4
    device.sender.lost_bulk()
    assert [(type(message), message.item) for message in device.drain(3)] == [(Init, bulk)]


def test_sender_drops_bulk_and_keeps_the_rest_when_the_network_is_not_for_it(one_item: Factory) -> None:
    """WI-61: by the priority of the manifest, whatever its age has made of it."""
    device = one_item(50 * PART)
    bulk = device.granted()
    marked = device.add(b"m" * PART, priority=3)
    assert device.sender.stop_from(4) == [bulk]
    assert device.sender.under_way == frozenset({marked})


def test_sender_sends_an_old_item_before_a_younger_one_of_its_kind(offer_of: Factory) -> None:
    """WI-65."""
    sender = Sender(lambda item, receipt: None)
    young, old = (offer_of(uuid7(FakeClock()), b"x", priority=4) for _ in range(2))
    sender.offer(young)
    sender.offer(replace(old, rank=3))
    first = sender.next_action()
    assert isinstance(first, SendInit)
    assert (first.message.item, first.message.priority) == (old.item, 4)


def hit_behind_bulk(one_item: Factory, size: int = PART + 1, priority: int = 0) -> tuple[Any, str]:
    """A device with bulk under way at worker w1, and a new item."""
    device = one_item(50 * PART)
    device.granted()
    device.drain()
    return device, device.add(b"x" * size, priority)


def grant_of(item: str, *, worker: str = "w1", credit: int = 9, have: wire.Ranges = (), part_size: int = PART) -> Grant:
    return Grant(item=item, worker=worker, part_size=part_size, have=have, credit=credit, lease_s=60)


@pytest.mark.parametrize(
    ("size", "priority", "eager"),
    [
        (1, 0, True),
        (device_side.EAGER_PARTS * PART, 2, True),
        (device_side.EAGER_PARTS * PART + 1, 0, False),
        (1, 3, False),
        (1, 4, False),
    ],
)
def test_sender_sends_a_small_urgent_item_behind_its_init_without_waiting(
    size: int, priority: int, eager: bool, one_item: Factory
) -> None:
    """WI-67: one answer time instead of two, which on a slow link is what a hit takes."""
    device, item = hit_behind_bulk(one_item, size, priority)
    sent = [type(message) for message in device.drain(2) if message.item == item]
    assert sent[0] is Init
    assert (sent[-1] is Fin) is eager


def test_sender_does_not_send_again_what_went_before_the_grant(one_item: Factory) -> None:
    """WI-67. WI-23."""
    device, hit = hit_behind_bulk(one_item)
    device.drain(2)
    device.note(device.sender.receive(grant_of(hit), 3))
    assert device.drain(3) == []
    device.note(device.sender.receive(Ack(item=hit, ranges=((0, 1),), credit=0), 4))
    assert device.drain(4) == []


@pytest.mark.parametrize(
    "grant",
    [{"worker": "w2"}, {"credit": 1}, {"part_size": 2 * PART}],
    ids=["other worker", "less credit", "other parts"],
)
def test_sender_begins_anew_when_the_grant_is_not_what_it_went_by(grant: dict[str, Any], one_item: Factory) -> None:
    """WI-67. WI-25."""
    device, hit = hit_behind_bulk(one_item)
    device.drain(2)
    device.note(device.sender.receive(grant_of(hit, **grant), 3))
    first = device.drain(3)[0]
    assert isinstance(first, Part) and (first.item, first.index) == (hit, 0)


def test_sender_waits_for_the_grant_when_its_worker_did_not_know_the_item(one_item: Factory) -> None:
    """WI-67. WI-22: the parts were there before the init."""
    device, hit = hit_behind_bulk(one_item)
    device.drain(2)
    device.note(device.sender.receive(wire.Refuse(item=hit, code=RefuseCode.UNKNOWN_ITEM, text=""), 3))
    assert device.drain(3) == []
    device.note(device.sender.receive(grant_of(hit), 4))
    assert [type(message) for message in device.drain(4)] == [Part, Part, Fin]


def test_sender_is_eager_only_while_one_worker_grants_all(one_item: Factory) -> None:
    """WI-67: where several share the inits, whoever gets it is not known before."""
    device, hit = hit_behind_bulk(one_item)
    device.drain(2)
    device.note(device.sender.receive(grant_of(hit, worker="w2"), 3))
    device.drain(3)
    second = device.add(b"y", priority=0)
    assert [type(message) for message in device.drain(4) if message.item == second] == [Init]
    device.sender.undelivered("w1")
    device.drain(5)
    third = device.add(b"z", priority=0)
    assert [type(message) for message in device.drain(6) if message.item == third] == [Init, Part, Fin]


def test_sender_asks_once_more_and_waits_when_an_eager_item_was_lost(one_item: Factory) -> None:
    """WI-67. WI-27: it is tried once; after silence there is no more traffic than before."""
    device, hit = hit_behind_bulk(one_item)
    device.drain(2)
    device.note(device.sender.tick(120_000_000))
    assert [type(message) for message in device.drain(120_000_000) if message.item == hit] == [Init]
