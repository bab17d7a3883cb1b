"""Proposes a plan for a whole recording and carries one out: a copy of each part, all of them or none.

Decided here: plates are followed from part to part, for the recorder cuts where its time is up and not where a plate
leaves; copies are made in a folder beside the one named, which gets its name only when the last of them has passed its
check and all are signed, each naming all. Implements RD-42 to RD-49 of docs/spec/redaction.md.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.reader.detect import Detector
from edge.redact.check import Copy, plan_sha256
from edge.redact.draft import Draft, drafted
from edge.redact.find import plates
from edge.redact.follow import Finder, Follower
from edge.redact.parent import Parent
from edge.redact.pictures import Picture, decoded, open_video, time_us, video_of
from edge.redact.plan import Plan, check_looked_at
from edge.redact.plan_text import plan_text, recording_plan_text
from edge.redact.recording import Recording, Segment
from edge.redact.recording_plan import Part, RecordingPlan, parse_recording_plan, part_name, part_plan
from vedette import files
from vedette.clock import Clock
from vedette.errors import NotFound, Refused, VedetteError
from vedette.keys import SigningKey
from vedette.redaction import Member, RedactedSet, Redaction

WHOLE_PLAN = "recording.plan.toml"
# How long a last picture is taken to be shown where its file does not say.
LAST_PICTURE_US = 40_000


@dataclass(frozen=True, kw_only=True, slots=True)
class MadeSet:
    """The finished copies in the folder `folder`, in the recording's order: where each lies and its record."""

    folder: Path
    copies: tuple[tuple[Copy, Redaction], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Models:
    """What finds plates, and the SHA-256 of each model in it by name; nothing of both to look for none."""

    finder: Finder | Detector | None = None
    hashes: dict[str, str] = dataclasses.field(default_factory=dict)


def propose_recording(recording: Recording, models: Models) -> RecordingPlan:
    """A plan for all parts: every plate that is found, followed from part to part; nobody has looked at it yet.

    Raises Integrity where a part is damaged, Refused where its pictures have another size than the first's.
    """
    pictures = _Pictures(recording)
    shown = pictures.all()
    regions = plates(shown, Follower(models.finder)) if models.finder is not None else []
    for _ in shown:
        pass
    return RecordingPlan(
        recording=recording.recording,
        device=recording.device,
        width=pictures.size[0],
        height=pictures.size[1],
        checked_by="",
        why="",
        stamp="keep",
        sound="keep",
        models=models.hashes,
        parts=tuple(pictures.parts),
        regions=tuple(regions),
        mutes=(),
    )


def write_recording_plan(path: Path, plan: RecordingPlan) -> None:
    """Write a plan for a person to edit; Refused when `path` exists or the plan is too large for one."""
    content = recording_plan_text(plan).encode("utf-8")
    parse_recording_plan(content)
    files.write_new(path, content)


def apply_recording(recording: Recording, content: bytes, out: Path, key: SigningKey, clock: Clock) -> MadeSet:
    """Carry out the plan in `content` and make the folder `out` with a copy, a plan and a record for each part.

    Raises Refused where the plan is not for these items, nobody looked at it, or something is in the way; Integrity
    where a part is damaged. Nothing is left behind then.
    """
    plan = parse_recording_plan(content)
    check_looked_at(plan)
    check_parts(recording, plan)
    if os.path.lexists(out):
        raise Refused(f"{out} exists already and is not overwritten")
    if not out.parent.is_dir():
        raise NotFound(f"the folder {out.parent} is not there")
    beside = out.parent / f".{out.name}.{os.getpid()}.tmp"
    try:
        beside.mkdir(mode=0o750)
        drafts = [_drafted(recording, segment, plan, beside, key, clock) for segment in recording.segments]
        made = _signed(recording, content, drafts, beside, key)
        files.write_new(beside / WHOLE_PLAN, content)
        if os.path.lexists(out):
            raise Refused(f"{out} exists already and is not overwritten")
        beside.rename(out)
        files.fsync_dir(out.parent)
    except OSError as error:
        raise Refused(f"{out} was not made: {error.strerror}") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return MadeSet(folder=out, copies=tuple((Copy(path=out / name), record) for name, record in made))


def check_parts(recording: Recording, plan: RecordingPlan) -> None:
    """Return when the plan is for exactly these segments; Refused says which is not in it or not here (RD-43)."""
    if plan.recording != recording.recording:
        raise Refused(f"the plan is for recording {plan.recording}, the items are of recording {recording.recording}")
    ours = {one.manifest.item: one for one in recording.segments}
    for number, part in enumerate(plan.parts, start=1):
        if part.item not in ours:
            raise Refused(
                f"part {number} of the plan, item {part.item} (segment {part.sequence}), is not among the items given; "
                "give all that the plan names"
            )
    theirs = {one.item for one in plan.parts}
    for segment in recording.segments:
        if segment.manifest.item not in theirs:
            raise Refused(f"{segment.path} is not in the plan; propose a plan for all of these items")


class _Pictures:
    """The pictures of all parts, numbered and timed as one video; `parts` and `size` are known behind the last."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._count = self._begins_us = 0
        self.parts: list[Part] = []
        self.size = (0, 0)

    def all(self) -> Iterator[Picture]:
        """Every picture of every part."""
        for segment in self._recording.segments:
            try:
                with self._recording.open(segment) as parent:
                    yield from self._of(segment, parent)
            except VedetteError as error:
                raise self._recording.said(segment, error) from None

    def _of(self, segment: Segment, parent: Parent) -> Iterator[Picture]:
        times: list[int] = []
        with open_video(parent.file, parent.name) as container:
            video = video_of(container)
            size = (video.width, video.height)
            if segment.number > 1 and size != self.size:
                raise Refused(
                    f"its pictures are {size[0]}x{size[1]}, those before it {self.size[0]}x{self.size[1]}; redact the "
                    "items up to it and from it on separately"
                )
            self.size, last = size, None
            for last in decoded(container, parent.name):
                times.append(last.at_us)
                yield dataclasses.replace(last, number=self._count + last.number, at_us=self._begins_us + last.at_us)
            has_sound, base = bool(container.streams.audio), video.time_base
        assert last is not None and base is not None
        shown_us = time_us(last.duration, base) or (times[-1] - times[-2] if len(times) > 1 else LAST_PICTURE_US)
        self.parts.append(
            Part(
                item=segment.manifest.item,
                sequence=segment.manifest.sequence,
                parent_sha256=parent.identity.plain_sha256,
                started_us=segment.manifest.started_us,
                begins_us=self._begins_us,
                frames=len(times),
                end_us=times[-1],
                has_sound=has_sound,
            )
        )
        self._count += len(times)
        self._begins_us += times[-1] + shown_us


def _drafted(
    recording: Recording, segment: Segment, plan: RecordingPlan, folder: Path, key: SigningKey, clock: Clock
) -> tuple[str, Draft]:
    """The copy of one part, in `folder`, with its plan beside it."""
    name = part_name(segment.number, segment.manifest.item)
    own = _own_plan(plan, segment)
    content = plan_text(own).encode("utf-8")
    try:
        with recording.open(segment) as parent, (folder / name).open("x+b") as sink:
            draft = drafted(parent, own, content, sink, key.public, clock)
            sink.flush()
            os.fsync(sink.fileno())
    except VedetteError as error:
        raise recording.said(segment, type(error)(f"{error}; no copy was made")) from None
    files.write_new(Copy(path=folder / name).plan, content)
    return name, draft


def _own_plan(plan: RecordingPlan, segment: Segment) -> Plan:
    return part_plan(plan, next(at for at, one in enumerate(plan.parts) if one.item == segment.manifest.item))


def _signed(
    recording: Recording, content: bytes, drafts: list[tuple[str, Draft]], folder: Path, key: SigningKey
) -> list[tuple[str, Redaction]]:
    """The record of each copy, signed and naming all, written beside it."""
    members = tuple(
        Member(
            item=draft.record.item,
            parent=segment.manifest.item,
            sequence=segment.manifest.sequence,
            derived_sha256=draft.record.derived_sha256,
        )
        for segment, (_name, draft) in zip(recording.segments, drafts, strict=True)
    )
    together = RedactedSet(recording=recording.recording, plan_sha256=plan_sha256(content), members=members)
    made = []
    for name, draft in drafts:
        record = dataclasses.replace(draft.record, together=together)
        files.write_new(Copy(path=folder / name).record, record.sign(key))
        made.append((name, record))
    return made
