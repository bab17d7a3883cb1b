"""A video file as a camera: for tests, demonstrations and repeating a real drive.

Decided here: H.264 is copied bit for bit (re-packed to Annex B, parameter sets in front of every key picture), any
other codec is encoded again; pictures come at the clip's own pace or as fast as they can be read, in both cases with
the times the drive would have had. With the option ``start_utc_us`` a restarted recorder goes on where the drive is
by the wall clock, not at its beginning. The clip's own sound comes with it (`clipsound`). With the option ``stamp`` a
clip that is encoded again carries the stamp in its pictures (`burnin`); one that is copied is not encoded for that.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from edge.camera.annexb import ParameterSets
from edge.camera.burnin import BurntStamp, stamp_text
from edge.camera.clipsound import ClipSound, sound_of
from edge.camera.drawnstamp import StampFacts
from edge.camera.encode import X264Encoder
from edge.camera.port import (
    MAX_FRAME_HEIGHT,
    MAX_FRAME_WIDTH,
    CameraFault,
    EncodedUnit,
    SmallFrame,
    SoundInfo,
    SoundUnit,
    StreamInfo,
    Taken,
)
from vedette.clock import Clock
from vedette.config import CameraSection, SoundSection
from vedette.errors import NotFound, Refused, Usage

MAX_BATCH = 16
DEFAULT_RATE = Fraction(25)
_COPIED_FORMATS = ("yuv420p", "yuvj420p")


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where media time zero is: on the device's clocks, and in this pass through the clip."""

    utc_us: int
    mono_us: int
    shift_us: int


def open_clip(config: CameraSection, clock: Clock) -> ClipCamera:
    """The clip adapter for `config`; raises Usage for options that are no numbers."""
    start = config.options.get("start_utc_us")
    if start is not None and not start.isdigit():
        raise Usage(f"[camera] options: start_utc_us is {start!r}, which is no time in microseconds")
    return ClipCamera(config, clock, start_utc_us=None if start is None else int(start))


class ClipCamera:
    """One pass, or endless passes, through a video file."""

    def __init__(self, config: CameraSection, clock: Clock, *, start_utc_us: int | None = None) -> None:
        self._config = config
        self._clock = clock
        self._start_utc_us = start_utc_us
        self._path = Path(config.source)
        self._waiting: deque[Taken] = deque()
        self._source: Iterator[Taken] = iter(())
        self._utc_us = self._mono_us = self._due_us = 0
        self._frames = 0
        self._sound: SoundSection | None = None
        text = stamp_text(config.options)
        self._stamp = None if text is None else BurntStamp(text)
        self._copies = False
        self._fault: CameraFault | None = None
        self.ended = False

    def hear(self, sound: SoundSection) -> None:
        """Bring the clip's own sound; raises Usage for a microphone."""
        if sound.adapter not in ("none", "camera"):
            raise Usage(f"[sound] adapter: a clip brings its own sound, {sound.adapter!r} is for a camera")
        self._sound = sound if sound.adapter == "camera" else None

    @property
    def is_stamped(self) -> bool:
        """Whether it draws the stamp; known once it was opened."""
        return self._stamp is not None and not self._copies

    def stamp(self, facts: StampFacts) -> None:
        """What to draw into the pictures from now on."""
        if self._stamp is not None:
            self._stamp.facts = facts

    def open(self) -> StreamInfo:
        """Open the clip. Raises NotFound when it is missing and Refused when it holds no video."""
        with _open(self._path) as container:
            stream = _video(container, self._path)
            self._width, self._height = _fit(stream.codec_context.width, stream.codec_context.height)
            self._rate = stream.average_rate or stream.guessed_rate or DEFAULT_RATE
            self._duration_us = _duration_us(container, stream)
            self._copies = stream.codec_context.name == "h264" and stream.codec_context.pix_fmt in _COPIED_FORMATS
            size = (stream.codec_context.width, stream.codec_context.height)
            heard = self._listen(container, stream)
            sound: SoundInfo | None = heard.info if heard else None
        self._utc_us, self._mono_us = self._clock.utc_us(), self._clock.mono_us()
        self._source = self._passes(self._position_us())
        width, height = size if self._copies else (self._width, self._height)
        rate = self._rate
        return StreamInfo(width=width, height=height, rate_num=rate.numerator, rate_den=rate.denominator, sound=sound)

    def read(self, timeout_s: float) -> Sequence[Taken]:
        """What is due by now; waits for the next picture up to `timeout_s` when nothing is."""
        found = self._due()
        if not found and not self.ended and timeout_s > 0:
            wait_us = self._due_us - (self._clock.mono_us() - self._mono_us)
            time.sleep(min(timeout_s, max(wait_us, 0) / 1e6))
            found = self._due()
        return found

    def close(self) -> None:
        """Close the file."""
        self._source = iter(())
        self._waiting.clear()

    def _due(self) -> list[Taken]:
        found: list[Taken] = []
        if self._fault is not None:
            self.ended = True
            raise self._fault
        while len(found) < MAX_BATCH and self._fill():
            if self._config.pace == "real" and self._due_us > self._clock.mono_us() - self._mono_us:
                break
            found.append(self._waiting.popleft())
        return found

    def _fill(self) -> bool:
        """Have the next unit or frame waiting, with `_due_us` the media time from which it may be seen."""
        if not self._waiting:
            try:
                item = next(self._source, None)
            except av.FFmpegError as error:
                # What was read before the damage is given first; the next read raises.
                self._fault = CameraFault(f"{self._path} is damaged after {self._due_us / 1e6:.1f} s: {error}")
                return False
            if item is None:
                self.ended = True
                return False
            self._waiting.append(item)
            taken_us = item.media_us if isinstance(item, SmallFrame) else item.pts_us
            self._due_us = max(self._due_us, taken_us)
        return True

    def _position_us(self) -> int:
        if self._start_utc_us is None:
            return 0
        position_us = max(0, self._utc_us - self._start_utc_us)
        return position_us % self._duration_us if self._config.loop else position_us

    def _passes(self, position_us: int) -> Iterator[Taken]:
        encoder = None if self._copies else self._encoder()
        shift_us = -position_us
        while True:
            origin = _Origin(self._utc_us, self._mono_us, shift_us)
            yield from self._one_pass(origin, position_us, encoder)
            if not self._config.loop:
                return
            shift_us, position_us = shift_us + self._duration_us, 0

    def _one_pass(self, origin: _Origin, position_us: int, encoder: X264Encoder | None) -> Iterator[Taken]:
        with _open(self._path) as container:
            stream = _video(container, self._path)
            stream.codec_context.thread_count = 1
            if position_us:
                container.seek(_ticks(position_us, stream) + (stream.start_time or 0), stream=stream)
            heard = self._listen(container, stream)
            copier = _Copier(stream, origin)
            packets: Iterator[av.Packet[Any]] = container.demux(
                [stream, *([sound] if heard and (sound := sound_of(container)) else [])]
            )
            for packet in packets:
                if packet.stream_index != stream.index:
                    yield from _heard(heard, packet, origin)
                elif encoder is None:
                    # A packet handed to the copier is emptied by it, so the decoder must see it first.
                    frames = _decode(stream, packet)
                    yield from copier.units(packet)
                    yield from self._small(frames, stream, origin)
                else:
                    yield from self._encode(packet, stream, origin, encoder)

    def _listen(self, container: InputContainer, stream: VideoStream) -> ClipSound | None:
        """The clip's sound, where it has some and it is wanted."""
        sound = sound_of(container)
        if sound is None or self._sound is None:
            return None
        zero_us = int((stream.start_time or 0) * (stream.time_base or Fraction(1, 90_000)) * 1_000_000)
        return ClipSound(sound, self._sound, zero_us=zero_us)

    def _encode(
        self, packet: av.Packet[VideoStream], stream: VideoStream, origin: _Origin, encoder: X264Encoder
    ) -> Iterator[Taken]:
        for frame in self._small(_decode(stream, packet), stream, origin):
            picture = self._stamp.burnt(frame.i420, frame.utc_us) if self._stamp else frame.i420
            yield from encoder.encode(picture, frame.media_us, utc_us=frame.utc_us, mono_us=frame.mono_us)
            yield frame

    def _small(self, frames: Sequence[av.VideoFrame], stream: VideoStream, origin: _Origin) -> Iterator[SmallFrame]:
        for frame in frames:
            media_us = _media_us(frame.pts, stream) + origin.shift_us
            if media_us < 0:
                continue
            yield SmallFrame(
                i420=_i420(frame, self._width, self._height),
                index=self._frames,
                utc_us=origin.utc_us + media_us,
                mono_us=origin.mono_us + media_us,
                media_us=media_us,
            )
            self._frames += 1

    def _encoder(self) -> X264Encoder:
        bitrate = self._config.bitrate_kbps * 1000
        return X264Encoder(self._width, self._height, self._rate, bitrate=bitrate, preset=self._config.preset)


class _Copier:
    """Re-packs the pictures of one pass to Annex B, from the first key picture on that lies in it."""

    def __init__(self, stream: VideoStream, origin: _Origin) -> None:
        self._stream, self._origin = stream, origin
        # Only H.264 can be re-packed; for another codec nothing is asked of this copier.
        is_h264 = stream.codec_context.name == "h264"
        self._to_annexb = av.BitStreamFilterContext("h264_mp4toannexb", stream) if is_h264 else None
        self._sets = ParameterSets()
        self._started = False

    def units(self, packet: av.Packet[VideoStream]) -> Iterator[EncodedUnit]:
        """The units in a packet; an empty packet ends the pass."""
        assert self._to_annexb is not None
        for out in self._to_annexb.filter(packet if packet.size else None):
            unit = _unit(out, self._stream, self._origin, self._sets)
            self._started = self._started or (unit.is_key and unit.pts_us >= 0)
            if self._started:
                yield unit


def _heard(heard: ClipSound | None, packet: av.Packet[Any], origin: _Origin) -> list[SoundUnit]:
    if heard is None:
        return []
    found = heard.units(packet, utc_us=origin.utc_us, mono_us=origin.mono_us, shift_us=origin.shift_us)
    return [one for one in found if one.pts_us >= 0]


def _unit(packet: av.Packet[VideoStream], stream: VideoStream, origin: _Origin, sets: ParameterSets) -> EncodedUnit:
    data, is_key = sets.complete(bytes(packet))
    pts_us = _media_us(packet.pts if packet.pts is not None else packet.dts, stream) + origin.shift_us
    dts_us = None if packet.dts is None else _media_us(packet.dts, stream) + origin.shift_us
    return EncodedUnit(
        data=data,
        pts_us=pts_us,
        dts_us=None if dts_us == pts_us else dts_us,
        is_key=is_key,
        utc_us=origin.utc_us + pts_us,
        mono_us=origin.mono_us + pts_us,
    )


def _open(path: Path) -> InputContainer:
    if not path.is_file():
        raise NotFound(f"the clip {path} is not there; set [camera] source to a video file")
    try:
        return av.open(str(path), "r")
    except (av.FFmpegError, OSError) as error:
        raise Refused(f"{path} is not a video that can be read: {getattr(error, 'strerror', None) or error}") from None


def _video(container: InputContainer, path: Path) -> VideoStream:
    stream = container.streams.video[0] if container.streams.video else None
    if stream is None or stream.codec_context is None or not stream.codec_context.width:
        raise Refused(f"{path} holds no video stream")
    return stream


def _decode(stream: VideoStream, packet: av.Packet[VideoStream]) -> list[av.VideoFrame]:
    try:
        return list(stream.codec_context.decode(packet))
    except av.FFmpegError:
        # A picture the reader cannot see is still recorded as it came.
        return []


def _i420(frame: av.VideoFrame, width: int, height: int) -> NDArray[np.uint8]:
    if (frame.width, frame.height, frame.format.name) != (width, height, "yuv420p"):
        frame = frame.reformat(width=width, height=height, format="yuv420p")
    return np.asarray(frame.to_ndarray(), dtype=np.uint8)


def _fit(width: int, height: int) -> tuple[int, int]:
    """The largest even size of the same shape within 1920x1080, never larger than the picture."""
    scale = min(Fraction(1), Fraction(MAX_FRAME_WIDTH, width), Fraction(MAX_FRAME_HEIGHT, height))
    return max(2, int(width * scale) // 2 * 2), max(2, int(height * scale) // 2 * 2)


def _media_us(ticks: int | None, stream: VideoStream) -> int:
    base = stream.time_base or Fraction(1, 90_000)
    return int(((ticks or 0) - (stream.start_time or 0)) * base * 1_000_000)


def _ticks(position_us: int, stream: VideoStream) -> int:
    return int(position_us / (stream.time_base or Fraction(1, 90_000)) / 1_000_000)


def _duration_us(container: InputContainer, stream: VideoStream) -> int:
    if stream.duration is not None and stream.time_base is not None:
        return max(1, int(stream.duration * stream.time_base * 1_000_000))
    return max(1, container.duration or 1)
