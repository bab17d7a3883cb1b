"""AAC or Opus by FFmpeg's encoders, for sound that comes raw: a microphone, a clip in another codec.

Decided here: 48,000 samples a second; each coded piece carries the media time of its first sample, with the encoder's
own delay taken off. Raw sound that begins more than 10 ms after the sound before it ended counts anew from there, so a
hole stays a hole; of sound that begins more than 10 ms before that, what was heard already is left out, so no piece
begins before the end of another. A microphone whose clock drifts from the camera's is put right in steps of that size.
"""

from __future__ import annotations

import functools
from collections import deque
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from edge.camera.port import AAC, SoundInfo, SoundUnit
from vedette.config import SoundSection

RATE = 48_000
DRIFT_US, HOLE_US = 10_000, 100_000
# Times that go back by more are those of another stream.
ANEW_US = 1_000_000
_ENCODERS = {"aac": ("aac", "fltp"), "opus": ("libopus", "s16")}
_LAYOUTS = {1: "mono", 2: "stereo"}
_HALF = 32_768
_SETTLED = 16


@dataclass(frozen=True, slots=True)
class _Anchor:
    """From sample number `sample` on, samples count from these times (microseconds)."""

    sample: int
    pts_us: int
    utc_us: int
    mono_us: int


class SoundEncoder:
    """One encoder; `info` describes what comes out of it."""

    def __init__(self, sound: SoundSection) -> None:
        self._format = _ENCODERS[sound.codec][1]
        self._context = context = _context(sound.codec, RATE, sound.channels, sound.bitrate_kbps * 1000)
        self._codec, self._channels = sound.codec, sound.channels
        self._block = _block(context)
        self._waiting: NDArray[np.int16] = np.empty((0, sound.channels), dtype=np.int16)
        self._count = 0
        self._anchors: deque[_Anchor] = deque()
        config = bytes(context.extradata or b"")
        self.info = SoundInfo(
            codec=sound.codec,
            rate=RATE,
            channels=sound.channels,
            config=config,
            silence=silence(sound.codec, RATE, sound.channels),
            piece=self._block,
        )

    def encode(self, pcm: NDArray[np.int16], pts_us: int, *, utc_us: int, mono_us: int) -> list[SoundUnit]:
        """Encode raw sound, int16 of shape (samples, channels), whose first sample has these times."""
        off_us = pts_us - self._expected_us if self._anchors else HOLE_US
        if -ANEW_US < off_us < -DRIFT_US:
            pcm = pcm[-off_us * RATE // 1_000_000 :]
        elif abs(off_us) > DRIFT_US:
            if abs(off_us) >= HOLE_US:
                self._waiting = self._waiting[:0]
            self._anchors.append(_Anchor(self._count + len(self._waiting), pts_us, utc_us, mono_us))
        self._waiting = np.concatenate((self._waiting, pcm))
        found: list[SoundUnit] = []
        while len(self._waiting) >= self._block:
            packets = self._context.encode(self._frame(self._waiting[: self._block]))
            self._waiting = self._waiting[self._block :]
            found += [self._unit(packet) for packet in packets]
            self._count += self._block
        return found

    @property
    def _expected_us(self) -> int:
        """The media time at which the sound taken so far ends."""
        newest = self._anchors[-1]
        return newest.pts_us + (self._count + len(self._waiting) - newest.sample) * 1_000_000 // RATE

    def _frame(self, block: NDArray[np.int16]) -> av.AudioFrame:
        samples: NDArray[Any]
        if self._codec == AAC:
            samples = np.ascontiguousarray(block.T.astype(np.float32) / _HALF)
        else:
            samples = np.ascontiguousarray(block).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format=self._format, layout=_LAYOUTS[self._channels])
        frame.sample_rate, frame.pts = RATE, self._count
        return frame

    def _unit(self, packet: av.Packet[AudioStream]) -> SoundUnit:
        first = packet.pts or 0
        while len(self._anchors) > 1 and self._anchors[1].sample <= first:
            self._anchors.popleft()
        anchor = self._anchors[0]
        after_us = (first - anchor.sample) * 1_000_000 // RATE
        return SoundUnit(
            codec=self._codec,
            data=bytes(packet),
            pts_us=anchor.pts_us + after_us,
            duration_us=self._block * 1_000_000 // RATE,
            utc_us=anchor.utc_us + after_us,
            mono_us=anchor.mono_us + after_us,
        )


@functools.lru_cache
def silence(codec: str, rate: int, channels: int) -> bytes:
    """One coded piece in which nothing is heard, as the encoder makes it once it has settled."""
    context = _context(codec, rate, channels, 64_000)
    kind, layout = _ENCODERS[codec][1], _LAYOUTS[channels]
    block = _block(context)
    nothing = np.zeros((channels, block), np.float32) if codec == AAC else np.zeros((1, block * channels), np.int16)
    packets: list[bytes] = []
    for n in range(_SETTLED):
        frame = av.AudioFrame.from_ndarray(nothing, format=kind, layout=layout)
        frame.sample_rate, frame.pts = rate, n * block
        packets += [bytes(packet) for packet in context.encode(frame)]
    return packets[-1]


def _context(codec: str, rate: int, channels: int, bitrate: int) -> AudioCodecContext:
    name, kind = _ENCODERS[codec]
    context = av.CodecContext.create(name, "w")
    assert isinstance(context, AudioCodecContext)
    context.sample_rate, context.layout, context.format = rate, _LAYOUTS[channels], kind
    context.bit_rate = bitrate
    context.open()
    return context


def _block(context: AudioCodecContext) -> int:
    return context.frame_size or 1024
