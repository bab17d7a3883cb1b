"""What is wrong with a real network camera's picture: coder, server, network and decoder are real."""

import shutil
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from edge.camera import open_camera
from edge.camera.port import Camera, EncodedUnit, SmallFrame
from edge.camera.watch import LOOK_US, CameraWatch, Notice
from vedette.clock import SystemClock
from vedette.config import CameraSection

NOTICED_US = 2_000_000

pytestmark = pytest.mark.skipif(shutil.which("gst-launch-1.0") is None, reason="GStreamer is not installed")


@pytest.fixture
def clock() -> SystemClock:
    """The server sends in real time; what is awaited below ends by itself, however slow the machine is."""
    return SystemClock()


@pytest.fixture
def street(network_camera) -> Iterator[Callable[[str], Camera]]:
    """The camera at a network camera with that coder."""
    made: list[Camera] = []

    def make(coder: str) -> Camera:
        if coder != network_camera.coder:
            network_camera.switch_off()
            network_camera.coder = coder
            network_camera.switch_on()
        section = CameraSection(
            adapter="gst", source=f"rtsp:{network_camera.address}", width=352, height=288, rate=25
        )  # fmt: skip
        made.append(open_camera(section, SystemClock()))
        return made[-1]

    yield make
    for one in made:
        one.close()


def snow(frame: SmallFrame) -> np.ndarray:
    """The part of the picture that changes as long as the camera lives: the lower right corner."""
    return frame.luma[240:, 280:].astype(np.int16)


class Watched:
    """What a camera's watch says, and when by the pictures' own times."""

    def __init__(self, camera: Camera) -> None:
        self.camera, self.watch = camera, CameraWatch()
        self.began_us: int | None = None
        self.moved_us = self.now_us = self.unseen_us = 0
        self.last: SmallFrame | None = None

    @property
    def lived_us(self) -> int:
        return 0 if self.began_us is None else self.now_us - self.began_us

    def until(self, happened: Callable[[Notice | None], object]) -> list[Notice]:
        """Read until `happened` of a notice, or of none after each picture; what was noticed."""
        found: list[Notice] = []
        while True:
            for one in self.camera.read(0.1):
                notices = self.watch.unit(one) if isinstance(one, EncodedUnit) else self.see(one)
                found += notices
                if any(map(happened, notices or [None])):
                    return found

    def see(self, frame: SmallFrame) -> list[Notice]:
        if self.last is None or np.abs(snow(frame) - snow(self.last)).mean() > 10:
            self.moved_us, self.unseen_us = frame.mono_us, 0
        elif self.last is not None:
            # Pictures that a machine under load never decoded: looks are further apart by that.
            self.unseen_us += max(0, frame.mono_us - self.now_us - LOOK_US)
        self.last, self.now_us = frame, frame.mono_us
        self.began_us = self.now_us if self.began_us is None else self.began_us
        return self.watch.picture(frame)


@pytest.mark.parametrize("coder", ["x264", "x264-long", "openh264"])
def test_frozen_network_camera_is_noticed_within_two_seconds(network_camera, street, coder: str) -> None:
    """CF-1: a stuck picture, coded again and again; nothing is noticed while it lives, and its end is."""
    camera = street(coder)
    camera.open()
    one = Watched(camera)
    assert one.until(lambda notice: notice or one.lived_us >= 4_000_000) == []
    network_camera.tell("freeze")
    (fault,) = one.until(lambda notice: notice is not None)
    assert (fault.kind.value, fault.event) == ("frozen", "camera.fault")
    assert 0 < one.now_us - one.moved_us <= NOTICED_US + one.unseen_us
    network_camera.tell("thaw")
    (over,) = one.until(lambda notice: notice is not None)
    assert (over.kind.value, over.event) == ("frozen", "camera.recovered")


def test_network_camera_that_freezes_and_goes_black_is_recorded_on_in_the_same_segment(
    device, bench, network_camera
) -> None:
    """CF-1, CF-2, CF-3: said in custody and status, and over when the picture is back."""
    section = CameraSection(adapter="gst", source=f"rtsp:{network_camera.address}", width=320, height=240, rate=25)
    one = bench(camera=open_camera(section, SystemClock()), segment_s=600)
    one.service._read_timeout_s = 0.05

    def step_until(happened: Callable[[], bool]) -> None:
        while not happened():
            one.steps(1)

    step_until(lambda: one.status()["recorded_ms"] >= 2_000)
    for word, kind in (("freeze", "frozen"), ("black", "blocked")):
        network_camera.tell(word)
        step_until(lambda kind=kind: one.status()["camera"] == kind)
        assert one.status()["state"] == "recording"
        network_camera.tell("thaw")
        network_camera.tell("smpte")
        step_until(lambda: one.status()["camera"] == "ok")
    one.close()
    (item,) = device.items()
    assert item.manifest.complete
    assert device.entries("gap") == []
    for event in ("camera.fault", "camera.recovered"):
        # A machine that is very slow may call the camera silent while it starts.
        kinds = [entry.detail["kind"] for entry in device.entries(event)]
        assert [kind for kind in kinds if kind != "silent"] == ["frozen", "blocked"]


def test_silent_network_camera_is_said_and_the_same_attempt_goes_on(device, bench, network_camera) -> None:
    """CF-1, CF-12: it takes the connection and gives no picture, and is not begun anew for that."""
    network_camera.tell("mute")
    section = CameraSection(adapter="gst", source=f"rtsp:{network_camera.address}", width=320, height=240, rate=25)
    camera = open_camera(section, SystemClock())
    one = bench(camera=camera, segment_s=600)
    one.service._read_timeout_s = 0.05
    pids: set[int] = set()
    while not device.entries("camera.fault"):
        one.steps(1)
        pids.add(camera._child.pid)
    network_camera.tell("speak")
    while not device.entries("camera.recovered"):
        one.steps(1)
        pids.add(camera._child.pid)
    (fault,), (recovered,) = device.entries("camera.fault"), device.entries("camera.recovered")
    assert (fault.detail["kind"], recovered.detail["kind"]) == ("silent", "silent")
    assert fault.detail["why"].endswith("it goes on starting")
    assert len(pids) == 1
    assert one.status()["camera"] == "ok"
