"""What the centre knows of the parts of a recording: those that it has, those that custody names, and how it ended.

Decided here: a part that custody names or whose number is left out between others, and that is not stored, is missing;
the end is known where the device's custody says of something behind the last part that only comes after a recording. A
recording that was kept without an activation is complete when its claim is settled, and what of it was never claimed is
not missing. Implements BU-48 to BU-50 of docs/spec/bundle.md.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sync.central.rows import ItemRow
from sync.central.store import Store
from vedette.bundle_parts import MAX_PARTS, Part, Parts, is_end_known, not_here
from vedette.custody_entry import Entry, parse_line
from vedette.errors import NotFound, Refused

_OVER = ("recording.started", "recording.stopped", "service.started", "service.stopped")
_OPENED, _ENDS, _SETTLED = "segment.opened", ("segment.closed", "segment.recovered"), "ring.settled"
_EVENTS = (_OPENED, *_ENDS, _SETTLED, *_OVER)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Custody:
    """What custody says of a recording: its parts by `sequence`, whether it is over, and whether it was claimed."""

    named: dict[int, Part]
    is_over: bool
    is_claimed: bool


def parts_of(store: Store, row: ItemRow, leaving: Iterable[str]) -> tuple[Parts | None, list[str]]:
    """The centre's word for the bundles of `leaving` (items) of the recording that `row` is of, and sentences that say
    what is not at the centre or does not fit; None where `row` is of no recording, or of one of more than `MAX_PARTS`.
    """
    if row.recording is None or row.kind != "segment":
        return None, []
    stored = [one for one in _stored(store, row.recording) if one.device == row.device]
    custody = _custody(store, stored, row.recording)
    going, parts = set(leaving), dict(custody.named)
    for one in stored:
        parts[one.sequence] = Part(
            item=one.item,
            sequence=one.sequence,
            state="here" if one.item in going else "held",
            from_us=one.started_us,
            to_us=one.ended_us,
        )
    if len(parts) > MAX_PARTS:
        return None, [f"recording {row.recording} has {len(parts)} parts, more than the {MAX_PARTS} that can be listed"]
    in_order = tuple(parts[at] for at in sorted(parts))
    said = Parts(
        device=row.device,
        recording=row.recording,
        first=in_order[0].sequence if custody.is_claimed else 0,
        ended=custody.is_over,
        parts=in_order,
    )
    return said, [*_lacking(said, stored, is_claimed=custody.is_claimed), *_doubled(stored)]


def refuse_incomplete(row: ItemRow, lacking: Sequence[str]) -> None:
    """Refused where something of the recording is not at the centre, with what to do."""
    if lacking:
        raise Refused(
            f"{'; '.join(lacking)}. Nothing was exported. The device may still be sending ("
            f"`vedette evidence missing CENTRAL --device {row.device}`): export again later, or export what is here"
            " with --incomplete, which every bundle and its report then say"
        )


def _stored(store: Store, recording: str) -> list[ItemRow]:
    try:
        return store.segments(recording)
    except NotFound:
        return []


def _lacking(said: Parts, stored: Sequence[ItemRow], *, is_claimed: bool) -> list[str]:
    here = {one.sequence: (one.started_us, one.ended_us) for one in stored}
    skipped = ("unknown",) if is_claimed else ()
    lacking = [run.said(said.recording) for run in not_here(here, [said]) if run.why not in skipped]
    if not is_end_known(here, [said]):
        text = f"whether recording {said.recording} goes on behind part {said.last + 1} is not known: the device's"
        lacking.append(f"{text} custody journal of its end is not here")
    return lacking


def _doubled(stored: Sequence[ItemRow]) -> Iterator[str]:
    """What is wrong where a device gave one number to two items: the bundle of the first does not hold."""
    for one, other in itertools.pairwise(stored):
        if one.sequence == other.sequence:
            which = f"part {one.sequence + 1} of recording {one.recording}"
            yield f"{which} is here 2 times: its device signed items {one.item} and {other.item} as that part"


def _custody(store: Store, stored: Sequence[ItemRow], recording: str) -> _Custody:
    journal = next((one.manifest.journal for one in stored if one.manifest.journal is not None), None)
    if journal is None:
        return _Custody(named={}, is_over=False, is_claimed=False)
    opened: dict[str, Entry] = {}
    ends: dict[str, Entry] = {}
    claim, is_over = None, False
    for entry in _entries(store, stored[0].device, journal.service):
        if entry.event == _OPENED and entry.item is not None and entry.detail.get("recording") == recording:
            opened[entry.item], claim, is_over = entry, entry.detail.get("claim"), False
        elif entry.event in _ENDS and entry.item in opened:
            ends[entry.item or ""] = entry
        elif entry.event in _OVER:
            is_over = is_over or (bool(opened) and claim is None)
        elif entry.event == _SETTLED:
            is_over = is_over or (claim is not None and entry.detail.get("id") == claim)
    parts = [_named(item, entry, ends.get(item)) for item, entry in opened.items()]
    return _Custody(
        named={one.sequence: one for one in parts if one is not None}, is_over=is_over, is_claimed=claim is not None
    )


def _entries(store: Store, device: str, service: str) -> Iterable[Entry]:
    """The lines of custody that say something of recordings; the others are not parsed."""
    marks = [f'"event":"{one}"'.encode() for one in _EVENTS]
    for line in store.custody_lines(device, service):
        if any(mark in line for mark in marks):
            yield parse_line(line)


def _named(item: str, opened: Entry, end: Entry | None) -> Part | None:
    """What custody says of a part; None where the line has no number."""
    sequence, started_us = opened.detail.get("sequence"), opened.detail.get("started_us")
    media_us = end.detail.get("media_us") if end else None
    if not isinstance(sequence, int) or sequence < 0:
        return None
    from_us = started_us if isinstance(started_us, int) and started_us >= 0 else None
    to_us = from_us + media_us if from_us is not None and isinstance(media_us, int) and media_us >= 0 else None
    return Part(item=item, sequence=sequence, state="missing", from_us=from_us, to_us=to_us)
