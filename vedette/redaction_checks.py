"""What of a redacted copy can be checked where its parent lies sealed: signature, bytes, parent, list of changes.

Decided here: the copy, its plan and its parent must be those that the record names, and the list of changed pictures
must be one that can be read. That the rest of each picture is the parent's needs the opened parent (`edge.redact`).
Of a copy that belongs to a set also its place in it, and of several copies whether the set is whole. Implements RD-38
to RD-41 and RD-51 to RD-53 of docs/spec/redaction.md.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vedette.errors import Integrity, NotTrusted
from vedette.findings import Checks
from vedette.keys import PublicKey
from vedette.records import Manifest
from vedette.redaction import MAX_REDACTION_BYTES, Member, ParentId, RedactedSet, Redaction, open_redaction

Measured = tuple[int, str]
NO_ORIGINAL = (
    "the original is not in this bundle: that what the record does not list as changed is the original's cannot be"
    " compared here; whoever has the original can"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RedactedCopy:
    """A copy's parts: names for the report, the record's bytes, (size, SHA-256 in hex) of copy and plan; `signer` is
    whose signature counts, None where the record's own key is shown.
    """

    record_name: str
    copy_name: str
    plan_name: str
    record: Callable[[int], bytes]
    copy: Callable[[], Measured]
    plan: Callable[[], Measured]
    signer: PublicKey | None = None


def check_redacted(copy: RedactedCopy, manifest: Manifest, manifest_sha256: str, checks: Checks) -> Redaction | None:
    """Make every check; `manifest` is the parent's, whose own signature and proofs are checked elsewhere.

    The record, or None where it cannot be read or is of another parent.
    """
    record = checks.run(
        "redaction", copy.record_name, lambda: _opened(copy), lambda found: _signed(found, is_pinned=bool(copy.signer))
    )
    if record is None:
        return None
    checks.run("redacted copy", copy.copy_name, lambda: _check_copy(record, copy.copy()), "the bytes the record names")
    checks.run("redaction plan", copy.plan_name, lambda: _check_plan(record, copy.plan()), "the one the record names")
    checks.run(
        "redaction's parent",
        copy.record_name,
        lambda: check_parent(record.parent, manifest, manifest_sha256),
        f"item {manifest.item} of {manifest.device}, whose manifest and proofs are checked here",
    )
    checks.run("redaction's changes", copy.record_name, lambda: check_changes(record), changes_said)
    together = record.together
    if together is not None:
        checks.run(
            "redaction's place", copy.record_name, lambda: check_place(record, together, manifest), place_said(together)
        )
    return record if record.parent.item == manifest.item else None


def check_place(record: Redaction, together: RedactedSet, manifest: Manifest) -> int:
    """The copy's place in its set, from 1; Integrity where copy, item, segment or recording are others (RD-51)."""
    number = together.place_of(record.item)
    member = together.members[number - 1]
    if (member.parent, member.derived_sha256) != (record.parent.item, record.derived_sha256):
        raise Integrity(f"the set has another copy or another item as its part {number}")
    if (together.recording, member.sequence) != (manifest.recording, manifest.sequence):
        raise Integrity(f"item {manifest.item} is not segment {member.sequence} of recording {together.recording}")
    return number


def place_said(together: RedactedSet) -> Callable[[int], str]:
    """What is said of a place: which part of how many, of what."""
    return lambda number: f"part {number} of {len(together.members)} of recording {together.recording}"


def check_sets(where: str, records: Sequence[Redaction], checks: Checks) -> None:
    """Check of each set that one of `records` belongs to whether all of it is among them (RD-52, RD-53)."""
    found: dict[RedactedSet, list[Redaction]] = {}
    for one in records:
        if one.together is not None:
            found.setdefault(one.together, []).append(one)
    for together, here in found.items():
        said = f"all {len(together.members)} parts of recording {together.recording} are here"
        checks.run("redaction's set", where, functools.partial(check_set, together, here), said)


def check_set(together: RedactedSet, here: Sequence[Redaction]) -> None:
    """Return when `here` are all copies of the set, signed by one key; Integrity names the first that is missing."""
    items = {one.item for one in here}
    missing = [(number, one) for number, one in enumerate(together.members, start=1) if one.item not in items]
    if missing:
        raise Integrity(missing_said(together, *missing[0], len(missing)))
    if len({one.signer for one in here}) > 1:
        raise NotTrusted(f"the copies of recording {together.recording} are signed by different keys")


def missing_said(together: RedactedSet, number: int, member: Member, count: int) -> str:
    """What is said of the first member that is missing, of `count`."""
    more = f", and {count - 1} more are missing" if count > 1 else ""
    return (
        f"part {number} of {len(together.members)} of recording {together.recording} is not here: the copy of item"
        f" {member.parent} (segment {member.sequence}){more}"
    )


def check_parent(parent: ParentId, manifest: Manifest, manifest_sha256: str) -> None:
    """Integrity where the record names another parent than this item, or nothing that ties it to it (RD-40)."""
    named = (
        ("item", parent.item, manifest.item),
        ("device", parent.device, manifest.device),
        ("sealed bytes", parent.sealed_sha256, manifest.sealed_sha256),
        ("manifest", parent.manifest_sha256, manifest_sha256),
        ("opened bytes", manifest.plain_sha256 and parent.plain_sha256, manifest.plain_sha256),
    )
    for what, theirs, ours in named:
        if theirs is not None and theirs != ours:
            raise Integrity(f"it is not the parent of this copy: its {what} is another")
    if parent.manifest_sha256 is None and manifest.plain_sha256 is None:
        raise Integrity("nothing in the record ties the copy to this item")


def check_changes(record: Redaction) -> Redaction:
    """The record, whose runs of changed pictures rise, lie within the copy and give a reason each (RD-41)."""
    last = -1
    for number, run in enumerate(record.changed, start=1):
        if not last < run.first <= run.last < record.frames or run.from_us > run.to_us:
            raise Integrity(f"run {number} of changed pictures, {run.first} to {run.last}, is out of order or place")
        if not set(run.regions) <= set(record.reasons):
            raise Integrity(f"run {number} of changed pictures names a region for which there is no reason")
        last = run.last
    return record


def changes_said(record: Redaction) -> str:
    """What was changed, in a sentence."""
    changed = sum(run.last - run.first + 1 for run in record.changed)
    return (
        f"{changed} of {record.frames} pictures covered in places, in {len(record.changed)} runs;"
        f" sound {record.sound}, {len(record.mutes)} mutes; stamp {record.stamp.replace('_', ' ')}"
    )


def _opened(copy: RedactedCopy) -> Redaction:
    return open_redaction(copy.record(MAX_REDACTION_BYTES), copy.signer)


def _signed(record: Redaction, *, is_pinned: bool) -> str:
    vouched = "" if is_pinned else "; nobody vouches for this key here, compare it"
    return f"signed by {record.signer} ({record.by}, because: {record.why}){vouched}"


def _check_copy(record: Redaction, found: Measured) -> None:
    if found != (record.derived_size, record.derived_sha256):
        raise Integrity("its bytes are not those that the record names")


def _check_plan(record: Redaction, found: Measured) -> None:
    if found[1] != record.plan_sha256:
        raise Integrity("it is not the plan that the record names")
