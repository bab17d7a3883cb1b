"""A real network camera under a real recorder: it is switched off in the middle, and comes back."""

import io
import shutil
from collections.abc import Callable

import av
import pytest

from edge.camera import open_camera
from vedette.clock import SystemClock
from vedette.config import CameraSection, SoundSection

needs_gstreamer = pytest.mark.skipif(shutil.which("gst-launch-1.0") is None, reason="GStreamer is not installed")


@pytest.fixture
def clock() -> SystemClock:
    """The server sends in real time; what is awaited below ends by itself, however slow the machine is."""
    return SystemClock()


@needs_gstreamer
def test_no_segment_is_lost_and_the_gap_is_named_when_a_network_camera_is_switched_off(device, bench, network_camera):
    """CF-3."""
    source = CameraSection(adapter="gst", source=f"rtsp:{network_camera.address}", width=320, height=240, rate=25)
    # As configured from the start: its own sound is asked for, and it has none.
    one = bench(camera=open_camera(source, SystemClock(), SoundSection()), segment_s=600)
    one.service._read_timeout_s = 0.05

    def step_until(happened: Callable[[], bool]) -> None:
        while not happened():
            one.steps(1)

    step_until(lambda: one.status()["recorded_ms"] >= 2_000)
    network_camera.switch_off()
    step_until(lambda: one.status()["state"] == "camera_fault")
    assert one.status()["camera"] == "unplugged"
    first_ms = one.status()["recorded_ms"]
    network_camera.switch_on()
    step_until(lambda: one.status()["recorded_ms"] >= first_ms + 2_000)
    assert one.status()["camera"] == "ok"
    one.close()

    first, second = device.items()
    assert (first.manifest.complete, second.manifest.complete) == (True, True)
    for item in (first, second):
        with av.open(io.BytesIO(device.opened(item))) as mp4:
            assert sum(1 for _ in mp4.decode(video=0)) == item.manifest.media.frames
    (gap,) = device.entries("gap")
    # A machine that is very slow may call the camera silent while it starts.
    (fault,), (recovered,) = (
        [entry for entry in device.entries(event) if entry.detail["kind"] != "silent"]
        for event in ("camera.fault", "camera.recovered")
    )
    assert (gap.detail["why"], gap.detail["to_us"]) == ("camera_fault", second.manifest.started_us)
    # The first picture is timed by its own delay, later ones by the least delayed so far.
    assert abs(gap.detail["from_us"] - first.manifest.ended_us) < 1_000_000
    assert (fault.detail["kind"], recovered.detail["kind"]) == ("unplugged", "unplugged")
    assert (first.manifest.media.width, first.manifest.media.height) == (352, 288)


@needs_gstreamer
def test_network_camera_with_an_ipv6_address_is_recorded(device, bench, ip6_camera):
    """CF-18: from its address in brackets to the opened file."""
    source = CameraSection(adapter="gst", source=f"rtsp:{ip6_camera.address}", width=320, height=240, rate=25)
    one = bench(camera=open_camera(source, SystemClock(), SoundSection()), segment_s=600)
    one.service._read_timeout_s = 0.05
    while one.status()["recorded_ms"] < 2_000:
        one.steps(1)
    one.close()
    (item,) = device.items()
    with av.open(io.BytesIO(device.opened(item))) as mp4:
        assert sum(1 for _ in mp4.decode(video=0)) == item.manifest.media.frames >= 50
