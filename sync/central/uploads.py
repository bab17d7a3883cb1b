"""Carries out what the receiver's state machine asks for: opens, writes, syncs, seals, and answers the device.

Decided here: what each trouble becomes on the wire. Untrusted or malformed is refused for good and quarantined;
an id that belongs to other bytes is a conflict; a full disk or a busy store is "busy", to be tried again, and
loses nothing. Implements RC-6, RC-7 and RC-8 of docs/spec/receipt.md.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from sync.budget import Budget
from sync.central import receipts
from sync.central.adopting import Adopting
from sync.central.blobs import BlobStore
from sync.central.fleet import CENTRE_ID, device_key
from sync.central.incoming import Flush, Incoming
from sync.central.quarantine import count_again, quarantine
from sync.central.receipts import NotTaken, Signer
from sync.central.store import Store
from sync.central.store_trouble import DISK_TROUBLE
from sync.credit import URGENT_PRIORITY
from sync.link import Look
from sync.receiver import Action, Complain, Forget, Open, Receiver, Seal, Sync, Write
from vedette.config import IngestSection
from vedette.errors import Integrity, VedetteError
from vedette.records import Manifest
from vedette.wire import Fin, FromCentre, Init, Part, RefuseCode

_log = logging.getLogger("vedette.ingest")

POLL_S = 0.05
KEEPING_POLL_S = 0.005
SEAL_BATCH = 50
OPEN_BATCH = 4  # of 2 to 5 ms each, in which nobody else is heard
SWEEP_EVERY_US = 30_000_000
FLUSH_EVERY_US = 20_000


class Uploads:
    """Every upload of one ingest worker.

    `send` publishes one message to one device and may fail silently; `send_off` hurries what was sent so far. `homes`
    says how many brokers there are, and by which a device comes.
    """

    def __init__(
        self,
        store: Store,
        signer: Signer,
        limits: IngestSection,
        send: Callable[[str, FromCentre], object],
        *,
        worker: str = CENTRE_ID,
        send_off: Callable[[], object] = lambda: None,
        homes: tuple[int, Callable[[str], int]] = (1, lambda _device: 0),
    ) -> None:
        self._store = store
        self._signer = signer
        self._send = send
        self._send_off = send_off
        self._max_item_bytes = limits.max_item_mib << 20
        self._incoming = Incoming(store, worker)
        brokers, broker_of = homes
        self._receiver = Receiver(
            worker=worker,
            budget_bytes=limits.credit_mib << 20,
            part_size=limits.part_kib * 1024,
            brokers=brokers,
            broker_of=broker_of,
        )
        self._budgets = [Budget(limits.credit_mib << 20, brokers) for _ in range(brokers)]
        self._seals: list[Seal] = []
        self._opens: deque[Open] = deque()
        self._flush: tuple[list[Sync], Flush] | None = None
        self._flush_us = -FLUSH_EVERY_US
        self._is_more, self._is_held_back = False, False
        self._sweep_us = 0
        self._adopting = Adopting(store.blobs)
        self.items_stored = 0
        self.bytes_stored = 0

    @property
    def under_way(self) -> int:
        """How many uploads have not ended."""
        return self._receiver.under_way

    @property
    def counters(self) -> dict[str, int]:
        """Figures for the status file of whoever takes uploads in."""
        return {
            "uploads": self.under_way,
            "asked": self.asked,
            "syncing": self.syncing,
            "keeping": self.keeping,
            "beyond": self._receiver.beyond,
            "items_stored": self.items_stored,
            "bytes_stored": self.bytes_stored,
        }

    @property
    def asked(self) -> int:
        """How many less urgent uploads have not been opened yet; a few are whenever `settle` is called."""
        return len(self._opens)

    @property
    def syncing(self) -> int:
        """How many less urgent uploads have bytes that are becoming durable just now."""
        return len(self._flush[0]) if self._flush is not None else 0

    @property
    def keeping(self) -> int:
        """How many whole uploads are on their way into the store of blobs."""
        return len(self._adopting)

    @property
    def patience_s(self) -> float:
        """How long to wait for the next message: nothing else may be to be done meanwhile."""
        if self._opens:
            return 0.0
        return KEEPING_POLL_S if self.keeping or self.syncing or self._is_held_back else POLL_S

    def receive(self, device: str, message: Init | Part | Fin, now_us: int) -> None:
        """Take one message of an enrolled device."""
        self._do(self._receiver.receive(device, message, now_us))

    def heeds(self, device: str, said: bytes, now_us: int) -> bool:
        """Whether what `device` said, and nobody understood, is put into quarantine as another's would be."""
        instead = self._receiver.charge(device, said, now_us)
        self._do(instead or [])
        return instead is None

    def settle(self, now_us: int) -> None:
        """Make durable and acknowledge what was received, store what is whole, let go of uploads that fell silent; and
        of the rests of those that came by another worker, twice a minute.

        What is urgent first and by itself: its receipt waits for the bytes of no recording. Those become durable beside
        what is done here, all that came meanwhile together and next; while more keeps coming, every FLUSH_EVERY_US at
        most, as each time costs a commit and an answer to each upload. Of the less urgent uploads that were asked for
        a few are opened, last of all: a fleet that comes back at once asks for hundreds.
        """
        urgent = self._receiver.flush_urgent()
        if urgent or self._seals:
            self._do(urgent)
            self._store_whole()
            self._send_off()
        self._do(self._flushed())
        self._is_held_back = self._is_more and now_us - self._flush_us < FLUSH_EVERY_US
        self._is_more = False
        if self._flush is None and not self._is_held_back:
            self._do(self._receiver.flush())
            if self.syncing:
                self._flush_us = now_us
        self._do(self._receiver.expire(now_us))
        for device, parts in self._receiver.take_far().items():
            count_again(self._store, device, RefuseCode.BUSY, parts)
        self._store_whole()
        if now_us >= self._sweep_us:
            self._sweep_us = now_us + SWEEP_EVERY_US
            with suppress(*DISK_TROUBLE):  # then it goes the next time
                self._incoming.sweep(self._adopting.items)
        if self._opens:
            self._send_off()
        for _ in range(min(OPEN_BATCH, len(self._opens))):
            self._do(self._begin(self._opens.popleft()))

    def looked(self, now_us: int, looks: Sequence[Look]) -> None:
        """Take note what the last look at each broker's line told: whether it has read all there was, and how long that
        had waited; less is granted there while no look does, or while it waits long.
        """
        here = self._receiver.here_by_broker
        lent = [
            budget.looked(
                now_us,
                emptied=look.emptied,
                waited_us=look.waited_us,
                used_bytes=self._receiver.exposed_at(broker) - here[broker],
                flow=self._receiver.take_flow(broker),
            )
            for broker, (budget, look) in enumerate(zip(self._budgets, looks, strict=True))
        ]
        self._receiver.lend(*lent)

    def _store_whole(self) -> None:
        if not self._seals and not self.keeping:
            return
        self._seals.sort(key=lambda seal: seal.init.priority)
        more = True
        while more:
            batch, self._seals = self._seals[:SEAL_BATCH], self._seals[SEAL_BATCH:]
            for seal in batch:
                self._do(self._guarded(seal.device, seal.init, partial(self._begin_keeping, seal)))
            ended = self._adopting.done(SEAL_BATCH)
            self._do(self._seal(ended))
            more = bool(batch or ended)

    def drop(self, device: str) -> None:
        """Let go of everything of a revoked device."""
        self._opens = deque(one for one in self._opens if one.device != device)
        self._do(self._receiver.drop_device(device))

    def _do(self, actions: Iterable[Action]) -> None:
        waiting = deque(actions)
        while waiting:
            run = [waiting.popleft()]
            while isinstance(run[0], Sync) and waiting and isinstance(waiting[0], Sync):
                run.append(waiting.popleft())
            waiting.extendleft(reversed(self._carry_out(run)))

    def _carry_out(self, run: list[Action]) -> list[Action]:
        action = run[0]
        if isinstance(action, Sync):
            return self._sync([one for one in run if isinstance(one, Sync)])
        if isinstance(action, Open) and action.init.priority > URGENT_PRIORITY:
            self._opens.append(action)  # until `settle`, behind what is urgent
            return []
        if isinstance(action, Open):
            return self._begin(action)
        if isinstance(action, Seal):
            self._seals.append(action)  # until `settle`, where those of many devices share one commit
            return []
        if isinstance(action, Write):
            return self._write(action)
        if isinstance(action, Forget):
            self._incoming.close(action.device, action.item)
            return []
        if isinstance(action, Complain):
            quarantine(self._store, action.device, action.item, action.code, action.text, action.evidence)
            return []
        self._send(action.device, action.message)
        return []

    def _guarded(self, device: str, init: Init, work: Callable[[], list[Action]]) -> list[Action]:
        """What `work` asks for next, or a refusal of `init`, quarantined where the trouble is not the centre's own."""
        try:
            return work()
        except NotTaken as error:
            code, text = error.code, str(error)
        except VedetteError as error:
            code, text = RefuseCode.INVALID, str(error)
        except DISK_TROUBLE as error:
            return self._busy(device, init.item, error)
        self._incoming.close(device, init.item)
        if code is not RefuseCode.BUSY:
            quarantine(self._store, device, init.item, code, text, init.manifest)
        return self._receiver.refuse(device, init.item, code, text[:400])

    def _begin(self, action: Open) -> list[Action]:
        return self._guarded(action.device, action.init, partial(self._open, action))

    def _open(self, action: Open) -> list[Action]:
        device, init = action.device, action.init
        receipt = receipts.stored_receipt(self._store, device, init)
        if receipt is not None:
            if self._incoming.owner(init.item) == device:  # it came by another way in the end
                self._incoming.close(device, init.item)
                self._incoming.discard(init.item)
            return self._receiver.stored(device, init.item, receipt)
        manifest = self._manifest(device, init)
        if self._incoming.owner(init.item) not in (None, device):
            raise NotTaken(RefuseCode.CONFLICT, f"item {init.item} is being sent by another device")
        if self._is_blob_already(device, init):
            answers = self._store_all([(action, manifest)])
            self._incoming.discard(init.item)
            return answers
        part_size, have = self._incoming.open(device, init, action.part_size)
        return self._receiver.opened(device, init.item, part_size=part_size, have=have)

    def _is_blob_already(self, device: str, init: Init) -> bool:
        """Whether a crash came between the keeping of this upload's whole blob and the commit of its row."""
        return self._incoming.is_whole(device, init) and self._store.blobs.holds(init.sha256, init.size)

    def _begin_keeping(self, seal: Seal) -> list[Action]:
        self._manifest(seal.device, seal.init)
        path = self._incoming.whole(seal.init.item)
        self._adopting.begin(seal, partial(_keep_blob, self._store.blobs, path, seal.init))
        return []

    def _seal(self, ended: Sequence[tuple[Seal, Callable[[], None]]]) -> list[Action]:
        """Store the items whose blobs are kept; one that is wrong does not hold up the others."""
        whole: list[tuple[Seal, Manifest]] = []
        answers: list[Action] = []
        for seal, outcome in ended:
            answers += self._guarded(seal.device, seal.init, partial(self._kept, seal, outcome, whole))
        try:
            return answers + self._store_all(whole)
        except NotTaken:  # another worker took one of them meanwhile, with other bytes
            for one in whole:
                answers += self._guarded(one[0].device, one[0].init, partial(self._store_all, [one]))
            return answers
        except DISK_TROUBLE as error:
            return answers + [one for seal, _ in whole for one in self._busy(seal.device, seal.init.item, error)]

    def _kept(self, seal: Seal, outcome: Callable[[], None], whole: list[tuple[Seal, Manifest]]) -> list[Action]:
        try:
            outcome()
        except Integrity as error:
            self._incoming.discard(seal.init.item)
            raise NotTaken(RefuseCode.MISMATCH, str(error)) from None
        whole.append((seal, self._manifest(seal.device, seal.init)))
        return []

    def _store_all(self, whole: Sequence[tuple[Open | Seal, Manifest]]) -> list[Action]:
        if not whole:
            return []
        records = [(manifest, one.init.manifest) for one, manifest in whole]
        signed = receipts.accept_all(self._store, self._signer, records)
        answers: list[Action] = []
        for (one, _manifest), receipt in zip(whole, signed, strict=True):
            self.items_stored += 1
            self.bytes_stored += one.init.size
            _log.info("stored %s %s of %s, %d bytes", one.init.kind, one.init.item, one.device, one.init.size)
            answers += self._receiver.stored(one.device, one.init.item, receipt)
        return answers

    def _manifest(self, device: str, init: Init) -> Manifest:
        key = device_key(self._store, device)
        if key is None:
            raise NotTaken(RefuseCode.REVOKED, f"{device} is not enrolled here, or was revoked")
        return receipts.check_init(device, init, key, max_item_bytes=self._max_item_bytes)

    def _write(self, action: Write) -> list[Action]:
        self._is_more = True
        try:
            self._incoming.write(action.item, action.offset, action.payload)
        except OSError as error:
            return self._busy(action.device, action.item, error)
        return []

    def _sync(self, syncs: list[Sync]) -> list[Action]:
        """Make durable: what is urgent now, the rest beside other work; `_flushed` tells when that is over."""
        now, later = [one for one in syncs if one.urgent], [one for one in syncs if not one.urgent]
        answers: list[Action] = []
        try:
            if now:
                self._incoming.sync([(one.item, one.parts) for one in now])
            answers += self._receiver.synced(*((one.device, one.item) for one in now))
        except DISK_TROUBLE as error:
            answers += self._all_busy(now, error)
        try:
            if later:
                self._flush = later, self._incoming.begin_sync([(one.item, one.parts) for one in later])
        except DISK_TROUBLE as error:
            answers += self._all_busy(later, error)
        return answers

    def _flushed(self) -> list[Action]:
        """What follows from what became durable, or did not, beside other work, once that is over.

        It says nothing to an upload that was begun anew meanwhile, whose bytes it was not about.
        """
        if self._flush is None or not self._flush[1].is_over:
            return []
        (syncs, flush), self._flush = self._flush, None
        open_still = self._incoming.open_still(flush)
        waiting = [one for one in syncs if one.item in open_still]
        try:
            self._incoming.end_sync(flush)
        except DISK_TROUBLE as error:
            return self._all_busy(waiting, error)
        return self._receiver.synced(*((one.device, one.item) for one in waiting))

    def _all_busy(self, syncs: Sequence[Sync], error: Exception) -> list[Action]:
        return [action for one in syncs for action in self._busy(one.device, one.item, error)]

    def _busy(self, device: str, item: str, error: Exception) -> list[Action]:
        _log.error("item %s of %s waits, the centre's disk says: %s", item, device, error)
        self._incoming.close(device, item)
        return self._receiver.refuse(device, item, RefuseCode.BUSY, "the centre cannot write now; try later")


def _keep_blob(blobs: BlobStore, path: Path, init: Init) -> None:
    """Hash the whole bytes and keep them; on a thread of the pool where the store of blobs is far."""
    receipts.check_bytes(path, init)
    blobs.adopt(path, init.sha256)
