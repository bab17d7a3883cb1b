"""The recorder: camera in, sealed segments and small frames out, whatever else on the device fails.

Decided here: what happens in one step, in which order, what sleep is for the camera, that it rests for heat where
policy says so (docs/spec/heat.md), and what the status says. What was asked for is decided in `duty`, how video is kept
in `keeping`. It talks to camera, disk and shared memory only, and waits for nobody (law 1).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from edge.board.heat import read_heat
from edge.board.position import read_fix
from edge.camera import open_camera, open_microphone
from edge.camera.condition import Moment
from edge.camera.microphone import Microphone
from edge.camera.port import Camera, EncodedUnit, Recorded, SmallFrame, SoundInfo
from edge.camera.soundwatch import LOST, SoundNotice, SoundWatch
from edge.camera.watch import CameraWatch, Notice
from edge.recorder import activation
from edge.recorder.duty import Duty, Voices
from edge.recorder.facts import Detail
from edge.recorder.filing import Filing
from edge.recorder.framebus import FrameBus
from edge.recorder.heat import Heat
from edge.recorder.history import ENDED, SERVICE_STOPPED, STOPPED, History
from edge.recorder.keeping import CAMERA_FAULT, Keeping, Terms
from edge.recorder.preevent import buffer_of
from edge.recorder.reminding import Reminding
from edge.recorder.retaining import policy_of
from edge.recorder.satellites import SatelliteTime
from edge.recorder.source import Source
from edge.recorder.storage import disk_of, storage_watch_of
from edge.recorder.telling import Telling
from edge.ring import Claim
from edge.room import read_yielding
from vedette import daemon, spool
from vedette.clock import Clock, SystemClock
from vedette.config import DeviceConfig
from vedette.custody import Journal
from vedette.errors import VedetteError
from vedette.identity import identity_of
from vedette.keys import SigningKey
from vedette.timeline_axis import STEP_US
from vedette.trust import load_trust
from vedette.zones import find_zone

FRAME_BUS = "framebus"
READ_TIMEOUT_S = 0.05
IDLE_S = 0.2
COMMANDS_US = 100_000
SECOND_US = 1_000_000
MARKS_KEPT_US = 3_600_000_000
ALIVE_US = 60_000_000
ASLEEP, THERMAL, STARTING = "asleep", "thermal", "starting"


def open_recorder(config: DeviceConfig, clock: Clock | None = None) -> RecorderService:
    """The recorder of the device that `config` describes, with its camera open.

    Raises NotFound or Refused when the camera, the keys or the trust file are missing or cannot be used.
    """
    clock = clock or SystemClock()
    camera, microphone = open_camera(config.camera, clock, config.sound), open_microphone(config.sound, clock)
    exits = config.camera.options.get("exit_at_end") == "true"
    recorder = config.recorder
    terms = Terms(
        recipients=load_trust(config.trust).segment_recipients(),
        segment_us=recorder.segment_s * SECOND_US,
        min_free_bytes=recorder.min_free_mib << 20,
        marked_min_free_bytes=recorder.marked_min_free_mib << 20,
        position=lambda at_us: read_fix(config.run, now_us=at_us),
        zone=find_zone(config.device.zone),
    )
    on_end = (lambda: signal.raise_signal(signal.SIGTERM)) if exits else (lambda: None)
    return RecorderService(config, clock, camera=camera, microphone=microphone, terms=terms, on_end=on_end)


class RecorderService:
    """The service `recorder`; a `vedette.daemon.Step`."""

    name = "recorder"

    def __init__(
        self,
        config: DeviceConfig,
        clock: Clock,
        *,
        camera: Camera,
        microphone: Microphone | None = None,
        terms: Terms,
        on_end: Callable[[], None],
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> None:
        """Open camera and journal, and repair what an earlier run left."""
        self._run, self._clock = config.run, clock
        self._read_timeout_s, self._on_end = read_timeout_s, on_end
        self._duty = Duty(config, clock, Voices(note=self._note, mute=self._mute, claim=self._claim))
        self._picture_us = self._alive_us = clock.mono_us()
        self._commands_us = self._second_us = 0
        self._offset_us = clock.utc_us() - clock.mono_us()
        self._bus = FrameBus(config.run / FRAME_BUS, is_read=config.reader.enabled)
        self._ended, self._resting, self._hot_rests = False, "", config.recorder.hot_rests
        self._heat, self._satellites = Heat(config.recorder.hot_c), SatelliteTime(terms.position)
        self._source = Source(camera, microphone, rests=self._duty.was_asleep)
        self._reminding = Reminding(config.run)
        self._telling = Telling(camera, device=config.device.id, zone=terms.zone, find_fix=terms.position)
        self._watch, self._sound_watch, self._storage = CameraWatch(), SoundWatch(), storage_watch_of(config, terms)
        self._watch.expect(self._now())
        self._keeping = self._open_keeping(config, terms)
        history = self._keeping.repair()
        self._opened()
        self._duty.resume()
        self._go_on(history)

    def step(self, now_us: int) -> float:
        """Take commands, then pictures, then look after the disk; at once again while a camera gives pictures."""
        if now_us - self._commands_us >= COMMANDS_US:
            self._commands_us = now_us
            if self._duty.take(self._picture_us):
                self._mark_open_segment()
                self._second_us = -SECOND_US  # the status says at once what became of it: somebody presses and waits
        if why := self._why_rest:
            self._rest(why)
        else:
            self._wake()
            self._telling.look(self._now(), self._keeping.recording)
        if self._resting or not self._film(now_us):
            self._decide()
        self._source.tend()
        self._keeping.tend(now_us, is_blind=self._source.info is None)
        if self._source.ended and not self._ended and not self._resting:
            self._ended = True
            self._keeping.end(ENDED)
            self._on_end()
        if now_us - self._second_us >= SECOND_US:
            self._second_us = now_us
            self._watch_clock()
            self._feel(now_us)
            self._show_life(now_us)
            self._report()
        return IDLE_S if self._ended or self._source.info is None else 0.0

    def close(self) -> None:
        """End the recording and the journal's file; both are complete items afterwards."""
        self._source.close()
        self._duty.sign_off()
        self._tell(self._reminding.end(SERVICE_STOPPED))
        self._keeping.end(SERVICE_STOPPED)
        self._keeping.close()
        self._bus.close()
        self._report()
        self._source.see_off()

    def _open_keeping(self, config: DeviceConfig, terms: Terms) -> Keeping:
        key = SigningKey.load(config.keys / "sign.pem")
        custody_recipients = load_trust(config.trust).lead_recipients()

        def open_filing() -> Filing:
            spool.make_folders(config.spool)
            journal = Journal.open(
                config.journals / self.name,
                service=self.name,
                device=config.device.id,
                key=key,
                clock=self._clock,
            )
            return Filing(config.spool, journal, custody_recipients=custody_recipients, identity=identity_of(config))

        buffer, terms = buffer_of(config), replace(terms, ring=policy_of(config))
        return Keeping(open_filing, config.spool, self._clock, buffer, terms)

    def _go_on(self, history: History) -> None:
        """Take up what a run before this one was doing, with the gap since it stopped; asleep there is nothing."""
        duty, most_us = self._duty, self._keeping.buffer.length_us
        if history.lost_buffer and most_us:
            self._note("pre_event.lost", {"most_us": most_us})
        if duty.modes.sleep:
            return
        if duty.policy.always or history.is_owed:
            why = history.last_stop if history.was_recording else None
            self._keeping.gaps.broke_off(history.broke_off, why or "killed")
        duty.go_on(history, self._now())
        if history.is_owed and duty.wanted is None:
            # Its hours ended meanwhile, or it was asked to stop, and nothing else asked for this recording.
            self._keeping.end(STOPPED)

    def _now(self) -> Moment:
        return Moment(self._clock.utc_us(), self._clock.mono_us())

    def _note(self, event: str, detail: Detail) -> None:
        self._keeping.note(event, detail)

    def _mute(self, on: bool, by: str) -> None:
        self._keeping.mute(on, by)

    def _claim(self, claim: Claim) -> None:
        self._keeping.claim(claim)

    @property
    def _why_rest(self) -> str:
        """Why the camera is to rest, empty where it is not: put to sleep, or hot while nothing is activated."""
        if self._duty.modes.sleep:
            return ASLEEP
        return THERMAL if self._hot_rests and self._heat.is_hot and not self._duty.is_held else ""

    def _feel(self, now_us: int) -> None:
        """Say into custody that the board got hot, that time from satellites is not trusted, how one is reminded."""
        now = Moment(self._clock.utc_us(), now_us)
        measured = read_heat(self._run, now_us=now.utc_us)
        self._tell((*self._heat.look(measured, now), *self._satellites.look(now)))
        is_recording, can_say = self._state_name() == "recording", self._keeping.trouble is None
        stealth = self._duty.modes.stealth
        self._tell(self._reminding.look(now, recording=is_recording, stealth=stealth, can_say=can_say))

    def _tell(self, said: Sequence[tuple[str, Detail]]) -> None:
        for event, detail in said:
            self._keeping.note(event, detail)

    def _rest(self, why: str) -> None:
        """End what is recorded, forget what is buffered, let go of the camera; once."""
        before, self._resting = self._resting, why
        if why == THERMAL:
            # Without pictures time goes on by itself: an activation counts from when it comes.
            self._picture_us = max(self._picture_us, self._clock.mono_us())
        if why != before:
            self._say_rest(before, "sleep")
            if why == THERMAL:
                self._keeping.note("rest.began", {"why": THERMAL})
        if not before:
            self._keeping.end(why)
            self._keeping.forget()
            self._source.rest()
            self._watch.rest()
            self._sound_watch.rest()

    def _say_rest(self, before: str, by: str) -> None:
        if before == THERMAL:
            self._keeping.note("rest.ended", {"by": by})

    def _wake(self) -> None:
        """Awake again: time goes on, and what is wanted from now on and not there yet is a gap."""
        if self._resting:
            self._say_rest(self._resting, self._duty.state.held_by or self._duty.state.kept_by or "cooler")
            self._resting = ""
            now = self._now()
            self._picture_us = max(self._picture_us, now.mono_us)
            self._watch.expect(now)
            if self._duty.wanted is not None:
                self._keeping.gaps.broke_off(now, "waking")

    def _mark_open_segment(self) -> None:
        recording = self._keeping.recording
        began = recording.began if recording else None
        if recording and began:
            end_us = began.mono_us + recording.open_media_us
            if activation.is_marked(self._duty.state, from_us=began.mono_us, to_us=end_us):
                recording.mark()

    def _film(self, now_us: int) -> bool:
        """Take what the camera has; True where there was a coded picture, with which it was decided what to record."""
        try:
            if self._source.mend(now_us):
                self._opened()
            found = self._source.read(self._read_timeout_s, now_us)
        except VedetteError as error:
            self._say(self._watch.lost(error, Moment(self._clock.utc_us(), now_us)))
            self._sound_watch.rest()
            self._keeping.interrupt(CAMERA_FAULT)
            return False
        for one in found:
            if isinstance(one, SmallFrame):
                self._bus.publish(one)
                self._say(self._watch.picture(one))
            elif isinstance(one, SoundInfo):
                self._keeping.deliver(one)
                self._sound_watch.expect(self._now(), is_expected=True)
            else:
                self._take(one)
        self._say(self._sound_watch.look(found, self._source.sound_fault, self._now()))
        self._keeping.sound_is_lost = self._sound_watch.state == LOST
        return any(isinstance(one, EncodedUnit) for one in found)

    def _opened(self) -> None:
        """The camera is open, for the first time or again."""
        if self._source.info is not None:
            self._keeping.opened(self._source.info)
            self._sound_watch.expect(self._now(), is_expected=self._source.info.sound is not None)

    def _say(self, notices: Sequence[Notice | SoundNotice]) -> None:
        """Write into custody what began and ended to be wrong with camera and sound; the status says so at once."""
        for one in notices:
            self._keeping.note(one.event, one.to_detail())
            self._second_us = -SECOND_US

    def _take(self, unit: Recorded) -> None:
        if isinstance(unit, EncodedUnit):
            self._say(self._watch.unit(unit))
            self._picture_us = max(self._picture_us, unit.mono_us)
            self._decide()
        self._keeping.take(unit, marked=self._is_marked(unit.mono_us))

    def _is_marked(self, at_us: int) -> bool:
        return activation.is_marked(self._duty.state, from_us=at_us, to_us=at_us)

    def _decide(self) -> None:
        """Begin or end the recording as the rules want it now."""
        oldest_us = self._picture_us - MARKS_KEPT_US
        self._duty.tick(self._picture_us, oldest_us=oldest_us, mono_us=self._clock.mono_us())
        why = self._duty.wanted
        is_asked = self._duty.policy.always is None or self._duty.is_held
        self._keeping.favour(is_asked or self._is_marked(self._picture_us))
        if self._ended or self._resting:
            return
        if why is None:
            self._keeping.end(STOPPED)
            if self._source.info is not None:
                self._keeping.retain(self._source.info)
        elif self._keeping.recording is None:
            self._begin(why)

    def _begin(self, why: str) -> None:
        """Begin to record, as far as there is a camera."""
        held = self._duty.policy.always is not None or self._duty.state.held_by is not None
        if self._source.info is not None:
            self._keeping.begin(why, held=held, is_marked=self._is_marked)
        elif self._source.is_broken and not self._keeping.gaps.is_counting:
            self._keeping.begin_blind(why, held=held, is_marked=self._is_marked)
        elif self._duty.policy.always is None:
            self._keeping.gaps.broke_off(self._now(), STARTING)

    def _watch_clock(self) -> None:
        """Say into custody that the wall clock was set, though nothing is recorded (TI-27)."""
        now = self._now()
        by_us, self._offset_us = now.utc_us - now.mono_us - self._offset_us, now.utc_us - now.mono_us
        if abs(by_us) > STEP_US:
            self._keeping.note("time.stepped", {"by_us": by_us, "source": self._clock.quality().source})

    def _show_life(self, now_us: int) -> None:
        """Once a minute without a recording a line in custody: if this run dies, it says until when it lived."""
        if self._keeping.recording is not None:
            self._alive_us = now_us
        elif now_us - self._alive_us >= ALIVE_US:
            self._alive_us = now_us
            self._keeping.note("recorder.alive", {"state": self._state_name()})

    def _report(self) -> None:
        recording, duty = self._keeping.recording, self._duty
        media_us, size_bytes = (recording.open_media_us, recording.open_size_bytes) if recording else (0, 0)
        kept = self._keeping.counts.told(open_media_us=media_us, open_bytes=size_bytes)
        utc_us = self._clock.utc_us()
        yielding = read_yielding(self._run, now_us=utc_us)
        disk = disk_of(self._keeping, kept, is_continuous=duty.policy.always is not None, yielding_bytes=yielding)
        self._storage.look(disk, utc_us=utc_us)
        with suppress(OSError):
            daemon.write_status(
                self._run,
                self.name,
                {
                    **kept,
                    **self._storage.told(),
                    "pid": os.getpid(),
                    "utc_us": utc_us,
                    "state": self._state_name(),
                    "activation": recording.activation if recording else None,
                    "recording": recording.recording_id if recording else None,
                    "camera": self._watch.condition,
                    "camera_faults": self._watch.faults,
                    "sound": self._sound_watch.state,
                    "sound_missing": self._sound_watch.state == LOST and not duty.modes.sleep,
                    "sound_losses": self._sound_watch.losses,
                    "free_mib": self._keeping.headroom.free_bytes() >> 20,
                    "frames": self._bus.pictures,
                    "bad_commands": duty.bad_commands,
                    "held": duty.state.held_by is not None,
                    "active": duty.is_held,
                    "stealth": duty.modes.stealth,
                    "muted": duty.modes.mute,
                    "asleep": duty.modes.sleep,
                    "retaining": self._keeping.ring.is_on,
                    "claims": self._keeping.ring.waiting,
                    "pre_event_held_s": self._keeping.buffer.held_us // SECOND_US,
                    "pre_event_short": self._keeping.buffer.is_short,
                },
            )

    def _state_name(self) -> str:
        if self._keeping.trouble is not None:
            return self._keeping.trouble
        if self._ended:
            return "ended"
        if self._resting:
            return self._resting
        if self._source.info is None:
            return CAMERA_FAULT if self._source.is_broken else STARTING
        return "recording" if self._keeping.recording else "standby"
