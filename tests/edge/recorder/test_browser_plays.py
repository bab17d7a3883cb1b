"""Chromium plays what the recorder made: pictures and sound, and sound behind a hole where it belongs."""

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.camera.encode import X264Encoder
from edge.camera.port import StreamInfo
from edge.camera.sound import RATE, SoundEncoder
from edge.recorder.fragments import Fragmenter
from vedette.config import SoundSection

PAGE = """<!doctype html><video id=v src=segment.mp4 preload=auto></video>"""
WATCH = """async () => {
  const video = document.getElementById('v'), context = new AudioContext(), seen = [];
  const meter = new AnalyserNode(context, {fftSize: 512});
  context.createMediaElementSource(video).connect(meter).connect(context.destination);
  const wave = new Float32Array(512);
  await context.resume();
  const ended = new Promise((done, fail) => { video.onended = done; video.onerror = () => fail(video.error.message); });
  const timer = setInterval(() => {
    meter.getFloatTimeDomainData(wave);
    seen.push([video.currentTime, Math.max(...wave.map(Math.abs))]);
  }, 20);
  await video.play();
  await ended;
  clearInterval(timer);
  return {seen, width: video.videoWidth, duration: video.duration,
          frames: video.getVideoPlaybackQuality().totalVideoFrames};
}"""


def segment(codec: str) -> bytes:
    """Six seconds of grey pictures and of a tone that is missing from 1.5 to 3.5 s."""
    pictures, sound = X264Encoder(320, 240, 10), SoundEncoder(SoundSection(codec=codec))
    tone = (np.sin(np.arange(6 * RATE) * 0.13)[:, None] * 20_000).astype(np.int16)
    grey = np.full((360, 320), 128, np.uint8)
    units = [unit for n in range(60) for unit in pictures.encode(grey, n * 100_000)]
    maker = Fragmenter(StreamInfo(width=320, height=240, rate_num=10, rate_den=1, sound=sound.info), units[0])
    parts = [maker.beginning()]
    for n, unit in enumerate(units):
        parts.append(maker.picture(unit, f"second {n // 10}"))
        heard = sound.encode(tone[n * RATE // 10 : (n + 1) * RATE // 10], n * 100_000, utc_us=0, mono_us=0)
        parts += [maker.sound(one) for one in heard if not 1_500_000 <= one.pts_us < 3_500_000]
    return b"".join([*parts, maker.ending()])


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def chromium_flags(chromium_flags: list[str]) -> list[str]:
    return [*chromium_flags, "--autoplay-policy=no-user-gesture-required"]


@pytest.mark.parametrize("codec", ["aac", "opus"])
def test_chromium_plays_sound_where_it_belongs_when_a_part_of_it_is_missing(chromium, address, tmp_path, codec: str):
    """SG-1. SG-7."""
    (tmp_path / "segment.mp4").write_bytes(segment(codec))
    (tmp_path / "index.html").write_text(PAGE)
    page = chromium.new_page()
    page.goto(address)
    found = page.evaluate(WATCH)
    page.close()
    assert found["width"] == 320
    assert found["duration"] == pytest.approx(6.0, abs=0.1)
    assert found["frames"] >= 50

    def loud(from_s: float, to_s: float) -> float:
        levels = [level > 0.1 for at, level in found["seen"] if from_s <= at < to_s]
        return sum(levels) / len(levels)

    assert loud(0.5, 1.2) > 0.5
    assert loud(2.2, 3.2) < 0.2
    assert loud(4.0, 5.5) > 0.5
