"""What of the plan for a recording is the plan for each of its parts.

Decided here: what is followed at the end of a part is followed into the next, and a mute reaches the packets of sound
on both sides of a cut. A part's own plan is an ordinary one of version 1, in the part's own time, so that its copy
proves its parent as any other does. Implements RD-44, RD-45 and RD-48 of docs/spec/redaction.md.
"""

from __future__ import annotations

import dataclasses

from edge.redact.plan import SOUND_BEHIND_US, Mute, Part, Plan, Region
from edge.redact.plan_table import MAX_TEXT

# A packet of sound shares samples or state with its neighbours across the border of two parts: two packets of 60 ms
# before a mute, the time in which Opus settles behind one (RD-13).
BEFORE_MUTE_US, BEHIND_MUTE_US = 120_000, 80_000


def part_plan(plan: Plan, at: int) -> Plan:
    """The plan for part `at` (from 0) by itself, in its own time: the same places in the same pictures (RD-44)."""
    part = plan.parts[at]
    return dataclasses.replace(
        plan,
        recording="",
        device="",
        parts=(Part(parent_sha256=part.parent_sha256, frames=part.frames, end_us=part.end_us),),
        regions=tuple(cut for one in plan.regions if (cut := _region_in(one, part)) is not None),
        mutes=_mutes_in(plan, at) if part.has_sound else (),
    )


def part_name(number: int, item: str) -> str:
    """What the copy of part `number` (from 1) is called, as the bundle of its parent in an export is."""
    return f"{number:04d}-{item}.mp4"


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


def _mutes_in(plan: Plan, at: int) -> tuple[Mute, ...]:
    """The mutes that reach into the part or to the packets at its edges, those that then touch as one.

    One that goes on into the next part is for all sound of this one up to its end, which may be behind its pictures'.
    """
    part, found = plan.parts[at], list[Mute]()
    length_us = plan.sound_end_us(at) - part.begins_us
    for mute in sorted(plan.mutes, key=lambda one: one.from_us):
        from_us, to_us = mute.from_us - part.begins_us, mute.to_us - part.begins_us
        if from_us - BEFORE_MUTE_US > length_us or to_us + BEHIND_MUTE_US < 0:
            continue
        end_us = part.end_us + SOUND_BEHIND_US if from_us <= length_us <= to_us else _within(to_us, length_us)
        one = Mute(from_us=_within(from_us, length_us), to_us=end_us, reason=mute.reason)
        if found and one.from_us <= found[-1].to_us:
            before = found.pop()
            reason = f"{before.reason}; {one.reason}"[:MAX_TEXT]
            one = Mute(from_us=before.from_us, to_us=max(before.to_us, one.to_us), reason=reason)
        found.append(one)
    return tuple(found)


def _within(at_us: int, length_us: int) -> int:
    return min(max(0, at_us), length_us)
