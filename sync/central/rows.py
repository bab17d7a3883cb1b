"""What the store answers with: one frozen row type per question, and the SQL that fills it.

Times are UTC microseconds, sizes bytes, hashes lower-case hex.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from vedette import canonical
from vedette.fields import Fields
from vedette.hitfile import Hit
from vedette.records import Manifest, peek_manifest

HitState = Literal["open", "confirmed", "misread", "wrong_vehicle", "stale_entry", "dismissed"]
HIT_STATES: tuple[HitState, ...] = get_args(HitState)
Role = Literal["admin", "investigator", "viewer"]
ROLES: tuple[Role, ...] = get_args(Role)
QuarantineOutcome = Literal["dropped", "repeated"]


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceRow:
    """An enrolled device. `online` is what its last birth or will said; `status` the counters of its last status."""

    device: str
    public_key: str
    enrolled_us: int
    revoked_us: int | None
    last_seen_us: int | None
    online: bool
    list_version: int | None
    status: Mapping[str, int | str]
    items: int
    stored_bytes: int
    last_stored_us: int | None
    broken_chains: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemRow:
    """One stored item. `opened` is None until the centre opened it (never for segments), else its verdict."""

    item: str
    kind: str
    device: str
    recording: str | None
    sequence: int
    priority: int
    sealed_sha256: str
    sealed_size: int
    manifest_sha256: str
    created_us: int
    started_us: int
    ended_us: int
    complete: bool
    stored_us: int
    log_index: int
    opened: bool | None
    problem: str | None
    manifest: Manifest


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordingRow:
    """The segments that share one recording id, summed up."""

    recording: str
    device: str
    segments: int
    sealed_bytes: int
    started_us: int
    ended_us: int
    complete: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class HitRow:
    """One hit. `sighting` is the whole opened hit; `pictures` are names for `Store.picture`."""

    hit: str
    item: str
    device: str
    raised_us: int
    stored_us: int
    text: str
    text_ascii: str
    region: str
    confidence_permille: int
    state: HitState
    decided_by: str | None
    decided_us: int | None
    pictures: tuple[str, ...]
    sighting: Hit


@dataclass(frozen=True, kw_only=True, slots=True)
class DecisionRow:
    """One step in the life of a hit: who moved it from `previous` to `state`, when, and what they noted."""

    hit: str
    decided_us: int
    user: str
    previous: HitState
    state: HitState
    note: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ChainRow:
    """How far one service's custody chain is verified here; `problem` says what is broken or missing.

    `signed_seq` is the last line its device has signed for and at `signed_us`, None where that line is here already.
    """

    device: str
    service: str
    seq: int
    head: str
    utc_us: int
    waiting: int
    problem: str | None
    signed_seq: int | None
    signed_us: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class GapRow:
    """A time a device says it did not record, from its verified journal."""

    device: str
    service: str
    seq: int
    from_us: int
    to_us: int
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class QuarantineRow:
    """Something that came in and did not verify. `code` is the wire's refusal code; `sha256` names the kept bytes.

    `sent_bytes` is how much was sent, None where nothing was or an older version kept the row; `kept_bytes` how much of
    it is kept.
    """

    id: int
    received_us: int
    device: str
    item: str | None
    code: str
    text: str
    sha256: str | None
    sent_bytes: int | None
    kept_bytes: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class QuarantineCount:
    """How often a device's complaints of one `code` were not kept: `repeated` is of one that is kept, `dropped` is
    beyond the rows that one device may fill.
    """

    device: str
    code: str
    outcome: QuarantineOutcome
    times: int
    first_us: int
    last_us: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ListRow:
    """One signed watchlist version; it goes to devices once `published_us` is set."""

    version: int
    issued_us: int
    entries: int
    imported_by: str
    sha256: str
    sealed_sha256: str
    published_us: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class AccessRow:
    """A person looked at, opened, exported or changed something: who, what, and the reason given."""

    id: int
    at_us: int
    user: str
    action: str
    subject: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class User:
    """A person who may sign in."""

    name: str
    role: Role
    created_us: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """The figures of the front page. `revision` changes whenever anything a page shows has changed (poll it)."""

    devices: int
    online: int
    items: int
    stored_bytes: int
    hits: int
    open_hits: int
    quarantined: int
    quarantine_repeated: int
    quarantine_dropped: int
    broken_chains: int
    revision: str


ITEM_SQL = (
    "SELECT i.item, i.kind, i.device, i.recording, i.sequence, i.priority, i.sealed_sha256,"
    " i.sealed_size, i.manifest_sha256, i.created_us, i.started_us, i.ended_us,"
    " i.complete, i.stored_us, i.log_index, i.manifest, o.item, o.problem"
    " FROM items i LEFT JOIN opened o ON o.item = i.item"
)
HIT_SQL = (
    "SELECT h.hit, h.item, h.device, h.raised_us, i.stored_us, h.state, h.body, h.pictures, d.user, d.decided_us"
    " FROM hits h JOIN items i ON i.item = h.item"
    " LEFT JOIN decisions d ON d.id = (SELECT max(id) FROM decisions WHERE hit = h.hit)"
)
DEVICE_SQL = (
    "SELECT d.device, d.public_key, d.enrolled_us, d.revoked_us, d.last_seen_us, d.online, d.list_version, d.status,"
    " coalesce(t.items, 0), coalesce(t.stored_bytes, 0), t.last_stored_us,"
    " (SELECT count(*) FROM chains c WHERE c.device = d.device AND c.problem IS NOT NULL)"
    " FROM devices d LEFT JOIN totals t ON t.device = d.device"
)
# Of the heads of one service, `h` is the furthest.
FURTHEST_HEAD = (
    "NOT EXISTS (SELECT 1 FROM journal_heads n WHERE n.device = h.device AND n.service = h.service"
    " AND (n.seq > h.seq OR (n.seq = h.seq AND n.boot < h.boot)))"
)
CHAIN_SQL = (
    "SELECT c.device, c.service, c.seq, c.head, c.utc_us, (SELECT count(*) FROM custody_waiting w"
    " WHERE w.device = c.device AND w.service = c.service), c.problem, h.seq, h.told_us FROM chains c"
    " LEFT JOIN journal_heads h ON h.device = c.device AND h.service = c.service AND h.seq > c.seq AND " + FURTHEST_HEAD
)
QUARANTINE_SQL = (
    "SELECT id, received_us, device, item, code, text, sha256, sent_bytes, length(evidence) FROM quarantine"
)

COUNTS_SQL = (
    "SELECT (SELECT count(*) FROM devices WHERE revoked_us IS NULL),"
    " (SELECT count(*) FROM devices WHERE online = 1 AND revoked_us IS NULL),"
    " (SELECT coalesce(sum(items), 0) FROM totals), (SELECT coalesce(sum(stored_bytes), 0) FROM totals),"
    " (SELECT count(*) FROM hits),"
    " (SELECT count(*) FROM hits WHERE state = 'open'), (SELECT count(*) FROM quarantine),"
    " (SELECT coalesce(sum(times), 0) FROM quarantine_counts WHERE outcome = 'repeated'),"
    " (SELECT coalesce(sum(times), 0) FROM quarantine_counts WHERE outcome = 'dropped'),"
    " (SELECT count(*) FROM chains WHERE problem IS NOT NULL), (SELECT coalesce(max(id), 0) FROM decisions),"
    " (SELECT coalesce(max(last_seen_us), 0) FROM devices)"
)


def item_row(row: tuple[Any, ...]) -> ItemRow:
    """An `ItemRow` from a row of `ITEM_SQL`."""
    names = (
        "item",
        "kind",
        "device",
        "recording",
        "sequence",
        "priority",
        "sealed_sha256",
        "sealed_size",
        "manifest_sha256",
    )
    times = ("created_us", "started_us", "ended_us")
    return ItemRow(
        **dict(zip((*names, *times), row, strict=False)),
        complete=bool(row[12]),
        stored_us=row[13],
        log_index=row[14],
        manifest=peek_manifest(bytes(row[15])),
        opened=None if row[16] is None else row[17] is None,
        problem=row[17],
    )


def hit_row(row: tuple[Any, ...]) -> HitRow:
    """A `HitRow` from a row of `HIT_SQL`."""
    sighting = Hit.from_fields(Fields(canonical.loads(bytes(row[6])), "hit"))
    return HitRow(
        **dict(zip(("hit", "item", "device", "raised_us", "stored_us", "state"), row, strict=False)),
        text=sighting.text,
        text_ascii=sighting.text_ascii,
        region=sighting.region,
        confidence_permille=sighting.confidence_permille,
        pictures=tuple(json.loads(row[7])),
        decided_by=row[8],
        decided_us=row[9],
        sighting=sighting,
    )


def device_row(row: tuple[Any, ...]) -> DeviceRow:
    """A `DeviceRow` from a row of `DEVICE_SQL`."""
    names = ("device", "public_key", "enrolled_us", "revoked_us", "last_seen_us")
    totals = ("items", "stored_bytes", "last_stored_us", "broken_chains")
    return DeviceRow(
        **dict(zip(names, row, strict=False)),
        **dict(zip(totals, row[8:], strict=True)),
        online=bool(row[5]),
        list_version=row[6],
        status=json.loads(row[7]),
    )
