"""Seeded schedules of the pure engine: one device's sender and one centre's receiver, and everything between them bad.

Decided here: what a schedule may do (lose, double, delay, reorder, forge, cut a connection, restart either side, let a
lease lapse, turn the network metered) and what must hold whatever it does. Safety: an item is done only when the centre
has stored exactly its bytes, once; only what is on the centre's disk is acknowledged; what may be on its way stays
within the budget. Liveness: every schedule ends. Messages are the real ones, passed as values: their bytes are
`tests/vedette/test_wire.py`'s business. A schedule takes about half a millisecond, so that a hundred thousand of them
fit into a minute. Proves WI-20 to WI-27 of docs/spec/wire.md.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from random import Random

from sync import receiver as centre_side
from sync.receiver import Receiver
from sync.sender import Done, Offer, Outcome, Sender, SendPart, Stopped
from sync.sending import Action
from vedette.errors import NotTrusted
from vedette.wire import Ack, Fin, FromCentre, Grant, Init, Part, Refuse, RefuseCode, Sealed, parts_of

PART = 4
BUDGET_PARTS = 6
DEVICE = "car-1"
ITEMS = tuple(f"0192a000-0000-7000-8000-{number:012x}" for number in range(3))
SIZES = (1, PART, PART + 1, 3 * PART)
DISK = "disk"  # where it is told that bytes have become durable
AT_ONCE = 0.5
DELAYS_US = (500, 20_000, 20_000, 300_000, 7_000_000)
LEASE_US = 20_000_000
MAX_EVENTS = 4_000
MAX_RESTARTS = 4
RECEIPT_MARK = b"receipt:"

Wire = Init | Part | Fin | FromCentre


class Broken(AssertionError):
    """A schedule did what must never happen; the seed says it again."""


class Schedule:
    """One schedule; the same seed is the same schedule."""

    def __init__(self, seed: int) -> None:
        self._rng = rng = Random(seed)
        self.seed = seed
        self._loss = rng.choice((0.0, 0.1, 0.3, 0.5))
        self._double = rng.choice((0.0, 0.2))
        self._forge = rng.choice((0.0, 0.0, 0.1))
        self._trouble = rng.choice((0.0, 0.05, 0.15))
        self._tells = rng.random() < 0.5
        self._files = {item: rng.randbytes(rng.choice(SIZES)) for item in ITEMS[: rng.choice((1, 1, 2, 3))]}
        self._offers = {item: _offer(item, payload, rng.randrange(5)) for item, payload in self._files.items()}
        self._done: set[str] = set()
        self._written: dict[str, dict[int, bytes]] = {}
        self._syncing: dict[str, tuple[centre_side.Sync, dict[int, bytes]]] = {}
        self._disk: dict[str, dict[int, bytes]] = {}
        self._stored: dict[str, bytes] = {}
        self._worker = 0
        self._restarts = 0
        self._now_us = 1
        self._order = 0
        self._under_way: list[tuple[int, int, str, Wire | None]] = []
        self._flush_due = False
        self._start_centre()
        self._start_device()

    def run(self) -> int:
        """Run to the end; the number of events. Broken when something must not have happened, or it does not end."""
        for events in range(MAX_EVENTS):
            if len(self._done) == len(self._files):
                return events
            self._pump()
            self._next_event()
            if self._rng.random() < self._trouble:
                self._make_trouble()
            if self._rng.random() < self._forge:
                self._make_foreign()
        raise self._broken("it does not end")

    def _broken(self, what: str) -> Broken:
        return Broken(f"schedule {self.seed}: {what}")

    # The device.

    def _start_device(self) -> None:
        self._sender = Sender(self._check_receipt, part_size=PART, window=4)
        self._offer_all()

    def _offer_all(self) -> None:
        for item, offer in self._offers.items():
            if item not in self._done:
                self._sender.offer(offer)

    def _check_receipt(self, item: str, receipt: bytes) -> None:
        if receipt != RECEIPT_MARK + self._files.get(item, b""):
            raise NotTrusted("not the centre's receipt")

    def _pump(self) -> None:
        sender = self._sender
        while (action := sender.next_action()) is not None:
            sender.sent(action, self._now_us)
            self._carry_up(action)

    def _carry_up(self, action: Action) -> None:
        if isinstance(action, SendPart):
            payload = self._files[action.item][action.offset : action.offset + action.length]
            self._carry(action.worker, Part(item=action.item, index=action.index, payload=payload))
        else:
            self._carry(action.worker if isinstance(action.message, Fin) else "", action.message)

    def _note(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Done):
                if self._stored.get(outcome.item) != self._files[outcome.item]:
                    raise self._broken(f"{outcome.item} is done and the centre has not stored its bytes")
                self._done.add(outcome.item)
            elif isinstance(outcome, Stopped):
                self._offer_all()

    # The network.

    def _carry(self, to: str, message: Wire) -> None:
        """`to` is a worker, empty for whichever hears inits, or "device"."""
        rng = self._rng
        copies = 0 if rng.random() < self._loss else 2 if rng.random() < self._double else 1
        for _ in range(copies):
            self._order += 1
            at_us = self._now_us + rng.choice(DELAYS_US)
            heapq.heappush(self._under_way, (at_us, self._order, to, message))

    def _next_event(self) -> None:
        due_us = self._sender.next_tick_us()
        if self._under_way and (due_us is None or self._under_way[0][0] <= due_us):
            self._now_us, _, to, message = heapq.heappop(self._under_way)
            self._arrive(to, message)
        elif due_us is not None:
            self._now_us = max(self._now_us, due_us)
            self._note(self._sender.tick(self._now_us))
            self._work(self._receiver.expire(self._now_us))

    def _arrive(self, to: str, message: Wire | None) -> None:
        if message is None and to == DISK:
            self._end_syncs(list(self._syncing))
        elif message is None:
            self._flush_due = False
            self._work(self._receiver.flush())
        elif isinstance(message, (Grant, Ack, Sealed, Refuse)):
            self._note(self._sender.receive(message, self._now_us))
        elif to in ("", self._name) and isinstance(message, (Init, Part, Fin)):
            self._work(self._receiver.receive(DEVICE, message, self._now_us))
            self._flush_soon()
        elif self._tells:
            self._sender.undelivered(to)

    def _flush_soon(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            self._order += 1
            heapq.heappush(self._under_way, (self._now_us + self._rng.choice((0, 5_000)), self._order, "", None))

    # The centre.

    def _start_centre(self) -> None:
        self._worker += 1
        self._name = f"w{self._worker}"
        self._written.clear()
        self._syncing.clear()
        self._receiver = Receiver(
            worker=self._name, budget_bytes=BUDGET_PARTS * PART, part_size=PART, window=4, lease_us=LEASE_US
        )

    def _work(self, actions: list[centre_side.Action]) -> None:
        for action in actions:
            if isinstance(action, centre_side.Send):
                self._say(action.device, action.message)
            elif isinstance(action, centre_side.Write):
                self._written.setdefault(action.item, {})[action.index] = bytes(action.payload)
            elif isinstance(action, centre_side.Sync):
                self._sync(action)
            elif isinstance(action, centre_side.Open):
                self._work(self._open(action))
            elif isinstance(action, centre_side.Seal):
                self._work(self._seal(action))
            else:
                self._written.pop(action.item, None)
                self._syncing.pop(action.item, None)
        if self._receiver.exposed_bytes > (BUDGET_PARTS + 2) * PART:
            raise self._broken("more was granted than the budget and one urgent part for each device")

    def _sync(self, action: centre_side.Sync) -> None:
        """At once, or while other things happen; what a worker had not made durable when it died is gone."""
        if action.item in self._syncing:
            raise self._broken(f"{action.item} is made durable twice at once")
        self._syncing[action.item] = action, self._written.pop(action.item)
        if self._rng.random() < AT_ONCE:
            self._end_syncs([action.item])
            return
        self._order += 1
        heapq.heappush(self._under_way, (self._now_us + self._rng.choice(DELAYS_US), self._order, DISK, None))

    def _end_syncs(self, items: Iterable[str]) -> None:
        for item in items:
            action, parts = self._syncing.pop(item)
            self._disk.setdefault(item, {}).update(parts)
            self._work(self._receiver.synced(action.device, item))
            self._flush_soon()

    def _say(self, device: str, message: FromCentre) -> None:
        if isinstance(message, (Grant, Ack)):
            ranges = message.have if isinstance(message, Grant) else message.ranges
            disk = self._disk.get(message.item, {})
            if any(index not in disk for first, last in ranges for index in range(first, last + 1)):
                raise self._broken(f"{ranges} of {message.item} were acknowledged and are not on the disk")
        if device == DEVICE:
            self._carry("device", message)

    def _open(self, action: centre_side.Open) -> list[centre_side.Action]:
        device, item = action.device, action.init.item
        if device != DEVICE:
            return self._receiver.refuse(device, item, RefuseCode.INVALID, "not this device's manifest")
        if item in self._stored:
            return self._receiver.stored(device, item, RECEIPT_MARK + self._stored[item])
        have = sorted(self._disk.get(item, {}))
        ranges = tuple((index, index) for index in have)
        return self._receiver.opened(device, item, part_size=action.part_size, have=ranges)

    def _seal(self, action: centre_side.Seal) -> list[centre_side.Action]:
        item = action.init.item
        parts = self._disk.pop(item)
        whole = b"".join(parts[index] for index in range(parts_of(action.init.size, PART)))
        if item in self._stored:
            raise self._broken(f"{item} was stored twice")
        if whole != self._files[item]:
            raise self._broken(f"{item} was stored with other bytes")
        self._stored[item] = whole
        return self._receiver.stored(action.device, item, RECEIPT_MARK + whole)

    # What goes wrong.

    def _make_trouble(self) -> None:
        if self._restarts >= MAX_RESTARTS:
            return
        self._restarts += 1
        trouble = self._rng.randrange(6)
        if trouble == 0:
            self._start_device()
        elif trouble == 1:
            self._start_centre()
        elif trouble == 2:  # the connection for bulk is cut
            self._lose(Part)
            self._sender.lost_bulk()
        elif trouble == 3:  # both connections are cut
            self._lose(Init, Part, Fin, Grant, Ack, Sealed, Refuse)
            self._sender.reset()
            self._offer_all()
        elif trouble == 4:  # the network turns metered, and is free again
            self._sender.stop_from(4)
            self._offer_all()
        else:
            self._now_us += LEASE_US + 1
            self._work(self._receiver.expire(self._now_us))

    def _lose(self, *kinds: type) -> None:
        self._under_way = [one for one in self._under_way if not isinstance(one[3], kinds)]
        heapq.heapify(self._under_way)

    def _make_foreign(self) -> None:
        """Well formed and false, to either side."""
        rng = self._rng
        item = rng.choice(ITEMS)
        offer = self._offers.get(item) or _offer(item, b"?", 0)
        kind = rng.randrange(7)
        if kind == 0:
            self._carry("device", Sealed(item=item, receipt=RECEIPT_MARK + rng.randbytes(3)))
        elif kind == 1:
            self._carry("device", Ack(item=item, ranges=((0, rng.randrange(4)),), credit=rng.randrange(9)))
        elif kind == 2:
            self._carry("device", Grant(item=item, worker="thief", part_size=PART, have=(), credit=9, lease_s=1))
        elif kind == 3:
            self._carry("device", Refuse(item=item, code=rng.choice(list(RefuseCode)), text=""))
        elif kind == 4:
            self._carry(self._name, Part(item=item, index=rng.randrange(6), payload=b"12"))
        elif kind == 5:
            self._work(self._receiver.receive("car-2", Part(item=item, index=0, payload=b"1234"), self._now_us))
        else:
            self._work(self._receiver.receive("car-2", _init(offer), self._now_us))


def _offer(item: str, payload: bytes, priority: int) -> Offer:
    return Offer(
        item=item, kind="segment", size=len(payload), sha256=payload.hex(), priority=priority, manifest=b"m" + payload
    )


def _init(offer: Offer) -> Init:
    return Init(
        item=offer.item,
        kind=offer.kind,
        size=offer.size,
        sha256=offer.sha256,
        priority=offer.priority,
        part_size=PART,
        manifest=offer.manifest,
    )


def broken_of(seeds: Iterable[int]) -> list[str]:
    """Run one schedule for each seed; what broke, a line each."""
    broken = []
    for seed in seeds:
        try:
            Schedule(seed).run()
        except Broken as error:
            broken.append(str(error))
    return broken
