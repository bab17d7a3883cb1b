"""What becomes of an upload that ended: a receipt on the disk, a later try, or a line in custody.

Decided here: what is written when. A receipt is kept only after it was checked against our own manifest, and counts
only once it is on the disk; an item that was refused for good, and what only claims to be a receipt, is in custody.
What got no answer while nothing else did either is tried again when the centre has answered anything, and is as new
then: what is just then at the last of its tries waits as after a first failure, not as after a day of them.
Deletes no evidence, ever. Implements WI-26 and WI-28 of docs/spec/wire.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sync.holdings import Holdings
from sync.outbox import Outbox
from sync.sending import BadReceipt, Done, Outcome, Stopped
from sync.uplink_report import UplinkReport
from vedette.errors import VedetteError
from vedette.waiting_journal import WaitingJournal

MAX_TOLD = 1000
QUIET_US = 60_000_000


@dataclass(kw_only=True)
class Outcomes:
    """Takes outcomes of uploads, by whichever way they went."""

    outbox: Outbox
    holdings: Holdings
    report: UplinkReport
    journal: WaitingJournal
    _told: set[str] = field(default_factory=set)
    _unanswered: set[str] = field(default_factory=set)
    _answered_us: int | None = None

    def take(self, outcome: Outcome, now_us: int) -> None:
        """Write what `outcome` asks for."""
        if isinstance(outcome, Done):
            self._done(outcome, now_us)
        elif isinstance(outcome, Stopped):
            self._stopped(outcome, now_us)
        else:
            self._bad_receipt(outcome)

    def failed(self, item_id: str, now_us: int, why: str) -> None:
        """This side cannot send `item_id` now; it is tried again, others go on."""
        self.holdings.release(item_id)
        self.outbox.fail(item_id, now_us=now_us, code="unsendable", temporary=True, why=why)
        self.report.trouble(f"item {item_id}: {why}")

    def note(self, event: str, item: str | None, detail: Mapping[str, int | str | bool | None]) -> None:
        """Write custody; a disk that takes no line does not stop the sending of what is on it."""
        try:
            self.journal.append(event, item, dict(detail))
        except VedetteError as error:
            self.report.trouble(str(error))
        self.report.journalled = True

    def _done(self, done: Done, now_us: int) -> None:
        self.holdings.release(done.item)
        if done.item not in self.outbox.items:
            return
        try:
            self.holdings.keep_receipt(done.item, done.receipt)
        except (VedetteError, OSError) as error:
            self.failed(done.item, now_us, f"its receipt could not be kept: {error}")
            return
        self.outbox.done(done.item)
        self.report.receipts += 1
        self._answered_us = now_us
        while self._unanswered:
            self.outbox.try_now(self._unanswered.pop())

    def _stopped(self, stopped: Stopped, now_us: int) -> None:
        self.holdings.release(stopped.item)
        code, temporary = "no-answer", True
        if stopped.code is not None:
            code, temporary = stopped.code.value, stopped.code.temporary
        self.outbox.fail(stopped.item, now_us=now_us, code=code, temporary=temporary, why=stopped.text)
        self.report.trouble(f"item {stopped.item}: {code}: {stopped.text}")
        if stopped.code is None and (self._answered_us is None or now_us - self._answered_us > QUIET_US):
            self._unanswered.add(stopped.item)
        if not temporary:
            self.report.refused += 1
            self.note("item.refused", stopped.item, {"code": code, "why": stopped.text[:300]})

    def _bad_receipt(self, bad: BadReceipt) -> None:
        self.report.receipts_refused += 1
        self.report.trouble(bad.why)
        if bad.item not in self._told and len(self._told) < MAX_TOLD:
            self._told.add(bad.item)
            self.note("receipt.refused", bad.item, {"why": bad.why[:300]})
