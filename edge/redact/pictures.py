"""The pictures of an opened item, every one with its exact time and its three planes, or an error that says where.

Decided here: 8-bit 4:2:0 only (what every recorder here writes), upright, even sides; a picture that cannot be decoded
ends the work, because a copy that silently lacks one would prove nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from edge.redact.cover import Planes
from vedette.errors import Integrity, Refused, VedetteError

FORMATS = ("yuv420p", "yuvj420p")
MAX_PIXELS = 4096 * 2304
MAX_FRAMES = 4_000_000
_READ_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Picture:
    """One decoded picture: its number in the order of showing, its time in `ticks` and in microseconds, its planes."""

    number: int
    ticks: int
    at_us: int
    duration: int
    planes: Planes

    @property
    def luma(self) -> NDArray[np.uint8]:
        """Brightness (height, width)."""
        return self.planes[0]


def open_video(source: BinaryIO, name: str) -> InputContainer:
    """The file as a container with a video that can be redacted; the caller closes it.

    Raises Integrity where it is no video or damaged before its first picture, Refused where it is of a kind that is
    not redacted here.
    """
    source.seek(0)
    try:
        container = av.open(source, "r")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise Integrity(f"{name} cannot be opened as a video: {_why(error)}") from None
    try:
        _check(container, name)
    except BaseException:
        container.close()
        raise
    return container


def video_of(container: InputContainer) -> VideoStream:
    """The video of a container from `open_video`."""
    return container.streams.video[0]


def decoded(container: InputContainer, name: str) -> Iterator[Picture]:
    """Every picture in the order of showing; Integrity names the first that cannot be decoded."""
    counter = Counter(video_of(container), name)
    try:
        for packet in container.demux(video_of(container)):
            for frame in packet.decode():
                yield counter.picture(frame)
    except VedetteError:
        raise
    except (av.FFmpegError, OSError) as error:
        raise counter.damaged(error) from None
    counter.check_end()


class Counter:
    """Numbers the pictures of one video and sees that none is missing."""

    def __init__(self, stream: VideoStream, name: str) -> None:
        self._stream, self._name = stream, name
        self._base = stream.time_base or Fraction(1, 90_000)
        self.count = 0
        self._last = None if stream.start_time is None else min(0, stream.start_time) - 1

    def picture(self, frame: VideoFrame) -> Picture:
        """The next picture; raises Integrity where its time does not rise or its form changes."""
        if frame.is_corrupt:
            raise Integrity(f"{self._name}: picture {self.count} is damaged; mend or cut the file first")
        if frame.pts is None or (self._last is not None and frame.pts <= self._last):
            raise Integrity(f"{self._name}: picture {self.count} has no time, or one that does not rise")
        if (frame.width, frame.height) != (self._stream.width, self._stream.height) or frame.format.name not in FORMATS:
            raise Refused(f"{self._name}: picture {self.count} has another size or format than the first")
        if self.count >= MAX_FRAMES:
            raise Refused(f"{self._name}: more than {MAX_FRAMES} pictures; redact it in parts")
        self._last = frame.pts
        picture = Picture(
            number=self.count,
            ticks=frame.pts,
            at_us=time_us(frame.pts, self._base),
            duration=frame.duration or 0,
            planes=_planes(frame),
        )
        self.count += 1
        return picture

    def damaged(self, error: Exception) -> Integrity:
        """What is said when the decoder gives up."""
        return Integrity(f"{self._name} is damaged after picture {self.count - 1}: {_why(error)}")

    def check_end(self) -> None:
        """Integrity where fewer pictures came than the file says that it has."""
        if self.count == 0:
            raise Integrity(f"{self._name} holds no picture that can be decoded")
        if self._stream.frames > self.count:
            raise Integrity(f"{self._name} is cut or damaged: {self.count} of {self._stream.frames} pictures decode")


def time_us(ticks: int, base: Fraction) -> int:
    """A time in microseconds, rounded to the nearest."""
    return round(ticks * base * 1_000_000)


def sha256_of(source: BinaryIO) -> tuple[str, int]:
    """The SHA-256 (hex) and the size of a file's bytes."""
    source.seek(0)
    digest, size = hashlib.sha256(), 0
    while piece := source.read(_READ_BYTES):
        digest.update(piece)
        size += len(piece)
    return digest.hexdigest(), size


def _check(container: InputContainer, name: str) -> None:
    if not container.streams.video:
        raise Refused(f"{name} holds no video")
    stream = container.streams.video[0]
    if stream.codec_context is None or stream.codec_context.format is None or stream.time_base is None:
        raise Integrity(f"{name}: the form of its video is not known; it is cut or damaged")
    if stream.format.name not in FORMATS:
        raise Refused(f"{name}: pictures of the form {stream.format.name} are not redacted, 8-bit 4:2:0 only")
    if stream.width % 2 or stream.height % 2 or not 32 <= stream.width * stream.height <= MAX_PIXELS:
        raise Refused(f"{name}: pictures of {stream.width}x{stream.height}: even sides, {MAX_PIXELS} pixels at most")
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = 2


def _planes(frame: VideoFrame) -> Planes:
    if frame.rotation:
        raise Refused(f"the video is to be shown turned by {frame.rotation} degrees; turn it upright first")
    width, height = frame.width, frame.height
    flat = np.asarray(frame.to_ndarray(), dtype=np.uint8).reshape(-1)
    luma, rest = flat[: width * height], flat[width * height :]
    half = len(rest) // 2
    shape = (height // 2, width // 2)
    return luma.reshape(height, width), rest[:half].reshape(shape), rest[half:].reshape(shape)


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
