"""The accelerometer at work on a chip's files: what it leaves for the panel, and what it says of a bad chip."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.board import accelerometer
from edge.board.accelerometer import LOOK_US, LOST_US, Accelerometer, State
from edge.board.iio import Settings, Vector
from edge.board.motion import Motion, read_motion
from edge.board.null import NullBoard
from edge.panel.service import PanelService
from simulator.accelerometer import NAME, SimAccelerometer
from vedette import commands
from vedette.clock import FakeClock
from vedette.config import DeviceConfig, DeviceSection

SECOND = 1_000_000
SHAKE = Callable[[float], Vector]


class Bench:
    """A chip, the accelerometer that reads it, and the panel that reads what is left, all by one clock."""

    def __init__(self, folder: Path, wanted: str = "auto") -> None:
        self.run, self.devices, self.clock = folder / "run", folder / "devices", FakeClock()
        self.run.mkdir()
        self.devices.mkdir()
        self.chip = SimAccelerometer(self.devices / "iio:device0")
        self.sensor = Accelerometer(wanted, self.run, self.clock, crash_mg=2500, devices=self.devices)
        config = DeviceConfig(device=DeviceSection(id="car-1", data=folder, run=self.run))
        self.panel = PanelService(config, self.clock, NullBoard(self.run, self.clock), zones=folder / "none")
        self.pauses: list[float] = []

    @property
    def state(self) -> State:
        return self.sensor.heard.state

    @property
    def left(self) -> Motion | None:
        return read_motion(self.run, now_us=self.clock.utc_us())

    def runs(self, seconds: float, felt: SHAKE | None = None) -> list[str]:
        """What is activated while the chip feels this, in g by the seconds since the beginning."""
        began_us = self.clock.mono_us()
        due_us = panel_us = began_us
        while (at_us := self.clock.mono_us()) < began_us + seconds * SECOND:
            if felt:
                self.chip.show(*felt((at_us - began_us) / SECOND))
            if at_us >= due_us:
                self.pauses.append(self.sensor.step(at_us))
                due_us = at_us + round(self.pauses[-1] * SECOND)
            if at_us >= panel_us:
                panel_us = at_us + round(self.panel.step(at_us) * SECOND)
            self.clock.advance(10_000)
        return [str(body["activation"]) for body in commands.take(self.run, "recorder")]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    one = Bench(tmp_path)
    yield one
    one.panel.close()


def test_blow_is_left_as_a_peak_and_starts_a_recording_as_a_crash(bench: Bench) -> None:
    """AC-16, AC-18, AC-37: a blow of 15 km/h from the side, felt once though it is told for a second."""
    assert bench.runs(3) == []
    quiet = bench.left
    blow = bench.runs(2, lambda at_s: (0.0, 6.7 * math.sin(math.pi * at_s / 0.1) if at_s < 0.1 else 0.0, 1.0))
    assert blow == ["crash"]
    assert quiet is not None
    assert (quiet.peak_mg, quiet.speed_cm_s) == (0, None)
    assert bench.state is State.OK
    assert bench.sensor.heard.name == NAME


@pytest.mark.parametrize(
    "felt",
    [
        lambda at_s: (-0.8 if at_s < 3 else 0.0, 0.0, 1.0),
        lambda at_s: (0.0, 0.0, 1.0 + (5.0 * math.sin(math.pi * (at_s % 1.0) / 0.03) if at_s % 1.0 < 0.03 else 0.0)),
    ],
    ids=["0.8 g of braking", "potholes"],
)
def test_hard_braking_and_potholes_start_nothing(bench: Bench, felt: SHAKE) -> None:
    """AC-16, AC-37."""
    assert bench.runs(2) == []
    assert bench.runs(4, felt) == []
    assert bench.left is not None
    assert 100 < bench.left.peak_mg < 2500


@pytest.mark.parametrize("matrix", ["0, 1, 0; -1, 0, 0; 0, 0, 1", "nan, nonsense", ""])
def test_mounting_matrix_changes_no_length_and_is_not_needed(bench: Bench, matrix: str) -> None:
    """AC-38: whatever the machine's description says of how the chip is turned."""
    bench.chip.write("in_accel_mount_matrix", matrix)
    bench.runs(2)
    assert bench.runs(1, lambda at_s: (0.0, 0.0, 1.0 - 6.7 if 0.1 <= at_s < 0.2 else 1.0)) == ["crash"]


def test_chip_is_read_a_hundred_times_a_second_and_never_without_a_pause(bench: Bench) -> None:
    """AC-37."""
    bench.runs(10)
    assert len(bench.pauses) == 1000
    assert min(bench.pauses) >= 0.002


def test_machine_without_a_chip_runs_as_before(bench: Bench) -> None:
    """AC-41: looked for every five seconds, and nothing said or left."""
    shutil.rmtree(bench.chip.folder)
    assert bench.runs(60) == []
    assert (bench.state, bench.left, len(bench.pauses)) == (State.NONE, None, 12)


def test_chip_that_is_named_and_not_there_is_missed_until_it_comes(tmp_path: Path) -> None:
    """AC-41."""
    bench = Bench(tmp_path, "mpu6050")
    bench.runs(2)
    assert (bench.state, bench.left) == (State.ABSENT, None)
    bench.chip.write("name", "mpu6050")
    bench.runs(LOOK_US / SECOND + 2)
    assert (bench.state, bench.sensor.heard.name) == (State.OK, "mpu6050")
    bench.panel.close()


def test_chip_that_goes_is_lost_after_a_second_and_found_again(bench: Bench) -> None:
    """AC-41: what it said last ages; a blow without it is not felt, one after it is."""
    bench.runs(2)
    aside = bench.devices / "aside"
    bench.chip.folder.rename(aside)
    bench.runs(0.9)
    assert bench.state is State.OK
    bench.pauses.clear()
    bench.runs(60)
    assert (bench.state, bench.left, bench.sensor.heard.name) == (State.GONE, None, NAME)
    assert len(bench.pauses) < 30
    aside.rename(bench.chip.folder)
    bench.runs(LOOK_US / SECOND + 2)
    assert bench.state is State.OK
    assert bench.runs(1, lambda at_s: (5.0 if at_s < 0.2 else 0.0, 0.0, 1.0)) == ["crash"]


@pytest.mark.parametrize("text", ["nan", "", "garbage", "99999999"])
@pytest.mark.parametrize("name", ["in_accel_x_raw", "in_accel_scale"])
def test_chip_that_says_no_acceleration_is_given_up_after_a_second_and_never_a_crash(
    bench: Bench, name: str, text: str
) -> None:
    """AC-39, AC-41."""
    bench.runs(2)
    before = (bench.chip.folder / name).read_text().strip()
    bench.chip.write(name, text)
    assert bench.runs(0.5) == []
    assert bench.state is State.OK
    bench.chip.write(name, before)
    assert bench.runs(1) == []
    bench.chip.write(name, text)
    assert bench.runs(4) == []
    assert (bench.state, bench.left) == (State.GARBAGE, None)


def test_chip_that_measures_too_rarely_leaves_nothing_and_is_said(bench: Bench) -> None:
    """AC-40: LIS3DH as its driver starts it."""
    bench.chip.write("sampling_frequency", "10")
    assert bench.runs(3, lambda at_s: (5.0 if at_s > 2 else 0.0, 0.0, 1.0)) == []
    assert (bench.state, bench.left) == (State.SLOW, None)


@pytest.mark.parametrize(("slow_us", "state"), [(30_000, State.OK), (60_000, State.SLOW)])
def test_driver_that_takes_its_time_over_a_reading_is_slow(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, slow_us: int, state: State
) -> None:
    """AC-40: some switch the chip on and off for each reading."""
    once = accelerometer.read_acceleration

    def waits(folder: Path, settings: Settings) -> Vector:
        bench.clock.advance(slow_us)
        return once(folder, settings)

    monkeypatch.setattr(accelerometer, "read_acceleration", waits)
    bench.runs(5)
    assert bench.state is state
    assert (bench.left is not None) is (state is State.OK)


@pytest.mark.parametrize(
    ("scale", "state"), [("0.001046", State.CLIPS), ("0.001048", State.OK)], ids=["3.49 g", "3.5 g"]
)
def test_range_that_cannot_hold_a_crash_beside_gravity_is_said(bench: Bench, scale: str, state: State) -> None:
    """AC-40: an MPU-6050 as its driver starts it reaches 2 g; what it does measure counts."""
    bench.chip.write("in_accel_scale", scale)
    bench.chip.write("in_accel_z_raw", str(round(9.80665 / float(scale))))
    bench.runs(3)
    assert bench.state is state
    assert bench.left is not None


def test_chip_without_gravity_leaves_nothing_and_is_said(bench: Bench) -> None:
    """AC-38: a bus that answers zeros."""
    bench.runs(3, lambda _at_s: (0.0, 0.0, 0.0))
    assert (bench.state, bench.left) == (State.WEIGHTLESS, None)


def test_change_of_the_range_is_no_crash(bench: Bench) -> None:
    """AC-39: udev widens it while the service runs; everything begins anew."""
    bench.chip.write("in_accel_scale", "0.000598")
    bench.chip.write("in_accel_z_raw", "16399")
    bench.runs(2.55)
    bench.chip.write("in_accel_scale", "0.004785")
    bench.chip.write("in_accel_z_raw", "2049")
    assert bench.runs(3) == []
    assert bench.state is State.OK
    assert bench.sensor.heard.range_mg == 15_989


def test_run_folder_that_takes_nothing_stops_nothing(bench: Bench) -> None:
    """AC-19."""
    bench.runs(1.5)
    (bench.run / "motion.json").unlink()
    (bench.run / "motion.json").mkdir()
    bench.runs(2 * LOST_US / SECOND)
    assert (bench.state, bench.left) == (State.OK, None)
