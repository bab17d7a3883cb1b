"""Signed records and the three that cross between a device and the centre: manifest, receipt, hit.

Implements docs/spec/record.md. A signed record is canonical JSON `{"body","key","kind","sig"}`; the signature is
Ed25519 over `vedette-record\\n`, the kind, a newline and the canonical body, so a record of one kind never passes
for another. Behind the parsers here nobody asks whether a field is there.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vedette import canonical
from vedette.errors import Integrity, NotTrusted
from vedette.fields import Fields
from vedette.keys import PublicKey, SigningKey

MANIFEST = "vedette/manifest/2"
MANIFEST_1 = "vedette/manifest/1"
RECEIPT = "vedette/receipt/1"
ENROLMENT = "vedette/enrolment/1"
WATCHLIST = "vedette/watchlist/1"
MAX_RECORD_BYTES = 256 * 1024

KINDS = ("hit", "custody", "segment")
PRIORITY_HIT, PRIORITY_CUSTODY, PRIORITY_MANIFEST, PRIORITY_MARKED, PRIORITY_BULK = range(5)

Body = dict[str, Any]
_SINCE_2 = ("hardware", "firmware", "policy_sha256")


def sign_record(kind: str, body: Body, key: SigningKey) -> bytes:
    """The canonical bytes of `body` as a record of `kind` signed by `key`."""
    signature = base64.b64encode(key.sign(_message(kind, body))).decode()
    return canonical.dumps({"body": body, "key": key.public.key_id, "kind": kind, "sig": signature})


def open_record(kind: str, data: bytes, keys: Mapping[str, PublicKey], *, max_bytes: int = MAX_RECORD_BYTES) -> Body:
    """The body of a record of exactly `kind` signed by one of `keys` (key id → key).

    Raises `Integrity` when the bytes are no such record and `NotTrusted` when the key or signature is wrong.
    """
    record = canonical.loads(data, max_bytes=max_bytes)
    if not isinstance(record, dict) or set(record) != {"body", "key", "kind", "sig"}:
        raise Integrity("a signed record has exactly the fields body, key, kind and sig")
    if record["kind"] != kind:
        raise Integrity(f"the record is a {str(record['kind'])[:40]!r}, expected {kind!r}")
    if not isinstance(record["body"], dict):
        raise Integrity(f"the body of a {kind} record is not an object")
    key = keys.get(record["key"]) if isinstance(record["key"], str) else None
    if key is None:
        raise NotTrusted(f"the {kind} record is signed by key {str(record['key'])[:32]!r}, which is not trusted here")
    key.verify(_signature(record["sig"]), _message(kind, record["body"]))
    return record["body"]


def keyring(*keys: PublicKey) -> dict[str, PublicKey]:
    """`keys` by key id, as `open_record` wants them."""
    return {key.key_id: key for key in keys}


def _message(kind: str, body: Body) -> bytes:
    return b"vedette-record\n" + kind.encode("ascii") + b"\n" + canonical.dumps(body)


def _signature(text: object) -> bytes:
    try:
        raw = base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError):
        raise Integrity("a record's signature is not base64") from None
    if base64.b64encode(raw).decode() != text:
        raise Integrity("a record's signature is not canonical base64")
    return raw


@dataclass(frozen=True, kw_only=True, slots=True)
class Media:
    """What a segment holds: codec name, picture size in pixels, duration in microseconds, number of pictures, and the
    codec of its sound (None: no sound, or a manifest/1, which does not say).
    """

    codec: str
    width: int
    height: int
    duration_us: int
    frames: int
    sound: str | None = None

    def to_body(self, version: int) -> Body:
        """The object `media` of a manifest of this version."""
        body = {name: getattr(self, name) for name in self.__slots__}
        if version == 1:
            del body["sound"]
        return body


@dataclass(frozen=True, kw_only=True, slots=True)
class JournalHead:
    """Where a service's custody journal stood when an item was closed: last sequence number and line hash (hex)."""

    service: str
    seq: int
    head: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What an item is, which bytes it has and who made it; never a plate, a position or an officer (record.md RE-10).

    `version` is the record's: 1 has no hardware, firmware, policy hash and sound codec.
    """

    item: str
    kind: str
    device: str
    sealed_sha256: str
    sealed_size: int
    plain_sha256: str | None
    plain_size: int
    created_us: int
    started_us: int
    ended_us: int
    time_source: str
    time_error_us: int | None
    complete: bool
    priority: int
    recording: str | None
    sequence: int
    activation: str | None
    media: Media | None
    journal: JournalHead | None
    software: str
    models: Mapping[str, str]
    hardware: str | None = None
    firmware: str | None = None
    policy_sha256: str | None = None
    version: int = 2

    @property
    def record_kind(self) -> str:
        """The kind of the record that this manifest is the body of."""
        return MANIFEST if self.version == 2 else MANIFEST_1

    def to_body(self) -> Body:
        """The body of a record of `record_kind`."""
        media = self.media
        journal = self.journal
        return {
            "item": self.item,
            "kind": self.kind,
            "device": self.device,
            "sealed_sha256": self.sealed_sha256,
            "sealed_size": self.sealed_size,
            "plain_sha256": self.plain_sha256,
            "plain_size": self.plain_size,
            "created_us": self.created_us,
            "started_us": self.started_us,
            "ended_us": self.ended_us,
            "time": {"source": self.time_source, "error_us": self.time_error_us},
            "complete": self.complete,
            "priority": self.priority,
            "recording": self.recording,
            "sequence": self.sequence,
            "activation": self.activation,
            "media": None if media is None else media.to_body(self.version),
            "journal": None
            if journal is None
            else {"service": journal.service, "seq": journal.seq, "head": journal.head},
            "software": self.software,
            "models": dict(self.models),
            **({name: getattr(self, name) for name in _SINCE_2} if self.version == 2 else {}),
        }

    @classmethod
    def from_body(cls, body: Body, version: int = 2) -> Manifest:
        """Parse a manifest's body; `Integrity` names the field that is missing, unknown or wrong."""
        fields = Fields(body, "manifest")
        since_2 = fields if version == 2 else Fields(dict.fromkeys(_SINCE_2), "manifest")
        time = fields.object("time")
        manifest = cls(
            item=fields.uuid7("item"),
            kind=fields.one_of("kind", KINDS),
            device=fields.device("device"),
            sealed_sha256=fields.sha256("sealed_sha256"),
            sealed_size=fields.integer("sealed_size"),
            plain_sha256=fields.optional("plain_sha256", fields.sha256),
            plain_size=fields.integer("plain_size"),
            created_us=fields.integer("created_us"),
            started_us=fields.integer("started_us"),
            ended_us=fields.integer("ended_us"),
            time_source=time.text("source"),
            time_error_us=time.optional("error_us", time.integer),
            complete=fields.boolean("complete"),
            priority=fields.integer("priority", most=PRIORITY_BULK),
            recording=fields.optional("recording", fields.uuid7),
            sequence=fields.integer("sequence"),
            activation=fields.optional("activation", fields.text),
            media=fields.optional("media", lambda name: _media(fields.object(name), version)),
            journal=fields.optional("journal", lambda name: _journal(fields.object(name))),
            software=fields.text("software"),
            models=fields.texts("models"),
            hardware=since_2.optional("hardware", since_2.text),
            firmware=since_2.optional("firmware", since_2.text),
            policy_sha256=since_2.optional("policy_sha256", since_2.sha256),
            version=version,
        )
        time.close()
        fields.close()
        return manifest


def open_manifest(data: bytes, keys: Mapping[str, PublicKey]) -> Manifest:
    """The manifest in a signed record by one of `keys`, of either version."""
    record = canonical.loads(data, max_bytes=MAX_RECORD_BYTES)
    is_first = isinstance(record, dict) and record.get("kind") == MANIFEST_1
    body = open_record(MANIFEST_1 if is_first else MANIFEST, data, keys)
    return Manifest.from_body(body, 1 if is_first else 2)


def peek_manifest(data: bytes) -> Manifest:
    """The manifest in a record whose signature is *not* checked: for a device that indexes its own spool."""
    record = canonical.loads(data, max_bytes=MAX_RECORD_BYTES)
    kinds = {MANIFEST_1: 1, MANIFEST: 2}
    version = kinds.get(str(record.get("kind"))) if isinstance(record, dict) else None
    if version is None or not isinstance(record.get("body"), dict):
        raise Integrity("the file is not a manifest record")
    return Manifest.from_body(record["body"], version)


def _media(fields: Fields, version: int) -> Media:
    media = Media(
        codec=fields.text("codec"),
        width=fields.integer("width"),
        height=fields.integer("height"),
        duration_us=fields.integer("duration_us"),
        frames=fields.integer("frames"),
        sound=fields.optional("sound", fields.text) if version == 2 else None,
    )
    fields.close()
    return media


def _journal(fields: Fields) -> JournalHead:
    head = JournalHead(service=fields.text("service"), seq=fields.integer("seq"), head=fields.sha256("head"))
    fields.close()
    return head


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """The centre's word that it has stored these bytes and where its log says so; only this deletes."""

    item: str
    device: str
    sealed_sha256: str
    sealed_size: int
    manifest_sha256: str
    stored_us: int
    log_index: int
    log_checkpoint: str

    def to_body(self) -> Body:
        """The body of a `vedette/receipt/1` record."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_body(cls, body: Body) -> Receipt:
        """Parse a receipt's body; `Integrity` names the field that is missing, unknown or wrong."""
        fields = Fields(body, "receipt")
        receipt = cls(
            item=fields.uuid7("item"),
            device=fields.device("device"),
            sealed_sha256=fields.sha256("sealed_sha256"),
            sealed_size=fields.integer("sealed_size"),
            manifest_sha256=fields.sha256("manifest_sha256"),
            stored_us=fields.integer("stored_us"),
            log_index=fields.integer("log_index"),
            log_checkpoint=fields.text("log_checkpoint", most=4096),
        )
        fields.close()
        return receipt


def open_receipt(data: bytes, keys: Mapping[str, PublicKey]) -> Receipt:
    """The receipt in a signed record by one of `keys` (the centre's)."""
    return Receipt.from_body(open_record(RECEIPT, data, keys))


def check_receipt(receipt: Receipt, manifest: Manifest, manifest_sha256: str) -> None:
    """Return when `receipt` is for exactly this item, these sealed bytes and this manifest, else `NotTrusted`."""
    theirs = (receipt.item, receipt.device, receipt.sealed_sha256, receipt.sealed_size, receipt.manifest_sha256)
    ours = (manifest.item, manifest.device, manifest.sealed_sha256, manifest.sealed_size, manifest_sha256)
    for name, got, expected in zip(("item", "device", "hash", "size", "manifest hash"), theirs, ours, strict=True):
        if got != expected:
            raise NotTrusted(f"the receipt for item {manifest.item} names another {name}; the file is kept")
