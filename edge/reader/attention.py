"""Which plates of a picture are worth reading now: reading costs far more than finding, and most were read before.

Decided here: a new track is read in each picture until its looks agree; then twice a second, to notice that another
plate took its place. A track that gives no sure text is read ever more seldom, unless it grows. The widest come first,
and a picture has a limit, so that a car park cannot starve the plate that just came into view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

MAX_READS = 4
SETTLED_US = 500_000
PATIENCE = 4
FIRST_WAIT_US = 100_000
MAX_WAIT_US = 1_600_000
GROWN_PERCENT = 115


class Outcome(Enum):
    """What a look at a track brought: nothing that counts, a vote, or one more vote for what is agreed already."""

    FRUITLESS = "fruitless"
    VOTE = "vote"
    AGREED = "agreed"


@dataclass(kw_only=True, slots=True)
class _Interest:
    due_us: int = 0
    fruitless: int = 0
    width_px: int = 0


class Attention:
    """What is known of each track's looks; times are of the monotonic clock."""

    def __init__(self) -> None:
        self._interests: dict[int, _Interest] = {}

    def choose(self, tracks: Sequence[int], widths_px: Sequence[int], now_us: int) -> list[int]:
        """Which places of `tracks` to read in this picture, the widest first, `MAX_READS` at most."""
        due = [place for place, track in enumerate(tracks) if self._is_due(track, widths_px[place], now_us)]
        return sorted(due, key=lambda place: -widths_px[place])[:MAX_READS]

    def learn(self, track: int, outcome: Outcome, width_px: int, now_us: int) -> None:
        """Decide from a look when the track is read again."""
        interest = self._interests.setdefault(track, _Interest())
        interest.width_px = width_px
        interest.fruitless = interest.fruitless + 1 if outcome is Outcome.FRUITLESS else 0
        interest.due_us = now_us + _wait_us(outcome, interest.fruitless)

    def forget(self, track: int) -> None:
        """The track has ended."""
        self._interests.pop(track, None)

    def _is_due(self, track: int, width_px: int, now_us: int) -> bool:
        interest = self._interests.get(track)
        if interest is None or now_us >= interest.due_us:
            return True
        return interest.fruitless > 0 and width_px * 100 >= interest.width_px * GROWN_PERCENT


def _wait_us(outcome: Outcome, fruitless: int) -> int:
    if outcome is Outcome.AGREED:
        return SETTLED_US
    if fruitless < PATIENCE:
        return 0
    return min(MAX_WAIT_US, FIRST_WAIT_US << min(fruitless - PATIENCE, 8))
