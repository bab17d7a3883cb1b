"""Elements of GStreamer that need no hardware, really run: an ALSA device in a file."""

import itertools
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bench.microphones import Clapping, heard_us
from edge.camera import open_camera, open_microphone
from edge.camera.port import Camera, CameraSilent, EncodedUnit, Given, SoundInfo, SoundUnit
from edge.camera.sound import RATE
from edge.recorder.source import Source
from vedette.clock import SystemClock
from vedette.config import CameraSection, SoundSection

# Coded pieces of about 20 ms: a little over four seconds of sound, so at least three claps were made.
PIECES = 220
# Only so that a silent microphone fails its test and does not hold it.
MAX_READS = 5_000


def needs(element: str, package: str) -> pytest.MarkDecorator:
    inspect = shutil.which("gst-inspect-1.0")
    there = inspect is not None and subprocess.run([inspect, element], capture_output=True, check=False).returncode == 0
    return pytest.mark.skipif(not there, reason=f"{element} is not installed (apt install {package})")


@pytest.fixture
def clapping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clapping]:
    one = Clapping(tmp_path)
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(one.configuration))
    yield one
    one.close()


def given_by(one: Camera, seconds: float) -> list[Given]:
    found, until_us = [], SystemClock().mono_us() + int(seconds * 1e6)
    while SystemClock().mono_us() < until_us:
        found += one.read(0.1)
    return found


def pieces(given: list[Given]) -> int:
    return sum(isinstance(unit, SoundUnit) for unit in given)


def assert_claps_were_heard(info: SoundInfo | None, given: list[Given]) -> None:
    """The rate, media times that only rise, and claps one after the other."""
    assert info is not None
    assert info.rate == RATE
    assert pieces(given) >= PIECES
    times = [unit.pts_us for unit in given if isinstance(unit, SoundUnit)]
    assert all(before < after for before, after in itertools.pairwise(times))
    heard = heard_us(info, given)
    assert len(heard) >= 2
    assert heard == sorted(heard)


@needs("alsasrc", "gstreamer1.0-alsa")
@needs("videotestsrc", "gstreamer1.0-plugins-base")
def test_alsa_microphone_is_heard_beside_the_pictures(clapping: Clapping):
    """SG-6's order of what was heard; how far it is off in time is measured by `python -m bench microphones`."""
    clock = SystemClock()
    camera = open_camera(CameraSection(adapter="gst", source="test", width=320, height=240), clock)
    one = Source(camera, open_microphone(SoundSection(adapter="alsa", source="clapping"), clock))
    given: list[Given] = []
    try:
        reads = itertools.count()
        while pieces(given) < PIECES and next(reads) < MAX_READS:
            with suppress(CameraSilent):  # said once where the machine is slow; it goes on starting
                one.mend(clock.mono_us())
            given += one.read(0.1, clock.mono_us())
            # Reading without a pause would starve the thread that claps.
            threading.Event().wait(0.01)
        info = one.info
    finally:
        one.close()
        one.see_off()
    assert any(isinstance(unit, EncodedUnit) for unit in given)
    assert info is not None
    assert_claps_were_heard(info.sound, given)
