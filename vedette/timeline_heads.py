"""Up to where a device had signed for its journal, beside the timeline that its lines draw.

Decided here: heads come from the bundles that are named and from files of heads; a line that is another than the one
that was signed for draws nothing; time behind the last line for which the device had signed, and of which nobody has
the lines, is drawn as unexplained up to when it signed. Implements TI-29 and TI-30 of docs/spec/timeline.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vedette import canonical, files
from vedette.bundle import KEYS, MAX_KEYS_BYTES, Keys, Listing, file_names
from vedette.bundle_heads import HELD_HEADS, HeldHeads, open_held
from vedette.bundle_source import open_source
from vedette.custody_entry import Entry
from vedette.custody_heads import Head, open_heads
from vedette.errors import Integrity
from vedette.keys import PublicKey
from vedette.records import MAX_RECORD_BYTES
from vedette.timeline import Note, Overlay, State, Stretch, Timeline, joined
from vedette.timeline_axis import Axis


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """A head that the device had signed at `told_us` (UTC in microseconds, its own clock), and the last line that the
    centre had of that journal when it wrote that down; None where nobody says.
    """

    head: Head
    told_us: int
    held_to: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """Whose heads count: of this device and service, signed by `device_key`; the centre's word by `centre`, where one
    is trusted, else by the key inside the bundle.
    """

    device: str
    service: str
    device_key: PublicKey
    centre: PublicKey | None


def read_heads(
    bundles: Iterable[Path], heads: Iterable[Path], asked: Asked, told: Iterable[tuple[bytes, int]] = ()
) -> list[Told]:
    """What bundles say, the files `heads`, and records in a centre's store (`told`, each with the last line that is
    there); raises Integrity or NotTrusted where one does not hold.
    """
    found: list[Told] = []
    for record, inside in [
        *_of_bundles(bundles, asked.device),
        *((files.read(one, max_bytes=MAX_RECORD_BYTES), None) for one in heads),
    ]:
        found += _told(record, inside, asked)
    for record, held_to in told:
        found += (replace(one, held_to=held_to) for one in _told(record, None, asked))
    return found


def with_heads(timeline: Timeline, entries: Sequence[Entry], told: Sequence[Told]) -> Timeline:
    """The timeline with what was signed for beside it; `entries` are the verified lines that it was read from.

    Raises Integrity where a line is not the one that the device had signed for.
    """
    here = {one.seq: index for index, one in enumerate(entries)}
    for one in told:
        index = here.get(one.head.seq)
        if index is not None and (entries[index].sha256, entries[index].boot) != (one.head.head, one.head.boot):
            raise Integrity(
                f"line {one.head.seq} is not the one that the device signed for: lines were cut or replaced"
            )
    if not told:
        return timeline
    axis, last = Axis(entries), len(entries) - 1
    furthest = max(told, key=lambda one: (one.head.seq, one.told_us))
    if furthest.head.seq <= entries[-1].seq:
        behind = (index for index, one in enumerate(entries) if one.seq <= furthest.head.seq)
        at_us = axis.at(max(behind, default=0))
        note = Note(at_us=at_us, kind="signed_to", value=str(furthest.head.seq))
        return _marked(timeline, max(at_us, timeline.from_us), note)
    told_us = max(timeline.to_us, furthest.told_us + axis.at(last) - entries[-1].utc_us)
    held_to = max((one.held_to for one in told if one.held_to is not None), default=None)
    first = max(entries[-1].seq, held_to or 0) + 1
    if first > furthest.head.seq:
        value = f"{entries[-1].seq + 1}–{furthest.head.seq}"
        return _marked(timeline, timeline.to_us, Note(at_us=timeline.to_us, kind="signed_elsewhere", value=value))
    kind = "signed_not_here" if held_to is None else "signed_not_come"
    note = Note(at_us=timeline.to_us, kind=kind, value=f"{first}–{furthest.head.seq}")
    return _marked(_owed(timeline, told_us), told_us, note)


def _owed(timeline: Timeline, to_us: int) -> Timeline:
    """The timeline with the time of lines that were signed for and are nowhere behind it."""
    owed = Stretch(from_us=timeline.to_us, to_us=to_us, state=State.UNKNOWN, why="signed_missing")
    stretches = (*timeline.stretches, owed) if owed.length_us > 0 else timeline.stretches
    return replace(timeline, to_us=to_us, is_stopped=False, stretches=joined(stretches))


def _marked(timeline: Timeline, to_us: int, note: Note) -> Timeline:
    row = Overlay(row="signed", from_us=timeline.from_us, to_us=to_us, label="")
    notes = sorted([*timeline.notes, note], key=lambda one: one.at_us)
    return replace(timeline, overlays=(*timeline.overlays, row), notes=tuple(notes))


def _told(record: bytes, inside: PublicKey | None, asked: Asked) -> Iterator[Told]:
    """The heads of that journal in the centre's word or in one record of the device's own."""
    body = canonical.loads(record, max_bytes=MAX_RECORD_BYTES)
    held: HeldHeads | None = None
    if isinstance(body, dict) and body.get("kind") == HELD_HEADS:
        held = open_held(record, asked.centre or inside)
    held_to = None
    if held is not None and held.service == asked.service:
        held_to = held.held[0] if held.held else 0
    for one in held.records if held is not None else (record,):
        told = open_heads(one, asked.device, asked.device_key)
        mine = (head for head in told.heads if head.service == asked.service)
        yield from (Told(head=head, told_us=told.told_us, held_to=held_to) for head in mine)


def _of_bundles(bundles: Iterable[Path], device: str) -> Iterator[tuple[bytes, PublicKey]]:
    for path in bundles:
        with open_source(path) as source:
            listing = Listing.peek(source.record)
            name = file_names(listing.item, listing.kind)["heads"]
            if listing.device != device or name not in {one.name for one in listing.files}:
                continue
            with source.open(KEYS) as file:
                centre = Keys.from_bytes(file.read(MAX_KEYS_BYTES + 1)).centre
            with source.open(name) as file:
                yield file.read(MAX_RECORD_BYTES + 1), centre
