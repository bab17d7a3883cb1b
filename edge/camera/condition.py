"""When something that is wrong counts as a fault and when it is over, for pictures and sound alike.

Decided here: it is a fault once it has held for a while, and over once it has been absent for one. Each return within
a minute doubles that second while, so that a lamp that flickers or a plug that wobbles does not fill the journal.
"""

from __future__ import annotations

from dataclasses import dataclass

CLEAR_US = 1_000_000
MOST_CLEAR_US = 30_000_000
CALM_US = 60_000_000


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment on the device's two clocks, in microseconds."""

    utc_us: int
    mono_us: int


@dataclass(frozen=True, slots=True)
class Change:
    """A fault that began (`lasted_us` is None) or ended; `since_us` is UTC, `lasted_us` monotonic time."""

    since_us: int
    why: str = ""
    lasted_us: int | None = None


class Condition:
    """One kind of fault, raised when it has held for `raise_us`."""

    def __init__(self, raise_us: int) -> None:
        self._raise_us, self._clear_us = raise_us, CLEAR_US
        self._since: Moment | None = None
        self._gone: Moment | None = None
        self._cleared_us: int | None = None
        self.raised = False

    def update(self, why: str | None, now: Moment, since: Moment | None = None) -> Change | None:
        """`why` it holds now, None where it does not; `since` when that began where it is known better."""
        if why is not None:
            self._gone = None
            if not self.raised:
                self._since = since or self._since or now
                if now.mono_us - self._since.mono_us >= self._raise_us:
                    return self._raise(self._since, why, now)
        elif not self.raised:
            self._since = None
        else:
            self._gone = self._gone or since or now
            if now.mono_us - self._gone.mono_us >= self._clear_us:
                return self.clear(self._gone)
        return None

    def clear(self, now: Moment) -> Change | None:
        """Over since `now`."""
        if not self.raised or self._since is None:
            return None
        change = Change(self._since.utc_us, lasted_us=max(0, now.mono_us - self._since.mono_us))
        self.raised, self._since, self._gone, self._cleared_us = False, None, None, now.mono_us
        return change

    def _raise(self, since: Moment, why: str, now: Moment) -> Change:
        returned = self._cleared_us is not None and now.mono_us - self._cleared_us < CALM_US
        self._clear_us = min(self._clear_us * 2, MOST_CLEAR_US) if returned else CLEAR_US
        self.raised = True
        return Change(since.utc_us, why)
