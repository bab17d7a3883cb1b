"""A device's day as the page of a shift shows it, drawn once for the page and its picture.

Decided here: a day is that of the centre's own time zone, and is shown as far as lines or the device's signature reach;
one account is made at a time, so that nobody's look at shifts takes the machine from what comes in; the last few are
kept, each under the hash of all that it was made from. Implements TI-41 and TI-42 of docs/spec/timeline.md.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo

from sync.central.shift import Rows, rows_of
from sync.central.store import Store
from vedette.errors import NotFound
from vedette.timeline import Timeline
from vedette.timeline_account import RECORDER, account
from vedette.timeline_source import Lines, Wanted

KEPT = 4
MAX_LINES = 200_000
_SECOND_US = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Day:
    """What the lines say of a device's day; `key` is the id of the key that all of them were verified with."""

    timeline: Timeline
    key: str
    zone: tzinfo


class Days:
    """The days of this centre's devices."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._kept: dict[tuple[object, ...], Day | None] = {}

    def of(self, device: str, day: date) -> Day | None:
        """That day of the device, None where no line of it is here; NotFound for an unknown device, Refused where it
        has more than MAX_LINES lines.
        """
        begin, end = (_midnight(one) for one in (day, day + timedelta(days=1)))
        from_us, to_us = (round(one.timestamp()) * _SECOND_US for one in (begin, end))
        wanted = Wanted(device=device, service=RECORDER, from_us=from_us, to_us=to_us, trust=None)
        with self._lock:
            rows = rows_of(self._store, wanted, MAX_LINES)
            name = (device, day, rows.sha256)
            if name not in self._kept:
                self._kept[name] = _drawn(rows, begin, (from_us, to_us))
                while len(self._kept) > KEPT:
                    self._kept.pop(next(iter(self._kept)))
            return self._kept[name]


def _drawn(rows: Rows, begin: datetime, span: tuple[int, int]) -> Day | None:
    """The day that begins at `begin`, from these rows."""
    lines = Lines()
    rows.add_to(lines)
    try:
        shift = account(lines, device=rows.device)
    except NotFound:
        return None
    whole, (from_us, to_us) = shift.timeline, span
    if lines.of(rows.device, RECORDER)[0].seq == 1:
        from_us = max(from_us, whole.from_us)
    to_us = min(to_us, whole.to_us)
    if to_us <= from_us:
        return None
    zone = begin.tzinfo
    assert zone is not None
    return Day(timeline=whole.between(from_us, to_us), key=shift.key.key.key_id, zone=zone)


def _midnight(day: date) -> datetime:
    """The day's first moment in the centre's own time zone."""
    return datetime(day.year, day.month, day.day).astimezone()
