"""What each device has said that led to nothing: who goes on and on with that is put off for a while.

A pure account for one worker. Decided here: what counts (inits and fins, and five times as much what is no message at
all), what is paid for (an item that came to be stored, and what the centre itself had no room for), and how much may be
said that is not: a hundred a second for any time, and 64,000 at once. Why no honest device comes to the end of that is
in WI-74 of docs/spec/wire.md, which this implements; `simulator.schedules` breaks where one has a hundredth of it.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum

UNIT_US = 10_000  # of time pay for one init, or one fin
AHEAD_US = 64_000 * UNIT_US
AGAIN_US = AHEAD_US - 60_000_000
FAR_US = AHEAD_US + AHEAD_US // 4
NONSENSE = 5  # units: what cannot be read costs a row in quarantine, or a count
STORED = 4  # units: an init and a fin, each of which a network may double
_FORGET_AT = 1024


class Heed(Enum):
    """What to do with a message."""

    HEARD = "heard"
    LAST = "last"  # it is the first beyond what is allowed
    DEAF = "deaf"


HEARD, LAST, DEAF = Heed  # an enum's attribute costs as much as a call, and each init looks at one


class Patience:
    """The accounts of one worker; times are monotonic microseconds. One number is kept for each device that is ahead:
    the time at which all it said would have been paid for.
    """

    def __init__(self) -> None:
        self._until: dict[str, int] = {}
        self._out: set[str] = set()
        self._far: Counter[str] = Counter()
        self._forget_at = _FORGET_AT
        self.beyond = 0

    def charge(self, device: str, units: int, now_us: int) -> Heed:
        """What to do with a message that costs so much."""
        until_us = max(now_us, self._until.get(device, 0)) + units * UNIT_US
        self._until[device] = min(until_us, now_us + FAR_US)
        if not self.is_out(device, now_us):
            if until_us - now_us <= AHEAD_US:
                self._forget(now_us)
                return HEARD
            self._out.add(device)
            self.beyond += 1
            return LAST
        self.beyond += 1
        if until_us - now_us >= FAR_US:
            self._far[device] += 1
        return DEAF

    def pay(self, device: str, units: int) -> None:
        """Something came of it, or the trouble was the centre's own."""
        if device in self._until:
            self._until[device] -= units * UNIT_US

    def is_out(self, device: str, now_us: int) -> bool:
        """Whether `device` is put off: until a minute has been paid for, while nothing more is said."""
        if device not in self._out:
            return False
        if self._until[device] - now_us > AGAIN_US:
            return True
        self._out.discard(device)
        return False

    def ahead_us(self, device: str, now_us: int) -> int:
        """How much time it would take to pay for what `device` has said, 0 to FAR_US."""
        return max(0, self._until.get(device, 0) - now_us)

    def take_far(self) -> Counter[str]:
        """Messages by device that came after it was put off, a quarter more than was allowed; since last asked."""
        far, self._far = self._far, Counter()
        return far

    def _forget(self, now_us: int) -> None:
        """Let go of those who are no more ahead, once there are twice as many as there were."""
        if len(self._until) > self._forget_at:
            self._until = {one: until for one, until in self._until.items() if until > now_us or one in self._out}
            self._forget_at = max(_FORGET_AT, 2 * len(self._until))
