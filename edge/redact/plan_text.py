"""The redaction plan as the text that a person gets to edit.

Decided here: its order, its words of advice, one key in a line. What is read back from it is `edge.redact.plan`'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from edge.redact.plan import Mute, Plan, Region
from edge.redact.recording_plan import Part, RecordingPlan
from vedette.clock import iso

_OF_ONE = """\
# Redaction plan of `vedette evidence redact`. Times are microseconds of the video's own timeline, places are pixels.
#
"""
_OF_ALL = """\
# Redaction plan of `vedette evidence redact` for a recording. Times are microseconds of the recording's timeline: its
# parts one behind another, as a player shows them. Places are pixels. A region or mute may go on from part to part.
#
"""
_HEAD = """\
# The detector MISSES plates: small, slanted, dirty, dark or half hidden ones. It does not look for faces, house numbers
# or screens, and it hears nothing. Look at the whole video, add what is missing, take out what is none, then put your
# name into checked_by. Without a name and a reason nothing is made.
#
# A region by hand (a polygon is shape = "polygon" with [time, x, y, x, y, x, y ...]):
#   [[region]]
#   name = "bystander"
#   reason = "face of somebody not concerned"
#   from_us = 2_000_000
#   to_us = 5_500_000
#   keys = [[2_000_000, 600, 120, 680, 220], [5_500_000, 640, 120, 720, 220]]
#
# Sound that nobody is to hear:
#   [[mute]]
#   from_us = 1_000_000
#   to_us = 1_800_000
#   reason = "name and address"
"""


def plan_text(plan: Plan) -> str:
    """The plan as TOML."""
    lines = [
        _OF_ONE + _HEAD,
        "version = 1",
        *_answer(plan),
        f"parent_sha256 = {_text(plan.parent_sha256)}",
        f"width = {plan.width}",
        f"height = {plan.height}",
        f"frames = {plan.frames}",
        f"end_us = {plan.end_us:_}",
        *_rest(plan),
    ]
    return "\n".join([*lines, *_covered(plan.regions, plan.mutes)]) + "\n"


def recording_plan_text(plan: RecordingPlan) -> str:
    """The plan for a whole recording as TOML."""
    lines = [
        _OF_ALL + _HEAD,
        "version = 2",
        *_answer(plan),
        f"recording = {_text(plan.recording)}",
        f"device = {_text(plan.device)}",
        f"width = {plan.width}",
        f"height = {plan.height}",
        *_rest(plan),
    ]
    for part in plan.parts:
        lines += _part(part)
    return "\n".join([*lines, *_covered(plan.regions, plan.mutes)]) + "\n"


def _answer(plan: Plan | RecordingPlan) -> Iterable[str]:
    yield f"checked_by = {_text(plan.checked_by)}  # who looked at the whole video"
    yield f"why = {_text(plan.why)}  # for whom or what this copy is made"


def _rest(plan: Plan | RecordingPlan) -> Iterable[str]:
    yield f'stamp = {_text(plan.stamp)}  # the line of date and place: "keep", "without_position" or "drop"'
    yield f'sound = {_text(plan.sound)}  # "keep", or "drop" for a copy without any'
    yield from ("", "[models]")
    yield from (f"{name} = {_text(value)}" for name, value in sorted(plan.models.items()))


def _part(part: Part) -> Iterable[str]:
    yield from ("", "[[part]]", f"item = {_text(part.item)}", f"sequence = {part.sequence}")
    yield f"parent_sha256 = {_text(part.parent_sha256)}"
    yield f"started_us = {part.started_us}  # {iso(part.started_us)}, by the device's clock"
    yield from (f"begins_us = {part.begins_us:_}", f"frames = {part.frames}", f"end_us = {part.end_us:_}")
    yield f"has_sound = {str(part.has_sound).lower()}"


def _covered(regions: Sequence[Region], mutes: Sequence[Mute]) -> Iterable[str]:
    for region in regions:
        yield from _region(region)
    for mute in mutes:
        yield from ("", "[[mute]]", f"from_us = {mute.from_us:_}", f"to_us = {mute.to_us:_}")
        yield f"reason = {_text(mute.reason)}"


def _region(region: Region) -> Iterable[str]:
    yield from ("", "[[region]]", f"name = {_text(region.name)}", f"reason = {_text(region.reason)}")
    yield from (f"found_by = {_text(region.found_by)}", f"shape = {_text(region.shape)}")
    if region.note:
        yield f"note = {_text(region.note)}"
    yield from (f"from_us = {region.from_us:_}", f"to_us = {region.to_us:_}", "keys = [")
    for key in region.keys:
        yield f"  [{key.at_us:_}, {', '.join(map(str, key.places))}],"
    yield "]"


def _text(value: str) -> str:
    """A TOML basic string: JSON's escapes are TOML's too, but for DEL, which stands for nothing here."""
    return json.dumps(value.replace("\x7f", ""), ensure_ascii=False)
