"""The device's half of a transfer as a pure state machine: messages and times in, the next thing to publish out.

Decided here: what is sent next (urgent before bulk, few parts in flight), when the centre is asked again, and that only
a receipt that `check_receipt` lets pass ends an upload well. Not decided here: which items are offered and when a
stopped one is tried again (`sync.outbox`). Implements docs/spec/wire.md, "Device".

    offer → ASKING ── grant ──► SENDING ── sealed, receipt verified ──► Done
              ▲  └ silence: ask again    └ silence, unknown-item, worker gone: ASKING
              └ tries spent, refuse: Stopped (the outbox offers it again later)

There is one way to recover from anything: ask again by init; the grant then says what the centre has. The retry time
doubles at every silence and comes back only by a clean measurement (Karn's rule), so that a slow link is never answered
with more traffic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from sync.parts import PartSet
from vedette.errors import NotFound, VedetteError
from vedette.wire import (
    DEFAULT_PART_BYTES,
    MAX_PARTS,
    Ack,
    Fin,
    Grant,
    Init,
    Refuse,
    RefuseCode,
    Sealed,
    parts_of,
)

WINDOW_PARTS = 4
MAX_UNDER_WAY = 4
MAX_TRIES = 6
FIRST_RETRY_US = 5_000_000
LEAST_RETRY_US = 1_000_000
MOST_RETRY_US = 60_000_000
LEAST_SEAL_WAIT_US = 5_000_000
UNHEARD_RETRY_US = 2_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """An item to send: its sealed bytes' size and SHA-256 (hex), and the signed manifest that says the same."""

    item: str
    kind: str
    size: int
    sha256: str
    priority: int
    manifest: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class SendInit:
    """Publish this init."""

    message: Init


@dataclass(frozen=True, kw_only=True, slots=True)
class SendFin:
    """Publish this fin to `worker`."""

    message: Fin
    worker: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SendPart:
    """Read `length` bytes at `offset` of the item's sealed file and publish them as part `index` to `worker`."""

    item: str
    index: int
    offset: int
    length: int
    worker: str


Action = SendInit | SendFin | SendPart


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """The centre has signed for exactly this item; `receipt` was verified."""

    item: str
    receipt: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopped:
    """The upload ended without a receipt: refused by the centre, or (`code` None) it did not answer."""

    item: str
    code: RefuseCode | None
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class BadReceipt:
    """Something that claims to be the receipt of `item` and is not; the upload goes on."""

    item: str
    why: str


Outcome = Done | Stopped | BadReceipt


class RetryTime:
    """How long an answer may take before silence is taken for loss (RFC 6298's estimator), in microseconds."""

    def __init__(self) -> None:
        self.us = FIRST_RETRY_US
        self._mean_us: int | None = None
        self._spread_us = 0

    def measured(self, answer_us: int) -> None:
        """An answer to something sent exactly once took `answer_us`."""
        if self._mean_us is None:
            self._mean_us, self._spread_us = answer_us, answer_us // 2
        else:
            self._spread_us = (3 * self._spread_us + abs(self._mean_us - answer_us)) // 4
            self._mean_us = (7 * self._mean_us + answer_us) // 8
        self.us = min(MOST_RETRY_US, max(LEAST_RETRY_US, self._mean_us + 4 * self._spread_us))

    def silence(self) -> None:
        """Nothing came in time."""
        self.us = min(MOST_RETRY_US, self.us * 2)


class _State(Enum):
    ASKING = "asking"
    SENDING = "sending"


@dataclass(kw_only=True, slots=True)
class _Upload:
    offer: Offer
    state: _State = _State.ASKING
    since_us: int | None = None
    tries: int = 0
    worker: str = ""
    part_size: int = DEFAULT_PART_BYTES
    credit: int = 0
    acked: PartSet = field(default_factory=lambda: PartSet(0))
    in_flight: dict[int, int] = field(default_factory=dict)
    sent: PartSet = field(default_factory=lambda: PartSet(0))
    resent: set[int] = field(default_factory=set)
    fin_sent: bool = False
    unheard: bool = False

    @property
    def rank(self) -> tuple[int, str]:
        return self.offer.priority, self.offer.item

    def next_part(self) -> int | None:
        return next((index for index in self.acked.missing() if index not in self.in_flight), None)

    def ask(self) -> None:
        self.state = _State.ASKING
        self.since_us = None
        self.fin_sent = self.unheard = False
        self.in_flight.clear()


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
    ) -> None:
        self._check_receipt = check_receipt
        self._window = window
        self._part_size = part_size
        self._uploads: dict[str, _Upload] = {}
        self._retry = RetryTime()

    @property
    def under_way(self) -> frozenset[str]:
        """The items that have been offered and have not ended."""
        return frozenset(self._uploads)

    def has_room(self, priority: int) -> bool:
        """Whether an item of that priority may be offered; less urgent uploads never take an urgent one's room."""
        return sum(1 for upload in self._uploads.values() if upload.offer.priority <= priority) < MAX_UNDER_WAY

    def offer(self, offer: Offer) -> None:
        """Begin an upload; offering what is under way changes nothing."""
        self._uploads.setdefault(offer.item, _Upload(offer=offer))

    def drop(self, item: str) -> None:
        """End an upload without an outcome, for example because its file cannot be read."""
        self._uploads.pop(item, None)

    def reset(self) -> None:
        """The session is gone and with it everything in flight; items are offered again in the next one."""
        self._uploads.clear()
        self._retry = RetryTime()

    def undelivered(self, worker: str) -> None:
        """Nobody hears that worker any more: ask who takes over."""
        for upload in self._uploads.values():
            if upload.state is _State.SENDING and upload.worker == worker:
                upload.ask()

    def unheard(self, now_us: int) -> None:
        """No ingest worker is there at all: ask again in a moment, which is no item's failure and no slow link."""
        for upload in self._uploads.values():
            if upload.state is _State.ASKING and upload.since_us is not None:
                upload.since_us, upload.unheard = now_us, True

    def next_action(self) -> Action | None:
        """What to publish now, most urgent first, or None; call `sent` when the link took it."""
        for upload in sorted(self._uploads.values(), key=lambda one: one.rank):
            action = self._action(upload)
            if action is not None:
                return action
        return None

    def sent(self, action: Action, now_us: int) -> None:
        """The link took `action`."""
        item = action.item if isinstance(action, SendPart) else action.message.item
        upload = self._uploads[item]
        upload.since_us = now_us
        if isinstance(action, SendFin):
            upload.fin_sent = True
        elif isinstance(action, SendPart):
            upload.in_flight[action.index] = now_us
            if action.index in upload.sent:
                upload.resent.add(action.index)
            upload.sent.add(action.index)

    def receive(self, message: Grant | Ack | Sealed | Refuse, now_us: int) -> list[Outcome]:
        """Take a message from the centre; messages about items that are not under way are ignored, save receipts."""
        if isinstance(message, Sealed):
            return self._on_sealed(message)
        upload = self._uploads.get(message.item)
        if upload is None:
            return []
        if isinstance(message, Refuse):
            return self._on_refuse(message, upload)
        if isinstance(message, Grant):
            self._on_grant(message, upload, now_us)
        elif upload.state is _State.SENDING:
            self._on_ack(PartSet(upload.acked.total), message.ranges, message.credit, upload, now_us)
        return []

    def tick(self, now_us: int) -> list[Outcome]:
        """Take note of silence: ask again, or stop uploads that got no answer MAX_TRIES times running."""
        silent = [one for one in self._uploads.values() if (due := self._due_us(one)) is not None and due <= now_us]
        outcomes: list[Outcome] = []
        for upload in silent:
            if not (upload.fin_sent or upload.unheard):
                self._retry.silence()
            upload.tries += 0 if upload.unheard else 1
            upload.ask()
            if upload.tries >= MAX_TRIES:
                self.drop(upload.offer.item)
                text = f"no answer from the centre to {MAX_TRIES} tries"
                outcomes.append(Stopped(item=upload.offer.item, code=None, text=text))
        return outcomes

    def next_tick_us(self) -> int | None:
        """When `tick` has something to do if nothing arrives before."""
        return min((due for one in self._uploads.values() if (due := self._due_us(one)) is not None), default=None)

    def _due_us(self, upload: _Upload) -> int | None:
        """When silence about this upload is loss; None while it waits for nobody but us."""
        if upload.since_us is None:
            return None
        if upload.unheard:
            return upload.since_us + UNHEARD_RETRY_US
        if upload.state is _State.SENDING and not (upload.in_flight or upload.fin_sent or upload.credit == 0):
            return None
        return upload.since_us + (max(self._retry.us, LEAST_SEAL_WAIT_US) if upload.fin_sent else self._retry.us)

    def _action(self, upload: _Upload) -> Action | None:
        if upload.state is _State.ASKING:
            return self._init(upload.offer) if upload.since_us is None else None
        index = upload.next_part()
        if index is None:
            fin = Fin(item=upload.offer.item, sha256=upload.offer.sha256)
            return None if upload.fin_sent else SendFin(message=fin, worker=upload.worker)
        if len(upload.in_flight) >= upload.credit or self._ahead(upload) >= self._window:
            return None
        offset = index * upload.part_size
        length = min(upload.part_size, upload.offer.size - offset)
        return SendPart(item=upload.offer.item, index=index, offset=offset, length=length, worker=upload.worker)

    def _ahead(self, upload: _Upload) -> int:
        """Parts in flight that are as urgent as this upload; less urgent ones must not hold it up."""
        return sum(len(one.in_flight) for one in self._uploads.values() if one.offer.priority <= upload.offer.priority)

    def _init(self, offer: Offer) -> SendInit:
        message = Init(
            item=offer.item,
            kind=offer.kind,
            size=offer.size,
            sha256=offer.sha256,
            priority=offer.priority,
            part_size=self._part_size,
            manifest=offer.manifest,
        )
        return SendInit(message=message)

    def _on_sealed(self, sealed: Sealed) -> list[Outcome]:
        try:
            self._check_receipt(sealed.item, sealed.receipt)
        except NotFound:
            return []
        except VedetteError as error:
            return [BadReceipt(item=sealed.item, why=str(error))]
        self.drop(sealed.item)
        return [Done(item=sealed.item, receipt=sealed.receipt)]

    def _on_refuse(self, refuse: Refuse, upload: _Upload) -> list[Outcome]:
        if refuse.code is RefuseCode.UNKNOWN_ITEM:
            if upload.state is _State.SENDING:
                upload.ask()
            return []
        self.drop(refuse.item)
        return [Stopped(item=refuse.item, code=refuse.code, text=refuse.text)]

    def _on_grant(self, grant: Grant, upload: _Upload, now_us: int) -> None:
        total = parts_of(upload.offer.size, grant.part_size)
        if total > MAX_PARTS or (grant.have and grant.have[-1][1] >= total):
            return
        if upload.state is _State.SENDING:
            if (grant.worker, grant.part_size) == (upload.worker, upload.part_size):
                self._on_ack(PartSet(total), grant.have, grant.credit, upload, now_us)
            return
        if upload.since_us is not None and upload.tries == 0:
            self._retry.measured(now_us - upload.since_us)
        if (grant.part_size, total) != (upload.part_size, upload.sent.total):
            upload.sent, upload.resent = PartSet(total), set()
        if PartSet(total, grant.have).count > upload.acked.count:
            upload.tries = 0
        upload.unheard = False
        upload.state, upload.worker, upload.part_size = _State.SENDING, grant.worker, grant.part_size
        upload.credit, upload.acked = grant.credit, PartSet(total, grant.have)
        upload.in_flight.clear()
        upload.fin_sent, upload.since_us = False, now_us

    def _on_ack(
        self, heard: PartSet, ranges: tuple[tuple[int, int], ...], credit: int, upload: _Upload, now_us: int
    ) -> None:
        if ranges and ranges[-1][1] >= heard.total:
            return
        before = upload.acked.count
        for first, last in ranges:
            upload.acked.add(first, last)
        upload.credit = credit
        for index in [index for index in upload.in_flight if index in upload.acked]:
            sent_us = upload.in_flight.pop(index)
            if index not in upload.resent:
                self._retry.measured(now_us - sent_us)
        if upload.acked.count > before:
            upload.tries, upload.since_us = 0, now_us
