"""The microphone beside a camera, a real GStreamer child, and where on the clock what it gives belongs."""

import itertools
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.camera import open_camera, open_microphone
from edge.camera.apart import ApartCamera
from edge.camera.gdp import GdpBuffer
from edge.camera.microphone import LONGEST_WAIT_US, SETTLE_US, START_US, Arrivals, Microphone
from edge.camera.port import Hearing, SoundUnit
from edge.camera.sound import RATE, SoundEncoder
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
    monkeypatch.setenv("PATH", "/nowhere")
    one = made()
    assert one.listen(0) == []
    assert one.fault == "gst-launch-1.0 is not installed"


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


def block(n: int) -> GdpBuffer:
    return GdpBuffer(payload=b"", pts_us=n * BLOCK_US, is_delta=False)


def heard(delays_us: list[int], *, looks_us: int = 40_000) -> list[SoundUnit]:
    """What is encoded of 10 ms blocks that begin one after the other and come that late, looked at now and then."""
    arrivals, encoder = Arrivals(), SoundEncoder(SoundSection())
    came = list(itertools.accumulate((n * BLOCK_US + late for n, late in enumerate(delays_us)), max))
    found: list[SoundUnit] = []
    silence = np.zeros((RATE * BLOCK_US // 1_000_000, 1), np.int16)
    for now_us in range(looks_us, came[-1] + looks_us + SETTLE_US, looks_us):
        blocks = [block(n) for n, at_us in enumerate(came) if now_us - looks_us < at_us <= now_us]
        for _, mono_us in arrivals.take(blocks, now_us):
            found += encoder.encode(silence, mono_us, utc_us=mono_us, mono_us=mono_us)
    return found


def test_sound_never_goes_back_when_the_first_buffers_come_late():
    """A pipeline that starts slowly: its first 300 ms come 24.8 ms later than the rest."""
    found = heard([34_800] * 30 + [10_000] * 100, looks_us=10_000)
    assert all(b.mono_us > a.mono_us for a, b in itertools.pairwise(found))
    assert all(b.pts_us >= a.end_us - 1 for a, b in itertools.pairwise(found))


@given(st.lists(st.integers(0, 80_000), min_size=60, max_size=120), st.sampled_from([10_000, 40_000, 200_000]))
def test_sound_never_goes_back_whatever_the_delays_are(delays_us: list[int], looks_us: int):
    found = heard(delays_us, looks_us=looks_us)
    assert found
    for a, b in itertools.pairwise(found):
        assert b.pts_us >= a.end_us - 1
        assert b.mono_us > a.mono_us


def test_first_sound_waits_until_its_place_on_the_clock_is_known():
    """The least delayed of the first quarter of a second places all of it, whatever came before that one."""
    found = heard([60_000] * 10 + [0] * 90, looks_us=10_000)
    # The encoder begins with one piece of its own.
    assert abs(found[0].end_us) <= BLOCK_US
    assert len(found) >= 40


def test_buffer_without_a_time_is_left_out():
    arrivals = Arrivals()
    assert arrivals.take([GdpBuffer(payload=b"", pts_us=None, is_delta=False)], 5) == []
    assert arrivals.take([block(0)], 10) == []
    assert arrivals.take([block(20)], 10 + SETTLE_US) == [(block(0), 10), (block(20), 200_010)]
