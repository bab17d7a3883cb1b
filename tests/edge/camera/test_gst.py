"""The GStreamer adapter, run for real with videotestsrc, and its pipelines for boards that are not here."""

import io
import itertools
import os
import shutil
import signal
import struct
import subprocess
import sys
import time

import av
import numpy as np
import pytest

from edge.camera import open_camera
from edge.camera.address import without_password
from edge.camera.gdp import HEADER_BYTES, MAX_PAYLOAD_BYTES, GdpReader
from edge.camera.pipelines import BOARDS, pipeline
from edge.camera.port import Camera, CameraFault, EncodedUnit, SmallFrame
from vedette.clock import SystemClock
from vedette.config import CameraSection
from vedette.errors import Integrity, NotFound, Refused, Usage

needs_gstreamer = pytest.mark.skipif(shutil.which("gst-launch-1.0") is None, reason="GStreamer is not installed")


def section(source: str = "test", **more: object) -> CameraSection:
    values = {"adapter": "gst", "source": source, "width": 320, "height": 240, "rate": 25, "bitrate_kbps": 1000}
    return CameraSection(**{**values, **more})


@pytest.fixture
def camera():
    made: list[Camera] = []

    def make(source: str = "test", **more: object) -> Camera:
        made.append(open_camera(section(source, **more), SystemClock()))
        return made[-1]

    yield make
    for one in made:
        one.close()


def watched(one: Camera, seconds: float) -> tuple[list[EncodedUnit], list[SmallFrame]]:
    found, until_us = [], SystemClock().mono_us() + int(seconds * 1e6)
    while SystemClock().mono_us() < until_us:
        found += one.read(0.1)
    return [x for x in found if isinstance(x, EncodedUnit)], [x for x in found if isinstance(x, SmallFrame)]


@needs_gstreamer
def test_units_and_frames_come_when_the_pipeline_runs(camera):
    one = camera()
    info = one.open()
    units, frames = watched(one, 3)
    assert (info.width, info.height, info.rate_num) == (320, 240, 25)
    assert len(units) >= 50
    assert len(frames) >= 40
    assert units[0].is_key
    assert sum(unit.is_key for unit in units) >= 2
    assert {frame.i420.shape for frame in frames} == {(360, 320)}
    with av.open(io.BytesIO(b"".join(unit.data for unit in units)), format="h264") as stream:
        assert len(list(stream.decode(video=0))) == len(units)


@needs_gstreamer
def test_times_are_of_the_devices_clock_when_the_pipeline_runs(camera):
    one, clock = camera(), SystemClock()
    one.open()
    units, frames = watched(one, 2)
    steps = [b.pts_us - a.pts_us for a, b in itertools.pairwise(units)]
    assert all(20_000 < step < 60_000 for step in steps)
    assert abs(units[-1].utc_us - clock.utc_us()) < 1_500_000
    assert abs(units[-1].mono_us - frames[-1].mono_us) < 500_000
    assert [frame.index for frame in frames] == list(range(len(frames)))


@needs_gstreamer
def test_coded_picture_has_the_time_of_the_small_one_of_its_moment(camera):
    """SG-18: x264enc counts from its first picture, however long after the zero that was."""
    one = camera()
    one.open()
    units, frames = watched(one, 2)
    coded = {unit.pts_us for unit in units}
    assert len(frames) > 10
    assert [
        frame.media_us for frame in frames if frame.media_us not in coded and min(coded) < frame.media_us < max(coded)
    ] == []


@needs_gstreamer
def test_times_are_the_pipelines_own_however_late_its_pictures_are_looked_at(camera):
    """SG-18: a slow start moves nothing that follows against the sound."""
    one = camera()
    one.begin()
    while one.opened() is None:
        time.sleep(0.3)
    (zero_us,) = {x.mono_us - (x.media_us if isinstance(x, SmallFrame) else x.pts_us) for x in one.read(1)}
    assert zero_us == one._base_us
    time.sleep(0.3)
    assert {x.mono_us - x.pts_us for x in one.read(1) if isinstance(x, EncodedUnit)} == {zero_us}


@needs_gstreamer
def test_fault_with_a_reason_is_raised_when_gstreamer_dies_and_the_camera_opens_again(camera):
    one = camera()
    one.open()
    os.kill(one._child.pid, signal.SIGKILL)
    with pytest.raises(CameraFault, match="GStreamer ended"):
        watched(one, 5)
    one.open()
    assert watched(one, 1)[0] != []


@needs_gstreamer
def test_child_is_gone_when_the_camera_is_closed(camera):
    one = camera()
    one.open()
    pid = one._child.pid
    one.close()
    one.close()
    assert one.has_left(10)
    assert not running(pid)


@needs_gstreamer
def test_gstreamer_ends_by_itself_when_the_recorder_is_killed():
    code = (
        "from edge.camera import open_camera; from vedette.config import CameraSection; import time\n"
        "one = open_camera(CameraSection(adapter='gst', source='test')); one.open()\n"
        "print(one._child.pid, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    child = int(process.stdout.readline())
    process.kill()
    process.wait()
    for _ in range(100):
        if not running(child):
            break
        time.sleep(0.1)
    assert not running(child)


def running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@needs_gstreamer
def test_missing_device_is_refused_with_gstreamers_words(camera):
    with pytest.raises(Refused, match="/dev/video77"):
        camera("v4l2:/dev/video77").open()


@needs_gstreamer
def test_missing_element_is_refused_by_its_name(camera):
    with pytest.raises(Refused, match="nvarguscamerasrc"):
        camera("jetson").open()


def test_missing_gstreamer_is_not_found(camera, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NotFound, match="not installed"):
        camera().open()


@needs_gstreamer
def test_network_camera_is_recorded_as_it_codes_and_seen_decoded(camera, network_camera):
    """The camera decides the size of what is recorded; the reader's pictures are of the configured one."""
    one = camera(f"rtsp:{network_camera.address}")
    info = one.open()
    units, frames = watched(one, 3)
    assert (info.width, info.height) == (352, 288)
    assert len(units) >= 50
    assert len(frames) >= 40
    assert {frame.i420.shape for frame in frames} == {(360, 320)}
    with av.open(io.BytesIO(b"".join(unit.data for unit in units)), format="h264") as stream:
        pictures = list(stream.decode(video=0))
    first_key = next(n for n, unit in enumerate(units) if unit.is_key)
    assert len(pictures) >= len(units) - first_key - 1
    assert (pictures[0].width, pictures[0].height) == (352, 288)
    # Bars from black to white.
    assert np.ptp(frames[-1].luma) > 150
    assert abs(units[-1].mono_us - frames[-1].mono_us) < 500_000


@needs_gstreamer
def test_network_camera_that_was_switched_off_is_a_fault_and_opens_again(camera, network_camera):
    one = camera(f"rtsp:{network_camera.address}")
    one.open()
    network_camera.switch_off()
    with pytest.raises(CameraFault, match="GStreamer ended"):
        watched(one, 10)
    with pytest.raises(Refused, match="does not start"):
        one.open()
    network_camera.switch_on()
    one.open()
    assert any(unit.is_key for unit in watched(one, 2)[0])


@needs_gstreamer
def test_password_of_a_network_camera_is_in_no_message(camera):
    with pytest.raises(Refused) as refused:
        camera("rtsp:rtsp://officer:hunter2@127.0.0.1:9/street").open()
    assert "127.0.0.1:9/street" in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert without_password("no rtsp://a:b@c/d and rtsp://e@f/g") == "no rtsp://c/d and rtsp://f/g"
    assert without_password("rtsp://a:p@ss@c/d@e and rtsp://a:b@[::1]/") == "rtsp://c/d@e and rtsp://[::1]/"


SOURCES = ["rtsp:rtsp://camera/1" if board == "rtsp" else board for board in BOARDS]


@pytest.mark.parametrize("source", SOURCES)
def test_pipeline_of_every_board_has_both_ends_and_no_open_place(source: str):
    text = pipeline(section(source, width=1920, height=1080)).format(units=7, pictures=9)
    assert (text.count("fdsink"), "fd=7" in text, "fd=9" in text) == (2, True, True)
    assert "{" not in text
    assert "1920" in text


@pytest.mark.parametrize("source", SOURCES)
def test_sound_of_its_own_is_asked_for_of_a_camera_that_codes_and_waited_for_by_nobody(source: str):
    """SG-32: without async=false a camera that has no sound would give no picture either."""
    text = pipeline(section(source), hears=True)
    is_network = source.startswith("rtsp")
    assert (text.count("fdsink"), "async=false fd={sounds}" in text) == ((3, True) if is_network else (2, False))


def test_sound_of_a_network_camera_is_filtered_by_an_element():
    """SG-32: as caps between two `!` one is made for each stream that comes; where two come at once one is in the
    other's way, and the sound was not linked in one of ten to thirty openings.
    """
    assert "net. ! capsfilter caps=application/x-rtp,media=audio ! queue" in pipeline(
        section("rtsp:rtsp://camera/1"), hears=True
    )


def test_test_picture_is_of_the_pattern_that_is_named():
    assert "pattern=smpte" in pipeline(section("test"))
    assert "pattern=ball" in pipeline(section("test:ball"))


@pytest.mark.parametrize(
    ("source", "more"),
    [
        ("webcam", {}),
        ("", {}),
        ("v4l2:/dev/video0 ! filesink location=/tmp/x", {}),
        ("v4l2:a b", {}),
        ("rtsp", {}),
        ("rtsp:", {}),
        ("rtsp:http://camera/1", {}),
        ("rtsp:rtsp://camera/1 ! filesink location=/tmp/x", {}),
        ('rtsp:rtsp://camera/"1"', {}),
        ("rtsp:rtsp://camera/{units}", {}),
        ("rtsp:rtsp://camera/" + "1" * 257, {}),
        ("rtsp:rtsp://camera/1", {"options": {"stamp": "unit-7"}}),
        ("test", {"width": 321}),
        ("test", {"height": 241}),
    ],
)
def test_source_or_size_that_cannot_be_is_a_usage_error(source: str, more: dict[str, object]):
    with pytest.raises(Usage):
        pipeline(section(source, **more))


def header(kind: int, size: int, pts_ns: int = 0, flags: int = 0) -> bytes:
    start = b"\x01\x00\x00\x00" + struct.pack(">HIQQQQH", kind, size, pts_ns, 0, 0, 0, flags)
    return start + bytes(HEADER_BYTES - len(start))


def test_buffers_are_found_when_they_come_in_any_pieces():
    stream = header(2, 3) + b"cap" + header(1, 4, 40_000_000) + b"unit" + header(1, 0, 80_000_000, 1 << 13)
    reader = GdpReader()
    found = [buffer for n in range(len(stream)) for buffer in reader.feed(stream[n : n + 1])]
    assert reader.caps == "cap"
    assert [(one.payload, one.pts_us, one.is_delta) for one in found] == [(b"unit", 40_000, False), (b"", 80_000, True)]


@pytest.mark.parametrize("damage", [b"\x02" + header(1, 0)[1:], header(1, MAX_PAYLOAD_BYTES + 1), b"x" * HEADER_BYTES])
def test_stream_that_is_no_gdp_is_refused(damage: bytes):
    with pytest.raises(Integrity, match="GDP"):
        GdpReader().feed(damage)
