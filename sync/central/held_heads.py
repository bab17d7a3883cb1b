"""What leaves with a bundle of how far its device had signed for the journal in it, and what the centre has of that.

Decided here: which of a device's records go along (the newest, and those whose lines are not here or are others), and
that the centre signs beside them up to which line it has the journal. The form is `vedette.bundle_heads`. Implements
BU-34 and BU-35 of docs/spec/bundle.md.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from sync.central import chains
from sync.central.rows import ItemRow
from sync.central.store import Store
from vedette.bundle_heads import MAX_PROBLEM_CHARACTERS, MAX_RECORDS, HeldHeads, signed_heads
from vedette.enrolment import open_enrolment
from vedette.errors import VedetteError
from vedette.keys import PublicKey, SigningKey
from vedette.records import keyring


def heads_of(store: Store, row: ItemRow, signer: SigningKey) -> bytes | None:
    """The centre's signed record for the bundle of this item, by what is here now; None where its device told nothing
    of that journal.
    """
    if row.manifest.journal is None:
        return None
    service = row.manifest.journal.service
    problem = chains.read(store.db, row.device, service).problem
    held = HeldHeads(
        item=row.item,
        device=row.device,
        service=service,
        held=_last_line(store, row.device, service),
        problem=problem and problem[:MAX_PROBLEM_CHARACTERS],
        records=(),
    )
    device = open_enrolment(store.enrolment(row.device), keyring(signer.public)).key
    records = [one for one in _records(store, row.device, service) if _counts(held, one, device)]
    return replace(held, records=tuple(records[:MAX_RECORDS])).sign(signer) if records else None


def _last_line(store: Store, device: str, service: str) -> tuple[int, str] | None:
    sql = "SELECT seq, line FROM custody_lines WHERE device = ? AND service = ? ORDER BY seq DESC LIMIT 1"
    row = store.db.execute(sql, [device, service]).fetchone()
    return None if row is None else (row[0], hashlib.sha256(bytes(row[1])).hexdigest())


def _records(store: Store, device: str, service: str) -> list[bytes]:
    """The newest record first, then those of heads whose lines are not here, the furthest first; each once."""
    newest = "SELECT record FROM told_heads WHERE device = ?"
    waiting = "SELECT record FROM journal_heads WHERE device = ? AND service = ? ORDER BY seq DESC, heard_us DESC"
    rows = [*store.db.execute(newest, [device]).fetchall(), *store.db.execute(waiting, [device, service]).fetchall()]
    return list(dict.fromkeys(bytes(row[0]) for row in rows))


def _counts(held: HeldHeads, record: bytes, device: PublicKey) -> bool:
    """Whether it is by the key that the device has now and says something of that journal."""
    try:
        return bool(signed_heads(replace(held, records=(record,)), device))
    except VedetteError:
        return False
