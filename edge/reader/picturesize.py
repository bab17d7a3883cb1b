"""How large a picture is, told from its first bytes, so that nothing is decoded that would not fit into memory."""

from __future__ import annotations

import struct
from collections.abc import Callable

MAX_MARKERS = 4096
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD9)})


def picture_size(content: bytes) -> tuple[int, int] | None:
    """Width and height of a JPEG, PNG, BMP, WebP, TIFF or PNM picture; None for anything else or a cut header."""
    for start, size_of in _FORMATS:
        if content.startswith(start):
            try:
                return size_of(content)
            except (struct.error, IndexError, ValueError):
                return None
    return None


def _png(content: bytes) -> tuple[int, int] | None:
    width, height = struct.unpack_from(">II", content, 16)
    return width, height


def _bmp(content: bytes) -> tuple[int, int] | None:
    width, height = struct.unpack_from("<ii", content, 18)
    return abs(width), abs(height)


def _jpeg(content: bytes) -> tuple[int, int] | None:
    at = 2
    for _ in range(MAX_MARKERS):
        at = content.index(b"\xff", at)
        while content[at] == 0xFF:
            at += 1
        marker = content[at]
        at += 1
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", content, at + 3)
            return width, height
        if marker not in _JPEG_BARE and marker != 0:
            at += struct.unpack_from(">H", content, at)[0]
    return None


def _webp(content: bytes) -> tuple[int, int] | None:
    kind = content[12:16]
    if kind == b"VP8X":
        return int.from_bytes(content[24:27], "little") + 1, int.from_bytes(content[27:30], "little") + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        return (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", content, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _tiff(content: bytes) -> tuple[int, int] | None:
    order = "<" if content[:2] == b"II" else ">"
    (at,) = struct.unpack_from(f"{order}I", content, 4)
    (entries,) = struct.unpack_from(f"{order}H", content, at)
    sizes: dict[int, int] = {}
    for entry in range(entries):
        tag, kind = struct.unpack_from(f"{order}HH", content, at + 2 + 12 * entry)
        if tag in (256, 257):
            form = "H" if kind == 3 else "I"
            sizes[tag] = struct.unpack_from(f"{order}{form}", content, at + 10 + 12 * entry)[0]
    return (sizes[256], sizes[257]) if len(sizes) == 2 else None


def _pnm(content: bytes) -> tuple[int, int] | None:
    lines = [line.split(b"#")[0] for line in content[:512].split(b"\n")]
    words = b" ".join(lines).split()
    return int(words[1]), int(words[2])


_FORMATS: tuple[tuple[bytes, Callable[[bytes], tuple[int, int] | None]], ...] = (
    (b"\xff\xd8\xff", _jpeg),
    (b"\x89PNG\r\n\x1a\n", _png),
    (b"BM", _bmp),
    (b"RIFF", _webp),
    (b"II*\x00", _tiff),
    (b"MM\x00*", _tiff),
    *((start, _pnm) for start in (b"P2", b"P3", b"P5", b"P6")),
)
