"""Whether the board is hot, and what custody says of it.

Decided here: hot is what has been at the limit or above for ten seconds; it is over five degrees below, or where nobody
measures any more: a sensor that is gone must not keep a camera from recording. Implements HE-3 of docs/spec/heat.md.
"""

from __future__ import annotations

from collections.abc import Iterator

from edge.camera.condition import Condition, Moment
from edge.recorder.facts import Detail

RAISE_US = 10_000_000
COOLER_MC = 5_000


class Heat:
    """The board's temperature against a limit in degrees Celsius; 0: nothing is ever hot."""

    def __init__(self, limit_c: int) -> None:
        self._limit_mc = limit_c * 1000
        self._condition = Condition(RAISE_US)
        self._most_mc = 0

    @property
    def is_hot(self) -> bool:
        """Whether it has been hot for a while."""
        return self._condition.raised

    def look(self, milli_c: int | None, now: Moment) -> Iterator[tuple[str, Detail]]:
        """The events to write into custody, for a measurement in thousandths of a degree or none."""
        limit_mc = self._limit_mc - (COOLER_MC if self.is_hot else 0)
        hot_mc = milli_c if milli_c is not None and 0 < limit_mc <= milli_c else None
        if hot_mc is not None:
            self._most_mc = max(self._most_mc, hot_mc) if self.is_hot else hot_mc
        change = self._condition.update(None if hot_mc is None else "hot", now)
        if change is None:
            return
        if change.lasted_us is None:
            yield "heat.began", {
                "celsius": self._most_mc // 1000, "limit_c": self._limit_mc // 1000, "since_us": change.since_us,
            }  # fmt: skip
        else:
            yield "heat.ended", {
                "most_c": self._most_mc // 1000, "since_us": change.since_us, "lasted_us": change.lasted_us,
            }  # fmt: skip
