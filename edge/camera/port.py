"""The camera port: what a recorder asks of any camera, and the three things a camera gives.

A camera delivers one picture twice: as encoded H.264 (evidence, kept bit for bit) and as a decoded I420 frame (for
the reader, never stored). Both carry the same media time and the time read from the device's clock when the picture
was taken, so that a hit can point into the recording. A camera that hears gives its sound encoded, on the same media
time, in pieces that may come a little later than the pictures of their moment. A camera is driven by one thread, which
waits for nothing: what may be slow or never answer is in a child process behind its adapter (`TakesTime`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edge.camera.drawnstamp import StampFacts
from vedette.config import SoundSection
from vedette.errors import Refused

AAC, OPUS = "aac", "opus"
MAX_FRAME_WIDTH, MAX_FRAME_HEIGHT = 1920, 1080


class CameraFault(Refused):
    """A camera that was open broke: its process ended, its cable came out, its data make no sense."""


class CameraSilent(CameraFault):
    """A camera that was begun has given no picture yet; it goes on starting, and nobody gave it up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SoundInfo:
    """The sound an opened camera will deliver: `aac` or `opus`, samples per second, and the decoder's configuration.

    ``config`` is AAC's AudioSpecificConfig or Opus's ``OpusHead``; ``silence`` is one coded piece of ``piece`` samples
    in which nothing is heard, empty where none is known for this form of the codec.
    """

    codec: str
    rate: int
    channels: int
    config: bytes
    silence: bytes = b""
    piece: int = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamInfo:
    """What an opened camera will deliver; sizes in pixels, rate in frames per second as a fraction."""

    width: int
    height: int
    rate_num: int
    rate_den: int
    codec: str = "h264"
    sound: SoundInfo | None = None

    @property
    def frame_us(self) -> int:
        """The nominal time between two frames."""
        return max(1, self.rate_den * 1_000_000 // max(1, self.rate_num))


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedUnit:
    """One H.264 access unit, Annex B, in decoding order; a key unit carries its SPS and PPS.

    ``pts_us`` is media time since the camera was opened; ``dts_us`` differs from it only where the stream has
    B-frames (None means equal). ``utc_us`` and ``mono_us`` are the device's clocks when the picture was taken.
    """

    data: bytes
    pts_us: int
    is_key: bool
    utc_us: int
    mono_us: int
    dts_us: int | None = None

    @property
    def decode_us(self) -> int:
        """The decoding time, which orders the units of a stream strictly."""
        return self.pts_us if self.dts_us is None else self.dts_us


@dataclass(frozen=True, kw_only=True, slots=True)
class SoundUnit:
    """One coded piece of sound, which a decoder needs whole; ``pts_us`` is the media time at which it begins."""

    codec: str
    data: bytes
    pts_us: int
    duration_us: int
    utc_us: int
    mono_us: int

    @property
    def end_us(self) -> int:
        """The media time at which it ends."""
        return self.pts_us + self.duration_us


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SmallFrame:
    """One decoded picture, I420: uint8 of shape (height * 3 // 2, width), even sizes, ``index`` rising from 0."""

    i420: NDArray[np.uint8] = field(repr=False)
    index: int
    utc_us: int
    mono_us: int
    media_us: int

    @property
    def width(self) -> int:
        """The width of the picture in pixels."""
        return int(self.i420.shape[1])

    @property
    def height(self) -> int:
        """The height of the picture in pixels."""
        return int(self.i420.shape[0]) * 2 // 3

    @property
    def luma(self) -> NDArray[np.uint8]:
        """The grey picture, uint8 of shape (height, width); a view, not a copy."""
        return self.i420[: self.height]


Recorded = EncodedUnit | SoundUnit
Taken = EncodedUnit | SoundUnit | SmallFrame
# A `SoundInfo` among them: a camera that had no sound when it was opened brings this from here on.
Given = Taken | SoundInfo


class Camera(Protocol):
    """A source of pictures. ``read`` never blocks longer than its timeout; after ``ended`` it gives nothing more."""

    @property
    def ended(self) -> bool:
        """True once a finite source has given its last picture."""

    def open(self) -> StreamInfo:
        """Start the camera. Raises NotFound when there is none, Refused when it cannot be used."""

    def read(self, timeout_s: float) -> Sequence[Given]:
        """What has arrived, oldest first; empty when nothing did in time. Raises CameraFault when it broke."""

    def close(self) -> None:
        """Stop the camera and free its hardware; may be called twice, and before ``open``."""


@runtime_checkable
class TakesTime(Protocol):
    """A camera that takes its time to start and to stop: it is looked at again and again, and nobody waits for it."""

    def begin(self) -> None:
        """Begin to start the camera, closed or broken as it is. Raises NotFound when it cannot be begun at all."""

    def opened(self) -> StreamInfo | None:
        """What it will deliver, None until it has started. Raises Refused when it does not; then it is closed."""

    def has_left(self, wait_s: float = 0.0) -> bool:
        """Whether what `close` ended is gone; with `wait_s` (seconds) it is waited for, then made to go."""


@runtime_checkable
class Hearing(Protocol):
    """A camera that can bring sound of its own."""

    def hear(self, sound: SoundSection) -> None:
        """Told once before ``open``: which sound to bring. Raises Usage where it cannot be this one."""


@runtime_checkable
class Stamped(Protocol):
    """A camera that can draw date, place and recording into its pictures before they are coded."""

    @property
    def is_stamped(self) -> bool:
        """Whether it does: it was asked to, and its pictures are not coded already."""

    def stamp(self, facts: StampFacts) -> None:
        """What to draw from now on; told by the thread that reads, while it is open or not. Waits for nothing."""
