"""What a picture's bytes say before it is decoded: how large it is, how much memory its decoding takes, so that nothing
is decoded that would not fit, and whether a JPEG, of which a part can be decoded, has its end.

The bytes for each pixel are what OpenCV's decoders were measured to hold at once, the decoded picture included; a JPEG
that is sent in several passes is kept whole as coefficients, one that is not is decoded line by line.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edge.reader.tiff_directory import directory_of

MAX_MARKERS = 4096
MAX_GAP_BYTES = 65_536
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_PASSES = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
_JPEG_SCAN = 0xDA
JPEG_END = b"\xff\xd9"
_SEARCHED_BYTES = 1024 * 1024
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_WEBP_BYTES = 7.0
_BMP_CORE = 12  # the header of OS/2, with sides of 16 bits
_WIDTH, _HEIGHT, _BITS, _SAMPLES = 256, 257, 258, 277
_BAD = (struct.error, IndexError, ValueError, KeyError)


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """Width and height, and the bytes for each pixel while decoding; `shrinks` where it can be decoded smaller, with
    `kept_bytes` for each pixel all the same; `cut` where the file ends within the picture and a part can be decoded.
    """

    width: int
    height: int
    pixel_bytes: float = 1.0
    shrinks: bool = False
    kept_bytes: float = 0.0
    cut: bool = False


def kind_of(content: memoryview) -> str | None:
    """What the first bytes say that the file is (`JPEG`, `PNG`, …); None for no picture of a kind that is read."""
    kind, _ = _format_of(content)
    return kind


def header_of(content: memoryview) -> Header | None:
    """The header of a JPEG, PNG, BMP, WebP, TIFF or PNM picture; None for anything else or a cut header."""
    _, read = _format_of(content)
    try:
        return read(content) if read is not None else None
    except _BAD:
        return None


def _format_of(content: memoryview) -> tuple[str, Callable[[memoryview], Header | None]] | tuple[None, None]:
    start = bytes(content[:8])
    return next(((kind, read) for mark, kind, read in _FORMATS if start.startswith(mark)), (None, None))


def _png(content: memoryview) -> Header:
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", content, 16)
    deep = 2 if depth == 16 else 1
    is_animated = b"acTL" in bytes(content[:MAX_GAP_BYTES]).partition(b"IDAT")[0]
    whole = _PNG_CHANNELS[colour] * deep if interlaced else 0
    return Header(width=width, height=height, pixel_bytes=deep + (deep > 1) + whole + (12 * deep if is_animated else 0))


def _bmp(content: memoryview) -> Header:
    (header,) = struct.unpack_from("<I", content, 14)
    width, height = struct.unpack_from("<HH" if header == _BMP_CORE else "<ii", content, 18)
    return Header(width=abs(width), height=abs(height))


def _jpeg(content: memoryview) -> Header | None:
    frame_at, in_passes, cut = None, False, True
    for marker, at in _markers(content):
        if marker in _JPEG_FRAMES:
            frame_at, in_passes = at, marker in _JPEG_PASSES
        elif marker == _JPEG_SCAN and frame_at is not None:
            # Where a scan has fewer components than the picture, others follow and all are kept until then.
            in_passes = in_passes or content[at + 2] < content[frame_at + 7]
            cut = not _has_end(content, at)
    if frame_at is None:
        return None
    height, width, components = struct.unpack_from(">HHB", content, frame_at + 3)
    kept = 2.0 * components if in_passes else 0.0
    if in_passes and components == 3:
        sides = [(content[frame_at + 9 + 3 * one] >> 4, content[frame_at + 9 + 3 * one] & 15) for one in range(3)]
        most = max(across for across, _ in sides) * max(down for _, down in sides)
        kept = 2.0 * sum(across * down for across, down in sides) / max(1, most)
    return Header(width=width, height=height, shrinks=True, kept_bytes=kept, cut=cut)


def _has_end(content: memoryview, scan_at: int) -> bool:
    """Whether the picture's end follows its first scan; a thumbnail's lies before it."""
    starts = range(scan_at, len(content), _SEARCHED_BYTES)
    return any(JPEG_END in bytes(content[at : at + _SEARCHED_BYTES + 1]) for at in starts)


def _markers(content: memoryview) -> Iterator[tuple[int, int]]:
    """The segments of a JPEG up to its first scan or its cut end: which one, and where its length stands."""
    at = 2
    for _ in range(MAX_MARKERS):
        gap = bytes(content[at : at + MAX_GAP_BYTES]).find(b"\xff")
        at += max(0, gap)
        while gap >= 0 and at < len(content) and content[at] == 0xFF:
            at += 1
        if gap < 0 or at + 3 > len(content):
            return
        marker, at = content[at], at + 1
        yield marker, at
        if marker == _JPEG_SCAN:
            return
        if marker not in _JPEG_BARE and marker != 0:
            at += struct.unpack_from(">H", content, at)[0]


def _webp(content: memoryview) -> Header | None:
    kind = bytes(content[12:16])
    if kind == b"VP8X":
        width, height = (int.from_bytes(content[at : at + 3], "little") + 1 for at in (24, 27))
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        width, height = (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", content, 26))
    else:
        return None
    return Header(width=width, height=height, pixel_bytes=_WEBP_BYTES)


def _tiff(content: memoryview) -> Header | None:
    directory = directory_of(content)
    width, height, bits, samples = (
        next(directory.numbers(content, tag), default)
        for tag, default in ((_WIDTH, 0), (_HEIGHT, 0), (_BITS, 1), (_SAMPLES, 1))
    )
    sample = max(1, bits // 8)
    # One strip may hold the whole picture, beside the grey picture and its eight bits.
    held = sample * (samples + 1) + (sample > 1)
    return Header(width=width, height=height, pixel_bytes=held) if width and height else None


def _pnm(content: memoryview) -> Header:
    lines = [line.split(b"#")[0] for line in bytes(content[:512]).split(b"\n")]
    words = b" ".join(lines).split()
    deep = 3.0 if len(words) > 3 and int(words[3]) > 255 else 1.0
    return Header(width=int(words[1]), height=int(words[2]), pixel_bytes=deep)


_FORMATS: tuple[tuple[bytes, str, Callable[[memoryview], Header | None]], ...] = (
    (b"\xff\xd8\xff", "JPEG", _jpeg),
    (b"\x89PNG\r\n\x1a\n", "PNG", _png),
    (b"BM", "BMP", _bmp),
    (b"RIFF", "WebP", _webp),
    (b"II*\x00", "TIFF", _tiff),
    (b"MM\x00*", "TIFF", _tiff),
    *((start, "PNM", _pnm) for start in (b"P2", b"P3", b"P5", b"P6")),
)
