"""How hot the board is by its own sensors: measured by the panel, left for the recorder in the run folder.

Decided here: the hottest of the kernel's thermal zones counts; a zone that cannot be read, says what cannot be, or is a
power chip that says the same whatever happens (Jetson's PMIC) does not; a measurement over half a minute old is none.
Implements HE-1 and HE-2 of docs/spec/heat.md.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from vedette import canonical, files
from vedette.errors import VedetteError
from vedette.fields import Fields

HEAT_NAME = "heat.json"
ZONES = Path("/sys/class/thermal")
FRESH_US = 30_000_000
LEAST_MC, MOST_MC = -40_000, 150_000
MAX_ZONES = 64
MAX_BYTES = 256
_CONSTANT = "PMIC"


def measure(zones: Path = ZONES) -> int | None:
    """The hottest zone in thousandths of a degree Celsius; None where none says anything."""
    found = [_zone(one) for one in sorted(zones.glob("thermal_zone*"))[:MAX_ZONES]]
    return max((one for one in found if one is not None), default=None)


def write_heat(run_dir: Path, milli_c: int, *, now_us: int) -> None:
    """Leave a measurement (thousandths of a degree, UTC in microseconds), whole or not at all."""
    beside = run_dir / f".{HEAT_NAME}.tmp"
    with suppress(OSError):
        beside.write_bytes(canonical.dumps({"measured_us": now_us, "milli_c": milli_c}))
        os.replace(beside, run_dir / HEAT_NAME)


def read_heat(run_dir: Path, *, now_us: int) -> int | None:
    """The measurement in `run_dir`; None when there is none, it is not whole, or it is over half a minute old."""
    try:
        fields = Fields(canonical.loads(files.read(run_dir / HEAT_NAME, max_bytes=MAX_BYTES)), "heat")
        measured_us = fields.integer("measured_us")
        milli_c = fields.integer("milli_c", least=LEAST_MC, most=MOST_MC)
        fields.close()
    except VedetteError:
        return None
    return milli_c if abs(now_us - measured_us) <= FRESH_US else None


def _zone(folder: Path) -> int | None:
    try:
        if _CONSTANT in (folder / "type").read_text(errors="replace"):
            return None
        milli_c = int((folder / "temp").read_text())
    except (OSError, ValueError):
        return None
    return milli_c if LEAST_MC <= milli_c <= MOST_MC else None
