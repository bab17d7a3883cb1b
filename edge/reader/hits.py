"""From a match to a sealed item in the spool: the hit record, its pictures, and the way they reach the disk.

Decided here (docs/spec/hit.md): pictures are made and everything is sealed in memory, so that nothing readable touches
the disk; a hit that the disk does not take waits in memory and is tried again; one that a crash left between its file
and its manifest is committed at the next start. Not decided here: what is a match, and which matches are repeats.
"""

from __future__ import annotations

import hashlib
import io
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from edge.camera.port import SmallFrame
from edge.reader.vote import Consensus
from vedette import files, hitfile, sealed, spool
from vedette.clock import UUID7, Clock, TimeQuality
from vedette.errors import Refused, VedetteError
from vedette.identity import Identity
from vedette.records import MANIFEST, PRIORITY_HIT, JournalHead, Manifest, sign_record
from vedette.waiting_journal import WaitingJournal
from vedette.watchlist import WatchEntry, WatchList

MAX_WAITING = 8
CONTEXT_WIDTH_PX = 1280
CROP_MARGIN_PERCENT = 30
CROP_QUALITY = 92
CONTEXT_QUALITY = 80


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """A consensus read of track `track` that equals `entry` of `watchlist`."""

    consensus: Consensus
    entry: WatchEntry
    watchlist: WatchList
    track: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """When and where a hit was raised, and by which models."""

    raised_us: int
    quality: TimeQuality
    position: hitfile.Position | None
    models: Mapping[str, str]


def make_hit(found: Match, moment: Moment, *, hit_id: str, device: str) -> hitfile.Hit:
    """The record of a match, as it is sealed."""
    read = found.consensus
    return hitfile.Hit(
        hit=hit_id,
        device=device,
        raised_us=moment.raised_us,
        time_source=moment.quality.source,
        time_error_us=moment.quality.error_us,
        text=read.text,
        text_ascii=read.text_ascii,
        region=read.region,
        confidence_permille=read.confidence_permille,
        looks=read.looks,
        alternatives=tuple(
            hitfile.ReadAlternative(text=one.text, region=one.region, confidence_permille=one.confidence_permille)
            for one in read.alternatives
        ),
        entry=_entry(found.entry),
        list_version=found.watchlist.version,
        list_issued_us=found.watchlist.issued_us,
        list_age_us=found.watchlist.age_us(moment.raised_us),
        models=moment.models,
        position=moment.position,
        track=found.track,
        first_seen_us=read.first_seen_us,
        last_seen_us=read.last_seen_us,
        box_px=read.best.detection.box_px,
        corners_dpx=tuple(round(value * 10) for corner in read.best.detection.corners_px for value in corner),
    )


def pictures(frame: SmallFrame, box: tuple[int, int, int, int]) -> dict[str, bytes]:
    """`crop.jpg` (the plate with a margin) and `context.jpg` (the whole picture, 1280 px wide at most), in memory."""
    colour = cv2.cvtColor(frame.i420, cv2.COLOR_YUV2BGR_I420)
    x0, y0, x1, y1 = box
    dx, dy = ((side * CROP_MARGIN_PERCENT) // 100 + 4 for side in (x1 - x0, y1 - y0))
    top, left = max(0, min(y0 - dy, frame.height - 1)), max(0, min(x0 - dx, frame.width - 1))
    crop = colour[top : max(top + 1, y1 + dy), left : max(left + 1, x1 + dx)]
    scale = min(1.0, CONTEXT_WIDTH_PX / frame.width)
    context = cv2.resize(colour, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else colour
    return {"crop.jpg": _jpeg(crop, CROP_QUALITY), "context.jpg": _jpeg(context, CONTEXT_QUALITY)}


def _jpeg(picture: np.ndarray, quality: int) -> bytes:
    done, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done, "JPEG encoding of an 8-bit picture does not fail"
    return encoded.tobytes()


def _entry(entry: WatchEntry) -> hitfile.MatchedEntry:
    return hitfile.MatchedEntry(
        entry=entry.entry_id,
        text=entry.plate,
        region=entry.region,
        reason=entry.reason,
        priority=entry.priority,
        source=entry.source,
        valid_from_us=entry.valid_from_us,
        valid_to_us=entry.valid_to_us,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Waiting:
    """A sealed hit on its way to the disk; `manifest` still lacks the journal's head."""

    ciphertext: bytes
    manifest: Manifest
    journalled: bool = False


class HitSpool:
    """Puts hits into the spool; the only writer of items of kind `hit` on the device."""

    def __init__(
        self,
        root: Path,
        *,
        recipients: Sequence[sealed.Recipient],
        journal: WaitingJournal,
        clock: Clock,
        identity: Identity,
    ) -> None:
        self._root = root
        self._recipients = recipients
        self._journal = journal
        self._clock = clock
        self.identity = identity
        self._waiting: deque[_Waiting] = deque()
        self.failures = 0
        self.recovered = False

    @property
    def waiting(self) -> int:
        """How many hits are in memory because the disk did not take them."""
        return len(self._waiting)

    def add(self, hit: hitfile.Hit, shown: Mapping[str, bytes]) -> str | None:
        """Seal a hit and queue it for `flush`; the id of the oldest waiting hit where that one had to give way."""
        plain = hitfile.pack(hit, shown)
        ciphertext = sealed.seal(plain, self._recipients)
        manifest = self._manifest(hit.hit, hit.raised_us, ciphertext, len(plain))
        manifest = replace(
            manifest,
            plain_sha256=hashlib.sha256(plain).hexdigest(),
            started_us=hit.first_seen_us,
            ended_us=hit.last_seen_us,
            time_source=hit.time_source,
            time_error_us=hit.time_error_us,
            models=hit.models,
        )
        self._waiting.append(_Waiting(ciphertext=ciphertext, manifest=manifest))
        return self._waiting.popleft().manifest.item if len(self._waiting) > MAX_WAITING else None

    def flush(self) -> list[str]:
        """Commit what waits, oldest first, until the disk refuses; the ids committed."""
        committed = []
        while self._waiting:
            try:
                self._commit(self._waiting[0])
            except (OSError, Refused):
                self.failures += 1
                break
            committed.append(self._waiting.popleft().manifest.item)
        return committed

    def recover(self) -> list[str]:
        """Commit the hits that a crash left without a manifest; the ids committed, and `recovered` is true.

        Where the disk has no room it raises (OSError, Refused) and is to be called again. A torn write beside them
        goes to the spool's quarantine, since only a receipt deletes.
        """
        folder = self._root / "hit"
        for torn in folder.glob(".*.tmp"):
            torn.replace(self._root / spool.QUARANTINE / torn.name.lstrip("."))
        committed = []
        waiting = {one.manifest.item for one in self._waiting}
        for path in sorted([*folder.glob("*.hit.age"), *folder.glob("*.hit.age.part")]):
            item_id = path.name.partition(".")[0]
            if item_id in waiting:
                continue
            if UUID7.match(item_id) and not spool.manifest_path(self._root, "hit", item_id).exists():
                self._recover(path, item_id)
                committed.append(item_id)
        self.recovered = True
        return committed

    def _recover(self, path: Path, item_id: str) -> None:
        ciphertext = path.read_bytes()
        path.replace(spool.part_path(self._root, "hit", item_id))
        raised_us = int(item_id.replace("-", "")[:12], 16) * 1000
        try:
            plain_size = _plain_size(ciphertext)
        except VedetteError:
            plain_size = 0
        manifest = self._manifest(item_id, raised_us, ciphertext, plain_size)
        self._journal.append("hit.recovered", item=item_id)
        spool.commit(self._root, "hit", item_id, self._sign(manifest))

    def _commit(self, hit: _Waiting) -> None:
        item_id = hit.manifest.item
        files.replace(spool.part_path(self._root, "hit", item_id), hit.ciphertext)
        if not hit.journalled:
            self._journal.append("hit.raised", item=item_id)
            self._waiting[0] = replace(hit, journalled=True)
        spool.commit(self._root, "hit", item_id, self._sign(hit.manifest))

    def _sign(self, manifest: Manifest) -> bytes:
        seq, head = self._journal.head
        named = replace(manifest, journal=JournalHead(service=self._journal.service, seq=seq, head=head))
        return sign_record(MANIFEST, named.to_body(), self._journal.key)

    def _manifest(self, item_id: str, raised_us: int, ciphertext: bytes, plain_size: int) -> Manifest:
        quality = self._clock.quality()
        return Manifest(
            item=item_id,
            kind="hit",
            device=self._journal.device,
            sealed_sha256=hashlib.sha256(ciphertext).hexdigest(),
            sealed_size=len(ciphertext),
            plain_sha256=None,
            plain_size=plain_size,
            created_us=raised_us,
            started_us=raised_us,
            ended_us=raised_us,
            time_source=quality.source,
            time_error_us=quality.error_us,
            complete=True,
            priority=PRIORITY_HIT,
            recording=None,
            sequence=0,
            activation=None,
            media=None,
            journal=None,
            software=self.identity.software,
            models={},
            hardware=self.identity.hardware,
            firmware=self.identity.firmware,
            policy_sha256=self.identity.policy_sha256,
        )


def _plain_size(ciphertext: bytes) -> int:
    """How many bytes are inside a whole sealed file, from its length alone (16 bytes of tag a 64 KiB chunk)."""
    payload = len(ciphertext) - sealed.header_length(io.BytesIO(ciphertext))
    return payload - 16 * -(-payload // (64 * 1024 + 16))
