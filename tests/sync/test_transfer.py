"""Sender and Receiver over a network that loses, doubles, delays, reorders, forges and restarts both sides."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync import receiver as centre_side
from sync import sender as device_side
from sync.parts import PartSet
from sync.sender import BadReceipt, Done, Offer, Outcome, Sender, SendFin, SendInit, SendPart, Stopped
from sync.transfer import Receiver
from vedette import wire
from vedette.clock import FakeClock, uuid7
from vedette.errors import Integrity, NotTrusted
from vedette.wire import MIN_PART_BYTES, Ack, Fin, Grant, Init, Part, RefuseCode, Sealed

PART = MIN_PART_BYTES
SIZES = (1, PART - 1, PART, PART + 1, 2 * PART, 5 * PART + 17)


def receipt_for(item: str, payload: bytes) -> bytes:
    """Stands for the signed record: binds item and bytes, and cannot be guessed by the network below."""
    return b"receipt:" + item.encode() + hashlib.sha256(b"centre's key" + payload).digest()


@dataclass
class Device:
    """A device's shell: files by item, a sender that may be replaced at any moment."""

    files: dict[str, bytes]
    offers: dict[str, Offer]
    receipts: dict[str, bytes] = field(default_factory=dict)
    bad: list[BadReceipt] = field(default_factory=list)
    stopped: list[Stopped] = field(default_factory=list)
    sender: Sender = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.sender = Sender(self.check, part_size=PART)
        self.offer_all()

    def offer_all(self) -> None:
        for item in sorted(set(self.offers) - set(self.receipts)):
            self.sender.offer(self.offers[item])

    def check(self, item: str, receipt: bytes) -> None:
        if item not in self.files or receipt != receipt_for(item, self.files[item]):
            raise NotTrusted(f"item {item}: not the centre's receipt")

    def note(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            match outcome:
                case Done():
                    self.receipts[outcome.item] = outcome.receipt
                case BadReceipt():
                    self.bad.append(outcome)
                case Stopped():
                    self.stopped.append(outcome)
        self.offer_all()

    def next_message(self, now_us: int) -> Init | Fin | Part | None:
        action = self.sender.next_action()
        if action is None:
            return None
        self.sender.sent(action, now_us)
        if isinstance(action, SendPart):
            payload = self.files[action.item][action.offset : action.offset + action.length]
            return Part(item=action.item, index=action.index, payload=payload)
        return action.message


@dataclass
class Centre:
    """A centre's shell: what is synced survives a restart, what is only written does not."""

    worker: int = 0
    cache: dict[str, dict[int, bytes]] = field(default_factory=dict)
    disk: dict[str, dict[int, bytes]] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)
    seals: int = 0
    receiver: Receiver = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.worker += 1
        self.cache.clear()
        self.receiver = Receiver(worker=f"w{self.worker}", budget_bytes=64 * PART, part_size=PART)

    def work(self, actions: Iterable[centre_side.Action]) -> list[wire.FromCentre]:
        sent: list[wire.FromCentre] = []
        queue = list(actions)
        while queue:
            action = queue.pop(0)
            match action:
                case centre_side.Send():
                    sent.append(action.message)
                case centre_side.Open():
                    queue += self.open(action)
                case centre_side.Write():
                    self.cache.setdefault(action.item, {})[action.index] = action.payload
                case centre_side.Sync():
                    self.disk.setdefault(action.item, {}).update(self.cache.pop(action.item))
                    queue += self.receiver.synced(action.device, action.item)
                case centre_side.Seal():
                    queue += self.seal(action)
                case centre_side.Forget():
                    self.cache.pop(action.item, None)
        return sent

    def open(self, action: centre_side.Open) -> list[centre_side.Action]:
        item = action.init.item
        if item in self.stored:
            return self.receiver.stored(action.device, item, receipt_for(item, self.stored[item]))
        have = PartSet(wire.parts_of(action.init.size, action.part_size))
        for index in self.disk.get(item, {}):
            have.add(index)
        return self.receiver.opened(action.device, item, part_size=action.part_size, have=have.ranges)

    def seal(self, action: centre_side.Seal) -> list[centre_side.Action]:
        item = action.init.item
        parts = self.disk.pop(item)
        whole = b"".join(parts[index] for index in sorted(parts))
        if hashlib.sha256(whole).hexdigest() != action.init.sha256:
            return self.receiver.refuse(action.device, item, RefuseCode.MISMATCH, "other bytes than the manifest says")
        assert item not in self.stored
        self.seals += 1
        self.stored[item] = whole
        return self.receiver.stored(action.device, item, receipt_for(item, whole))


@dataclass
class Network:
    """Messages under way in both directions, as bytes; the adversary decides their fate."""

    rng: random.Random
    device: Device
    centre: Centre
    loss: float = 0.2
    double: float = 0.1
    damage: float = 0.02
    restarts: float = 0.01
    now_us: int = 1
    up: list[tuple[str, bytes]] = field(default_factory=list)
    down: list[tuple[str, bytes]] = field(default_factory=list)

    def carry(self, queue: list[tuple[str, bytes]], message: wire.Message) -> None:
        payload = message.encode()
        if self.rng.random() < self.damage:
            at = self.rng.randrange(len(payload))
            payload = payload[:at] + bytes([payload[at] ^ 1 << self.rng.randrange(8)]) + payload[at + 1 :]
        copies = 0 if self.rng.random() < self.loss else 2 if self.rng.random() < self.double else 1
        queue += [(message.name, payload)] * copies

    def take(self, queue: list[tuple[str, bytes]]) -> wire.Message | None:
        if not queue:
            return None
        name, payload = queue.pop(self.rng.randrange(len(queue)))
        try:
            return wire.decode(name, payload)
        except Integrity:
            return None

    def turn(self) -> None:
        """One moment: both sides work, one message arrives on each, time passes."""
        self.now_us += self.rng.choice((1, 1_000, 400_000))
        self.device.note(self.device.sender.tick(self.now_us))
        for _ in range(self.rng.randrange(4)):
            message = self.device.next_message(self.now_us)
            if message is not None:
                self.carry(self.up, message)
        arrived = self.take(self.up)
        if isinstance(arrived, (Init, Part, Fin)):
            self.answer(self.centre.receiver.receive("car-1", arrived, self.now_us))
        if self.rng.random() < 0.5:
            self.answer(self.centre.receiver.flush())
        self.answer(self.centre.receiver.expire(self.now_us))
        reply = self.take(self.down)
        if isinstance(reply, (Grant, Ack, Sealed, wire.Refuse)):
            self.device.note(self.device.sender.receive(reply, self.now_us))
        if self.rng.random() < self.restarts:
            self.rng.choice((self.device.restart, self.centre.restart))()

    def answer(self, actions: list[centre_side.Action]) -> None:
        for message in self.centre.work(actions):
            self.carry(self.down, message)

    def forge(self) -> None:
        """Foreign messages that are well formed: claims about known and unknown items."""
        item = self.rng.choice([*self.device.files, uuid7(FakeClock())])
        foreign: list[wire.FromCentre] = [
            Sealed(item=item, receipt=self.rng.randbytes(40)),
            Sealed(item=item, receipt=receipt_for(item, b"other bytes")),
            Ack(item=item, ranges=((0, 70),), credit=3),
            Grant(item=item, worker="thief", part_size=PART, have=((900, 901),), credit=1, lease_s=1),
        ]
        self.carry(self.down, self.rng.choice(foreign))

    def run(self, turns: int = 40_000) -> None:
        for _ in range(turns):
            if len(self.device.receipts) == len(self.device.files):
                return
            self.turn()
        raise AssertionError(f"not done after {turns} turns: {self.device.sender.under_way}")


def offer_of(item: str, payload: bytes, priority: int = 4) -> Offer:
    return Offer(
        item=item,
        kind="segment",
        size=len(payload),
        sha256=hashlib.sha256(payload).hexdigest(),
        priority=priority,
        manifest=b"manifest of " + item.encode(),
    )


def network(seed: int, sizes: Iterable[int] = SIZES, **faults: float) -> Network:
    rng = random.Random(seed)
    files = {uuid7(FakeClock()): rng.randbytes(size) for size in sizes}
    offers = {item: offer_of(item, payload, rng.randrange(5)) for item, payload in files.items()}
    return Network(rng=rng, device=Device(files, offers), centre=Centre(), **faults)


def drain(device: Device, now_us: int = 1) -> list[Init | Fin | Part]:
    messages: list[Init | Fin | Part] = []
    while (message := device.next_message(now_us)) is not None:
        messages.append(message)
    return messages


def one_item(size: int = 6 * PART, priority: int = 4) -> Device:
    item = uuid7(FakeClock())
    payload = random.Random(size).randbytes(size)
    return Device({item: payload}, {item: offer_of(item, payload, priority)})


def granted(device: Device, credit: int = 32, have: wire.Ranges = (), now_us: int = 1) -> str:
    item = next(iter(device.files))
    device.next_message(now_us)
    grant = Grant(item=item, worker="w1", part_size=PART, have=have, credit=credit, lease_s=60)
    device.note(device.sender.receive(grant, now_us))
    return item


@pytest.mark.parametrize("block", range(10))
def test_transfer_completes_with_right_bytes_when_the_network_is_hostile(block: int) -> None:
    """WI-20. WI-21. WI-24. Two thousand schedules in all."""
    for seed in range(block * 200, block * 200 + 200):
        net = network(seed, sizes=(1, PART, 2 * PART + 5))
        net.run()
        assert net.centre.stored == net.device.files
        assert net.centre.seals == len(net.device.files)


@pytest.mark.parametrize("seed", range(12))
def test_transfer_completes_when_half_is_lost_and_both_sides_restart_all_the_time(seed: int) -> None:
    """WI-21. WI-22."""
    net = network(seed, loss=0.5, restarts=0.03)
    net.run()
    assert net.centre.stored == net.device.files


@pytest.mark.parametrize("seed", range(12))
def test_transfer_believes_nothing_foreign_when_messages_are_forged(seed: int) -> None:
    """WI-26."""
    net = network(seed, loss=0.1)
    for _ in range(500):
        net.forge()
        net.turn()
    net.run()
    assert net.centre.stored == net.device.files
    assert net.device.bad


def test_transfer_never_ends_when_no_receipt_is_right() -> None:
    """WI-26: safety does not depend on the centre's word."""
    net = network(1, restarts=0.0)
    net.device.check = lambda item, receipt: (_ for _ in ()).throw(NotTrusted("never"))  # type: ignore[method-assign]
    net.device.restart()
    for _ in range(3000):
        net.turn()
    assert net.device.receipts == {}
    assert net.device.bad


@pytest.mark.parametrize("size", SIZES)
def test_transfer_sends_every_part_once_when_nothing_is_lost(size: int) -> None:
    """WI-23."""
    net = network(size, sizes=(size,), loss=0.0, double=0.0, damage=0.0, restarts=0.0)
    sent: list[wire.Message] = []
    carry = net.carry
    net.carry = lambda queue, message: (sent.append(message), carry(queue, message))  # type: ignore[method-assign]
    net.run()
    indexes = [message.index for message in sent if isinstance(message, Part)]
    assert sorted(indexes) == list(range(wire.parts_of(size, PART)))


def test_transfer_sends_only_what_is_missing_when_both_sides_restarted() -> None:
    """WI-22."""
    device, centre = one_item(6 * PART), Centre()
    for message in drain(device):
        centre.work(centre.receiver.receive("car-1", message, 1))
    item = next(iter(device.files))
    centre.disk[item] = {0: device.files[item][:PART], 3: device.files[item][3 * PART : 4 * PART]}
    device.restart()
    centre.restart()
    (init,) = drain(device)
    for answer in centre.work(centre.receiver.receive("car-1", init, 2)):
        device.note(device.sender.receive(answer, 2))
    assert [message.index for message in drain(device) if isinstance(message, Part)] == [1, 2, 4, 5]


def test_sender_puts_a_hit_before_bulk_when_bulk_fills_the_window() -> None:
    """WI-30. WI-31: bulk in flight never takes a hit's room."""
    device = one_item(50 * PART)
    granted(device)
    assert len(drain(device)) == device_side.WINDOW_PARTS
    hit, payload = uuid7(FakeClock()), b"x" * (PART + 1)
    device.files[hit], device.offers[hit] = payload, offer_of(hit, payload, priority=0)
    device.offer_all()
    (init,) = drain(device)
    device.note(device.sender.receive(Grant(item=hit, worker="w1", part_size=PART, have=(), credit=9, lease_s=9), 2))
    assert [(type(message), message.item) for message in [init, *drain(device)]] == [
        (Init, hit),
        (Part, hit),
        (Part, hit),
        (Fin, hit),
    ]


def test_sender_takes_the_most_urgent_item_first_when_several_are_offered() -> None:
    """WI-30."""
    files = {uuid7(FakeClock()): bytes([n]) for n in range(5)}
    offers = {item: offer_of(item, payload, priority=4 - payload[0]) for item, payload in files.items()}
    device = Device(files, offers)
    assert [device.offers[message.item].priority for message in drain(device)] == [0, 1, 2, 3, 4]


def test_sender_has_room_for_urgent_items_when_bulk_takes_all() -> None:
    """WI-31."""
    sender = Sender(lambda item, receipt: None)
    for _ in range(device_side.MAX_UNDER_WAY):
        assert sender.has_room(4)
        sender.offer(offer_of(uuid7(FakeClock()), b"x", priority=4))
    assert not sender.has_room(4)
    assert sender.has_room(3)


@pytest.mark.parametrize(("credit", "expected"), [(0, 0), (1, 1), (3, 3), (4, 4), (1024, 4)])
def test_sender_keeps_the_smaller_of_window_and_credit_in_flight(credit: int, expected: int) -> None:
    """WI-25."""
    device = one_item(50 * PART)
    granted(device, credit=credit)
    assert len(drain(device)) == expected


def test_sender_asks_again_and_gives_up_in_the_end_when_nobody_answers() -> None:
    """WI-27. WI-28."""
    device = one_item()
    inits, now_us = 0, 1
    while not device.stopped:
        inits += len(drain(device, now_us))
        due_us = device.sender.next_tick_us()
        assert due_us is not None and due_us - now_us <= device_side.MOST_RETRY_US
        now_us = due_us
        assert device.sender.tick(now_us - 1) == []
        device.note(device.sender.tick(now_us))
    assert inits == device_side.MAX_TRIES
    assert device.stopped[0].code is None
    assert now_us > 180_000_000


def test_sender_asks_instead_of_sending_twice_when_an_ack_is_late() -> None:
    """WI-27: a slow link is not answered with more traffic."""
    device = one_item(50 * PART)
    item = granted(device)
    assert len(drain(device)) == 4
    device.note(device.sender.tick(60_000_001))
    assert [type(message) for message in drain(device, 60_000_001)] == [Init]
    grant = Grant(item=item, worker="w1", part_size=PART, have=((0, 3),), credit=32, lease_s=60)
    device.note(device.sender.receive(grant, 60_000_002))
    assert [message.index for message in drain(device) if isinstance(message, Part)] == [4, 5, 6, 7]


def test_sender_keeps_its_patience_when_an_answer_may_be_to_the_first_or_the_second_try() -> None:
    """WI-27: Karn's rule; a part sent twice measures nothing."""
    device = one_item(50 * PART)
    item = granted(device)
    drain(device)
    device.note(device.sender.tick(60_000_000))
    drain(device, 60_000_000)
    patience_us = device.sender.next_tick_us() - 60_000_000
    grant = Grant(item=item, worker="w1", part_size=PART, have=(), credit=32, lease_s=60)
    device.note(device.sender.receive(grant, 90_000_000))
    drain(device, 90_000_000)
    device.note(device.sender.receive(Ack(item=item, ranges=((0, 3),), credit=32), 90_000_001))
    drain(device, 90_000_001)
    assert device.sender.next_tick_us() - 90_000_001 == patience_us
    device.note(device.sender.receive(Ack(item=item, ranges=((0, 7),), credit=32), 90_000_002))
    drain(device, 90_000_002)
    assert device.sender.next_tick_us() - 90_000_002 < patience_us


def test_sender_believes_the_grant_when_the_centre_has_less_than_it_acknowledged() -> None:
    """WI-22. WI-24: the centre threw bytes away that did not match."""
    device = one_item(4 * PART)
    item = granted(device)
    drain(device)
    device.note(device.sender.receive(Ack(item=item, ranges=((0, 3),), credit=32), 2))
    device.note(device.sender.receive(wire.Refuse(item=item, code=RefuseCode.UNKNOWN_ITEM, text=""), 3))
    assert [type(message) for message in drain(device, 3)] == [Init]
    grant = Grant(item=item, worker="w1", part_size=PART, have=((1, 1),), credit=32, lease_s=60)
    device.note(device.sender.receive(grant, 4))
    assert [message.index for message in drain(device, 4) if isinstance(message, Part)] == [0, 2, 3]


def test_sender_does_not_count_it_as_a_failure_when_nobody_hears_its_init() -> None:
    """WI-29."""
    device, now_us = one_item(), 1
    for _ in range(3 * device_side.MAX_TRIES):
        assert [type(message) for message in drain(device, now_us)] == [Init]
        device.sender.unheard(now_us)
        now_us = device.sender.next_tick_us()
        device.note(device.sender.tick(now_us))
    assert device.stopped == []
    assert now_us == 1 + 3 * device_side.MAX_TRIES * device_side.UNHEARD_RETRY_US


def test_sender_asks_at_once_when_its_worker_is_gone() -> None:
    """WI-29."""
    device = one_item()
    granted(device)
    drain(device)
    device.sender.undelivered("another")
    assert drain(device) == []
    device.sender.undelivered("w1")
    assert [type(message) for message in drain(device)] == [Init]


@pytest.mark.parametrize("code", [code for code in RefuseCode if code is not RefuseCode.UNKNOWN_ITEM])
def test_sender_stops_an_item_and_keeps_the_reason_when_it_is_refused(code: RefuseCode) -> None:
    """WI-28."""
    device = one_item()
    item = granted(device)
    outcomes = device.sender.receive(wire.Refuse(item=item, code=code, text="because"), 2)
    assert outcomes == [Stopped(item=item, code=code, text="because")]
    assert device.sender.under_way == frozenset()


def test_sender_ignores_ranges_when_they_lie_outside_the_item() -> None:
    """WI-26."""
    device = one_item(2 * PART)
    item = granted(device, have=((0, 2),))
    assert drain(device) == []
    device.note(device.sender.receive(Grant(item=item, worker="w1", part_size=PART, have=(), credit=9, lease_s=9), 2))
    device.note(device.sender.receive(Ack(item=item, ranges=((1, 2),), credit=9), 2))
    assert [type(message) for message in drain(device)] == [Part, Part, Fin]


def test_sender_accepts_a_receipt_when_it_had_given_up_the_item() -> None:
    """WI-26: a right receipt is right whenever it comes."""
    device = one_item()
    item = granted(device)
    device.sender.drop(item)
    receipt = receipt_for(item, device.files[item])
    assert device.sender.receive(Sealed(item=item, receipt=receipt), 9) == [Done(item=item, receipt=receipt)]


def test_receiver_refuses_bytes_and_starts_anew_when_the_file_is_not_what_the_manifest_says() -> None:
    """WI-24."""
    net = network(3, sizes=(3 * PART,), loss=0.0, damage=0.0, restarts=0.0)
    item = next(iter(net.device.files))
    net.device.files[item] = b"y" + net.device.files[item][1:]
    for _ in range(400):
        net.turn()
    assert net.centre.stored == {}
    assert {one.code for one in net.device.stopped} == {RefuseCode.MISMATCH}


def test_receiver_asks_for_init_when_parts_come_for_an_item_it_does_not_know() -> None:
    """WI-22."""
    centre = Centre()
    item = uuid7(FakeClock())
    (answer,) = centre.work(centre.receiver.receive("car-1", Part(item=item, index=0, payload=b"x"), 1))
    assert isinstance(answer, wire.Refuse) and answer.code is RefuseCode.UNKNOWN_ITEM


def test_receiver_keeps_devices_apart_when_two_name_one_item() -> None:
    """WI-3."""
    device, centre = one_item(), Centre()
    (init,) = drain(device)
    centre.work(centre.receiver.receive("car-1", init, 1))
    part = Part(item=init.item, index=0, payload=bytes(PART))
    (answer,) = centre.work(centre.receiver.receive("car-2", part, 1))
    assert isinstance(answer, wire.Refuse) and answer.code is RefuseCode.UNKNOWN_ITEM
    assert centre.cache == {}


def test_receiver_refuses_another_manifest_when_the_item_is_under_way() -> None:
    """WI-24."""
    device, centre = one_item(), Centre()
    (init,) = drain(device)
    centre.work(centre.receiver.receive("car-1", init, 1))
    other = Init(**{**vars(init), "manifest": b"another"})
    (answer,) = centre.work(centre.receiver.receive("car-1", other, 1))
    assert isinstance(answer, wire.Refuse) and answer.code is RefuseCode.CONFLICT


@pytest.mark.parametrize(("index", "size"), [(0, PART - 1), (0, PART + 1), (1, 2), (2, 1), (65_535, 1)])
def test_receiver_writes_nothing_when_a_part_is_not_of_its_item(index: int, size: int) -> None:
    """WI-24."""
    device, centre = one_item(PART + 1), Centre()
    (init,) = drain(device)
    centre.work(centre.receiver.receive("car-1", init, 1))
    answers = centre.work(centre.receiver.receive("car-1", Part(item=init.item, index=index, payload=bytes(size)), 1))
    assert [type(answer) for answer in answers] == [Grant]
    assert centre.cache == {}


def test_receiver_acknowledges_only_after_the_sync() -> None:
    """WI-23: never before the bytes are durable, and again when the ack was lost."""
    device, centre = one_item(2 * PART), Centre()
    (init,) = drain(device)
    centre.work(centre.receiver.receive("car-1", init, 1))
    part = Part(item=init.item, index=0, payload=device.files[init.item][:PART])
    assert centre.work(centre.receiver.receive("car-1", part, 1)) == []
    (sync,) = centre.receiver.flush()
    assert isinstance(sync, centre_side.Sync) and sync.parts == ((0, 0),)
    (ack,) = centre.work([sync])
    assert isinstance(ack, Ack) and ack.ranges == ((0, 0),)
    centre.work(centre.receiver.receive("car-1", part, 1))
    assert centre.work(centre.receiver.flush()) == [ack]


def test_receiver_grants_only_what_is_durable_when_it_is_asked_between_write_and_sync() -> None:
    """WI-22. WI-23: after the sync, so that what was just written is not sent again; never before it."""
    device, centre = one_item(3 * PART), Centre()
    (init,) = drain(device)
    centre.work(centre.receiver.receive("car-1", init, 1))
    part = Part(item=init.item, index=1, payload=device.files[init.item][PART : 2 * PART])
    centre.work(centre.receiver.receive("car-1", part, 1))
    (early,) = centre.work(centre.receiver.receive("car-1", Part(item=init.item, index=9, payload=b"x"), 1))
    assert isinstance(early, Grant) and early.have == ()
    assert centre.work(centre.receiver.receive("car-1", init, 1)) == []
    (grant,) = centre.work(centre.receiver.flush())
    assert isinstance(grant, Grant) and grant.have == ((1, 1),)


def test_receiver_does_not_seal_when_the_fin_names_another_hash() -> None:
    """WI-24."""
    device, centre = one_item(PART), Centre()
    (init,) = drain(device)
    centre.work(centre.receiver.receive("car-1", init, 1))
    part = Part(item=init.item, index=0, payload=device.files[init.item])
    centre.work(centre.receiver.receive("car-1", part, 1))
    centre.work(centre.receiver.flush())
    (answer,) = centre.work(centre.receiver.receive("car-1", Fin(item=init.item, sha256="0" * 64), 1))
    assert isinstance(answer, wire.Refuse) and answer.code is RefuseCode.CONFLICT
    assert centre.stored == {}


def test_receiver_shares_its_budget_when_many_uploads_are_under_way() -> None:
    """WI-25."""
    receiver = Receiver(worker="w1", budget_bytes=8 * PART, part_size=PART)
    credits = []
    for number in range(10):
        offer = offer_of(uuid7(FakeClock()), bytes(9 * PART))
        init = Init(**{**{name: getattr(offer, name) for name in Offer.__slots__}, "part_size": PART})
        actions = receiver.receive(f"car-{number}", init, 1)
        if isinstance(actions[0], centre_side.Open):
            (grant,) = receiver.opened(f"car-{number}", offer.item, part_size=PART, have=())
            credits.append(grant.message.credit)
        else:
            credits.append(actions[0].message.code)
    assert credits == [8, 4, 2, 2, 1, 1, 1, 1, RefuseCode.BUSY, RefuseCode.BUSY]


def test_receiver_takes_a_hit_when_its_budget_is_spent() -> None:
    """WI-31."""
    receiver = Receiver(worker="w1", budget_bytes=PART, part_size=PART)
    kinds = []
    for priority in (4, 4, 0):
        offer = offer_of(uuid7(FakeClock()), bytes(9), priority=priority)
        init = Init(**{**{name: getattr(offer, name) for name in Offer.__slots__}, "part_size": PART})
        kinds.append(type(receiver.receive("car-1", init, 1)[0]))
    assert kinds == [centre_side.Open, centre_side.Send, centre_side.Open]


def test_receiver_bounds_the_uploads_of_one_device() -> None:
    """WI-25."""
    receiver = Receiver(worker="w1", budget_bytes=1 << 40, part_size=PART)
    kinds = []
    for _ in range(centre_side.MAX_UPLOADS_PER_DEVICE + 1):
        offer = offer_of(uuid7(FakeClock()), bytes(9), priority=0)
        init = Init(**{**{name: getattr(offer, name) for name in Offer.__slots__}, "part_size": PART})
        kinds.append(type(receiver.receive("car-1", init, 1)[0]))
    assert kinds.count(centre_side.Open) == centre_side.MAX_UPLOADS_PER_DEVICE
    assert kinds[-1] is centre_side.Send


def test_receiver_lets_go_and_grants_again_when_the_lease_has_lapsed() -> None:
    """WI-22."""
    device, centre = one_item(), Centre()
    (init,) = drain(device)
    centre.work(centre.receiver.receive("car-1", init, 1))
    assert centre.receiver.expire(60_000_001) == []
    assert centre.receiver.expire(60_000_002) == [centre_side.Forget(device="car-1", item=init.item)]
    (answer,) = centre.work(centre.receiver.receive("car-1", init, 60_000_003))
    assert isinstance(answer, Grant)


def test_receiver_grows_the_parts_when_an_item_has_too_many() -> None:
    """WI-7."""
    receiver = Receiver(worker="w1", budget_bytes=1 << 30, part_size=PART)
    offer = offer_of(uuid7(FakeClock()), b"x")
    fields = {**{name: getattr(offer, name) for name in Offer.__slots__}, "part_size": PART}
    (action,) = receiver.receive("car-1", Init(**{**fields, "size": wire.MAX_PARTS * PART + 1}), 1)
    assert isinstance(action, centre_side.Open) and action.part_size == 2 * PART


def test_receiver_forgets_everything_of_a_device_when_it_is_dropped() -> None:
    """WI-3."""
    device, centre = one_item(), Centre()
    (init,) = drain(device)
    centre.work(centre.receiver.receive("car-1", init, 1))
    assert centre.receiver.drop_device("car-2") == []
    assert len(centre.receiver.drop_device("car-1")) == 1
    assert centre.receiver.under_way == 0


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


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=30))
def test_part_set_agrees_with_a_plain_set(pairs: list[tuple[int, int]]) -> None:
    """WI-7."""
    parts, plain = PartSet(61), set()
    for one, other in pairs:
        parts.add(min(one, other), max(one, other))
        plain |= set(range(min(one, other), max(one, other) + 1))
    assert [index for index in range(61) if index in parts] == sorted(plain)
    assert list(parts.missing()) == sorted(set(range(61)) - plain)
    assert parts.count == len(plain) and parts.complete == (len(plain) == 61)
    assert PartSet(61, parts.ranges).ranges == parts.ranges
    assert all(after[0] > before[1] + 1 for before, after in zip(parts.ranges, parts.ranges[1:], strict=False))


@pytest.mark.parametrize(("first", "last"), [(-1, 0), (0, 5), (5, 5), (3, 2)])
def test_part_set_refuses_parts_outside_the_item(first: int, last: int) -> None:
    """WI-7."""
    with pytest.raises(ValueError, match="not within"):
        PartSet(5).add(first, last)


def test_sender_names_what_it_sends_when_asked_for_the_next_action() -> None:
    """WI-20."""
    device = one_item(PART + 3)
    first = device.sender.next_action()
    assert isinstance(first, SendInit)
    item = granted(device)
    parts = [device.sender.next_action()]
    device.sender.sent(parts[0], 1)
    parts.append(device.sender.next_action())
    device.sender.sent(parts[1], 1)
    assert parts == [
        SendPart(item=item, index=0, offset=0, length=PART, worker="w1"),
        SendPart(item=item, index=1, offset=PART, length=3, worker="w1"),
    ]
    assert isinstance(device.sender.next_action(), SendFin)
