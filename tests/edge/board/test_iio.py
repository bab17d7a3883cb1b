"""What the kernel's files say of an accelerometer, on a folder laid out as Documentation/ABI/testing/sysfs-bus-iio."""

from pathlib import Path

import pytest

from edge.board.iio import MAX_DEVICES, find_accelerometer, name_of, read_acceleration, read_settings
from simulator.accelerometer import NAME, SimAccelerometer
from vedette.errors import Integrity


@pytest.fixture
def chip(tmp_path: Path) -> SimAccelerometer:
    return SimAccelerometer(tmp_path / "iio:device0")


def device(devices: Path, number: int, name: str) -> Path:
    one = SimAccelerometer(devices / f"iio:device{number}")
    one.write("name", name)
    return one.folder


def test_raw_numbers_become_metres_per_second_squared(chip: SimAccelerometer) -> None:
    """AC-39: (raw + offset) times scale, for all axes or for each; the numbers of an MPU-6050 at its ±2 g."""
    for axis, raw in (("x", "16384"), ("y", "-8192"), ("z", "0")):
        chip.write(f"in_accel_{axis}_raw", raw)
    chip.write("in_accel_scale", "0.000598")
    assert read_acceleration(chip.folder, read_settings(chip.folder)) == pytest.approx((9.7976, -4.8988, 0), 1e-4)
    chip.write("in_accel_offset", "8192")
    chip.write("in_accel_y_offset", "-4096")
    chip.write("in_accel_z_scale", "0.001196")
    assert read_acceleration(chip.folder, read_settings(chip.folder)) == pytest.approx((14.6964, -7.3482, 9.7976), 1e-4)


def test_settings_say_how_often_the_chip_measures_and_how_far_it_reaches(chip: SimAccelerometer) -> None:
    """AC-39, AC-40: of 16 bits over ±16 g; of an unsigned form, and of none, nothing is concluded."""
    found = read_settings(chip.folder)
    assert (found.rate_hz, found.range_mg) == (200.0, 15_989)
    chip.write("in_accel_sampling_frequency", "12.5")
    chip.write("scan_elements/in_accel_x_type", "le:u12/16>>4")
    found = read_settings(chip.folder)
    assert (found.rate_hz, found.range_mg) == (12.5, None)
    for name in ("in_accel_sampling_frequency", "sampling_frequency", "scan_elements/in_accel_x_type"):
        (chip.folder / name).unlink()
    found = read_settings(chip.folder)
    assert (found.rate_hz, found.range_mg) == (None, None)


@pytest.mark.parametrize("text", ["", "nan", "inf", "0", "-0.1", "fast", "0,0006", "\xff"])
def test_scale_that_is_no_number_above_zero_is_refused(chip: SimAccelerometer, text: str) -> None:
    """AC-39."""
    chip.write("in_accel_scale", text)
    with pytest.raises(Integrity):
        read_settings(chip.folder)


@pytest.mark.parametrize("name", ["in_accel_offset", "in_accel_x_scale", "sampling_frequency"])
def test_other_setting_that_is_no_number_is_refused(chip: SimAccelerometer, name: str) -> None:
    """AC-39."""
    chip.write(name, "nan")
    with pytest.raises(Integrity, match=name):
        read_settings(chip.folder)


def test_chip_without_a_scale_is_refused(chip: SimAccelerometer) -> None:
    """AC-39: raw numbers mean nothing without it."""
    (chip.folder / "in_accel_scale").unlink()
    with pytest.raises(Integrity, match="scale"):
        read_settings(chip.folder)


@pytest.mark.parametrize("text", ["", "nan", "12.5", "-", "0x10", "9" * 64, "835,966", "836000"])
def test_raw_number_that_is_no_acceleration_is_refused(chip: SimAccelerometer, text: str) -> None:
    """AC-39: cut off, no number, or above 400 g."""
    settings = read_settings(chip.folder)
    chip.write("in_accel_y_raw", text)
    with pytest.raises(Integrity):
        read_acceleration(chip.folder, settings)


def test_chip_that_is_gone_is_an_error_of_the_system(chip: SimAccelerometer) -> None:
    """AC-41."""
    settings = read_settings(chip.folder)
    (chip.folder / "in_accel_z_raw").unlink()
    with pytest.raises(OSError):
        read_acceleration(chip.folder, settings)


def test_accelerometer_is_found_by_its_place_name_or_label(tmp_path: Path) -> None:
    """AC-39: numbers are the kernel's and change; a gyroscope alone, a trigger and another's folder are none."""
    gyroscope = tmp_path / "iio:device0"
    gyroscope.mkdir()
    (gyroscope / "in_anglvel_x_raw").write_text("0\n")
    (tmp_path / "trigger0").mkdir()
    ten, two = device(tmp_path, 10, "adxl345"), device(tmp_path, 2, "mpu6050")
    (ten / "label").write_text("accel-camera\n")
    found = {wanted: find_accelerometer(wanted, tmp_path) for wanted in ("auto", "adxl345", "accel-camera", "bmi160")}
    assert found == {"auto": two, "adxl345": ten, "accel-camera": ten, "bmi160": None}
    assert find_accelerometer(str(ten), tmp_path / "nowhere") == ten
    assert find_accelerometer(str(gyroscope), tmp_path) is None


def test_machine_without_industrial_io_has_no_accelerometer(tmp_path: Path) -> None:
    """AC-39."""
    assert find_accelerometer("auto", tmp_path) is None
    assert find_accelerometer("auto", tmp_path / "nowhere") is None


def test_no_more_devices_are_looked_at_than_the_most(tmp_path: Path) -> None:
    """AC-39."""
    for number in range(MAX_DEVICES):
        (tmp_path / f"iio:device{number}").mkdir()
    device(tmp_path, MAX_DEVICES, "mpu6050")
    assert find_accelerometer("auto", tmp_path) is None
    last = device(tmp_path, MAX_DEVICES - 1, "mpu6050")
    assert find_accelerometer("auto", tmp_path) == last


def test_name_is_the_driver_s_and_bounded(chip: SimAccelerometer) -> None:
    """AC-41."""
    assert name_of(chip.folder) == NAME
    chip.write("name", "x" * 50)
    assert name_of(chip.folder) == "x" * 32
    (chip.folder / "name").unlink()
    assert name_of(chip.folder) == "iio:device0"
