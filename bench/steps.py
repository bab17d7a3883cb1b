"""The longest step of a recorder while its camera or its microphone opens, hangs or dies.

A step that is held up holds up buttons, commands and the watchdog (CF-6 of docs/spec/camera-fault.md, SG-16 of
docs/spec/segment.md). Real children, real faults: signals, a server that never answers, a device whose driver hangs.
What a step waits for by design, the next picture, is left out: it looks and goes on. On a busy machine all of it is
longer: compare with the row in which all is well.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.device import UnitCamera, device_folder, noisy_second, recorder_of
from bench.harness import Fact
from edge.camera import open_camera, open_microphone
from edge.camera.apart import ApartCamera
from edge.camera.gst import GstCamera
from edge.camera.microphone import Microphone
from edge.camera.port import Camera, Given, StreamInfo
from vedette import commands
from vedette.clock import Clock, SystemClock
from vedette.config import CameraSection, SoundSection

SECONDS, FAULT_S, LOOK_S = 9, 3, 0.01
BOUND = "100 ms"
TEST = SoundSection(adapter="test")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One recorder: what it records from, and the signal that its camera's or microphone's child gets meanwhile."""

    name: str
    source: str = "test"
    sound: SoundSection = TEST
    camera: int = 0
    microphone: int = 0


TRIALS = (
    # A process imports some of what it needs when its first picture comes.
    Trial(name="in a process that has just started"),
    Trial(name="while all is well"),
    Trial(name="while a network camera never answers", source="rtsp"),
    Trial(name="while a camera's process hangs as it opens", source="apart"),
    Trial(name="while a camera hangs", camera=signal.SIGSTOP),
    Trial(name="while a camera dies", camera=signal.SIGKILL),
    Trial(name="while a microphone is missing", sound=SoundSection(adapter="alsa", source="hw:7,7")),
    Trial(name="while a microphone hangs as it opens", sound=SoundSection(adapter="alsa", source="hangs")),
    Trial(name="while a microphone hangs", microphone=signal.SIGSTOP),
    Trial(name="while a microphone dies", microphone=signal.SIGKILL),
)


def longest_steps() -> list[Fact]:
    """Nine seconds of each, the fault after three."""
    with tempfile.TemporaryDirectory() as folder, _silent_server() as server, _hanging_device(Path(folder)):
        return [*(_fact(trial, server) for trial in TRIALS), _activated()]


class _Ahead(SystemClock):
    """The machine's clocks, put forward by `ahead_us`."""

    ahead_us = 0

    def utc_us(self) -> int:
        return super().utc_us() + self.ahead_us

    def mono_us(self) -> int:
        return super().mono_us() + self.ahead_us


def _activated() -> Fact:
    """Two minutes of 6 Mbit/s are buffered, then an activation writes them while pictures go on (AC-45)."""
    clock, rate, buffered_s = _Ahead(), 30, 120
    info = StreamInfo(width=1280, height=720, rate_num=rate, rate_den=1)
    camera = UnitCamera(noisy_second(1280, 720, 6_000_000, rate), info, 1 << 30, clock)
    took_us: list[int] = []
    with device_folder() as (folder, run):
        service = recorder_of(folder, camera, clock, mode="standby", pre_event_s=buffered_s, segment_s=60)
        began_us = clock.mono_us()
        for number in range((buffered_s + SECONDS) * rate):
            if number == buffered_s * rate:
                commands.post(run, "recorder", {"command": "start", "activation": "crash", "id": ""}, clock=clock)
            clock.ahead_us += max(0, began_us + number * info.frame_us - clock.mono_us())
            now_us = clock.mono_us()
            service.step(now_us)
            took_us += [clock.mono_us() - now_us] if number >= buffered_s * rate else []
        service.close()
    return _told("while two minutes of buffer are written", took_us)


def hangs(_config: CameraSection, _clock: Clock) -> Camera:
    """An adapter whose driver never comes back and keeps Python's lock meanwhile, for the child of `apart`."""
    return _Hangs()


class _Hangs:
    ended = False

    def open(self) -> StreamInfo:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        keeping_the_lock = ctypes.PyDLL(None)
        while True:
            keeping_the_lock.sleep(60)

    def read(self, _timeout_s: float) -> Sequence[Given]:
        return []

    def close(self) -> None:
        """Nothing to free."""


def _fact(trial: Trial, server: str) -> Fact:
    clock = SystemClock()
    section = CameraSection(adapter="gst", source=server if trial.source == "rtsp" else "test", width=640, height=480)
    camera: Camera = (
        ApartCamera(section, clock, adapter="bench.steps:hangs", check=lambda: None)
        if trial.source == "apart"
        else open_camera(section, clock)
    )
    microphone = open_microphone(trial.sound, clock)
    assert microphone is not None
    took_us: list[int] = []
    with device_folder() as (folder, _):
        service = recorder_of(folder, camera, clock, microphone=microphone, segment_s=60)
        began_us, is_done = clock.mono_us(), False
        while (now_us := clock.mono_us()) - began_us < SECONDS * 1_000_000:
            if not is_done and now_us - began_us >= FAULT_S * 1_000_000:
                is_done = True
                _signal(microphone, trial.microphone)
                _signal(camera, trial.camera)
            now_us = clock.mono_us()
            service.step(now_us)
            took_us.append(clock.mono_us() - now_us)
            threading.Event().wait(LOOK_S)
        service.close()
    return _told(trial.name, took_us)


def _told(name: str, took_us: list[int]) -> Fact:
    took_us.sort()
    figure = f"{took_us[-1] / 1000:.1f} ms, 99 of 100 below {took_us[len(took_us) * 99 // 100] / 1000:.1f} ms"
    return Fact(name=f"longest step of a recorder {name}", figure=figure, bound=BOUND)


def _signal(whose: object, number: int) -> None:
    if number and isinstance(whose, (GstCamera, Microphone)) and whose._child.pid is not None:
        os.kill(whose._child.pid, number)


@contextlib.contextmanager
def _silent_server() -> Iterator[str]:
    """A network camera's source: it takes every connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"rtsp:rtsp://127.0.0.1:{server.getsockname()[1]}/street"


@contextlib.contextmanager
def _hanging_device(folder: Path) -> Iterator[None]:
    """A device of ALSA called `hangs`, whose driver does not come back as it is opened."""
    os.mkfifo(folder / "never")
    (folder / "asound.conf").write_text(
        f'pcm.null {{ type null }}\npcm.hangs {{ type file\n slave.pcm "null"\n file "/dev/null"\n'
        f' infile "{folder / "never"}"\n format "raw" }}\n'
    )
    before = os.environ.get("ALSA_CONFIG_PATH")
    os.environ["ALSA_CONFIG_PATH"] = str(folder / "asound.conf")
    try:
        yield
    finally:
        if before is None:
            del os.environ["ALSA_CONFIG_PATH"]
        else:
            os.environ["ALSA_CONFIG_PATH"] = before
