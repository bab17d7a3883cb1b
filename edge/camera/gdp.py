"""GStreamer Data Protocol 1.0, reading side: what `gdppay` puts around each buffer that leaves a pipeline by a pipe.

Decided here: buffers matter, and caps where they are asked for; events are passed over. Format: gst-plugins-bad,
gst/gdp/dataprotocol.c (header of 62 bytes, big-endian).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from vedette.errors import Integrity

HEADER_BYTES = 62
MAX_PAYLOAD_BYTES = 64 << 20

_VERSION = b"\x01\x00"
_BUFFER, _CAPS = 1, 2
_DELTA_UNIT = 1 << 13
_NONE = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class GdpBuffer:
    """One buffer: its bytes, its time in the pipeline in microseconds, and whether it needs earlier ones."""

    payload: bytes
    pts_us: int | None
    is_delta: bool


class GdpReader:
    """Cuts a byte stream into buffers; `caps` is what it said last of their form, as GStreamer writes it."""

    def __init__(self) -> None:
        self._held = bytearray()
        self.caps = ""

    def feed(self, data: bytes) -> list[GdpBuffer]:
        """The buffers that `data` completes; Integrity when the stream is not GDP 1.0."""
        self._held += data
        found = []
        while len(self._held) >= HEADER_BYTES:
            kind, size = struct.unpack_from(">HI", self._held, 4)
            if self._held[:2] != _VERSION or size > MAX_PAYLOAD_BYTES:
                raise Integrity("what came from GStreamer is not GDP 1.0")
            if len(self._held) < HEADER_BYTES + size:
                break
            if kind == _BUFFER:
                found.append(self._buffer(size))
            elif kind == _CAPS:
                self.caps = (
                    bytes(self._held[HEADER_BYTES : HEADER_BYTES + size]).rstrip(b"\0").decode("utf-8", "replace")
                )
            del self._held[: HEADER_BYTES + size]
        return found

    def _buffer(self, size: int) -> GdpBuffer:
        (pts_ns,) = struct.unpack_from(">Q", self._held, 10)
        (flags,) = struct.unpack_from(">H", self._held, 42)
        payload = bytes(self._held[HEADER_BYTES : HEADER_BYTES + size])
        pts_us = None if pts_ns == _NONE else pts_ns // 1000
        return GdpBuffer(payload, pts_us, bool(flags & _DELTA_UNIT))
