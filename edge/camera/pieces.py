"""What a camera's process hands to the recorder by a pipe: a header of 44 bytes and what it describes.

Decided here: one form for coded pictures, small frames and words; both ends are this version of this software on one
machine, so nothing in it is kept or signed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from vedette.errors import Integrity

UNIT, FRAME, OPENED, FAULT = b"U", b"F", b"O", b"X"
MAX_BYTES = 64 << 20
_HEADER = struct.Struct(">c?HHqqqqI2x")


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """One coded picture (`UNIT`), small frame (`FRAME`) or word (`OPENED`, `FAULT`: JSON); times in microseconds."""

    kind: bytes
    data: bytes
    is_key: bool = False
    width: int = 0
    height: int = 0
    media_us: int = 0
    decode_us: int = 0
    utc_us: int = 0
    mono_us: int = 0

    def header(self) -> bytes:
        """What stands before `data`."""
        return _HEADER.pack(
            self.kind, self.is_key, self.width, self.height,
            self.media_us, self.decode_us, self.utc_us, self.mono_us, len(self.data),
        )  # fmt: skip


class PieceReader:
    """Cuts a byte stream into pieces."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[Piece]:
        """The pieces that `data` completes; Integrity when the stream is none of ours."""
        self._held += data
        found, at = [], 0
        while len(self._held) - at >= _HEADER.size:
            kind, is_key, width, height, media_us, decode_us, utc_us, mono_us, size = _HEADER.unpack_from(
                self._held, at
            )
            if kind not in (UNIT, FRAME, OPENED, FAULT) or size > MAX_BYTES:
                raise Integrity("what came from the camera's process makes no sense")
            end = at + _HEADER.size + size
            if len(self._held) < end:
                break
            payload = bytes(memoryview(self._held)[at + _HEADER.size : end])
            found.append(
                Piece(
                    kind=kind, data=payload, is_key=is_key, width=width, height=height,
                    media_us=media_us, decode_us=decode_us, utc_us=utc_us, mono_us=mono_us,
                )
            )  # fmt: skip
            at = end
        if at:
            del self._held[:at]
        return found
