"""What a run of the recorder has kept and what it missed, as values.

Decided here: what is counted for the status, and what is remembered of a gap until custody has it.
"""

from __future__ import annotations

from dataclasses import dataclass


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


@dataclass(frozen=True, slots=True)
class Gap:
    """Recording broke off at `from_us` (UTC) and has not begun again."""

    from_us: int
    why: str
