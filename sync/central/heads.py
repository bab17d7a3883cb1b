"""What devices have signed of how far their custody journals had come, until the lines themselves are here.

Decided here: what is kept (the newest head of each start of a service, because within one start a journal only grows),
and what a head shows: a line that came and is not the signed one, or a journal that ends earlier than it did, was cut
on the device, or its disk lost what it had reported durable. Nobody can tell these two apart: both are a complaint, and
the chain is marked. Implements CJ-29 to CJ-33 of docs/spec/custody-journal.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from sync.central import chains
from sync.central.database import Database
from sync.central.fleet import device_key
from sync.central.quarantine import quarantine
from sync.central.store import Store
from vedette.clock import iso
from vedette.custody_heads import Head, Heads, open_heads
from vedette.errors import VedetteError
from vedette.wire import RefuseCode

MAX_STARTS = 16
MAX_SERVICES = 16
MAX_WAITING = 5_000
EVERY_US = 1_000_000
LATE_US = 60_000_000  # no message is later than this: what is heard after it was said after it

_COLUMNS = "device, service, boot, seq, head, told_us, heard_us, first_us, record, problem"
_KEEP = (
    f"INSERT INTO journal_heads ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (device, service, boot) DO UPDATE SET seq = excluded.seq, head = excluded.head,"
    " told_us = excluded.told_us, heard_us = excluded.heard_us, record = excluded.record, problem = excluded.problem"
)
_NEWEST = (
    "INSERT INTO told_heads (device, told_us, heard_us, record) VALUES (?, ?, ?, ?) ON CONFLICT (device) DO UPDATE SET"
    " told_us = excluded.told_us, heard_us = excluded.heard_us, record = excluded.record"
    f" WHERE excluded.told_us >= told_heads.told_us OR excluded.heard_us > told_heads.heard_us + {LATE_US}"
)
_PLACE = "WHERE device = ? AND service = ?"


@dataclass(frozen=True, slots=True)
class _Known:
    """A head that is kept: which line its device signed for, when it said so, when that was heard first."""

    boot: str
    seq: int
    head: str
    told_us: int
    heard_us: int
    problem: str | None


@dataclass(frozen=True, slots=True)
class _Message:
    """A record of heads that came in."""

    told: Heads
    record: bytes
    heard_us: int

    def row(self, head: Head, problem: str | None = None) -> list[object]:
        """The row of one of its heads."""
        place = [self.told.device, head.service, head.boot, head.seq, head.head]
        return [*place, self.told.told_us, self.heard_us, self.heard_us, self.record, problem]


@dataclass(frozen=True, slots=True)
class _Loss:
    """What a head has shown: of which chain, which kept head (`boot`; None: itself) it is about, and in words."""

    message: _Message
    head: Head
    boot: str | None
    problem: str


class JournalHeads:
    """Takes the heads that devices tell; what a crash loses of them is told again within a minute."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: list[_Message] = []
        self._due_us = 0

    def take(self, device: str, record: bytes) -> None:
        """Hear what an enrolled device says; what does not hold is quarantined."""
        key = device_key(self._store, device)
        if key is None:
            return
        try:
            told = open_heads(record, device, key)
        except VedetteError as error:
            quarantine(self._store, device, None, RefuseCode.INVALID, str(error), record)
            return
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(_Message(told, record, self._store.clock.utc_us()))

    def settle_when_due(self, now_us: int) -> None:
        """Keep what was heard, once a second: a commit for each message would hold hits up."""
        if self._waiting and now_us >= self._due_us:
            self._due_us = now_us + EVERY_US
            self.settle()

    def settle(self) -> None:
        """Keep what was heard since; what the store does not take now is let go."""
        waiting, self._waiting = self._waiting, []
        losses: list[_Loss] = []
        with self._store.adding() as db:
            for message in waiting:
                db.execute(_NEWEST, [message.told.device, message.told.told_us, message.heard_us, message.record])
                found = [_keep(db, message, head) for head in message.told.heads]
                losses += [one for one in found if one is not None]
        for loss in losses:
            self._complain(loss)

    def _complain(self, loss: _Loss) -> None:
        """Mark head and chain together, so that it is said once, and tell people; what was said meanwhile is not."""
        message, device, service = loss.message, loss.message.told.device, loss.head.service
        with self._store.writing() as db:
            known = _known(db, device, service)
            row = next((one for one in known if one.boot == (loss.boot or loss.head.boot)), None)
            if row is not None and row.problem is not None:
                return
            if row is None and not _has_room(db, message, loss.head, known):
                return
            if loss.boot is None or row is None:
                db.execute(_KEEP, message.row(loss.head, loss.problem))
            else:
                _mark(db, device, service, loss.boot, loss.problem)
            chain = chains.read(db, device, service).broken(loss.problem)
            chains.save(db, device, service, chain)
            chains.call_waiting(db, device, service, chain)
        quarantine(self._store, device, None, RefuseCode.INVALID, loss.problem, message.record)


def hold_against(db: Database, device: str, service: str) -> str | None:
    """Let go of the heads whose lines are here; what is wrong where such a line is not the one that was signed for."""
    sql = (
        "SELECT h.boot, h.seq, h.head, h.told_us, l.line FROM journal_heads h JOIN custody_lines l"
        " ON l.device = h.device AND l.service = h.service AND l.seq = h.seq"
        " WHERE h.device = ? AND h.service = ? AND h.problem IS NULL ORDER BY h.seq"
    )
    problems = []
    for boot, seq, head, told_us, line in db.execute(sql, [device, service]).fetchall():
        if hashlib.sha256(bytes(line)).hexdigest() == head:
            db.execute(f"DELETE FROM journal_heads {_PLACE} AND boot = ?", [device, service, boot])
        else:
            problems.append(
                f"{device}: custody of {service}: line {seq} that came is not the one its device had signed for"
                f" at {iso(told_us)}: lines were cut off or replaced on it, or its disk lost them"
            )
            _mark(db, device, service, boot, problems[-1])
    return problems[0] if problems else None


def _keep(db: Database, message: _Message, head: Head) -> _Loss | None:
    """Keep this head where it is news; what it shows to be lost."""
    device = message.told.device
    known = _known(db, device, head.service)
    mine = next((one for one in known if one.boot == head.boot), None)
    if mine is not None and mine.problem is not None:
        return None
    sql = f"SELECT line FROM custody_lines {_PLACE} AND seq = ?"
    line = db.execute(sql, [device, head.service, head.seq]).fetchone()
    is_here = line is not None
    if is_here and hashlib.sha256(bytes(line[0])).hexdigest() != head.head:
        problem = (
            f"{device}: custody of {head.service}: line {head.seq}, which its device signed for at"
            f" {iso(message.told.told_us)}, is not the one that came from it before: lines were cut off or replaced"
        )
        return _Loss(message, head, None, problem) if mine or _has_room(db, message, head, known) else None
    for one in known:
        if one.problem is None and _is_lost(one, head, message.heard_us):
            return _Loss(message, head, one.boot, _shortened(message, head, one))
    if is_here or (mine is not None and mine.seq >= head.seq):
        return None
    if mine or _has_room(db, message, head, known):
        db.execute(_KEEP, message.row(head))
    return None


def _is_lost(known: _Known, head: Head, heard_us: int) -> bool:
    """Whether a journal that is at `head` has lost the line that was signed for before."""
    if known.seq == head.seq:
        return known.head != head.head
    return known.seq > head.seq and heard_us - known.heard_us > LATE_US


def _shortened(message: _Message, head: Head, known: _Known) -> str:
    return (
        f"{message.told.device}: custody of {head.service}: its device had signed for {known.seq} lines at"
        f" {iso(known.told_us)} and at {iso(message.told.told_us)} it ends at line {head.seq} or has another there:"
        " lines were cut off on it, or its disk lost what it had reported durable"
    )


def _has_room(db: Database, message: _Message, head: Head, known: Sequence[_Known]) -> bool:
    """Whether one more start may be kept, if need be for the one before it; a head that shows a loss stays."""
    if not known:
        sql = "SELECT count(DISTINCT service) FROM journal_heads WHERE device = ?"
        return int(db.execute(sql, [message.told.device]).fetchone()[0]) < MAX_SERVICES
    if len(known) < MAX_STARTS:
        return True
    sound = [one for one in known if one.problem is None]
    if not sound:
        return False
    last = max(sound, key=lambda one: (one.heard_us, one.seq))
    db.execute(f"DELETE FROM journal_heads {_PLACE} AND boot = ?", [message.told.device, head.service, last.boot])
    return True


def _known(db: Database, device: str, service: str) -> list[_Known]:
    sql = f"SELECT boot, seq, head, told_us, heard_us, problem FROM journal_heads {_PLACE} ORDER BY seq"
    return [_Known(*row) for row in db.execute(sql, [device, service]).fetchall()]


def _mark(db: Database, device: str, service: str, boot: str, problem: str) -> None:
    db.execute(f"UPDATE journal_heads SET problem = ? {_PLACE} AND boot = ?", [problem, device, service, boot])
