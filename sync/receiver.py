"""The centre's half of a transfer as a pure state machine: messages and results in, actions out.

Decided here: which parts are taken, what is acknowledged and when an item is sealed. Not decided here: how much each
device may have on its way (`sync.credit`), whether a manifest is good, where bytes rest, what a receipt says; the shell
does that and answers every `Open`, `Sync` and `Seal` by one call, a `Sync` as late as it likes: meanwhile parts go on
coming in. Implements docs/spec/wire.md, "Centre". A worker's restart loses this object and nothing else: what is on
disk comes back through `opened`.

    init → Open ─┬ opened → Grant → parts → Write … flush → Sync → synced → Ack … fin → Seal ─┬ stored → Sealed
                 ├ stored → Sealed (it was here already)                                      └ refuse → Refuse
                 └ refuse → Refuse
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from sync.budget import Flow
from sync.credit import URGENT_PRIORITY, Credit
from sync.overdraft import Overdraft
from sync.parts import NO_PARTS, PartSet
from sync.patience import HEARD, LAST, NONSENSE, STORED, Patience
from sync.receiving import (
    BEYOND,
    NO_MORE,
    TOO_MUCH,
    Action,
    Complain,
    Forget,
    Open,
    Seal,
    Send,
    Sync,
    Write,
    conflict,
    put_off,
)
from vedette.wire import (
    DEFAULT_PART_BYTES,
    MAX_CREDIT,
    MAX_PARTS,
    Ack,
    Fin,
    Grant,
    Init,
    Part,
    Ranges,
    Refuse,
    RefuseCode,
    Sealed,
    parts_of,
)

__all__ = ["Action", "Complain", "Forget", "Open", "Receiver", "Seal", "Send", "Sync", "Write"]

MAX_UPLOADS = 4096
MAX_UPLOADS_PER_DEVICE = 32
MAX_URGENT_UPLOADS = 2 * MAX_UPLOADS
LEAST_GRANTED_PART_BYTES = 16 * 1024
_SAME = {"sha256": "hash", "size": "size", "manifest": "manifest"}  # what every init of an item must repeat


class _State(Enum):
    OPENING = "opening"
    RECEIVING = "receiving"
    SEALING = "sealing"


OPENING, RECEIVING, SEALING = _State  # an enum's attribute costs as much as a call, and each message looks at one


@dataclass(kw_only=True, slots=True)
class _Upload:
    init: Init
    heard_us: int
    broker: int
    state: _State = OPENING
    part_size: int = DEFAULT_PART_BYTES
    durable: PartSet = NO_PARTS
    written: PartSet = NO_PARTS
    syncing: PartSet = NO_PARTS
    ack_due: bool = False
    grant_due: bool = False
    fin_heard: bool = False

    @property
    def volatile(self) -> int:
        """Parts that are here and not known to be durable."""
        return self.written.count + self.syncing.count

    def size_of(self, index: int) -> int:
        return min(self.part_size, self.init.size - index * self.part_size)


class Receiver:
    """All uploads of one ingest worker; one thread, no clock, no disk. Times are monotonic microseconds.

    `broker_of` says by which of `brokers` a device comes; each is lent a budget of its own.
    """

    def __init__(
        self,
        *,
        worker: str,
        budget_bytes: int,
        part_size: int = DEFAULT_PART_BYTES,
        window: int = 32,
        lease_us: int = 60_000_000,
        brokers: int = 1,
        broker_of: Callable[[str], int] = lambda _device: 0,
    ) -> None:
        self._worker = worker
        self._part_size = part_size
        self._credit = Credit(budget_bytes=budget_bytes, window=min(window, MAX_CREDIT), brokers=brokers)
        self._broker_of = broker_of
        self._lease_us = lease_us
        self._uploads: dict[tuple[str, str], _Upload] = {}
        self._counts: Counter[str] = Counter()
        self._overdraft, self.patience = Overdraft(budget_bytes), Patience()
        self._stray_bytes, self._taken_bytes = [0] * brokers, [0] * brokers
        self._lent = [budget_bytes] * brokers

    @property
    def beyond(self) -> int:
        """How many messages were refused unseen, of devices that go on beyond what they were granted, or on and on."""
        return self._overdraft.beyond + self.patience.beyond

    @property
    def under_way(self) -> int:
        """How many uploads have not ended."""
        return len(self._uploads)

    @property
    def exposed_bytes(self) -> int:
        """The most that may be on its way here by what was granted."""
        return self._credit.exposed_bytes

    @property
    def here_by_broker(self) -> list[int]:
        """Bytes that have come and are not known to be durable, by each broker."""
        found = [0] * len(self._stray_bytes)
        for one in self._uploads.values():
            if volatile := one.volatile:
                found[one.broker] += volatile * one.part_size
        return found

    def receive(self, device: str, message: Init | Part | Fin, now_us: int) -> list[Action]:
        """What to do about a message from `device`, whose identity the broker has proved by its topic."""
        upload = self._uploads.get((device, message.item))
        if isinstance(message, Init):
            if (instead := self.charge(device, message, now_us)) is not None:
                return instead or [put_off(device, message.item, TOO_MUCH)]
            if self._overdraft.is_held(device, now_us):
                return [put_off(device, message.item)]
            return self._on_init(device, message, upload, now_us)
        if isinstance(message, Part):
            size = len(message.payload)
            left = self._overdraft.came(device, size, now_us)
            if self._overdraft.is_stray(left):
                self._stray_bytes[self._broker_of(device)] += size
            if left < 0:
                is_new = self._overdraft.went_beyond(device, left, now_us)
                return self._put_off_all(device, message.item, BEYOND, message.encode()) if is_new else []
            if self.patience.is_out(device, now_us):
                return []
        elif (instead := self.charge(device, message, now_us)) is not None:
            return instead
        if upload is None:
            return self.refuse(device, message.item, RefuseCode.UNKNOWN_ITEM, "not granted here; send init")
        upload.heard_us = now_us
        if upload.state is not RECEIVING:
            return []
        if isinstance(message, Part):
            return self._on_part(device, message, upload)
        return self._on_fin(device, message, upload)

    def opened(self, device: str, item: str, *, part_size: int, have: Ranges) -> list[Action]:
        """The answer to `Open`: the incoming bytes are open and hold `have`, counted in parts of `part_size` bytes."""
        upload = self._uploads.get((device, item))
        if upload is None:
            return []
        total = parts_of(upload.init.size, part_size)
        upload.part_size = part_size
        upload.durable, upload.written, upload.syncing = PartSet(total, have), PartSet(total), NO_PARTS
        left = total - upload.durable.count
        priority, broker = upload.init.priority, upload.broker
        self._credit.join(device, item, priority=priority, part_size=part_size, left=left, broker=broker)
        upload.state = RECEIVING
        return [self._grant(device, upload)]

    def synced(self, *uploads: tuple[str, str]) -> list[Action]:
        """The answer to `Sync` of these items by device: what had been written then is durable. All of it is counted
        before any is answered: what waited here made room for as much more, and does so no longer.
        """
        done = [(key, one) for key in uploads if (one := self._uploads.get(key)) is not None and one.syncing.count]
        for (device, item), upload in done:
            upload.durable.update(upload.syncing)
            self._credit.taken(device, item, upload.syncing.count)
            upload.syncing = NO_PARTS
        self._lend()
        return [self._after_sync(device, upload) for (device, _), upload in done]

    def _after_sync(self, device: str, upload: _Upload) -> Action:
        upload.ack_due = False
        if upload.fin_heard and upload.durable.complete:
            upload.state = SEALING
            return Seal(device=device, init=upload.init)
        is_granted = upload.grant_due and not upload.written.count
        return self._grant(device, upload) if is_granted else self._ack(device, upload)

    def stored(self, device: str, item: str, receipt: bytes) -> list[Action]:
        """The answer to `Open` or `Seal`: the item is stored and this is its signed receipt."""
        upload = self._uploads.get((device, item))
        if upload is not None and upload.state is SEALING:
            self.patience.pay(device, STORED)
        self._drop(device, item)
        return [Send(device=device, message=Sealed(item=item, receipt=receipt))]

    def refuse(self, device: str, item: str, code: RefuseCode, text: str) -> list[Action]:
        """The answer to `Open` or `Seal`, or at any time: the item is not taken; its upload is forgotten."""
        if code is RefuseCode.BUSY:
            self.patience.pay(device, 1)
        self._drop(device, item)
        return [Send(device=device, message=Refuse(item=item, code=code, text=text))]

    def exposed_at(self, broker: int) -> int:
        """As `exposed_bytes`, by one broker."""
        return self._credit.exposed_at(broker)

    def lend(self, *budgets_bytes: int) -> None:
        """Let so much be on its way by each broker from now on; what waits for the disk here makes nobody wait."""
        self._lent[:] = budgets_bytes
        self._lend()

    def _lend(self) -> None:
        for broker, here in enumerate(self.here_by_broker):
            self._credit.lend(self._lent[broker] + here, broker)

    def take_flow(self, broker: int = 0) -> Flow:
        """What came of parts by that broker since this was last asked."""
        flow = Flow(stray_bytes=self._stray_bytes[broker], taken_bytes=self._taken_bytes[broker])
        self._stray_bytes[broker] = self._taken_bytes[broker] = 0
        return flow

    def take_far(self) -> Mapping[str, int]:
        """Messages by device that it went on with though it was put off, since this was last asked."""
        return self._overdraft.take_far() + self.patience.take_far()

    def flush_urgent(self) -> list[Action]:
        """As `flush`, for what is urgent alone: it waits for nobody else's bytes to become durable."""
        urgent = [one for one in self._uploads.items() if one[1].init.priority <= URGENT_PRIORITY]
        return self._flush(urgent)

    def flush(self) -> list[Action]:
        """What to make durable and acknowledge now; call it when the messages at hand are worked off."""
        return self._flush(self._uploads.items()) + self._resume()

    def _flush(self, uploads: Iterable[tuple[tuple[str, str], _Upload]]) -> list[Action]:
        actions: list[Action] = []
        for (device, item), upload in uploads:
            if upload.written.count and not upload.syncing.count:
                upload.syncing, upload.written = upload.written, PartSet(upload.durable.total)
                urgent = upload.init.priority <= URGENT_PRIORITY
                actions.append(Sync(device=device, item=item, parts=upload.syncing.ranges, urgent=urgent))
            elif upload.ack_due and not upload.volatile:
                upload.ack_due = False
                actions.append(self._ack(device, upload))
        return actions

    def expire(self, now_us: int) -> list[Action]:
        """Let go of receiving uploads that were silent for a lease; their bytes stay and are granted again."""
        receiving = [(key, upload) for key, upload in self._uploads.items() if upload.state is RECEIVING]
        return [self._forget(*key) for key, one in receiving if now_us - one.heard_us > self._lease_us]

    def drop_device(self, device: str) -> list[Action]:
        """Let go of everything of a revoked device, and tell it: somebody may wait for the answer to a part."""
        actions: list[Action] = []
        for item in [item for name, item in self._uploads if name == device]:
            told = Refuse(item=item, code=RefuseCode.REVOKED, text="this device was revoked")
            actions += [self._forget(device, item), Send(device=device, message=told)]
        return actions

    def _forget(self, device: str, item: str) -> Forget:
        self._drop(device, item)
        return Forget(device=device, item=item)

    def _drop(self, device: str, item: str) -> None:
        if self._uploads.pop((device, item), None) is not None:
            self._credit.leave(device, item)
            self._counts[device] -= 1
            if not self._counts[device]:
                del self._counts[device]

    def _resume(self) -> list[Action]:
        """Tell those who were paused by a credit of 0 that there is room now; a sync tells it by its own ack."""
        paused = [(key, self._uploads[key]) for key in self._credit.relieved()]
        return [
            self._ack(device, upload, its_turn=True)
            for (device, _item), upload in paused
            if upload.state is RECEIVING and not upload.volatile
        ]

    def _on_init(self, device: str, init: Init, upload: _Upload | None, now_us: int) -> list[Action]:
        if upload is None:
            return self._begin(device, init, now_us)
        upload.heard_us = now_us
        other = [name for name in _SAME if getattr(init, name) != getattr(upload.init, name)]
        if other:
            return conflict(device, init, f"this item is under way with another {_SAME[other[0]]}")
        # A grant before the sync would leave out the parts just written, and the device would send them again.
        upload.grant_due = upload.volatile > 0
        if upload.state is not RECEIVING or upload.grant_due:
            return []
        self._credit.asked(device, init.item)
        return [self._grant(device, upload)]

    def _begin(self, device: str, init: Init, now_us: int) -> list[Action]:
        if self._counts[device] >= MAX_UPLOADS_PER_DEVICE:
            return [put_off(device, init.item, NO_MORE)]
        if len(self._uploads) >= (MAX_UPLOADS if init.priority > URGENT_PRIORITY else MAX_URGENT_UPLOADS):
            return self.refuse(device, init.item, RefuseCode.BUSY, NO_MORE)
        part_size = min(self._part_size, init.part_size)
        while part_size > max(self._credit.fair_part, LEAST_GRANTED_PART_BYTES):
            part_size //= 2
        while parts_of(init.size, part_size) > MAX_PARTS:
            part_size *= 2
        self._uploads[device, init.item] = _Upload(init=init, heard_us=now_us, broker=self._broker_of(device))
        self._counts[device] += 1
        return [Open(device=device, init=init, part_size=part_size)]

    def charge(self, device: str, said: Init | Fin | bytes, now_us: int) -> list[Action] | None:
        """None where `device` is heeded, which has said this (bytes: no message); else what to do instead: little."""
        heed = self.patience.charge(device, NONSENSE if isinstance(said, bytes) else 1, now_us)
        if heed is not LAST:
            return None if heed is HEARD else []
        item, evidence = (None, said) if isinstance(said, bytes) else (said.item, said.encode())
        return self._put_off_all(device, item, TOO_MUCH, evidence)

    def _put_off_all(self, device: str, item: str | None, text: str, evidence: bytes) -> list[Action]:
        """Look at nothing more of `device` for a while."""
        mine = [key for key, upload in self._uploads.items() if key[0] == device and upload.state is RECEIVING]
        told = [action for key in mine for action in (self._forget(*key), put_off(*key, text))]
        return [*told, Complain(device=device, item=item, code=RefuseCode.BUSY, text=text, evidence=evidence)]

    def _on_part(self, device: str, part: Part, upload: _Upload) -> list[Action]:
        if part.index >= upload.durable.total or len(part.payload) != upload.size_of(part.index):
            return [self._grant(device, upload)]
        if part.index in upload.durable:
            upload.ack_due = True
            return []
        if part.index in upload.written or part.index in upload.syncing:
            return []
        if upload.volatile >= self._credit.exposed(device, part.item):
            self._stray_bytes[upload.broker] += len(part.payload)
            return []  # more than was granted gains nothing
        self._taken_bytes[upload.broker] += len(part.payload)
        upload.written.add(part.index)
        offset = part.index * upload.part_size
        return [Write(device=device, item=part.item, index=part.index, offset=offset, payload=part.payload)]

    def _on_fin(self, device: str, fin: Fin, upload: _Upload) -> list[Action]:
        if fin.sha256 != upload.init.sha256:
            return conflict(device, fin, "this item is under way with another hash than its fin names")
        # It may come before the last parts: they travel on another connection, or were lost and come again.
        upload.fin_heard = True
        if upload.volatile:
            return []
        if not upload.durable.complete:
            return [self._ack(device, upload)]
        upload.state = SEALING
        return [Seal(device=device, init=upload.init)]

    def _grant(self, device: str, upload: _Upload) -> Send:
        upload.grant_due = False
        grant = Grant(
            item=upload.init.item,
            worker=self._worker,
            part_size=upload.part_size,
            have=upload.durable.ranges,
            credit=self._allot(device, upload),
            lease_s=max(1, self._lease_us // 1_000_000),
        )
        return Send(device=device, message=grant)

    def _ack(self, device: str, upload: _Upload, *, its_turn: bool = False) -> Send:
        credit = self._allot(device, upload, its_turn=its_turn)
        return Send(device=device, message=Ack(item=upload.init.item, ranges=upload.durable.ranges, credit=credit))

    def _allot(self, device: str, upload: _Upload, *, its_turn: bool = False) -> int:
        item = upload.init.item
        before = self._credit.exposed(device, item)
        credit = self._credit.allot(device, item, its_turn=its_turn)
        if credit > before:
            self._overdraft.granted(device, (credit - before) * upload.part_size)
        return credit
