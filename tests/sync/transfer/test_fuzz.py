"""Both machines under every message that is well formed, from a peer that means harm: in any order, about any item.

A bounded number of examples here; `HYPOTHESIS_PROFILE=long` (and `make fuzz`) tries many more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync import receiver as centre_side
from sync.parts import PartSet
from sync.receiver import MAX_UPLOADS_PER_DEVICE, Receiver
from sync.sender import BadReceipt, Offer, Sender, SendPart
from vedette import wire
from vedette.clock import FakeClock, uuid7
from vedette.errors import Integrity, NotFound, NotTrusted
from vedette.wire import (
    MAX_CREDIT,
    MIN_PART_BYTES,
    Ack,
    Fin,
    Grant,
    Init,
    Part,
    Refuse,
    RefuseCode,
    Sealed,
    parts_of,
)

PART = MIN_PART_BYTES
CLOCK = FakeClock()
SIZES = (1, PART, 5 * PART + 17, 70 * PART)
ITEMS = [(uuid7(CLOCK), size) for size in SIZES]
STRANGER = uuid7(CLOCK)
DEVICES = ("car-1", "car-2", "car-3")
BUDGET = 16 * PART
WINDOW = 8
EXAMPLES = settings().max_examples if settings().max_examples > 100 else 300
FUZZ = settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])

items = st.sampled_from([*(item for item, _ in ITEMS), STRANGER])
indexes = st.one_of(st.integers(0, 80), st.integers(0, wire.MAX_PARTS - 1))
part_sizes = st.sampled_from((PART, PART + 1, 2 * PART, wire.MAX_PART_BYTES))
pauses = st.sampled_from((0, 1, 1_000, 2_000_000, 70_000_000))


@st.composite
def ranges(draw: Callable[..., Any]) -> wire.Ranges:
    """Rising and apart, as the decoder lets them through; up to many, up to far outside any item here."""
    found, least = [], 0
    for _ in range(draw(st.integers(0, 6))):
        first = least + draw(st.integers(0, 40))
        last = first + draw(st.sampled_from((0, 1, 30, 60_000)))
        if last >= wire.MAX_PARTS:
            break
        found.append((first, last))
        least = last + 2
    return tuple(found)


from_centre = st.one_of(
    st.builds(
        Grant,
        item=items,
        worker=st.sampled_from(("w1", "thief")),
        part_size=part_sizes,
        have=ranges(),
        credit=st.integers(0, MAX_CREDIT),
        lease_s=st.sampled_from((1, 60, wire.MAX_LEASE_S)),
    ),
    st.builds(Ack, item=items, ranges=ranges(), credit=st.integers(0, MAX_CREDIT)),
    st.builds(Sealed, item=items, receipt=st.binary(min_size=1, max_size=40)),
    st.builds(Refuse, item=items, code=st.sampled_from(list(RefuseCode)), text=st.just("no")),
)


@st.composite
def from_device(draw: Callable[..., Any]) -> Init | Part | Fin:
    """Inits of every size and hash, parts of any index and length, fins of any hash."""
    item = draw(items)
    kind = draw(st.sampled_from(("init", "part", "part", "fin")))
    digest = draw(st.sampled_from(("0" * 64, "a" * 64)))
    if kind == "part":
        length = draw(st.sampled_from((1, 17, PART - 1, PART, PART + 1)))
        return Part(item=item, index=draw(indexes), payload=bytes(length))
    if kind == "fin":
        return Fin(item=item, sha256=digest)
    size = draw(st.one_of(st.sampled_from(SIZES), st.integers(1, wire.MAX_PARTS * wire.MAX_PART_BYTES)))
    return Init(
        item=item,
        kind="segment",
        size=size,
        sha256=digest,
        priority=draw(st.integers(0, 4)),
        part_size=draw(part_sizes),
        manifest=draw(st.sampled_from((b"one", b"another"))),
    )


def decoded(message: Any) -> Any:
    """As it comes off the wire: what the decoder refuses never reaches a machine."""
    return wire.decode(message.name, message.encode())


def never(item: str, _receipt: bytes) -> None:
    if item == STRANGER:
        raise NotFound("not here")
    raise NotTrusted("not the centre's")


def offer(item: str, size: int) -> Offer:
    return Offer(
        item=item,
        kind="segment",
        size=size,
        sha256=hashlib.sha256(item.encode()).hexdigest(),
        priority=4,
        manifest=b"manifest",
    )


def check_part(action: SendPart, size: int) -> None:
    assert 0 <= action.offset < size
    assert 0 < action.length <= wire.MAX_PART_BYTES
    assert action.offset + action.length <= size


@FUZZ
@given(st.lists(st.tuples(from_centre, pauses, st.integers(0, 12)), max_size=40))
def test_sender_survives_a_hostile_centre(schedule: list[tuple[Any, int, int]]) -> None:
    """WI-5, WI-26: no message breaks it, makes it read outside an item, exceed its window or believe a receipt."""
    sender, sizes, now_us = Sender(never, part_size=PART, window=WINDOW), dict(ITEMS), 1
    for message, pause_us, turns in schedule:
        now_us += pause_us
        for item, size in ITEMS:
            if item not in sender.under_way:
                sender.offer(offer(item, size))
        for _ in range(turns):
            action = sender.next_action()
            if action is None:
                break
            if isinstance(action, SendPart):
                check_part(action, sizes[action.item])
            sender.sent(action, now_us)
        outcomes = [*sender.receive(decoded(message), now_us), *sender.tick(now_us)]
        for outcome in outcomes:
            assert not hasattr(outcome, "receipt")
            assert isinstance(outcome, BadReceipt) or outcome.item not in sender.under_way
    assert sender.under_way <= set(sizes)


@FUZZ
@given(from_centre, st.integers(0, WINDOW * 4))
def test_sender_has_no_more_than_its_window_on_the_way_whatever_is_granted(message: Any, pauses_us: int) -> None:
    """WI-25: a credit of 1,024 moves nothing past the window."""
    sender, now_us = Sender(never, part_size=PART, window=WINDOW), 1 + pauses_us
    sender.offer(offer(*ITEMS[3]))
    action = sender.next_action()
    assert action is not None
    sender.sent(action, now_us)
    sender.receive(decoded(message), now_us)
    sent = 0
    while (action := sender.next_action()) is not None:
        sender.sent(action, now_us)
        sent += isinstance(action, SendPart)
    assert sent <= WINDOW


class Shell:
    """Carries out what the receiver asks for as far as it must, and checks each wish."""

    def __init__(self) -> None:
        self.receiver = Receiver(worker="w1", budget_bytes=BUDGET, part_size=PART)
        self.inits: dict[tuple[str, str], tuple[Init, int]] = {}
        self.written: dict[tuple[str, str], PartSet] = {}
        self.durable: dict[tuple[str, str], PartSet] = {}

    def work(self, actions: list[centre_side.Action], fate: int) -> None:
        queue = list(actions)
        while queue:
            action = queue.pop(0)
            if isinstance(action, centre_side.Send):
                decoded(action.message)
            elif isinstance(action, centre_side.Open):
                queue += self.open(action, fate)
            elif isinstance(action, centre_side.Write):
                self.write(action)
            elif isinstance(action, centre_side.Sync):
                key = action.device, action.item
                assert action.parts == self.written[key].ranges
                self.durable[key].update(self.written[key])
                self.written[key] = PartSet(self.written[key].total)
                queue += self.receiver.synced((action.device, action.item))
            elif isinstance(action, centre_side.Seal):
                assert self.durable[action.device, action.init.item].complete
                answer = self.receiver.stored if fate % 2 else self.refuse
                queue += answer(action.device, action.init.item, b"receipt")

    def open(self, action: centre_side.Open, fate: int) -> list[centre_side.Action]:
        key = action.device, action.init.item
        if fate == 0:
            return self.refuse(*key, b"")
        total = parts_of(action.init.size, action.part_size)
        assert total <= wire.MAX_PARTS
        self.inits[key] = action.init, action.part_size
        self.written[key], self.durable[key] = PartSet(total), PartSet(total)
        return self.receiver.opened(*key, part_size=action.part_size, have=())

    def write(self, action: centre_side.Write) -> None:
        init, part_size = self.inits[action.device, action.item]
        assert action.offset == action.index * part_size
        assert action.offset + len(action.payload) <= init.size
        assert action.index not in self.written[action.device, action.item]
        assert action.index not in self.durable[action.device, action.item]
        self.written[action.device, action.item].add(action.index)

    def refuse(self, device: str, item: str, _receipt: bytes) -> list[centre_side.Action]:
        return self.receiver.refuse(device, item, RefuseCode.INVALID, "no")


@FUZZ
@given(st.lists(st.tuples(st.sampled_from(DEVICES), from_device(), pauses, st.integers(0, 3)), max_size=60))
def test_receiver_survives_hostile_devices(schedule: list[tuple[str, Any, int, int]]) -> None:
    """WI-3, WI-5, WI-24, WI-25: nothing is written outside an item or twice, sealed half, or held without a bound."""
    shell, now_us = Shell(), 1
    for device, message, pause_us, fate in schedule:
        now_us += pause_us
        shell.work(shell.receiver.receive(device, decoded(message), now_us), fate)
        if fate:
            shell.work(shell.receiver.flush(), fate)
        shell.work(shell.receiver.expire(now_us), fate)
        assert shell.receiver.under_way <= len(DEVICES) * MAX_UPLOADS_PER_DEVICE
    for device in DEVICES:
        shell.work(shell.receiver.drop_device(device), 1)
    assert shell.receiver.under_way == 0
    assert shell.receiver.exposed_bytes == 0


@FUZZ
@given(st.one_of(from_centre, from_device()), st.integers(0, 10_000), st.integers(1, 255), st.integers(0, 3))
def test_decoder_lets_through_nothing_that_is_not_well_formed(message: Any, at: int, mask: int, cut: int) -> None:
    """WI-4 to WI-6: a damaged message is refused whole, or is another that is well formed."""
    payload = bytearray(message.encode())
    payload[at % len(payload)] ^= mask
    damaged = bytes(payload[: len(payload) - cut])
    try:
        found = wire.decode(message.name, damaged)
    except Integrity:
        return
    assert found.encode() == damaged
