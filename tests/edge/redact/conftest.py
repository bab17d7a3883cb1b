"""A drawn street as an MP4 with sound and a stamp, and the truth of which pixels of it are a plate; and the same as a
recording of the recorder, in sealed segments of a second.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import simulator.cars
from edge.camera.encode import X264Encoder
from edge.camera.port import EncodedUnit, SoundUnit, StreamInfo
from edge.camera.sound import SoundEncoder
from edge.recorder.fragments import Fragmenter
from simulator.render import Renderer
from simulator.world import plan as plan_drive
from vedette.clock import FakeClock, uuid7
from vedette.config import SoundSection
from vedette.keys import SigningKey
from vedette.records import MANIFEST, Manifest, sign_record
from vedette.sealed import HybridIdentity, save_identity, seal

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


@dataclass(frozen=True, kw_only=True)
class Drive:
    """A recording in a folder: sealed segments with their manifests beside them, and the key that opens them."""

    folder: Path
    identity: Path
    recording: str
    items: tuple[Path, ...]
    manifests: tuple[Manifest, ...]
    plains: tuple[bytes, ...]


def segments_of(pictures: Iterable[NDArray[np.uint8]], width: int, height: int, *, codec: str | None) -> list[bytes]:
    """MP4s as the recorder writes them, cut at each key picture (one a second), with one unbroken tone where wanted."""
    video = X264Encoder(width, height, RATE)
    sound = SoundEncoder(SoundSection(codec=codec, channels=1)) if codec else None
    units: list[EncodedUnit | SoundUnit] = []
    for number, i420 in enumerate(pictures):
        at = np.arange(number * 1920, (number + 1) * 1920)
        tone = (9000 * np.sin(2 * np.pi * 440 * at / 48_000)).astype(np.int16)[:, None]
        units += video.encode(i420, number * 40_000, utc_us=number * 40_000)
        units += sound.encode(tone, number * 40_000, utc_us=0, mono_us=0) if sound else []
    info = StreamInfo(width=width, height=height, rate_num=RATE, rate_den=1, sound=sound.info if sound else None)
    starts = [one for one in units if isinstance(one, EncodedUnit) and one.is_key]
    ends = [one.pts_us for one in starts[1:]] + [1 << 50]
    return [
        _segment(info, start, [one for one in units if start.pts_us <= one.pts_us < end])
        for start, end in zip(starts, ends, strict=True)
    ]


def _segment(info: StreamInfo, first: EncodedUnit, units: list[EncodedUnit | SoundUnit]) -> bytes:
    maker = Fragmenter(info, first)
    parts = [maker.beginning()]
    for one in units:
        parts.append(maker.sound(one) if isinstance(one, SoundUnit) else maker.picture(one, STAMP))
    return b"".join([*parts, maker.ending()])


def sealed_drive(folder: Path, plains: list[bytes], manifest_of: Callable[..., Manifest]) -> Drive:
    """These MP4s as the sealed segments of one recording, with their manifests, in `folder`; the key beside it."""
    identity, items, manifests = HybridIdentity.generate(), [], []
    key_file = folder.with_name(f"{folder.name}.identity")
    save_identity(key_file, identity, created="now")
    folder.mkdir()
    recording, device = uuid7(FakeClock()), SigningKey.generate()
    for number, plain in enumerate(plains):
        sealed = seal(plain, [identity.recipient])
        manifest = manifest_of(
            sealed, kind="segment", recording=recording, sequence=number, plain_size=len(plain),
            plain_sha256=hashlib.sha256(plain).hexdigest(), started_us=1_795_420_800_000_000 + number * 1_000_000,
        )  # fmt: skip
        items.append(folder / f"{manifest.item}.segment.age")
        items[-1].write_bytes(sealed)
        (folder / f"{manifest.item}.manifest").write_bytes(sign_record(MANIFEST, manifest.to_body(), device))
        manifests.append(manifest)
    return Drive(
        folder=folder, identity=key_file, recording=recording, items=tuple(items), manifests=tuple(manifests),
        plains=tuple(plains),
    )  # fmt: skip


@pytest.fixture(scope="session")
def drive(tmp_path_factory: pytest.TempPathFactory, street: Street, manifest_of: Callable[..., Manifest]) -> Drive:
    """The street as a recording of three segments."""
    pictures = (street.i420(number) for number in range(street.frames))
    plains = segments_of(pictures, WIDTH, HEIGHT, codec="aac")
    return sealed_drive(tmp_path_factory.mktemp("drive") / "spool", plains, manifest_of)


@pytest.fixture(scope="session")
def grey_drive(tmp_path_factory: pytest.TempPathFactory, manifest_of: Callable[..., Manifest]) -> Callable[..., Drive]:
    """`grey_drive(codec, seconds)`: a recording of a grey picture with a tone in that codec, a second a segment."""
    made: dict[tuple[str | None, int], Drive] = {}

    def of(codec: str | None, seconds: int) -> Drive:
        if (codec, seconds) not in made:
            rows, columns = np.mgrid[0:270, 0:320]
            grey = ((rows + columns) % 200 + 20).astype(np.uint8)
            plains = segments_of([grey] * (RATE * seconds), 320, 180, codec=codec)
            folder = tmp_path_factory.mktemp("grey") / "spool"
            made[codec, seconds] = sealed_drive(folder, plains, manifest_of)
        return made[codec, seconds]

    return of


@dataclass(frozen=True, kw_only=True)
class Kit:
    """What makes recordings for tests of this folder."""

    segments_of: Callable[..., list[bytes]]
    sealed_drive: Callable[[Path, list[bytes], Callable[..., Manifest]], Drive]


@pytest.fixture(scope="session")
def redact_kit() -> Kit:
    """`segments_of` and `sealed_drive`."""
    return Kit(segments_of=segments_of, sealed_drive=sealed_drive)
