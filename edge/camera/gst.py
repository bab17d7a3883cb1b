"""Cameras behind GStreamer: Jetson sensors, USB and network cameras, and a test picture.

Decided here: one `gst-launch-1.0` child with one pipeline (`pipelines`) and two ends, each a pipe in GDP: H.264 access
units, which may queue for five seconds while the disk is slow, and I420 pictures, of which only the newest waits. A
microphone is a third end of the same pipeline, so that one clock times both; it comes raw and is encoded here
(`sound`). Where it does not start the pictures come without it. When the recorder dies the pipes break and the child
ends by itself. `[camera] source` is `BOARD` or `BOARD:DEVICE`. Elements: gstreamer1.0-plugins-{base,good,bad,ugly}; on
Jetson those of L4T.
"""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext

from edge.camera.annexb import ParameterSets
from edge.camera.gdp import GdpBuffer, GdpReader
from edge.camera.pipelines import MICROPHONES, is_coded, microphone, pipeline, small_size, without_password
from edge.camera.port import (
    CameraFault,
    EncodedUnit,
    Given,
    SmallFrame,
    SoundUnit,
    StreamInfo,
)
from edge.camera.sound import SoundEncoder
from vedette.clock import Clock
from vedette.config import CameraSection, SoundSection
from vedette.errors import Integrity, NotFound, Refused

LAUNCH = "gst-launch-1.0"
# Twice both, with and without a microphone, is less than the recorder's watchdog waits.
START_S = 7.0
STOP_S = 2.0
PIPE_BYTES = 1 << 20
MAX_ERROR_BYTES = 4096
MAX_READS = 64


def open_gst(config: CameraSection, clock: Clock) -> GstCamera:
    """The GStreamer adapter for `config`; Usage for an unknown board, a strange device or size."""
    return GstCamera(config, clock, pipeline=pipeline(config))


class GstCamera:
    """A camera that a GStreamer child reads."""

    ended = False

    def __init__(self, config: CameraSection, clock: Clock, *, pipeline: str) -> None:
        self._config, self._clock, self._pipeline = config, clock, pipeline
        self._child: subprocess.Popen[bytes] | None = None
        self._ends: dict[int, GdpReader] = {}
        self._units = self._pictures = self._sounds = -1
        self._sound: SoundSection | None = None
        self._encoder: SoundEncoder | None = None
        self._sets = ParameterSets()
        self._first: list[Given] = []
        self._base_us: int | None = None
        self._index = 0

    def hear(self, sound: SoundSection) -> None:
        """Bring a microphone's sound; raises Usage for the name of one that cannot be."""
        self._sound = sound if sound.adapter in MICROPHONES else None
        if self._sound is not None:
            microphone(self._sound)

    def open(self) -> StreamInfo:
        """Start the pipeline and wait for its first picture; without its microphone where it does not start with it.

        Raises NotFound without GStreamer, Refused with its words when the pipeline does not start.
        """
        if shutil.which(LAUNCH) is None:
            raise NotFound(f"{LAUNCH} is not installed; install gstreamer1.0-tools and the plugins")
        try:
            self._begin(self._sound)
        except Refused:
            if self._sound is None:
                raise
            # A microphone that is missing must not cost the pictures.
            self._begin(None)
        width, height = self._size()
        return StreamInfo(
            width=width,
            height=height,
            rate_num=self._config.rate,
            rate_den=1,
            sound=self._encoder.info if self._encoder else None,
        )

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

    def _begin(self, sound: SoundSection | None) -> None:
        self.close()
        self._start(sound)
        until_us = self._clock.mono_us() + int(START_S * 1e6)
        try:
            while not any(isinstance(one, EncodedUnit) and one.is_key for one in self._first):
                if self._clock.mono_us() > until_us:
                    raise CameraFault(f"no picture in {START_S:g} s")
                self._first += self._take(0.1)
        except CameraFault as error:
            self.close()
            named = without_password(self._config.source)
            raise Refused(f"the camera {named} does not start: {error}") from None

    def read(self, timeout_s: float) -> Sequence[Given]:
        """What has arrived. Raises CameraFault when the pipeline ended, with GStreamer's own words."""
        found, self._first = self._first, []
        return found or self._take(timeout_s)

    def close(self) -> None:
        """Stop the child and wait for it."""
        for end in self._ends:
            os.close(end)
        self._ends = {}
        child, self._child = self._child, None
        if child is None:
            return
        child.send_signal(signal.SIGINT)
        try:
            child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stderr is not None:
            child.stderr.close()

    def _start(self, sound: SoundSection | None) -> None:
        self._base_us, self._first, self._sets = None, [], ParameterSets()
        self._encoder = SoundEncoder(sound) if sound else None
        pipes = [os.pipe() for _ in range(3 if sound else 2)]
        self._units, self._pictures, self._sounds = [*(read for read, _ in pipes), -1][:3]
        self._ends = {read: GdpReader() for read, _ in pipes}
        for end in self._ends:
            os.set_blocking(end, False)
            with suppress(OSError):
                fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        numbers = dict(zip(("units", "pictures", "sounds"), (write for _, write in pipes), strict=False))
        words = (self._pipeline + (microphone(sound) if sound else "")).format(**numbers).split()
        try:
            self._child = subprocess.Popen(
                [LAUNCH, "-q", *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=tuple(numbers.values()),
            )
        finally:
            for write in numbers.values():
                os.close(write)
        assert self._child.stderr is not None
        os.set_blocking(self._child.stderr.fileno(), False)

    def _take(self, timeout_s: float) -> list[Given]:
        if not self._ends:
            raise CameraFault("the camera is not open")
        found: list[Given] = []
        ready, _, _ = select.select(list(self._ends), [], [], timeout_s)
        for end in ready:
            for buffer in self._buffers(end):
                if end == self._sounds:
                    found += self._heard(buffer)
                else:
                    found.append(self._unit(buffer) if end == self._units else self._frame(buffer))
        return found

    def _buffers(self, end: int) -> list[GdpBuffer]:
        """The buffers one pipe has now, a bounded number of reads at a time."""
        found: list[GdpBuffer] = []
        for _ in range(MAX_READS):
            try:
                data = os.read(end, PIPE_BYTES)
            except BlockingIOError:
                break
            if not data and not found:
                raise CameraFault(f"GStreamer ended: {self._last_words()}")
            if not data:
                break
            try:
                found += self._ends[end].feed(data)
            except Integrity as error:
                raise CameraFault(str(error)) from None
        return found

    def _times(self, buffer: GdpBuffer) -> tuple[int, int, int]:
        """(media, UTC, monotonic) of a buffer in microseconds.

        The pipeline's clock is the monotonic clock from another zero; the least delayed buffer so far tells where.
        """
        now_us = self._clock.mono_us()
        media_us = buffer.pts_us or 0
        self._base_us = min(now_us - media_us, self._base_us if self._base_us is not None else now_us)
        mono_us = self._base_us + media_us
        return media_us, self._clock.utc_us() - (now_us - mono_us), mono_us

    def _unit(self, buffer: GdpBuffer) -> EncodedUnit:
        data, is_key = self._sets.complete(buffer.payload)
        media_us, utc_us, mono_us = self._times(buffer)
        return EncodedUnit(data=data, pts_us=media_us, is_key=is_key, utc_us=utc_us, mono_us=mono_us)

    def _heard(self, buffer: GdpBuffer) -> list[SoundUnit]:
        if self._encoder is None:
            return []
        pcm = np.frombuffer(buffer.payload, "<i2").reshape(-1, self._encoder.info.channels)
        media_us, utc_us, mono_us = self._times(buffer)
        return self._encoder.encode(pcm, media_us, utc_us=utc_us, mono_us=mono_us)

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
        child = self._child
        if child is None or child.stderr is None:
            return "no reason given"
        with suppress(subprocess.TimeoutExpired):
            child.wait(1.0)
        said = (child.stderr.read(MAX_ERROR_BYTES) or b"").decode("utf-8", "replace")
        lines = [line.strip() for line in said.splitlines()]
        telling = [line for word in ("ERROR: from", "ERROR", "WARNING") for line in lines if word in line]
        if telling:
            return without_password(telling[0])[:300]
        return f"exit status {child.returncode}" if child.returncode else "the camera ended its stream"
