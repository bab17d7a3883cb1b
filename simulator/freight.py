"""Sealed items of any size for a device's spool, without a camera: what a transfer is loaded with.

Decided here: they are what the recorder and the reader leave there (sealed to the centre's recipients, signed by the
device, committed), so that uplink, keeper and centre see nothing unusual. A segment holds zeros (sealed, no two are
alike), a hit is made up.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vedette import hitfile, sealed, spool
from vedette.clock import Clock, SystemClock, uuid7
from vedette.config import DeviceConfig, load_device
from vedette.keys import SigningKey
from vedette.records import MANIFEST, PRIORITY_BULK, PRIORITY_HIT, Manifest, peek_manifest, sign_record
from vedette.trust import load_trust

JPEG = b"\xff\xd8\xff\xd9"


@dataclass(frozen=True, kw_only=True, slots=True)
class Packed:
    """An item that lies in the spool as a `.part` file; `commit` makes it one that is sent."""

    item: str
    kind: str
    sha256: str
    size: int
    record: bytes


class Loader:
    """Puts items into the spool of the enrolled device whose device.toml is at `path`; `clock` says when they began."""

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self.config: DeviceConfig = load_device(path)
        trust = load_trust(self.config.trust)
        self._segment_recipients, self._lead_recipients = trust.segment_recipients(), trust.lead_recipients()
        self._key = SigningKey.load(self.config.keys / "sign.pem")
        self._clock = SystemClock() if clock is None else clock
        spool.make_folders(self.config.spool)

    def put(self, size: int, *, priority: int = PRIORITY_BULK) -> Packed:
        """Commit a segment with `size` bytes of content."""
        return self.commit(self.pack(size, priority=priority))

    def put_hit(self, text: str = "AB123CD") -> Packed:
        """Commit a hit that the centre can open."""
        return self.commit(self.pack_hit(text))

    def pack(self, size: int, *, priority: int = PRIORITY_BULK) -> Packed:
        """Seal a segment with `size` bytes of content and leave it uncommitted."""
        data = sealed.seal(bytes(size), self._segment_recipients)
        return self._write("segment", data, size, priority)

    def pack_again(self, packed: Packed) -> Packed:
        """Another item of the same sealed bytes, uncommitted, without sealing: the load of a measurement costs little.

        `packed` must lie uncommitted.
        """
        item, now_us = uuid7(self._clock), self._clock.utc_us()
        part = spool.part_path(self.config.spool, packed.kind, packed.item)
        os.link(part, spool.part_path(self.config.spool, packed.kind, item))
        again = replace(peek_manifest(packed.record), item=item, created_us=now_us, started_us=now_us, ended_us=now_us)
        return replace(packed, item=item, record=sign_record(MANIFEST, again.to_body(), self._key))

    def pack_hit(self, text: str = "AB123CD") -> Packed:
        """Seal a hit and leave it uncommitted."""
        hit = make_hit(text, hit=uuid7(self._clock), device=self.config.device.id, at_us=self._clock.utc_us())
        plain = hitfile.pack(hit, {"crop.jpg": JPEG, "context.jpg": JPEG})
        return self._write("hit", sealed.seal(plain, self._lead_recipients), len(plain), PRIORITY_HIT)

    def spooled(self) -> list[Packed]:
        """Every item that lies committed in the spool, whoever made it."""
        items = [spool.load(path) for _kind, _item, path in spool.item_ids(self.config.spool)]
        return [
            Packed(
                item=one.item_id,
                kind=one.kind,
                sha256=one.manifest.sealed_sha256,
                size=one.manifest.sealed_size,
                record=one.manifest_bytes,
            )
            for one in items
        ]

    def commit(self, packed: Packed) -> Packed:
        """Make it an item: from now on the uplink sends it."""
        spool.commit(self.config.spool, packed.kind, packed.item, packed.record)
        return packed

    def _write(self, kind: str, data: bytes, plain_size: int, priority: int) -> Packed:
        item, now_us = uuid7(self._clock), self._clock.utc_us()
        with spool.part_path(self.config.spool, kind, item).open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        manifest = make_manifest(
            data,
            item=item,
            kind=kind,
            device=self.config.device.id,
            at_us=now_us,
            plain_size=plain_size,
            priority=priority,
        )
        record = sign_record(MANIFEST, manifest.to_body(), self._key)
        return Packed(item=item, kind=kind, sha256=manifest.sealed_sha256, size=len(data), record=record)


def make_manifest(data: bytes, *, item: str, kind: str, device: str, at_us: int, **others: Any) -> Manifest:
    """The manifest of the sealed bytes `data`, which `device` made at `at_us` (UTC, µs); `others`: what differs."""
    made = Manifest(
        item=item,
        kind=kind,
        device=device,
        sealed_sha256=hashlib.sha256(data).hexdigest(),
        sealed_size=len(data),
        plain_sha256=None,
        plain_size=0,
        created_us=at_us,
        started_us=at_us,
        ended_us=at_us,
        time_source="simulated",
        time_error_us=None,
        complete=True,
        priority=PRIORITY_HIT if kind == "hit" else PRIORITY_BULK,
        recording=None,
        sequence=0,
        activation=None,
        media=None,
        journal=None,
        software="simulator",
        models={},
    )
    return replace(made, **others)


def make_hit(text: str, *, hit: str, device: str, at_us: int, **others: Any) -> hitfile.Hit:
    """A hit of `device` on the plate `text`, raised at `at_us` (UTC, µs); `others` are fields that differ."""
    entry = hitfile.MatchedEntry(
        entry="a" * 32,
        text=text,
        region="FR",
        reason="stolen",
        priority="high",
        source="simulator",
        valid_from_us=0,
        valid_to_us=2 * at_us,
    )
    made = hitfile.Hit(
        hit=hit,
        device=device,
        raised_us=at_us,
        time_source="simulated",
        time_error_us=0,
        text=text,
        text_ascii=text,
        region="FR",
        confidence_permille=981,
        looks=3,
        alternatives=(),
        entry=entry,
        list_version=1,
        list_issued_us=at_us,
        list_age_us=0,
        models={"reader": "0" * 64},
        position=None,
        track=1,
        first_seen_us=at_us,
        last_seen_us=at_us,
        box_px=(1, 2, 3, 4),
        corners_dpx=(1, 2, 3, 4, 5, 6, 7, 8),
    )
    return replace(made, **others)
