"""The device's position as whatever knows it leaves it in the run folder: `position.json`, canonical JSON.

Decided here: the file's form (docs/spec/position.md, PO-4 to PO-6; hit.md, HT-7) and that a fix older than a minute is
no position. Its times are the wall clock's, like those of all evidence; the satellites' own time is a field beside.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge.board.gnss import Report
from vedette import canonical, files
from vedette.errors import VedetteError
from vedette.fields import Fields
from vedette.hitfile import Position

POSITION_NAME = "position.json"
MAX_POSITION_BYTES = 1024
MAX_AGE_US = 60 * 1_000_000
MODES = ("2d", "3d")
_MORE = (
    "course_cdeg", "hdop_centi", "mode", "satellite_time_trusted", "satellite_us", "satellites", "speed_cm_s",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Fix:
    """A position and how good it is: flat or with height, dilution times 100, satellites used, speed and course.

    `satellite_us` is the satellites' time of the fix, `satellite_time_trusted` whether it was believed. None: not said.
    """

    position: Position
    mode: str | None = None
    hdop_centi: int | None = None
    satellites: int | None = None
    speed_cm_s: int | None = None
    course_cdeg: int | None = None
    satellite_us: int | None = None
    satellite_time_trusted: bool | None = None


def read_position(run_dir: Path, *, now_us: int) -> Position | None:
    """The position in `run_dir`, or None when there is none, it is not whole, or its fix is over a minute old."""
    fix = read_fix(run_dir, now_us=now_us)
    return None if fix is None else fix.position


def read_fix(run_dir: Path, *, now_us: int) -> Fix | None:
    """The position with its quality, or None as for `read_position`."""
    try:
        found = parse_fix(files.read(run_dir / POSITION_NAME, max_bytes=MAX_POSITION_BYTES))
    except VedetteError:
        return None
    return found if abs(now_us - found.position.fixed_us) <= MAX_AGE_US else None


def parse_position(data: bytes) -> Position:
    """The position in the file's bytes; `Integrity` names the field that is wrong."""
    return parse_fix(data).position


def parse_fix(data: bytes) -> Fix:
    """The fix in the file's bytes; `Integrity` names the field that is wrong. A file may have the position alone."""
    body = canonical.loads(data)
    fields = Fields(body, "position")
    position = Position(
        lat_e7=fields.integer("lat_e7", least=-900_000_000, most=900_000_000),
        lon_e7=fields.integer("lon_e7", least=-1_800_000_000, most=1_800_000_000),
        accuracy_cm=fields.optional("accuracy_cm", fields.integer),
        fixed_us=fields.integer("fixed_us"),
    )
    if not isinstance(body, dict) or "mode" not in body:
        fields.close()
        return Fix(position=position)
    found = Fix(
        position=position,
        mode=fields.optional("mode", lambda name: fields.one_of(name, MODES)),
        hdop_centi=fields.optional("hdop_centi", fields.integer),
        satellites=fields.optional("satellites", fields.integer),
        speed_cm_s=fields.optional("speed_cm_s", fields.integer),
        course_cdeg=fields.optional("course_cdeg", fields.integer),
        satellite_us=fields.optional("satellite_us", fields.integer),
        satellite_time_trusted=fields.optional("satellite_time_trusted", fields.boolean),
    )
    fields.close()
    return found


def fix_of(report: Report, *, satellite_time_trusted: bool) -> Fix | None:
    """The fix in a report, dated by the wall clock; None where it says no place."""
    if not report.has_place or report.lat_e7 is None or report.lon_e7 is None:
        return None
    return Fix(
        position=Position(
            lat_e7=report.lat_e7, lon_e7=report.lon_e7, accuracy_cm=report.accuracy_cm, fixed_us=report.utc_us
        ),
        mode="3d" if report.mode == 3 else "2d",
        hdop_centi=report.hdop_centi,
        satellites=report.satellites,
        speed_cm_s=report.speed_cm_s,
        course_cdeg=report.course_cdeg,
        satellite_us=report.satellite_us,
        satellite_time_trusted=satellite_time_trusted,
    )


def write_fix(run_dir: Path, fix: Fix) -> None:
    """Leave the fix; it is seen whole or not at all. A folder that does not take it keeps the older one, which ages."""
    position = {name: getattr(fix.position, name) for name in ("lat_e7", "lon_e7", "accuracy_cm", "fixed_us")}
    beside = run_dir / f".{POSITION_NAME}.tmp"
    with suppress(OSError):
        beside.write_bytes(canonical.dumps({**position, **{name: getattr(fix, name) for name in _MORE}}))
        os.replace(beside, run_dir / POSITION_NAME)
