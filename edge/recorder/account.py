"""What a run of the recorder has kept and what it missed.

Decided here: what is counted for the status, what is remembered of a gap until custody has it, and when that is.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.camera.condition import Moment
from edge.recorder.facts import Detail
from edge.recorder.recovery import Recovered
from vedette.custody import Journal
from vedette.spool import Item
from vedette.timeline_axis import STEP_US


@dataclass(slots=True)
class Counts:
    """What this run of the recorder has kept so far."""

    segments: int = 0
    media_us: int = 0
    sealed_bytes: int = 0
    pictures: int = 0
    gaps: int = 0
    completed: int = 0
    cut: int = 0
    quarantined: int = 0

    def told(self, *, open_media_us: int, open_bytes: int) -> dict[str, int]:
        """What the status says of it, with what the segment holds that is being written."""
        return {
            "recorded_ms": (self.media_us + open_media_us) // 1000,
            "sealed_bytes": self.sealed_bytes + open_bytes,
            "segments": self.segments,
            "units": self.pictures,
            "gaps": self.gaps,
            "recovered_whole": self.completed,
            "recovered_cut": self.cut,
            "quarantined": self.quarantined,
        }

    def add(self, found: Recovered) -> None:
        """Count what a run of recovery did."""
        self.completed += found.completed
        self.cut += found.cut
        self.quarantined += found.quarantined

    def file(self, item: Item) -> None:
        """Count an item that was filed."""
        self.segments += 1
        self.sealed_bytes += item.manifest.sealed_size
        self.media_us += item.manifest.media.duration_us if item.manifest.media else 0


@dataclass(frozen=True, slots=True)
class Gap:
    """Recording broke off `since` then and has not begun again; before the machine's boot where that is negative."""

    since: Moment
    why: str

    def to_detail(self, to: Moment) -> Detail:
        """What custody says of it once recording went on: both ends on both clocks (TI-28).

        Where the wall clock was set in between, UTC has the length too: its beginning is by the clock as it is since.
        """
        since, length_us = self.since, to.mono_us - self.since.mono_us
        is_of_this_boot = since.mono_us >= 0
        is_set = is_of_this_boot and abs(to.utc_us - since.utc_us - length_us) > STEP_US
        return {
            "from_us": to.utc_us - length_us if is_set else since.utc_us,
            "to_us": to.utc_us,
            "from_mono_us": since.mono_us if is_of_this_boot else None,
            "to_mono_us": to.mono_us,
            "why": self.why,
        }


class Gaps:
    """The time in which recording should have gone on and did not; at most one is open."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._unwanted: tuple[Moment, str] | None = None
        self.open: Gap | None = None

    @property
    def is_counting(self) -> bool:
        """Whether recording is wanted, and what is missing since it is not possible is being counted."""
        return self.open is not None and self._unwanted is None

    def broke_off(self, since: Moment | None, why: str) -> None:
        """Remember that recording should have gone on from `since` and did not; the earliest counts (monotonic)."""
        if since is not None and (self.open is None or since.mono_us < self.open.since.mono_us):
            self.open = Gap(since, why)

    def wanted(self) -> None:
        """Recording is wanted again: what was open goes on."""
        self._unwanted = None

    def unwanted(self, now: Moment, reason: str) -> None:
        """Recording is no longer wanted, for `reason`: a gap that is counted ends now, once custody takes it."""
        if self.is_counting:
            self._unwanted = now, reason

    def settle(self, journal: Journal) -> None:
        """Name a gap that ended because recording is no longer wanted."""
        if self._unwanted is not None:
            self.write(journal, self._unwanted[0])
            journal.append("recording.stopped", detail={"reason": self._unwanted[1]})
            self._unwanted = None

    def write(self, journal: Journal, to: Moment) -> None:
        """Say in the journal what was not recorded, and begin to forget it."""
        gap, self.open = self.open, None
        if gap is not None and to.mono_us > gap.since.mono_us:
            journal.append("gap", detail=gap.to_detail(to))
            self._counts.gaps += 1


def later(moment: Moment, by_us: int) -> Moment:
    """The moment `by_us` after another, or before it where that is negative, had no clock been set."""
    return Moment(moment.utc_us + by_us, moment.mono_us + by_us)
