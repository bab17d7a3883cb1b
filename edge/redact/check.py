"""Checks a redacted copy against its parent and says of every claim of its record whether it holds.

Decided here: what is checked and in which words. The pictures are `edge.redact.compare`'s, the sound is compared packet
by packet: outside of mutes the same bytes at the same times, inside silence. A failed check does not hide the others.
Implements RD-27 to RD-36 of docs/spec/redaction.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from edge.redact.compare import Compared, compare
from edge.redact.parent import Parent
from edge.redact.pictures import sha256_of
from edge.redact.plan import MAX_PLAN_BYTES, Plan, parse_plan
from edge.redact.record import runs
from edge.redact.tracks import Heard, compare_sound, compare_stamp
from vedette import files
from vedette.errors import Integrity
from vedette.findings import Checks, Report
from vedette.keys import PublicKey
from vedette.redaction import MAX_REDACTION_BYTES, ParentId, Redaction, open_redaction

RECORD_ENDING, PLAN_ENDING = ".redaction", ".plan.toml"


@dataclass(frozen=True, kw_only=True, slots=True)
class Copy:
    """A redacted copy as it lies in a folder: the MP4, its record and its plan beside it."""

    path: Path

    @property
    def record(self) -> Path:
        """`<name>.redaction`."""
        return self.path.with_suffix(RECORD_ENDING)

    @property
    def plan(self) -> Path:
        """`<name>.plan.toml`."""
        return self.path.with_suffix(PLAN_ENDING)


def check(copy: Copy, parent: Parent, signer: PublicKey | None) -> Report:
    """Check the copy against its parent; `signer` is whose signature counts, None where the record's own is shown."""
    checks = Checks()
    record = checks.run("record", copy.record.name, lambda: _record(copy, signer), lambda one: _signed(one, signer))
    plan = checks.run("plan", copy.plan.name, lambda: _plan(copy, record), _planned)
    with copy.path.open("rb") as file:
        if record is not None:
            checks.run("copy", copy.path.name, lambda: _check_bytes(file, record), "the bytes that the record names")
            checks.run("parent", parent.name, lambda: _check_parent(record.parent, parent.identity), _related)
        if plan is not None:
            compared = checks.run("pictures", copy.path.name, lambda: compare(parent.file, file, plan), _seen)
            if record is not None and compared is not None:
                times = compared.times_us
                checks.run("list of changes", copy.record.name, lambda: _check_list(record, plan, times), _listed)
            checks.run("sound", copy.path.name, lambda: compare_sound(parent.file, file, plan, record), _heard)
            checks.run("stamp", copy.path.name, lambda: compare_stamp(parent.file, file, plan, record), str)
    return checks.report()


def _record(copy: Copy, signer: PublicKey | None) -> Redaction:
    return open_redaction(files.read(copy.record, max_bytes=MAX_REDACTION_BYTES), signer)


def _signed(record: Redaction, signer: PublicKey | None) -> str:
    vouched = "" if signer is not None else "; nobody vouches for this key here, compare it or give --signer"
    return f"signed by {record.signer} ({record.by}, because: {record.why}){vouched}"


def _plan(copy: Copy, record: Redaction | None) -> Plan:
    content = files.read(copy.plan, max_bytes=MAX_PLAN_BYTES)
    if record is not None and plan_sha256(content) != record.plan_sha256:
        raise Integrity("it is not the plan that the record names")
    return parse_plan(content)


def plan_sha256(content: bytes) -> str:
    """The SHA-256 (hex) of a plan's bytes."""
    return hashlib.sha256(content).hexdigest()


def _planned(plan: Plan) -> str:
    return f"{len(plan.regions)} regions and {len(plan.mutes)} mutes, looked at by {plan.checked_by}"


def _check_bytes(file: BinaryIO, record: Redaction) -> None:
    if sha256_of(file) != (record.derived_sha256, record.derived_size):
        raise Integrity("its bytes are not those that the record names")


def _check_parent(named: ParentId, given: ParentId) -> ParentId:
    for what, theirs, ours in (
        ("opened bytes", (named.plain_sha256, named.plain_size), (given.plain_sha256, given.plain_size)),
        ("sealed bytes", named.sealed_sha256, given.sealed_sha256),
        ("manifest", named.manifest_sha256, given.manifest_sha256),
    ):
        if ours is not None and theirs is not None and ours != theirs:
            raise Integrity(f"it is not the parent of this copy: its {what} are others")
    return given


def _related(parent: ParentId) -> str:
    if parent.item is None:
        return f"the opened bytes that the record names, SHA-256 {parent.plain_sha256[:16]}…; no manifest is at hand"
    return f"item {parent.item} of {parent.device}; `vedette evidence verify` proves where it comes from"


def _check_list(record: Redaction, plan: Plan, times_us: Sequence[int]) -> Redaction:
    if record.changed != runs(plan, times_us) or record.frames != len(times_us):
        raise Integrity("the pictures that the record lists as changed are not those that the plan changes")
    if dict(record.reasons) != {one.name: one.reason for one in plan.regions}:
        raise Integrity("the record gives other reasons than the plan")
    return record


def _listed(record: Redaction) -> str:
    changed = sum(run.last - run.first + 1 for run in record.changed)
    return f"{changed} of {record.frames} pictures are listed as changed, in {len(record.changed)} runs"


def _seen(found: Compared) -> str:
    return (
        f"{found.covered} of {len(found.times_us)} pictures are covered in places (at most {found.fill_error} levels "
        f"off the fill), the rest is as in the parent: {found.open_psnr_mdb / 1000:.1f} dB or better, every 8x8 pixels "
        f"{found.cell_psnr_mdb / 1000:.1f} dB or better"
    )


def _heard(heard: Heard) -> str:
    if not heard.packets:
        return "none in the copy" + (", as the plan says" if heard.dropped else ", none in the parent")
    return f"{heard.same} of {heard.packets} packets are the parent's bit for bit, {heard.muted} are silence"
