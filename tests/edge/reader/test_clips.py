"""The pictures of video files, whole, cut and damaged."""

from __future__ import annotations

import struct
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from edge.reader import clips
from edge.reader.clips import ClipFrame, read_frames
from edge.reader.pictures import Unreadable

FRAMES, RATE = 40, 10
FAST = {"movflags": "faststart"}


def make_clip(
    path: Path, *, codec: str = "mpeg4", pixels: str = "yuv420p", options: dict[str, str] | None = None
) -> Path:
    """Noise, so that each picture takes its share of the file, with a bright stripe at the left."""
    random = np.random.default_rng(3)
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=RATE)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 128, 96, pixels, 8_000_000
        for _ in range(FRAMES):
            picture = random.integers(0, 120, (96, 128, 3), dtype=np.uint8)
            picture[:, :24] = 235
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode(None))
    return path


def read(path: Path) -> tuple[list[ClipFrame], str]:
    """The frames, and what was said at the end."""
    frames = []
    try:
        for frame in read_frames(path, every=1):
            frames.append(frame)
    except Unreadable as error:
        return frames, str(error)
    return frames, ""


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.avi", "clip.ts"])
def test_every_frame_has_its_number_and_a_rising_time(tmp_path: Path, name: str) -> None:
    frames, trouble = read(make_clip(tmp_path / name))
    assert trouble == ""
    assert [frame.number for frame in frames] == list(range(FRAMES))
    times = [frame.at_us for frame in frames]
    assert times == sorted(set(times))
    assert times[-1] - times[0] == pytest.approx((FRAMES - 1) * 1_000_000 // RATE, abs=1000)


@pytest.mark.parametrize(("codec", "pixels"), [("mpeg4", "yuv420p"), ("ffv1", "yuv444p"), ("ffv1", "bgr0")])
def test_brightness_is_the_same_whatever_the_pixels_are_made_of(tmp_path: Path, codec: str, pixels: str) -> None:
    (frame, *_), trouble = read(make_clip(tmp_path / "clip.mkv", codec=codec, pixels=pixels))
    assert trouble == ""
    assert (frame.luma.shape, frame.luma.dtype, frame.luma.flags.c_contiguous) == ((96, 128), np.uint8, True)
    assert frame.luma[:, :20].mean() > 180 > 110 > frame.luma[:, 40:].mean()


@pytest.mark.parametrize(
    ("matrix", "bright"),
    [
        ((0, 1, 0, -1, 0, 0), np.s_[:20, :]),
        ((-1, 0, 0, 0, -1, 0), np.s_[:, -20:]),
        ((0, -1, 0, 1, 0, 0), np.s_[-20:, :]),
    ],
)
def test_video_taken_sideways_is_turned_upright(tmp_path: Path, matrix: tuple[int, ...], bright: object) -> None:
    path = make_clip(tmp_path / "clip.mp4")
    upright = struct.pack(">6i", 65536, 0, 0, 0, 65536, 0)
    head, track = path.read_bytes().split(b"tkhd", 1)
    turned = struct.pack(">6i", *(65536 * one for one in matrix))
    path.write_bytes(head + b"tkhd" + track.replace(upright, turned, 1))
    (frame, *_), _ = read(path)
    assert frame.luma.shape == ((128, 96) if matrix[0] == 0 else (96, 128))
    assert frame.luma[bright].mean() > 180  # type: ignore[index]


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("clip.mp4", FAST, "frames could be decoded"),
        ("clip.avi", {}, "frames could be decoded"),
        ("clip.mkv", {}, "s could be decoded"),
    ],
)
def test_video_cut_in_the_middle_gives_its_beginning_and_says_so(
    tmp_path: Path, name: str, options: dict[str, str], said: str
) -> None:
    path = make_clip(tmp_path / name, options=options)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames, trouble = read(path)
    assert FRAMES // 4 < len(frames) < 3 * FRAMES // 4
    assert said in trouble


def test_video_cut_before_its_index_says_so(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames, trouble = read(path)
    assert (frames, "cut before its index" in trouble) == ([], True)


def test_damage_in_the_middle_costs_no_more_than_its_own_frames(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", options=FAST)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = bytes(2000)
    path.write_bytes(content)
    frames, trouble = read(path)
    assert len(frames) >= FRAMES - 4
    assert "the video is damaged" in trouble


@pytest.mark.parametrize("at", [0.3, 0.4, 0.6, 0.7])
def test_pictures_of_which_the_decoder_made_up_a_part_are_told(tmp_path: Path, at: float) -> None:
    """HT-43."""
    path = make_clip(tmp_path / "clip.mp4", options=FAST)
    content = bytearray(path.read_bytes())
    start = int(at * len(content))
    content[start : start + 100] = np.random.default_rng(1).integers(0, 256, 100, dtype=np.uint8).tobytes()
    path.write_bytes(content)
    frames, trouble = read(path)
    assert len(frames) == FRAMES
    assert "could be decoded only in part: 1" in trouble


def test_pictures_before_the_first_whole_one_are_no_damage() -> None:
    decoded = clips._Decoded()
    packet = SimpleNamespace(
        decode=lambda: [_frame(is_corrupt=True), _frame(is_corrupt=True), _frame(is_corrupt=False)]
    )
    for _ in clips._frames(av, SimpleNamespace(demux=lambda _: [packet]), None, 10, decoded):
        pass
    assert (decoded.frames, decoded.in_part) == (3, 0)


def _frame(*, is_corrupt: bool) -> SimpleNamespace:
    return SimpleNamespace(
        width=128,
        height=96,
        time=0.0,
        is_corrupt=is_corrupt,
        format=SimpleNamespace(name="rgb24"),
        to_ndarray=lambda format: np.zeros((96, 128), dtype=np.uint8),
        rotation=0,
    )


@pytest.mark.parametrize("content", [b"", b"hello, I am a text", b"\0" * 1000, b"\0\0\0\x18ftypmp42"])
def test_what_is_no_video_is_refused_with_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    frames, trouble = read(path)
    assert frames == []
    assert trouble and "\n" not in trouble and str(tmp_path) not in trouble


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    assert read(path) == ([], "the file holds no video")


def test_frames_beyond_the_maximum_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_clip(tmp_path / "clip.mp4")
    monkeypatch.setattr(clips, "MAX_PIXELS", 128 * 96)
    assert len(read(path)[0]) == FRAMES
    monkeypatch.setattr(clips, "MAX_PIXELS", 128 * 96 - 1)
    assert read(path) == ([], f"frames of 128 x 96 pixels; {128 * 96 - 1} is the most")
