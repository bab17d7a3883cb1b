"""Raspberry Pi cameras through picamera2 (0.3.38, from apt; its libcamera must match the system's).

Decided here: one configuration with two streams. The main one goes through picamera2's own H.264 encoder, in hardware
where the board has one (Pi 4), libx264 where not (Pi 5); the lores one is the I420 picture for the reader. picamera2
calls from its own threads: units wait in a bounded queue, of the pictures only the newest. A queue that runs over loses
whole groups of pictures, never part of one. Times are the sensor's. With the option `stamp` the stamp (`burnin`) is
drawn into the main picture before the encoder sees it. All of it runs in a process of its own (`apart`): a driver that
hangs keeps Python's lock.

Held to the real package by tests/edge/camera/test_pi_real.py, over a stand-in for libcamera; never run on a Pi yet.
"""

from __future__ import annotations

import importlib
import importlib.util
import queue
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.camera.annexb import ParameterSets
from edge.camera.apart import ApartCamera
from edge.camera.burnin import BurntStamp, stamp_text
from edge.camera.drawnstamp import StampFacts
from edge.camera.port import MAX_FRAME_HEIGHT, MAX_FRAME_WIDTH, EncodedUnit, Given, SmallFrame, StreamInfo
from vedette.clock import Clock
from vedette.config import CameraSection
from vedette.errors import NotFound, Refused, Usage

MAX_WAITING_UNITS = 600
# From the light to us, on a machine that is busy starting.
LONGEST_WAY_US = 1_000_000
ALIGNMENT_PX = 64
# Where picamera2 looks for the encoder of boards that have one.
HARDWARE_ENCODER = Path("/dev/video11")


def open_pi(config: CameraSection, clock: Clock) -> ApartCamera:
    """The picamera2 adapter for `config` in a process of its own; Usage for a camera or a size that cannot be."""
    open_pi_here(config, clock)
    return ApartCamera(config, clock, adapter=f"{__name__}:{open_pi_here.__name__}", check=check_package)


def check_package() -> None:
    """Raises NotFound where picamera2 is not installed; nothing of it is run."""
    if importlib.util.find_spec("picamera2") is None:
        raise NotFound("picamera2 is not installed; apt install python3-picamera2")


def open_pi_here(config: CameraSection, clock: Clock) -> PiCamera:
    """The adapter itself, for the process it runs in; `[camera] source` is the camera's number, 0 when empty."""
    if not (config.source or "0").isdigit():
        raise Usage(f"[camera] source: {config.source!r} is not the number of a camera")
    if config.width % ALIGNMENT_PX or config.height % 2:
        raise Usage(f"[camera] width must be a multiple of {ALIGNMENT_PX} on a Raspberry Pi, {config.width} is not")
    return PiCamera(config, clock, number=int(config.source or "0"), text=stamp_text(config.options))


class PiCamera:
    """One camera of a Raspberry Pi."""

    ended = False

    def __init__(self, config: CameraSection, clock: Clock, *, number: int, text: str | None = None) -> None:
        self._config, self._clock, self._number = config, clock, number
        self._stamp = None if text is None else BurntStamp(text)
        self._camera: Any = None
        self._mapped: Any = None
        self._units: queue.Queue[EncodedUnit] = queue.Queue(MAX_WAITING_UNITS)
        self._lock = threading.Lock()
        self._begin(small=(0, 0))

    def _begin(self, *, small: tuple[int, int]) -> None:
        """A new stream: nothing of the one before may come out any more."""
        while not self._units.empty():
            self._units.get_nowait()
        self._small = small
        self._newest: SmallFrame | None = None
        self._sets = ParameterSets()
        self._waits_for_key = True
        self._zero_us: int | None = None
        self._base_us: int | None = None
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
        self.close()
        try:
            width, height = self._start(picamera2, encoders, outputs)
        except (RuntimeError, ValueError, OSError) as error:
            self.close()
            raise Refused(f"camera {self._number} does not start: {error}") from None
        return StreamInfo(width=width, height=height, rate_num=self._config.rate, rate_den=1)

    def read(self, timeout_s: float) -> Sequence[Given]:
        """The units that wait, and the newest picture if there is a new one."""
        found: list[Given] = []
        try:
            found.append(self._units.get(timeout=timeout_s) if timeout_s else self._units.get_nowait())
            while len(found) < MAX_WAITING_UNITS:
                found.append(self._units.get_nowait())
        except queue.Empty:
            pass
        with self._lock:
            newest, self._newest = self._newest, None
        return [*found, newest] if newest is not None else found

    @property
    def is_stamped(self) -> bool:
        """Whether it draws the stamp."""
        return self._stamp is not None

    def stamp(self, facts: StampFacts) -> None:
        """What to draw from now on; picamera2's thread draws."""
        if self._stamp is not None:
            self._stamp.facts = facts

    def close(self) -> None:
        """Stop camera and encoder; what cannot be stopped any more because it is gone is let go."""
        camera, self._camera = self._camera, None
        if camera is None:
            return
        for stop in (camera.stop_recording, camera.close):
            with suppress(RuntimeError, ValueError, OSError):
                stop()
        self._begin(small=(0, 0))

    def take_unit(self, data: bytes, timestamp_us: int | None) -> None:
        """Called by picamera2's encoder thread for each access unit; never blocks.

        `timestamp_us` counts from the first encoded picture, which is the first that `take_request` saw.
        """
        data, is_key = self._sets.complete(data)
        media_us, utc_us, mono_us = self._times(timestamp_us)
        if self._waits_for_key and not is_key:
            return
        unit = EncodedUnit(data=data, pts_us=media_us, is_key=is_key, utc_us=utc_us, mono_us=mono_us)
        try:
            self._units.put_nowait(unit)
            self._waits_for_key = False
        except queue.Full:
            self._waits_for_key = True

    def take_request(self, request: Any) -> None:
        """Called by picamera2's camera thread for each picture, before the encoder sees it; never blocks or raises.

        An exception here would end that thread, and the recording with it.
        """
        with suppress(RuntimeError, ValueError, KeyError, TypeError):
            sensor_ns = request.get_metadata().get("SensorTimestamp")
            media_us, utc_us, mono_us = self._times(None if sensor_ns is None else self._since_first(sensor_ns // 1000))
            if self._stamp is not None and self._stamp.facts is not None:
                self._draw(self._stamp, request, utc_us)
            picture = without_padding(request.make_array("lores"), *self._small)
            frame = SmallFrame(i420=picture, index=self._index, utc_us=utc_us, mono_us=mono_us, media_us=media_us)
            self._index += 1
            with self._lock:
                self._newest = frame

    def _draw(self, stamp: BurntStamp, request: Any, utc_us: int) -> None:
        """Whatever goes wrong with it, the picture goes on without."""
        with suppress(Exception), self._mapped(request, "main") as main:
            stamp.draw(main.array[: self._config.height, : self._config.width], utc_us)

    def _start(self, picamera2: Any, encoders: Any, outputs: Any) -> tuple[int, int]:
        """Configure and start; the size that libcamera settled on."""
        config = self._config
        self._mapped = picamera2.MappedArray
        self._camera = camera = picamera2.Picamera2(self._number)
        video = camera.create_video_configuration(
            main={"size": (config.width, config.height), "format": "YUV420"},
            lores={"size": _small(config), "format": "YUV420"},
            raw=None,
            controls={"FrameRate": float(config.rate)},
            encode="main",
        )
        camera.configure(video)
        self._small = camera.stream_configuration("lores")["size"]
        camera.pre_callback = self.take_request
        has_hardware = picamera2.get_platform() == picamera2.Platform.VC4 and HARDWARE_ENCODER.exists()
        encoder = _encoder(encoders, config, has_hardware=has_hardware)
        camera.start_recording(encoder, _output(outputs.Output, self), name="main")
        width, height = camera.stream_configuration("main")["size"]
        return width, height

    def _since_first(self, sensor_us: int) -> int:
        if self._zero_us is None:
            self._zero_us = sensor_us
            if 0 <= self._clock.mono_us() - sensor_us <= LONGEST_WAY_US:
                with self._lock:
                    self._base_us = sensor_us
        return sensor_us - self._zero_us

    def _times(self, media_us: int | None) -> tuple[int, int, int]:
        """(media, UTC, monotonic) of a picture in microseconds; without a time of its own it is of now.

        The sensor's time is that of the monotonic clock (on a Raspberry Pi) where the first picture's
        lies just before it came; else it runs alike from another zero, and the least delayed picture tells where.
        """
        now_us = self._clock.mono_us()
        with self._lock:
            if media_us is None:
                media_us = 0 if self._base_us is None else now_us - self._base_us
            self._base_us = min(now_us - media_us, now_us if self._base_us is None else self._base_us)
            mono_us = self._base_us + media_us
        return media_us, self._clock.utc_us() - (now_us - mono_us), mono_us


def without_padding(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """picamera2's array of a YUV420 buffer, (height * 3 / 2, stride), as I420 without the filling at the rows' ends."""
    stride = picture.shape[1]
    if picture.shape[0] != height * 3 // 2 or stride < width:
        raise ValueError(f"a picture of shape {picture.shape} came where {width}x{height} was configured")
    if stride == width:
        return np.ascontiguousarray(picture)
    chroma = picture[height:].reshape(height, stride // 2)[:, : width // 2]
    return np.concatenate([picture[:height, :width], chroma.reshape(height // 2, width)])


def _encoder(encoders: Any, config: CameraSection, *, has_hardware: bool) -> Any:
    """The board's own encoder, or libx264; a key picture with its parameter sets every second in both."""
    kind = encoders.H264Encoder if has_hardware else encoders.LibavH264Encoder
    encoder = kind(bitrate=config.bitrate_kbps * 1000, repeat=True, iperiod=config.rate, framerate=config.rate)
    if not has_hardware:
        encoder.preset = config.preset
    return encoder


def _small(config: CameraSection) -> tuple[int, int]:
    scale = min(1.0, MAX_FRAME_WIDTH / config.width, MAX_FRAME_HEIGHT / config.height)
    return int(config.width * scale) // ALIGNMENT_PX * ALIGNMENT_PX, int(config.height * scale) // 2 * 2


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
