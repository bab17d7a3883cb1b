"""The process beside the recorder that runs a camera's adapter and hands on what it gives (`apart`).

    python -m edge.camera.apart_child UNITS PICTURES   two pipes' numbers; on standard input JSON: the camera, the stamp

Decided here: coded pictures are written in their order and wait for the recorder, of small frames only the newest does.
It ends with the process that started it, whatever it is doing then: the kernel sees to that.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from edge.camera.drawnstamp import ToldPipe
from edge.camera.pieces import FAULT, FRAME, OPENED, UNIT, Piece
from edge.camera.port import Camera, EncodedUnit, SmallFrame, Stamped, StreamInfo
from vedette.clock import Clock, SystemClock
from vedette.config import CameraSection

READ_S = 0.1
_PR_SET_PDEATHSIG = 1


class _Pictures:
    """Writes the newest small frame, in a thread of its own: the pipe may be full."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._newest: SmallFrame | None = None
        self._is_there = threading.Condition()
        threading.Thread(target=self._run, daemon=True).start()

    def offer(self, frame: SmallFrame) -> None:
        """Have `frame` written next, in place of one that still waits."""
        with self._is_there:
            self._newest = frame
            self._is_there.notify()

    def _run(self) -> None:
        with suppress(BrokenPipeError):
            while True:
                with self._is_there:
                    while self._newest is None:
                        self._is_there.wait()
                    frame, self._newest = self._newest, None
                _write(self._pipe, _of_frame(frame))


def main() -> int:
    """Run the camera until the recorder is gone or asks for the end; the process's exit code."""
    units, pictures = int(sys.argv[1]), int(sys.argv[2])
    pipe = ToldPipe(sys.stdin.fileno())
    told = pipe.first()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != told["parent"]:
        return 1
    module, _, function = told["adapter"].partition(":")
    factory: Callable[[CameraSection, Clock], Camera] = getattr(importlib.import_module(module), function)
    camera = factory(CameraSection(**told["camera"]), SystemClock())
    try:
        _hand_on(camera, pipe, units, pictures)
    except (KeyboardInterrupt, BrokenPipeError):
        return 0
    except Exception as error:  # Whatever it is, the recorder is told in words, and tries again.
        with suppress(BrokenPipeError):
            _write(units, Piece(kind=FAULT, data=(str(error) or repr(error)).encode()))
        return 1
    finally:
        with suppress(KeyboardInterrupt):
            camera.close()
    return 0


def _hand_on(camera: Camera, told: ToldPipe, units: int, pictures: int) -> None:
    info: StreamInfo | None = camera.open()
    small = _Pictures(pictures)
    while True:
        if isinstance(camera, Stamped) and (facts := told.newest()) is not None:
            camera.stamp(facts)
        for one in camera.read(READ_S):
            if isinstance(one, SmallFrame):
                small.offer(one)
            elif isinstance(one, EncodedUnit):
                if info is not None:
                    _write(units, Piece(kind=OPENED, data=_of_info(info)))
                    info = None
                _write(units, _of_unit(one))


def _of_info(info: StreamInfo) -> bytes:
    body: dict[str, Any] = {**asdict(info), "sound": None}
    return json.dumps(body).encode()


def _of_unit(unit: EncodedUnit) -> Piece:
    return Piece(
        kind=UNIT, data=unit.data, is_key=unit.is_key,
        media_us=unit.pts_us, decode_us=unit.decode_us, utc_us=unit.utc_us, mono_us=unit.mono_us,
    )  # fmt: skip


def _of_frame(frame: SmallFrame) -> Piece:
    return Piece(
        kind=FRAME, data=frame.i420.tobytes(), width=frame.width, height=frame.height,
        media_us=frame.media_us, utc_us=frame.utc_us, mono_us=frame.mono_us,
    )  # fmt: skip


def _write(pipe: int, piece: Piece) -> None:
    for data in (piece.header(), piece.data):
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(pipe, rest) :]


if __name__ == "__main__":
    sys.exit(main())
