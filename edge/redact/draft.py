"""One copy before it has a name: encoded as coarse as its own check allows, and its record before it is signed.

Decided here: a copy that does not pass the comparison that anyone can repeat is done again finer. Implements RD-15 of
docs/spec/redaction.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

import av

from edge.redact.check import plan_sha256
from edge.redact.compare import Compared, compare
from edge.redact.copy import CODEC, PRESET, Copied, copy
from edge.redact.parent import Parent
from edge.redact.pictures import sha256_of
from edge.redact.plan import Plan, check_looked_at
from edge.redact.record import runs
from edge.redact.tracks import compare_sound, compare_stamp
from vedette.clock import Clock, uuid7
from vedette.errors import Integrity, Refused
from vedette.identity import SOFTWARE
from vedette.keys import PublicKey
from vedette.redaction import Redaction, Silence

# The constant rate factors that are tried, the coarsest first.
CRFS = (18, 12, 6)


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A copy that passed its check: its record, and what the comparison found."""

    record: Redaction
    compared: Compared


def drafted(parent: Parent, plan: Plan, content: bytes, sink: BinaryIO, signer: PublicKey, clock: Clock) -> Draft:
    """Write the copy that `plan` (`content` is its text) describes to `sink` (seekable, to be read too).

    Raises Refused where the plan is not for this parent or nobody looked at it, Integrity where the parent is damaged.
    """
    check_looked_at(plan)
    if plan.parts[0].parent_sha256 != parent.identity.plain_sha256:
        raise Refused(f"the plan is for another video than {parent.name}: its parent_sha256 is not that of these bytes")
    copied, compared = _copied(parent, plan, sink)
    sha256, size = sha256_of(sink)
    record = Redaction(
        item=uuid7(clock),
        parent=parent.identity,
        plan_sha256=plan_sha256(content),
        derived_sha256=sha256,
        derived_size=size,
        made_us=clock.utc_us(),
        by=plan.checked_by,
        why=plan.why,
        signer=signer.text,
        software=SOFTWARE,
        encoder=f"{CODEC} {PRESET}, PyAV {av.__version__}",
        models=plan.models,
        width=plan.width,
        height=plan.height,
        frames=len(copied.times_us),
        changed=runs(plan, copied.times_us),
        reasons={one.name: one.reason for one in plan.regions},
        sound=_sound(plan, copied),
        mutes=_mutes(plan, copied),
        stamp=_stamp(plan, copied),
    )
    compare_sound(parent.file, sink, plan, record)
    compare_stamp(parent.file, sink, plan, record)
    sink.seek(0)
    return Draft(record=record, compared=compared)


def _copied(parent: Parent, plan: Plan, scratch: BinaryIO) -> tuple[Copied, Compared]:
    """The copy in `scratch`, as coarse as the comparison allows."""
    for crf in CRFS:
        scratch.seek(0)
        scratch.truncate()
        copied = copy(parent.file, parent.name, plan, scratch, crf=crf)
        if len(copied.times_us) != plan.frames:
            raise Refused(f"{parent.name} has {len(copied.times_us)} pictures, the plan is for {plan.frames}")
        if copied.times_us[-1] != plan.end_us:
            raise Refused(f"{parent.name} ends at {copied.times_us[-1]} us, the plan is for one of {plan.end_us} us")
        try:
            return copied, compare(parent.file, scratch, plan)
        except Integrity as error:
            if crf == CRFS[-1]:
                raise Integrity(f"the copy did not pass its own check: {error}") from None
    raise AssertionError("unreachable")


def _sound(plan: Plan, copied: Copied) -> str:
    if not copied.has_sound:
        return "none"
    return "dropped" if plan.sound == "drop" else "muted" if plan.mutes else "kept"


def _mutes(plan: Plan, copied: Copied) -> tuple[Silence, ...]:
    return tuple(
        Silence(from_us=one.from_us, to_us=one.to_us, reason=one.reason, packets=copied.muted.get(one, 0))
        for one in plan.mutes
    )


def _stamp(plan: Plan, copied: Copied) -> str:
    if not copied.has_stamp:
        return "none"
    return {"keep": "kept", "drop": "dropped"}.get(plan.stamp, plan.stamp)
