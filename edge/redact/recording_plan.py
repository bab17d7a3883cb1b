"""The plan for a whole recording, and what of it is the plan for each of its parts.

Decided here: the recording's timeline is its parts one behind another, as a player shows them; time in which nothing
was recorded is not on it, so that what is followed at the end of a part is followed into the next. A part's own plan is
an ordinary one, in the part's own time, so that its copy proves its parent as any other does. Implements RD-43 to RD-46
of docs/spec/redaction.md.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from edge.redact.plan import (
    SOUND_BEHIND_US,
    SOUNDS,
    STAMPS,
    Mute,
    Plan,
    Region,
    check_plan,
    read_models,
    read_mutes,
    read_regions,
)
from edge.redact.plan_table import MAX_TEXT, Table, load_table
from vedette.errors import Refused
from vedette.redaction import MAX_PARTS

# A packet of sound shares samples or state with its neighbours across the border of two parts: two packets of 60 ms
# before a mute, the time in which Opus settles behind one (RD-13).
BEFORE_MUTE_US, BEHIND_MUTE_US = 120_000, 80_000
MAX_UTC_US = (1 << 53) - 1
_UUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One segment: its item, its opened bytes (SHA-256 in hex), when its first picture was taken (UTC) and where that
    stands on the recording's timeline; `frames` pictures, the last at `end_us` of the part's own time.
    """

    item: str
    sequence: int
    parent_sha256: str
    started_us: int
    begins_us: int
    frames: int
    end_us: int
    has_sound: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordingPlan:
    """What is done to the parts of one recording; regions and mutes in the recording's time, else as `Plan`."""

    recording: str
    device: str
    width: int
    height: int
    checked_by: str
    why: str
    stamp: str
    sound: str
    models: Mapping[str, str]
    parts: tuple[Part, ...]
    regions: tuple[Region, ...]
    mutes: tuple[Mute, ...]

    @property
    def frames(self) -> int:
        """The pictures of all parts."""
        return sum(one.frames for one in self.parts)

    @property
    def end_us(self) -> int:
        """The last picture's time on the recording's timeline."""
        return self.parts[-1].begins_us + self.parts[-1].end_us


def parse_recording_plan(content: bytes) -> RecordingPlan:
    """The plan in a TOML file; Refused names the table and what is wrong with it."""
    top = load_table(content)
    version = top.integer("version")
    if version == 1:
        raise Refused(
            "the plan is of version 1, for one item; give that item alone, or propose a plan for the recording"
        )
    if version != 2:
        raise Refused(f"the plan is of version {version}; this software knows versions 1 and 2 only")
    plan = RecordingPlan(
        recording=top.text("recording"),
        device=top.text("device"),
        width=top.integer("width", least=2),
        height=top.integer("height", least=2),
        checked_by=top.text("checked_by", default=""),
        why=top.text("why", default=""),
        stamp=top.one_of("stamp", STAMPS),
        sound=top.one_of("sound", SOUNDS),
        models=read_models(top),
        parts=tuple(_part(one) for one in top.tables("part", most=MAX_PARTS)),
        regions=read_regions(top),
        mutes=read_mutes(top),
    )
    top.close()
    check_recording_plan(plan)
    return plan


def check_recording_plan(plan: RecordingPlan) -> None:
    """Return when the plan can be carried out on a recording of its own measures; Refused says which part cannot."""
    if not plan.parts:
        raise Refused("the plan: it has no [[part]], so it is of nothing")
    for one in (plan.recording, *(part.item for part in plan.parts)):
        if not _UUID.fullmatch(one):
            raise Refused(f"the plan: {one[:40]!r} is no id of a recording or item")
    for number, (a, b) in enumerate(pairwise(plan.parts), start=2):
        if b.sequence != a.sequence + 1:
            raise Refused(f"the plan: part {number} is segment {b.sequence}; segment {a.sequence + 1} comes there")
        if b.begins_us <= a.begins_us + a.end_us:
            raise Refused(f"the plan: part {number} begins at {b.begins_us} us, before the one before it ends")
    if plan.parts[0].begins_us != 0:
        raise Refused("the plan: its first part does not begin at 0 us")
    check_plan(_of(plan, plan.parts[-1], end_us=plan.end_us, regions=plan.regions, mutes=plan.mutes))
    for number, mute in enumerate(plan.mutes, start=1):
        heard = [mute.from_us < _end(plan, at) and mute.to_us >= one.begins_us
                 for at, one in enumerate(plan.parts) if one.has_sound]  # fmt: skip
        if not any(heard):
            raise Refused(f"the plan: mute {number} lies where the recording has no sound; take it out")
    for at in range(len(plan.parts)):
        check_plan(part_plan(plan, at))


def part_plan(plan: RecordingPlan, at: int) -> Plan:
    """The plan for part `at` (from 0) by itself, in its own time: the same places in the same pictures (RD-44)."""
    part = plan.parts[at]
    regions = tuple(cut for one in plan.regions if (cut := _region_in(one, part)) is not None)
    mutes = _mutes_in(plan, part, _end(plan, at) - part.begins_us) if part.has_sound else ()
    return _of(plan, part, end_us=part.end_us, regions=regions, mutes=mutes)


def part_name(number: int, item: str) -> str:
    """What the copy of part `number` (from 1) is called, as the bundle of its parent in an export is."""
    return f"{number:04d}-{item}.mp4"


def _of(plan: RecordingPlan, part: Part, *, end_us: int, regions: tuple[Region, ...], mutes: tuple[Mute, ...]) -> Plan:
    return Plan(
        parent_sha256=part.parent_sha256,
        width=plan.width,
        height=plan.height,
        frames=part.frames,
        end_us=end_us,
        checked_by=plan.checked_by,
        why=plan.why,
        stamp=plan.stamp,
        sound=plan.sound,
        models=plan.models,
        regions=regions,
        mutes=mutes,
    )


def _end(plan: RecordingPlan, at: int) -> int:
    """Where the sound of part `at` ends on the recording's timeline."""
    last_us = plan.parts[at].begins_us + plan.parts[at].end_us + SOUND_BEHIND_US
    return min(last_us, plan.parts[at + 1].begins_us) if at + 1 < len(plan.parts) else last_us


def _region_in(region: Region, part: Part) -> Region | None:
    """The region in the part's own time, or None where it is in none of its pictures.

    A key outside of the part stays where the region moves to it or from it: its place in every picture is the same.
    """
    from_us, to_us = max(0, region.from_us - part.begins_us), min(part.end_us, region.to_us - part.begins_us)
    if from_us > to_us:
        return None
    keys = [dataclasses.replace(one, at_us=one.at_us - part.begins_us) for one in region.keys]
    first = max((at for at, one in enumerate(keys) if one.at_us <= from_us), default=0)
    last = min((at for at, one in enumerate(keys) if one.at_us >= to_us), default=len(keys) - 1)
    return dataclasses.replace(region, from_us=from_us, to_us=to_us, keys=tuple(keys[first : last + 1]))


def _mutes_in(plan: RecordingPlan, part: Part, length_us: int) -> tuple[Mute, ...]:
    """The mutes that reach into the part or to the packets at its edges, those that then touch as one."""
    found: list[Mute] = []
    for mute in sorted(plan.mutes, key=lambda one: one.from_us):
        from_us, to_us = mute.from_us - part.begins_us, mute.to_us - part.begins_us
        if from_us - BEFORE_MUTE_US > length_us or to_us + BEHIND_MUTE_US < 0:
            continue
        one = Mute(from_us=_within(from_us, length_us), to_us=_within(to_us, length_us), reason=mute.reason)
        if found and one.from_us <= found[-1].to_us:
            before = found.pop()
            reason = f"{before.reason}; {one.reason}"[:MAX_TEXT]
            one = Mute(from_us=before.from_us, to_us=max(before.to_us, one.to_us), reason=reason)
        found.append(one)
    return tuple(found)


def _within(at_us: int, length_us: int) -> int:
    return min(max(0, at_us), length_us)


def _part(table: Table) -> Part:
    part = Part(
        item=table.text("item"),
        sequence=table.integer("sequence"),
        parent_sha256=table.text("parent_sha256"),
        started_us=table.integer("started_us", most=MAX_UTC_US),
        begins_us=table.integer("begins_us"),
        frames=table.integer("frames", least=1),
        end_us=table.integer("end_us"),
        has_sound=table.boolean("has_sound"),
    )
    table.close()
    return part
