"""Sound that stops coming while pictures go on: noticed within two seconds, and said again when it is back.

Decided here: what counts as lost. A microphone says itself that it ended; whatever brings the sound, it is lost where
1.5 s of pictures have come without any. Pure rules over the times of what came. Implements SG-15 of
docs/spec/segment.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge.camera.condition import Change, Condition, Moment
from edge.camera.port import EncodedUnit, Given, SoundUnit

SILENCE_US = 1_500_000
MAX_WHY = 512
OK, LOST, NONE = "ok", "lost", "none"


@dataclass(frozen=True, slots=True)
class SoundNotice:
    """Sound was lost (`change.lasted_us` is None) or is back."""

    change: Change

    @property
    def event(self) -> str:
        """The custody event (custody-journal.md) that says so."""
        return "sound.lost" if self.change.lasted_us is None else "sound.found"

    def to_detail(self) -> dict[str, int | str | bool | None]:
        """The detail of that event."""
        if self.change.lasted_us is None:
            return {"since_us": self.change.since_us, "why": self.change.why[:MAX_WHY]}
        return {"since_us": self.change.since_us, "lasted_us": self.change.lasted_us}


class SoundWatch:
    """Whether there is sound beside the pictures; told of everything that came, in any order within one look."""

    def __init__(self) -> None:
        self._condition = Condition(0)
        self._expected = False
        self._end: Moment | None = None
        self._picture: Moment | None = None
        self._back: Moment | None = None
        self.losses = 0

    @property
    def state(self) -> str:
        """`ok`, `lost`, or `none` where no sound is expected."""
        if not self._expected:
            return NONE
        return LOST if self._condition.raised else OK

    def expect(self, now: Moment, *, is_expected: bool) -> None:
        """The camera is open from `now` on, and sound is expected beside its pictures or not."""
        self._expected = is_expected
        self._end = self._picture = now

    def rest(self) -> None:
        """No pictures come any more, so none are without sound."""
        self._end = self._picture = None

    def look(self, found: Sequence[Given], fault: str, now: Moment) -> list[SoundNotice]:
        """What began or ended with what came by `now`; `fault` is what the microphone says itself, if anything."""
        if not self._expected:
            return []
        for one in found:
            if isinstance(one, SoundUnit):
                self._hear(one)
            elif isinstance(one, EncodedUnit) and (self._picture is None or one.mono_us > self._picture.mono_us):
                self._picture = Moment(one.utc_us, one.mono_us)
        why = fault or self._silence()
        if why:
            self._back = None
            change = self._condition.update(why, now, self._end)
        elif self._condition.raised and self._back is None:
            return []
        else:
            change = self._condition.update(None, self._picture or now, self._back)
        self.losses += change is not None and change.lasted_us is None
        return [] if change is None else [SoundNotice(change)]

    def _hear(self, unit: SoundUnit) -> None:
        self._back = self._back or Moment(unit.utc_us, unit.mono_us)
        if self._end is None or unit.mono_us + unit.duration_us > self._end.mono_us:
            self._end = Moment(unit.utc_us + unit.duration_us, unit.mono_us + unit.duration_us)

    def _silence(self) -> str:
        """Words for pictures without sound, empty where there is sound, or it may still come."""
        if self._end is None or self._picture is None:
            return ""
        silent_us = self._picture.mono_us - self._end.mono_us
        return f"no sound for {silent_us / 1e6:.1f} s" if silent_us >= SILENCE_US else ""
