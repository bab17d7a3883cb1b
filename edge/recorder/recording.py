"""One recording: from activation to stop, as a row of segments.

Decided here: a segment ends at the first key unit after its time is up, so that each opens alone and none repeats a
picture, and where the camera changes its parameters, for which a decoder starts anew, or begins to bring sound; twice
a second what is written is made durable and custody says so.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace

from edge.camera.annexb import parameter_sets
from edge.camera.condition import Moment
from edge.camera.port import EncodedUnit, Recorded, SoundInfo, SoundUnit, StreamInfo
from edge.recorder.facts import Detail, SegmentFacts, facts_of
from edge.recorder.filing import Shelf
from edge.recorder.fragments import picture_size
from edge.recorder.segments import OpenFile, PartFile, SegmentWriter
from edge.recorder.stamp import Place, stamp
from edge.recorder.surroundings import Surroundings
from vedette.clock import uuid7
from vedette.sealed import Recipient
from vedette.spool import Item

CHECKPOINT_US = 500_000
SOUND_WAIT_US = 400_000
SECOND_US = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """What every segment of a recording has in common."""

    recipients: Sequence[Recipient]
    info: StreamInfo
    segment_us: int
    surroundings: Surroundings
    zone: datetime.tzinfo = datetime.timezone.utc
    open_file: OpenFile = PartFile


class Recording:
    """The recording that is running; raises OSError or Refused where the disk takes no more."""

    def __init__(self, filing: Shelf, form: Form, *, activation: str, held: bool) -> None:
        """Say in the journal that recording starts; the first key unit opens the first segment.

        `held` says that only a stop ends it, so that a recorder which died knows to go on.
        """
        self._filing = filing
        self._form = form
        self._clock = filing.journal.clock
        self.activation = activation
        self.recording_id = uuid7(self._clock)
        self.sequence = 0
        self._writer: SegmentWriter | None = None
        self._facts: SegmentFacts | None = None
        self._first: EncodedUnit | None = None
        self._info, self._sets = form.info, tuple[bytes, ...]()
        self._is_new = False
        self._synced_us = self._synced_media_us = 0
        self._sound_end_us: int | None = None
        self._held: list[tuple[EncodedUnit, bool]] = []
        self._stamped = (-1, "")
        self.items: list[tuple[Item, int]] = []
        detail: Detail = {"activation": activation, "held": held, "recording": self.recording_id}
        filing.started(detail)

    @property
    def open_media_us(self) -> int:
        """The media time in the open segment."""
        return self._writer.media_us if self._writer else 0

    @property
    def open_size_bytes(self) -> int:
        """The sealed bytes in the open segment."""
        return self._writer.size_bytes if self._writer else 0

    def deliver(self, sound: SoundInfo) -> None:
        """The camera brings this sound from here on: the next key unit begins a segment with a track for it."""
        self._info, self._is_new = replace(self._info, sound=sound), self._writer is not None

    def takes(self, unit: Recorded) -> bool:
        """True when `write` would record `unit`: the first one must be a key unit."""
        return self._writer is not None or (isinstance(unit, EncodedUnit) and unit.is_key)

    def hole_us(self, unit: EncodedUnit) -> int:
        """How much media time is in no segment where `unit` begins the next one; within a segment none is."""
        if self._first is None or not self._is_due(unit):
            return 0
        return max(0, unit.pts_us - self._first.pts_us - self.open_media_us)

    def write(self, unit: EncodedUnit, *, marked: bool) -> None:
        """Record one unit; `marked` says that it lies in a marked stretch of time."""
        if self._held or (self._is_due(unit) and self._sound_is_behind(unit)):
            self._held.append((unit, marked))
            if unit.pts_us - self._held[0][0].pts_us >= SOUND_WAIT_US:
                self._cut()
            return
        if self._is_due(unit):
            self.end_segment()
        if self.takes(unit):
            self._put(unit, marked=marked)

    def hear(self, unit: SoundUnit) -> None:
        """Record a piece of sound, in the segment whose time it belongs to."""
        self._sound_end_us = unit.end_us
        if self._held and unit.pts_us >= self._held[0][0].pts_us:
            self._cut()
        if self._writer is not None:
            self._writer.write_sound(unit)

    def keep(self, now_us: int) -> None:
        """Make what is written durable and say so in the journal: twice a second of monotonic time or of media time.

        After a stall much comes at once, and it is as old as any.
        """
        if self._writer is None or self._facts is None:
            return
        media_us = self._writer.media_us
        if now_us - self._synced_us < CHECKPOINT_US and media_us - self._synced_media_us < CHECKPOINT_US:
            return
        self._synced_us, self._synced_media_us = now_us, media_us
        self._filing.checkpoint(self._facts, self._writer.sync())

    @property
    def began(self) -> Moment | None:
        """When the open segment's first picture was taken, or None between segments."""
        return Moment(self._first.utc_us, self._first.mono_us) if self._first else None

    def mark(self) -> None:
        """Mark the open segment."""
        if self._facts is not None:
            self._facts = replace(self._facts, marked=True)

    def end_segment(self) -> None:
        """Close the open segment and file it."""
        if self._writer is None or self._facts is None or self._first is None:
            return
        finished = self._writer.finish()
        item = self._filing.closed(self._facts, finished)
        self.items += [(item, self._first.mono_us)] if item else []
        self._writer = self._facts = self._first = None
        self._filing.tidy()

    def stop(self, reason: str) -> None:
        """Close the open segment and say in the journal that recording stopped, and why."""
        if self._held:
            self._cut()
        self.end_segment()
        self._filing.stopped({"reason": reason, "recording": self.recording_id})

    def abandon(self) -> None:
        """Let go of the open segment as the disk has it; recovery files what is whole."""
        if self._writer is not None:
            self._writer.abandon()
        self._writer = self._facts = self._first = None
        self._held = []

    def _is_due(self, unit: EncodedUnit) -> bool:
        """True when a new segment begins with `unit`."""
        if not unit.is_key or self._first is None:
            return False
        is_long = unit.pts_us - self._first.pts_us >= self._form.segment_us
        return is_long or self._is_new or parameter_sets(unit.data) != self._sets

    def _sound_is_behind(self, unit: EncodedUnit) -> bool:
        """True while sound from before `unit` is still to come."""
        return self._sound_end_us is not None and 0 < unit.pts_us - self._sound_end_us < SOUND_WAIT_US

    def _cut(self) -> None:
        """End the segment where the units held since then begin, and record them in the next one."""
        self.end_segment()
        held, self._held = self._held, []
        for unit, marked in held:
            self._put(unit, marked=marked)

    def _put(self, unit: EncodedUnit, *, marked: bool) -> None:
        if self._writer is None:
            self._begin(unit, marked=marked)
        assert self._writer is not None and self._facts is not None
        if marked and not self._facts.marked:
            self.mark()
        self._writer.write(unit, self._line(unit))

    def _line(self, unit: EncodedUnit) -> str:
        """The stamp for the second of `unit`; pictures decoded later than they are shown do not turn it back."""
        second = unit.utc_us // SECOND_US
        if not 0 <= self._stamped[0] - second <= 1:
            assert self._facts is not None
            moment = self._form.surroundings.note(unit.utc_us, unit.mono_us)
            place = Place(
                device=self._filing.journal.device,
                recording=self.recording_id,
                sequence=self._facts.sequence,
                zone=self._form.zone,
            )
            line = stamp(place, moment, at_us=unit.utc_us)
            self._stamped = (second, line)
        return self._stamped[1]

    def _begin(self, unit: EncodedUnit, *, marked: bool) -> None:
        before, self._sets = self._sets, parameter_sets(unit.data)
        self._is_new = False
        if before and before != self._sets:
            width, height = picture_size(unit)
            self._info = replace(self._info, width=width, height=height)
        fix = self._form.surroundings.note(unit.utc_us, unit.mono_us).fix
        self._facts = facts_of(
            self._info,
            unit,
            item=uuid7(self._clock),
            recording=self.recording_id,
            sequence=self.sequence,
            activation=self.activation,
            marked=marked,
            satellite_time_trusted=fix.satellite_time_trusted if fix else None,
        )
        self._writer = SegmentWriter(
            self._filing.opened(self._facts),
            recipients=self._form.recipients,
            info=self._info,
            first=unit,
            open_file=self._form.open_file,
        )
        self._first = unit
        self._stamped = (-1, "")
        self.sequence += 1
        self._synced_us, self._synced_media_us = self._clock.mono_us(), 0
