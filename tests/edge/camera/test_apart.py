"""A camera in a process of its own: the real picamera2 over the stand-in for libcamera, and a driver that hangs."""

import importlib.util
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from shutil import which

import av
import numpy as np
import pytest

from edge.camera import apart, open_camera, open_microphone
from edge.camera.apart import ApartCamera
from edge.camera.burnin import BurntStamp
from edge.camera.drawnstamp import StampFacts
from edge.camera.pieces import FAULT, MAX_BYTES, OPENED, UNIT, Piece, PieceReader
from edge.camera.port import CameraFault, CameraSilent, EncodedUnit, Given, SmallFrame, SoundUnit, Stamped, TakesTime
from edge.recorder.source import Source
from vedette.clock import SystemClock
from vedette.config import CameraSection, SoundSection
from vedette.errors import Integrity, NotFound, Refused

PROCESS = Path(__file__).parent / "standin" / "process.py"
SIZE = {"adapter": "pi", "width": 640, "height": 360, "rate": 30, "bitrate_kbps": 2000}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ApartCamera]]:
    monkeypatch.setattr(apart, "COMMAND", (sys.executable, str(PROCESS)))
    ones: list[ApartCamera] = []

    def make(fails: str = "", **more: object) -> ApartCamera:
        monkeypatch.setenv("STANDIN_FAILS", fails)
        one = open_camera(CameraSection(**SIZE, **more), SystemClock())
        assert isinstance(one, ApartCamera)
        assert isinstance(one, TakesTime)
        ones.append(one)
        return one

    yield make
    for one in ones:
        one.close()
        one.has_left(0.1)


def read_until(one: ApartCamera, enough: Callable[[list[Given]], bool]) -> list[Given]:
    """Read until enough has come; pytest's timeout ends it if it never does."""
    found: list[Given] = []
    while not enough(found):
        found += one.read(0.1)
    return found


def units(given: list[Given]) -> list[EncodedUnit]:
    return [one for one in given if isinstance(one, EncodedUnit)]


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(pid: int) -> None:
    while is_there(pid):
        time.sleep(0.05)


def test_pictures_come_from_the_process_as_from_the_adapter(made) -> None:
    one = made()
    info = one.open()
    found = read_until(one, lambda given: len(units(given)) >= 40)
    frames = [x for x in found if isinstance(x, SmallFrame)]
    assert (info.width, info.height, info.rate_num, info.sound) == (640, 360, 30, None)
    assert units(found)[0].is_key
    assert all(b.pts_us > a.pts_us for a, b in itertools.pairwise(units(found)))
    assert {frame.i420.shape for frame in frames} == {(540, 640)}
    assert [frame.index for frame in frames] == list(range(len(frames)))
    at = {unit.pts_us: unit for unit in units(found)}
    shared = [(frame, at[frame.media_us]) for frame in frames if frame.media_us in at]
    assert shared
    assert all(abs(frame.mono_us - unit.mono_us) < 100_000 for frame, unit in shared)
    now_us = SystemClock().mono_us()
    assert all(0 < now_us - unit.mono_us < 60_000_000 for unit in units(found))


def test_process_draws_what_the_recorder_tells_it_and_so_does_the_next_one(made) -> None:
    """SG-21, SG-23: its pictures are noise; only where letters are drawn are they always bright."""
    one = made(options={"stamp": "true"})
    assert isinstance(one, Stamped)
    assert one.is_stamped
    told = StampFacts(device="car-1", ahead_us=0, zone_s=0, recording="019ac123-4567-7000-8000-0123456789ab")
    stamp, drawn = BurntStamp(""), np.zeros((360, 640), np.uint8)
    for number in ("a", "b"):
        stamp.facts = replace(told, recording=told.recording[:-1] + number)
        one.open()
        one.stamp(stamp.facts)
        decoder, is_there = av.CodecContext.create("h264", "r"), False
        while not is_there:
            for unit in units(read_until(one, lambda given: bool(units(given)))):
                (picture,) = decoder.decode(av.Packet(unit.data))
                drawn[:] = 0
                stamp.draw(drawn, unit.utc_us)
                letters = picture.to_ndarray()[:360][drawn > 220]
                is_there = is_there or bool(np.percentile(letters, 5) > 150)
        one.close()
        one.has_left(2)


def test_process_that_is_killed_is_a_fault_and_is_started_again(made) -> None:
    """CF-6."""
    one = made()
    one.open()
    os.kill(one._child.pid, signal.SIGKILL)
    with pytest.raises(CameraFault, match="process ended"):
        read_until(one, lambda _given: False)
    one.close()
    one.open()
    assert units(read_until(one, lambda given: bool(units(given))))[0].is_key


def test_driver_that_hangs_is_silent_within_two_seconds_and_goes_on_starting(made) -> None:
    """CF-1, CF-12."""
    source = Source(made("start"))
    assert [source.mend(now_us) for now_us in (0, 500_000, 1_000_000, 1_400_000)] == [False] * 4
    with pytest.raises(CameraSilent, match="goes on starting"):
        source.mend(1_600_000)
    assert (source.mend(1_800_000), source.is_broken) == (False, True)
    source.close()


def test_what_the_adapter_says_of_a_busy_sensor_is_said_here(made) -> None:
    with pytest.raises(Refused, match="camera 0 does not start"):
        made("acquire").open()


def test_hanging_driver_is_ended_and_there_is_never_a_second_process(made, monkeypatch) -> None:
    """CF-6, CF-7: it holds Python's lock in there and no signal but SIGKILL ends it."""
    monkeypatch.setattr(apart, "START_S", 1.0)
    one, pids = made("start"), []
    for _ in range(3):
        one.begin()
        refused = False
        while not refused:
            before = one._child.pid
            try:
                assert one.opened() is None
            except Refused:
                refused = True
            if one._child.pid is not None and one._child.pid != before:
                assert not [pid for pid in pids if is_there(pid)]
                pids.append(one._child.pid)
            time.sleep(0.02)
    assert len(pids) == 3
    while not one.has_left():
        time.sleep(0.02)
    assert not is_there(pids[-1])


@pytest.mark.parametrize("fails", ["", "start"])
def test_process_ends_with_the_recorder_even_when_it_hangs(fails: str) -> None:
    """CF-7."""
    code = (
        "import sys, time; from edge.camera import apart, open_camera; from vedette.config import CameraSection\n"
        f"apart.COMMAND = (sys.executable, {str(PROCESS)!r})\n"
        f"one = open_camera(CameraSection(**{SIZE!r})); one.begin(); one.opened()\n"
        "print(one._child.pid, flush=True)\n"
        "while True: one.opened(); time.sleep(0.05)"
    )
    environment = {**os.environ, "STANDIN_FAILS": fails}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    while b"process.py" not in Path(f"/proc/{pid}/cmdline").read_bytes():
        time.sleep(0.05)
    time.sleep(1.0)
    process.kill()
    process.wait()
    wait_until_gone(pid)


def test_missing_package_is_known_before_anything_is_started(made, monkeypatch) -> None:
    one = made()
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(NotFound, match="python3-picamera2"):
        one.begin()


@pytest.mark.skipif(which("gst-launch-1.0") is None, reason="GStreamer is not installed")
def test_microphone_is_heard_on_the_pictures_media_time(made) -> None:
    """The microphone is GStreamer's own drawn one, in a real child beside the real package."""
    clock = SystemClock()
    source = Source(made(), open_microphone(SoundSection(adapter="test"), clock))
    found: list[Given] = []
    while len(units(found)) < 40 or sum(isinstance(x, SoundUnit) for x in found) < 40:
        with suppress(CameraSilent):  # said once where the machine is slow; it goes on starting
            source.mend(clock.mono_us())
        found += source.read(0.1, clock.mono_us())
    assert source.info is not None
    assert source.info.sound is not None
    source.close()
    source.see_off()
    sounds = [x for x in found if isinstance(x, SoundUnit)]
    zero_us = [some[-1].mono_us - some[-1].pts_us for some in (units(found), sounds)]
    assert abs(zero_us[0] - zero_us[1]) < 40_000


PIECES = [
    Piece(kind=OPENED, data=b"{}"),
    Piece(kind=UNIT, data=b"unit", is_key=True, media_us=1, decode_us=-2, utc_us=3, mono_us=4),
    Piece(kind=FAULT, data=b""),
]


@pytest.mark.parametrize("step", [1, 43, 44, 45, 1000])
def test_pieces_are_found_when_they_come_in_any_parts(step: int) -> None:
    stream = b"".join(one.header() + one.data for one in PIECES)
    reader = PieceReader()
    assert [one for n in range(0, len(stream), step) for one in reader.feed(stream[n : n + step])] == PIECES


@pytest.mark.parametrize("stream", [b"?" * 44, Piece(kind=UNIT, data=b"").header()[:-6] + b"\xff" * 6])
def test_stream_that_is_no_piece_is_refused(stream: bytes) -> None:
    assert MAX_BYTES < 0xFFFFFFFF
    with pytest.raises(Integrity, match="no sense"):
        PieceReader().feed(stream)
