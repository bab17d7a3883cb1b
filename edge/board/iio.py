"""An accelerometer as Linux shows it: the files of Industrial I/O below /sys/bus/iio/devices.

Decided here: which device is the one that is meant, and how its files become m/s²: (raw + offset) times scale. A number
that is none, or more than any such sensor says, is no reading. The mounting matrix is not read: it turns the axes, and
no length changes by turning. Nothing is set here: range and rate are the machine's (docs/guide/install-device.md).
Interface: the kernel's Documentation/ABI/testing/sysfs-bus-iio. Implements AC-39 of docs/spec/activation.md.
"""

from __future__ import annotations

import math
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vedette.errors import Integrity

DEVICES = Path("/sys/bus/iio/devices")
AUTO, NONE = "auto", "none"
G_MS2 = 9.80665
MAX_DEVICES = 64
MAX_FILE_BYTES = 64
MAX_NAME_LETTERS = 32
MOST_MS2 = 4000.0
_AXES = ("x", "y", "z")
_NUMBER = re.compile(r"^iio:device(\d{1,6})$")
_TYPE = re.compile(r"^[bl]e:s(\d{1,2})/")

Vector = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How raw numbers are read: `scales` in m/s² a count, `offsets` in counts; `rate_hz` and `range_mg` None where the
    driver does not say how often it measures and how far it reaches.
    """

    scales: Vector
    offsets: Vector
    rate_hz: float | None
    range_mg: int | None


def find_accelerometer(wanted: str, devices: Path = DEVICES) -> Path | None:
    """The folder of the accelerometer that is `wanted`: `auto` for the first, a `name` or `label`, or its own path."""
    if wanted.startswith("/"):
        folder = Path(wanted)
        return folder if _is_accelerometer(folder) else None
    for folder in _numbered(devices):
        if _is_accelerometer(folder) and wanted in (AUTO, _text(folder, "name"), _text(folder, "label")):
            return folder
    return None


def name_of(folder: Path) -> str:
    """The chip's name by its driver, such as `mpu6050`; the folder's own where there is none."""
    return (_text(folder, "name") or folder.name)[:MAX_NAME_LETTERS]


def read_settings(folder: Path) -> Settings:
    """The device's settings; OSError when it is gone, `Integrity` when a file holds no number or no scale is there."""
    scales = _each(folder, "scale")
    if scales is None and not _is_accelerometer(folder):
        raise FileNotFoundError(f"{folder} is gone")
    if scales is None or min(scales) <= 0:
        raise Integrity(f"{folder.name}: in_accel_scale is not there or not above zero")
    rate_hz = _optional(folder, "in_accel_sampling_frequency")
    return Settings(
        scales=scales,
        offsets=_each(folder, "offset") or (0.0, 0.0, 0.0),
        rate_hz=_optional(folder, "sampling_frequency") if rate_hz is None else rate_hz,
        range_mg=_range_mg(folder, scales),
    )


def read_acceleration(folder: Path, settings: Settings) -> Vector:
    """The acceleration along the three axes in m/s², gravity included; OSError when the device does not give it,
    `Integrity` when what it gives is no acceleration.
    """
    x, y, z = (
        (_whole(_read(folder / f"in_accel_{axis}_raw")) + offset) * scale
        for axis, offset, scale in zip(_AXES, settings.offsets, settings.scales, strict=True)
    )
    if not max(abs(x), abs(y), abs(z)) <= MOST_MS2:
        raise Integrity(f"{folder.name}: an acceleration above {MOST_MS2:.0f} m/s²")
    return x, y, z


def _numbered(devices: Path) -> list[Path]:
    """The devices in the order of their numbers; a kernel without Industrial I/O has none."""
    with suppress(OSError):
        found = [(int(match[1]), one) for one in os.listdir(devices) if (match := _NUMBER.match(one))]
        return [devices / name for _, name in sorted(found)[:MAX_DEVICES]]
    return []


def _is_accelerometer(folder: Path) -> bool:
    return all((folder / f"in_accel_{axis}_raw").exists() for axis in _AXES)


def _text(folder: Path, name: str) -> str | None:
    try:
        return _read(folder / name).decode(errors="replace").strip()
    except OSError:
        return None


def _each(folder: Path, what: str) -> Vector | None:
    """A setting that each axis has of its own or all have in common; None where there is neither."""
    common = _optional(folder, f"in_accel_{what}")
    own = [_optional(folder, f"in_accel_{axis}_{what}") for axis in _AXES]
    x, y, z = (common if one is None else one for one in own)
    return None if x is None or y is None or z is None else (x, y, z)


def _range_mg(folder: Path, scales: Vector) -> int | None:
    """How far the axes reach, by the width of the raw numbers; None where the driver does not tell it."""
    match = _TYPE.match(_text(folder, "scan_elements/in_accel_x_type") or "")
    return None if match is None else round(min(scales) * 2.0 ** (int(match[1]) - 1) * 1000 / G_MS2)


def _optional(folder: Path, name: str) -> float | None:
    try:
        data = _read(folder / name)
    except FileNotFoundError:
        return None
    try:
        found = float(data)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise Integrity(f"{folder.name}: {name} is no number")
    return found


def _whole(data: bytes) -> int:
    try:
        return int(data)
    except ValueError:
        raise Integrity("a raw acceleration is no whole number") from None


def _read(path: Path) -> bytes:
    """The first bytes of a kernel's file: opened anew, for a device that came back may be another."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, MAX_FILE_BYTES)
    finally:
        os.close(descriptor)
