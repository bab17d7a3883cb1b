"""Seeded schedules of the pure engine: one device's sender, one or two workers' receivers, and all between them bad.

Decided here: what a schedule may do (lose, double, delay, reorder, forge, cut a connection, restart either side, let a
lease lapse, turn the network metered) and what must hold whatever it does. Safety: an item is done only when the centre
has stored exactly its bytes, once; only what is on a worker's disk is acknowledged by it; what may be on its way stays
within the budget; no honest device is accused of more, or asks a hundredth of what puts one off. Liveness: every
schedule ends. Of a hundred worlds some thirty have two workers, a disk each: an init goes to either, or by a broker
that doubles to both, one dies in the middle and what it granted is begun anew by the other, and may come back. A few
have parts of a byte, so that an ack can name only the first. Messages are the real ones, passed as values: their bytes
are `tests/vedette/test_wire.py`'s business. The sender is looked at again only when something came to it: it is pure,
and says the same until then. Proves WI-20 to WI-27, WI-73 and WI-74 of docs/spec/wire.md, WI-9's rule for the gaps left
out, and CS-14 of case-store.md.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from heapq import heapify, heappop, heappush
from random import Random

from simulator.schedule_worlds import TINY, USUAL, Worker, offer_of, pick
from sync import receiver as centre_side
from sync.patience import AHEAD_US
from sync.receiver import Receiver
from sync.sender import Done, Outcome, Sender, SendFin, SendPart, Stopped
from vedette.errors import NotTrusted
from vedette.wire import Ack, Fin, FromCentre, Grant, Init, Part, Refuse, RefuseCode, Sealed, parts_of

DEVICE = "car-1"
TO_DEVICE, FLUSH, DISK = "device", "flush", "disk"  # beside workers, and "" for whichever hears inits
ITEMS = tuple(f"0192a000-0000-7000-8000-{number:012x}" for number in range(3))
AT_ONCE = 0.5
DELAYS_US = (500, 20_000, 20_000, 300_000, 7_000_000)
LEASE_US = 20_000_000
NEAR_US = AHEAD_US // 100
MAX_EVENTS = 4_000
MAX_RESTARTS = 4
CODES = tuple(RefuseCode)
TWO_WORKERS = 0.3
TINY_PARTS = 0.03
BOTH_HEAR = 0.3
RECEIPT_MARK = b"receipt:"

FROM_DEVICE = (Init, Part, Fin)
NOTHING: Mapping[int, bytes] = {}
FROM_CENTRE = (Grant, Ack, Sealed, Refuse)
Wire = Init | Part | Fin | FromCentre


class Broken(AssertionError):
    """A schedule did what must never happen; the seed says it again."""


class Schedule:
    """One schedule; the same seed is the same schedule."""

    def __init__(self, seed: int) -> None:
        self._rng = rng = Random(seed)
        self._random = rng.random
        self.seed = seed
        self.seen: set[str] = set()
        self._loss = pick(rng, (0.0, 0.1, 0.3, 0.5))
        self._double = pick(rng, (0.0, 0.2))
        self._forge = pick(rng, (0.0, 0.0, 0.1))
        self._trouble = pick(rng, (0.0, 0.05, 0.15))
        self._tells = rng.random() < 0.5
        self._cut = cut = TINY if rng.random() < TINY_PARTS else USUAL
        self._most_bytes = cut.budget * cut.part
        self._has_two = rng.random() < TWO_WORKERS
        items = ITEMS[: pick(rng, (1, 1, 2, 3))]
        self._files = {item: rng.randbytes(pick(rng, cut.sizes)) for item in items}
        self._offers = {item: offer_of(item, payload, rng.randrange(5)) for item, payload in self._files.items()}
        self._receipts = {item: RECEIPT_MARK + payload for item, payload in self._files.items()}
        self._parts: dict[tuple[str, int, int, int], Part] = {}
        self._done: set[str] = set()
        self._stored: dict[str, bytes] = {}
        self._granted: dict[str, Worker] = {}
        self._workers: list[Worker] = []
        self._dead: list[Worker] = []
        self._started = 0
        self._restarts = 0
        self._now_us = 1
        self._order = 0
        self._due_us: int | None = None
        self._under_way: list[tuple[int, int, str, Wire | Worker]] = []
        for _ in range(2 if self._has_two else 1):
            self._start_worker({})
        self._start_device()

    def run(self) -> int:
        """Run to the end; the number of events. Broken when something must not have happened, or it does not end."""
        random, trouble, forge = self._random, self._trouble, self._forge
        done, total, under_way = self._done, len(self._files), self._under_way
        for events in range(MAX_EVENTS):
            if len(done) == total:
                return events
            if self._stirred:
                self._pump()
            due_us = self._due_us
            if under_way and (due_us is None or under_way[0][0] <= due_us):
                self._now_us, _, to, message = heappop(under_way)
                if isinstance(message, Worker):
                    self._turn(message, to)
                elif isinstance(message, FROM_DEVICE):
                    self._reach(to, message)
                elif isinstance(message, FROM_CENTRE):
                    self._note(self._sender.receive(message, self._now_us))
            elif due_us is not None:
                self._now_us = max(self._now_us, due_us)
                self._note(self._sender.tick(self._now_us))
                self._expire()
            if random() < trouble:
                self._make_trouble()
            if random() < forge:
                self._make_foreign()
        raise self._broken("it does not end")

    def _broken(self, what: str) -> Broken:
        return Broken(f"schedule {self.seed}: {what}")

    # The device.

    def _start_device(self) -> None:
        self._sender = Sender(partial(check_receipt, self._receipts), part_size=self._cut.part, window=self._cut.window)
        self._offer_all()

    def _offer_all(self) -> None:
        self._stirred = True
        for item, offer in self._offers.items():
            if item not in self._done:
                self._sender.offer(offer)

    def _pump(self) -> None:
        """Publish what there is; until the sender is stirred again it has no more, and its next tick stays the same."""
        sender, now_us = self._sender, self._now_us
        while (action := sender.next_action()) is not None:
            sender.sent(action, now_us)
            if isinstance(action, SendPart):
                self._carry(action.worker, self._part(action))
            else:
                self._carry(action.worker if isinstance(action, SendFin) else "", action.message)
        self._stirred = False
        self._due_us = sender.next_tick_us()

    def _part(self, wanted: SendPart) -> Part:
        """That part of the file; what was sent before is the same value again."""
        item, index, offset, length = cut = wanted.item, wanted.index, wanted.offset, wanted.length
        part = self._parts.get(cut)
        if part is None:
            payload = self._files[item][offset : offset + length]
            self._parts[cut] = part = Part(item=item, index=index, payload=payload)
        return part

    def _note(self, outcomes: Iterable[Outcome]) -> None:
        self._stirred = True
        for outcome in outcomes:
            if isinstance(outcome, Done):
                if self._stored.get(outcome.item) != self._files[outcome.item]:
                    raise self._broken(f"{outcome.item} is done and the centre has not stored its bytes")
                self._done.add(outcome.item)
            elif isinstance(outcome, Stopped):
                self._offer_all()

    # The network.

    def _carry(self, to: str, message: Wire) -> None:
        """`to` is a worker's name, empty for whichever hears inits, or TO_DEVICE."""
        random = self._random
        if random() < self._loss:
            return
        for _ in range(2 if random() < self._double else 1):
            self._order = order = self._order + 1
            due_us = self._now_us + DELAYS_US[int(random() * len(DELAYS_US))]
            heappush(self._under_way, (due_us, order, to, message))

    def _later(self, delay_us: int, to: str, message: Wire | Worker) -> None:
        self._order = order = self._order + 1
        heappush(self._under_way, (self._now_us + delay_us, order, to, message))

    def _reach(self, to: str, message: Init | Part | Fin) -> None:
        hearing = self._hearing(to)
        for worker in hearing:
            self._work(worker, worker.receiver.receive(DEVICE, message, self._now_us))
            self._flush_soon(worker)
            if not isinstance(message, Part) and worker.receiver.patience.ahead_us(DEVICE, self._now_us) > NEAR_US:
                raise self._broken("an honest device asks so much that it is near to be put off")
        if not hearing and self._tells:
            self._sender.undelivered(to)
            self._stirred = True

    def _hearing(self, to: str) -> list[Worker]:
        """The worker of that name, or for an init one of all; both where the broker doubles it."""
        if to:
            return [worker for worker in self._workers if worker.name == to]
        if len(self._workers) < 2:
            return self._workers
        if self._double and self._rng.random() < BOTH_HEAR:
            self.seen.add("init heard by both")
            return self._workers
        return [pick(self._rng, self._workers)]

    # The centre.

    def _start_worker(self, disk: dict[str, dict[int, bytes]]) -> None:
        self._started += 1
        name, cut = f"w{self._started}", self._cut
        receiver = Receiver(
            worker=name, budget_bytes=self._most_bytes, part_size=cut.part, window=cut.window, lease_us=LEASE_US
        )
        self._workers.append(Worker(name=name, receiver=receiver, disk=disk))

    def _flush_soon(self, worker: Worker) -> None:
        if not worker.flush_due:
            worker.flush_due = True
            self._later(5_000 if self._random() >= 0.5 else 0, FLUSH, worker)

    def _turn(self, worker: Worker, what: str) -> None:
        """A worker's own doing: bytes have become durable, or what is at hand is flushed."""
        if worker not in self._workers:
            return  # it died meanwhile
        if what is DISK:
            self._end_syncs(worker, list(worker.syncing))
        else:
            worker.flush_due = False
            self._work(worker, worker.receiver.flush())

    def _expire(self) -> None:
        for worker in self._workers:
            self._work(worker, worker.receiver.expire(self._now_us))

    def _work(self, worker: Worker, actions: list[centre_side.Action]) -> None:
        for action in actions:
            if isinstance(action, centre_side.Send):
                self._say(worker, action.device, action.message)
            elif isinstance(action, centre_side.Write):
                worker.written.setdefault(action.item, {})[action.index] = bytes(action.payload)
            elif isinstance(action, centre_side.Sync):
                self._sync(worker, action)
            elif isinstance(action, centre_side.Open):
                self._work(worker, self._open(worker, action))
            elif isinstance(action, centre_side.Seal):
                self._work(worker, self._seal(worker, action))
            elif isinstance(action, centre_side.Forget):
                worker.written.pop(action.item, None)
                worker.syncing.pop(action.item, None)
            elif action.device == DEVICE and not self._forge:
                raise self._broken(f"an honest device is accused: {action.text}")
        if worker.receiver.exposed_bytes > self._most_bytes + 2 * self._cut.part:
            raise self._broken("more was granted than the budget and one urgent part for each device")

    def _sync(self, worker: Worker, action: centre_side.Sync) -> None:
        """At once, or while other things happen; what a worker had not made durable when it died is gone."""
        if action.item in worker.syncing:
            raise self._broken(f"{action.item} is made durable twice at once")
        worker.syncing[action.item] = action, worker.written.pop(action.item)
        if self._rng.random() < AT_ONCE:
            self._end_syncs(worker, [action.item])
        else:
            self._later(pick(self._rng, DELAYS_US), DISK, worker)

    def _end_syncs(self, worker: Worker, items: Iterable[str]) -> None:
        for item in items:
            action, parts = worker.syncing.pop(item)
            worker.disk.setdefault(item, {}).update(parts)
            self._work(worker, worker.receiver.synced((action.device, item)))
            self._flush_soon(worker)

    def _say(self, worker: Worker, device: str, message: FromCentre) -> None:
        if isinstance(message, (Grant, Ack)):
            ranges = message.have if isinstance(message, Grant) else message.ranges
            disk = worker.disk.get(message.item, NOTHING)
            for first, last in ranges:
                for index in range(first, last + 1):
                    if index not in disk:
                        raise self._broken(f"{ranges} of {message.item} were acknowledged and are not on the disk")
            if isinstance(message, Grant):
                self._granted.setdefault(message.item, worker)
            elif len(ranges) > self._cut.told:  # as the wire cuts it
                message = replace(message, ranges=ranges[: self._cut.told])
                self.seen.add("ranges left out of an ack")
        if device == DEVICE:
            self._carry(TO_DEVICE, message)

    def _open(self, worker: Worker, action: centre_side.Open) -> list[centre_side.Action]:
        device, item = action.device, action.init.item
        if device != DEVICE:
            return worker.receiver.refuse(device, item, RefuseCode.INVALID, "not this device's manifest")
        if item in self._stored:
            return worker.receiver.stored(device, item, RECEIPT_MARK + self._stored[item])
        have = sorted(worker.disk.get(item, {}))
        ranges = tuple((index, index) for index in have)
        return worker.receiver.opened(device, item, part_size=action.part_size, have=ranges)

    def _seal(self, worker: Worker, action: centre_side.Seal) -> list[centre_side.Action]:
        item = action.init.item
        parts = worker.disk.pop(item)
        whole = b"".join(parts[index] for index in range(parts_of(action.init.size, self._cut.part)))
        if item in self._stored:
            if not self._has_two:
                raise self._broken(f"{item} was stored twice")
            self.seen.add("whole at both")  # the second finds the first one's row, and gives its receipt
        elif self._has_two and self._granted[item] is not worker:
            self.seen.add("stored by another than granted first")
        if whole != self._files[item]:
            raise self._broken(f"{item} was stored with other bytes")
        self._stored[item] = whole
        return worker.receiver.stored(action.device, item, RECEIPT_MARK + whole)

    # What goes wrong.

    def _make_trouble(self) -> None:
        if self._restarts >= MAX_RESTARTS:
            return
        self._restarts += 1
        trouble = self._rng.randrange(6)
        if trouble == 0:
            self._start_device()
        elif trouble == 1:
            self._kill_worker()
        elif trouble == 2:  # the connection for bulk is cut
            self._lose(Part)
            self._sender.lost_bulk()
            self._stirred = True
        elif trouble == 3:  # both connections are cut
            self._lose(Init, Part, Fin, Grant, Ack, Sealed, Refuse)
            self._sender.reset()
            self._offer_all()
        elif trouble == 4:  # the network turns metered, and is free again
            self._sender.stop_from(4)
            self._offer_all()
        else:
            self._now_us += LEASE_US + 1
            self._expire()

    def _kill_worker(self) -> None:
        """One of two dies, or comes back; the only one is started again at once, on its disk."""
        if self._dead:
            self.seen.add("came back")
            self._start_worker(self._dead.pop().disk)
            return
        dying = self._workers.pop(self._rng.randrange(len(self._workers)))
        if self._workers:
            self.seen.add("died beside another")
            self._dead.append(dying)
        else:
            self._start_worker(dying.disk)

    def _lose(self, *kinds: type) -> None:
        self._under_way[:] = [one for one in self._under_way if not isinstance(one[3], kinds)]
        heapify(self._under_way)

    def _make_foreign(self) -> None:
        """Well formed and false, to either side."""
        rng, worker = self._rng, self._workers[0]
        item = pick(rng, ITEMS)
        offer = self._offers.get(item) or offer_of(item, b"?", 0)
        kind = rng.randrange(7)
        if kind == 0:
            self._carry(TO_DEVICE, Sealed(item=item, receipt=RECEIPT_MARK + rng.randbytes(3)))
        elif kind == 1:
            self._carry(TO_DEVICE, Ack(item=item, ranges=((0, rng.randrange(4)),), credit=rng.randrange(9)))
        elif kind == 2:
            part_size = self._cut.part
            self._carry(TO_DEVICE, Grant(item=item, worker="thief", part_size=part_size, have=(), credit=9, lease_s=1))
        elif kind == 3:
            self._carry(TO_DEVICE, Refuse(item=item, code=pick(rng, CODES), text=""))
        elif kind == 4:
            self._carry(worker.name, Part(item=item, index=rng.randrange(6), payload=b"12"))
        elif kind == 5:
            part = Part(item=item, index=0, payload=b"1234")
            self._work(worker, worker.receiver.receive("car-2", part, self._now_us))
        else:
            self._work(worker, worker.receiver.receive("car-2", offer.init(self._cut.part), self._now_us))


def check_receipt(receipts: Mapping[str, bytes], item: str, receipt: bytes) -> None:
    """The device's check: NotTrusted for all that is not the item's entry in `receipts`."""
    if receipt != receipts.get(item, RECEIPT_MARK):
        raise NotTrusted("not the centre's receipt")


def broken_of(seeds: Iterable[int]) -> list[str]:
    """Run one schedule for each seed; what broke, a line each."""
    broken = []
    gc.disable()  # a schedule has no cycles of objects: looking for some is in vain
    try:
        for seed in seeds:
            try:
                Schedule(seed).run()
            except Broken as error:
                broken.append(str(error))
    finally:
        gc.enable()
    return broken
