"""The redaction plan as the text that a person gets to edit.

Decided here: its order, its words of advice, one key in a line. What is read back from it is `edge.redact.plan`'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from edge.redact.plan import Plan, Region

_HEAD = """\
# Redaction plan of `vedette evidence redact`. Times are microseconds of the video's own timeline, places are pixels.
#
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
        _HEAD,
        "version = 1",
        f"checked_by = {_text(plan.checked_by)}  # who looked at the whole video",
        f"why = {_text(plan.why)}  # for whom or what this copy is made",
        f"parent_sha256 = {_text(plan.parent_sha256)}",
        f"width = {plan.width}",
        f"height = {plan.height}",
        f"frames = {plan.frames}",
        f"end_us = {plan.end_us:_}",
        f'stamp = {_text(plan.stamp)}  # the line of date and place: "keep", "without_position" or "drop"',
        f'sound = {_text(plan.sound)}  # "keep", or "drop" for a copy without any',
        "",
        "[models]",
        *(f"{name} = {_text(value)}" for name, value in sorted(plan.models.items())),
    ]
    for region in plan.regions:
        lines += _region(region)
    for mute in plan.mutes:
        lines += ["", "[[mute]]", f"from_us = {mute.from_us:_}", f"to_us = {mute.to_us:_}"]
        lines.append(f"reason = {_text(mute.reason)}")
    return "\n".join(lines) + "\n"


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
