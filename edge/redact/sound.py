"""Sound that must not be heard: its packets are replaced by packets of encoded silence, the others stay bit for bit.

Decided here: which packets a mute replaces. A packet of AAC shares its samples with its neighbours, Opus carries its
state on for up to 80 ms; so one packet before goes too, and one (AAC) or 80 ms (Opus) after. AAC-LC and Opus only;
other sound can be kept or dropped as a whole. Implements RD-13 of docs/spec/redaction.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet
from numpy.typing import NDArray

from edge.redact.plan import Mute
from vedette.errors import Refused

AAC, OPUS = "aac", "opus"
OPUS_SETTLES_US = 80_000
_OPUS_MS = {2500: "2.5", 5000: "5", 10_000: "10", 20_000: "20", 40_000: "40", 60_000: "60"}
_WARM_UP = 8


class Muter:
    """Decides for each packet of one sound track, and makes its silence."""

    def __init__(self, stream: AudioStream, mutes: Sequence[Mute]) -> None:
        """Raises Refused for sound of which no packet can be replaced by itself."""
        context = stream.codec_context
        self._codec = OPUS if context.name in (OPUS, "libopus") else context.name
        if self._codec == AAC and context.profile not in ("LC", None):
            raise Refused(f"sound of the form AAC {context.profile} cannot be muted in parts; drop it as a whole")
        if self._codec not in (AAC, OPUS):
            raise Refused(f"{self._codec} sound cannot be muted in parts; drop it as a whole")
        self._context, self._mutes = context, mutes
        self._silence: dict[int, bytes] = {}

    def hides(self, packet: Packet[AudioStream]) -> Mute | None:
        """The mute that this packet falls under, or None; Refused where it does not say when it is heard."""
        if packet.pts is None or packet.time_base is None:
            raise Refused("a packet of the sound has no time: it cannot be muted in parts; drop the sound as a whole")
        begin = packet.pts * packet.time_base * 1_000_000
        length = (packet.duration or 0) * packet.time_base * 1_000_000
        after = length if self._codec == AAC else Fraction(OPUS_SETTLES_US)
        for mute in self._mutes:
            if begin + 2 * length >= mute.from_us and begin - after <= mute.to_us:
                return mute
        return None

    def silent(self, packet: Packet[AudioStream]) -> bytes:
        """Encoded silence as long as `packet`."""
        base = packet.time_base or Fraction(1, self._context.sample_rate)
        length_us = round((packet.duration or 0) * base * 1_000_000)
        key = length_us if self._codec == OPUS else 0
        if key not in self._silence:
            self._silence[key] = self._encode(length_us)
        return self._silence[key]

    def _encode(self, length_us: int) -> bytes:
        context = av.CodecContext.create("aac" if self._codec == AAC else "libopus", "w")
        assert isinstance(context, AudioCodecContext)
        rate = self._context.sample_rate if self._codec == AAC else 48_000
        context.sample_rate, context.layout = rate, self._context.layout
        context.format = "fltp" if self._codec == AAC else "flt"
        if self._codec == OPUS:
            if length_us not in _OPUS_MS:
                raise Refused(f"an Opus packet of {length_us} us cannot be replaced; drop the sound as a whole")
            context.options = {"frame_duration": _OPUS_MS[length_us], "vbr": "on"}
        context.open()
        size, channels, made = context.frame_size or 1024, self._context.layout.nb_channels, []
        shape = (channels, size) if self._codec == AAC else (1, size * channels)
        for number in range(_WARM_UP):
            frame = AudioFrame.from_ndarray(np.zeros(shape, dtype=np.float32), format=context.format.name,
                                            layout=context.layout.name)  # fmt: skip
            frame.sample_rate, frame.pts, frame.time_base = rate, number * size, Fraction(1, rate)
            made += context.encode(frame)
        return bytes(made[-1])


def loudest(samples: NDArray[Any]) -> float:
    """The largest sample of decoded sound, 1.0 for full scale."""
    if samples.size == 0:
        return 0.0
    scale = float(np.iinfo(samples.dtype).max) if np.issubdtype(samples.dtype, np.integer) else 1.0
    return float(np.abs(samples.astype(np.float64)).max()) / scale
