"""An accelerometer that is none: the files that the kernel shows of one, written into an ordinary folder.

It says so itself: its `name` is `vedette-sim`. Decided here: the chip it stands for (16 bits over ±16 g, as an MPU-6050
so set: 0.004785 m/s² a count) and what a crash looks like. It is read as a real one is (edge/board/iio.py) where
`[motion] sensor` names the folder. Names of the files: the kernel's Documentation/ABI/testing/sysfs-bus-iio.
"""

from __future__ import annotations

import os
from pathlib import Path

NAME = "vedette-sim"
FOLDER = "accelerometer"
SCALE_MS2 = 0.004785
G_MS2 = 9.80665
MOST_COUNT = 32_767
REST_G = (0.0, 0.0, 1.0)
# 8 g for a fifth of a second: from 56 km/h to a stand.
CRASH_G, CRASH_US = (-8.0, 0.0, 1.0), 200_000


class SimAccelerometer:
    """The folder of a sensor at rest; `show` says what it feels from now on."""

    def __init__(self, folder: Path) -> None:
        """Make the files; OSError where the folder cannot be made."""
        self.folder = folder
        self._counts: tuple[int, ...] = ()
        (folder / "scan_elements").mkdir(parents=True, exist_ok=True)
        self.write("in_accel_scale", f"{SCALE_MS2:.6f}")
        self.write("sampling_frequency", "200")
        self.write("in_mount_matrix", "1, 0, 0; 0, 1, 0; 0, 0, 1")
        self.write("scan_elements/in_accel_x_type", "be:s16/16>>0")
        self.show(*REST_G)
        self.write("name", NAME)

    def show(self, x_g: float, y_g: float, z_g: float) -> None:
        """Feel this from now on, in g, gravity included; what is beyond the range is cut off as a chip does."""
        before = self._counts or (None, None, None)
        wanted = (round(felt_g * G_MS2 / SCALE_MS2) for felt_g in (x_g, y_g, z_g))
        self._counts = tuple(max(-MOST_COUNT - 1, min(MOST_COUNT, count)) for count in wanted)
        for axis, count, last in zip("xyz", self._counts, before, strict=True):
            if count != last:
                self.write(f"in_accel_{axis}_raw", str(count))

    def write(self, name: str, text: str) -> None:
        """Put a line into one of the files, in one piece, as the kernel gives it."""
        beside = self.folder / ".beside"
        beside.write_text(f"{text}\n")
        os.replace(beside, self.folder / name)
