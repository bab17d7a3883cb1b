"""A clip's own sound track, on the media time of its pictures.

Decided here: AAC and Opus are copied as they are where their configuration stands in the clip's header; everything
else (MP3, PCM, AAC from a broadcast stream) is encoded again as `[sound]` says.
"""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer

from edge.camera.port import AAC, OPUS, SoundInfo, SoundUnit
from edge.camera.sound import RATE, SoundEncoder, silence
from vedette.config import SoundSection

_FORMATS = {1: "mono", 2: "stereo"}
_OPUS_FAMILY_BYTE = 18
_AAC_LC, _SHORT_BLOCKS = 2, 0b100


def sound_of(container: InputContainer) -> AudioStream | None:
    """The first sound track of a clip, or None."""
    return container.streams.audio[0] if container.streams.audio else None


def copied_info(stream: AudioStream) -> SoundInfo | None:
    """What a track that can be copied looks like, None where it must be encoded again."""
    context = stream.codec_context
    config, channels = bytes(context.extradata or b""), context.channels
    if context.name == AAC and config:
        # Only plain AAC of 1024 samples has a silence that is known here.
        is_plain = config[0] >> 3 == _AAC_LC and not config[1] & _SHORT_BLOCKS and channels in _FORMATS
        nothing = silence(AAC, context.sample_rate, channels) if is_plain else b""
        return SoundInfo(codec=AAC, rate=context.sample_rate, channels=channels, config=config, silence=nothing)
    if context.name in (OPUS, "libopus") and config[_OPUS_FAMILY_BYTE : _OPUS_FAMILY_BYTE + 1] == b"\x00":
        nothing = silence(OPUS, RATE, channels)
        return SoundInfo(codec=OPUS, rate=RATE, channels=channels, config=config, silence=nothing, piece=RATE // 50)
    return None


class ClipSound:
    """The sound of one pass through a clip; `zero_us` is the time within the clip at which its pictures begin."""

    def __init__(self, stream: AudioStream, sound: SoundSection, *, zero_us: int) -> None:
        self._stream, self._zero_us, self._channels = stream, zero_us, sound.channels
        self._copied = copied_info(stream)
        self._encoder = None if self._copied else SoundEncoder(sound)
        self._resampler = AudioResampler(format="s16", layout=_FORMATS[sound.channels], rate=RATE)
        self.info = self._copied or (self._encoder.info if self._encoder else None)

    def units(self, packet: av.Packet[AudioStream], *, utc_us: int, mono_us: int, shift_us: int) -> list[SoundUnit]:
        """The pieces of sound that a packet gives, on media time; the clock times are those of media time zero."""
        if self._copied is None:
            return self._encoded(packet, utc_us, mono_us, shift_us)
        if packet.pts is None or not packet.size:
            return []
        pts_us = self._media_us(packet.pts, packet.time_base) + shift_us
        return [
            SoundUnit(
                codec=self._copied.codec,
                data=bytes(packet),
                pts_us=pts_us,
                duration_us=round((packet.duration or 0) * (packet.time_base or 0) * 1_000_000),
                utc_us=utc_us + pts_us,
                mono_us=mono_us + pts_us,
            )
        ]

    def _encoded(self, packet: av.Packet[AudioStream], utc_us: int, mono_us: int, shift_us: int) -> list[SoundUnit]:
        found: list[SoundUnit] = []
        assert self._encoder is not None
        try:
            frames = [
                part for frame in self._stream.codec_context.decode(packet) for part in self._resampler.resample(frame)
            ]
        except av.FFmpegError:
            # A damaged piece of sound is a hole in the sound and nothing else.
            return []
        for frame in frames:
            if frame.pts is None:
                continue
            pts_us = self._media_us(frame.pts, frame.time_base) + shift_us
            pcm = np.asarray(frame.to_ndarray(), np.int16).reshape(-1, self._channels)
            found += self._encoder.encode(pcm, pts_us, utc_us=utc_us + pts_us, mono_us=mono_us + pts_us)
        return found

    def _media_us(self, ticks: int, base: Fraction | None) -> int:
        return int(ticks * (base or Fraction(1, RATE)) * 1_000_000) - self._zero_us
