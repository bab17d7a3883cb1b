"""A clap for each flash, through the whole recorder, with a microphone that dies in between: how far they are apart.

The child of the microphone is a stand-in, as no sound card is here: it hands on blocks that are written here, each with
the time of its first sample as a driver tells it. All else is real, and the clock moves with the pictures only.
"""

import array
import fcntl
import functools
import io
import os
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import av
import numpy as np
import pytest

from edge.camera import open_microphone
from edge.camera.encode import X264Encoder
from edge.camera.gdp import HEADER_BYTES
from edge.camera.microphone import Microphone
from edge.camera.sound import RATE
from vedette.clock import FakeClock
from vedette.config import SoundSection

BLOCK_US, CLAP_US, FRAME_US, EVERY = 10_000, 50_000, 100_000, 20
BOUND_US = 40_000
SENT_BLOCK_BYTES = HEADER_BYTES + 2 * RATE * BLOCK_US // 1_000_000


@functools.cache
def flashes(count: int) -> list[tuple[bytes, bool]]:
    """Coded pictures, ten a second; each twentieth is white."""
    encoder = X264Encoder(320, 240, 10, bitrate=1_000_000)
    dark, white = (np.full((360, 320), luma, np.uint8) for luma in (20, 235))
    units = [encoder.encode(white if n % EVERY == EVERY // 2 else dark, n * FRAME_US) for n in range(count)]
    return [(unit.data, unit.is_key) for found in units for unit in found]


class Device:
    """A device of ALSA that claps with each flash; its crystal has its own phase, and its buffers come late."""

    def __init__(self, folder: Path, ear: Microphone, monkeypatch: pytest.MonkeyPatch) -> None:
        self._ear, self._fifo = ear, folder / "blocks"
        os.mkfifo(self._fifo)
        hand_on = "while data := end.read(65536): os.write(int(sys.argv[-1].removeprefix('fd=')), data)"
        feed = f"import os, sys\nwith open({str(self._fifo)!r}, 'rb', buffering=0) as end:\n {hand_on}"
        monkeypatch.setattr("edge.camera.microphone.command", lambda _, words: [sys.executable, "-c", feed, *words])
        self._pipe: int | None = None
        self._next_us = self._zero_us = 0

    def switch_on(self) -> None:
        """From the moment on in which its child was begun it hears."""
        self._pipe = os.open(self._fifo, os.O_WRONLY)
        self._zero_us = self._ear._began_us
        self._next_us = self._zero_us + 3_217

    def die(self) -> None:
        os.kill(self._ear._child.pid or 0, signal.SIGKILL)
        assert self._pipe is not None
        os.close(self._pipe)
        self._pipe = None

    def give(self, until_us: int, claps_us: Iterable[int]) -> None:
        """Hand on what was heard by then, and wait until it is in the recorder's own pipe."""
        if self._pipe is None:
            return
        sent = 0
        while self._next_us + BLOCK_US <= until_us:
            payload = self._block(claps_us)
            header = struct.pack(">2sxxHIQ", b"\x01\x00", 1, len(payload), (self._next_us - self._zero_us) * 1000)
            sent += os.write(self._pipe, header.ljust(HEADER_BYTES, b"\0") + payload)
            self._next_us += BLOCK_US
        there = array.array("i", [0])
        while there[0] < sent:
            fcntl.ioctl(self._ear._child.ends[0], termios.FIONREAD, there)
            time.sleep(0.001)

    def _block(self, claps_us: Iterable[int]) -> bytes:
        at_us = self._next_us + np.arange(RATE * BLOCK_US // 1_000_000) * 1_000_000 / RATE
        is_loud = np.any([(clap <= at_us) & (at_us < clap + CLAP_US) for clap in claps_us], axis=0)
        return (np.sin(at_us * 0.006) * 20_000 * is_loud).astype("<i2").tobytes()


def onsets(data: bytes) -> tuple[list[int], list[int]]:
    """When flashes and when claps begin, in microseconds of media time."""
    with av.open(io.BytesIO(data)) as mp4:
        white = [one for one in mp4.decode(video=0) if one.to_ndarray(format="gray").mean() > 128]
        seen = [round(float(one.pts * one.time_base) * 1e6) for one in white]
    found, loud_us = [], -1_000_000
    with av.open(io.BytesIO(data)) as mp4:
        for one in mp4.decode(audio=0):
            for n in np.flatnonzero(np.abs(one.to_ndarray()[0]) > 0.2):
                at_us = round(float(one.pts * one.time_base) * 1e6 + int(n) * 1e6 / RATE)
                found += [at_us] if at_us - loud_us > 300_000 else []
                loud_us = at_us
    return seen, found


@pytest.mark.parametrize("late_us", [0, 70_000])
def test_claps_fall_on_their_flashes_before_and_after_a_loss(
    device, bench, scripted, clock: FakeClock, tmp_path: Path, monkeypatch, late_us: int
):
    """SG-6. SG-15. SG-18: whatever time its buffers take to come."""
    ear = open_microphone(SoundSection(adapter="alsa", source="hw:1,0"), clock)
    assert ear is not None
    sounding = Device(tmp_path, ear, monkeypatch)
    one = bench(camera=scripted(codes=flashes), microphone=ear, segment_s=60)

    def step(count: int) -> None:
        for _ in range(count):
            now_us, start_us = clock.mono_us(), one.camera.start[1]
            claps_us = [start_us + n * FRAME_US for n in range(EVERY // 2, 300, EVERY)]
            sounding.give(now_us - late_us, claps_us)
            one.steps(1)

    def step_until(happened: Callable[[], bool]) -> None:
        while not happened():
            step(1)

    step_until(lambda: ear._child.is_running)
    sounding.switch_on()
    step(100)
    sounding.die()
    step_until(lambda: one.status()["sound"] == "lost")
    step_until(lambda: ear._child.is_running)
    sounding.switch_on()
    step(100)
    assert one.status()["sound"] == "ok"
    one.close()

    (item,) = device.items()
    seen, heard = onsets(device.opened(item))
    lost, found = device.entries("sound.lost")[-1].detail, device.entries("sound.found")[-1].detail
    lost_us = lost["since_us"] - item.manifest.started_us
    back_us = lost_us + found["lasted_us"]
    for from_us, to_us in ((500_000, lost_us - CLAP_US), (back_us + CLAP_US, seen[-1] - FRAME_US)):
        there = [at for at in seen if from_us < at < to_us]
        apart = [min((clap - flash for clap in heard), key=abs) for flash in there]
        assert len(apart) >= 3
        assert max(map(abs, apart)) <= BOUND_US
    assert [at for at in heard if lost_us < at < back_us - BOUND_US] == []
