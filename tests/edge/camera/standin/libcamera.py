"""A stand-in for libcamera's Python module: as much as picamera2 0.3.38 asks of it, and a camera made of noise.

Only the hardware is doubled: requests, buffers, threads and encoders above it are picamera2's own. Names, and what they
return, are those of libcamera's pybind module.
"""

import contextlib
import ctypes
import enum
import mmap
import os
import queue
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np

STRIDE_ALIGNMENT = 128
RATE = 30
cameras_there = 1
fails = os.environ.get("STANDIN_FAILS", "")


def hang():
    """As a driver does that never answers: in C, with Python's lock held, as libcamera's module holds it."""
    libc, mutex = ctypes.PyDLL(None), ctypes.create_string_buffer(64)
    for _ in range(2):
        libc.pthread_mutex_lock(mutex)


class StreamRole(enum.Enum):
    StillCapture, Raw, VideoRecording, Viewfinder = range(4)


class Orientation(enum.Enum):
    (
        Rotate0,
        Rotate0Mirror,
        Rotate180,
        Rotate180Mirror,
        Rotate90,
        Rotate90Mirror,
        Rotate270,
        Rotate270Mirror,
    ) = range(8)


class ControlType(enum.Enum):
    Null, Bool, Integer32, Float, Rectangle, Size = range(6)


class Transform:
    def __init__(self, other=None, hflip=0, vflip=0, transpose=0):
        source = other or SimpleNamespace(hflip=hflip, vflip=vflip, transpose=transpose)
        self.hflip, self.vflip, self.transpose = source.hflip, source.vflip, source.transpose

    def __str__(self):
        return f"{self.hflip}{self.vflip}{self.transpose}"

    def __hash__(self):
        return hash((self.hflip, self.vflip, self.transpose))


class ColorSpace:
    def __init__(self, name):
        self.primaries = self.transferFunction = self.ycbcrEncoding = self.range = name

    Sycc = classmethod(lambda cls: cls("sycc"))
    Smpte170m = classmethod(lambda cls: cls("smpte170m"))
    Rec709 = classmethod(lambda cls: cls("rec709"))
    Raw = classmethod(lambda cls: cls("raw"))

    def __str__(self):
        return self.primaries

    def __hash__(self):
        return hash(self.primaries)


class Size:
    def __init__(self, width=0, height=0):
        self.width, self.height = width, height


class Rectangle:
    def __init__(self, x=0, y=0, width=0, height=0):
        self.x, self.y, self.width, self.height = x, y, width, height


class PixelFormat(str):
    pass


class SensorConfiguration:
    bit_depth, output_size = 0, Size()


class ControlId:
    def __init__(self, name, kind=ControlType.Integer32):
        self.name, self.type = name, kind


controls = SimpleNamespace(
    **{
        name: ControlId(name)
        for name in (
            "SensorTimestamp",
            "ExposureTime",
            "ExposureTimeMode",
            "AnalogueGain",
            "AnalogueGainMode",
            "FrameDurationLimits",
            "NoiseReductionMode",
            "AfModeEnum",
            "AfStateEnum",
        )
    },
    draft=SimpleNamespace(NoiseReductionModeEnum=enum.Enum("NoiseReductionModeEnum", "Off Fast HighQuality Minimal")),
)
properties = SimpleNamespace(draft=SimpleNamespace(ColorFilterArrangementEnum=enum.Enum("Colour", "RGGB MONO")))


class FrameMetadata:
    Status = enum.Enum("Status", "Success Error Cancelled")


class FrameBuffer:
    class Plane:
        fd, offset, length = -1, 0, 0

    def __init__(self, planes):
        self.planes = planes
        self.metadata = SimpleNamespace(status=FrameMetadata.Status.Success)


class Request:
    Status = enum.Enum("Status", "Pending Complete Cancelled")

    def __init__(self, camera, cookie):
        self.camera, self.cookie = camera, cookie
        self.status, self.buffers, self.metadata = Request.Status.Pending, {}, {}

    def add_buffer(self, stream, buffer):
        self.buffers[stream] = buffer

    def reuse(self):
        self.status = Request.Status.Pending

    def set_control(self, control, value):
        pass


class StreamConfiguration:
    def __init__(self, role):
        self.stream, self.color_space, self.buffer_count, self.stride = object(), ColorSpace.Rec709(), 4, 0
        self.size, self.pixel_format = Size(640, 480), PixelFormat("YUV420")
        raw = PixelFormat("SRGGB10_CSI2P")
        self.formats = SimpleNamespace(pixel_formats=[raw], sizes=lambda _: [Size(2304, 1296), Size(4608, 2592)])

    @property
    def frame_size(self):
        return self.stride * self.size.height * 3 // 2


class CameraConfiguration(list):
    Status = enum.Enum("Status", "Valid Adjusted Invalid")
    orientation, sensor_config = Orientation.Rotate0, None

    def at(self, index):
        return self[index]

    def validate(self):
        for one in self:
            one.stride = -(-one.size.width // STRIDE_ALIGNMENT) * STRIDE_ALIGNMENT
        return CameraConfiguration.Status.Adjusted


class Camera:
    """Pictures of noise at 30 a second as long as there are requests to put them in."""

    id = "/base/soc/i2c0mux/i2c@1/imx708@1a"

    def __init__(self):
        self.properties = {ControlId("Model"): "imx708", ControlId("ColorFilterArrangement"): 0}
        limits = SimpleNamespace(min=8_333, max=1_000_000, default=33_333)
        self.controls = {controls.FrameDurationLimits: limits, controls.NoiseReductionMode: limits}
        self.acquired = False
        self.started_with = None
        self.pictures = 0
        self._waiting = queue.Queue()
        self._thread = None
        self._is_stopped = threading.Event()

    def acquire(self):
        if fails == "acquire":
            raise RuntimeError("Device or resource busy")
        self.acquired = True

    def release(self):
        self.acquired = False

    def generate_configuration(self, roles):
        return CameraConfiguration(StreamConfiguration(role) for role in roles)

    def configure(self, config):
        self.config = config
        return 0

    def create_request(self, cookie):
        return Request(self, cookie)

    def queue_request(self, request):
        request.status = Request.Status.Pending
        self._waiting.put(request)

    def start(self, values):
        if fails == "start":
            hang()
        self.started_with = {control.name: value for control, value in values.items()}
        self._is_stopped.clear()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self):
        self._is_stopped.set()
        self._thread.join()
        self._waiting = queue.Queue()

    def _run(self):
        noise = np.random.default_rng(1).integers(16, 235, 1 << 16, dtype=np.uint8)
        while not self._is_stopped.wait(1 / RATE):
            try:
                request = self._waiting.get(timeout=0.05)
            except queue.Empty:
                continue
            for stream in self.config:
                plane = request.buffers[stream.stream].planes[0]
                with mmap.mmap(plane.fd, plane.length) as memory:
                    memory[:] = np.resize(np.roll(noise, self.pictures * 4), plane.length).tobytes()
            request.metadata = {controls.SensorTimestamp: time.monotonic_ns() - 20_000_000}
            request.status = Request.Status.Complete
            self.pictures += 1
            CameraManager.singleton().complete(request)


Request.reuse = lambda self: self.camera.queue_request(self)


class CameraManager:
    _the_one = None

    def __init__(self):
        self.cameras = [Camera() for _ in range(cameras_there)]
        self.event_fd = os.eventfd(0, os.EFD_NONBLOCK)
        self._ready, self._lock = [], threading.Lock()

    @classmethod
    def singleton(cls):
        cls._the_one = cls._the_one or cls()
        return cls._the_one

    def complete(self, request):
        with self._lock:
            self._ready.append(request)
        os.eventfd_write(self.event_fd, 1)

    def get_ready_requests(self):
        with self._lock:
            ready, self._ready = self._ready, []
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.event_fd)
        return ready


_libcamera = sys.modules[__name__]
