"""Checks the copies of a whole recording against its items: each as by itself, then that none is missing or another's.

Decided here: where in the folder each copy is looked for, and that what is said of the set names part, item and file.
Implements RD-29 and RD-54 to RD-56 of docs/spec/redaction.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge.redact.check import Copy, check, plan_sha256
from edge.redact.make import WHOLE_PLAN, check_parts, part_at
from edge.redact.parts import part_name, part_plan
from edge.redact.plan import MAX_PLAN_BYTES, OF_RECORDING, Plan, parse_plan
from edge.redact.recording import Recording, Segment
from vedette import files
from vedette.errors import Integrity, NotFound, VedetteError
from vedette.findings import Checks, Report
from vedette.keys import PublicKey
from vedette.redaction import MAX_REDACTION_BYTES, RedactedSet, Redaction, open_redaction
from vedette.redaction_checks import check_place, check_sets, place_said


def check_recording(folder: Path, recording: Recording, signer: PublicKey | None) -> Report:
    """Check the copies in `folder` against the items; `signer` is whose signature counts, as for one copy."""
    checks = Checks()
    plan = checks.run(
        "recording's plan", WHOLE_PLAN, lambda: _plan(folder, recording), lambda one: f"for {len(one.parts)} parts"
    )
    records = []
    for segment in recording.items:
        copy = Copy(path=folder / part_name(segment.number, segment.manifest.item))
        record = _check_part(copy, recording, segment, signer, checks)
        records += [record] if record is not None else []
        if plan is not None:
            _check_plan(copy, plan, segment, checks)
    _check_folder(folder, recording, records, checks)
    return checks.report()


def _plan(folder: Path, recording: Recording) -> Plan:
    plan = parse_plan(files.read(folder / WHOLE_PLAN, max_bytes=MAX_PLAN_BYTES), version=OF_RECORDING)
    check_parts(recording, plan)
    return plan


def _check_part(
    copy: Copy, recording: Recording, segment: Segment, signer: PublicKey | None, checks: Checks
) -> Redaction | None:
    """Every check of one copy; its record where that is of this item and of a set."""

    def held() -> Report:
        if not copy.path.is_file():
            raise NotFound(f"the copy of part {segment.number}, item {segment.manifest.item}, is not here")
        with recording.open(segment) as parent:
            return check(copy, parent, signer)

    report = checks.run("copy", copy.path.name, held)
    if report is None:
        return None
    checks.extend(report)
    try:
        record = open_redaction(files.read(copy.record, max_bytes=MAX_REDACTION_BYTES), signer)
    except VedetteError:
        return None
    return _placed(copy, record, segment, checks)


def _placed(copy: Copy, record: Redaction, segment: Segment, checks: Checks) -> Redaction | None:
    together = record.together

    def place() -> int:
        if together is None:
            raise Integrity("it is the record of a copy by itself, not of one of a recording's")
        return check_place(record, together, segment.manifest)

    said = place_said(together) if together is not None else ""
    return record if checks.run("place", copy.record.name, place, said) is not None else None


def _check_plan(copy: Copy, plan: Plan, segment: Segment, checks: Checks) -> None:
    """The part's own plan is what the recording's plan makes of it."""

    def same() -> None:
        own = parse_plan(files.read(copy.plan, max_bytes=MAX_PLAN_BYTES))
        if own != part_plan(plan, part_at(plan, segment)):
            raise Integrity(f"it is not what {WHOLE_PLAN} makes of part {segment.number}")

    checks.run("part's plan", copy.plan.name, same, f"what {WHOLE_PLAN} makes of part {segment.number}")


def _check_folder(folder: Path, recording: Recording, records: Sequence[Redaction], checks: Checks) -> None:
    """All copies are of one set by the plan that lies here, none is missing, and nothing else lies among them."""
    check_sets(folder.name, records, checks)
    sets = {one.together for one in records if one.together is not None}
    checks.run("one set", folder.name, lambda: _one_set(folder, sets), "by one plan")
    checks.run("folder", folder.name, lambda: _nothing_else(folder, recording), "nothing else lies in it")


def _one_set(folder: Path, sets: set[RedactedSet]) -> None:
    if len(sets) > 1:
        raise Integrity(f"the copies are of {len(sets)} sets that were made at different times")
    sha256 = plan_sha256(files.read(folder / WHOLE_PLAN, max_bytes=MAX_PLAN_BYTES))
    if any(one.plan_sha256 != sha256 for one in sets):
        raise Integrity(f"{WHOLE_PLAN} is not the plan that the records name")


def _nothing_else(folder: Path, recording: Recording) -> None:
    wanted = {WHOLE_PLAN}
    for segment in recording.items:
        copy = Copy(path=folder / part_name(segment.number, segment.manifest.item))
        wanted |= {copy.path.name, copy.plan.name, copy.record.name}
    there = {one.name for one in folder.iterdir()}
    if there - wanted:
        raise Integrity(f"{min(there - wanted)} is no copy of the items given")
