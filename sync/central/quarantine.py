"""What came in and did not verify: kept as a row with its reason for a person to see, never in the way of what is good.

Decided here: the same complaint is kept once, and one device cannot fill the store with them. Implements RC-7.
"""

from __future__ import annotations

from sync.central.store import Store
from vedette.wire import RefuseCode

MAX_PER_DEVICE = 1000
MAX_EVIDENCE_BYTES = 64 * 1024


def quarantine(
    store: Store, device: str, item: str | None, code: RefuseCode, text: str, evidence: bytes | None = None
) -> None:
    """Note that `device` sent something that was not taken, with up to 64 KiB of it."""
    kept = None if evidence is None else evidence[:MAX_EVIDENCE_BYTES]
    store.db.execute(
        "INSERT INTO quarantine (received_us, device, item, code, text, evidence)"
        " SELECT ?, ?, ?, ?, ?, CAST(? AS BLOB) WHERE (SELECT count(*) FROM quarantine WHERE device = ?) < ?"
        " AND NOT EXISTS (SELECT 1 FROM quarantine WHERE device = ? AND coalesce(item, '') = coalesce(?, '')"
        " AND code = ? AND text = ?)",
        [
            store.clock.utc_us(),
            device,
            item,
            code.value,
            text,
            kept,
            device,
            MAX_PER_DEVICE,
            device,
            item,
            code.value,
            text,
        ],
    )
