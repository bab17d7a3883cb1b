"""What came in and did not verify: kept as a row with its reason for a person to see, never in the way of what is good.

Decided here: the same complaint (device, item, code and words) is kept once, one device cannot fill the store with
them, and whatever is therefore not kept, or because the store did not take it, is counted: a complaint is a row, a
repeat of one, or dropped, and these three add up to all that came. Implements RC-7 of docs/spec/receipt.md and CS-18 to
CS-20 of docs/spec/case-store.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from sync.central.database import Database
from sync.central.rows import QuarantineCount, QuarantineOutcome, QuarantineRow
from sync.central.store import MAX_ROWS, Store
from sync.central.store_trouble import DISK_TROUBLE
from vedette.errors import Integrity, NotFound
from vedette.wire import RefuseCode

MAX_PER_DEVICE = 1000
MAX_EVIDENCE_BYTES = 64 * 1024
MAX_TEXT_CHARACTERS = 1000
MAX_ITEM_CHARACTERS = 100
INDEXED_CHARACTERS = 200  # of a text, as in the index quarantine_words
PUT_OFF_US = 300_000_000

_ADD_COUNT = (
    "INSERT INTO quarantine_counts (device, code, outcome, times, first_us, last_us) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (device, code, outcome) DO UPDATE SET times = quarantine_counts.times + excluded.times,"
    " first_us = CASE WHEN excluded.first_us < quarantine_counts.first_us"
    " THEN excluded.first_us ELSE quarantine_counts.first_us END,"
    " last_us = CASE WHEN excluded.last_us > quarantine_counts.last_us"
    " THEN excluded.last_us ELSE quarantine_counts.last_us END"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Complaint:
    """What makes two complaints the same one."""

    device: str
    item: str | None
    code: str
    text: str


def quarantine(
    store: Store, device: str, item: str | None, code: RefuseCode, text: str, evidence: bytes | None = None
) -> None:
    """Note that `device` sent something that was not taken, with up to 64 KiB of it, or count it where it is not kept.

    A row is durable on return; a count is within a second of it, or when `write_counts` is called. Where the store does
    not take a row its error is raised, and it is counted.
    """
    complaint = _Complaint(
        device=device,
        item=None if item is None else _words(item, MAX_ITEM_CHARACTERS),
        code=code.value,
        text=_words(text, MAX_TEXT_CHARACTERS),
    )
    try:
        outcome = _kept_or_why_not(store, complaint, evidence)
    except DISK_TROUBLE:
        drop(store, device, code)
        raise
    if outcome is not None:
        _count(store, device, code, outcome)
        settle(store)


def drop(store: Store, device: str, code: RefuseCode) -> None:
    """Count a complaint that cannot be kept; from any thread. `settle` writes it."""
    _count(store, device, code, "dropped")


def count_again(store: Store, device: str, code: RefuseCode, times: int) -> None:
    """Count so many repeats of a complaint that was put down; from any thread. `settle` writes them."""
    _count(store, device, code, "repeated", times)


def put_off(store: Store) -> dict[str, int]:
    """Who went on beyond what it was granted, or on and on, after it was refused for that, and when last; five minutes.

    Nothing else is complained of as "busy" (WI-73, WI-74).
    """
    sql = "SELECT device, max(last_us) FROM quarantine_counts WHERE code = ? AND last_us > ? GROUP BY device"
    since_us = store.clock.utc_us() - PUT_OFF_US
    return dict(store.db.execute(sql, [RefuseCode.BUSY.value, since_us]).fetchall())


def _count(store: Store, device: str, code: RefuseCode, outcome: QuarantineOutcome, times: int = 1) -> None:
    now_us = store.clock.utc_us()
    store.tally.add(
        QuarantineCount(device=device, code=code.value, outcome=outcome, times=times, first_us=now_us, last_us=now_us)
    )


def _kept_or_why_not(store: Store, complaint: _Complaint, evidence: bytes | None) -> QuarantineOutcome | None:
    outcome = _why_not(store.db, complaint)
    if outcome is None:
        with store.writing() as db:  # alone: workers together keep no complaint twice and no row above the share
            outcome = _why_not(db, complaint)
            if outcome is None:
                _keep(db, complaint, evidence, store.clock.utc_us())
    return outcome


def settle(store: Store) -> None:
    """Write what was counted, once a second at most; whoever calls `quarantine` calls this now and then."""
    _write(store, store.tally.due(store.clock.mono_us()))


def write_counts(store: Store) -> None:
    """Write what was counted, now: before a process ends."""
    _write(store, store.tally.rest(store.clock.mono_us()))


def complaints(
    store: Store, *, device: str | None = None, limit: int = MAX_PER_DEVICE, after: int | None = None
) -> list[QuarantineRow]:
    """Rows, the latest first; `limit` may be as many as one device has, `after` is the last id of the page before."""
    found: list[QuarantineRow] = []
    while len(found) < limit:
        asked = min(limit - len(found), MAX_ROWS)
        page = store.quarantine(asked, device=device, after=found[-1].id if found else after)
        found += page
        if len(page) < asked:
            break
    return found


def kept_rows(store: Store, device: str | None = None) -> int:
    """How many rows there are, of one device where it is named."""
    if device is None:
        return store.counts().quarantined
    return _kept(store.db, device)


def counts(store: Store, *, device: str | None = None, limit: int = MAX_ROWS, skip: int = 0) -> list[QuarantineCount]:
    """What was counted and not kept: first what was beyond a device's share, each the most often counted first."""
    where, values = ("", []) if device is None else (" WHERE device = ?", [device])
    rows = store.db.execute(
        f"SELECT device, code, outcome, times, first_us, last_us FROM quarantine_counts{where}"
        " ORDER BY outcome, times DESC, device, code LIMIT ? OFFSET ?",
        [*values, limit, skip],
    ).fetchall()
    return [QuarantineCount(**dict(zip(QuarantineCount.__slots__, row, strict=True))) for row in rows]


def all_counts(store: Store, device: str | None = None) -> list[QuarantineCount]:
    """Every count: two for each device and reason at most."""
    found: list[QuarantineCount] = []
    while page := counts(store, device=device, skip=len(found)):
        found += page
    return found


def kept_bytes(store: Store, complaint: int) -> bytes | None:
    """What was kept of what was sent; None where nothing was.

    Raises NotFound where there is no such complaint, Integrity where the bytes are not those that were kept.
    """
    row = store.db.execute("SELECT evidence, sha256 FROM quarantine WHERE id = ?", [complaint]).fetchone()
    if row is None:
        raise NotFound(f"there is no complaint {complaint} in quarantine")
    if row[0] is None:
        return None
    evidence = bytes(row[0])
    if row[1] is not None and hashlib.sha256(evidence).hexdigest() != row[1]:
        raise Integrity(f"complaint {complaint}: its bytes are not those that were kept; restore the database")
    return evidence


def _words(text: str, most: int) -> str:
    return text[:most].replace("\0", "\ufffd")  # as the database that cannot hold it does, so that both compare alike


def _why_not(db: Database, complaint: _Complaint) -> QuarantineOutcome | None:
    """Why this complaint becomes no row; None where it does."""
    item, values = ("item IS NULL", []) if complaint.item is None else ("item = ?", [complaint.item])
    same = db.execute(
        # SQLite puts a text that is compared as such into `substr`, and then does not use the index.
        "SELECT id FROM quarantine WHERE device = ? AND code = ? AND substr(text, 1, 200) = ? AND text || '' = ?"
        f" AND {item} LIMIT 1",
        [complaint.device, complaint.code, complaint.text[:INDEXED_CHARACTERS], complaint.text, *values],
    ).fetchone()
    if same is not None:
        return "repeated"
    return "dropped" if _kept(db, complaint.device) >= MAX_PER_DEVICE else None


def _kept(db: Database, device: str) -> int:
    return int(db.execute("SELECT count(*) FROM quarantine WHERE device = ?", [device]).fetchone()[0])


def _keep(db: Database, complaint: _Complaint, evidence: bytes | None, now_us: int) -> None:
    kept = None if evidence is None else evidence[:MAX_EVIDENCE_BYTES]
    db.execute(
        "INSERT INTO quarantine (received_us, device, item, code, text, sha256, evidence, sent_bytes)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            now_us,
            complaint.device,
            complaint.item,
            complaint.code,
            complaint.text,
            None if kept is None else hashlib.sha256(kept).hexdigest(),
            kept,
            None if evidence is None else len(evidence),
        ],
    )


def _write(store: Store, sums: Sequence[QuarantineCount]) -> None:
    if not sums:
        return
    try:
        with store.adding() as db:
            for one in sums:
                db.execute(_ADD_COUNT, [getattr(one, name) for name in QuarantineCount.__slots__])
    except BaseException:
        for one in sums:  # counted again when the store can be written
            store.tally.add(one)
        raise
