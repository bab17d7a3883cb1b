"""Where a picture's file must end by the lengths that it tells itself, whether its end was ever written, and whether a
TIFF keeps its checksums, at which its decoder does not look.

Decided here for PNG, WebP, BMP, TIFF and PNM, from what stands in the file and without decoding; a JPEG tells no
length, see `picturesize`. Implements HT-46 of docs/spec/hit.md. Other bytes that were changed within only a decoder
sees, and in BMP, WebP, PNM and a TIFF that is not compressed nobody does.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator

from edge.reader.picturesize import kind_of
from edge.reader.tiff_directory import Directory, directory_of, end_of_directory

MAX_CHUNKS = 262_144
_PNG_START, _PNG_CHUNK = 8, 12
_WEBP_START, _WEBP_CHUNK, _UNWRITTEN = 12, 8, bytes(4)
# An even WebP picture ends in zeros too: 1 for each 10,000 pixels where it is lossy, 1 for each 85 where it is not.
_ZEROS, _LOSSY_PIXELS, _LOSSLESS_PIXELS = 256, 2000, 8
_BMP_FIXED, _BMP_CORE, _BMP_PLAIN = 18, 12, (0, 3, 6)
_TIFF_PLACES = ((273, 279), (324, 325))
_TIFF_COMPRESSION, _DEFLATE = 259, (8, 32946)
# What of a strip is inflated at once, which makes a thousandfold of it at most, and the most that a pixel may become.
_INFLATED_BYTES, _PIXEL_BYTES = 16_384, 32
_PNM = re.compile(rb"P([56])" + rb"(?:\s|#[^\n]*\n)+(\d{1,9})" * 3 + rb"\s")


def end_of(content: memoryview) -> int:
    """How many bytes the file must have at least for its first picture to be whole; 0 where it does not tell."""
    find = _ENDS.get(kind_of(content) or "")
    try:
        return find(content) if find is not None else 0
    except struct.error:  # it ends before its lengths
        return len(content) + 1
    except (ValueError, KeyError):
        return 0


def unwritten_bytes(content: memoryview, pixels: int) -> int:
    """How many bytes at the end of a WebP were never written, as where copying it broke off; 0 for other kinds.

    Some systems reserve a file's whole length first, which then reads as zeros.
    """
    if kind_of(content) != "WebP":
        return 0
    chunks = set(_webp_chunks(content))
    allowed = _ZEROS + pixels // (_LOSSLESS_PIXELS if b"VP8L" in chunks else _LOSSY_PIXELS)
    end = min(len(content), end_of(content))
    zeros = end - len(bytes(content[:end]).rstrip(b"\0"))
    return zeros if zeros > allowed or _UNWRITTEN in chunks else 0


def broken_parts(content: memoryview, pixels: int) -> int:
    """How many strips or tiles of a whole TIFF compressed by Deflate are not what they were; 0 for other pictures."""
    if kind_of(content) != "TIFF":
        return 0
    try:
        return _broken_parts(content, pixels * _PIXEL_BYTES)
    except (struct.error, ValueError):
        return 0


def _broken_parts(content: memoryview, most_bytes: int) -> int:
    directory, broken = directory_of(content), 0
    if next(directory.numbers(content, _TIFF_COMPRESSION), 1) not in _DEFLATE:
        return 0
    for place, length in _tiff_parts(content, directory):
        try:
            most_bytes -= _inflated_bytes(content[place : place + length], most_bytes)
        except zlib.error:
            broken += 1
    return broken


def _inflated_bytes(part: memoryview, most: int) -> int:
    """How much a part becomes, given up beyond `most`, which no sound picture reaches; zlib.error where broken."""
    unpacking, size = zlib.decompressobj(), 0
    for at in range(0, len(part), _INFLATED_BYTES):
        if size > most or unpacking.eof:
            break
        size += len(unpacking.decompress(part[at : at + _INFLATED_BYTES]))
    return size


def _png(content: memoryview) -> int:
    at = _PNG_START
    for _ in range(MAX_CHUNKS):
        if at + _PNG_CHUNK > len(content):
            return int(at + _PNG_CHUNK)
        size, name = struct.unpack_from(">I4s", content, at)
        at += _PNG_CHUNK + size
        if name == b"IEND":
            return int(at)
    return 0


def _webp(content: memoryview) -> int:
    return int(struct.unpack_from("<I", content, 4)[0]) + 8


def _webp_chunks(content: memoryview) -> Iterator[bytes]:
    """The names of the chunks at the top."""
    at = _WEBP_START
    for _ in range(MAX_CHUNKS):
        if at + _WEBP_CHUNK > len(content):
            return
        name, size = struct.unpack_from("<4sI", content, at)
        yield name
        at += _WEBP_CHUNK + size + size % 2


def _bmp(content: memoryview) -> int:
    start, header = struct.unpack_from("<II", content, 10)
    if header == _BMP_CORE:
        width, height, _, bits = struct.unpack_from("<HHHH", content, _BMP_FIXED)
        form = 0
    else:
        width, height, _, bits, form, size = struct.unpack_from("<iiHHII", content, _BMP_FIXED)
    if form in _BMP_PLAIN:
        size = (abs(width) * bits + 31) // 32 * 4 * abs(height)
    return int(start + size)


def _tiff(content: memoryview) -> int:
    end = end_of_directory(content)
    if end > len(content):
        return end
    directory = directory_of(content)
    for places, lengths in _TIFF_PLACES:
        end = max(end, directory.end_of(places), directory.end_of(lengths))
        if end > len(content):
            return end
    return max(end, max((place + length for place, length in _tiff_parts(content, directory)), default=0))


def _tiff_parts(content: memoryview, directory: Directory) -> Iterator[tuple[int, int]]:
    """Where each strip or tile lies, and its length."""
    for places, lengths in _TIFF_PLACES:
        yield from zip(directory.numbers(content, places), directory.numbers(content, lengths), strict=False)


def _pnm(content: memoryview) -> int:
    found = _PNM.match(bytes(content[:4096]))
    if found is None:
        return 0
    kind, width, height, most = found.groups()
    samples = int(width) * int(height) * (3 if kind == b"6" else 1)
    return found.end() + samples * (2 if int(most) > 255 else 1)


_ENDS: dict[str, Callable[[memoryview], int]] = {"PNG": _png, "WebP": _webp, "BMP": _bmp, "TIFF": _tiff, "PNM": _pnm}
