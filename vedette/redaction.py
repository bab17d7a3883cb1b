"""The signed record of a redacted copy: its parent, the plan, every picture that was changed, the set it belongs to.

Decided here: the record's fields and limits. Version 1 is of a copy by itself, version 2 of one of a set: the copies of
a whole recording, each of which names all. Signed by whoever redacts, never by the device: a redacted copy is no
original. Implements RD-20 to RD-26 and RD-50 of docs/spec/redaction.md; making and checking copies is `edge.redact`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from vedette import canonical
from vedette.errors import Integrity, NotTrusted
from vedette.fields import Fields
from vedette.keys import PublicKey, SigningKey
from vedette.records import keyring, open_record, sign_record

REDACTION = "vedette/redaction/1"
REDACTION_2 = "vedette/redaction/2"
MAX_REDACTION_BYTES = 16 << 20
MAX_RUNS = 50_000
MAX_NAMES = 20_000
MAX_PARTS = 1000
CELL_PX = 8
FILL = (110, 128, 128)


@dataclass(frozen=True, kw_only=True, slots=True)
class ParentId:
    """Who the parent is: the SHA-256 (hex) and size of its opened bytes; the rest where a manifest was there."""

    plain_sha256: str
    plain_size: int
    sealed_sha256: str | None = None
    manifest_sha256: str | None = None
    item: str | None = None
    device: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """Pictures `first` to `last`, both included, shown from `from_us` to `to_us`, changed by the same regions."""

    first: int
    last: int
    from_us: int
    to_us: int
    regions: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Silence:
    """A stretch of sound that was muted, and how many packets were replaced for it."""

    from_us: int
    to_us: int
    reason: str
    packets: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One copy of a set: its own id, the item it is of, which segment of the recording that is, its SHA-256 (hex)."""

    item: str
    parent: str
    sequence: int
    derived_sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RedactedSet:
    """The copies of one recording that were made together by one plan (SHA-256 in hex), in the recording's order."""

    recording: str
    plan_sha256: str
    members: tuple[Member, ...]

    def place_of(self, item: str) -> int:
        """Which member, from 1, the copy `item` is; Integrity where it is none."""
        for number, one in enumerate(self.members, start=1):
            if one.item == item:
                return number
        raise Integrity(f"copy {item} is no member of the set of {len(self.members)} that its record names")


@dataclass(frozen=True, kw_only=True, slots=True)
class Redaction:
    """What a redacted copy is of, who made it when, why and with what, and everything that was changed in it;
    `together` is the set that it belongs to, None for one by itself.
    """

    item: str
    parent: ParentId
    plan_sha256: str
    derived_sha256: str
    derived_size: int
    made_us: int
    by: str
    why: str
    signer: str
    software: str
    encoder: str
    models: Mapping[str, str]
    width: int
    height: int
    frames: int
    changed: tuple[Run, ...]
    reasons: Mapping[str, str]
    sound: str
    mutes: tuple[Silence, ...]
    stamp: str
    together: RedactedSet | None = None

    def sign(self, key: SigningKey) -> bytes:
        """The record's bytes, signed by `key`, whose public half `signer` must be."""
        body = asdict(self)
        body |= {"cell_px": CELL_PX, "fill": list(FILL), "models": dict(self.models)}
        body["reasons"] = [{"region": name, "reason": reason} for name, reason in self.reasons.items()]
        body["changed"] = [{**asdict(one), "regions": " ".join(one.regions)} for one in self.changed]
        body["mutes"] = [asdict(one) for one in self.mutes]
        together = body.pop("together")
        if together is not None:
            body["set"] = together
        record = sign_record(REDACTION if together is None else REDACTION_2, body, key)
        if len(record) > MAX_REDACTION_BYTES:
            raise Integrity(f"the record is larger than {MAX_REDACTION_BYTES} bytes; redact the item in parts")
        return record


def open_redaction(record: bytes, signer: PublicKey | None) -> Redaction:
    """The redaction in a record signed by `signer`; without one, by the key that the record itself names.

    Raises Integrity where it is no such record, NotTrusted where another key signed it.
    """
    outer = canonical.loads(record, max_bytes=MAX_REDACTION_BYTES)
    body = outer.get("body") if isinstance(outer, dict) else None
    key = PublicKey.from_text(str(body.get("signer") if isinstance(body, dict) else None))
    if signer is not None and signer != key:
        raise NotTrusted(f"the redaction is signed by {key.text}, not by the key that was given, {signer.text}")
    is_member = isinstance(outer, dict) and outer.get("kind") == REDACTION_2
    kind = REDACTION_2 if is_member else REDACTION
    return _parsed(open_record(kind, record, keyring(key), max_bytes=MAX_REDACTION_BYTES), is_member=is_member)


def _parsed(body: dict[str, Any], *, is_member: bool) -> Redaction:
    fields = Fields(body, "redaction")
    if fields.integer("cell_px") != CELL_PX or fields.integers("fill", length=3) != FILL:
        raise Integrity("redaction: cells or fill are not those of version 1")
    redaction = Redaction(
        item=fields.uuid7("item"),
        parent=_parent(fields.object("parent")),
        plan_sha256=fields.sha256("plan_sha256"),
        derived_sha256=fields.sha256("derived_sha256"),
        derived_size=fields.integer("derived_size"),
        made_us=fields.integer("made_us"),
        by=fields.text("by"),
        why=fields.text("why"),
        signer=fields.text("signer"),
        software=fields.text("software"),
        encoder=fields.text("encoder"),
        models=fields.texts("models"),
        width=fields.integer("width"),
        height=fields.integer("height"),
        frames=fields.integer("frames"),
        changed=tuple(map(_run, fields.objects("changed", most=MAX_RUNS))),
        reasons={one.text("region"): one.text("reason") for one in fields.objects("reasons", most=MAX_NAMES)},
        sound=fields.one_of("sound", ("none", "kept", "muted", "dropped")),
        mutes=tuple(map(_silence, fields.objects("mutes", most=MAX_NAMES))),
        stamp=fields.one_of("stamp", ("none", "kept", "without_position", "dropped")),
        together=_set(fields.object("set")) if is_member else None,
    )
    fields.close()
    return redaction


def _set(fields: Fields) -> RedactedSet:
    together = RedactedSet(
        recording=fields.uuid7("recording"),
        plan_sha256=fields.sha256("plan_sha256"),
        members=tuple(map(_member, fields.objects("members", most=MAX_PARTS))),
    )
    fields.close()
    members = together.members
    if any(one.sequence != members[0].sequence + at for at, one in enumerate(members)):
        raise Integrity("redaction.set: the segments of its members do not follow each other")
    if any(
        len(set(named)) < len(members) for named in ([one.item for one in members], [one.parent for one in members])
    ):
        raise Integrity("redaction.set: it names a copy or an item twice")
    return together


def _member(fields: Fields) -> Member:
    member = Member(
        item=fields.uuid7("item"),
        parent=fields.uuid7("parent"),
        sequence=fields.integer("sequence"),
        derived_sha256=fields.sha256("derived_sha256"),
    )
    fields.close()
    return member


def _parent(fields: Fields) -> ParentId:
    parent = ParentId(
        plain_sha256=fields.sha256("plain_sha256"),
        plain_size=fields.integer("plain_size"),
        sealed_sha256=fields.optional("sealed_sha256", fields.sha256),
        manifest_sha256=fields.optional("manifest_sha256", fields.sha256),
        item=fields.optional("item", fields.uuid7),
        device=fields.optional("device", fields.device),
    )
    fields.close()
    return parent


def _run(fields: Fields) -> Run:
    run = Run(
        first=fields.integer("first"),
        last=fields.integer("last"),
        from_us=fields.integer("from_us"),
        to_us=fields.integer("to_us"),
        regions=tuple(fields.text("regions", most=MAX_NAMES * 41).split(" ")),
    )
    fields.close()
    return run


def _silence(fields: Fields) -> Silence:
    silence = Silence(
        from_us=fields.integer("from_us"),
        to_us=fields.integer("to_us"),
        reason=fields.text("reason"),
        packets=fields.integer("packets"),
    )
    fields.close()
    return silence
