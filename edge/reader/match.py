"""Whether a read is on the watchlist: exactly, now, or not at all (law 4).

A plate of the corps of diplomats is written in a list with its numbers parted, which no camera sees: it equals each
entry of the same sign and digits that can look so (docs/spec/watchlist.md, WL-67).

Pure: no distance, no wildcard, no look-alike, and nothing about a read that matches nothing leaves this function.
"""

from __future__ import annotations

from edge.reader import diplomats
from edge.reader.index import Index
from vedette import plates
from vedette.watchlist import PRIORITIES, WatchEntry


def match(text: str, region: str, index: Index, *, utc_us: int) -> WatchEntry | None:
    """The entry that a consensus read equals at this time, or None.

    Where several sources list the plate: one of the read's own region first, then the most urgent. An expired list
    matches nothing. `Integrity` when the entry found is malformed.
    """
    if index.watchlist.expired(utc_us):
        return None
    try:
        plate = plates.normalise(text, "")
    except plates.PlateError:
        return None
    written = (plate.key, *diplomats.entries_of(plate.key))
    valid = [entry for one in written for entry in index.find(one) if entry.valid_at(utc_us)]
    return min(valid, key=lambda entry: _rank(entry, region), default=None)


def _rank(entry: WatchEntry, region: str) -> tuple[bool, int, str]:
    return (entry.region != region, PRIORITIES.index(entry.priority), entry.entry_id)
