"""The hit record and the payload that carries it with its pictures (docs/spec/hit.md).

The payload is one canonical JSON line, a newline, then the pictures' JPEG bytes one after another in the order the
line names them. It exists in the clear only in memory: on disk and on the wire it is inside a sealed file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vedette import canonical
from vedette.errors import Integrity
from vedette.fields import Fields

MAX_HEADER_BYTES = 64 * 1024
MAX_PICTURE_BYTES = 4 << 20
MAX_PICTURES = 4
MAX_ALTERNATIVES = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadAlternative:
    """Another text the reader thought possible, with its confidence in per-mille."""

    text: str
    region: str
    confidence_permille: int


@dataclass(frozen=True, kw_only=True, slots=True)
class MatchedEntry:
    """The entry of the watchlist that the read equals, as the list had it."""

    entry: str
    text: str
    region: str
    reason: str
    priority: str
    source: str
    valid_from_us: int
    valid_to_us: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """WGS 84 in 1e-7 degree, accuracy in centimetres (null when unknown), time of the fix."""

    lat_e7: int
    lon_e7: int
    accuracy_cm: int | None
    fixed_us: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """A match raised to a person: a lead to be looked at, never a certainty."""

    hit: str
    device: str
    raised_us: int
    time_source: str
    time_error_us: int | None
    text: str
    text_ascii: str
    region: str
    confidence_permille: int
    looks: int
    alternatives: tuple[ReadAlternative, ...]
    entry: MatchedEntry
    list_version: int
    list_issued_us: int
    list_age_us: int
    models: Mapping[str, str]
    position: Position | None
    track: int
    first_seen_us: int
    last_seen_us: int
    box_px: tuple[int, int, int, int]
    corners_dpx: tuple[int, ...]

    def to_body(self) -> dict[str, Any]:
        """The object in the payload's first line, less the list of pictures."""
        entry, position = self.entry, self.position
        return {
            "hit": self.hit,
            "device": self.device,
            "raised_us": self.raised_us,
            "time": {"source": self.time_source, "error_us": self.time_error_us},
            "text": self.text,
            "text_ascii": self.text_ascii,
            "region": self.region,
            "confidence_permille": self.confidence_permille,
            "looks": self.looks,
            "alternatives": [
                {"text": one.text, "region": one.region, "confidence_permille": one.confidence_permille}
                for one in self.alternatives
            ],
            "entry": {name: getattr(entry, name) for name in entry.__slots__},
            "list_version": self.list_version,
            "list_issued_us": self.list_issued_us,
            "list_age_us": self.list_age_us,
            "models": dict(self.models),
            "position": None if position is None else {name: getattr(position, name) for name in position.__slots__},
            "track": self.track,
            "first_seen_us": self.first_seen_us,
            "last_seen_us": self.last_seen_us,
            "box_px": list(self.box_px),
            "corners_dpx": list(self.corners_dpx),
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> Hit:
        """Parse the payload's object; `Integrity` names the field that is missing or wrong."""
        time = fields.object("time")
        box = fields.integers("box_px", length=4)
        return cls(
            hit=fields.uuid7("hit"),
            device=fields.device("device"),
            raised_us=fields.integer("raised_us"),
            time_source=time.text("source"),
            time_error_us=time.optional("error_us", time.integer),
            text=fields.text("text", most=32),
            text_ascii=fields.text("text_ascii", most=32),
            region=fields.text("region", most=8),
            confidence_permille=fields.integer("confidence_permille", most=1000),
            looks=fields.integer("looks"),
            alternatives=tuple(map(_alternative, fields.objects("alternatives", most=MAX_ALTERNATIVES))),
            entry=_entry(fields.object("entry")),
            list_version=fields.integer("list_version"),
            list_issued_us=fields.integer("list_issued_us"),
            list_age_us=fields.integer("list_age_us"),
            models=fields.texts("models"),
            position=fields.optional("position", lambda name: _position(fields.object(name))),
            track=fields.integer("track"),
            first_seen_us=fields.integer("first_seen_us"),
            last_seen_us=fields.integer("last_seen_us"),
            box_px=(box[0], box[1], box[2], box[3]),
            corners_dpx=fields.integers("corners_dpx", length=8),
        )


def pack(hit: Hit, pictures: Mapping[str, bytes]) -> bytes:
    """The payload of a hit's sealed file: `pictures` maps names such as `crop.jpg` to JPEG bytes."""
    listed = [
        {"name": name, "size": len(jpeg), "sha256": hashlib.sha256(jpeg).hexdigest()} for name, jpeg in pictures.items()
    ]
    header = canonical.dumps({**hit.to_body(), "pictures": listed})
    return b"".join([header, b"\n", *pictures.values()])


def unpack(payload: bytes) -> tuple[Hit, dict[str, bytes]]:
    """The hit and its pictures; `Integrity` when a byte is missing, left over or not what the header says."""
    end = payload.find(b"\n", 0, MAX_HEADER_BYTES + 1)
    if end < 0:
        raise Integrity("a hit's payload has no header line")
    fields = Fields(canonical.loads(payload[:end], max_bytes=MAX_HEADER_BYTES), "hit")
    hit = Hit.from_fields(fields)
    pictures, offset = {}, end + 1
    for listed in fields.objects("pictures", most=MAX_PICTURES):
        name, size = listed.text("name", most=40), listed.integer("size", most=MAX_PICTURE_BYTES)
        jpeg = payload[offset : offset + size]
        if hashlib.sha256(jpeg).hexdigest() != listed.sha256("sha256"):
            raise Integrity(f"hit {hit.hit}: the picture {name!r} is not the one its header names")
        listed.close()
        pictures[name] = jpeg
        offset += size
    fields.close()
    if offset != len(payload):
        raise Integrity(f"hit {hit.hit}: {len(payload) - offset} bytes are left over after the last picture")
    return hit, pictures


def _alternative(fields: Fields) -> ReadAlternative:
    found = ReadAlternative(
        text=fields.text("text", most=32),
        region=fields.text("region", most=8),
        confidence_permille=fields.integer("confidence_permille", most=1000),
    )
    fields.close()
    return found


def _entry(fields: Fields) -> MatchedEntry:
    found = MatchedEntry(
        entry=fields.text("entry", most=64),
        text=fields.text("text", most=32),
        region=fields.text("region", most=8),
        reason=fields.text("reason"),
        priority=fields.text("priority", most=16),
        source=fields.text("source"),
        valid_from_us=fields.integer("valid_from_us"),
        valid_to_us=fields.integer("valid_to_us"),
    )
    fields.close()
    return found


def _position(fields: Fields) -> Position:
    found = Position(
        lat_e7=fields.integer("lat_e7", least=-900_000_000, most=900_000_000),
        lon_e7=fields.integer("lon_e7", least=-1_800_000_000, most=1_800_000_000),
        accuracy_cm=fields.optional("accuracy_cm", fields.integer),
        fixed_us=fields.integer("fixed_us"),
    )
    fields.close()
    return found
