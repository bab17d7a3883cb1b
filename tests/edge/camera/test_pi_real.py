"""The picamera2 adapter in the real picamera2 package; only what lies under it, libcamera and its memory, is doubled.

`make test` installs the package without its dependencies (firmware_scripts/workstation.sh). Without a Raspberry Pi the
hardware encoder cannot run, so its calls are only held to its signatures.
"""

import importlib
import inspect
import io
import itertools
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest

from edge.camera import pi
from edge.camera.burnin import BurntStamp
from edge.camera.drawnstamp import StampFacts
from edge.camera.pi import PiCamera
from edge.camera.port import EncodedUnit, SmallFrame
from vedette.clock import SystemClock
from vedette.config import CameraSection
from vedette.errors import NotFound, Refused

STANDIN = Path(__file__).parent / "standin"
OURS = ("picamera2", "libcamera", "pykms", "pidng", "prctl", "memory_heap")


@pytest.fixture(scope="module")
def package() -> Iterator[ModuleType]:
    """The installed picamera2, over the stand-in."""
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] in OURS}
    sys.path.insert(0, str(STANDIN))
    found = importlib.import_module("picamera2")
    importlib.import_module("memory_heap").put_under_picamera2()
    yield found
    sys.path.remove(str(STANDIN))
    for name in [name for name in sys.modules if name.split(".")[0] in OURS]:
        del sys.modules[name]
    sys.modules.update(before)


@pytest.fixture
def libcamera(package: ModuleType) -> Iterator[ModuleType]:
    yield sys.modules["libcamera"]
    sys.modules["libcamera"].fails = ""


@pytest.fixture
def camera(package: ModuleType) -> Iterator[PiCamera]:
    one = made()
    yield one
    one.close()


def made(**more: object) -> PiCamera:
    values = {"adapter": "pi", "width": 640, "height": 360, "rate": 30, "bitrate_kbps": 2000, **more}
    return pi.open_pi_here(CameraSection(**values), SystemClock())


def watched(one: PiCamera, *, units: int) -> tuple[list[EncodedUnit], list[SmallFrame]]:
    """Read until that many units have come; pytest's timeout ends it if they never do."""
    found: list[EncodedUnit | SmallFrame] = []
    while sum(isinstance(x, EncodedUnit) for x in found) < units:
        found += one.read(0.1)
    return [x for x in found if isinstance(x, EncodedUnit)], [x for x in found if isinstance(x, SmallFrame)]


def test_installed_package_is_the_one_this_is_written_for(package: ModuleType):
    assert importlib.metadata.version("picamera2") == "0.3.38"
    assert str(STANDIN) not in str(package.__file__)


def test_pictures_come_coded_and_small_when_the_real_package_runs(camera: PiCamera):
    info = camera.open()
    units, frames = watched(camera, units=70)
    assert (info.width, info.height, info.rate_num) == (640, 360, 30)
    assert units[0].is_key
    assert [n for n, unit in enumerate(units) if unit.is_key][:3] == [0, 30, 60]
    with av.open(io.BytesIO(b"".join(unit.data for unit in units)), format="h264") as stream:
        shapes = {(picture.width, picture.height) for picture in stream.decode(video=0)}
    assert shapes == {(640, 360)}
    assert {frame.i420.shape for frame in frames} == {(540, 640)}
    assert frames[0].luma.std() > 30


def test_times_are_the_sensors_and_the_same_for_both_streams(camera: PiCamera):
    clock = SystemClock()
    camera.open()
    units, frames = watched(camera, units=40)
    assert [b.pts_us > a.pts_us for a, b in itertools.pairwise(units)] == [True] * (len(units) - 1)
    at = {unit.pts_us: unit for unit in units}
    shared = [(frame, at[frame.media_us]) for frame in frames if frame.media_us in at]
    assert len(shared) > 10
    assert all(abs(frame.mono_us - unit.mono_us) < 100_000 for frame, unit in shared)
    assert all(abs(unit.utc_us - unit.mono_us - (clock.utc_us() - clock.mono_us())) < 100_000 for unit in units)


def test_rows_filled_up_by_the_hardware_come_without_the_filling(package: ModuleType):
    """704 is no multiple of the stride's 128: picamera2 hands out the filling with the picture."""
    one = made(width=704, height=360)
    one.open()
    _, frames = watched(one, units=5)
    real = one._camera.stream_configuration("lores")
    one.close()
    assert (real["size"], real["stride"]) == ((704, 360), 768)
    assert {frame.i420.shape for frame in frames} == {(540, 704)}


def test_both_streams_are_one_configuration_and_the_rate_is_the_sensors(camera: PiCamera, libcamera: ModuleType):
    camera.open()
    config = camera._camera.camera_configuration()
    (sensor,) = libcamera.CameraManager.singleton().cameras
    assert (config["main"]["size"], config["main"]["format"]) == ((640, 360), "YUV420")
    assert (config["lores"]["size"], config["lores"]["format"], config["raw"]) == ((640, 360), "YUV420", None)
    assert sensor.started_with["FrameDurationLimits"] == (33_333, 33_333)
    (encoder,) = camera._camera.encoders
    assert (type(encoder).__name__, encoder.bitrate, encoder.iperiod) == ("LibavH264Encoder", 2_000_000, 30)
    assert (encoder.preset, encoder.name, encoder.running) == ("superfast", "main", True)


def test_stamp_is_drawn_into_the_recorded_picture_only(package: ModuleType):
    """SG-21, SG-22, SG-23: by picamera2's thread, of what was told before it and while it runs."""
    one = made(options={"stamp": "unit-7"}, bitrate_kbps=8000)
    place = {"place": "33.57310 N 7.58981 W", "fixed_us": SystemClock().utc_us()}
    standby = StampFacts(device="car-1", ahead_us=0, zone_s=0, **place)
    recording, other = (replace(standby, recording=f"019ac123-4567-7000-8000-0123456789a{n}") for n in "bc")
    decoder = av.CodecContext.create("h264", "r")
    one.stamp(standby)
    one.open()
    for told, wrong in ((standby, recording), (recording, other)):
        one.stamp(told)
        said, frames = False, []
        while not said:
            units, seen = watched(one, units=1)
            frames += seen
            for unit in units:
                (picture,) = decoder.decode(av.Packet(unit.data))
                luma = picture.to_ndarray()[:360]
                said = said or says(luma, stamped(told, unit.utc_us), stamped(wrong, unit.utc_us))
        # Under the line the picture is half as bright; the reader's is not.
        assert np.median(luma[:12, :200]) < 0.75 * np.median(frames[-1].luma[:12, :200])
        assert np.median(frames[-1].luma[:12]) > 100
    one.close()


def stamped(facts: StampFacts, utc_us: int) -> np.ndarray:
    """The stamp alone, on black."""
    stamp, luma = BurntStamp("unit-7"), np.zeros((360, 640), np.uint8)
    stamp.facts = facts
    stamp.draw(luma, utc_us)
    return luma


def says(luma: np.ndarray, one: np.ndarray, other: np.ndarray) -> bool:
    """Whether `luma` has the bright letters of `one` and not those that only `other` has."""
    ours, theirs = (one > 200) & (other < 20), (other > 200) & (one < 20)
    return bool(ours.any() and luma[ours].mean() > 150 and not (theirs.any() and luma[theirs].mean() > 150))


def test_camera_gives_its_sensor_back_and_opens_again(camera: PiCamera, libcamera: ModuleType):
    for _ in range(2):
        camera.open()
        units, _ = watched(camera, units=3)
        assert units[0].is_key
        assert units[0].pts_us < 1_000_000
        camera.close()
        assert [one.acquired for one in libcamera.CameraManager.singleton().cameras] == [False]
    assert camera.read(0) == []


def test_silence_is_silence_when_the_sensor_stops_and_closing_does_not_hang(camera: PiCamera, libcamera: ModuleType):
    camera.open()
    watched(camera, units=3)
    (sensor,) = libcamera.CameraManager.singleton().cameras
    sensor._is_stopped.set()
    sensor._thread.join()
    while camera.read(0.2):
        pass
    assert camera.read(0.2) == []
    camera.close()
    camera.open()
    assert watched(camera, units=3)[0] != []


def test_sensor_that_is_busy_is_refused(camera: PiCamera, libcamera: ModuleType):
    libcamera.fails = "acquire"
    with pytest.raises(Refused, match="does not start"):
        camera.open()


def test_camera_that_is_not_there_is_not_found(package: ModuleType):
    with pytest.raises(NotFound, match="no camera 1"):
        made(source="1").open()


def test_encoder_is_the_boards_own_where_it_has_one(package: ModuleType, monkeypatch):
    """The hardware encoder is made with arguments that the real class takes."""
    encoders = importlib.import_module("picamera2.encoders")
    hardware = importlib.import_module("picamera2.encoders.h264_encoder").H264Encoder
    config = CameraSection(adapter="pi", rate=25, bitrate_kbps=3000)
    monkeypatch.setattr(encoders, "H264Encoder", hardware)
    chip = pi._encoder(encoders, config, has_hardware=True)
    soft = pi._encoder(encoders, config, has_hardware=False)
    assert isinstance(chip, hardware)
    assert (chip.bitrate, chip.repeat, chip.iperiod, chip.framerate) == (3_000_000, True, 25, 25)
    assert isinstance(soft, encoders.LibavH264Encoder)
    opened = inspect.getsource(importlib.import_module("picamera2.encoders.v4l2_encoder"))
    assert opened.count(f"open({str(pi.HARDWARE_ENCODER)!r}") == 1


@pytest.mark.parametrize("kind", ["H264Encoder", "LibavH264Encoder"])
def test_output_is_called_as_the_real_encoders_call_it(package: ModuleType, kind: str):
    outputs = importlib.import_module("picamera2.outputs")
    encoders = importlib.import_module("picamera2.encoders")
    real = inspect.signature(outputs.Output.outputframe)
    ours = inspect.signature(pi._output(outputs.Output, made()).outputframe)
    assert list(ours.parameters) == list(real.parameters)[1:]
    assert [one.default for one in ours.parameters.values()] == [one.default for one in real.parameters.values()][1:]
    call = list(inspect.signature(getattr(encoders, kind).outputframe).parameters)
    assert call[1:] == list(ours.parameters)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("__init__", {"camera_num": 0}),
        ("create_video_configuration", {"main": {}, "lores": {}, "raw": None, "controls": {}, "encode": "main"}),
        ("configure", {"camera_config": {}}),
        ("stream_configuration", {"name": "main"}),
        ("start_recording", {"encoder": None, "output": None, "name": "main"}),
        ("stop_recording", {}),
        ("close", {}),
    ],
)
def test_every_call_binds_to_the_real_signature(package: ModuleType, name: str, arguments: dict[str, object]):
    inspect.signature(getattr(package.Picamera2, name)).bind(None, **arguments)
