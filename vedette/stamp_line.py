"""Reads the line that stands over a recording's pictures (docs/spec/segment.md, SG-11, SG-25): time, device, position.

Decided here: only the recorder's own form counts; anything else is None, never half a position. The recorder writes it
in `edge.recorder.stamp`. Implements SG-28.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass

UNKNOWN, REMOVED, NOT_TRUSTED = "position unknown", "position removed", "GNSS time not trusted"
_LINE = re.compile(
    r"(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d) UTC([+-])(\d\d):(\d\d)  ([a-z0-9.-]{1,64})  (.+)", re.ASCII
)
_POSITION = re.compile(
    r"(\d{1,2})\.(\d{5}) ([NS]) (\d{1,3})\.(\d{5}) ([EW])(?: ±(\d{1,9}) m)?(?: ([23])D)?(?: (\d{1,4}) sat)?"
    r"(?: \((\d{1,6}) s (old|later)\))?",
    re.ASCII,
)
_RECORDING = re.compile(r"  recording ([0-9A-Za-z-]{1,64})/(\d{1,9})(?:  |$)", re.ASCII)
_LAST_S = 253_370_764_800  # 9999: a fix of a little later is a time too
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


@dataclass(frozen=True, kw_only=True, slots=True)
class Located:
    """A position as the line has it: in 1e-5 degrees (north and east positive), accuracy in metres, `2d` or `3d`,
    satellites used, as far as they are said.

    `age_s` is how many seconds before the picture it was fixed, negative behind it; 0 within two seconds.
    """

    lat_e5: int
    lon_e5: int
    accuracy_m: int | None = None
    mode: str | None = None
    satellites: int | None = None
    age_s: int = 0
    is_distrusted: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """What a line says: the second (UTC, since the epoch), device, recording and number of the segment (empty and 0
    where it names none), the position or None, and whether it was taken out of a redacted copy.
    """

    at_s: int
    device: str
    recording: str
    sequence: int
    located: Located | None
    is_removed: bool = False


def parse_line(text: str) -> Line | None:
    """The line in a text sample, or None where it is of another form."""
    first, _, second = text.partition("\n")
    found = _LINE.fullmatch(first)
    at_s = None if found is None else _second(found)
    if found is None or at_s is None:
        return None
    where = found[11].removesuffix("  " + NOT_TRUSTED)
    located = _located(where, is_distrusted=where != found[11])
    if located is None and where not in (UNKNOWN, REMOVED):
        return None
    named = _RECORDING.search(second)
    return Line(
        at_s=at_s,
        device=found[10],
        recording=named[1] if named else "",
        sequence=int(named[2]) if named else 0,
        located=located,
        is_removed=where == REMOVED,
    )


def _second(found: re.Match[str]) -> int | None:
    """Seconds since the epoch: the local time less its distance from UTC; None where there is no such time."""
    try:
        apart = datetime.timedelta(hours=int(found[8]), minutes=int(found[9]))
        zone = datetime.timezone(-apart if found[7] == "-" else apart)
        moment = datetime.datetime(*(int(found[at]) for at in range(1, 7)), tzinfo=zone)  # type: ignore[misc,arg-type]
        at_s = (moment - _EPOCH) // datetime.timedelta(seconds=1)
    except (ValueError, OverflowError):
        return None
    return at_s if 0 <= at_s < _LAST_S else None


def _located(text: str, *, is_distrusted: bool) -> Located | None:
    found = _POSITION.fullmatch(text)
    if found is None:
        return None
    lat, lon = (int(found[at]) * 100_000 + int(found[at + 1]) for at in (1, 4))
    if lat > 90 * 100_000 or lon > 180 * 100_000:
        return None
    age_s = int(found[10] or 0)
    return Located(
        lat_e5=-lat if found[3] == "S" else lat,
        lon_e5=-lon if found[6] == "W" else lon,
        accuracy_m=int(found[7]) if found[7] else None,
        mode=f"{found[8]}d" if found[8] else None,
        satellites=int(found[9]) if found[9] else None,
        age_s=-age_s if found[11] == "later" else age_s,
        is_distrusted=is_distrusted,
    )
