"""How hard the device is shaken and how fast it goes, as whatever has a sensor leaves it in the run folder.

Decided here: the form of `motion.json`, canonical JSON, and that a measurement over two seconds old is none. What a
peak or a speed means is the panel's to say (edge/panel/motion.py). Implements AC-19 of docs/spec/activation.md.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from vedette import canonical, files
from vedette.errors import VedetteError
from vedette.fields import Fields

MOTION_NAME = "motion.json"
MAX_MOTION_BYTES = 512
MAX_AGE_US = 2_000_000
MAX_PEAK_MG = 1_000_000
MAX_SPEED_CM_S = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Motion:
    """What was measured by `measured_us` (UTC): the last second's peak of acceleration without gravity, and speed."""

    measured_us: int
    peak_mg: int
    speed_cm_s: int | None


def read_motion(run_dir: Path, *, now_us: int) -> Motion | None:
    """The motion in `run_dir`; None when there is none, it is not whole, or it is more than two seconds old."""
    try:
        found = parse_motion(files.read(run_dir / MOTION_NAME, max_bytes=MAX_MOTION_BYTES))
    except VedetteError:
        return None
    return found if abs(now_us - found.measured_us) <= MAX_AGE_US else None


def parse_motion(data: bytes) -> Motion:
    """The motion in the file's bytes; `Integrity` names the field that is wrong."""
    fields = Fields(canonical.loads(data, max_bytes=MAX_MOTION_BYTES), "motion")
    found = Motion(
        measured_us=fields.integer("measured_us"),
        peak_mg=fields.integer("peak_mg", most=MAX_PEAK_MG),
        speed_cm_s=fields.optional("speed_cm_s", lambda name: fields.integer(name, most=MAX_SPEED_CM_S)),
    )
    fields.close()
    return found


def write_motion(run_dir: Path, motion: Motion) -> None:
    """Leave the motion; it is seen whole or not at all. A folder that does not take it keeps the older, which ages."""
    beside = run_dir / f".{MOTION_NAME}.tmp"
    with suppress(OSError):
        beside.write_bytes(canonical.dumps(asdict(motion)))
        os.replace(beside, run_dir / MOTION_NAME)
