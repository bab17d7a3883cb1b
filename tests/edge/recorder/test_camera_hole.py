"""What was buffered before a camera broke becomes evidence with what came after, and the hole between is a gap."""

import io
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.camera import open_camera
from edge.camera.clip import ClipCamera
from edge.camera.encode import X264Encoder
from edge.camera.port import CameraFault, EncodedUnit, Given, StreamInfo
from edge.recorder.preevent import PreEventBuffer
from edge.recorder.segments import PartFile
from edge.recorder.source import FIRST_WAIT_US
from vedette import spool
from vedette.clock import FakeClock, SystemClock
from vedette.config import CameraSection
from vedette.custody import verify_chain
from vedette.keys import SigningKey
from vedette.timeline import State, Timeline
from vedette.timeline_layers import read_timeline

SECOND = 1_000_000
INFO = StreamInfo(width=320, height=240, rate_num=10, rate_den=1)


def pictures_in(data: bytes) -> list[tuple[int, int]]:
    with av.open(io.BytesIO(data)) as mp4:
        return [(picture.width, picture.height) for picture in mp4.decode(video=0)]


def items_of(device) -> list[spool.Item]:
    """In the order of their time: those of one activation may have been given their ids within one millisecond."""
    return sorted(device.items(), key=lambda item: item.manifest.started_us)


def timeline_of(device) -> Timeline:
    public = SigningKey.load(device.folder / "keys" / "sign.pem").public
    return read_timeline(verify_chain(device.lines(), public))


def assert_each_second_is_accounted_for(device) -> None:
    """Recorded is what the files hold and no more; what lies between two of them is the camera's."""
    timeline, items = timeline_of(device), items_of(device)
    assert timeline.unexplained_us == 0
    recorded = [(one.from_us, one.to_us) for one in timeline.stretches if one.state is State.RECORDED]
    assert sum(b - a for a, b in recorded) == sum(item.manifest.media.duration_us for item in items)
    for item in items:
        sizes = pictures_in(device.opened(item))
        assert (len(sizes), item.manifest.complete) == (item.manifest.media.frames, True)
        assert set(sizes) == {(item.manifest.media.width, item.manifest.media.height)}


def test_button_after_a_glitch_in_standby_keeps_what_was_before_it(device, bench, post) -> None:
    """CF-8: two items and the hole between them, named by its own times."""
    one = bench(mode="standby", pre_event_s=6, segment_s=60)
    one.camera.breaks_at = 40
    one.steps(41)
    one.clock.advance(FIRST_WAIT_US)
    one.steps(20)
    post(one, "start")
    one.steps(20)
    one.close()
    first, second = items_of(device)
    (gap,) = device.entries("gap")
    assert (gap.detail["why"], gap.detail["from_us"]) == ("camera_fault", first.manifest.ended_us)
    assert gap.detail["to_us"] == second.manifest.started_us
    assert second.manifest.ended_us - first.manifest.started_us >= 6 * SECOND
    assert first.manifest.media.frames + second.manifest.media.frames >= 70
    assert {item.manifest.activation for item in (first, second)} == {"button"}
    assert [entry.detail["kind"] for entry in device.entries("camera.recovered")] == ["unplugged"]
    assert_each_second_is_accounted_for(device)
    holes = [one.state for one in timeline_of(device).stretches if one.from_us >= first.manifest.ended_us]
    assert State.CAMERA in holes


def test_button_while_the_camera_is_away_keeps_at_once_what_was_before(device, bench, post) -> None:
    """CF-8: it is on the disk before the camera is back, and a recorder that dies meanwhile goes on recording."""
    one = bench(mode="standby", pre_event_s=6, segment_s=60)
    one.camera.breaks_at = 30
    one.camera.open = lambda: (_ for _ in ()).throw(CameraFault("still out"))
    one.steps(31)
    post(one, "start")
    one.clock.advance(SECOND)
    one.steps(2)
    (first,) = device.items()
    assert first.manifest.media.frames == 30
    assert one.status()["state"] == "camera_fault"
    assert [entry.detail["reason"] for entry in device.entries("recording.stopped")] == ["camera_fault"]
    del one.camera.open
    one.clock.advance(10 * SECOND)
    one.steps(20)
    assert one.status()["state"] == "recording"
    one.close()
    first, second = items_of(device)
    (gap,) = device.entries("gap")
    opened = [entry.detail["mono_us"] for entry in device.entries("segment.opened")]
    assert gap.detail == {
        "from_us": first.manifest.ended_us,
        "to_us": second.manifest.started_us,
        "from_mono_us": opened[0] + first.manifest.media.duration_us,
        "to_mono_us": opened[1],
        "why": "camera_fault",
    }
    assert_each_second_is_accounted_for(device)


def test_what_is_older_than_the_buffer_is_not_kept_because_the_camera_was_away(device, bench, post) -> None:
    """CF-8: time goes on while nothing comes."""
    one = bench(mode="standby", pre_event_s=6, segment_s=60)
    one.camera.breaks_at = 30
    one.camera.open = lambda: (_ for _ in ()).throw(CameraFault("still out"))
    one.steps(31)
    for _ in range(20):
        one.clock.advance(SECOND // 5)
        one.steps(1)
    assert one.service._keeping.buffer.size_bytes > 0
    for _ in range(40):
        one.clock.advance(SECOND // 5)
        one.steps(1)
    assert one.service._keeping.buffer.size_bytes == 0
    post(one, "start")
    one.clock.advance(SECOND)
    one.steps(2)
    one.close()
    assert device.items() == []
    assert [entry.detail["activation"] for entry in device.entries("recording.started")] == ["button"]
    assert State.RECORDED not in {one.state for one in timeline_of(device).stretches}


def test_recording_goes_on_after_a_restart_when_it_was_asked_for_without_a_camera(device, bench, post) -> None:
    one = bench(mode="standby", pre_event_s=0, segment_s=60)
    one.camera.breaks_at = 30
    one.camera.open = lambda: (_ for _ in ()).throw(CameraFault("still out"))
    one.steps(31)
    post(one, "start")
    one.clock.advance(SECOND)
    one.steps(2)
    one.close()
    two = bench(mode="standby", pre_event_s=0, segment_s=60)
    two.steps(20)
    assert two.status()["state"] == "recording"


def test_both_sides_of_the_hole_wait_for_a_disk_that_refuses(device, bench, post) -> None:
    """CF-8: what the disk did not take goes back into the buffer as it was."""
    refusals = [OSError(28, "no space")]

    def open_file(path: Path) -> PartFile:
        if refusals:
            raise refusals.pop()
        return PartFile(path)

    one = bench(mode="standby", pre_event_s=20, segment_s=60, terms={"open_file": open_file})
    one.camera.breaks_at = 30
    one.steps(31)
    one.clock.advance(FIRST_WAIT_US)
    one.steps(20)
    post(one, "start")
    one.steps(60)
    one.close()
    first, second = items_of(device)
    assert first.manifest.media.frames == 30
    assert [entry.detail["why"] for entry in device.entries("gap")] == ["camera_fault"]
    assert second.manifest.media.frames >= 70
    assert_each_second_is_accounted_for(device)


class Unplugged(ClipCamera):
    """A real clip whose cable comes out after so many reads; with the next opening it plays another one."""

    def __init__(self, clips: Sequence[Path], clock: FakeClock, *, after: int) -> None:
        super().__init__(CameraSection(source=str(clips[0]), pace="fast"), clock)
        self._clips, self._after = list(clips), after

    def open(self) -> StreamInfo:
        self._path, self._left, self.ended = self._clips.pop(0), self._after, False
        return super().open()

    def read(self, timeout_s: float) -> Sequence[Given]:
        if self._left == 0 and self._clips:
            raise CameraFault("the cable is out")
        self._left -= 1
        found = super().read(timeout_s)
        self._clock.advance(sum(isinstance(one, EncodedUnit) for one in found) * 40_000)
        return found


@pytest.fixture
def clips(tmp_path: Path) -> list[Path]:
    found = []
    for size in ("320x240", "480x360"):
        found.append(tmp_path / f"{size}.mp4")
        source = ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate=25:duration=8"]
        coding = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p"]
        subprocess.run(["ffmpeg", "-v", "error", *source, *coding, str(found[-1])], check=True)
    return found


def test_clip_that_comes_back_in_another_size_is_two_items_of_their_own_sizes(
    device, bench, clock, post, clips
) -> None:
    """CF-8, CF-9: the codec's parameters are of the stream that they stand before."""
    one = bench(camera=Unplugged(clips, clock, after=12), mode="standby", pre_event_s=30, segment_s=60)
    one.steps(13)
    one.clock.advance(FIRST_WAIT_US)
    one.steps(8)
    post(one, "start")
    one.clock.advance(SECOND // 4)
    one.steps(4)
    one.close()
    assert [(item.manifest.media.width, item.manifest.media.height) for item in items_of(device)] == [
        (320, 240),
        (480, 360),
    ]
    assert [entry.detail["why"] for entry in device.entries("gap")] == ["camera_fault"]
    assert_each_second_is_accounted_for(device)


def test_new_segment_begins_where_a_camera_changes_its_parameters(device, bench) -> None:
    """CF-9: in the same recording, without a gap."""
    one = bench(segment_s=60)
    coders = [X264Encoder(320, 240, 10), X264Encoder(160, 120, 10)]
    read = one.camera.read

    def changed(timeout_s: float) -> list[Given]:
        (unit, *rest) = read(timeout_s)
        coder, (height, width) = (coders[0], (240, 320)) if one.camera.index <= 30 else (coders[1], (120, 160))
        picture = np.full((height * 3 // 2, width), 128, np.uint8)
        coded = coder.encode(picture, unit.pts_us, utc_us=unit.utc_us, mono_us=unit.mono_us)
        return [*coded, *rest]

    one.camera.read = changed
    one.steps(60)
    one.close()
    first, second = items_of(device)
    assert first.manifest.recording == second.manifest.recording
    assert [item.manifest.media.frames for item in (first, second)] == [30, 30]
    assert (second.manifest.media.width, second.manifest.media.height) == (160, 120)
    assert device.entries("gap") == []
    assert_each_second_is_accounted_for(device)


def unit(at_us: int, *, is_key: bool, size: int = 10) -> EncodedUnit:
    return EncodedUnit(data=bytes(size), pts_us=0, is_key=is_key, utc_us=0, mono_us=at_us)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 50), st.integers(0, 3)), max_size=120),
    st.integers(0, 40),
    st.integers(0, 60),
)
def test_buffer_with_holes_keeps_whole_groups_in_its_bounds_and_nothing_too_old(
    shape: list[tuple[bool, int, int]], length: int, later: int
) -> None:
    """CF-8: whatever came, however often the camera went and came back."""
    length_us, buffer, given_units, now_us = length * 100_000, PreEventBuffer(length_us=length * 100_000), [], 0
    buffer.most_bytes = 400
    buffer.begin(INFO)  # as the recorder does with whatever camera: before that nothing says how long a picture lasts
    for is_key, size, event in shape:
        now_us += 100_000
        if event == 3:
            now_us += 700_000
            buffer.age(now_us)
            buffer.begin(INFO)
        given_units.append(unit(now_us, is_key=is_key, size=size))
        buffer.add(given_units[-1])
        assert buffer.size_bytes <= 400
    now_us += later * 100_000
    buffer.age(now_us)
    stretches = buffer.take()
    kept = [one for stretch in stretches for one in stretch.units]
    assert all(stretch.units[0].is_key for stretch in stretches if stretch.units)
    # In the order they came, each once.
    places = [next(n for n, one in enumerate(given_units) if one is unit) for unit in kept]
    assert places == sorted(set(places))
    keys = [one.mono_us for one in kept if one.is_key]
    # The oldest group may reach over its time by less than itself.
    assert all(at_us > now_us - length_us - 100_000 for at_us in keys[1:])
    assert buffer.size_bytes == 0


needs_gstreamer = pytest.mark.skipif(shutil.which("gst-launch-1.0") is None, reason="GStreamer is not installed")


class TestGStreamer:
    """GStreamer's own picture, its process killed, under a recorder in real time."""

    @pytest.fixture
    def clock(self) -> SystemClock:
        return SystemClock()

    @needs_gstreamer
    def test_seconds_before_a_killed_pipeline_are_kept_with_those_after_it(self, device, bench, post) -> None:
        """CF-8: the hole is as long as custody says, by the pictures' own times."""
        camera = open_camera(CameraSection(adapter="gst", source="test", width=320, height=240), SystemClock())
        one = bench(camera=camera, mode="standby", pre_event_s=60, segment_s=600)
        one.service._read_timeout_s = 0.05

        def step_until(happened: Callable[[], object]) -> None:
            while not happened():
                one.steps(1)

        def frames() -> int:
            return int(str(one.status()["frames"]))

        step_until(lambda: frames() >= 60)
        os.kill(camera._child.pid, signal.SIGKILL)
        step_until(lambda: device.entries("camera.recovered"))
        count = frames()
        step_until(lambda: frames() >= count + 40)
        post(one, "start")
        step_until(lambda: one.status()["state"] == "recording" and int(str(one.status()["recorded_ms"])) > 3_000)
        one.close()
        first, second = items_of(device)
        (gap,) = device.entries("gap")
        (fault,) = device.entries("camera.fault")
        assert first.manifest.media.frames >= 50
        assert (gap.detail["why"], gap.detail["to_us"]) == ("camera_fault", second.manifest.started_us)
        assert abs(gap.detail["from_us"] - first.manifest.ended_us) < SECOND
        assert abs(fault.detail["since_us"] - first.manifest.ended_us) < SECOND
        assert timeline_of(device).unexplained_us == 0
