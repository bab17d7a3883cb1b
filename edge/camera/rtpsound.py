"""The sound that a network camera sends beside its pictures, out of the RTP packets as they came.

Decided here: the pipeline hands the packets on as they are, with the times that it gave them, which are those of the
pictures too (both go by the camera's own reports of its clock), so that no sound that cannot be decoded, and no decoder
that is missing, can end the pictures. Taken are PCMU, PCMA, AAC (mpeg4-generic) and Opus; other sound is left out, and
the stream then has none. It is decoded, and encoded again as `[sound]` says; a packet that cannot be decoded is a hole.
Formats: RFC 3550 (the header), RFC 3551, RFC 3640 (AAC, in its high bit rate mode), RFC 7587 (Opus).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from edge.camera.gdp import GdpBuffer
from edge.camera.port import SoundInfo, SoundUnit
from edge.camera.sound import RATE, SoundEncoder
from edge.camera.soundclock import Heard, SoundClock
from vedette.config import SoundSection
from vedette.errors import Refused

MAX_CHANNELS = 2
_FIELD = re.compile(r"([a-z0-9-]+)=\([a-z]+\)\"?([A-Za-z0-9/._+-]+)")
_HEADER_BYTES, _WORD_BYTES = 12, 4
_AU_HEADER_BITS, _AU_SIZE_SHIFT = 16, 3
_LAYOUTS = {1: "mono", 2: "stereo"}
_DECODERS = {"pcmu": "pcm_mulaw", "pcma": "pcm_alaw", "mpeg4-generic": "aac", "opus": "libopus"}


@dataclass(frozen=True, kw_only=True, slots=True)
class RtpForm:
    """What a stream of sound is: `codec` is FFmpeg's name of the decoder."""

    codec: str
    rate: int
    channels: int
    config: bytes = b""


def parse_form(caps: str) -> RtpForm | None:
    """The form that GStreamer's caps of the packets name; None where it is none that is taken here."""
    fields = {name: value.lower() for name, value in _FIELD.findall(caps)}
    codec, rate = _DECODERS.get(fields.get("encoding-name", "")), fields.get("clock-rate", "")
    channels = fields.get("encoding-params", "1")
    if codec is None or not rate.isdecimal() or not channels.isdecimal() or not 1 <= int(channels) <= MAX_CHANNELS:
        return None
    config = fields.get("config", "")
    if codec == "aac":
        is_known = (fields.get("sizelength"), fields.get("indexlength")) == ("13", "3")
        if not is_known or not re.fullmatch(r"([0-9a-f]{2}){2,64}", config):
            return None
        return RtpForm(codec=codec, rate=int(rate), channels=int(channels), config=bytes.fromhex(config))
    return RtpForm(codec=codec, rate=int(rate), channels=int(channels))


def payload_of(packet: bytes) -> bytes:
    """What an RTP packet carries; empty where it is none of version 2, or cut."""
    if len(packet) < _HEADER_BYTES or packet[0] >> 6 != 2:
        return b""
    start, end = _HEADER_BYTES + _WORD_BYTES * (packet[0] & 0x0F), len(packet)
    if packet[0] & 0x10:
        start += _WORD_BYTES + _WORD_BYTES * int.from_bytes(packet[start + 2 : start + 4], "big")
    if packet[0] & 0x20:
        end -= packet[-1]
    return packet[start:end]


def access_units(payload: bytes) -> list[bytes]:
    """The whole pieces of AAC in a payload of RFC 3640 (sizes of 13 bits); one that goes on in the next is left out."""
    bits = int.from_bytes(payload[:2], "big")
    count, place = bits // _AU_HEADER_BITS, 2 + (bits + 7) // 8
    found = []
    for number in range(count):
        size = int.from_bytes(payload[2 + 2 * number : 4 + 2 * number], "big") >> _AU_SIZE_SHIFT
        piece = payload[place : place + size]
        if not size or len(piece) != size:
            break
        found.append(piece)
        place += size
    return found


class RtpSound:
    """One camera's sound from one opening of it to the next; `info` is None until it is known that there is any."""

    def __init__(self, sound: SoundSection) -> None:
        self._sound = sound
        self._caps = ""
        self._decoder: AudioCodecContext | None = None
        self._is_aac = False
        self._resampler = AudioResampler(format="s16", layout=_LAYOUTS[sound.channels], rate=RATE)
        self._encoder, self._times = SoundEncoder(sound), SoundClock(RATE)
        self.info: SoundInfo | None = None

    def caps(self, caps: str) -> None:
        """What the packets from now on are; said again it changes nothing."""
        if caps == self._caps:
            return
        self._caps = caps
        form = parse_form(caps)
        self._decoder = _decoder(form) if form else None
        self._is_aac = form is not None and form.codec == "aac"
        self.info = self._encoder.info if self._decoder else None

    def take(self, packets: Sequence[GdpBuffer], *, base_us: int, utc_us: int) -> list[SoundUnit]:
        """The pieces of sound that these packets complete.

        `base_us` is the monotonic time of media time zero, `utc_us` the wall clock at monotonic zero. Where the
        camera's times go back it is placed anew.
        """
        heard = [one for packet in packets for one in self._heard(packet, base_us)]
        found: list[SoundUnit] = []
        try:
            placed = self._times.take(heard)
        except Refused:
            self._times, placed = SoundClock(RATE), []
        for one in placed:
            pcm = np.frombuffer(one.payload, np.int16).reshape(-1, self._sound.channels)
            found += self._encoder.encode(pcm, one.mono_us - base_us, utc_us=utc_us + one.mono_us, mono_us=one.mono_us)
        return found

    def _heard(self, packet: GdpBuffer, base_us: int) -> list[Heard]:
        """The raw sound of a packet, with the monotonic time of its first sample."""
        if self._decoder is None or packet.pts_us is None:
            return []
        payload = payload_of(packet.payload)
        pcm = self._decoded(access_units(payload) if self._is_aac else [payload])
        return [Heard(pcm.tobytes(), len(pcm), base_us + packet.pts_us)] if len(pcm) else []

    def _decoded(self, pieces: Sequence[bytes]) -> NDArray[np.int16]:
        parts: list[NDArray[np.int16]] = [np.empty((0, self._sound.channels), np.int16)]
        assert self._decoder is not None
        for piece in (one for one in pieces if one):
            try:
                frames = [one for frame in self._decoder.decode(av.Packet(piece)) for one in self._resampled(frame)]
            except av.FFmpegError:
                continue
            parts += [np.asarray(one.to_ndarray(), np.int16).reshape(-1, self._sound.channels) for one in frames]
        return np.concatenate(parts)

    def _resampled(self, frame: av.AudioFrame) -> list[av.AudioFrame]:
        # Time is counted by `soundclock`; the resampler would fill what it takes for holes.
        frame.pts = None
        return self._resampler.resample(frame)


def _decoder(form: RtpForm) -> AudioCodecContext | None:
    """A decoder for `form`, None where FFmpeg has none."""
    try:
        context = av.CodecContext.create(form.codec, "r")
        assert isinstance(context, AudioCodecContext)
        context.sample_rate, context.layout = form.rate, _LAYOUTS[form.channels]
        if form.config:
            context.extradata = form.config
        context.open()
    except (av.FFmpegError, ValueError):
        return None
    return context
