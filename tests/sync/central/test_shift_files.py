"""Which files of a journal of years a day needs: the same as of all of them, though few are looked at."""

from __future__ import annotations

import sqlite3
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sync.central import shift
from sync.central.shift import MARGIN_US, JournalFile, seqs_of
from vedette.timeline_source import Wanted

HOURS = st.integers(0, 24)
LINES = 10


def store_of(files: list[JournalFile], others: int) -> Any:
    """A store that has these files of the recorder's, and as many of `others`, whose lines are not believed."""
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE items (device, kind, item, sequence, started_us, stored_us)")
    db.execute("CREATE TABLE custody_lines (device, service, seq, item)")
    for number, one in enumerate(files):
        row = [str(number), one.first_seq, one.started_us, one.stored_us]
        db.execute("INSERT INTO items VALUES ('car-1', 'custody', ?, ?, ?, ?)", row)
        db.execute("INSERT INTO custody_lines VALUES ('car-1', 'recorder', ?, ?)", [one.first_seq, str(number)])
    for seq in range(others):
        db.execute("INSERT INTO items VALUES ('car-1', 'custody', 'other', ?, 0, 0)", [seq * LINES + 1])
    return SimpleNamespace(db=db)


@given(
    hours=st.lists(st.tuples(HOURS, HOURS), max_size=12),
    begin=st.none() | HOURS,
    end=st.none() | HOURS,
    others=st.integers(0, 3),
)
def test_lines_are_those_that_all_files_would_give(
    hours: list[tuple[int, int]], begin: int | None, end: int | None, others: int
) -> None:
    """TI-36: whatever the clocks said."""
    files = [JournalFile(1 + LINES * at, *(one * MARGIN_US for one in times)) for at, times in enumerate(hours)]
    span = begin and begin * MARGIN_US, end and end * MARGIN_US
    wanted = Wanted(device="car-1", service="recorder", from_us=span[0], to_us=span[1], trust=None)
    looked_at = shift._files(store_of(files, others), "car-1", "recorder", wanted)
    assert seqs_of(looked_at, *span) == seqs_of(files, *span)
