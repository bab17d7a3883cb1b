"""Taking an item in for good: blob, row, log leaf and the signed receipt that lets the device delete its copy.

Decided here: the order (bytes durable under their hash, then one transaction of row, leaf and receipt, then the
word to the device), and that an item has one receipt for ever. Implements RC-1 to RC-6 of docs/spec/receipt.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from sync.central.blobs import sha256_of
from sync.central.log import Log
from sync.central.store import Store
from vedette.errors import Integrity, Refused
from vedette.keys import PublicKey, SigningKey
from vedette.proof import LogLeaf
from vedette.records import RECEIPT, Manifest, Receipt, keyring, open_manifest, sign_record
from vedette.wire import Init, RefuseCode

TRIAGED_KINDS = ("hit", "custody")


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
    return _receipt_of(store.db, init.item, (device, init.sha256, hashlib.sha256(init.manifest).hexdigest()))


def _receipt_of(db: Database, item: str, same: tuple[str, str, str]) -> bytes | None:
    """The receipt of `item` where device, sealed hash and manifest hash are `same`; None when it is not stored."""
    sql = "SELECT device, sealed_sha256, manifest_sha256, receipt FROM items WHERE item = ?"
    row = db.execute(sql, [item]).fetchone()
    if row is None:
        return None
    if tuple(row[:3]) != same:
        text = f"item {item} is stored already with other bytes, another manifest or from another device"
        raise NotTaken(RefuseCode.CONFLICT, text)
    return bytes(row[3])


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
    with store.writing() as db:
        return [_accept(db, signer, manifest, record, store.clock.utc_us()) for manifest, record in items]


def _accept(db: Database, signer: Signer, manifest: Manifest, manifest_bytes: bytes, now_us: int) -> bytes:
    same = manifest.device, manifest.sealed_sha256, hashlib.sha256(manifest_bytes).hexdigest()
    kept = _receipt_of(db, manifest.item, same)
    if kept is not None:  # it came by another way since it was looked for
        return kept
    shared: dict[str, Any] = {
        "item": manifest.item,
        "device": manifest.device,
        "sealed_sha256": manifest.sealed_sha256,
        "sealed_size": manifest.sealed_size,
        "manifest_sha256": hashlib.sha256(manifest_bytes).hexdigest(),
    }
    leaf = LogLeaf(kind=manifest.kind, received_us=now_us, **shared)
    index, checkpoint = Log(db).append(leaf, signer.origin, signer.key)
    receipt = Receipt(stored_us=now_us, log_index=index, log_checkpoint=checkpoint, **shared)
    record = sign_record(RECEIPT, receipt.to_body(), signer.key)
    row = _row(manifest, manifest_bytes, receipt, record)
    db.execute(f"INSERT INTO items ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", list(row.values()))
    db.execute("DELETE FROM transfers WHERE item = ?", [manifest.item])
    if manifest.kind in TRIAGED_KINDS:
        db.execute("INSERT INTO to_open (item) VALUES (?)", [manifest.item])
    return record


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
