"""The udev rule that sets an accelerometer as a crash needs it: its commands, run as udev would, on a chip's files."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from edge.board.iio import read_settings
from simulator.accelerometer import SimAccelerometer

RULE = Path(__file__).resolve().parents[2] / "systemd" / "70-vedette-motion.rules"


def run_rule(folder: Path, hz: str) -> None:
    """Run what the rule runs for this device; `%` and `$` stand for what udev(7) says."""
    found = {"$$": "$", "%%": "%", "%p": str(folder), "$env{VEDETTE_HZ}": hz}
    for line in RULE.read_text().splitlines():
        match = re.match(r'TEST=="(\w+)", RUN\+="(.*)"$', line)
        if match and (folder / match[1]).exists():
            text = match[2].replace("/sys%p", "%p")
            command = re.sub(r"\$\$|%%|%p|\$env\{\w+\}", lambda one: found[one[0]], text)
            subprocess.run(shlex.split(command), check=True, timeout=20)


@pytest.mark.parametrize(("hz", "rate"), [("100", "100"), ("400", "400")])
def test_chip_gets_its_widest_range_and_the_rate_that_its_driver_needs(tmp_path: Path, hz: str, rate: str) -> None:
    """AC-40: the choices of an MPU-6050's driver, and rates of ST's."""
    chip = SimAccelerometer(tmp_path / "iio:device0")
    chip.write("in_accel_scale", "0.000598")
    chip.write("in_accel_scale_available", "0.000598 0.001196 0.002392 0.004785")
    chip.write("sampling_frequency", "1")
    chip.write("sampling_frequency_available", "1 10 25 50 100 200 400 1600 ")
    run_rule(chip.folder, hz)
    assert (chip.folder / "in_accel_scale").read_text() == "0.004785\n"
    assert (chip.folder / "sampling_frequency").read_text() == f"{rate}\n"
    assert read_settings(chip.folder).range_mg == 15_989


def test_chip_whose_rate_is_its_own_file_s_is_set_too(tmp_path: Path) -> None:
    """AC-40: a BMI160's driver has fractions, and a rate for each of its sensors."""
    chip = SimAccelerometer(tmp_path / "iio:device0")
    chip.write("in_accel_sampling_frequency", "12.500000")
    chip.write("in_accel_sampling_frequency_available", "0.78125 1.5625 3.125 6.25 12.5 25 50 100 200 400 800 1600")
    run_rule(chip.folder, "100")
    assert (chip.folder / "in_accel_sampling_frequency").read_text() == "100\n"


def test_chip_that_offers_no_choice_stays_as_it_is(tmp_path: Path) -> None:
    """AC-40."""
    chip = SimAccelerometer(tmp_path / "iio:device0")
    before = read_settings(chip.folder)
    chip.write("sampling_frequency_available", "10 50")
    run_rule(chip.folder, "100")
    assert read_settings(chip.folder) == before


@pytest.mark.skipif(shutil.which("udevadm") is None, reason="udevadm is not here (apt install udev)")
def test_rule_has_no_fault_when_udev_verifies_it() -> None:
    done = subprocess.run(["udevadm", "verify", str(RULE)], capture_output=True, text=True, timeout=60, check=False)
    if "Unknown command" in done.stderr:
        pytest.skip("this udevadm is older than 254 and verifies nothing")
    assert done.returncode == 0, done.stdout + done.stderr
