"""Whether sound is recorded: by whose wish it is not, and which pieces of it fall into the muted time.

Decided here: a piece of sound belongs to the muted time when it began in it by the monotonic clock, however late it
comes. A run that takes muting up from the one before was muted from its beginning. Pictures are never muted.
"""

from __future__ import annotations

from edge.camera.port import SoundUnit
from edge.recorder.duty import RESTARTED
from vedette.custody import Journal

MAX_NAME = 64


class Mute:
    """The newest muted stretch; `by` is who began it, None while sound is recorded."""

    def __init__(self) -> None:
        self.by: str | None = None
        self.last_by = ""
        self._is_said = True
        self._began_us = self._ended_us = 0

    def switch(self, on: bool, by: str, *, now_us: int) -> bool:
        """Begin or end muting at `now_us` (monotonic); False when it is so already."""
        if on == (self.by is not None):
            return False
        self.last_by, self._is_said = by[:MAX_NAME], False
        self.by = self.last_by if on else None
        if on:
            self._began_us = 0 if by == RESTARTED else now_us
        else:
            self._ended_us = now_us
        return True

    def say(self, journal: Journal) -> None:
        """Write that muting began or ended, where that is not written; raises as the journal does."""
        if not self._is_said:
            journal.append("mute.ended" if self.by is None else "mute.began", detail={"by": self.last_by})
            self._is_said = True

    def covers(self, unit: SoundUnit) -> bool:
        """True when `unit` must not be recorded."""
        if self.by is not None:
            return True
        return self._began_us <= unit.mono_us < self._ended_us
