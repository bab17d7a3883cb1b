"""The picamera2 adapter against a stand-in with the real names; a real Raspberry Pi has not run it yet."""

import sys
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from edge.camera import open_camera
from edge.camera.pi import MAX_WAITING_UNITS, PiCamera
from edge.camera.port import EncodedUnit, SmallFrame
from vedette.clock import FakeClock
from vedette.config import CameraSection
from vedette.errors import NotFound, Refused, Usage

KEY = b"\x00\x00\x00\x01\x67sps\x00\x00\x00\x01\x68pps\x00\x00\x00\x01\x65idr"
DELTA = b"\x00\x00\x00\x01\x41p"


class Output:
    pass


class H264Encoder:
    def __init__(self, bitrate=None, repeat=True, iperiod=None, framerate=None):
        self.settings = (bitrate, repeat, iperiod, framerate)


class Picamera2:
    """What `picamera2.Picamera2` 0.3.38 is asked for here."""

    made: ClassVar[list["Picamera2"]] = []
    fails = False

    @staticmethod
    def global_camera_info():
        return [{"Num": 0}]

    def __init__(self, camera_num=0):
        self.post_callback = None
        self.calls = []
        Picamera2.made.append(self)

    def create_video_configuration(self, main, lores, controls, encode):
        return SimpleNamespace(main=main, lores=lores, controls=controls, encode=encode)

    def configure(self, camera_config):
        if Picamera2.fails:
            raise RuntimeError("Device or resource busy")
        self.configuration = camera_config

    def start_recording(self, encoder, output, name=None):
        self.encoder, self.output = encoder, output
        self.calls.append("start")

    def stop_recording(self):
        self.calls.append("stop")

    def close(self):
        self.calls.append("close")


@pytest.fixture
def picamera2(monkeypatch):
    package = ModuleType("picamera2")
    package.Picamera2 = Picamera2
    Picamera2.made, Picamera2.fails = [], False
    monkeypatch.setitem(sys.modules, "picamera2", package)
    for name, members in {"encoders": [H264Encoder], "outputs": [Output]}.items():
        module = ModuleType(f"picamera2.{name}")
        for member in members:
            setattr(module, member.__name__, member)
        monkeypatch.setitem(sys.modules, f"picamera2.{name}", module)
    return Picamera2


def camera(**more: object) -> PiCamera:
    config = CameraSection(**{"adapter": "pi", "width": 1280, "height": 720, "rate": 30, **more})
    one = open_camera(config, FakeClock())
    assert isinstance(one, PiCamera)
    return one


def test_camera_is_configured_with_both_streams_when_it_is_opened(picamera2):
    info = camera(width=2560, height=1440).open()
    (made,) = picamera2.made
    assert (info.width, info.height, info.rate_num) == (2560, 1440, 30)
    assert made.configuration.main == {"size": (2560, 1440), "format": "YUV420"}
    assert made.configuration.lores == {"size": (1920, 1080), "format": "YUV420"}
    assert made.encoder.settings == (4_000_000, True, 30, 30)


def test_units_wait_from_the_first_key_unit_and_only_the_newest_picture_does(picamera2):
    one = camera()
    one.open()
    (made,) = picamera2.made
    for n, data in enumerate([DELTA, KEY, DELTA]):
        made.output.outputframe(data, False, n * 33_333)
        made.post_callback(SimpleNamespace(make_array=lambda name, n=n: np.full((1080, 1280), n, np.uint8)))
    found = one.read(0)
    units = [x for x in found if isinstance(x, EncodedUnit)]
    frames = [x for x in found if isinstance(x, SmallFrame)]
    assert [(unit.is_key, unit.pts_us) for unit in units] == [(True, 33_333), (False, 66_666)]
    assert [(int(frame.luma[0, 0]), frame.index) for frame in frames] == [(2, 2)]
    assert one.read(0) == []


def test_whole_groups_are_lost_when_the_queue_runs_over(picamera2):
    one = camera()
    one.open()
    for n in range(MAX_WAITING_UNITS + 10):
        one.take_unit(DELTA if n else KEY, n)
    assert len(one.read(0)) == MAX_WAITING_UNITS
    one.take_unit(DELTA, 1000)
    assert one.read(0) == []
    one.take_unit(KEY, 1001)
    assert [unit.pts_us for unit in one.read(0)] == [1001]


def test_camera_is_given_back_when_it_is_closed(picamera2):
    one = camera()
    one.open()
    one.close()
    one.close()
    assert picamera2.made[0].calls == ["start", "stop", "close"]


def test_camera_that_is_busy_is_refused(picamera2):
    picamera2.fails = True
    with pytest.raises(Refused, match="resource busy"):
        camera().open()


def test_camera_that_is_not_there_is_not_found(picamera2):
    with pytest.raises(NotFound, match="no camera 3"):
        camera(source="3").open()


def test_missing_picamera2_is_not_found(monkeypatch):
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(NotFound, match="python3-picamera2"):
        camera().open()


@pytest.mark.parametrize("more", [{"source": "front"}, {"width": 1270}, {"height": 719}])
def test_source_or_size_that_cannot_be_is_a_usage_error(more: dict[str, object]):
    with pytest.raises(Usage):
        camera(**more)
