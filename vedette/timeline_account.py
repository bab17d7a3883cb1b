"""From lines to a shift: whose it is, whose key holds, every line checked, and what is known beside them.

Decided here: the order (device, key, signatures, only then a drawing), the same for files, bundles and a centre.
Implements TI-21 and TI-37 of docs/spec/timeline.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vedette.timeline import Note, Timeline
from vedette.timeline_heads import Asked, read_heads, with_heads
from vedette.timeline_keys import FoundKey, key_of
from vedette.timeline_layers import read_timeline
from vedette.timeline_source import Lines, Unread
from vedette.trust import Trust

RECORDER = "recorder"


@dataclass(frozen=True, kw_only=True, slots=True)
class Shift:
    """A device's timeline, the key that its lines were checked against, and what of the named was not read."""

    timeline: Timeline
    key: FoundKey
    unread: tuple[Unread, ...]


def account(
    lines: Lines,
    *,
    device: str | None = None,
    service: str = RECORDER,
    trust: Trust | None = None,
    heads: Sequence[Path] = (),
) -> Shift:
    """The shift that these lines tell of; `heads` are files of what the device had signed of its journal's length.

    Raises NotFound where there is no line, Usage where it is not clear whose, Integrity or NotTrusted where one does
    not hold.
    """
    device = lines.device(device, service)
    key = key_of(device, lines.keys)
    entries, beside, keeper = (lines.verified(device, one, key.key) for one in (service, "position", "keeper"))
    asked = Asked(device=device, service=service, device_key=key.key, centre=trust.centre if trust else None)
    told = read_heads(lines.bundles, heads, asked, lines.told)
    drawn = read_timeline(entries, beside, keeper, lines.undisclosed(device, service))
    timeline = with_heads(drawn, entries, told)
    problems = tuple(Note(at_us=timeline.to_us, kind="problem", value=one) for one in lines.problems)
    return Shift(
        timeline=replace(timeline, notes=(*timeline.notes, *problems)),
        key=key,
        unread=tuple(one for one in lines.unread if one.item not in lines.items),
    )
