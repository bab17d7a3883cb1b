"""Sound that stops coming while pictures go on: noticed within two seconds, and said again when it is back.

Decided here: what counts as lost. A microphone says itself that it ended; whatever brings the sound, it is lost where
1.5 s of pictures have come without any, counted from the first picture on; what comes too late for the file has not
come. Such a time is said even where it is over as it is noticed, after a stall. Pure rules over the times of what came.
Implements SG-15 of docs/spec/segment.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge.camera.condition import Change, Condition, Moment
from edge.camera.port import EncodedUnit, Given, SoundUnit

SILENCE_US = 1_500_000
# Sound that comes later than this after its pictures is in no file (SG-8).
LATEST_US = 1_000_000
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


@dataclass(frozen=True, slots=True)
class _Hole:
    """A time without sound that is over as it is noticed."""

    since: Moment
    until: Moment

    @property
    def lasted_us(self) -> int:
        return self.until.mono_us - self.since.mono_us


class SoundWatch:
    """Whether there is sound beside the pictures; told of everything that came, in any order within one look."""

    def __init__(self) -> None:
        self._condition = Condition(0)
        self._expected = False
        self._end: Moment | None = None
        self._opened: Moment | None = None
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
        self._end = self._opened = now
        self._picture = None

    def rest(self) -> None:
        """No pictures come any more, so none are without sound."""
        self._end = self._picture = None

    def look(self, found: Sequence[Given], fault: str, now: Moment) -> list[SoundNotice]:
        """What began or ended with what came by `now`; `fault` is what the microphone says itself, if anything."""
        if not self._expected:
            return []
        sounds = [one for one in found if isinstance(one, SoundUnit) and not self._is_too_late(one)]
        shown = self._see([one for one in found if isinstance(one, EncodedUnit)])
        hole = self._hear(sounds, shown)
        if hole is not None and not self._condition.raised:
            change = self._condition.update(_silent(hole.lasted_us), now, hole.since)
            self._back = hole.until
        elif why := fault or self._silence():
            self._back = None
            change = self._condition.update(why, now, self._end)
        elif self._condition.raised and self._back is None:
            return []
        else:
            change = self._condition.update(None, self._picture or now, self._back)
        self.losses += change is not None and change.lasted_us is None
        return [] if change is None else [SoundNotice(change)]

    def _is_too_late(self, unit: SoundUnit) -> bool:
        """Whether the file may have gone on without it (SG-8): what no player hears was not heard."""
        return self._picture is not None and unit.mono_us < self._picture.mono_us - LATEST_US

    def _see(self, pictures: Sequence[EncodedUnit]) -> list[Moment]:
        """Take the pictures of one look; when they and the newest before them were taken."""
        shown = sorted((Moment(one.utc_us, one.mono_us) for one in pictures), key=lambda one: one.mono_us)
        if shown and self._picture is None and self._end == self._opened:
            # The first may have waited for whoever opened the camera, or come late: silence is as old as the pictures.
            self._end = shown[0]
        shown = [self._picture, *shown] if self._picture else shown
        self._picture = max(shown, key=lambda one: one.mono_us, default=None)
        return shown

    def _hear(self, sounds: Sequence[SoundUnit], shown: Sequence[Moment]) -> _Hole | None:
        """Take the sound of one look; the first time before a piece of it in which pictures were without any."""
        hole: _Hole | None = None
        for sound in sorted(sounds, key=lambda one: one.mono_us):
            begins, end = Moment(sound.utc_us, sound.mono_us), self._end
            if hole is None and end is not None:
                silent = [one.mono_us for one in shown if end.mono_us <= one.mono_us <= begins.mono_us]
                if silent and silent[-1] - silent[0] >= SILENCE_US:
                    hole = _Hole(end, begins)
            self._back = self._back or begins
            if end is None or begins.mono_us + sound.duration_us > end.mono_us:
                self._end = Moment(begins.utc_us + sound.duration_us, begins.mono_us + sound.duration_us)
        return hole

    def _silence(self) -> str:
        """Words for pictures without sound, empty where there is sound, or it may still come."""
        if self._end is None or self._picture is None:
            return ""
        silent_us = self._picture.mono_us - self._end.mono_us
        return _silent(silent_us) if silent_us >= SILENCE_US else ""


def _silent(lasted_us: int) -> str:
    return f"no sound for {lasted_us / 1e6:.1f} s"
