"""A device and a centre without disks, and a network between them that loses, doubles, damages and forges."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest

from sync import receiver as centre_side
from sync.parts import PartSet
from sync.sender import BadReceipt, Done, Offer, Outcome, Sender, SendPart, Stopped
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
    window: int = 4
    sender: Sender = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.sender = Sender(self.check, part_size=PART, window=self.window)
        self.offer_all()

    def offer_all(self) -> None:
        for item in sorted(set(self.offers) - set(self.receipts)):
            self.sender.offer(self.offers[item])

    def add(self, payload: bytes, priority: int) -> str:
        """A new file, offered at once."""
        item = uuid7(FakeClock())
        self.files[item], self.offers[item] = payload, offer_of(item, payload, priority)
        self.offer_all()
        return item

    def receipt(self, item: str) -> bytes:
        """The right receipt of an item."""
        return receipt_for(item, self.files[item])

    def check(self, item: str, receipt: bytes) -> None:
        if item not in self.files or receipt != self.receipt(item):
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

    def drain(self, now_us: int = 1) -> list[Init | Fin | Part]:
        """All that it wants to send now."""
        messages: list[Init | Fin | Part] = []
        while (message := self.next_message(now_us)) is not None:
            messages.append(message)
        return messages

    def granted(self, credit: int = 32, have: wire.Ranges = (), now_us: int = 1) -> str:
        """Send the init of the first item, take a grant for it, and return the item."""
        item = next(iter(self.files))
        self.next_message(now_us)
        grant = Grant(item=item, worker="w1", part_size=PART, have=have, credit=credit, lease_s=60)
        self.note(self.sender.receive(grant, now_us))
        return item


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
                    queue += self.receiver.synced((action.device, action.item))
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


@pytest.fixture(name="offer_of")
def offer_of_fixture() -> Callable[..., Offer]:
    """`offer_of(item, payload, priority=4)`."""
    return offer_of


@pytest.fixture
def init_of() -> Callable[..., Init]:
    """`init_of(payload, priority=4)`: the init of a new item, in parts of the least size."""

    def make(payload: bytes, priority: int = 4) -> Init:
        offer = offer_of(uuid7(FakeClock()), payload, priority)
        told = {name: getattr(offer, name) for name in Offer.__slots__ if name != "rank"}
        return Init(**told, part_size=PART)

    return make


@pytest.fixture
def device() -> Device:
    """A device that holds nothing."""
    return Device({}, {})


@pytest.fixture
def one_item() -> Callable[..., Device]:
    """`one_item(size, priority=4)`: a device that holds one file."""

    def make(size: int = 6 * PART, priority: int = 4) -> Device:
        made = Device({}, {})
        made.add(random.Random(size).randbytes(size), priority)
        return made

    return make


@pytest.fixture
def centre() -> Centre:
    return Centre()


@pytest.fixture
def network() -> Callable[..., Network]:
    """`network(seed, sizes, **faults)`: a device with files of these sizes, a centre, and what lies between them."""

    def make(seed: int, sizes: Iterable[int] = SIZES, **faults: float) -> Network:
        rng = random.Random(seed)
        files = {uuid7(FakeClock()): rng.randbytes(size) for size in sizes}
        offers = {item: offer_of(item, payload, rng.randrange(5)) for item, payload in files.items()}
        return Network(rng=rng, device=Device(files, offers), centre=Centre(), **faults)

    return make
