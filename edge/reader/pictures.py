"""Pictures as grey arrays: what a file is, how it stands, and how much of it fits into memory.

Decides which files are pictures and which videos, turns pictures upright by their EXIF note, takes the first of several
in one file, and refuses before decoding what would take more than MAX_PIXELS or MAX_MEMORY_BYTES.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.reader.decoder_words import heard
from edge.reader.picture_end import broken_parts, end_of, unwritten_bytes
from edge.reader.picturesize import JPEG_END, Header, header_of, kind_of
from vedette.errors import Refused

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".jpe"})
VIDEOS = frozenset({".mp4", ".mkv", ".mov", ".avi", ".ts", ".m4v", ".webm", ".h264", ".mpg", ".mpeg"})
MAX_PIXELS = 50_000_000
MAX_SIDE_PX = 30_000
MAX_FILE_BYTES = 256 * 1024 * 1024
# The file and all that decoding it takes at once.
MAX_MEMORY_BYTES = 256 * 1024 * 1024
ROWS_AT_ONCE = 64
CUT = "the picture is cut off: the file ends within it"
CUT_AT = "the picture is cut off: the file has {} of at least {} bytes"
UNWRITTEN = "the picture is cut off: its last {} bytes were never written"
DAMAGED = "the picture is damaged within ({})"
PARTLY = "{}, and only what could be decoded was looked at; copy the file again from where it was taken"
NOTHING = "{}, and nothing of it can be decoded; copy the file again from where it was taken"
FULL_SCALES = tuple(float(2**bits - 1) for bits in (8, 10, 12, 14, 16))
# A JPEG can be decoded at an eighth of its size, so larger ones are still read.
REDUCTIONS = ((1, cv2.IMREAD_GRAYSCALE), (2, cv2.IMREAD_REDUCED_GRAYSCALE_2), (4, cv2.IMREAD_REDUCED_GRAYSCALE_4),
              (8, cv2.IMREAD_REDUCED_GRAYSCALE_8))  # fmt: skip

Luma = NDArray[np.uint8]


class Unreadable(Refused):
    """A file that is no picture or video this version can read, or one that is damaged or too large."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A grey picture (height, width), how many of the file's pixels one of its pixels spans, and what is wrong with it
    (empty: nothing is known to be).
    """

    luma: Luma
    reduction: int
    trouble: str = ""


def read_picture(path: Path) -> Picture:
    """The picture of a file, upright and grey; raises Unreadable with the reason.

    A JPEG that was cut is decoded as far as it goes, and says so (`trouble`): what is missing is one grey. So does any
    picture that is damaged within. For the command line tools only: see `decoder_words`.
    """
    content = _content(path)
    needed, header = end_of(content.data), header_of(content.data)
    wrong = CUT_AT.format(content.size, needed) if needed > content.size else ""
    if header is None or min(header.width, header.height) < 1:
        raise Unreadable(NOTHING.format(wrong) if wrong else _no_header(kind_of(content.data)))
    reduction, flag = _reduction(header, content.size * (2 if header.cut else 1))
    if header.cut:
        wrong = CUT
        content = np.concatenate([content, np.frombuffer(JPEG_END, dtype=np.uint8)])
    elif not wrong and (zeros := unwritten_bytes(content.data, header.width * header.height)):
        wrong = UNWRITTEN.format(zeros)
    luma, damage = heard(lambda: _decoded(content, flag))
    wrong = wrong or (DAMAGED.format(damage) if damage else "")
    if luma is None or luma.size == 0:
        raise Unreadable(NOTHING.format(wrong or "a damaged picture"))
    if not wrong and (broken := broken_parts(content.data, header.width * header.height)):
        wrong = DAMAGED.format(f"strips that do not match their checksum: {broken}")
    return Picture(luma=_eight_bits(luma), reduction=reduction, trouble=PARTLY.format(wrong) if wrong else "")


def _no_header(kind: str | None) -> str:
    if kind is None:
        return "no picture of a kind that is read (JPEG, PNG, BMP, WebP, TIFF, PNM)"
    return (
        f"a damaged {kind} picture: what says its size is missing or wrong; copy the file again from where it was taken"
    )


def _content(path: Path) -> Luma:
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise Unreadable(f"{size} bytes; {MAX_FILE_BYTES} is the most that is read")
        content = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise Unreadable(str(error.strerror or error)) from error
    if content.size == 0:
        raise Unreadable("the file is empty")
    return content


def _decoded(content: Luma, flag: int) -> NDArray[np.generic] | None:
    try:
        return cv2.imdecode(content, flag | cv2.IMREAD_ANYDEPTH if flag == cv2.IMREAD_GRAYSCALE else flag)
    except (cv2.error, MemoryError) as error:
        raise Unreadable(f"cannot be decoded: {error}") from error


def _reduction(header: Header, file_bytes: int) -> tuple[int, int]:
    """How much smaller to decode, and how to ask for it; raises Unreadable where it never fits."""
    width, height = header.width, header.height
    pixels = width * height
    for reduction, flag in REDUCTIONS if header.shrinks else REDUCTIONS[:1]:
        if pixels <= MAX_PIXELS * reduction * reduction and max(width, height) <= MAX_SIDE_PX * reduction:
            memory = file_bytes + int(pixels * (header.kept_bytes + header.pixel_bytes / (reduction * reduction)))
            if memory <= MAX_MEMORY_BYTES:
                return reduction, flag
            raise Unreadable(
                f"{width} x {height} pixels of this kind take {memory} bytes of memory; {MAX_MEMORY_BYTES} is the most"
            )
    raise Unreadable(f"{width} x {height} pixels; {MAX_PIXELS} pixels are the most that are decoded")


def _eight_bits(luma: NDArray[np.generic]) -> Luma:
    if luma.dtype == np.uint8:
        return np.asarray(luma, dtype=np.uint8)
    grey = np.empty(luma.shape, dtype=np.uint8)
    parts = [slice(at, at + ROWS_AT_ONCE) for at in range(0, luma.shape[0], ROWS_AT_ONCE)]
    most = max(1e-6, *(float(_numbers(luma[part]).max()) for part in parts))
    # Sensors of 10, 12 or 14 bits put their values into 16 as they are.
    top = next(full for full in FULL_SCALES if most <= full) if luma.dtype == np.uint16 else most
    for part in parts:
        grey[part] = np.clip(_numbers(luma[part]) * (255.0 / top), 0, 255)
    return grey


def _numbers(luma: NDArray[np.generic]) -> NDArray[np.floating]:
    """The values as floats, zero where there is no number."""
    values = luma.astype(np.result_type(luma, np.float32))
    return np.asarray(np.nan_to_num(values, copy=False, posinf=0.0, neginf=0.0))
