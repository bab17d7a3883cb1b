"""Encoded pictures that are lost while the real reader runs flat out, and while every core is loaded besides.

Real are the recorder and the reader as `vedette device run` starts them, the GStreamer pipeline that makes, encodes and
hands over 1080p30 in real time, and the sealed segments, which are opened and counted. Only the pictures are drawn.
"""

from __future__ import annotations

import io
import itertools
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av

from bench.device import device_folder
from bench.endurance import burn
from bench.harness import Fact
from vedette import spool
from vedette.daemon import read_status
from vedette.sealed import HybridIdentity, open_sealed

RATE, SECONDS, SETTLE_S, GIVE_UP_S = 30, 60, 5, 60
CAMERA = f"""
[camera]
adapter = "gst"
source = "test"
width = 1920
height = 1080
rate = {RATE}
bitrate_kbps = 6000
preset = "superfast"
"""
RECORDER = "[recorder]\nsegment_s = 15\nmin_free_mib = 0\n"
READER_NICE = 5  # as its unit has it
BOUND = "0"


def beside_the_reader() -> list[Fact]:
    """A minute with the reader alone beside the recorder, a minute with every core loaded besides."""
    if shutil.which("gst-launch-1.0") is None:
        return [Fact(name="encoded pictures lost beside the reader", figure="no GStreamer here", bound=BOUND)]
    cores = os.cpu_count() or 1
    return [_lost("the reader flat out", 0), _lost(f"the reader and {cores} others that never rest", cores)]


def _lost(beside: str, loads: int) -> Fact:
    identity = HybridIdentity.generate()
    with device_folder(identity) as (folder, run):
        config = folder / "device.toml"
        config.write_text(config.read_text().split("[camera]")[0] + CAMERA + RECORDER)
        with _service("recorder", config, 0):
            _until_recorded(run, SETTLE_S)
            with _service("reader", config, READER_NICE), _loaded(loads):
                time.sleep(SECONDS)
                looked = int(str(read_status(run, "reader")["frames"]))
        times = sorted(time for one in _segments(folder / "spool", identity) for time in one)
    lost = sum(round((later - before) * RATE) - 1 for before, later in itertools.pairwise(times))
    return Fact(
        name=f"encoded pictures lost of {len(times) + lost} at 1080p{RATE}, beside {beside}",
        figure=f"{lost}; it looked at {looked / SECONDS:.1f} a second",
        bound=BOUND,
    )


def _segments(folder: Path, identity: HybridIdentity) -> Iterator[list[float]]:
    """When each picture of a segment was taken, in seconds, by the container's own times and the manifest's."""
    for kind, item, manifest in spool.item_ids(folder):
        if kind != "segment":
            continue
        began_s = spool.load(manifest).manifest.started_us / 1e6
        plain = open_sealed(spool.final_path(folder, kind, item).read_bytes(), [identity])
        with av.open(io.BytesIO(plain), "r") as container:
            stream = container.streams.video[0]
            times = [float(one.pts * one.time_base) for one in container.demux(stream) if one.pts is not None]
        yield [began_s + one - times[0] for one in times]


def _until_recorded(run: Path, seconds: int) -> None:
    end = time.monotonic() + GIVE_UP_S
    while int(str(read_status(run, "recorder").get("recorded_ms") or 0)) < 1000 * seconds:
        if time.monotonic() > end:
            raise RuntimeError("the recorder does not record")
        time.sleep(0.1)


@contextmanager
def _service(name: str, config: Path, niceness: int) -> Iterator[None]:
    vedette = Path(sys.executable).with_name("vedette")
    words = ["nice", f"-n{niceness}", str(vedette), "device", "run", name, "--config", str(config)]
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(GIVE_UP_S)


@contextmanager
def _loaded(count: int) -> Iterator[None]:
    load = [multiprocessing.Process(target=burn, daemon=True) for _ in range(count)]
    for one in load:
        one.start()
    try:
        yield
    finally:
        for one in load:
            one.terminate()
