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

from edge.reader.look import Looker
from edge.redact.check import Copy
from edge.redact.compare import Compared
from edge.redact.draft import drafted
from edge.redact.find import plates
from edge.redact.follow import Follower
from edge.redact.parent import Parent
from edge.redact.pictures import Picture, decoded, open_video, video_of
from edge.redact.plan import Plan, check_looked_at, parse_plan
from edge.redact.plan_text import plan_text
from vedette import files
from vedette.clock import Clock
from vedette.errors import NotFound, Refused
from vedette.keys import SigningKey
from vedette.newfile import new_file
from vedette.redaction import Redaction


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
    made = Copy(path=out)
    _check_free(made)
    with tempfile.TemporaryFile(dir=out.parent) as scratch:
        draft = drafted(parent, plan, content, scratch, key.public, clock)
        _finish(made, scratch, content, draft.record.sign(key))
    return Made(copy=made, record=draft.record, compared=draft.compared)


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
