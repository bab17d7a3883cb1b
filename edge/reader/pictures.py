"""Pictures and videos as grey arrays: what a file is, how it stands, and how much of it fits into memory.

Decides which files are pictures and which videos, turns pictures upright by their EXIF note, and refuses what is larger
than MAX_PIXELS before it is decoded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.reader.picturesize import picture_size
from vedette.errors import Refused

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".jpe"})
VIDEOS = frozenset({".mp4", ".mkv", ".mov", ".avi", ".ts", ".m4v", ".webm", ".h264", ".mpg", ".mpeg"})
MAX_PIXELS = 50_000_000
MAX_SIDE_PX = 30_000
MAX_FILE_BYTES = 256 * 1024 * 1024
JPEG_START = b"\xff\xd8"
# A JPEG that was cut is decoded as far as it goes once the mark of its end follows.
JPEG_END = b"\xff\xd9"
# A JPEG can be decoded at an eighth of its size, so larger ones are still read.
REDUCTIONS = ((1, cv2.IMREAD_GRAYSCALE), (2, cv2.IMREAD_REDUCED_GRAYSCALE_2), (4, cv2.IMREAD_REDUCED_GRAYSCALE_4),
              (8, cv2.IMREAD_REDUCED_GRAYSCALE_8))  # fmt: skip

Luma = NDArray[np.uint8]


class Unreadable(Refused):
    """A file that is no picture or video this version can read, or one that is damaged or too large."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A grey picture (height, width) and how many of the file's pixels one of its pixels spans."""

    luma: Luma
    reduction: int


def read_picture(path: Path) -> Picture:
    """The picture of a file, upright and grey; raises Unreadable with the reason."""
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise Unreadable(f"{size} bytes; {MAX_FILE_BYTES} is the most that is read")
        content = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise Unreadable(str(error.strerror or error)) from error
    if content.size == 0:
        raise Unreadable("the file is empty")
    size_px = picture_size(content.tobytes())
    if size_px is None or min(size_px) < 1:
        raise Unreadable("no picture of a kind that is read (JPEG, PNG, BMP, WebP, TIFF, PNM)")
    is_jpeg = content[:2].tobytes() == JPEG_START
    reduction, flag = _reduction(*size_px, is_jpeg=is_jpeg)
    luma = _decoded(content, flag)
    if luma is None and is_jpeg:
        luma = _decoded(np.concatenate([content, np.frombuffer(JPEG_END, dtype=np.uint8)]), flag)
    if luma is None or luma.size == 0:
        raise Unreadable("a damaged picture of which nothing can be decoded")
    return Picture(luma=_eight_bits(luma), reduction=reduction)


def _decoded(content: Luma, flag: int) -> NDArray[np.generic] | None:
    try:
        return cv2.imdecode(content, flag | cv2.IMREAD_ANYDEPTH if flag == cv2.IMREAD_GRAYSCALE else flag)
    except (cv2.error, MemoryError) as error:
        raise Unreadable(f"cannot be decoded: {error}") from error


def _reduction(width: int, height: int, *, is_jpeg: bool) -> tuple[int, int]:
    for reduction, flag in REDUCTIONS if is_jpeg else REDUCTIONS[:1]:
        if width * height <= MAX_PIXELS * reduction * reduction and max(width, height) <= MAX_SIDE_PX * reduction:
            return reduction, flag
    raise Unreadable(f"{width} x {height} pixels; {MAX_PIXELS} pixels are the most that are decoded")


def _eight_bits(luma: NDArray[np.generic]) -> Luma:
    if luma.dtype == np.uint8:
        return np.asarray(luma, dtype=np.uint8)
    values = luma.astype(np.result_type(luma, np.float32))
    values = np.nan_to_num(values, copy=False, posinf=0.0, neginf=0.0)
    top = 65535.0 if luma.dtype == np.uint16 else float(max(1e-6, values.max()))
    return np.asarray(np.clip(values * (255.0 / top), 0, 255), dtype=np.uint8)


def read_frames(path: Path, *, every: int) -> Iterator[tuple[int, Luma]]:
    """Every n-th frame of a video as (number, grey picture); raises Unreadable where it cannot be opened or breaks."""
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise Unreadable("the file holds no video")
            for number, frame in enumerate(container.decode(video=0)):
                if frame.width * frame.height > MAX_PIXELS:
                    raise Unreadable(f"frames of {frame.width} x {frame.height} pixels; {MAX_PIXELS} is the most")
                if number % every == 0:
                    yield number, _luma_of(frame)
    except (av.FFmpegError, OSError) as error:
        raise Unreadable(f"cannot be decoded: {error}") from error


def _luma_of(frame: object) -> Luma:
    return np.ascontiguousarray(frame.to_ndarray(format="gray"), dtype=np.uint8)  # type: ignore[attr-defined]
