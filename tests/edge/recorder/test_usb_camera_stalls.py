"""A USB camera that stalls: the product's pipeline is real but for the driver, whose pictures come from a process."""

from __future__ import annotations

import dataclasses
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from edge.camera import open_camera, pipelines
from vedette.clock import SystemClock
from vedette.config import CameraSection
from vedette.custody_entry import parse_line
from vedette.timeline import State
from vedette.timeline_layers import read_timeline

WIDTH, HEIGHT, RATE = 320, 240, 25
PICTURE_BYTES = WIDTH * HEIGHT * 3 // 2
DRIVER = "v4l2src device={device}"
WITHIN_S = 120.0


def has_elements() -> bool:
    """Whether GStreamer is here with what stands in for a driver."""
    known = shutil.which("gst-inspect-1.0") is not None
    return known and all(
        subprocess.run(["gst-inspect-1.0", "--exists", one]).returncode == 0 for one in ("shmsrc", "x264enc")
    )


pytestmark = pytest.mark.skipif(not has_elements(), reason="GStreamer is not installed, or has no shmsrc")


class UsbCamera:
    """Gives pictures of a moving block when it is told to; each is stamped as it comes, as a driver does.

    While nobody takes them, as when the recorder opens it anew, they are lost; whoever gives them does not wait.
    """

    def __init__(self, socket: Path) -> None:
        words = (
            f"fdsrc fd=0 blocksize={PICTURE_BYTES} ! rawvideoparse format=i420 width={WIDTH} height={HEIGHT}"
            f" framerate={RATE}/1 ! shmsink socket-path={socket} wait-for-connection=false sync=false shm-size=20000000"
        )
        self._child = subprocess.Popen(["gst-launch-1.0", "-q", *words.split()], stdin=subprocess.PIPE)
        self._given = 0
        self._waiting: queue.Queue[bytes] = queue.Queue()
        threading.Thread(target=self._write, daemon=True).start()
        while not socket.exists():
            time.sleep(0.01)

    def _write(self) -> None:
        assert self._child.stdin is not None
        with suppress(BrokenPipeError), self._child.stdin as pipe:
            while picture := self._waiting.get():
                pipe.write(picture)
                pipe.flush()

    def give(self) -> None:
        """One picture."""
        picture = np.full((HEIGHT * 3 // 2, WIDTH), 16, np.uint8)
        across = self._given * 7 % (WIDTH - 40)
        picture[60:140, across : across + 40], picture[HEIGHT:] = 235, 128
        self._given += 1
        if self._waiting.qsize() < RATE:
            self._waiting.put(picture.tobytes())

    def close(self) -> None:
        """In order: shared memory of one that is killed stays behind."""
        self._waiting.put(b"")
        try:
            self._child.wait(20)
        finally:
            self._child.kill()


@pytest.fixture
def usb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UsbCamera]:
    """The camera, and the pipeline of USB cameras with it in the driver's place."""
    made = UsbCamera(tmp_path / "usb")
    board, here = pipelines.BOARDS["v4l2"], f"shmsrc socket-path={tmp_path / 'usb'} is-live=true do-timestamp=true"
    caps = f" ! video/x-raw,format=I420,width={WIDTH},height={HEIGHT},framerate={RATE}/1"
    assert board.source.startswith(DRIVER)
    monkeypatch.setitem(
        pipelines.BOARDS, "v4l2", dataclasses.replace(board, source=board.source.replace(DRIVER, here + caps))
    )
    yield made
    made.close()


def drive(one, usb: UsbCamera, happened: Callable[[], bool]) -> None:
    """Have the camera give its pictures and the recorder step until something is so."""
    until, due = time.monotonic() + WITHIN_S, time.monotonic()
    while not happened():
        assert time.monotonic() < until
        if time.monotonic() >= due:
            usb.give()
            due = max(due + 1 / RATE, time.monotonic() - 0.1)
        one.steps(1)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("is_held_up", [False, True])
def test_stall_of_a_usb_camera_is_a_gap_and_no_picture_is_shown_in_its_place(
    device, bench, usb: UsbCamera, is_held_up: bool
) -> None:
    """CF-16, CF-10, CF-17: also one longer than a camera may be silent, where the recorder was held up meanwhile."""
    section = CameraSection(adapter="gst", source="v4l2", width=WIDTH, height=HEIGHT, rate=RATE, preset="ultrafast")
    one = bench(camera=open_camera(section, SystemClock()), clock=SystemClock(), segment_s=600)
    one.service._read_timeout_s = 0.02
    status = one.status
    drive(one, usb, lambda: int(str(status()["units"])) >= 40)
    stall_s = 2.5 if is_held_up else 1.2
    until = time.monotonic() + stall_s
    while time.monotonic() < until:
        if is_held_up:
            time.sleep(0.1)
        else:
            one.steps(1)
    known = int(str(status()["units"]))
    drive(one, usb, lambda: int(str(status()["units"])) >= known + 40)
    one.close()
    (gap,) = device.entries("gap")
    lasted_us = gap.detail["to_us"] - gap.detail["from_us"]
    assert gap.detail["why"] == "camera_stalled"
    assert stall_s * 1e6 - 200_000 < lasted_us
    found = read_timeline([parse_line(line) for line in device.lines()])
    assert abs(found.totals[State.CAMERA] - lasted_us) < 100_000
