"""The pictures of a video file, grey and upright, one after another, with their times; damage is said at the end.

Decides that a damaged packet costs its own pictures and no others, and that a file which ends before its own header
says so, or of which the decoder had to make up a part, is read as far as it goes and then reported.  Many a damage of
H.264 no decoder notices: it decodes to a wrong picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.reader.pictures import MAX_PIXELS, Unreadable

# Formats whose first plane is brightness, a byte for each pixel.
PLANAR = frozenset({"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "nv21", "gray"})
MOST_MISSING_SHARE = 0.02
MOST_MISSING_FRAMES = 2
MOST_MISSING_US = 1_500_000

Luma = NDArray[np.uint8]
# PyAV's classes are not typed where it is not installed.
Av = Any


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipFrame:
    """One grey picture (height, width), its number from 0 and its time since the beginning, which rises."""

    number: int
    at_us: int
    luma: Luma


@dataclass(kw_only=True, slots=True)
class _Decoded:
    """How far a file could be decoded."""

    frames: int = 0
    last_us: int = -1
    damaged: int = 0
    intact: int = 0
    in_part: int = 0


def read_frames(path: Path, *, every: int) -> Iterator[ClipFrame]:
    """Every n-th frame; raises Unreadable where the file cannot be opened and, after the last one, if it is damaged."""
    import av

    decoded = _Decoded()
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise Unreadable("the file holds no video")
            stream = container.streams.video[0]
            yield from _frames(av, container, stream, every, decoded)
            _check_end(container, stream, decoded)
    except (av.FFmpegError, OSError) as error:
        why = error.strerror or type(error).__name__
        if decoded.frames:
            raise Unreadable(f"the video is damaged after frame {decoded.frames - 1}: {why}") from error
        raise Unreadable(f"no video, or one that was cut before its index or is damaged: {why}") from error


def _frames(av: Av, container: Av, stream: Av, every: int, decoded: _Decoded) -> Iterator[ClipFrame]:
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.InvalidDataError:
            decoded.damaged += 1
            continue
        for frame in frames:
            if frame.width * frame.height > MAX_PIXELS:
                raise Unreadable(f"frames of {frame.width} x {frame.height} pixels; {MAX_PIXELS} is the most")
            number = decoded.frames
            decoded.frames += 1
            # A stream that was cut out of a longer one may begin with pictures that lack what they refer to.
            decoded.intact += not frame.is_corrupt
            decoded.in_part += bool(frame.is_corrupt and decoded.intact)
            decoded.last_us = max(decoded.last_us + 1, _time_us(frame, stream, number))
            if number % every == 0:
                yield ClipFrame(number=number, at_us=decoded.last_us, luma=_luma_of(frame))


def _check_end(container: Av, stream: Av, decoded: _Decoded) -> None:
    """Raise Unreadable where less came than the file's header promised, or something could not be decoded."""
    promised = stream.frames
    if promised - decoded.frames > max(MOST_MISSING_FRAMES, MOST_MISSING_SHARE * promised):
        raise Unreadable(f"the video is cut or damaged: {decoded.frames} of {promised} frames could be decoded")
    # Sound may last longer than the pictures, so a file's length tells only where there is nothing but pictures.
    promised_us = (container.duration or 0) if len(container.streams) == 1 and not promised else 0
    if promised_us - decoded.last_us > max(MOST_MISSING_US, MOST_MISSING_SHARE * promised_us):
        seconds = f"{max(0, decoded.last_us) / 1e6:.1f} of {promised_us / 1e6:.1f} s"
        raise Unreadable(f"the video is cut or damaged: {seconds} could be decoded")
    if decoded.damaged:
        raise Unreadable(f"the video is damaged: packets that could not be decoded: {decoded.damaged}")
    if decoded.in_part:
        raise Unreadable(f"the video is damaged: pictures that could be decoded only in part: {decoded.in_part}")
    if decoded.frames == 0:
        raise Unreadable("the file holds no picture")


def _time_us(frame: Av, stream: Av, number: int) -> int:
    if frame.time is not None:
        return max(0, round(float(frame.time) * 1_000_000))
    return int(number * 1_000_000 / float(stream.average_rate or 25))


def _luma_of(frame: Av) -> Luma:
    """The brightness of a frame as it is coded, turned as the file says it is to be shown."""
    if frame.format.name in PLANAR:
        plane = frame.planes[0]
        rows = np.frombuffer(plane, dtype=np.uint8).reshape(-1, plane.line_size)
        luma = rows[: frame.height, : frame.width]
    else:
        luma = np.asarray(frame.to_ndarray(format="gray"), dtype=np.uint8)
    return np.array(np.rot90(luma, frame.rotation // 90), order="C")
