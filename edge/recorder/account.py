"""What a run of the recorder has kept and what it missed, as values.

Decided here: what is counted for the status, and what is remembered of a gap until custody has it.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.recorder.recovery import Recovered
from vedette.spool import Item


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
    """Recording broke off at `from_us` (UTC) and has not begun again."""

    from_us: int
    why: str
