"""The reader as a process of its own, driven by the real loop and the real clock."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path

from edge.recorder.framebus import FrameBusWriter
from vedette.clock import SystemClock
from vedette.daemon import read_status

PROGRAM = """
import sys
from pathlib import Path
from edge.reader.detect import Detection
from edge.reader.ocr import PlateText
from edge.reader.service import open_reader
from vedette import daemon
from vedette.clock import SystemClock
from vedette.config import DeviceConfig, DeviceSection

class Sees:
    model_hashes = {"reader": "a" * 64}
    def detect(self, luma):
        corners = ((100.0, 100.0), (180.0, 100.0), (180.0, 120.0), (100.0, 120.0))
        return [Detection(corners_px=corners, confidence_permille=900)]
    def read(self, luma, detection):
        return PlateText(text="12345|أ|6", text_ascii="12345A6", region="MA", confidence_permille=900, alternatives=())

data, run = map(Path, sys.argv[1:])
config = DeviceConfig(device=DeviceSection(id="car-1", data=data, run=run))
sys.exit(daemon.run(open_reader(config, SystemClock(), Sees()), clock=SystemClock()))
"""


def start(device) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", PROGRAM, str(device.config.data), str(device.config.run)]
    return subprocess.Popen(command, cwd=Path(__file__).parents[3])


def drive_until(bus: FrameBusWriter, frame_at: Callable, indices: count, reached: Callable[[], bool]) -> None:
    """Publish pictures at a camera's pace until `reached`, half a minute at most."""
    clock = SystemClock()
    for index in indices:
        bus.publish(frame_at(index, utc_us=clock.utc_us(), mono_us=clock.mono_us()))
        if reached():
            return
        assert index % 2000 < 1000, "the reader did not get there in 25 s"
        threading.Event().wait(0.025)


def test_reader_raises_one_hit_over_a_kill_and_ends_cleanly_on_sigterm(device, frame_at) -> None:
    """HT-28, HT-31."""
    device.clock.advance(SystemClock().utc_us() - device.clock.utc_us())
    device.store_list(device.entry())
    bus = FrameBusWriter(device.config.run / "framebus", width=320, height=240)
    first = start(device)
    drive_until(bus, frame_at, count(), lambda: len(device.items()) == 1)
    first.send_signal(signal.SIGKILL)
    first.wait()
    (device.config.run / "status" / "reader.json").unlink(missing_ok=True)
    second = start(device)
    drive_until(
        bus, frame_at, count(2000), lambda: int(read_status(device.config.run, "reader").get("repeats") or 0) > 1
    )
    second.send_signal(signal.SIGTERM)
    assert second.wait(timeout=20) == 0
    assert len(device.items()) == 1
    assert device.event_names()[-1] == "service.stopped"
    assert device.event_names().count("hit.raised") == 1
