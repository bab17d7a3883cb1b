"""H.264 by libx264, for cameras that deliver raw pictures: a clip in another codec, the drawn street.

Decided here: no B-frames and no look-ahead, so one picture in is one access unit out; a key picture every second,
which bounds how exactly a recording can be cut; parameter sets in-band on every key picture.
"""

from __future__ import annotations

from collections import OrderedDict
from fractions import Fraction

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream
from numpy.typing import NDArray

from edge.camera.port import EncodedUnit
from vedette.errors import Refused

KEY_INTERVAL_S = 1
MAX_WIDTH, MAX_HEIGHT = 4096, 2304
PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium")


class X264Encoder:
    """libx264 in low-latency form; `bitrate` in bits per second, `rate` in pictures per second."""

    def __init__(
        self,
        width: int,
        height: int,
        rate: Fraction | int,
        *,
        bitrate: int = 4_000_000,
        preset: str = "superfast",
        threads: int = 1,
    ) -> None:
        """Raises Refused for a size libx264 cannot take (odd, empty, too large), an unknown preset or rate."""
        _check(width, height, Fraction(rate), preset)
        self._shape = (height * 3 // 2, width)
        self._waiting: OrderedDict[int, tuple[int, int]] = OrderedDict()
        context = av.CodecContext.create("libx264", "w")
        assert isinstance(context, VideoCodecContext)
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base = Fraction(1, 1_000_000)
        context.framerate = Fraction(rate)
        context.bit_rate = bitrate
        context.gop_size = max(1, round(Fraction(rate) * KEY_INTERVAL_S))
        context.max_b_frames = 0
        context.thread_count = threads
        context.options = {"preset": preset, "tune": "zerolatency", "forced-idr": "1"}
        self._context = context

    def encode(self, i420: NDArray[np.uint8], pts_us: int, *, utc_us: int = 0, mono_us: int = 0) -> list[EncodedUnit]:
        """Encode one picture, uint8 of shape (height * 3 // 2, width); ``pts_us`` must rise from call to call."""
        if i420.shape != self._shape:
            raise ValueError(f"a picture of shape {i420.shape} came to an encoder for {self._shape}")
        # The encoder copies the picture while it is in this call, so that no copy is needed before.
        frame = av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(i420), format="yuv420p")
        frame.pts, frame.time_base = pts_us, Fraction(1, 1_000_000)
        self._waiting[pts_us] = (utc_us, mono_us)
        return self._units(frame)

    def flush(self) -> list[EncodedUnit]:
        """The units still inside the encoder; nothing may be encoded afterwards."""
        return self._units(None)

    def _units(self, frame: av.VideoFrame | None) -> list[EncodedUnit]:
        return [self._unit(packet) for packet in self._context.encode(frame)]

    def _unit(self, packet: av.Packet[VideoStream]) -> EncodedUnit:
        pts_us = packet.pts or 0
        utc_us, mono_us = self._waiting.pop(pts_us, (0, 0))
        return EncodedUnit(data=bytes(packet), pts_us=pts_us, is_key=packet.is_keyframe, utc_us=utc_us, mono_us=mono_us)


def _check(width: int, height: int, rate: Fraction, preset: str) -> None:
    if width % 2 or height % 2 or not (16 <= width <= MAX_WIDTH and 16 <= height <= MAX_HEIGHT):
        raise Refused(f"{width}x{height} cannot be encoded: even sizes from 16x16 to {MAX_WIDTH}x{MAX_HEIGHT} only")
    if not 1 <= rate <= 240:
        raise Refused(f"{float(rate):g} pictures a second cannot be encoded: 1 to 240 only")
    if preset not in PRESETS:
        raise Refused(f"{preset!r} is not an encoder preset: choose one of {', '.join(PRESETS)}")
