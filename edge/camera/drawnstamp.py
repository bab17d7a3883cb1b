"""What is drawn over a picture before it is coded: date, time, zone, device, position, recording and a text.

Decided here: its words, how they fall into lines, and in which form a camera's process is told of what only the
recorder knows. A camera adds the time of each picture by itself, so a recorder that is held up makes no picture lie:
the position grows old by the same rule as in the line beside the pictures (`edge.recorder.stamp`). Only letters that
every font has. Implements SG-22, SG-23 and SG-25 of docs/spec/segment.md. Nothing but Python's own library is imported:
`pipeline_child` runs where no other is.
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

STALE_US = 2_000_000
MAX_AGE_US = 60_000_000
READ_BYTES = 1 << 16
UNKNOWN = "position unknown"
NOT_TRUSTED = "GNSS time not trusted"
APART = "  "


@dataclass(frozen=True, kw_only=True, slots=True)
class StampFacts:
    """What a camera does not know by itself.

    `ahead_us` is UTC less the monotonic clock, `zone_s` the zone's distance from UTC in seconds; `recording` is the id
    of the recording, empty where none runs; `place` the position without its age, empty where it is not known,
    `fixed_us` (UTC) from when it is, and `is_distrusted` that it came with a time that is not believed.
    """

    device: str
    ahead_us: int
    zone_s: int
    recording: str = ""
    place: str = ""
    fixed_us: int = 0
    is_distrusted: bool = False

    def to_line(self) -> bytes:
        """The facts as a line of JSON, for a process."""
        return json.dumps(asdict(self)).encode() + b"\n"


class ToldPipe:
    """The end of a pipe at which a camera's process is told: one line on what it is to do, then facts."""

    def __init__(self, pipe: int) -> None:
        self._pipe, self._held = pipe, b""

    def first(self) -> Any:
        """What the first line says (JSON), waited for; raises EOFError where none comes. From then on nothing waits."""
        while b"\n" not in self._held:
            data = os.read(self._pipe, READ_BYTES)
            if not data:
                raise EOFError
            self._held += data
        line, _, self._held = self._held.partition(b"\n")
        os.set_blocking(self._pipe, False)
        return json.loads(line)

    def newest(self) -> StampFacts | None:
        """The newest facts that have come since it was last asked, None where none have."""
        with suppress(BlockingIOError):
            self._held += os.read(self._pipe, READ_BYTES)
        *whole, self._held = self._held.split(b"\n")
        return StampFacts(**json.loads(whole[-1])) if whole else None


def drawn_lines(facts: StampFacts, text: str, *, utc_us: int, fits: Callable[[str], bool]) -> list[str]:
    """The lines for a picture taken at `utc_us`; as many words of it in each as `fits` says, one at least."""
    zone = datetime.timezone(datetime.timedelta(seconds=facts.zone_s))
    recording = f"recording {facts.recording}" if facts.recording else ""
    lines: list[str] = []
    for one in (time_text(utc_us, zone), facts.device, *_place(facts, utc_us), recording, text):
        if one and lines and fits(lines[-1] + APART + one):
            lines[-1] += APART + one
        elif one:
            lines.append(one)
    return lines


def time_text(at_us: int, zone: datetime.tzinfo) -> str:
    """`2026-11-25 23:06:42 UTC+01:00`: the second that `at_us` lies in."""
    moment = datetime.datetime.fromtimestamp(at_us // 1_000_000, zone)
    offset = moment.strftime("%z")
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC{offset[:3]}:{offset[3:5]}"


def age_text(apart_us: int) -> str:
    """` (12 s old)`: how far a fix is before the picture, or ` (12 s later)` behind it; empty up to two seconds."""
    if abs(apart_us) <= STALE_US:
        return ""
    return f" ({abs(apart_us) // 1_000_000} s {'old' if apart_us > 0 else 'later'})"


def _place(facts: StampFacts, utc_us: int) -> tuple[str, str]:
    apart_us = utc_us - facts.fixed_us
    if not facts.place or abs(apart_us) > MAX_AGE_US:
        return UNKNOWN, ""
    return facts.place.replace("±", "+-") + age_text(apart_us), NOT_TRUSTED if facts.is_distrusted else ""
