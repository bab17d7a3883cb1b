"""A device's day as the page of a shift shows it, drawn once for the page and its picture.

Decided here: a day is that of the centre's own time zone, and is shown as far as lines or the device's signature reach;
one account is made at a time, so that nobody's look at shifts takes the machine from what comes in; the last few are
kept while nothing new has come. Implements TI-41 and TI-42 of docs/spec/timeline.md.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo

from sync.central.shift import take
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
        self._store.device(device)
        with self._lock:
            name = (device, day, *self._revision(device))
            if name not in self._kept:
                made = self._make(device, day)
                self._kept[name] = made
                while len(self._kept) > KEPT:
                    self._kept.pop(next(iter(self._kept)))
            return self._kept[name]

    def _revision(self, device: str) -> tuple[object, ...]:
        """What changes when anything comes that an account of this device is made of."""
        lines = "SELECT coalesce(sum(seq), 0) FROM chains WHERE device = ?"
        heads = "SELECT max(told_us) FROM told_heads WHERE device = ?"
        return tuple(self._store.db.execute(sql, [device]).fetchone()[0] for sql in (lines, heads))

    def _make(self, device: str, day: date) -> Day | None:
        begin, end = (_midnight(one) for one in (day, day + timedelta(days=1)))
        from_us, to_us = (round(one.timestamp()) * _SECOND_US for one in (begin, end))
        lines = Lines()
        wanted = Wanted(device=device, service=RECORDER, from_us=from_us, to_us=to_us, trust=None)
        take(self._store, wanted, lines, most=MAX_LINES)
        try:
            shift = account(lines, device=device)
        except NotFound:
            return None
        whole = shift.timeline
        if lines.of(device, RECORDER)[0].seq == 1:
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
