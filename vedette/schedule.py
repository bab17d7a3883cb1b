"""Times of the week, at which recording is on or bulk rests: `mon-fri 06:00-22:00, sat 22:00-04:00`.

Decided here: an entry whose end is not after its begin runs into the next day, and `24:00` is midnight at the end of a
day. The hours are those of the configured time zone, so that a change to summer time moves them. Implements
docs/spec/activation.md, AC-6.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass

from vedette.errors import Usage
from vedette.zones import find_zone

MAX_ENTRIES = 32
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_MIN = 24 * 60
_WEEK_MIN = 7 * _DAY_MIN
_ENTRY = re.compile(r"([a-z]{3})(?:-([a-z]{3}))? ([0-9]{2}):([0-9]{2})-([0-9]{2}):([0-9]{2})")


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """Stretches of the week, in minutes since Monday 00:00 (begin, length), and the zone whose clock they follow."""

    stretches: tuple[tuple[int, int], ...]
    zone: datetime.tzinfo

    def is_on(self, utc_us: int) -> bool:
        """Whether `utc_us` is in one of its stretches."""
        if not self.stretches:
            return False
        moment = datetime.datetime.fromtimestamp(utc_us // 1_000_000, self.zone)
        minute = moment.weekday() * _DAY_MIN + moment.hour * 60 + moment.minute
        return any((minute - begin) % _WEEK_MIN < length for begin, length in self.stretches)


def parse_schedule(text: str, zone: str, *, key: str = "recorder.schedule") -> Schedule:
    """The schedule that `text` spells, empty for an empty one; `Usage` names key, and entry or zone that is none."""
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    if len(entries) > MAX_ENTRIES:
        raise Usage(f"{key} has {len(entries)} entries; at most {MAX_ENTRIES}")
    stretches = tuple(stretch for entry in entries for stretch in _stretches(entry, key))
    return Schedule(stretches=stretches, zone=find_zone(zone))


def _stretches(entry: str, key: str) -> list[tuple[int, int]]:
    found = _ENTRY.fullmatch(entry)
    if found is None or not {found[1], found[2] or found[1]} <= set(DAYS):
        raise Usage(f"{key}: {entry!r} is no entry; write 'mon-fri 06:00-22:00'")
    begin, end = (int(hour) * 60 + int(minute) for hour, minute in ((found[3], found[4]), (found[5], found[6])))
    if begin >= _DAY_MIN or end > _DAY_MIN or int(found[4]) > 59 or int(found[6]) > 59:
        raise Usage(f"{key}: {entry!r} names a time that no day has")
    length = end - begin if end > begin else end - begin + _DAY_MIN
    first, last = DAYS.index(found[1]), DAYS.index(found[2] or found[1])
    return [((first + n) % 7 * _DAY_MIN + begin, length) for n in range((last - first) % 7 + 1)]
