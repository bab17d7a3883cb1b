"""Elements of GStreamer that need no hardware, really run: an ALSA device in a file, and the stamp burnt in."""

import itertools
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from bench.microphones import Clapping, heard_us
from edge.camera import open_camera, open_microphone
from edge.camera.port import Camera, EncodedUnit, Given, SmallFrame, SoundInfo, SoundUnit
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


def recorded_and_seen(**options: str) -> tuple[np.ndarray, np.ndarray]:
    """The luma of one picture as it was recorded, and as the reader got one."""
    section = CameraSection(
        adapter="gst", source="test", width=640, height=480, rate=25, bitrate_kbps=8000, options=options
    )
    one = open_camera(section, SystemClock())
    try:
        one.open()
        given = given_by(one, 2)
    finally:
        one.close()
    decoder = av.CodecContext.create("h264", "r")
    coded = [unit for unit in given if isinstance(unit, EncodedUnit)]
    pictures = [picture for unit in coded for picture in decoder.decode(av.Packet(unit.data))]
    frames = [frame for frame in given if isinstance(frame, SmallFrame)]
    return pictures[-1].to_ndarray()[:480].astype(int), frames[-1].luma.astype(int)


@needs("clockoverlay", "gstreamer1.0-x")
@needs("x264enc", "gstreamer1.0-plugins-ugly")
def test_stamp_is_burnt_into_the_recorded_picture_and_not_into_the_readers():
    """The test picture's bars stand still in its upper part: what differs there is the line, on its dark ground."""
    upper = slice(0, 240)
    plain, seen_plain = recorded_and_seen()
    stamped, seen = recorded_and_seen(stamp="car-1")
    differs = np.abs(stamped[upper] - plain[upper]) > 40
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    assert differs.sum() > 2_000
    assert rows[-1] < 120
    line = stamped[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assert line.max() > 200
    assert line.min() < 60
    assert np.abs(seen[upper] - seen_plain[upper]).max() < 20
