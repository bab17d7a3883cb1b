"""What a journal's marks prove to be recorded, segment by segment, and where one run of the service follows another.

Decided here: a segment lasts from its first picture's time to the media time of its last mark, and no mark proves more
than it says. Implements TI-12 and TI-13 of docs/spec/timeline.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vedette.custody_entry import Entry
from vedette.timeline_axis import Axis


@dataclass(slots=True)
class Segment:
    """A segment: its beginning in shown time, how much its last mark proves, and whether its recorder closed it."""

    from_us: int
    media_us: int
    recording: str | None
    marked: bool
    is_closed: bool = False

    @property
    def to_us(self) -> int:
        """Where the proven part ends."""
        return self.from_us + self.media_us


def recorded(entries: Sequence[Entry], axis: Axis) -> list[Segment]:
    """Each segment, as far as its marks prove it, in order of time."""
    found: dict[str, Segment] = {}
    for index, entry in enumerate(entries):
        if entry.item is None or not entry.event.startswith("segment."):
            continue
        known = found.get(entry.item)
        recording = entry.detail.get("recording")
        media_us = entry.detail.get("media_us", 0)
        if entry.event == "segment.opened" and isinstance(started_us := entry.detail.get("started_us"), int):
            found[entry.item] = Segment(
                axis.moment(index, started_us), 0, str(recording), entry.detail.get("marked") is True
            )
        elif entry.event in ("segment.checkpoint", "segment.closed", "segment.recovered") and isinstance(media_us, int):
            if known is None and entry.event != "segment.recovered":
                known = found[entry.item] = Segment(axis.at(index) - media_us, 0, None, False)
            if known is not None:
                known.media_us = media_us if entry.event != "segment.checkpoint" else max(known.media_us, media_us)
                known.marked = known.marked or entry.detail.get("marked") is True
                known.is_closed = entry.event == "segment.closed"
    return sorted(found.values(), key=lambda one: one.from_us)


def runs_of(entries: Sequence[Entry]) -> Iterator[tuple[int, int]]:
    """(first, last) index of each run of the service; a run is also broken where lines are missing."""
    first = 0
    for index in range(1, len(entries) + 1):
        is_edge = index == len(entries) or entries[index].boot != entries[index - 1].boot
        if is_edge or entries[index].seq != entries[index - 1].seq + 1:
            yield first, index - 1
            first = index
