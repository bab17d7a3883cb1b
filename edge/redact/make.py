"""Proposes a plan and carries one out: two steps with a person between them, of one item or of a whole recording.

Decided here: what a proposal holds; plates are followed from part to part, for the recorder cuts where its time is up
and not where a plate leaves. Copies get their names only when the last of them has passed the comparison that anyone
can repeat and all are signed, those of a recording each naming all. Implements RD-2, RD-15, RD-16, RD-42, RD-43 and
RD-46 to RD-49.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.reader.detect import Detector
from edge.redact.check import Copy, plan_sha256
from edge.redact.compare import Compared
from edge.redact.draft import drafted
from edge.redact.find import plates
from edge.redact.follow import Finder, Follower
from edge.redact.parent import Parent
from edge.redact.parts import part_name, part_plan
from edge.redact.pictures import Picture, decoded, open_video, time_us, video_of
from edge.redact.plan import OF_ITEM, OF_RECORDING, Part, Plan, check_looked_at, check_plan, parse_plan
from edge.redact.plan_text import plan_text
from edge.redact.recording import Item, Items, Recording, Segment
from edge.redact.unfinished import name_files, name_folder, unfinished
from vedette import files
from vedette.clock import Clock
from vedette.errors import NotFound, Refused, VedetteError
from vedette.keys import PublicKey, SigningKey
from vedette.redaction import Member, RedactedSet, Redaction

WHOLE_PLAN = "recording.plan.toml"
# How long a last picture is taken to be shown where its file does not say.
LAST_PICTURE_US = 40_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """A finished copy: where it lies, its record and what the comparison found."""

    copy: Copy
    record: Redaction
    compared: Compared


@dataclass(frozen=True, kw_only=True, slots=True)
class Models:
    """What finds plates, and the SHA-256 of each model in it by name; nothing of both to look for none."""

    finder: Finder | Detector | None = None
    hashes: dict[str, str] = dataclasses.field(default_factory=dict)


def propose(items: Items, models: Models) -> Plan:
    """A plan for all items: every plate that is found, followed from part to part; nobody has looked at it yet.

    Raises Integrity where one is damaged, Refused where its pictures have another size than the first's.
    """
    pictures = _Pictures(items)
    shown = pictures.all()
    regions = plates(shown, Follower(models.finder)) if models.finder is not None else []
    for _ in shown:
        pass
    return Plan(
        recording=items.recording if isinstance(items, Recording) else "",
        device=items.device if isinstance(items, Recording) else "",
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


def check_room(path: Path) -> None:
    """Return when a plan can get this name; Refused or NotFound before hours of work are lost."""
    if os.path.lexists(path):
        raise Refused(f"{path} exists already and is not overwritten")
    if not path.parent.is_dir():
        raise NotFound(f"the folder {path.parent} is not there")


def write_plan(path: Path, plan: Plan) -> None:
    """Write a plan for a person to edit; Refused when `path` exists or the plan is too large for one."""
    content = plan_text(plan).encode("utf-8")
    try:
        parse_plan(content, version=plan.version)
    except Refused as error:
        raise Refused(f"what was found makes no plan: {error}; redact the video in stretches") from None
    files.write_new(path, content)


def apply(items: Items, content: bytes, out: Path, key: SigningKey, clock: Clock) -> tuple[Made, ...]:
    """Carry out the plan in `content`: the copy `out` of one item, or the folder `out` with one of each part.

    Beside each lie its plan and its record signed by `key`. Raises Refused where the plan is not for these items,
    nobody looked at it, or something is in the way; Integrity where one is damaged. Nothing is left behind then.
    """
    plan = parse_plan(content, version=OF_RECORDING if isinstance(items, Recording) else OF_ITEM)
    check_looked_at(plan)
    if isinstance(items, Recording):
        check_parts(items, plan)
    _check_free(out, is_folder=isinstance(items, Recording))
    with unfinished(out) as folder:
        work = _Work(items=items, plan=plan, content=content, signer=key.public, clock=clock)
        made = [work.drafted(item, folder, out.name) for item in items.items]
        if isinstance(items, Recording):
            made = _together(items, content, made)
            files.write_new(folder / WHOLE_PLAN, content)
        for one in made:
            files.write_new(one.copy.record, one.record.sign(key))
        if isinstance(items, Recording):
            name_folder(folder, out)
        else:
            name_files([made[0].copy.plan, made[0].copy.record, made[0].copy.path], out.parent)
    named = out if isinstance(items, Recording) else out.parent
    return tuple(dataclasses.replace(one, copy=Copy(path=named / one.copy.path.name)) for one in made)


def check_parts(recording: Recording, plan: Plan) -> None:
    """Return when the plan is for exactly these segments; Refused says which is not in it or not here (RD-43)."""
    if plan.recording != recording.recording:
        raise Refused(f"the plan is for recording {plan.recording}, the items are of recording {recording.recording}")
    ours = {one.manifest.item: one for one in recording.items}
    for number, part in enumerate(plan.parts, start=1):
        if part.item not in ours:
            raise Refused(
                f"part {number} of the plan, item {part.item} (segment {part.sequence}), is not among the items given; "
                "give all that the plan names"
            )
    theirs = {one.item for one in plan.parts}
    for segment in recording.items:
        if segment.manifest.item not in theirs:
            raise Refused(f"{segment.path} is not in the plan; propose a plan for all of these items")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Work:
    """What is carried out on which items."""

    items: Items
    plan: Plan
    content: bytes
    signer: PublicKey
    clock: Clock

    def drafted(self, item: Item, folder: Path, name: str) -> Made:
        """The copy of one item, in `folder`, with its plan beside it."""
        own, content, has_sound = self.plan, self.content, None
        if isinstance(item, Segment):
            name = part_name(item.number, item.manifest.item)
            at = part_at(self.plan, item)
            own, has_sound = part_plan(self.plan, at), self.plan.parts[at].has_sound
            check_plan(own)
            content = plan_text(own).encode("utf-8")
        copy = Copy(path=folder / name)
        try:
            with self.items.open(item) as parent, open(copy.path, "x+b", opener=_private) as sink:
                draft = drafted(parent, own, content, sink, self.signer, self.clock)
                sink.flush()
                os.fsync(sink.fileno())
            if has_sound not in (None, draft.record.sound != "none"):
                raise Refused("the plan says otherwise whether it has sound; propose a plan anew")
        except VedetteError as error:
            raise self.items.said(item, error, ending="; no copy was made") from None
        except OSError as error:
            named = f"{error.filename}: " if error.filename is not None else ""
            refusal = Refused(named + (error.strerror or str(error)))
            raise self.items.said(item, refusal, ending="; no copy was made") from None
        files.write_new(copy.plan, content)
        return Made(copy=copy, record=draft.record, compared=draft.compared)


class _Pictures:
    """The pictures of all items, numbered and timed as one video; `parts` and `size` are known behind the last."""

    def __init__(self, items: Items) -> None:
        self._items = items
        self._count = self._begins_us = 0
        self.parts: list[Part] = []
        self.size = (0, 0)

    def all(self) -> Iterator[Picture]:
        """Every picture of every item."""
        for item in self._items.items:
            try:
                with self._items.open(item) as parent:
                    yield from self._of(item, parent)
            except VedetteError as error:
                raise self._items.said(item, error) from None

    def _of(self, item: Item, parent: Parent) -> Iterator[Picture]:
        times: list[int] = []
        with open_video(parent.file, parent.name) as container:
            video = video_of(container)
            size = (video.width, video.height)
            if item.number > 1 and size != self.size:
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
        part = Part(parent_sha256=parent.identity.plain_sha256, frames=len(times), end_us=times[-1])
        if isinstance(item, Segment):
            part = dataclasses.replace(
                part,
                item=item.manifest.item,
                sequence=item.manifest.sequence,
                started_us=item.manifest.started_us,
                begins_us=self._begins_us,
                has_sound=has_sound,
            )
        self.parts.append(part)
        self._count += len(times)
        self._begins_us += times[-1] + shown_us


def part_at(plan: Plan, segment: Segment) -> int:
    """Which part of the plan, from 0, a segment is that `check_parts` found in it."""
    return next(at for at, one in enumerate(plan.parts) if one.item == segment.manifest.item)


def _together(recording: Recording, content: bytes, made: Sequence[Made]) -> list[Made]:
    """The same copies, the record of each naming all."""
    members = tuple(
        Member(
            item=one.record.item,
            parent=segment.manifest.item,
            sequence=segment.manifest.sequence,
            derived_sha256=one.record.derived_sha256,
        )
        for segment, one in zip(recording.items, made, strict=True)
    )
    together = RedactedSet(recording=recording.recording, plan_sha256=plan_sha256(content), members=members)
    return [dataclasses.replace(one, record=dataclasses.replace(one.record, together=together)) for one in made]


def _check_free(out: Path, *, is_folder: bool) -> None:
    if not is_folder and out.suffix != ".mp4":
        raise Refused(f"{out}: a copy is an MP4; let its name end in .mp4")
    copy = Copy(path=out)
    for path in [out] if is_folder else [copy.path, copy.plan, copy.record]:
        if os.path.lexists(path):
            raise Refused(f"{path} exists already and is not overwritten")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o640)
