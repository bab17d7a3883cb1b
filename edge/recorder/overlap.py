"""What the ring and a recording both hold: the pre-event time of an activation, which a claim must not bring twice.

Decided here: since when a segment of the ring is also in recordings, and up to which checkpoint it holds what they do
not. Only what is filed counts as recorded, so that nothing is given up for what a crash may still take. Pure rules over
what custody says; used by `retaining` (who marks) and `claims` (who brings). Implements RI-20 of docs/spec/ring.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from edge.recorder.history import RETROACTIVE, Segment
from edge.ring import Cut, Shared

TOUCH_US = 150_000
# Longer than the longest pre-event time and two segments of it.
REMEMBERED_US = 900_000_000

Span = tuple[int, int]


def recorded_spans(segments: Mapping[str, Segment]) -> list[Span]:
    """(from, to) in UTC of each segment of a recording that has ended."""
    return [
        (one.facts.started_us, one.ended_us)
        for one in segments.values()
        if one.ending is not None and one.facts.activation != RETROACTIVE
    ]


def share(segment: Segment, spans: Iterable[Span]) -> Shared | None:
    """What of a ring's segment `spans` hold too, up to its end; None where its end is in none of them."""
    from_us = segment.ended_us
    for start_us, end_us in sorted(spans, reverse=True):
        if end_us >= from_us - TOUCH_US and start_us < from_us:
            from_us = start_us
    if from_us >= segment.ended_us:
        return None
    started_us = segment.facts.started_us
    if from_us <= started_us:
        return Shared(item=segment.facts.item, from_us=started_us)
    cuts = [
        Cut(offset=one.offset, sha256=one.sha256, media_us=one.media_us, frames=one.frames)
        for one in segment.progress
        if started_us + one.media_us >= from_us
    ]
    return Shared(item=segment.facts.item, from_us=from_us, cut=cuts[0] if cuts else None)


def forget_old(segments: dict[str, Segment], spans: list[Span], *, now_us: int) -> None:
    """Take out what no activation can reach any more."""
    oldest_us = now_us - REMEMBERED_US
    for item in [item for item, one in segments.items() if one.ended_us < oldest_us]:
        del segments[item]
    spans[:] = [span for span in spans if span[1] >= oldest_us]
