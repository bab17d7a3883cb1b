"""What only shows over time: memory over an hour of recording, the pre-event buffer, pictures lost under load."""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from bench.device import SECOND_US, RawCamera, UnitCamera, device_folder, noisy_second, recorder_of
from bench.harness import Fact
from edge.camera.encode import X264Encoder
from edge.camera.port import EncodedUnit, StreamInfo
from edge.camera.sound import RATE as SOUND_RATE
from edge.camera.sound import SoundEncoder
from edge.recorder.preevent import buffer_of
from vedette.clock import FakeClock, SystemClock
from vedette.config import CameraSection, DeviceConfig, DeviceSection, RecorderSection, SoundSection

HOUR_S, RATE = 3600, 30
LOAD_S, QUEUE = 20, 15
_PAGE = resource.getpagesize()


def endurance() -> list[Fact]:
    """The three figures, each in a process of its own: memory that another part took would be counted too."""
    return [_alone(memory_of_an_hour), _alone(pre_event_buffer), _alone(pictures_under_load)]


def memory_of_an_hour() -> Fact:
    """An hour of 720p30 at 4 Mbit/s with sound through the whole recorder, frame bus included, as fast as it goes.

    Sealed files are taken away.
    """
    second = noisy_second(1280, 720, 4_000_000, RATE)
    generator, sound = np.random.default_rng(8), SoundEncoder(SoundSection())
    picture = generator.integers(0, 255, (720 * 3 // 2, 1280), dtype=np.uint8)
    pcm = generator.integers(-3000, 3000, (SOUND_RATE, 1), dtype=np.int16)
    samples: list[tuple[float, float]] = []
    with device_folder() as (folder, _):
        clock = FakeClock()
        info = StreamInfo(width=1280, height=720, rate_num=RATE, rate_den=1, sound=sound.info)
        camera = UnitCamera(second, info, HOUR_S * RATE, clock, picture=picture, sound=sound, pcm=pcm)
        service = recorder_of(folder, camera, clock, segment_s=60)
        while not camera.ended:
            service.step(clock.mono_us())
            clock.advance(info.frame_us)
            if camera.index % (60 * RATE) == 0:
                samples.append((camera.index / RATE / 60, _resident_kib()))
                _take_away(folder)
        service.close()
    settled = np.array(samples[10:])
    slope, _ = np.polyfit(settled[:, 0], settled[:, 1], 1)
    return Fact(
        name="memory over one hour of recording with sound and frame bus, after its first ten minutes",
        figure=f"{settled[0, 1] / 1024:.1f} to {settled[-1, 1] / 1024:.1f} MiB, slope {slope * 60:+.0f} KiB an hour",
        bound="flat",
    )


def pre_event_buffer() -> Fact:
    """What 120 s of 1080p30 at 6 Mbit/s take in memory."""
    sizes = np.random.default_rng(1).lognormal(0.0, 0.4, 120 * RATE)
    sizes *= 6_000_000 / 8 * 120 / sizes.sum()
    buffer = buffer_of(
        DeviceConfig(
            device=DeviceSection(id="bench", data=Path()),
            camera=CameraSection(bitrate_kbps=6000),
            recorder=RecorderSection(pre_event_s=120),
        )
    )
    before = _resident_kib()
    for index, size in enumerate(sizes):
        at_us = index * SECOND_US // RATE
        buffer.add(
            EncodedUnit(data=bytes([index % 251]) * int(size), pts_us=at_us, is_key=index % RATE == 0, utc_us=at_us,
                        mono_us=at_us)
        )  # fmt: skip
    grown = (_resident_kib() - before) * 1024 / 1e6
    kept_s = sum(len(stretch.units) for stretch in buffer.take()) / RATE
    return Fact(name=f"pre-event buffer of {kept_s:.0f} s at 6 Mbit/s", figure=f"{grown:.0f} MB", bound="110 MB")


def pictures_under_load() -> Fact:
    """1080p30 in real time with both cores loaded by others: pictures that waited longer than a camera's queue."""
    generator = np.random.default_rng(2)
    ground = generator.integers(40, 200, (1080 * 3 // 2, 1920), dtype=np.uint8)
    ground = np.asarray(np.repeat(np.repeat(ground[::10, ::10], 10, axis=0), 10, axis=1), dtype=np.uint8)
    pictures = [np.roll(ground, 4 * n, axis=1) for n in range(8)]
    load = [multiprocessing.Process(target=burn, daemon=True) for _ in range(multiprocessing.cpu_count())]
    for one in load:
        one.start()
    try:
        with device_folder() as (folder, _):
            clock = SystemClock()
            encoder = X264Encoder(1920, 1080, RATE, bitrate=6_000_000, preset="ultrafast")
            camera = RawCamera(pictures, encoder, RATE, LOAD_S * RATE, clock)
            service = recorder_of(folder, camera, clock, segment_s=60)
            late, worst, began = 0, 0.0, time.monotonic()
            while not camera.ended:
                due = began + camera.index / RATE
                time.sleep(max(0.0, due - time.monotonic()))
                service.step(clock.mono_us())
                behind = time.monotonic() - due
                late, worst = late + (behind > QUEUE / RATE), max(worst, behind)
            service.close()
    finally:
        for one in load:
            one.terminate()
    return Fact(
        name=f"pictures of {LOAD_S * RATE} that a camera's queue of {QUEUE} would drop, all cores loaded",
        figure=f"{late}, worst delay {1000 * worst:.0f} ms",
        bound="0",
    )


def _take_away(folder: Path) -> None:
    """What keeper and uplink do in the end; here without their receipts."""
    for path in (folder / "spool").rglob("*"):
        if path.is_file() and path.suffix in (".age", ".manifest"):
            path.unlink()


def _resident_kib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE / 1024


def burn() -> None:
    """Load a core as the reader does: five steps of niceness behind the recorder, as the units of systemd have it."""
    os.nice(5)
    while True:
        pass


def _alone(measure: Callable[[], Fact]) -> Fact:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure).result()
