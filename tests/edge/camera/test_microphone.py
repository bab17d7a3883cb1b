"""The microphone beside a Raspberry Pi's camera, a real GStreamer child; the picamera2 side is driven by hand."""

import itertools
import shutil

import pytest

from edge.camera import microphone, open_camera
from edge.camera.apart import ApartCamera
from edge.camera.microphone import Microphone
from edge.camera.port import Hearing, SoundUnit
from vedette.clock import SystemClock
from vedette.config import CameraSection, SoundSection
from vedette.errors import Usage

needs_gstreamer = pytest.mark.skipif(shutil.which("gst-launch-1.0") is None, reason="GStreamer is not installed")


@pytest.fixture
def made():
    ones: list[Microphone] = []

    def make(**sound: object) -> Microphone:
        ones.append(Microphone(SoundSection(**{"adapter": "test", **sound}), SystemClock()))
        return ones[-1]

    yield make
    for one in ones:
        one.close()


def listen(one: Microphone, zero_us: int, pieces: int) -> list[SoundUnit]:
    found: list[SoundUnit] = []
    while len(found) < pieces and not one.fault:
        found += one.read(zero_us)
    return found


@needs_gstreamer
@pytest.mark.parametrize("codec", ["aac", "opus"])
def test_sound_is_on_the_media_time_of_the_pictures_and_without_a_hole(made, codec: str):
    one, zero_us = made(codec=codec), SystemClock().mono_us() - 7_000_000
    info = one.open()
    found = listen(one, zero_us, 60)
    assert (info.codec, one.fault) == (codec, "")
    assert all(abs(unit.mono_us - zero_us - unit.pts_us) <= 1 for unit in found)
    assert all(b.pts_us > a.pts_us for a, b in itertools.pairwise(found))
    assert found[0].pts_us > 6_900_000
    assert found[-1].mono_us < SystemClock().mono_us()


@needs_gstreamer
def test_microphone_that_is_missing_is_none_and_says_why(made):
    one = made(adapter="alsa", source="hw:7,7")
    assert one.open() is None
    assert "ERROR" in one.fault
    assert one.read(0) == []


@needs_gstreamer
def test_microphone_that_ends_says_so_and_opens_again(made):
    one = made()
    one.open()
    one._child.kill()
    listen(one, 0, 10_000)
    assert one.fault
    assert one.read(0) == []
    assert one.open() is not None
    assert one.fault == ""


def test_microphone_without_gstreamer_is_none_and_says_so(made, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    one = made()
    assert one.open() is None
    assert microphone.LAUNCH in one.fault


def test_pi_camera_hears_and_refuses_a_strange_microphone():
    config = CameraSection(adapter="pi", width=128, height=64)
    one = open_camera(config, SystemClock(), SoundSection(adapter="alsa", source="hw:1,0"))
    assert isinstance(one, ApartCamera)
    assert isinstance(one, Hearing)
    with pytest.raises(Usage, match=r"\[sound\] source"):
        open_camera(config, SystemClock(), SoundSection(adapter="alsa", source="hw:1 ! filesink location=/tmp/x"))
