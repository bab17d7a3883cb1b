"""The device's position as whatever knows it leaves it in the run folder: `position.json`, canonical JSON.

Decided here: the file's form (docs/spec/hit.md, HT-7) and that a fix older than a minute is no position.
"""

from __future__ import annotations

from pathlib import Path

from vedette import canonical, files
from vedette.errors import VedetteError
from vedette.fields import Fields
from vedette.hitfile import Position

MAX_POSITION_BYTES = 512
MAX_AGE_US = 60 * 1_000_000


def read_position(run_dir: Path, *, now_us: int) -> Position | None:
    """The position in `run_dir`, or None when there is none, it is not whole, or its fix is over a minute old."""
    try:
        found = parse_position(files.read(run_dir / "position.json", max_bytes=MAX_POSITION_BYTES))
    except VedetteError:
        return None
    return found if abs(now_us - found.fixed_us) <= MAX_AGE_US else None


def parse_position(data: bytes) -> Position:
    """The position in the file's bytes; `Integrity` names the field that is wrong."""
    fields = Fields(canonical.loads(data), "position")
    found = Position(
        lat_e7=fields.integer("lat_e7", least=-900_000_000, most=900_000_000),
        lon_e7=fields.integer("lon_e7", least=-1_800_000_000, most=1_800_000_000),
        accuracy_cm=fields.optional("accuracy_cm", fields.integer),
        fixed_us=fields.integer("fixed_us"),
    )
    fields.close()
    return found
