"""The microphone beside a camera, a real GStreamer child, and where on the clock what it gives belongs."""

import itertools
import os
import shutil
import signal
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.camera import open_camera, open_microphone
from edge.camera.apart import ApartCamera
from edge.camera.gdp import HEADER_BYTES
from edge.camera.microphone import LONGEST_WAIT_US, START_US, Microphone
from edge.camera.port import Hearing, SoundUnit
from edge.camera.sound import RATE
from vedette.clock import FakeClock, SystemClock
from vedette.config import CameraSection, SoundSection
from vedette.errors import Usage

needs_gstreamer = pytest.mark.skipif(shutil.which("gst-launch-1.0") is None, reason="GStreamer is not installed")
BLOCK_US = 10_000


@pytest.fixture
def made() -> Iterator[Callable[..., Microphone]]:
    ones: list[Microphone] = []

    def make(clock: SystemClock | FakeClock | None = None, **sound: object) -> Microphone:
        ones.append(Microphone(SoundSection(**{"adapter": "test", **sound}), clock or SystemClock()))
        return ones[-1]

    yield make
    for one in ones:
        one.rest()
        one.has_left(0.1)


def listen(one: Microphone, zero_us: int, pieces: int) -> list[SoundUnit]:
    """Look until that many pieces have come; pytest's timeout ends it if they never do."""
    found: list[SoundUnit] = []
    while len(found) < pieces:
        found += one.listen(zero_us)
        time.sleep(0.005)
    return found


def look_until(one: Microphone, happened: Callable[[], bool]) -> None:
    while not happened():
        one.listen(0)
        time.sleep(0.005)


@needs_gstreamer
@pytest.mark.parametrize("codec", ["aac", "opus"])
def test_sound_is_on_the_media_time_of_the_pictures_and_without_a_hole(made, codec: str):
    one, zero_us = made(codec=codec), SystemClock().mono_us() - 7_000_000
    found = listen(one, zero_us, 60)
    assert (one.info.codec, one.fault) == (codec, "")
    assert all(abs(unit.mono_us - zero_us - unit.pts_us) <= 1 for unit in found)
    assert all(b.pts_us > a.pts_us for a, b in itertools.pairwise(found))
    assert found[0].pts_us > 6_900_000
    assert found[-1].mono_us < SystemClock().mono_us()


@needs_gstreamer
def test_microphone_that_is_missing_says_why_and_is_tried_again(made):
    """SG-16."""
    one = made(adapter="alsa", source="hw:7,7")
    look_until(one, lambda: bool(one.fault))
    assert "ERROR" in one.fault
    look_until(one, lambda: one._child.is_running)
    assert one.fault
    assert one.info.codec == "aac"


@needs_gstreamer
def test_microphone_that_dies_says_so_and_is_heard_again(made):
    """SG-16."""
    one = made()
    before = listen(one, 0, 5)
    os.kill(one._child.pid, signal.SIGKILL)
    look_until(one, lambda: bool(one.fault))
    after = listen(one, 0, 5)
    assert one.fault == ""
    assert after[0].mono_us > before[-1].mono_us + before[-1].duration_us


@needs_gstreamer
def test_microphone_that_never_answers_holds_nobody_up_and_is_killed(made, tmp_path: Path, monkeypatch):
    """SG-16: its driver hangs as it is opened. The clock stands still, so whoever waited for it would for ever."""
    hangs = tmp_path / "asound.conf"
    os.mkfifo(tmp_path / "never")
    hangs.write_text(
        f'pcm.null {{ type null }}\npcm.hangs {{ type file\n slave.pcm "null"\n file "/dev/null"\n'
        f' infile "{tmp_path / "never"}"\n format "raw" }}\n'
    )
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(hangs))
    clock = FakeClock()
    one = made(clock, adapter="alsa", source="hangs")
    assert [one.listen(0) for _ in range(50)] == [[]] * 50
    assert one.fault == ""
    pids = []
    for _ in range(3):
        pids.append(one._child.pid)
        clock.advance(START_US)
        while one._child.is_running:
            assert one.listen(0) == []
        assert one.fault == f"no sound for {START_US / 1e6:.1f} s"
        # Asked to end it may go, or hang on until it is killed; meanwhile there is no second one.
        while not one._child.is_running:
            clock.advance(LONGEST_WAIT_US)
            one.listen(0)
            time.sleep(0.01)
        assert not Path(f"/proc/{pids[-1]}").exists()
    assert len(set(pids)) == 3


@needs_gstreamer
def test_microphone_rests_while_nobody_listens_and_begins_again(made):
    one = made()
    listen(one, 0, 2)
    pid = one._child.pid
    one.rest()
    while not one.has_left():
        time.sleep(0.01)
    assert not Path(f"/proc/{pid}").exists()
    assert listen(one, 0, 2)


def test_microphone_without_gstreamer_says_so(made, monkeypatch):
    monkeypatch.setattr("edge.camera.pipeline_child.LIBRARY", "libnowhere.so")
    one = made()
    look_until(one, lambda: bool(one.fault))
    assert one.fault == "ERROR: GStreamer (libnowhere.so) is not installed"


def test_microphone_stands_beside_any_camera_that_brings_no_sound_of_its_own():
    config = CameraSection(adapter="pi", width=128, height=64)
    camera = open_camera(config, SystemClock(), SoundSection(adapter="alsa", source="hw:1,0"))
    assert isinstance(camera, ApartCamera)
    assert not isinstance(camera, Hearing)
    assert open_microphone(SoundSection(adapter="alsa", source="hw:1,0"), SystemClock()) is not None
    assert open_microphone(SoundSection(adapter="camera"), SystemClock()) is None
    assert open_microphone(SoundSection(adapter="none"), SystemClock()) is None
    with pytest.raises(Usage, match=r"\[sound\] source"):
        open_microphone(SoundSection(adapter="alsa", source="hw:1 ! filesink location=/tmp/x"), SystemClock())


@pytest.mark.parametrize("adapter", ["alsa", "pipewire"])
@pytest.mark.parametrize("late_us", [250_000, 2_000_000])
def test_sound_stands_at_the_device_s_own_time_however_late_it_comes(
    made, tmp_path: Path, monkeypatch, adapter: str, late_us: int
):
    """SG-18: a stand-in for the child, as ALSA's null device is no clock; all it gives comes at once and late."""
    stand_in(monkeypatch, tmp_path / "said", [100_000 + n * BLOCK_US for n in range(40)])
    clock = FakeClock()
    one, began_us = made(clock, adapter=adapter), clock.mono_us()
    one.listen(began_us)
    clock.advance(100_000 + 40 * BLOCK_US + late_us)
    found = listen(one, began_us, 12)
    stamped_us = 100_000 if adapter == "alsa" else 100_000 - BLOCK_US
    # The encoder begins with one piece of its own.
    assert found[0].end_us == pytest.approx(stamped_us, abs=1_000)
    assert all(abs(b.pts_us - a.end_us) <= 1 for a, b in itertools.pairwise(found))
    assert all(unit.mono_us - began_us == unit.pts_us for unit in found)


def test_time_that_lies_ahead_is_not_believed(made, tmp_path: Path, monkeypatch):
    stand_in(monkeypatch, tmp_path / "said", [3_600_000_000 + n * BLOCK_US for n in range(40)])
    clock = FakeClock()
    one = made(clock, adapter="alsa")
    one.listen(0)
    clock.advance(2_000_000)
    assert all(unit.mono_us + unit.duration_us <= clock.mono_us() for unit in listen(one, 0, 5))


def stand_in(monkeypatch: pytest.MonkeyPatch, path: Path, times_us: list[int]) -> None:
    """In place of the child, one that gives blocks of silence with these times, all at once, in GDP."""
    payload = bytes(2 * RATE * BLOCK_US // 1_000_000)
    headers = [struct.pack(">2sxxHIQ", b"\x01\x00", 1, len(payload), at_us * 1000) for at_us in times_us]
    path.write_bytes(b"".join(header.ljust(HEADER_BYTES, b"\0") + payload for header in headers))
    said = f"os.write(int(sys.argv[-1].removeprefix('fd=')), open({str(path)!r}, 'rb').read())"
    feed = f"import os, sys, time; {said}; time.sleep(60)"
    monkeypatch.setattr("edge.camera.microphone.command", lambda _, words: [sys.executable, "-c", feed, *words])
