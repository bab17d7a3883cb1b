"""What the device knew about time, place and sound in each of the last seconds, so that a picture from before an
activation gets the stamp of its own second and not of the one in which it is written.

Decided here: one look a second, kept in memory only and no longer than the longest pre-event buffer.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from edge.board.position import Fix
from vedette.clock import Clock, TimeQuality

MAX_SECONDS = 330
SECOND_US = 1_000_000
MUTED, MISSING = "sound muted", "sound missing"

FindFix = Callable[[int], Fix | None]


def nowhere(_at_us: int) -> Fix | None:
    """The position of a device that knows none."""
    return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """The wall clock's quality, the position, and why there was no sound (empty where there was), in one second."""

    quality: TimeQuality
    fix: Fix | None
    sound: str = ""


class Surroundings:
    """The moments of the last `MAX_SECONDS`; `find_fix` is asked once a second with the time (UTC)."""

    def __init__(self, clock: Clock, find_fix: FindFix) -> None:
        self._clock, self._find_fix = clock, find_fix
        self._moments: OrderedDict[tuple[int, int], Moment] = OrderedDict()

    def note(self, at_us: int, mono_us: int, *, sound: str = "") -> Moment:
        """The moment of a picture taken at `at_us` (UTC, `mono_us` monotonic): looked at now where its second is new.

        A wall clock that is put back shows its seconds a second time; those are seconds of their own.
        """
        second = at_us // SECOND_US, (at_us - mono_us) // SECOND_US
        moment = self._moments.get(second)
        if moment is None:
            moment = Moment(quality=self._clock.quality(), fix=self._find_fix(at_us), sound=sound)
            self._moments[second] = moment
            if len(self._moments) > MAX_SECONDS:
                self._moments.popitem(last=False)
        return moment
