"""Elements of GStreamer that need no hardware, really run: an ALSA device in a file, and the stamp burnt in."""

import os
import shutil
import statistics
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from edge.camera import open_camera
from edge.camera.microphone import Microphone
from edge.camera.port import Camera, EncodedUnit, Given, SmallFrame, SoundInfo, SoundUnit
from edge.camera.sound import RATE
from vedette.clock import SystemClock
from vedette.config import CameraSection, SoundSection

BLOCK_US = 10_000
BLOCKS_PER_CLAP = 100
IN_STEP_US = 40_000
# ALSA's null device says at every moment that its whole buffer (alsasrc: 200 ms) waits to be read, which alsasrc takes
# off the time of each sample. A real device says what really waits there.
NULL_SAYS_US = 200_000


def needs(element: str, package: str) -> pytest.MarkDecorator:
    inspect = shutil.which("gst-inspect-1.0")
    there = inspect is not None and subprocess.run([inspect, element], capture_output=True, check=False).returncode == 0
    return pytest.mark.skipif(not there, reason=f"{element} is not installed (apt install {package})")


class Clapping:
    """A real ALSA device whose samples are written here, 10 ms at a time as they happen; it claps each second.

    The file plugin over the null device reads a pipe, so that this writer is its clock.
    """

    def __init__(self, folder: Path) -> None:
        self._pipe = folder / "samples"
        os.mkfifo(self._pipe)
        self.configuration = folder / "asound.conf"
        self.configuration.write_text(
            f'pcm.null {{ type null }}\npcm.clapping {{ type file\n slave.pcm "null"\n file "/dev/null"\n'
            f' infile "{self._pipe}"\n format "raw" }}\n'
        )
        self.claps_us: list[int] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def _write(self) -> None:
        clock = SystemClock()
        loud = (np.sin(np.arange(RATE // 100) * 0.13) * 20_000).astype("<i2").tobytes()
        with self._pipe.open("wb", buffering=0) as pipe:
            began_us, block = clock.mono_us(), 0
            while not self._stop.wait(max(0, began_us + block * BLOCK_US - clock.mono_us()) / 1e6):
                is_loud = block % BLOCKS_PER_CLAP in range(50, 60)
                if block % BLOCKS_PER_CLAP == 50:
                    self.claps_us.append(clock.mono_us())
                try:
                    pipe.write(loud if is_loud else bytes(len(loud)))
                except BrokenPipeError:
                    return
                block += 1

    def close(self) -> None:
        self._stop.set()
        # Whoever never came to read must not hold the writer.
        os.close(os.open(self._pipe, os.O_RDONLY | os.O_NONBLOCK))
        self._thread.join(5)


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


def heard_us(info: SoundInfo, given: list[Given]) -> list[int]:
    """The monotonic times at which claps begin, each piece decoded on its own time."""
    decoder = av.CodecContext.create(info.codec, "r")
    decoder.extradata, decoder.sample_rate = info.config, info.rate
    found, loud_us = [], -1_000_000
    for unit in given:
        for frame in decoder.decode(av.Packet(unit.data)) if isinstance(unit, SoundUnit) else ():
            for n in np.flatnonzero(np.abs(frame.to_ndarray()[0]) > 0.2):
                at_us = unit.mono_us + int(n) * 1_000_000 // info.rate
                found += [at_us] if at_us - loud_us > 300_000 else []
                loud_us = at_us
    return found


@needs("alsasrc", "gstreamer1.0-alsa")
@needs("videotestsrc", "gstreamer1.0-plugins-base")
def test_alsa_microphone_is_in_step_with_what_was_heard(clapping: Clapping):
    """SG-6, from the device's samples to the coded piece; what lies before them, a card and its driver, is not here."""
    section = CameraSection(adapter="gst", source="test", width=320, height=240)
    one = open_camera(section, SystemClock(), SoundSection(adapter="alsa", source="clapping"))
    try:
        info = one.open().sound
        given = given_by(one, 6)
    finally:
        one.close()
    assert info is not None
    assert any(isinstance(unit, EncodedUnit) for unit in given)
    heard = heard_us(info, given)
    assert len(heard) >= 4
    off_us = [min((at + NULL_SAYS_US - clap for clap in clapping.claps_us), key=abs) for at in heard]
    assert abs(statistics.median(off_us)) < IN_STEP_US


@needs("alsasrc", "gstreamer1.0-alsa")
def test_alsa_microphone_of_its_own_is_in_step_with_what_was_heard(clapping: Clapping):
    """SG-6 for the camera of a Raspberry Pi. The first buffer's time is zero whatever the null device says, and
    gives the zero of the pipeline's clock; so what the device says is in all later times here too.
    """
    clock = SystemClock()
    one = Microphone(SoundSection(adapter="alsa", source="clapping"), clock)
    given: list[Given] = []
    try:
        info = one.open()
        until_us = clock.mono_us() + 6_000_000
        while clock.mono_us() < until_us:
            given += one.read(0)
            # Reading without a pause would starve the thread that claps.
            threading.Event().wait(0.01)
    finally:
        one.close()
    assert info is not None
    heard = heard_us(info, given)
    assert len(heard) >= 4
    off_us = [min((at + NULL_SAYS_US - clap for clap in clapping.claps_us), key=abs) for at in heard]
    assert abs(statistics.median(off_us)) < IN_STEP_US


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
