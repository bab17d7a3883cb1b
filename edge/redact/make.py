"""Proposes a plan for an item and carries one out: two steps with a person between them.

Decided here: what a proposal holds, and that a copy gets its name only after it passed the comparison that anyone can
repeat; where encoding was too coarse for it, it is done again finer. The plan lies beside the copy, the signed record
comes last, so that a copy without a record was never finished. Implements RD-2, RD-15 and RD-16.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import av

from edge.reader.look import Looker
from edge.redact.check import Copy, plan_sha256
from edge.redact.compare import Compared, compare
from edge.redact.copy import CODEC, PRESET, Copied, copy
from edge.redact.find import plates
from edge.redact.follow import Follower
from edge.redact.parent import Parent
from edge.redact.pictures import Picture, decoded, open_video, sha256_of, video_of
from edge.redact.plan import Plan, check_looked_at, parse_plan
from edge.redact.plan_text import plan_text
from edge.redact.record import runs
from edge.redact.tracks import compare_sound, compare_stamp
from vedette import files
from vedette.clock import Clock, uuid7
from vedette.errors import Integrity, NotFound, Refused
from vedette.identity import SOFTWARE
from vedette.keys import SigningKey
from vedette.newfile import new_file
from vedette.redaction import Redaction, Silence

# The constant rate factors that are tried, the coarsest first.
CRFS = (18, 12, 6)


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """A finished copy: where it lies, its record and what the comparison found."""

    copy: Copy
    record: Redaction
    compared: Compared


def propose(parent: Parent, looker: Looker | None) -> Plan:
    """A plan for the parent: every plate that `looker` finds, or none where it is None; nobody has looked at it yet.

    Raises Integrity where the video is damaged.
    """
    times: list[int] = []
    with open_video(parent.file, parent.name) as container:
        video = video_of(container)
        pictures = _noted(decoded(container, parent.name), times)
        regions = plates(pictures, Follower(looker.detector)) if looker is not None else []
        for _ in pictures:
            pass
        return Plan(
            parent_sha256=parent.identity.plain_sha256,
            width=video.width,
            height=video.height,
            frames=len(times),
            end_us=times[-1],
            checked_by="",
            why="",
            stamp="keep",
            sound="keep",
            models={"detector": looker.model_hashes["detector"]} if looker is not None else {},
            regions=tuple(regions),
            mutes=(),
        )


def write_plan(path: Path, plan: Plan) -> None:
    """Write a plan for a person to edit; Refused when `path` exists or the plan is too large for one."""
    content = plan_text(plan).encode("utf-8")
    parse_plan(content)
    files.write_new(path, content)


def apply(parent: Parent, content: bytes, out: Path, key: SigningKey, clock: Clock) -> Made:
    """Carry out the plan in `content` and write the copy, its plan and its record signed by `key`.

    Raises Refused where the plan is not for this parent, nobody looked at it, or something is in the way; Integrity
    where the parent is damaged.
    """
    plan = parse_plan(content)
    check_looked_at(plan)
    if plan.parent_sha256 != parent.identity.plain_sha256:
        raise Refused(f"the plan is for another video than {parent.name}: its parent_sha256 is not that of these bytes")
    made = Copy(path=out)
    _check_free(made)
    with tempfile.TemporaryFile(dir=out.parent) as scratch:
        copied, compared = _copied(parent, plan, scratch)
        sha256, size = sha256_of(scratch)
        record = Redaction(
            item=uuid7(clock),
            parent=parent.identity,
            plan_sha256=plan_sha256(content),
            derived_sha256=sha256,
            derived_size=size,
            made_us=clock.utc_us(),
            by=plan.checked_by,
            why=plan.why,
            signer=key.public.text,
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
        signed = record.sign(key)
        compare_sound(parent.file, scratch, plan, record)
        compare_stamp(parent.file, scratch, plan, record)
        scratch.seek(0)
        _finish(made, scratch, content, signed)
    return Made(copy=made, record=record, compared=compared)


def _finish(made: Copy, scratch: BinaryIO, plan: bytes, record: bytes) -> None:
    """Give copy, plan and record their names, in this order; all or none of them."""
    done: list[Path] = []
    try:
        with new_file(made.path) as file:
            shutil.copyfileobj(scratch, file, 1 << 20)
        done.append(made.path)
        files.write_new(made.plan, plan)
        done.append(made.plan)
        files.write_new(made.record, record)
    except BaseException:
        for path in done:
            path.unlink(missing_ok=True)
        raise


def _copied(parent: Parent, plan: Plan, scratch: BinaryIO) -> tuple[Copied, Compared]:
    """The copy in `scratch`, as coarse as the comparison allows."""
    for crf in CRFS:
        scratch.seek(0)
        scratch.truncate()
        copied = copy(parent.file, parent.name, plan, scratch, crf=crf)
        if len(copied.times_us) != plan.frames:
            raise Refused(f"{parent.name} has {len(copied.times_us)} pictures, the plan is for {plan.frames}")
        try:
            return copied, compare(parent.file, scratch, plan)
        except Integrity as error:
            if crf == CRFS[-1]:
                raise Integrity(f"the copy did not pass its own check: {error}") from None
    raise AssertionError("unreachable")


def _check_free(made: Copy) -> None:
    if made.path.suffix != ".mp4":
        raise Refused(f"{made.path}: a copy is an MP4; let its name end in .mp4")
    if not made.path.parent.is_dir():
        raise NotFound(f"the folder {made.path.parent} is not there")
    for path in (made.path, made.plan, made.record):
        if os.path.lexists(path):
            raise Refused(f"{path} exists already and is not overwritten")


def _noted(pictures: Iterator[Picture], times: list[int]) -> Iterator[Picture]:
    for picture in pictures:
        times.append(picture.at_us)
        yield picture


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
