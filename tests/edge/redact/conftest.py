"""A drawn street as an MP4 with sound and a stamp, and the truth of which pixels of it are a plate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import simulator.cars
from simulator.render import Renderer
from simulator.world import plan as plan_drive
from vedette.keys import SigningKey

WIDTH, HEIGHT, RATE = 640, 360, 25
STAMP = "2026-11-25 23:06:42 UTC+01:00  car-1  33.57310 N 7.58980 W ±5 m\ntime from ntp ±20 ms  recording x/0"
MARK = (255, 0, 255)


@dataclass(frozen=True, kw_only=True)
class PlateSeen:
    """A plate in one picture: how wide it is drawn, and which pixels of the picture it is (boolean)."""

    width_px: float
    pixels: NDArray[np.bool_]


class Street:
    """Pictures of a drive, and which of their pixels are plates: drawn again with every plate in one loud colour."""

    def __init__(self, seed: int, seconds: float, *, width: int, height: int) -> None:
        drive = plan_drive(seed, seconds)
        self.width, self.height, self.frames = width, height, int(seconds * RATE)
        self._shown, self._marked = (Renderer(drive, width=width, height=height) for _ in range(2))

    def i420(self, number: int) -> NDArray[np.uint8]:
        return self._shown.i420(number * 1_000_000 // RATE)

    def plates(self, number: int) -> list[PlateSeen]:
        """Every plate that is drawn, without what a nearer car hides."""
        quads: list[NDArray[np.float32]] = []
        draw = simulator.cars._warp_into

        def mark(frame: NDArray[np.uint8], art: NDArray[np.uint8], quad: NDArray[np.float32], haze: float) -> None:
            quads.append(quad)
            draw(frame, np.full_like(art, MARK), quad, 0.0)

        simulator.cars._warp_into = mark
        try:
            marked = np.all(self._marked.bgr(number * 1_000_000 // RATE) == MARK, axis=2)
        finally:
            simulator.cars._warp_into = draw
        return [one for quad in quads if (one := self._plate(marked, quad)).pixels.any()]

    def _plate(self, marked: NDArray[np.bool_], quad: NDArray[np.float32]) -> PlateSeen:
        inside = np.zeros((self.height, self.width), dtype=np.uint8)
        cv2.fillConvexPoly(inside, np.rint(quad).astype(np.int32), 1)
        return PlateSeen(width_px=float(np.linalg.norm(quad[1] - quad[0])), pixels=marked & (inside > 0))


def write_video(path: Path, pictures: Iterator[NDArray[np.uint8]], *, seconds: float, codec: str = "aac") -> Path:
    """An MP4 with these I420 pictures, a tone of 440 Hz and the stamp of a recording."""
    first = next(pictures)
    height, width = first.shape[0] * 2 // 3, first.shape[1]
    with av.open(str(path), "w", format="mp4") as file:
        video = file.add_stream("libx264", rate=RATE)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.options = {"crf": "20", "preset": "ultrafast"}
        sound = file.add_stream("libopus" if codec == "opus" else codec, rate=48_000, layout="mono")
        for i420 in (first, *pictures):
            file.mux(video.encode(av.VideoFrame.from_ndarray(i420, format="yuv420p")))
        file.mux(video.encode(None))
        size = 960
        for at in range(0, int(seconds * 48_000), size):
            tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(at, at + size) / 48_000, dtype=np.float64)
            frame = av.AudioFrame.from_ndarray(tone.astype(np.float32)[None], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 48_000, at, Fraction(1, 48_000)
            file.mux(sound.encode(frame))
        file.mux(sound.encode(None))
    return path


@pytest.fixture(scope="session")
def street() -> Street:
    """Three seconds along parked cars."""
    return Street(5, 3.0, width=WIDTH, height=HEIGHT)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory, street: Street) -> Path:
    """The street as an MP4 with AAC."""
    pictures = (street.i420(number) for number in range(street.frames))
    return write_video(tmp_path_factory.mktemp("street") / "street.mp4", pictures, seconds=3.0)


@pytest.fixture(scope="session")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The signing key of whoever redacts."""
    path = tmp_path_factory.mktemp("key") / "redactor.pem"
    SigningKey.generate().save(path)
    return path


@pytest.fixture
def edited() -> Callable[[Path, str], Path]:
    """`edited(plan, more)`: a person's edit of a plan: name and reason put in, `more` added at its end."""

    def edit(path: Path, more: str = "") -> Path:
        text = path.read_text(encoding="utf-8")
        text = text.replace('checked_by = ""', 'checked_by = "A. Tazi"').replace('why = ""', 'why = "disclosure"')
        path.write_text(text + more, encoding="utf-8")
        return path

    return edit


@pytest.fixture(scope="session")
def tone(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`tone(codec)`: a second and a half of a grey picture with a tone in that codec."""
    folder, made = tmp_path_factory.mktemp("tone"), {}

    def of(codec: str) -> Path:
        if codec not in made:
            rows, columns = np.mgrid[0:270, 0:320]
            grey = ((rows + columns) % 200 + 20).astype(np.uint8)
            name = "libmp3lame" if codec == "mp3" else codec
            pictures = (grey for _ in range(38))
            made[codec] = write_video(folder / f"{codec}.mp4", pictures, seconds=1.5, codec=name)
        return made[codec]

    return of
