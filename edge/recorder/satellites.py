"""Whether the receiver's time is trusted, and what custody says of it.

Decided here: what has not been trusted for three seconds is said, longer than a receiver that begins to speak needs to
be believed (docs/spec/position.md, PO-10). It is over with a position by a time that is trusted; none ends nothing.
The recorder's own journal has it because a bundle has no other. Implements SG-26 of docs/spec/segment.md.
"""

from __future__ import annotations

from collections.abc import Iterator

from edge.camera.condition import Condition, Moment
from edge.recorder.facts import Detail
from edge.recorder.surroundings import FindFix

RAISE_US = 3_000_000
SOURCE = "gnss"


class SatelliteTime:
    """The judgement that comes with the position, asked of `find_fix` with the time (UTC)."""

    def __init__(self, find_fix: FindFix) -> None:
        self._find_fix, self._condition = find_fix, Condition(RAISE_US)

    def look(self, now: Moment) -> Iterator[tuple[str, Detail]]:
        """The events to write into custody now: that it is not trusted any more, or is again."""
        fix = self._find_fix(now.utc_us)
        trusted = fix.satellite_time_trusted if fix else None
        if trusted is None and self._condition.raised:
            return
        change = self._condition.update("distrusted" if trusted is False else None, now)
        if change is None:
            return
        if change.lasted_us is None:
            yield "time.suspect", {"source": SOURCE, "since_us": change.since_us}
        else:
            yield "time.trusted", {"source": SOURCE, "since_us": change.since_us, "lasted_us": change.lasted_us}
