"""The device's half of a transfer as a pure state machine: messages and times in, the next thing to publish out.

Decided here: what is sent next (urgent before bulk), when the centre is asked again, and that only a receipt that
`check_receipt` lets pass ends an upload well. Not decided here: how many bytes may be on their way (`sync.flight`),
which items are offered and when a stopped one is tried again (`sync.outbox`). Implements docs/spec/wire.md, "Device".

    offer → ASKING ── grant ──► SENDING ── sealed, receipt verified ──► Done
              ▲  └ silence: ask again    └ silence, unknown-item, worker gone: ASKING
              └ tries spent, refuse: Stopped (the outbox offers it again later)

There is one way to recover from anything: ask again by init; the grant then says what the centre has. The retry time
doubles at every silence and comes back only by a clean measurement (Karn's rule), so that a slow link is never answered
with more traffic.
"""

from __future__ import annotations

from collections.abc import Callable

from sync.flight import LEAST_PARTS, Flight
from sync.parts import PartSet, count_of
from sync.retry import LEAST_RETRY_US, MOST_RETRY_US, RetryTime
from sync.sending import Action, BadReceipt, Done, Offer, Outcome, SendFin, SendInit, SendPart, Stopped
from sync.upload import ASKING, SENDING, Upload
from vedette.errors import NotFound, VedetteError
from vedette.wire import (
    DEFAULT_PART_BYTES,
    MAX_PARTS,
    Ack,
    Fin,
    Grant,
    Ranges,
    Refuse,
    RefuseCode,
    Sealed,
    parts_of,
)

__all__ = [
    "LEAST_RETRY_US",
    "MOST_RETRY_US",
    "Action",
    "BadReceipt",
    "Done",
    "Offer",
    "Outcome",
    "RetryTime",
    "SendFin",
    "SendInit",
    "SendPart",
    "Sender",
    "Stopped",
]

WINDOW_PARTS = 32
MAX_UNDER_WAY = 4
MAX_TRIES = 6
LEAST_SEAL_WAIT_US = 5_000_000
UNHEARD_RETRY_US = 2_000_000
MOST_UNHEARD_RETRY_US = 30_000_000
CREDIT_WAIT_US = 10_000_000
EAGER_BYTES = 128 * 1024
EAGER_PARTS = 4


class Sender:
    """All uploads of one device over one session; one thread, no clock, no disk. Times are monotonic microseconds.

    `check_receipt(item, receipt)` returns when that is the centre's signed receipt for what the device holds as `item`,
    and raises NotFound when it holds no such item (any more), another VedetteError when the receipt is wrong.
    """

    def __init__(
        self,
        check_receipt: Callable[[str, bytes], None],
        *,
        window: int = WINDOW_PARTS,
        part_size: int = DEFAULT_PART_BYTES,
        flight: Flight | None = None,
    ) -> None:
        """`window` and `part_size` are the most, in parts and bytes; `flight` says how much of it the network takes."""
        self._check_receipt = check_receipt
        self._window = window
        self._part_size = part_size
        self._flight = Flight(most_part=part_size) if flight is None else flight
        self._uploads: dict[str, Upload] = {}
        self._by_rank: list[Upload] = []
        self._acknowledged_bytes = 0
        self._workers: set[str] = set()
        self._retry = RetryTime()
        self._unheard_us = UNHEARD_RETRY_US

    @property
    def under_way(self) -> frozenset[str]:
        """The items that have been offered and have not ended."""
        return frozenset(self._uploads)

    @property
    def acknowledged_bytes(self) -> int:
        """Bytes of parts that the centre has acknowledged since the start."""
        return self._acknowledged_bytes

    def has_room(self, priority: int) -> bool:
        """Whether an item of that priority may be offered; less urgent uploads never take an urgent one's room."""
        return sum(1 for upload in self._uploads.values() if upload.urgency <= priority) < MAX_UNDER_WAY

    def offer(self, offer: Offer) -> None:
        """Begin an upload; offering what is under way changes nothing."""
        if offer.item not in self._uploads:
            self._uploads[offer.item] = Upload(offer=offer, urgency=offer.urgency)
            self._by_rank = sorted(self._uploads.values(), key=lambda one: one.rank)

    def drop(self, item: str) -> None:
        """End an upload without an outcome, for example because its file cannot be read."""
        upload = self._uploads.pop(item, None)
        if upload is not None:
            self._by_rank.remove(upload)

    def reset(self) -> None:
        """The session is gone and with it everything in flight; items are offered again in the next one."""
        self._uploads.clear()
        self._by_rank.clear()
        self._workers.clear()
        self._retry = RetryTime()
        self._unheard_us = UNHEARD_RETRY_US

    def lost_bulk(self) -> None:
        """The connection for bulk is gone with everything in flight on it: ask what the centre has of that."""
        for upload in self._uploads.values():
            if upload.offer.is_bulk and upload.in_flight:
                upload.ask()

    def stop_from(self, priority: int) -> list[str]:
        """Drop what is of that priority (by its manifest) or less urgent: the network is not for it any more."""
        stopped = [item for item, upload in self._uploads.items() if upload.offer.priority >= priority]
        for item in stopped:
            self.drop(item)
        return stopped

    def undelivered(self, worker: str) -> None:
        """Nobody hears that worker any more: ask who takes over."""
        self._workers.discard(worker)
        for upload in self._uploads.values():
            if upload.state is SENDING and upload.worker == worker:
                upload.ask()
            elif upload.eager and upload.worker == worker:
                upload.begin_anew()

    def unheard(self, now_us: int) -> None:
        """No ingest worker is there at all: ask again later, which is no item's failure and no slow link."""
        for upload in self._uploads.values():
            if upload.state is ASKING and upload.since_us is not None:
                upload.since_us, upload.unheard = now_us, True

    def next_action(self) -> Action | None:
        """What to publish now, most urgent first, or None; call `sent` when the link took it."""
        for upload in self._by_rank:
            action = self._action(upload)
            if action is not None:
                return action
        return None

    def sent(self, action: Action, now_us: int) -> None:
        """The link took `action`."""
        item = action.item if isinstance(action, SendPart) else action.message.item
        upload = self._uploads[item]
        upload.since_us = now_us
        if isinstance(action, SendInit):
            if self._may_be_eager(upload, action.message.part_size):
                upload.send_eagerly(next(iter(self._workers)), action.message.part_size)
            upload.asked = True
        elif isinstance(action, SendFin):
            upload.fin_sent = True
        elif isinstance(action, SendPart):
            in_flight = action.length
            for one in self._uploads.values():
                in_flight += one.in_flight_bytes
            upload.part_sent(action.index, self._flight.sent(action.length, now_us, in_flight=in_flight))

    def receive(self, message: Grant | Ack | Sealed | Refuse, now_us: int) -> list[Outcome]:
        """Take a message from the centre; messages about items that are not under way are ignored, save receipts."""
        outcomes = self._take(message, now_us)
        self._unheard_us = UNHEARD_RETRY_US
        for upload in self._uploads.values():
            if upload.unheard:
                upload.ask()
        return outcomes

    def _take(self, message: Grant | Ack | Sealed | Refuse, now_us: int) -> list[Outcome]:
        if isinstance(message, Sealed):
            return self._on_sealed(message)
        upload = self._uploads.get(message.item)
        if upload is None:
            return []
        if isinstance(message, Refuse):
            return self._on_refuse(message, upload)
        if isinstance(message, Grant):
            self._on_grant(message, upload, now_us)
        elif upload.state is SENDING:
            self._on_ack(message.ranges, message.credit, upload, now_us)
        return []

    def tick(self, now_us: int) -> list[Outcome]:
        """Take note of silence: ask again, or stop uploads that got no answer MAX_TRIES times running."""
        silent = [one for one in self._by_rank if one.since_us is not None and self._due_us(one) <= now_us]
        if not silent:
            return []
        silent = self._with_one_unheard(silent, now_us)
        outcomes: list[Outcome] = []
        if any(one.in_flight or (one.state is ASKING and not one.unheard) for one in silent):
            # Once, however many uploads it is that one silence is noticed by.
            self._retry.silence()
            self._flight.silence()
        for upload in silent:
            upload.tries += 0 if upload.unheard or upload.waits_for_room else 1
            upload.ask()
            if upload.tries >= MAX_TRIES:
                self.drop(upload.offer.item)
                text = f"no answer from the centre to {MAX_TRIES} tries"
                outcomes.append(Stopped(item=upload.offer.item, code=None, text=text))
        return outcomes

    def _with_one_unheard(self, silent: list[Upload], now_us: int) -> list[Upload]:
        """Where nobody hears questions, only the most urgent upload asks, ever more rarely; an answer wakes all."""
        unheard = [one for one in silent if one.unheard]
        if not unheard:
            return silent
        self._unheard_us = min(MOST_UNHEARD_RETRY_US, 2 * self._unheard_us)
        for one in unheard[1:]:
            one.since_us = now_us
        return [one for one in silent if one not in unheard[1:]]

    def next_tick_us(self) -> int | None:
        """When `tick` has something to do if nothing arrives before."""
        dues = [self._due_us(one) for one in self._uploads.values() if one.since_us is not None]
        return min(dues) if dues else None

    def _due_us(self, upload: Upload) -> int:
        """When silence about this upload, whose init was sent, is loss, or its lease wants to be renewed."""
        assert upload.since_us is not None
        wait_us = self._retry.us
        if upload.unheard:
            wait_us = self._unheard_us
        elif upload.state is SENDING and upload.fin_sent:
            wait_us = max(wait_us, LEAST_SEAL_WAIT_US)
        elif upload.state is SENDING and not upload.in_flight:
            # It waits for room. Asking renews the lease, and finds the word that there is some where that was lost.
            wait_us = min(upload.lease_us // 2, CREDIT_WAIT_US)
        return upload.since_us + wait_us

    def _may_be_eager(self, upload: Upload, part_size: int) -> bool:
        """A small urgent item goes at once behind its first init, where one worker has granted all there was so far."""
        if upload.asked or upload.offer.is_bulk or len(self._workers) != 1:
            return False
        size = upload.offer.size
        return size <= EAGER_BYTES and parts_of(size, part_size) <= EAGER_PARTS

    def _action(self, upload: Upload) -> Action | None:
        if upload.state is ASKING:
            if upload.since_us is None:
                return self._init(upload)
            if not upload.eager:
                return None
        if upload.is_out():
            if upload.fin_sent:
                return None
            fin = Fin(item=upload.offer.item, sha256=upload.offer.sha256)
            return SendFin(message=fin, worker=upload.worker)
        if len(upload.in_flight) >= upload.credit:
            return None
        parts, size = self._ahead(upload)
        if parts >= self._window or (size >= self._flight.window and parts >= LEAST_PARTS):
            self._flight.limited()
            return None
        index = upload.next_part()
        offset = index * upload.part_size
        length = min(upload.part_size, upload.offer.size - offset)
        return SendPart(
            item=upload.offer.item,
            index=index,
            offset=offset,
            length=length,
            worker=upload.worker,
            bulk=upload.offer.is_bulk,
        )

    def _ahead(self, upload: Upload) -> tuple[int, int]:
        """Parts and bytes in flight that are as urgent as this upload; less urgent ones must not hold it up."""
        parts = size = 0
        for one in self._by_rank:
            if one.urgency > upload.urgency:
                break
            parts, size = parts + len(one.in_flight), size + one.in_flight_bytes
        return parts, size

    def _init(self, upload: Upload) -> SendInit:
        part_size = min(self._part_size, self._flight.part_size)
        if upload.init is not None and upload.init.message.part_size == part_size:
            return upload.init
        upload.init = SendInit(message=upload.offer.init(part_size))
        return upload.init

    def _on_sealed(self, sealed: Sealed) -> list[Outcome]:
        try:
            self._check_receipt(sealed.item, sealed.receipt)
        except NotFound:
            return []
        except VedetteError as error:
            return [BadReceipt(item=sealed.item, why=str(error))]
        upload = self._uploads.get(sealed.item)
        self._acknowledged_bytes += upload.in_flight_bytes if upload is not None else 0
        self.drop(sealed.item)
        return [Done(item=sealed.item, receipt=sealed.receipt)]

    def _on_refuse(self, refuse: Refuse, upload: Upload) -> list[Outcome]:
        if refuse.code is RefuseCode.UNKNOWN_ITEM:
            if upload.state is SENDING:
                upload.ask()
            elif upload.eager:
                upload.begin_anew()
            return []
        self.drop(refuse.item)
        return [Stopped(item=refuse.item, code=refuse.code, text=refuse.text)]

    def _on_grant(self, grant: Grant, upload: Upload, now_us: int) -> None:
        total = parts_of(upload.offer.size, grant.part_size)
        if total > MAX_PARTS or (grant.have and grant.have[-1][1] >= total):
            return
        if upload.state is SENDING:
            if (grant.worker, grant.part_size) == (upload.worker, upload.part_size):
                self._on_ack(grant.have, grant.credit, upload, now_us)
            return
        if upload.since_us is not None and upload.tries == 0:
            self._retry.measured(now_us - upload.since_us)
        self._workers.add(grant.worker)
        same = (grant.part_size, total) == (upload.part_size, upload.sent.total)
        if not (upload.eager and same and grant.worker == upload.worker and grant.credit >= len(upload.in_flight)):
            upload.begin_anew()
        if not same:
            upload.sent, upload.resent = PartSet(total), set()
        if count_of(grant.have) > upload.acked.count:
            upload.tries = 0
        upload.unheard = upload.eager = False
        upload.state, upload.worker, upload.part_size = SENDING, grant.worker, grant.part_size
        upload.lease_us, upload.since_us = grant.lease_s * 1_000_000, now_us
        upload.acked = PartSet(total)
        self._on_ack(grant.have, grant.credit, upload, now_us)

    def _on_ack(self, ranges: Ranges, credit: int, upload: Upload, now_us: int) -> None:
        if ranges and ranges[-1][1] >= upload.acked.total:
            return
        before = upload.acked.count
        for first, last in ranges:
            upload.acked.add(first, last)
        upload.credit = credit
        if upload.in_flight:
            self._land(upload, now_us)
        if upload.acked.count > before or upload.waits_for_room:
            upload.tries, upload.since_us = 0, now_us

    def _land(self, upload: Upload, now_us: int) -> None:
        """What is in flight and now acknowledged has arrived; what was sent once only says how long that took."""
        clean = []
        for index in [index for index in upload.in_flight if index in upload.acked]:
            mark = upload.in_flight.pop(index)
            upload.in_flight_bytes -= mark.size
            self._acknowledged_bytes += mark.size
            if index not in upload.resent:
                self._retry.measured(now_us - mark.sent_us)
                clean.append(mark)
        self._flight.acked(clean, now_us)
