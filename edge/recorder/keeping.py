"""What is kept: begins and ends recordings on a disk that may fill up or fail, and names every gap.

Decided here: trouble with the disk never stops the recorder. Below the configured free space the recording is closed
whole, an unmarked one before a marked one (`edge.room` has the ladder); when the disk refuses a write it is let go as
it lies and repaired once there is space again. Meanwhile the pre-event buffer goes on, so that the gap is as short as
it can be. Custody gets the gap when recording begins again. What was buffered is written in slices (`backlog`), each
made durable as it goes, and what comes meanwhile waits behind it.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge.camera.condition import Moment
from edge.camera.port import EncodedUnit, Recorded, SoundInfo, SoundUnit, StreamInfo
from edge.recorder.account import Counts, Gaps, later
from edge.recorder.backlog import Backlog
from edge.recorder.facts import Detail
from edge.recorder.filing import Filing
from edge.recorder.headroom import DISK_FAULT, DISK_FULL, Headroom
from edge.recorder.history import SERVICE_STOPPED, STATE, STOPPED, History
from edge.recorder.mute import Mute
from edge.recorder.preevent import PreEventBuffer
from edge.recorder.recording import Form, Recording
from edge.recorder.recovery import recover
from edge.recorder.retaining import Retaining, RingPolicy
from edge.recorder.surroundings import MISSING, MUTED, Surroundings
from edge.recorder.terms import Terms as Terms
from edge.ring import Claim
from edge.ring import folder_of as ring_folder
from vedette import daemon
from vedette.clock import Clock
from vedette.errors import Refused

LOOK_US = 1_000_000
RETRY_US = 2_000_000
STALL_US, HOLE_US = 1_000_000, 100_000
CAMERA_FAULT = "camera_fault"


class Keeping:
    """The recorder's disk: at most one recording, or a named trouble, and the pre-event buffer beside it."""

    def __init__(
        self, open_filing: Callable[[], Filing], spool_root: Path, clock: Clock, buffer: PreEventBuffer, terms: Terms
    ) -> None:
        """Nothing is opened yet; `repair` does, and a disk without one free byte only makes it trouble."""
        self._open_filing, self._clock = open_filing, clock
        self.buffer, self._terms = buffer, terms
        self._opened: Filing | None = None
        self._last: Moment | None = None
        self._frame_us, self._activation, self._held = 0, "", False
        self._retry_us = self._look_us = 0
        self.recording: Recording | None = None
        self.sound_is_lost = False
        self.ring = Retaining(terms.ring or RingPolicy(folder=ring_folder(spool_root)))
        self._surroundings = Surroundings(clock, terms.position)
        self._mute, self._backlog = Mute(), Backlog(clock)
        self.trouble: str | None = None
        self.headroom = Headroom(spool_root, terms)
        self.counts = Counts()
        self.gaps = Gaps(self.counts)

    def repair(self) -> History:
        """Open the journal where it is not, file what an earlier run left and return its history.

        A full or failing disk is noted, never raised. Raises Refused when the journal cannot be opened though there
        is space: another recorder runs.
        """
        history = History()
        self._open()
        with self._on_disk():
            earlier = self._filing.read_history()
            self.counts.add(recover(self._filing, earlier.segments))
            self.counts.add(self.ring.repair(self._filing, earlier))
            history = self._filing.history()
            self._filing.journal.append(STATE, detail=history.to_detail())
            self._filing.tidy()
        return history

    def _open(self) -> None:
        if self._opened is not None:
            return
        try:
            self._opened = self._open_filing()
        except (OSError, Refused) as error:
            if not self.headroom.is_gone:
                raise
            self._fail(error)

    @property
    def _filing(self) -> Filing:
        if self._opened is None:
            raise OSError(errno.ENOSPC, "the journal is not open yet")
        return self._opened

    def note(self, event: str, detail: Detail) -> None:
        """Say something in the journal, where the disk takes it."""
        with self._on_disk():
            self._filing.journal.append(event, detail=detail)

    def favour(self, is_marked: bool) -> None:
        """Say whether what is recorded now is marked, or was asked for: it may use room that the rest may not."""
        if is_marked and not self.headroom.is_marked and self.trouble == DISK_FULL:
            self._retry_us = 0
        self.headroom.is_marked = is_marked

    def opened(self, info: StreamInfo) -> None:
        """The camera is open, for the first time or again; what was buffered of it before stays."""
        self._end_ring(CAMERA_FAULT)
        self.buffer.begin(info)

    def deliver(self, sound: SoundInfo) -> None:
        """The camera, open as it was, brings this sound from here on."""
        if self._backlog:
            self._backlog.add(sound)
        else:
            self._deliver(sound)

    def _deliver(self, sound: SoundInfo) -> None:
        self.buffer.deliver(sound)
        self.ring.deliver(sound)
        if self.recording is not None:
            self.recording.deliver(sound)

    def begin(self, activation: str, *, held: bool, is_marked: Callable[[int], bool]) -> None:
        """Begin a recording with what the pre-event buffer holds; nothing happens in trouble or while one runs."""
        self._look(self._clock.mono_us())
        self.gaps.wanted()
        if self.recording is not None or self.trouble is not None:
            self.gaps.broke_off(self._now() if self.recording is None else None, self.trouble or "")
            return
        with suppress(OSError, Refused):
            self.ring.end("activation")  # What goes wrong with it must not keep a recording from beginning.
        self._activation, self._held = activation, held
        self._backlog.fill(self.buffer.take(), is_marked)
        self._catch_up()
        self.ring.activated()

    def _catch_up(self, *, wholly: bool = False) -> None:
        """Write a slice of what waits, or all of it; where the disk takes nothing it goes back into the buffer."""
        while self._backlog:
            for one in self._backlog.slice():
                if isinstance(one, StreamInfo):
                    self._begin(one)
                elif isinstance(one, SoundInfo):
                    self._deliver(one)
                else:
                    self._keep(one, marked=self._backlog.is_marked(one.mono_us))
                self._make_durable(self._clock.mono_us())
            if not wholly and self.trouble is None:
                return
            daemon.notify("WATCHDOG=1")

    def _begin(self, info: StreamInfo) -> None:
        """Begin to write what was buffered of one opening of the camera; behind another with the hole as a gap."""
        self._interrupt(CAMERA_FAULT)
        self.buffer.begin(info)
        self._frame_us, self._last = info.frame_us, None
        if self.trouble is None:
            with self._on_disk():
                form = self._form(info)
                self.recording = Recording(self._filing, form, activation=self._activation, held=self._held)

    def begin_blind(self, activation: str, *, held: bool, is_marked: Callable[[int], bool]) -> None:
        """Begin a recording while the camera is away: what was buffered before it, then a gap until it is back."""
        self.buffer.age(self._clock.mono_us())
        self.begin(activation, held=held, is_marked=is_marked)
        self.interrupt(CAMERA_FAULT)
        if self.gaps.open is None:
            self.gaps.broke_off(self._now(), CAMERA_FAULT)

    def retain(self, info: StreamInfo) -> None:
        """Keep what nobody activated, where policy says so and nothing is recorded."""
        if self.recording is None and self.trouble is None:
            with self._on_disk():
                self.ring.begin(self._filing, self._form(info))

    def claim(self, claim: Claim) -> None:
        """Recover a stretch of what nobody activated."""
        with self._on_disk():
            self.ring.claim(self._filing, claim)

    def _form(self, info: StreamInfo) -> Form:
        terms = self._terms
        return Form(recipients=terms.recipients, info=info, segment_us=terms.segment_us, open_file=terms.open_file,
                    surroundings=self._surroundings, zone=terms.zone)  # fmt: skip

    def mute(self, on: bool, by: str) -> None:
        """Begin or end the muted time: pictures go on, sound is left out, custody has who began and who ended it."""
        if self._mute.switch(on, by, now_us=self._clock.mono_us()):
            self._say_mute()

    def take(self, unit: Recorded, *, marked: bool) -> None:
        """Record `unit`, or keep it in the buffer while nothing is recorded; sound of the muted time goes nowhere."""
        if isinstance(unit, EncodedUnit):
            sound = MUTED if self._mute.by is not None else MISSING if self.sound_is_lost else ""
            self._surroundings.note(unit.utc_us, unit.mono_us, sound=sound)
        elif self._mute.covers(unit):
            return
        if self._backlog:
            self._backlog.add(unit)
        else:
            self._keep(unit, marked=marked)

    def _keep(self, unit: Recorded, *, marked: bool) -> None:
        if self.recording is None:
            self.buffer.add(unit)
            with self._on_disk():
                self.ring.take(unit)
            return
        if not self._record(self.recording, unit, marked=marked):
            self.buffer.add(unit)  # Where it is a key unit, what follows can be kept.

    def _record(self, recording: Recording, unit: Recorded, *, marked: bool) -> bool:
        """Whether the disk did not refuse `unit`."""
        is_refused = True
        with self._on_disk():
            if isinstance(unit, SoundUnit):
                recording.hear(unit)
            elif recording.takes(unit):
                # The gap is named before the picture behind it is, or a crash between the two would lose it.
                self._name_gap(unit, hole_us=recording.hole_us(unit))
                recording.write(unit, marked=marked)
                self.counts.pictures += 1
            is_refused = False
        return not is_refused

    def end(self, reason: str) -> None:
        """End the recording, and with it any gap that was still open; what nobody activated goes on after a stop."""
        self._catch_up(wholly=True)
        self._end(reason)

    def _end(self, reason: str) -> None:
        if reason != STOPPED:
            self._end_ring(reason)
        if self.recording is not None:
            with self._on_disk():
                self.recording.stop(reason)
                self._filing.tidy(all_of_it=reason != SERVICE_STOPPED)
            self._collect()
            self.recording = self._last = None
            self.ring.is_over()
        self.gaps.unwanted(self._now(), reason)
        self._settle_gap()

    def interrupt(self, why: str) -> None:
        """End the recording, which is to go on: what is missing until it does is a gap."""
        self._catch_up(wholly=True)
        self._interrupt(why)

    def _interrupt(self, why: str) -> None:
        self._end_ring(why)
        if self.recording is None:
            return
        ended = None if self._last is None else later(self._last, self._frame_us)
        gap, self.gaps.open = self.gaps.open, None
        self._end(why)
        self.gaps.open = gap or self.gaps.open
        self.gaps.broke_off(ended, why)

    def forget(self) -> None:
        """Empty the pre-event buffer."""
        self.buffer.clear()

    def _end_ring(self, reason: str) -> None:
        with self._on_disk():
            self.ring.end(reason)

    def tend(self, now_us: int, *, is_blind: bool = False) -> None:
        """Once a second make what is recorded durable and look at the free space; try to get out of trouble.

        While the camera is away (`is_blind`) the buffer grows old by itself.
        """
        self._catch_up()
        self._make_durable(now_us)
        if is_blind:
            self.buffer.age(now_us)
        if self.trouble is None:
            self._tend_kept(now_us)
        if self.trouble is not None and now_us >= self._retry_us:
            self._get_out(now_us)
        else:
            self._look(now_us)

    def _make_durable(self, now_us: int) -> None:
        if self.recording is not None:
            with self._on_disk():
                self.recording.keep(now_us)
            self._collect()

    def _tend_kept(self, now_us: int) -> None:
        with self._on_disk():
            self.buffer.tell(self._filing.journal)
            self.ring.look(now_us, self.headroom.free_bytes)
            self.ring.keep(now_us)
            item = self.ring.settle(self._filing, now_us)
            if item is not None:
                self.counts.file(item)

    def close(self) -> None:
        """Say in the journal that the service stopped, and seal what it says."""
        if self._opened is None:
            return
        with self._on_disk():
            self._filing.signed_off()
        self._opened.journal.close()
        self._opened = None

    def _look(self, now_us: int) -> None:
        """Once a second: is there still the space that must stay free?"""
        if self.trouble is not None or now_us < self._look_us:
            return
        self._look_us = now_us + LOOK_US
        if self.headroom.is_short:
            self.trouble, self._retry_us = DISK_FULL, now_us + RETRY_US
            self._interrupt(DISK_FULL)
            self._catch_up()  # Into the buffer, and not onto the disk.

    def _get_out(self, now_us: int) -> None:
        self._retry_us = now_us + RETRY_US
        if not self.headroom.has_spare:
            return
        why, self.trouble = self.trouble or DISK_FAULT, None
        history = self.repair()
        if history.last_stop is None and history.activation is not None:
            self.note("recording.stopped", {"reason": why})
            self.gaps.broke_off(history.broke_off, why)
        self._say_mute()
        self._settle_gap()

    def _say_mute(self) -> None:
        """Say in the journal that muting began or ended, as soon as the disk takes it."""
        if self.trouble is None:
            with self._on_disk():
                self._mute.say(self._filing.journal)

    def _settle_gap(self) -> None:
        """Name a gap that is over without a recording; not while the disk takes nothing."""
        if self.trouble is None:
            with self._on_disk():
                self.gaps.settle(self._filing.journal)

    def _name_gap(self, unit: EncodedUnit, *, hole_us: int) -> None:
        """Name what is missing before `unit`: a stall, or a shorter one that falls between two segments."""
        last, self._last = self._last, Moment(unit.utc_us, unit.mono_us)
        if last is not None and unit.mono_us - last.mono_us > STALL_US + self._frame_us:
            self.gaps.broke_off(later(last, self._frame_us), "camera_stalled")
        elif hole_us > HOLE_US:
            self.gaps.broke_off(later(self._last, -hole_us), "camera_stalled")
        self.gaps.write(self._filing.journal, self._last)

    def _collect(self) -> None:
        if self.recording is None:
            return
        items, self.recording.items = self.recording.items, []
        for item, began_us in items:
            self.counts.file(item)
            with suppress(OSError, Refused):  # Without it, a claim brings a stretch twice; no more than that.
                self.ring.recorded(self._filing, item, began_us)

    def _now(self) -> Moment:
        return Moment(self._clock.utc_us(), self._clock.mono_us())

    def _fail(self, error: OSError | Refused) -> None:
        """Be in trouble: the recording is let go as it lies."""
        self.trouble = self.headroom.name(error)
        self._retry_us = self._clock.mono_us() + RETRY_US
        self.ring.abandon()
        if self.recording is None:
            return
        self._collect()
        self.recording.abandon()
        self.recording = None
        if self._last is not None:
            self.gaps.broke_off(later(self._last, self._frame_us), self.trouble)

    @contextmanager
    def _on_disk(self) -> Iterator[None]:
        """Turn a disk that refuses into trouble."""
        try:
            yield
        except (OSError, Refused) as error:
            self._fail(error)
