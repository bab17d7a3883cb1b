"""A clip as a camera: what is copied, what is encoded, when it comes, and what is refused."""

import itertools
import subprocess
from pathlib import Path

import av
import numpy as np
import pytest

from edge.camera import open_camera
from edge.camera.annexb import nal_type, nal_units
from edge.camera.clip import MAX_BATCH
from edge.camera.port import Camera, CameraFault, EncodedUnit, SmallFrame
from vedette.clock import FakeClock
from vedette.config import CameraSection
from vedette.errors import NotFound, Refused, Usage


def camera(path: Path, clock: FakeClock | None = None, **more: object) -> Camera:
    return open_camera(CameraSection(**{"source": str(path), "pace": "fast", **more}), clock or FakeClock())


def everything(one: Camera, most: int = 10_000) -> tuple[list[EncodedUnit], list[SmallFrame]]:
    found: list[EncodedUnit | SmallFrame] = []
    while not one.ended and len(found) < most:
        found += one.read(0)
    return [x for x in found if isinstance(x, EncodedUnit)], [x for x in found if isinstance(x, SmallFrame)]


def decoded(units: list[EncodedUnit]) -> list[np.ndarray]:
    context = av.CodecContext.create("h264", "r")
    frames = [frame for unit in units for frame in context.decode(av.Packet(unit.data))]
    return [frame.to_ndarray() for frame in [*frames, *context.decode(None)]]


def pictures_of(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as clip:
        return [frame.to_ndarray(format="yuv420p") for frame in clip.decode(video=0)]


@pytest.mark.parametrize("coding", ["h264", "b_frames"])
def test_clip_is_copied_picture_for_picture_when_it_is_h264(make_clip, coding: str):
    one = camera(make_clip(coding))
    info = one.open()
    units, frames = everything(one)
    truth = pictures_of(make_clip(coding))
    assert (info.width, info.height, info.rate_num, info.rate_den) == (320, 240, 25, 1)
    assert len(units) == len(frames) == len(truth) == 50
    assert all(np.array_equal(a, b) for a, b in zip(decoded(units), truth, strict=True))
    assert all(np.array_equal(frame.i420, picture) for frame, picture in zip(frames, truth, strict=True))


@pytest.mark.parametrize("coding", ["h264", "b_frames", "mpeg4"])
def test_key_units_carry_their_parameter_sets(make_clip, coding: str):
    one = camera(make_clip(coding))
    one.open()
    units, _ = everything(one)
    keys = [unit for unit in units if unit.is_key]
    assert [round(unit.pts_us / 1e6, 1) for unit in keys] == [0.0, 1.0]
    assert all({7, 8, 5} <= {nal_type(nal) for nal in nal_units(unit.data)} for unit in keys)


def test_decoding_times_rise_and_pictures_are_named_when_they_are_shown_when_there_are_b_frames(make_clip):
    one = camera(make_clip("b_frames"))
    one.open()
    units, frames = everything(one)
    decode = [unit.decode_us for unit in units]
    assert decode == sorted(set(decode))
    assert any(unit.pts_us != unit.decode_us for unit in units)
    assert sorted(unit.pts_us for unit in units) == [frame.media_us for frame in frames]


@pytest.mark.parametrize("coding", ["mpeg4", "h264_422"])
def test_clip_is_encoded_again_when_it_is_no_plain_h264(make_clip, coding: str):
    one = camera(make_clip(coding))
    one.open()
    units, frames = everything(one)
    truth, got = pictures_of(make_clip(coding)), decoded(units)
    assert len(got) == len(frames) == len(truth)
    assert max(float(np.abs(a.astype(int) - b).mean()) for a, b in zip(got, truth, strict=True)) < 8
    assert [unit.pts_us for unit in units] == [frame.media_us for frame in frames]


@pytest.mark.parametrize(
    ("size", "small"), [("1920x1080", (1920, 1080)), ("2560x1440", (1920, 1080)), ("642x242", (642, 242))]
)
def test_frames_are_reduced_when_they_are_larger_than_full_hd(make_clip, size: str, small: tuple[int, int]):
    one = camera(make_clip("h264", size=size, seconds=1))
    info = one.open()
    _, frames = everything(one)
    assert (frames[0].width, frames[0].height) == small
    assert f"{info.width}x{info.height}" == size


def test_times_follow_the_drive_when_the_pace_is_fast(make_clip):
    clock = FakeClock()
    one = camera(make_clip(), clock)
    one.open()
    units, frames = everything(one)
    assert [unit.utc_us - clock.utc_us() for unit in units] == [unit.pts_us for unit in units]
    assert [frame.mono_us - clock.mono_us() for frame in frames] == [frame.media_us for frame in frames]
    assert [frame.index for frame in frames] == list(range(50))


@pytest.mark.parametrize(("waited_us", "count"), [(0, 1), (39_999, 1), (40_000, 2), (400_000, 11)])
def test_pictures_come_when_they_are_due_when_the_pace_is_real(make_clip, waited_us: int, count: int):
    clock = FakeClock()
    one = camera(make_clip(), clock, pace="real")
    one.open()
    clock.advance(waited_us)
    units = [unit for _ in range(10) for unit in one.read(0) if isinstance(unit, EncodedUnit)]
    assert len(units) == count


def test_read_gives_a_bounded_number_of_things_when_much_is_due(make_clip):
    one = camera(make_clip())
    one.open()
    assert len(one.read(0)) == MAX_BATCH


@pytest.mark.parametrize("coding", ["h264", "b_frames", "mpeg4"])
def test_clip_begins_anew_without_a_seam_when_it_loops(make_clip, coding: str):
    one = camera(make_clip(coding), loop=True)
    one.open()
    units, frames = everything(one, most=300)
    assert not one.ended
    decode = [unit.decode_us for unit in units]
    assert decode == sorted(set(decode))
    steps = {b.media_us - a.media_us for a, b in itertools.pairwise(frames)}
    assert steps == {40_000}
    assert np.array_equal(frames[0].i420, frames[50].i420)


@pytest.mark.parametrize("coding", ["h264", "mpeg4"])
def test_clip_goes_on_where_the_drive_is_when_it_is_opened_again(make_clip, coding: str):
    clock = FakeClock()
    options = {"start_utc_us": str(clock.utc_us())}
    clock.advance(800_000)
    one = camera(make_clip(coding), clock, options=options)
    one.open()
    units, frames = everything(one)
    assert np.array_equal(frames[0].i420, pictures_of(make_clip(coding))[20])
    assert (frames[0].media_us, frames[0].utc_us) == (0, clock.utc_us())
    assert units[0].is_key
    assert units[0].pts_us == {"h264": 200_000, "mpeg4": 0}[coding]


def test_drive_goes_round_when_it_loops_and_began_long_ago(make_clip):
    clock = FakeClock()
    options = {"start_utc_us": str(clock.utc_us() - 1_000 * 2_000_000 - 1_000_000)}
    one = camera(make_clip(), clock, loop=True, options=options)
    one.open()
    _, frames = everything(one, most=20)
    assert np.array_equal(frames[0].i420, pictures_of(make_clip())[25])


def test_clip_has_ended_when_the_drive_is_over(make_clip):
    clock = FakeClock()
    one = camera(make_clip(), clock, options={"start_utc_us": str(clock.utc_us() - 60_000_000)})
    one.open()
    assert everything(one) == ([], [])


def test_missing_clip_is_not_found(tmp_path: Path):
    with pytest.raises(NotFound, match=r"nowhere\.mp4 is not there"):
        camera(tmp_path / "nowhere.mp4").open()


@pytest.mark.parametrize("content", [b"", b"This is a letter, not a video.\n" * 100])
def test_clip_that_is_no_video_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "letter.mp4"
    path.write_bytes(content)
    with pytest.raises(Refused, match=r"letter\.mp4 is not a video"):
        camera(path).open()


def test_clip_with_sound_only_is_refused(tmp_path: Path):
    path = tmp_path / "sound.mp4"
    source = ["-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac"]
    subprocess.run(["ffmpeg", "-v", "error", *source, str(path)], check=True)
    with pytest.raises(Refused, match="no video"):
        camera(path).open()


def test_damaged_clip_gives_what_it_has_and_ends(make_clip, tmp_path: Path):
    whole = make_clip("h264", ending="ts").read_bytes()
    path = tmp_path / "cut.ts"
    path.write_bytes(whole[: len(whole) // 2])
    one = camera(path)
    one.open()
    try:
        units, _ = everything(one)
    except CameraFault:
        units = []
    assert one.ended
    assert len(units) > 10


def test_option_that_is_no_time_is_refused(make_clip):
    with pytest.raises(Usage, match="start_utc_us"):
        camera(make_clip(), options={"start_utc_us": "yesterday"})


def test_unknown_adapter_is_named_with_those_that_are_known():
    with pytest.raises(Usage, match="'vhs'; known: clip, gst, pi"):
        open_camera(CameraSection(adapter="vhs"))


def test_adapter_of_another_package_is_found_by_its_entry_point():
    assert type(open_camera(CameraSection(adapter="street"), FakeClock())).__name__ == "StreetCamera"
