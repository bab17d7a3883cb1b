"""Cameras behind GStreamer: Jetson sensors, USB and network cameras, and a test picture.

Decided here: one child (`pipeline_child`) with one pipeline (`pipelines`) and two ends, each a pipe in GDP: H.264
access units, which may queue for five seconds while the disk is slow, and I420 pictures: only the newest waits. From a
network camera that has sound a third brings its packets as they came (`rtpsound`). A microphone is no part of it: an
error of one element ends them all. Who records begins the child and looks at it again
and again (`begin`, `opened`); nobody waits for it. When the recorder dies the pipes break and the child ends by itself.
`[camera] source` is `BOARD` or `BOARD:DEVICE`. Elements: gstreamer1.0-plugins-{base,good,bad,ugly}; on Jetson those of
L4T.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import suppress

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext

from edge.camera.address import without_password
from edge.camera.annexb import ParameterSets
from edge.camera.burnin import stamp_text
from edge.camera.child import Child
from edge.camera.drawnstamp import StampFacts
from edge.camera.gdp import GdpBuffer, GdpReader
from edge.camera.pipeline_child import command
from edge.camera.pipelines import LAUNCH, is_coded, pipeline, small_size, stamp_columns
from edge.camera.port import (
    CameraFault,
    EncodedUnit,
    Given,
    SmallFrame,
    StreamInfo,
)
from edge.camera.rtpsound import RtpSound
from edge.camera_network import why_closed
from vedette.clock import Clock
from vedette.config import CameraSection, SoundSection
from vedette.errors import Integrity, NotFound, Refused

START_S, STOP_S, LOOK_S = 7.0, 2.0, 0.1
# For the first packet of sound beside a key picture; what comes meanwhile waits here and is not lost. Sound that comes
# later is said by its `SoundInfo` before it.
SOUND_US = 500_000


def open_gst(config: CameraSection, clock: Clock) -> GstCamera:
    """The GStreamer adapter for `config`; Usage for an unknown board, a strange device or size."""
    return GstCamera(config, clock, pipeline=pipeline(config))


class GstCamera:
    """A camera that a GStreamer child reads."""

    ended = False

    def __init__(self, config: CameraSection, clock: Clock, *, pipeline: str) -> None:
        self._config, self._clock, self._pipeline = config, clock, pipeline
        self._child = Child(clock)
        self._stamp, self._facts = stamp_text(config.options), b""
        self._ends: dict[int, GdpReader] = {}
        self._until_us = 0
        self._units = self._pictures = self._sounds = -1
        self._wanted: SoundSection | None = None
        self._sound: RtpSound | None = None
        self._key_us: int | None = None
        self._is_silent = False
        self._sets = ParameterSets()
        self._first: list[Given] = []
        self._base_us = 0
        self._index = 0

    def hear(self, sound: SoundSection) -> None:
        """Bring a network camera's own sound; other cameras of this kind have none."""
        if sound.adapter == "camera" and is_coded(self._config):
            self._wanted, self._pipeline = sound, pipeline(self._config, hears=True)

    def open(self) -> StreamInfo:
        """Start the pipeline and wait for its first picture.

        Raises NotFound without GStreamer, Refused with its words when the pipeline does not start.
        """
        self.begin()
        self._child.has_left(STOP_S)
        while (found := self._opened(LOOK_S)) is None:
            if not self._child.is_running and not self._child.has_left(STOP_S):
                raise Refused(f"process {self._child.leaving_pid} (GStreamer) does not end and may hold the camera")
        return found

    def begin(self) -> None:
        """Begin to start the pipeline. Raises NotFound without GStreamer."""
        if shutil.which(LAUNCH) is None:
            raise NotFound(f"{LAUNCH} is not installed; install gstreamer1.0-tools and the plugins")
        self.close()

    def opened(self) -> StreamInfo | None:
        """What comes, once the first picture has; raises Refused with GStreamer's words when none does."""
        return self._opened(0)

    def has_left(self, wait_s: float = 0.0) -> bool:
        """Whether the child that `close` ended is gone."""
        return self._child.has_left(wait_s)

    def _opened(self, timeout_s: float) -> StreamInfo | None:
        try:
            if not self._has_key(timeout_s):
                return None
        except CameraFault as error:
            self.close()
            closed = why_closed(self._config)
            why = f"{closed} ({error})" if closed else error
            raise Refused(f"the camera {without_password(self._config.source)} does not start: {why}") from None
        width, height = self._size()
        sound = self._sound.info if self._sound else None
        self._is_silent = sound is None
        return StreamInfo(width=width, height=height, rate_num=self._config.rate, rate_den=1, sound=sound)

    def _has_key(self, timeout_s: float) -> bool:
        """Start the child where none runs, and take what it gives; whether a key picture is there."""
        if not self._child.is_running:
            if not self._start():
                return False
            self._until_us = self._clock.mono_us() + int(START_S * 1e6)
        self._first += self._take(timeout_s)
        if any(isinstance(one, EncodedUnit) and one.is_key for one in self._first):
            now_us = self._clock.mono_us()
            self._key_us = now_us if self._key_us is None else self._key_us
            return self._sound is None or self._sound.info is not None or now_us - self._key_us >= SOUND_US
        if self._clock.mono_us() > self._until_us:
            raise CameraFault(f"no picture in {START_S:g} s")
        return False

    def _size(self) -> tuple[int, int]:
        """The size of the recorded pictures; a camera that codes them decides it, whatever the configuration says."""
        if not is_coded(self._config):
            return self._config.width, self._config.height
        decoder = av.CodecContext.create("h264", "r")
        assert isinstance(decoder, VideoCodecContext)
        key = next(one for one in self._first if isinstance(one, EncodedUnit) and one.is_key)
        with suppress(av.FFmpegError):
            decoder.decode(av.Packet(key.data))
        if not decoder.width:
            self.close()
            raise Refused(f"the camera {without_password(self._config.source)} sends H.264 that cannot be decoded")
        return decoder.width, decoder.height

    def read(self, timeout_s: float) -> Sequence[Given]:
        """What has arrived. Raises CameraFault when the pipeline ended, with GStreamer's own words."""
        found, self._first = self._first, []
        return found or self._take(timeout_s)

    @property
    def is_stamped(self) -> bool:
        """Whether it draws the stamp."""
        return self._stamp is not None

    def stamp(self, facts: StampFacts) -> None:
        """What to draw from now on, by the child that runs or the next one."""
        self._facts = facts.to_line()
        self._child.tell(self._facts)

    def close(self) -> None:
        """Ask the child to end; nobody waits for it (`has_left`)."""
        self._child.stop()
        self._ends, self._first, self._is_silent = {}, [], False

    def _start(self) -> bool:
        zero_us = self._clock.mono_us()

        def run(pipes: Sequence[int]) -> list[str]:
            ends = dict(zip(("units", "pictures", "sounds"), pipes, strict=False))
            return command(zero_us, self._pipeline.format(**ends).split())

        stamp = {"text": self._stamp, "columns": stamp_columns(self._config)}
        told = None if self._stamp is None else json.dumps(stamp).encode() + b"\n" + self._facts
        if not self._child.start(3 if self._wanted else 2, run, told):
            return False
        self._base_us, self._first, self._sets = zero_us, [], ParameterSets()
        self._units, self._pictures, *more = self._child.ends
        self._sounds, self._sound, self._key_us = -1, None, None
        if self._wanted is not None:
            (self._sounds,), self._sound = more, RtpSound(self._wanted)
        self._ends = {end: GdpReader() for end in self._child.ends}
        return True

    def _take(self, timeout_s: float) -> list[Given]:
        if not self._ends:
            raise CameraFault("the camera is not open")
        found: list[Given] = []
        for end in self._child.wait(timeout_s):
            if end == self._sounds:
                found += self._heard(end)
                continue
            for buffer in self._buffers(end):
                found.append(self._unit(buffer) if end == self._units else self._frame(buffer))
        return found

    def _heard(self, end: int) -> list[Given]:
        """The sound of the packets one pipe has now, and before its first, where the camera is open already, that it
        brings sound; what is wrong with it costs no picture.
        """
        packets, utc_us = self._buffers(end), self._clock.utc_us() - self._clock.mono_us()
        assert self._sound is not None
        self._sound.caps(self._ends[end].caps)
        found: list[Given] = list(self._sound.take(packets, base_us=self._base_us, utc_us=utc_us))
        if found and self._is_silent and self._sound.info is not None:
            self._is_silent = False
            found.insert(0, self._sound.info)
        return found

    def _buffers(self, end: int) -> list[GdpBuffer]:
        """The buffers one pipe has now."""
        try:
            return [buffer for data in self._child.read(end) for buffer in self._ends[end].feed(data)]
        except EOFError:
            raise CameraFault(f"GStreamer ended: {self._last_words()}") from None
        except Integrity as error:
            raise CameraFault(str(error)) from None

    def _times(self, buffer: GdpBuffer) -> tuple[int, int, int]:
        """(media, UTC, monotonic) of a buffer in microseconds.

        The pipeline counts from when the child was started; a time that lies ahead is not believed.
        """
        now_us = self._clock.mono_us()
        media_us = buffer.pts_us or 0
        self._base_us = min(now_us - media_us, self._base_us)
        mono_us = self._base_us + media_us
        return media_us, self._clock.utc_us() - (now_us - mono_us), mono_us

    def _unit(self, buffer: GdpBuffer) -> EncodedUnit:
        data, is_key = self._sets.complete(buffer.payload)
        media_us, utc_us, mono_us = self._times(buffer)
        return EncodedUnit(data=data, pts_us=media_us, is_key=is_key, utc_us=utc_us, mono_us=mono_us)

    def _frame(self, buffer: GdpBuffer) -> SmallFrame:
        width, height = small_size(self._config)
        if len(buffer.payload) != width * height * 3 // 2:
            raise CameraFault(f"a picture of {len(buffer.payload)} bytes came where {width}x{height} was expected")
        media_us, utc_us, mono_us = self._times(buffer)
        picture = np.frombuffer(buffer.payload, np.uint8).reshape(height * 3 // 2, width)
        self._index += 1
        return SmallFrame(i420=picture, index=self._index - 1, utc_us=utc_us, mono_us=mono_us, media_us=media_us)

    def _last_words(self) -> str:
        """What GStreamer said last on its way out."""
        lines = [line.strip() for line in self._child.last_words().splitlines()]
        telling = [line for word in ("ERROR: from", "ERROR", "WARNING") for line in lines if word in line]
        if telling:
            return without_password(telling[0])[:300]
        status = self._child.exit_status
        return f"exit status {status}" if status else "the camera ended its stream"
