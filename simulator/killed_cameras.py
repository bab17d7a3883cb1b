"""The cameras whose recorder is killed: how each is set, and what its pictures must be.

Decided here: a copied clip, whose pictures are known byte for byte; and a real GStreamer pipeline that draws a ball,
codes it and records noise beside it, where a picture is known by the place of the ball. No piece of coded noise is the
coded silence with which a recorder fills a hole, so sound that is missing is seen.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import av
import numpy as np
from numpy.typing import NDArray

from edge.camera.port import SmallFrame
from edge.camera.sound import RATE as SOUND_RATE
from edge.camera.sound import silence
from simulator.film import Film, Piece, play
from simulator.reel import PICTURE_US, RATE, make_clip
from vedette.errors import Refused

KEY_US = 1_000_000
SLICES = range(1, 6)
_WIDTH, _HEIGHT, _SECONDS, _BITRATE = 640, 360, 4, 3_000_000
# The ball of GStreamer's videotestsrc: its radius in pixels, its period across in pictures, and the ratio of the two
# frequencies. Within 200 pictures it never comes by a place twice.
_RADIUS_PX, _PERIOD, _UP_DOWN = 20, 200, math.sqrt(2)
_NEAR_PX, _LUMA, _TIMES_US = 4.0, 128, 1_000


class KilledCamera(Protocol):
    """What a trial must know of its camera; `hears` says that there is sound beside the pictures. It is killed up to
    `longest_s` seconds after its first picture.
    """

    hears: bool
    longest_s: float

    @property
    def toml(self) -> str:
        """The sections of `device.toml` that name it."""

    def first_us(self, frame: SmallFrame) -> int:
        """When the first picture that could be recorded was taken, by the newest on the frame bus (UTC)."""

    def number(self, started_us: int, content: bytes) -> int:
        """Which of the camera's pictures an item begins with. Raises Refused for one that it never gave."""

    def fault(self, number: int, film: Film, content: bytes) -> str:
        """The first picture that is not the one that the camera gave at its moment, or nothing."""


@dataclass(kw_only=True, slots=True)
class CopiedClip:
    """Coded pictures of a file, again and again, from `begins_us` (UTC) on."""

    path: Path
    begins_us: int
    pictures: tuple[tuple[bytes, ...], ...] = field(repr=False)
    hears: bool = False
    longest_s: float = 2.5

    @classmethod
    def make(cls, path: Path, begins_us: int) -> CopiedClip:
        """A clip at `path`, which is written."""
        make_clip(path, width=_WIDTH, height=_HEIGHT, seconds=_SECONDS, bitrate=_BITRATE)
        return cls.of(path, begins_us)

    @classmethod
    def of(cls, path: Path, begins_us: int) -> CopiedClip:
        """The clip that lies at `path`."""
        pictures = tuple(slices(one.data) for one in play(path.read_bytes()).pictures)
        return cls(path=path, begins_us=begins_us, pictures=pictures)

    @property
    def toml(self) -> str:
        """It goes on by the wall clock, so a killed recorder comes back to where it is by then."""
        return (
            f'[camera]\nadapter = "clip"\nsource = "{self.path}"\nloop = true\n'
            f'options = {{start_utc_us = "{self.begins_us}"}}\n'
        )

    def first_us(self, frame: SmallFrame) -> int:
        """The first key picture after it was opened; there is one each second."""
        opened_us = frame.utc_us - frame.media_us
        return opened_us + -(opened_us - self.begins_us) % KEY_US

    def number(self, started_us: int, content: bytes) -> int:
        """By the time: it shows each picture at its own moment."""
        return (started_us - self.begins_us) // PICTURE_US

    def fault(self, number: int, film: Film, content: bytes) -> str:
        """Byte for byte."""
        for place, one in enumerate(film.pictures):
            is_it = slices(one.data) == self.pictures[(number + place) % len(self.pictures)]
            if one.at_us != place * PICTURE_US or not is_it:
                return _not_the_one(place, one)
        return ""


@dataclass(kw_only=True, slots=True)
class DrawnBall:
    """GStreamer's test picture, coded by x264, with its test sound: what a USB camera with a microphone is but for the
    devices. It gives its pictures at an even pace from its first, which has the number 0.
    """

    hears: bool = True
    # The microphone's first sound waits to be placed.
    longest_s: float = 4.5

    @property
    def toml(self) -> str:
        """Both pipelines, as the product runs them."""
        return (
            f'[camera]\nadapter = "gst"\nsource = "test:ball"\nwidth = {_WIDTH}\nheight = {_HEIGHT}\nrate = {RATE}\n'
            f'bitrate_kbps = {_BITRATE // 1000}\npreset = "ultrafast"\n'
            '[sound]\nadapter = "test"\nsource = "white-noise"\n'
        )

    def first_us(self, frame: SmallFrame) -> int:
        """By the number of the picture: all of them are recorded, the first is a key picture."""
        return frame.utc_us - _number_of(frame.luma) * PICTURE_US

    def number(self, started_us: int, content: bytes) -> int:
        """By the place of the ball."""
        return _number_of(next(_pictures(content)))

    def fault(self, number: int, film: Film, content: bytes) -> str:
        """By the place of the ball in each, and its time."""
        for place, (one, luma) in enumerate(zip(film.pictures, _pictures(content), strict=False)):
            is_timely = abs(one.at_us - place * PICTURE_US) <= _TIMES_US
            if not is_timely or _distance_px(_ball(luma), *_expected(luma.shape, number + place)) > _NEAR_PX:
                return _not_the_one(place, one)
        return ""


def is_heard(sound: Piece) -> bool:
    """Whether a piece of sound was heard, and is not the silence that fills a hole."""
    return sound.data != silence("aac", SOUND_RATE, 1)


def slices(sample: bytes) -> tuple[bytes, ...]:
    """The NAL units of a sample that hold the picture itself; parameter sets and remarks may stand elsewhere."""
    found, place = [], 0
    while place < len(sample):
        size = int.from_bytes(sample[place : place + 4], "big")
        nal, place = sample[place + 4 : place + 4 + size], place + 4 + size
        found += [nal] if nal[:1] and nal[0] & 0x1F in SLICES else []
    return tuple(found)


def _pictures(content: bytes) -> Iterator[NDArray[np.uint8]]:
    """The grey pictures of a recording, as far as it goes."""
    with av.open(io.BytesIO(content), "r") as container:
        for frame in container.decode(video=0):
            yield np.asarray(frame.to_ndarray(format="gray"), np.uint8)


def _number_of(luma: NDArray[np.uint8]) -> int:
    """The number of a picture by its ball. Raises Refused where there is none, or where it never is."""
    numbers = np.arange(_PERIOD)
    away = _distance_px(_ball(luma), *_expected(luma.shape, numbers))
    if away.min() > _NEAR_PX:
        raise Refused(f"a picture has its ball {away.min():.0f} px away from where it can be")
    return int(away.argmin())


def _ball(luma: NDArray[np.uint8]) -> tuple[float, float]:
    """The middle of what is bright, in pixels; far outside where nothing is."""
    down, across = np.nonzero(luma > _LUMA)
    return (float(across.mean()), float(down.mean())) if len(across) else (-1e6, -1e6)


def _expected(shape: Sequence[int], number: NDArray[np.int_] | int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    height, width = shape
    turn = 2 * np.pi * np.asarray(number, np.float64) / _PERIOD
    across, down = (0.5 + 0.5 * np.sin(turn)), (0.5 + 0.5 * np.sin(_UP_DOWN * turn))
    return _RADIUS_PX + across * (width - 2 * _RADIUS_PX), _RADIUS_PX + down * (height - 2 * _RADIUS_PX)


def _distance_px(
    ball: tuple[float, float], across: NDArray[np.float64], down: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.hypot(across - ball[0], down - ball[1])


def _not_the_one(place: int, one: Piece) -> str:
    return f"picture {place} is not the one that the camera gave at {one.at_us / 1e6:.3f} s"
