"""The redaction plan as the text that a person gets to edit.

Decided here: its order, its words of advice, one key in a line. What is read back from it is `edge.redact.plan`'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from edge.redact.plan import Part, Plan, Region
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
        (_OF_ALL if plan.recording else _OF_ONE) + _HEAD,
        f"version = {plan.version}",
        f"checked_by = {_text(plan.checked_by)}  # who looked at the whole video",
        f"why = {_text(plan.why)}  # for whom or what this copy is made",
        *(_whole(plan) if plan.recording else [f"parent_sha256 = {_text(plan.parts[0].parent_sha256)}"]),
        f"width = {plan.width}",
        f"height = {plan.height}",
        *([] if plan.recording else [f"frames = {plan.frames}", f"end_us = {plan.end_us:_}"]),
        f'stamp = {_text(plan.stamp)}  # the line of date and place: "keep", "without_position" or "drop"',
        f'sound = {_text(plan.sound)}  # "keep", or "drop" for a copy without any',
        "\n[models]",
        *(f"{name} = {_text(value)}" for name, value in sorted(plan.models.items())),
    ]
    for part in plan.parts if plan.recording else ():
        lines += _part(part)
    for region in plan.regions:
        lines += _region(region)
    for mute in plan.mutes:
        lines += ["\n[[mute]]", f"from_us = {mute.from_us:_}", f"to_us = {mute.to_us:_}"]
        lines.append(f"reason = {_text(mute.reason)}")
    return "\n".join(lines) + "\n"


def _whole(plan: Plan) -> list[str]:
    return [f"recording = {_text(plan.recording)}", f"device = {_text(plan.device)}"]


def _part(part: Part) -> Iterable[str]:
    yield from ("", "[[part]]", f"item = {_text(part.item)}", f"sequence = {part.sequence}")
    yield f"parent_sha256 = {_text(part.parent_sha256)}"
    yield f"started_us = {part.started_us}  # {iso(part.started_us)}, by the device's clock"
    yield from (f"begins_us = {part.begins_us:_}", f"frames = {part.frames}", f"end_us = {part.end_us:_}")
    yield f"has_sound = {str(part.has_sound).lower()}"


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
    """A TOML basic string: JSON's escapes are TOML's too, which wants one for DEL as well."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
