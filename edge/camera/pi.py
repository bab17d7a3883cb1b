"""Raspberry Pi cameras through picamera2 (0.3.38, from apt; its libcamera must match the system's).

Decided here: the main stream goes through picamera2's own H.264 encoder (hardware on a Pi 4, libx264 on a Pi 5), the
lores stream is the I420 picture for the reader. picamera2 calls from its own threads: units wait in a bounded queue,
of the pictures only the newest. A queue that runs over loses whole groups of pictures, never part of one.

First form: this was written against picamera2's source and run with a stand-in only, never on a Pi.
"""

from __future__ import annotations

import importlib
import queue
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from edge.camera.annexb import ParameterSets
from edge.camera.port import MAX_FRAME_HEIGHT, MAX_FRAME_WIDTH, EncodedUnit, SmallFrame, StreamInfo
from vedette.clock import Clock
from vedette.config import CameraSection
from vedette.errors import NotFound, Refused, Usage

MAX_WAITING_UNITS = 600
ALIGNMENT_PX = 64


def open_pi(config: CameraSection, clock: Clock) -> PiCamera:
    """The picamera2 adapter for `config`; `[camera] source` is the camera's number, 0 when empty."""
    if not (config.source or "0").isdigit():
        raise Usage(f"[camera] source: {config.source!r} is not the number of a camera")
    if config.width % ALIGNMENT_PX or config.height % 2:
        raise Usage(f"[camera] width must be a multiple of {ALIGNMENT_PX} on a Raspberry Pi, {config.width} is not")
    return PiCamera(config, clock, number=int(config.source or "0"))


class PiCamera:
    """One camera of a Raspberry Pi."""

    ended = False

    def __init__(self, config: CameraSection, clock: Clock, *, number: int) -> None:
        self._config, self._clock, self._number = config, clock, number
        self._camera: Any = None
        self._units: queue.Queue[EncodedUnit] = queue.Queue(MAX_WAITING_UNITS)
        self._newest: SmallFrame | None = None
        self._newest_lock = threading.Lock()
        self._sets = ParameterSets()
        self._waits_for_key = True
        self._start_us: int | None = None
        self._index = 0

    def open(self) -> StreamInfo:
        """Start the camera; NotFound without picamera2 or a camera, Refused when libcamera cannot start it."""
        try:
            picamera2 = importlib.import_module("picamera2")
            encoders = importlib.import_module("picamera2.encoders")
            outputs = importlib.import_module("picamera2.outputs")
        except ImportError as error:
            raise NotFound(f"picamera2 is not installed ({error}); apt install python3-picamera2") from None
        if self._number >= len(picamera2.Picamera2.global_camera_info()):
            raise NotFound(f"there is no camera {self._number}; `rpicam-hello --list-cameras` lists them")
        try:
            self._start(picamera2, encoders, outputs)
        except (RuntimeError, ValueError, OSError) as error:
            self.close()
            raise Refused(f"camera {self._number} does not start: {error}") from None
        rate, width, height = self._config.rate, self._config.width, self._config.height
        return StreamInfo(width=width, height=height, rate_num=rate, rate_den=1)

    def read(self, timeout_s: float) -> Sequence[EncodedUnit | SmallFrame]:
        """The units that wait, and the newest picture if there is a new one."""
        found: list[EncodedUnit | SmallFrame] = []
        try:
            found.append(self._units.get(timeout=timeout_s) if timeout_s else self._units.get_nowait())
            while len(found) < MAX_WAITING_UNITS:
                found.append(self._units.get_nowait())
        except queue.Empty:
            pass
        with self._newest_lock:
            newest, self._newest = self._newest, None
        return [*found, newest] if newest is not None else found

    def close(self) -> None:
        """Stop camera and encoder."""
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.stop_recording()
            camera.close()

    def take_unit(self, data: bytes, timestamp_us: int | None) -> None:
        """Called by picamera2's encoder thread for each access unit; never blocks."""
        data, is_key = self._sets.complete(data)
        utc_us, mono_us, media_us = self._now(timestamp_us)
        if self._waits_for_key and not is_key:
            return
        unit = EncodedUnit(data=data, pts_us=media_us, is_key=is_key, utc_us=utc_us, mono_us=mono_us)
        try:
            self._units.put_nowait(unit)
            self._waits_for_key = False
        except queue.Full:
            self._waits_for_key = True

    def take_picture(self, request: Any) -> None:
        """Called by picamera2's camera thread for each completed request; never blocks."""
        picture = request.make_array("lores")
        width, height = self._small()
        if picture.shape != (height * 3 // 2, width):
            return
        utc_us, mono_us, media_us = self._now(None)
        frame = SmallFrame(
            i420=np.ascontiguousarray(picture), index=self._index, utc_us=utc_us, mono_us=mono_us, media_us=media_us
        )
        self._index += 1
        with self._newest_lock:
            self._newest = frame

    def _start(self, picamera2: Any, encoders: Any, outputs: Any) -> None:
        config = self._config
        self._sets, self._waits_for_key, self._start_us = ParameterSets(), True, None
        self._camera = camera = picamera2.Picamera2(self._number)
        video = camera.create_video_configuration(
            main={"size": (config.width, config.height), "format": "YUV420"},
            lores={"size": self._small(), "format": "YUV420"},
            controls={"FrameRate": float(config.rate)},
            encode="main",
        )
        camera.configure(video)
        camera.post_callback = self.take_picture
        encoder = encoders.H264Encoder(
            bitrate=config.bitrate_kbps * 1000, repeat=True, iperiod=config.rate, framerate=config.rate
        )
        camera.start_recording(encoder, _output(outputs.Output, self), name="main")

    def _now(self, timestamp_us: int | None) -> tuple[int, int, int]:
        """(UTC, monotonic, media) now; media time follows the sensor where the encoder passes it on."""
        utc_us, mono_us = self._clock.utc_us(), self._clock.mono_us()
        if self._start_us is None:
            self._start_us = mono_us
        return utc_us, mono_us, mono_us - self._start_us if timestamp_us is None else timestamp_us

    def _small(self) -> tuple[int, int]:
        scale = min(1.0, MAX_FRAME_WIDTH / self._config.width, MAX_FRAME_HEIGHT / self._config.height)
        width = int(self._config.width * scale) // ALIGNMENT_PX * ALIGNMENT_PX
        return width, int(self._config.height * scale) // 2 * 2


def _output(base: type[Any], camera: PiCamera) -> Any:
    """A picamera2 output that hands each unit to `camera`; its base class exists only where picamera2 does."""

    class UnitOutput(base):  # type: ignore[misc]
        def outputframe(
            self,
            frame: bytes,
            keyframe: bool = True,
            timestamp: int | None = None,
            packet: object = None,
            audio: bool = False,
        ) -> None:
            if not audio:
                camera.take_unit(bytes(frame), timestamp)

    return UnitOutput()
