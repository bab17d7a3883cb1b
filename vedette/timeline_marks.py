"""What a journal's marks prove to be recorded, segment by segment, and where one run of the service follows another.

Decided here: a segment lasts from its first picture's time to the media time of its last mark, and no mark proves more
than it says. Implements TI-12 and TI-13 of docs/spec/timeline.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from vedette.custody_entry import Entry
from vedette.timeline_axis import Axis


@dataclass(slots=True)
class Segment:
    """A segment: its beginning in shown and in its recorder's time, what its last mark proves, whether it is closed."""

    item: str
    from_us: int
    media_us: int
    recording: str | None
    marked: bool
    is_closed: bool = False
    started_us: int | None = None

    @property
    def edges(self) -> dict[int, int]:
        """The wall-clock times that its own recorder gave its two ends, each with the shown time of that end."""
        if self.started_us is None:
            return {}
        return {self.started_us: self.from_us, self.started_us + self.media_us: self.to_us}

    @property
    def to_us(self) -> int:
        """Where the proven part ends."""
        return self.from_us + self.media_us


def recorded(entries: Sequence[Entry], axis: Axis) -> list[Segment]:
    """Each segment, as far as its marks prove it, in order of time.

    What was recovered from the ring began when the ring's own line says so: its other lines are of the recovery.
    """
    kept = {one.item: one.from_us for one in retained(entries, axis)}
    marks = ((index, entry, entry.item, entry.event) for index, entry in enumerate(entries))
    found = _segments(marks, axis, "segment.")
    for one in found:
        one.from_us = kept.get(one.item, one.from_us)
    return sorted(found, key=lambda one: one.from_us)


def retained(entries: Sequence[Entry], axis: Axis) -> list[Segment]:
    """Each segment that was kept though nobody had activated anything, as far as its marks prove it."""
    marks = ((index, entry, entry.detail.get("segment"), entry.event) for index, entry in enumerate(entries))
    return sorted(_segments(marks, axis, "ring."), key=lambda one: one.from_us)


def _segments(marks: Iterable[tuple[int, Entry, object, str]], axis: Axis, prefix: str) -> list[Segment]:
    found: dict[str, Segment] = {}
    for index, entry, item, event in marks:
        if not isinstance(item, str) or not event.startswith(prefix):
            continue
        known, what = found.get(item), event.removeprefix(prefix)
        recording = entry.detail.get("recording")
        media_us = entry.detail.get("media_us", 0)
        if what == "opened" and isinstance(started_us := entry.detail.get("started_us"), int):
            at_us, marked = _began(axis, index, entry, started_us), entry.detail.get("marked") is True
            found[item] = Segment(item, at_us, 0, str(recording), marked, started_us=started_us)
        elif what in ("checkpoint", "closed", "recovered") and isinstance(media_us, int):
            if known is None and what != "recovered":
                known = found[item] = Segment(item, axis.at(index) - media_us, 0, None, False)
            if known is not None:
                known.media_us = media_us if what != "checkpoint" else max(known.media_us, media_us)
                known.marked = known.marked or entry.detail.get("marked") is True
                known.is_closed = what == "closed"
    return list(found.values())


def _began(axis: Axis, index: int, entry: Entry, started_us: int) -> int:
    """The shown time at which a segment began: by the monotonic clock where its line names that (TI-12)."""
    mono_us = entry.detail.get("mono_us")
    return axis.of_mono(index, mono_us) if isinstance(mono_us, int) else axis.moment(index, started_us)


def runs_of(entries: Sequence[Entry]) -> Iterator[tuple[int, int]]:
    """(first, last) index of each run of the service; a run is also broken where lines are missing."""
    first = 0
    for index in range(1, len(entries) + 1):
        is_edge = index == len(entries) or entries[index].boot != entries[index - 1].boot
        if is_edge or entries[index].seq != entries[index - 1].seq + 1:
            yield first, index - 1
            first = index
