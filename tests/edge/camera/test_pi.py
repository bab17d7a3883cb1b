"""What the picamera2 adapter does by itself with what picamera2's threads bring; the package: test_pi_real.py."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest

from edge.camera.drawnstamp import StampFacts
from edge.camera.pi import LONGEST_WAY_US, MAX_WAITING_UNITS, PiCamera, open_pi_here, without_padding
from edge.camera.port import EncodedUnit, SmallFrame
from vedette.clock import FakeClock
from vedette.config import CameraSection
from vedette.errors import NotFound, Usage

KEY = b"\x00\x00\x00\x01\x67sps\x00\x00\x00\x01\x68pps\x00\x00\x00\x01\x65idr"
DELTA = b"\x00\x00\x00\x01\x41p"
WIDTH, HEIGHT = 128, 64


def camera(clock: FakeClock | None = None, **more: object) -> PiCamera:
    config = CameraSection(**{"adapter": "pi", "width": WIDTH, "height": HEIGHT, "rate": 30, **more})
    one = open_pi_here(config, clock or FakeClock())
    one._begin(small=(WIDTH, HEIGHT))
    return one


def request(level: int, sensor_us: int | None, stride: int = WIDTH) -> SimpleNamespace:
    metadata = {} if sensor_us is None else {"SensorTimestamp": sensor_us * 1000}
    picture = np.full((HEIGHT * 3 // 2, stride), level, np.uint8)
    return SimpleNamespace(get_metadata=lambda: metadata, make_array=lambda name: picture)


def test_units_wait_from_the_first_key_unit_and_only_the_newest_picture_does():
    one = camera()
    for n, data in enumerate([DELTA, KEY, DELTA]):
        one.take_request(request(n, 1_000_000 + n * 33_333))
        one.take_unit(data, n * 33_333)
    found = one.read(0)
    units = [x for x in found if isinstance(x, EncodedUnit)]
    frames = [x for x in found if isinstance(x, SmallFrame)]
    assert [(unit.is_key, unit.pts_us) for unit in units] == [(True, 33_333), (False, 66_666)]
    assert [(int(frame.luma[0, 0]), frame.index, frame.media_us) for frame in frames] == [(2, 2, 66_666)]
    assert one.read(0) == []


def test_whole_groups_are_lost_when_the_queue_runs_over():
    one = camera()
    for n in range(MAX_WAITING_UNITS + 10):
        one.take_unit(DELTA if n else KEY, n)
    assert len(one.read(0)) == MAX_WAITING_UNITS
    one.take_unit(DELTA, 1000)
    assert one.read(0) == []
    one.take_unit(KEY, 1001)
    assert [unit.pts_us for unit in one.read(0)] == [1001]


def test_time_is_of_the_least_delayed_picture_when_others_come_late():
    clock = FakeClock()
    one = camera(clock)
    start_us, utc_us = clock.mono_us(), clock.utc_us()
    for n, late_us in enumerate([50_000, 10_000, 90_000]):
        clock.advance(start_us + n * 33_333 + late_us - clock.mono_us())
        one.take_unit(KEY, n * 33_333)
    units = one.read(0)
    assert [unit.mono_us - start_us for unit in units] == [50_000, 43_333, 76_666]
    assert [unit.utc_us - utc_us for unit in units] == [50_000, 43_333, 76_666]


@pytest.mark.parametrize("late_us", [0, 60_000, LONGEST_WAY_US])
def test_time_is_the_sensors_however_late_its_pictures_come_when_it_is_of_our_clock(late_us: int):
    """SG-18: a slow start moves nothing that follows against the sound."""
    clock = FakeClock()
    one = camera(clock)
    taken_us = clock.mono_us()
    clock.advance(late_us)
    for n in range(3):
        one.take_request(request(n, taken_us + n * 33_333))
        one.take_unit(KEY, n * 33_333)
        clock.advance(33_333)
    units = [unit for unit in one.read(0) if isinstance(unit, EncodedUnit)]
    assert [unit.mono_us - taken_us for unit in units] == [0, 33_333, 66_666]


@pytest.mark.parametrize("off_us", [1, -LONGEST_WAY_US - 1, 3_600_000_000])
def test_time_of_another_clock_is_not_taken_for_ours(off_us: int):
    clock = FakeClock(mono_us=7_200_000_000)
    one = camera(clock)
    one.take_request(request(0, clock.mono_us() + off_us))
    one.take_unit(KEY, 0)
    (unit,) = [unit for unit in one.read(0) if isinstance(unit, EncodedUnit)]
    assert unit.mono_us == clock.mono_us()


def test_picture_without_a_sensors_time_is_of_now():
    clock = FakeClock()
    one = camera(clock)
    one.take_request(request(1, None))
    clock.advance(40_000)
    one.take_request(request(2, None))
    (frame,) = one.read(0)
    assert (frame.media_us, frame.mono_us) == (40_000, clock.mono_us())


def test_no_picture_is_lost_for_a_stamp_that_cannot_be_drawn():
    """SG-24: picamera2's own thread would end with it."""
    one = camera(options={"stamp": "true"})
    one.stamp(StampFacts(device="car-1", ahead_us=0, zone_s=10**9))
    mapped: list[str] = []

    @contextmanager
    def mapping(_request: object, name: str) -> Iterator[SimpleNamespace]:
        mapped.append(name)
        yield SimpleNamespace(array=np.zeros((HEIGHT * 3 // 2, WIDTH), np.uint8))

    one._mapped = mapping
    one.take_request(request(1, 0))
    assert mapped == ["main"]
    assert [one.index for one in one.read(0) if isinstance(one, SmallFrame)] == [0]


@pytest.mark.parametrize("stride", [WIDTH - 2, WIDTH * 2])
def test_picture_that_cannot_be_does_not_end_picamera2s_thread(stride: int):
    one = camera()
    strange = request(1, 0, stride)
    strange.make_array = lambda name: np.zeros((7, stride), np.uint8)
    one.take_request(strange)
    assert one.read(0) == []


def test_filling_at_the_ends_of_rows_is_taken_out_of_all_three_planes():
    width, height, stride = 6, 4, 16
    planes = [np.arange(n * m, dtype=np.uint8).reshape(n, m) + k for n, m, k in ((4, 6, 0), (2, 3, 50), (2, 3, 80))]
    filled = b""
    for plane, row in zip(planes, (stride, stride // 2, stride // 2), strict=True):
        filled += np.pad(plane, ((0, 0), (0, row - plane.shape[1])), constant_values=255).tobytes()
    array = np.frombuffer(filled, np.uint8).reshape(height * 3 // 2, stride)
    assert without_padding(array, width, height).tobytes() == b"".join(plane.tobytes() for plane in planes)


def test_missing_picamera2_is_not_found(monkeypatch):
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(NotFound, match="python3-picamera2"):
        camera().open()


@pytest.mark.parametrize(
    "more", [{"source": "front"}, {"width": 1270}, {"height": 719}, {"options": {"stamp": "two words"}}]
)
def test_option_that_cannot_be_is_a_usage_error(more: dict[str, object]):
    with pytest.raises(Usage):
        camera(**more)
