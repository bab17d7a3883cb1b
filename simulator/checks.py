"""Is every second accounted for? Recorded spans and named gaps against the time they should fill.

Pure rules over spans of UTC microseconds, and the one function that collects the spans of a stage: segments at the
centre and still on the device, gaps from the verified custody journals. Storms and the kill tests end with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from simulator.stage import Stage
from sync.central.rows import ItemRow
from sync.central.store import MAX_ROWS, Store
from vedette import spool
from vedette.custody_entry import parse_line
from vedette.custody_tail import journal_files
from vedette.records import Manifest

TOLERANCE_US = 150_000

Span = tuple[int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """What the spans say: total recorded and gap time, holes nobody explains, and times recorded twice."""

    recorded_us: int
    gap_us: int
    unexplained: tuple[Span, ...]
    twice: tuple[Span, ...]


def account(recorded: Iterable[Span], gaps: Iterable[Span], *, tolerance_us: int = TOLERANCE_US) -> Account:
    """Hold recorded spans and gaps against the whole time from the first start to the last end.

    A hole or an overlap of `tolerance_us` or less is rounding between pictures and is not reported.
    """
    recorded, gaps = sorted(recorded), sorted(gaps)
    explained = sorted([*recorded, *gaps])
    return Account(
        recorded_us=_length(recorded),
        gap_us=_length(gaps),
        unexplained=tuple(one for one in _holes(explained) if one[1] - one[0] > tolerance_us),
        twice=tuple(one for one in _overlaps(recorded) if one[1] - one[0] > tolerance_us),
    )


def account_for(stage: Stage) -> Account:
    """The account of a stage's vehicle, with what is at the centre and what is still on the device."""
    manifests = {manifest.item: manifest for manifest in _at_centre(stage)}
    items, _bad = spool.scan(stage.device / "spool")
    manifests.update({item.item_id: item.manifest for item in items if item.kind == "segment"})
    recorded = [(one.started_us, one.ended_us) for one in manifests.values()]
    return account(recorded, _gaps(stage))


def stored_items(store: Store) -> list[ItemRow]:
    """Every item at the centre, page by page."""
    rows = page = store.items(limit=MAX_ROWS)
    while len(page) == MAX_ROWS:
        page = store.items(limit=MAX_ROWS, after=page[-1].item)
        rows = rows + page
    return rows


def _at_centre(stage: Stage) -> list[Manifest]:
    store = Store(stage.central)
    try:
        return [row.manifest for row in stored_items(store) if row.kind == "segment"]
    finally:
        store.close()


def _gaps(stage: Stage) -> list[Span]:
    store = Store(stage.central)
    try:
        lines = store.custody_lines(stage.scene.device, "recorder")
    finally:
        store.close()
    folder = stage.device / "journal" / "recorder"
    for path in journal_files(folder) if folder.is_dir() else []:
        lines += path.read_bytes().split(b"\n")[:-1]
    found = set()
    for line in lines:
        entry = parse_line(line)
        from_us, to_us = entry.detail.get("from_us"), entry.detail.get("to_us")
        if entry.event == "gap" and isinstance(from_us, int) and isinstance(to_us, int):
            found.add((from_us, to_us))
    return sorted(found)


def _length(spans: Sequence[Span]) -> int:
    return sum(to_us - from_us for from_us, to_us in spans)


def _holes(spans: Sequence[Span]) -> list[Span]:
    holes, reached = [], spans[0][0] if spans else 0
    for from_us, to_us in spans:
        if from_us > reached:
            holes.append((reached, from_us))
        reached = max(reached, to_us)
    return holes


def _overlaps(spans: Sequence[Span]) -> list[Span]:
    overlaps, reached = [], spans[0][0] if spans else 0
    for from_us, to_us in spans:
        if from_us < reached:
            overlaps.append((from_us, min(to_us, reached)))
        reached = max(reached, to_us)
    return overlaps
