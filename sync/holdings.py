"""What the device holds: its spooled items as the uplink reads them, and the receipts it has checked for them.

Decided here: a receipt is kept only when the centre's key signed it for exactly this item, these sealed bytes and this
manifest; nothing is written otherwise. Implements docs/spec/wire.md, "Receipts".
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from sync.outbox import Outbox
from sync.sender import Offer, SendPart
from vedette import files
from vedette.clock import check_uuid7
from vedette.errors import Integrity, VedetteError
from vedette.keys import PublicKey
from vedette.records import check_receipt, open_receipt
from vedette.wire import MAX_SIGNED_BYTES, Part


class Holdings:
    """Reads items for sending and keeps their receipts; sealed files stay open while they are under way."""

    def __init__(self, outbox: Outbox, receipts: Path, centre_keys: Mapping[str, PublicKey]) -> None:
        self._outbox = outbox
        self._receipts = receipts
        self._centre_keys = centre_keys
        self._open: dict[str, int] = {}
        receipts.mkdir(parents=True, exist_ok=True, mode=0o750)

    def offer(self, item_id: str) -> Offer:
        """The item as an upload wants it; raises NotFound or Integrity when it cannot be sent as it lies there."""
        item = self._outbox.load(item_id)
        if len(item.manifest_bytes) > MAX_SIGNED_BYTES:
            raise Integrity(f"item {item_id}: its manifest has {len(item.manifest_bytes)} bytes, too many to send")
        self.release(item_id)
        self._open[item_id] = os.open(item.path, os.O_RDONLY)
        return Offer(
            item=item_id,
            kind=item.kind,
            size=item.manifest.sealed_size,
            sha256=item.manifest.sealed_sha256,
            priority=item.manifest.priority,
            manifest=item.manifest_bytes,
        )

    def read(self, wanted: SendPart) -> Part:
        """The bytes of one part; raises Integrity when the file has fewer than its manifest says."""
        payload = os.pread(self._open[wanted.item], wanted.length, wanted.offset)
        if len(payload) != wanted.length:
            raise Integrity(f"item {wanted.item}: its sealed file ends before byte {wanted.offset + wanted.length}")
        return Part(item=wanted.item, index=wanted.index, payload=payload)

    def release(self, item_id: str) -> None:
        """The item is not under way any more."""
        descriptor = self._open.pop(item_id, None)
        if descriptor is not None:
            os.close(descriptor)

    def release_all(self) -> None:
        """No item is under way."""
        for item_id in list(self._open):
            self.release(item_id)

    def check_receipt(self, item_id: str, receipt: bytes) -> None:
        """Return when `receipt` is the centre's for what lies here as `item_id`; NotTrusted, Integrity or NotFound."""
        item = self._outbox.load(item_id)
        check_receipt(open_receipt(receipt, self._centre_keys), item.manifest, item.manifest_sha256)

    def keep_receipt(self, item_id: str, receipt: bytes) -> None:
        """Check again and write the receipt for the keeper; raises as `check_receipt`, or OSError (disk full)."""
        self.check_receipt(item_id, receipt)
        files.replace(self._receipt_path(item_id), receipt)

    def has_receipt(self, item_id: str) -> bool:
        """Whether a receipt lies here that holds; a damaged one is fetched again."""
        path = self._receipt_path(item_id)
        if not path.exists():
            return False
        try:
            self.check_receipt(item_id, files.read(path, max_bytes=MAX_SIGNED_BYTES))
        except VedetteError:
            return False
        return True

    def _receipt_path(self, item_id: str) -> Path:
        return self._receipts / f"{check_uuid7(item_id)}.receipt"
