"""What the ring and a recording both hold: the pre-event time of an activation, which a claim must not bring twice.

Decided here: since when a segment of the ring is also in recordings, and up to which checkpoint it holds what they do
not. Only what is filed counts as recorded, so that nothing is given up for what a crash may still take. Pure rules over
what custody says; used by `retaining` (who marks) and `claims` (who brings). Implements RI-20 of docs/spec/ring.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from edge.recorder.history import RETROACTIVE, Segment
from edge.ring import Cut, Shared

TOUCH_US = 150_000
# Longer than the longest pre-event time and two segments of it.
REMEMBERED_US = 900_000_000


class Span(NamedTuple):
    """A stretch of recording, monotonic, in one boot of the machine (0: the present one); no clock that is set moves
    it, and another boot's has nothing to do with it.
    """

    boot: int
    from_us: int
    to_us: int


def recorded_spans(segments: Mapping[str, Segment]) -> list[Span]:
    """Where each segment of a recording lies that has ended."""
    return [
        Span(one.boot, one.mono_us, one.mono_us + one.media_us)
        for one in segments.values()
        if one.ending is not None and one.facts.activation != RETROACTIVE
    ]


def share(segment: Segment, spans: Iterable[Span]) -> Shared | None:
    """What of a ring's segment `spans` hold too, up to its end; None where its end is in none of them."""
    _boot, ended_us = segment.end
    reached_us = ended_us
    for boot, start_us, end_us in sorted(spans, reverse=True):
        if boot == segment.boot and end_us >= reached_us - TOUCH_US and start_us < reached_us:
            reached_us = start_us
    if reached_us >= ended_us:
        return None
    # In its own UTC, whatever the wall clock was set to since.
    started_us, into_us = segment.facts.started_us, reached_us - segment.mono_us
    if into_us <= 0:
        return Shared(item=segment.facts.item, from_us=started_us)
    cuts = [
        Cut(offset=one.offset, sha256=one.sha256, media_us=one.media_us, frames=one.frames)
        for one in segment.progress
        if one.media_us >= into_us
    ]
    return Shared(item=segment.facts.item, from_us=started_us + into_us, cut=cuts[0] if cuts else None)


def forget_old(segments: dict[str, Segment], spans: list[Span]) -> None:
    """Take out what no activation can reach any more: what is much older than the newest of `segments`."""
    boot, newest_us = max((one.end for one in segments.values()), default=(0, 0))
    oldest = boot, newest_us - REMEMBERED_US
    for item in [item for item, one in segments.items() if one.end < oldest]:
        del segments[item]
    spans[:] = [span for span in spans if (span.boot, span.to_us) >= oldest]
