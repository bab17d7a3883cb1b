"""Sound that is lost and comes back: said in custody, status and line, and no picture is lost to it."""

import io
import itertools
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from edge.camera import open_camera, open_microphone
from edge.camera.sound import SoundEncoder
from edge.camera.soundwatch import SILENCE_US
from vedette.clock import Clock, SystemClock
from vedette.config import CameraSection, SoundSection

needs_gstreamer = pytest.mark.skipif(shutil.which("gst-launch-1.0") is None, reason="GStreamer is not installed")
SILENCE = SoundEncoder(SoundSection()).info.silence
PIECE_US = 21_334
NEVER_US = 1 << 40


def heard(data: bytes) -> list[int]:
    """The media times of the pieces of sound in an opened segment, without those of silence that fill a hole."""
    with av.open(io.BytesIO(data)) as mp4:
        pieces = [one for one in mp4.demux(audio=0) if one.size and bytes(one) != SILENCE]
    return [round(float(one.pts * one.time_base) * 1e6) for one in pieces]


def frames_in(data: bytes) -> int:
    with av.open(io.BytesIO(data)) as mp4:
        return sum(1 for _ in mp4.decode(video=0))


def lines(data: bytes) -> list[str]:
    with av.open(io.BytesIO(data)) as mp4:
        return [bytes(one)[2:].decode() for one in mp4.demux(subtitles=0) if one.size]


def holes(times: list[int]) -> list[tuple[int, int]]:
    return [(a, b) for a, b in itertools.pairwise(times) if b - a > 2 * PIECE_US]


def microphone(clock: Clock, adapter: str = "test", source: str = ""):
    return open_microphone(SoundSection(adapter=adapter, source=source), clock)


def test_sound_that_stops_is_said_within_two_seconds_and_again_when_it_is_back(device, bench, hearing):
    """SG-15, for sound that the camera brings."""
    one = bench(camera=hearing(), segment_s=60)
    one.steps(30)
    assert (one.status()["sound"], one.status()["sound_missing"]) == ("ok", False)
    one.camera.late_us = NEVER_US
    one.steps(20)
    assert one.status()["sound_missing"] is True
    assert (one.status()["state"], one.status()["sound"], one.status()["sound_losses"]) == ("recording", "lost", 1)
    one.steps(20)
    # What was not heard meanwhile does not come any more.
    one.camera.late_us, one.camera.pieces = 60_000, one.camera.pieces + 4_000_000 // 21_333
    one.steps(40)
    assert (one.status()["sound"], one.status()["sound_losses"]) == ("ok", 1)
    one.close()
    (item,) = device.items()
    assert item.manifest.media.frames == frames_in(device.opened(item)) == 110
    assert device.entries("gap") == []
    (lost,), (found,) = device.entries("sound.lost"), device.entries("sound.found")
    assert set(lost.detail) == {"since_us", "why"}
    assert lost.detail["why"].startswith("no sound for 1.")
    assert lost.utc_us - lost.detail["since_us"] <= 2_000_000
    assert set(found.detail) == {"since_us", "lasted_us"}
    ((before, after),) = holes(heard(device.opened(item)))
    started_us, since_us = item.manifest.started_us, found.detail["since_us"]
    assert since_us == lost.detail["since_us"]
    assert started_us + before + PIECE_US == pytest.approx(since_us, abs=1_000)
    assert started_us + after == pytest.approx(since_us + found.detail["lasted_us"], abs=40_000)


def test_line_says_that_sound_is_missing(device, bench, hearing):
    """SG-11."""
    one = bench(camera=hearing(), segment_s=60)
    one.steps(30)
    one.camera.late_us = NEVER_US
    one.steps(40)
    one.close()
    (item,) = device.items()
    said = ["sound missing" in line for line in lines(device.opened(item))]
    assert said == sorted(said)
    assert (said[0], said[-1]) == (False, True)
    (lost,) = device.entries("sound.lost")
    known_us = lost.utc_us - item.manifest.started_us
    assert sum(said) * 200_000 >= 7_000_000 - known_us - 1_000_000


def test_sound_that_stops_for_a_moment_is_not_lost(device, bench, hearing):
    one = bench(camera=hearing(), segment_s=60)
    one.steps(30)
    one.camera.late_us = SILENCE_US - 200_000
    one.steps(12)
    one.camera.late_us = 60_000
    one.steps(20)
    assert (one.status()["sound"], device.entries("sound.lost")) == ("ok", [])


def test_sound_that_always_comes_too_late_for_the_file_is_said_to_be_missing(device, bench, hearing):
    """SG-8, SG-15: what is left out of the file was not heard."""
    one = bench(camera=hearing(late_us=1_300_000), segment_s=60)
    one.steps(40)
    one.close()
    (item,) = device.items()
    assert heard(device.opened(item)) == []
    (lost,) = device.entries("sound.lost")
    assert lost.detail["since_us"] == item.manifest.started_us
    assert lost.utc_us - lost.detail["since_us"] <= 2_000_000
    assert one.service._sound_watch.losses == 1


def test_status_says_none_where_no_sound_is_expected(bench):
    one = bench(segment_s=60)
    one.steps(30)
    assert (one.status()["sound"], one.status()["sound_losses"]) == ("none", 0)


@needs_gstreamer
@pytest.mark.parametrize("missing", [True, False], ids=["missing", "never answers"])
def test_microphone_that_does_not_start_costs_no_picture_and_is_said(
    device, bench, clock, tmp_path: Path, monkeypatch, missing: bool
):
    """SG-15, SG-16: by the recorder's clock, which does not move while somebody waits."""
    os.mkfifo(tmp_path / "never")
    (tmp_path / "asound.conf").write_text(
        f'pcm.null {{ type null }}\npcm.hangs {{ type file\n slave.pcm "null"\n file "/dev/null"\n'
        f' infile "{tmp_path / "never"}"\n format "raw" }}\n'
    )
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(tmp_path / "asound.conf"))
    one = bench(microphone=microphone(clock, "alsa", "nowhere" if missing else "hangs"), segment_s=60)
    began_us = clock.utc_us()
    one.steps(20)
    assert (one.status()["state"], one.status()["sound"]) == ("recording", "lost")
    (lost,) = device.entries("sound.lost")
    assert lost.utc_us - began_us <= 2_000_000
    one.steps(80)
    one.close()
    (item,) = device.items()
    assert item.manifest.media.frames == frames_in(device.opened(item)) == 100
    assert [entry.detail["sound"] for entry in device.entries("segment.opened")] == ["aac"]
    assert heard(device.opened(item)) == []
    assert device.entries("sound.found") == []


@needs_gstreamer
def test_microphone_that_dies_is_heard_again_in_the_same_segment_at_its_own_time(device, bench):
    """SG-15, SG-16: a real camera and a real microphone, which is killed; what is awaited ends by itself."""
    clock = SystemClock()
    camera = open_camera(CameraSection(adapter="gst", source="test", width=320, height=240, rate=25), clock)
    ear = microphone(clock)
    one = bench(camera=camera, microphone=ear, clock=clock, segment_s=600)
    one.service._read_timeout_s = 0.05

    def step_until(happened: Callable[[], bool]) -> None:
        while not happened():
            one.steps(1)

    def status(name: str) -> object:
        return one.status()[name]

    step_until(lambda: status("recorded_ms") >= 1_000 and status("sound") == "ok")
    step_until(lambda: one.service._sound_watch._back is not None)
    first_ms = status("recorded_ms")
    step_until(lambda: status("recorded_ms") >= first_ms + 1_000)
    losses = status("sound_losses")
    os.kill(ear._child.pid, signal.SIGKILL)
    step_until(lambda: status("sound") == "lost")
    assert status("sound_losses") == losses + 1
    step_until(lambda: status("sound") == "ok")
    again_ms = status("recorded_ms")
    step_until(lambda: status("recorded_ms") >= again_ms + 2_000)
    one.close()
    (item,) = device.items()
    data = device.opened(item)
    assert frames_in(data) == item.manifest.media.frames
    assert [entry for entry in device.entries("gap") if entry.detail["why"] != "starting"] == []
    assert device.entries("camera.fault") == []
    lost, found = device.entries("sound.lost")[-1], device.entries("sound.found")[-1]
    assert "ended" in lost.detail["why"] or "ERROR" in lost.detail["why"]
    started_us, since_us = item.manifest.started_us, found.detail["since_us"]
    back_us = since_us + found.detail["lasted_us"]
    times = [started_us + at for at in heard(data)]
    inside = [at for at in times if since_us + 2 * PIECE_US < at < back_us - 2 * PIECE_US]
    assert inside == []
    assert min(abs(at - back_us) for at in times) < 60_000
    assert times[-1] > back_us + 1_000_000


def test_microphone_is_let_go_in_sleep(device, bench, clock, post):
    ear = microphone(clock)
    one = bench(microphone=ear, segment_s=60)
    one.steps(5)
    assert ear._child.is_running == (shutil.which("gst-launch-1.0") is not None)
    post(one, "mode", mode="sleep", on=True)
    for _ in range(5):
        clock.advance(300_000)
        one.steps(1)
    assert one.status()["state"] == "asleep"
    assert not ear._child.is_running
