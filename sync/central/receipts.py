"""Taking an item in for good: blob, row, log leaf and the signed receipt that lets the device delete its copy.

Decided here: the order (bytes durable under their hash, then one transaction of row, leaf and receipt, then the
word to the device), and that an item has one receipt for ever. Implements RC-1 to RC-6 of docs/spec/receipt.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from sync.central.blobs import sha256_of
from sync.central.database import Database
from sync.central.log import Log
from sync.central.store import Store
from vedette.errors import Integrity, Refused
from vedette.keys import PublicKey, SigningKey
from vedette.proof import LogLeaf
from vedette.records import RECEIPT, Manifest, Receipt, keyring, open_manifest, sign_record
from vedette.wire import Init, RefuseCode

TRIAGED_KINDS = ("hit", "custody")

_TOTALS = (
    "INSERT INTO totals (device, items, stored_bytes, last_stored_us) VALUES (?, 1, ?, ?)"
    " ON CONFLICT (device) DO UPDATE SET items = totals.items + 1,"
    " stored_bytes = totals.stored_bytes + excluded.stored_bytes, last_stored_us = excluded.last_stored_us"
)
_Same = tuple[str, str, str]


class NotTaken(Refused):
    """An item is refused with this code of the wire."""

    def __init__(self, code: RefuseCode, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs receipts and checkpoints: the centre's key, and the log's name."""

    origin: str
    key: SigningKey


def check_init(device: str, init: Init, key: PublicKey, *, max_item_bytes: int) -> Manifest:
    """The manifest of `init` when `key` signed it for exactly these bytes, else NotTrusted, Integrity or NotTaken."""
    manifest = open_manifest(init.manifest, keyring(key))
    told = (device, init.item, init.kind, init.sha256, init.size, init.priority)
    signed = (
        manifest.device,
        manifest.item,
        manifest.kind,
        manifest.sealed_sha256,
        manifest.sealed_size,
        manifest.priority,
    )
    for name, said, meant in zip(("device", "item", "kind", "hash", "size", "priority"), told, signed, strict=True):
        if said != meant:
            raise Integrity(f"item {init.item}: its {name} is {said} on the wire and {meant} in the signed manifest")
    if init.size > max_item_bytes:
        raise NotTaken(
            RefuseCode.INVALID, f"item {init.item} has {init.size} bytes; this centre takes {max_item_bytes} at most"
        )
    return manifest


def stored_receipt(store: Store, device: str, init: Init) -> bytes | None:
    """The receipt of an item that is here already; None when it is not, `NotTaken` when the id is other bytes'."""
    told = device, init.sha256, hashlib.sha256(init.manifest).hexdigest()
    return _receipts_of(store.db, {init.item: told}).get(init.item)


def _receipts_of(db: Database, told: Mapping[str, _Same]) -> dict[str, bytes]:
    """The receipts of those of these items that are stored; `NotTaken` where one is other bytes'."""
    columns = "item, device, sealed_sha256, manifest_sha256, receipt"
    sql = f"SELECT {columns} FROM items WHERE item IN ({', '.join('?' * len(told))})"
    known: dict[str, bytes] = {}
    for item, device, sealed_sha256, manifest_sha256, receipt in db.execute(sql, list(told)).fetchall():
        if (device, sealed_sha256, manifest_sha256) != told[item]:
            text = f"item {item} is stored already with other bytes, another manifest or from another device"
            raise NotTaken(RefuseCode.CONFLICT, text)
        known[item] = bytes(receipt)
    return known


def check_bytes(path: Path, init: Init) -> None:
    """`Integrity` unless the file at `path` is exactly the sealed bytes that `init` names."""
    size, sha256 = path.stat().st_size, sha256_of(path)
    if (size, sha256) != (init.size, init.sha256):
        raise Integrity(
            f"item {init.item}: {size} bytes with hash {sha256} arrived, {init.size} and {init.sha256} named"
        )


def accept(store: Store, signer: Signer, manifest: Manifest, manifest_bytes: bytes) -> bytes:
    """Store, log and sign for an item whose blob is durable already; returns the receipt record's bytes."""
    return accept_all(store, signer, [(manifest, manifest_bytes)])[0]


def accept_all(store: Store, signer: Signer, items: Sequence[tuple[Manifest, bytes]]) -> list[bytes]:
    """`accept` for several items in one transaction: all of them are stored or none is."""
    if not items:
        return []
    told: dict[str, _Same] = {}
    for one, record in items:
        same = one.device, one.sealed_sha256, hashlib.sha256(record).hexdigest()
        if told.setdefault(one.item, same) != same:
            raise NotTaken(RefuseCode.CONFLICT, f"item {one.item} came twice with different bytes")
    with store.writing() as db:
        kept = _receipts_of(db, told)  # what came by another way since it was looked for
        new = {one.item: (one, record) for one, record in items if one.item not in kept}
        kept |= _add(db, signer, list(new.values()), store.clock.utc_us())
    return [kept[manifest.item] for manifest, _ in items]


def _add(db: Database, signer: Signer, new: Sequence[tuple[Manifest, bytes]], now_us: int) -> dict[str, bytes]:
    """Write row and leaf of each item; their receipts."""
    shared: list[dict[str, Any]] = [
        {
            "item": manifest.item,
            "device": manifest.device,
            "sealed_sha256": manifest.sealed_sha256,
            "sealed_size": manifest.sealed_size,
            "manifest_sha256": hashlib.sha256(record).hexdigest(),
        }
        for manifest, record in new
    ]
    leaves = [LogLeaf(kind=one.kind, received_us=now_us, **known) for (one, _), known in zip(new, shared, strict=True)]
    rows: list[dict[str, object]] = []
    places = Log(db).append_all(leaves, signer.origin, signer.key)
    for (manifest, record), known, (index, checkpoint) in zip(new, shared, places, strict=True):
        receipt = Receipt(stored_us=now_us, log_index=index, log_checkpoint=checkpoint, **known)
        signed = sign_record(RECEIPT, receipt.to_body(), signer.key)
        rows.append(_row(manifest, record, receipt, signed))
    if rows:
        sql = f"INSERT INTO items ({', '.join(rows[0])}) VALUES ({', '.join('?' * len(rows[0]))})"
        db.execute_many(sql, [list(row.values()) for row in rows])
    db.execute_many(_TOTALS, [[one.device, one.sealed_size, now_us] for one, _ in new])
    db.execute_many("DELETE FROM transfers WHERE item = ?", [[one.item] for one, _ in new])
    to_open = [[one.item] for one, _ in new if one.kind in TRIAGED_KINDS]
    db.execute_many("INSERT INTO to_open (item) VALUES (?)", to_open)
    return {str(row["item"]): cast(bytes, row["receipt"]) for row in rows}


def _row(manifest: Manifest, manifest_bytes: bytes, receipt: Receipt, record: bytes) -> dict[str, object]:
    return {
        "item": manifest.item,
        "kind": manifest.kind,
        "device": manifest.device,
        "recording": manifest.recording,
        "sequence": manifest.sequence,
        "priority": manifest.priority,
        "sealed_sha256": manifest.sealed_sha256,
        "sealed_size": manifest.sealed_size,
        "manifest": manifest_bytes,
        "manifest_sha256": receipt.manifest_sha256,
        "created_us": manifest.created_us,
        "started_us": manifest.started_us,
        "ended_us": manifest.ended_us,
        "complete": int(manifest.complete),
        "stored_us": receipt.stored_us,
        "log_index": receipt.log_index,
        "receipt": record,
    }
