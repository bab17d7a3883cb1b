"""What recording costs beyond encoding: the whole recorder at 1080p30 against ffmpeg and against the bare encoder.

CPU time is compared, not wall time: the recorder shares its cores with the reader. It counts from the first picture on,
the end of the segment included; what a start takes, once a shift, is told apart.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from bench.device import RawCamera, device_folder, recorder_of
from bench.harness import Row
from edge.camera.encode import X264Encoder
from simulator.render import Renderer
from simulator.world import plan
from vedette.clock import SystemClock

WIDTH, HEIGHT, RATE, SECONDS, BITRATE, PRESET = 1920, 1080, 30, 8, 6_000_000, "superfast"
DIFFERENT_S, ROUNDS = 4, 9


def recorder_cpu() -> list[Row]:
    """Eight seconds of 1080p30: camera to sealed segment, journal and frame bus; then the references on the same."""
    pictures = _pictures()
    with tempfile.TemporaryDirectory() as folder, device_folder() as (device, _):
        raw, out = Path(folder) / "raw.yuv", Path(folder) / "plain.mp4"
        with raw.open("wb") as file:
            for index in range(RATE * SECONDS):
                file.write(pictures[index % len(pictures)].tobytes())

        starts: list[float] = []

        def whole() -> float:
            began = time.process_time()
            clock = SystemClock()
            camera = RawCamera(pictures, _encoder(), RATE, RATE * SECONDS + 1, clock)
            service = recorder_of(device, camera, clock, segment_s=60)
            service.step(clock.mono_us())
            starts.append(time.process_time() - began)
            began = time.process_time()
            while not camera.ended:
                service.step(clock.mono_us())
            service.close()
            return time.process_time() - began

        references = {
            "PyAV, same encoder, plain MP4": lambda: _plain(out, pictures),
            "ffmpeg -c:v libx264, same settings, plain MP4": lambda: _ffmpeg(raw, out),
        }
        return _rows(whole, references, starts)


def _pictures() -> Sequence[NDArray[np.uint8]]:
    renderer = Renderer(plan(1, DIFFERENT_S), width=WIDTH, height=HEIGHT)
    count = RATE * DIFFERENT_S
    return [renderer.i420(index * 1_000_000 // RATE).copy() for index in range(count)]


def _encoder() -> X264Encoder:
    return X264Encoder(WIDTH, HEIGHT, RATE, bitrate=BITRATE, preset=PRESET)


def _plain(path: Path, pictures: Sequence[NDArray[np.uint8]]) -> None:
    encoder = _encoder()
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.time_base = WIDTH, HEIGHT, Fraction(1, 1_000_000)
        for index in range(RATE * SECONDS):
            for unit in encoder.encode(pictures[index % len(pictures)], index * 1_000_000 // RATE):
                packet = av.Packet(unit.data)
                packet.stream, packet.time_base = stream, Fraction(1, 1_000_000)
                packet.pts = packet.dts = unit.pts_us
                packet.is_keyframe = unit.is_key
                container.mux(packet)


def _ffmpeg(raw: Path, out: Path) -> None:
    source = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(RATE), "-i", str(raw)]
    coding = ["-c:v", "libx264", "-preset", PRESET, "-tune", "zerolatency", "-b:v", str(BITRATE), "-g", str(RATE),
              "-bf", "0", "-threads", "1"]  # fmt: skip
    subprocess.run(["ffmpeg", "-v", "error", "-y", *source, *coding, str(out)], check=True)


def _rows(whole: Callable[[], float], references: dict[str, Callable[[], None]], starts: Sequence[float]) -> list[Row]:
    """All of them in every round, so that what slows the machine for a while slows each; the first is not counted."""
    rounds = [(whole(), [_cpu_s(run) for run in references.values()]) for _ in range(ROUNDS + 1)][1:]
    start_s = statistics.median(starts)
    return [
        Row(
            name=f"recorder, {SECONDS} s of 1080p{RATE}: CPU",
            amount=SECONDS,
            unit="s",
            median_s=statistics.median(ours for ours, _ in rounds),
            reference=name,
            reference_s=statistics.median(theirs[index] for _, theirs in rounds),
            ratio=statistics.median(ours / theirs[index] for ours, theirs in rounds),
            note=f"CPU time; 1.10 is the bound; a start takes {start_s:.2f} s",
        )
        for index, name in enumerate(references)
    ]


def _cpu_s(run: Callable[[], object]) -> float:
    """The CPU time of this process and of the children it waited for."""
    began = time.process_time() + _children_s()
    run()
    return time.process_time() + _children_s() - began


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
