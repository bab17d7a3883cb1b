"""The engine behind the depot's HTTPS door: the same receiver as the ingest's, asked by requests in place of messages.

Decided here: one thread owns the uploads; requests hand it messages of the wire and wait for its answers, so that what
many cars send at once is made durable by few fsyncs. Whom to believe is told by the caller, who has the certificate;
that the device is enrolled and not revoked is checked here again. What the door cannot read, and who comes with a
certificate that is on the revocation list, is put into quarantine by this thread too, which owns the store. Implements
DE-6 to DE-9, DE-17 and DE-18 of docs/spec/depot.md.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from sync.central.admission import Admission
from sync.central.fleet import device_key
from sync.central.quarantine import drop, quarantine, settle, write_counts
from sync.central.receipts import Signer
from sync.central.store import Store
from sync.central.store_trouble import lost_when_not_written
from sync.central.uploads import Uploads
from vedette.clock import Clock
from vedette.config import IngestSection
from vedette.errors import Refused
from vedette.wire import Fin, FromCentre, Init, Part, Refuse, RefuseCode

T = TypeVar("T")

WORKER = "depot"
ANSWER_S = 60.0
BATCH = 256
MAX_HEARD = 64
MAX_COMPLAINTS = 64
LISTED = "this certificate is on the revocation list"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Complaint:
    """A request that is no message: which item it was about, what is wrong with it, and its head."""

    item: str | None
    text: str
    evidence: bytes
    taken: asyncio.Future[None]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Listed:
    """A request by a certificate that is on the revocation list; `taken` is how it is refused."""

    taken: asyncio.Future[RefuseCode]


_Work = Init | Part | Fin | _Complaint | _Listed


class Late(Refused):
    """The engine gave no answer in time."""


class Talk:
    """What one request says about one item of one device, and what it is answered."""

    def __init__(self, desk: Desk, device: str, item: str) -> None:
        self._desk = desk
        self._device = device
        self.item = item
        self.heard: asyncio.Queue[FromCentre] = asyncio.Queue()

    def tell(self, message: Init | Part | Fin) -> None:
        """Hand a message to the engine."""
        self._desk.put(self._device, message)

    async def hear(self, patience_s: float = ANSWER_S) -> FromCentre:
        """The next answer; `Late` when none comes."""
        try:
            return await asyncio.wait_for(self.heard.get(), patience_s)
        except asyncio.TimeoutError:
            raise Late("the store did not answer in time") from None

    async def ask(self, message: Init | Part | Fin) -> FromCentre:
        """Hand over `message` and wait for the next answer."""
        self.tell(message)
        return await self.hear()


class Desk:
    """Takes messages from any thread, works them off in its own; `start` and `stop` frame its life."""

    def __init__(
        self,
        store: Store,
        signer: Signer,
        limits: IngestSection,
        clock: Clock,
        *,
        is_revoked: Callable[[int], bool] = lambda _serial: False,
    ) -> None:
        """`is_revoked` says whether a certificate's serial number is on the revocation list now."""
        self.is_revoked = is_revoked
        self._clock = clock
        self._work: queue.Queue[tuple[str, _Work]] = queue.Queue()
        self._complaints = 0
        self._talks: dict[tuple[str, str], Talk] = {}
        self._store = store
        self._admission = Admission(store)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over = threading.Event()
        self._make_uploads = partial(Uploads, store, signer, limits, self._answer, worker=WORKER)
        self._thread = threading.Thread(target=self._run, name="desk", daemon=True)

    def start(self) -> None:
        """Begin, in the event loop whose requests will be answered."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        """End after what is under way; unfinished uploads rest on the disk."""
        self._over.set()
        self._thread.join()

    @asynccontextmanager
    async def talk(self, device: str, item: str) -> AsyncIterator[Talk]:
        """The only talk about this item; `Refused` while another request has one."""
        if (device, item) in self._talks:
            raise Refused(f"item {item} is being sent by another request")
        talk = self._talks[device, item] = Talk(self, device, item)
        try:
            yield talk
        finally:
            del self._talks[device, item]

    def put(self, device: str, message: Init | Part | Fin) -> None:
        """As `Talk.tell`."""
        self._work.put((device, message))

    async def complain(self, device: str, item: str | None, text: str, evidence: bytes) -> None:
        """Put into quarantine what `device` sent and is no message; its row, or count, is there on return.

        Whoever floods waits for each: at most MAX_COMPLAINTS are on their way, those beyond are counted and not kept.
        """
        if self._complaints >= MAX_COMPLAINTS:
            drop(self._store, device, RefuseCode.INVALID)
            return
        taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._complaints += 1
        self._work.put((device, _Complaint(item=item, text=text, evidence=evidence, taken=taken)))
        await asyncio.wait({taken}, timeout=ANSWER_S)

    async def turn_away(self, device: str) -> RefuseCode:
        """Put down that `device` came with a certificate that is on the revocation list; how it is refused.

        `busy` where it is enrolled: it is on the list for a while (WI-73), and may come again. Bounded as `complain`.
        """
        if self._complaints >= MAX_COMPLAINTS:
            drop(self._store, device, RefuseCode.REVOKED)
            return RefuseCode.BUSY
        taken: asyncio.Future[RefuseCode] = asyncio.get_running_loop().create_future()
        self._complaints += 1
        self._work.put((device, _Listed(taken=taken)))
        await asyncio.wait({taken}, timeout=ANSWER_S)
        return taken.result() if taken.done() else RefuseCode.BUSY

    def _run(self) -> None:
        uploads = self._make_uploads()
        while not self._over.is_set():
            now_us = self._clock.mono_us()
            with lost_when_not_written():
                for device in self._admission.lost(now_us):
                    uploads.drop(device)
            for device, message in self._batch(uploads.patience_s):
                with lost_when_not_written():
                    self._take(uploads, device, message, now_us)
            with lost_when_not_written():
                uploads.settle(now_us)
            with lost_when_not_written():
                settle(self._store)
        with lost_when_not_written():
            write_counts(self._store)

    def _batch(self, patience_s: float) -> list[tuple[str, _Work]]:
        """What waits, after waiting so long for the first."""
        found: list[tuple[str, _Work]] = []
        with suppress(queue.Empty):
            while len(found) < BATCH:
                found.append(self._work.get(block=not found, timeout=patience_s))
        return found

    def _take(self, uploads: Uploads, device: str, message: _Work, now_us: int) -> None:
        if isinstance(message, _Complaint):
            self._put_down(uploads, device, message, now_us)
            return
        if isinstance(message, _Listed):
            self._put_down_listed(device, message)
            return
        if self._admission.admits(device):
            uploads.receive(device, message, now_us)
            return
        text = self._admission.turn_away(device)
        self._answer(device, Refuse(item=message.item, code=RefuseCode.REVOKED, text=text))

    def _put_down(self, uploads: Uploads, device: str, complaint: _Complaint, now_us: int) -> None:
        text, evidence = complaint.text, complaint.evidence
        try:
            if not self._admission.admits(device):
                self._admission.turn_away(device)
            elif uploads.heeds(device, evidence, now_us):
                quarantine(self._store, device, complaint.item, RefuseCode.INVALID, text, evidence)
        finally:
            assert self._loop is not None
            self._loop.call_soon_threadsafe(self._was_put_down, complaint.taken, None)

    def _put_down_listed(self, device: str, listed: _Listed) -> None:
        code = RefuseCode.BUSY
        try:
            if device_key(self._store, device) is None:  # asked anew: who is admitted was looked up a while ago
                code = RefuseCode.REVOKED
            quarantine(self._store, device, None, RefuseCode.REVOKED, LISTED)
        finally:
            assert self._loop is not None
            self._loop.call_soon_threadsafe(self._was_put_down, listed.taken, code)

    def _was_put_down(self, taken: asyncio.Future[T], answer: T) -> None:
        self._complaints -= 1
        if not taken.done():
            taken.set_result(answer)

    def _answer(self, device: str, message: FromCentre) -> None:
        """Hand an answer to the request that talks about the item; nobody may be there any more."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._deliver, device, message)

    def _deliver(self, device: str, message: FromCentre) -> None:
        talk = self._talks.get((device, getattr(message, "item", "")))
        if talk is not None and talk.heard.qsize() < MAX_HEARD:
            talk.heard.put_nowait(message)
