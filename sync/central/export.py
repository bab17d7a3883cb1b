"""Makes bundles of stored items: what leaves the centre for a court, with everything needed to check it.

Decided here: where each part of a bundle comes from at the centre, that an opened file is never written to a temporary
file (it passes through memory), that every export is recorded with its reason, and that a recording of which something
is not here leaves only when that is asked for. The form is vedette.bundle, the report and the verifiers beside the
signed parts are vedette.bundle_companions.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sync.central.held_heads import heads_of
from sync.central.parts import parts_of, refuse_incomplete
from sync.central.redacted import RedactedCopy, copies_of
from sync.central.rows import ItemRow
from sync.central.store import Store
from vedette import bundle, bundle_parts, config
from vedette.bundle_companions import with_companions
from vedette.bundle_parts import Parts
from vedette.custody_entry import parse_line
from vedette.errors import NotFound, Refused
from vedette.fragment_marks import to_key_file
from vedette.keys import SigningKey
from vedette.sealed import Identity, SealedReader, fragments_key_of, recover

_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What goes into a bundle: the opened file when there are `identities`, the sealed one when `with_sealed`, and a
    redacted copy (the MP4, with its record and plan beside it, or the folder of a recording's) where one is named;
    beside such a copy the original may stay out (BU-51).
    `incomplete` allows a recording of which not every part is at the centre.
    """

    identities: Sequence[Identity]
    with_sealed: bool
    reason: str
    redacted: Path | None = None
    incomplete: bool = False


def export(store: Store, subject: str, output: Path, wanted: Wanted, *, user: str) -> list[tuple[Path, str]]:
    """Make the bundle of item `subject` at `output`, or a zip for each segment of a recording in the folder `output`.

    Returns (path, what a person should know about it). `NotFound` when `subject` is neither, `Refused` when `output` is
    there already, nothing would be in the bundle, the redacted copies are not those of all segments, or something of
    the recording is not at the centre: then no bundle is made.
    """
    rows = _items(store, subject)
    said, lacking = parts_of(store, rows[0], [row.item for row in rows])
    if rows[0].item != subject and not wanted.incomplete:
        refuse_incomplete(rows[0], lacking)
    copies = copies_of(wanted.redacted, rows) if wanted.redacted is not None else {}
    for item, copy in copies.items():
        copy.check(store.manifest(item))
    if len(rows) == 1:
        places = [output]
    else:
        if output.suffix == ".zip":
            raise Refused(f"recording {subject} has {len(rows)} segments; name a folder, each gets a zip in it")
        output.mkdir(exist_ok=False)
        places = [output / f"{row.sequence + 1:04d}-{row.item}.zip" for row in rows]
    made: list[tuple[Path, str]] = []
    exporting = _Export(
        store=store,
        wanted=wanted,
        user=user,
        signer=SigningKey.load(config.load_central(store.folder / "central.toml").keys / "centre.pem"),
        parts=said,
        notes=lacking,
    )
    try:
        for row, place in zip(rows, places, strict=True):
            store.note_access(user, "export", row.item, wanted.reason)
            made.append((place, _export_one(exporting, row, place, copies.get(row.item))))
    finally:
        if not made and len(rows) > 1:
            output.rmdir()
    return made


def _items(store: Store, subject: str) -> list[ItemRow]:
    try:
        return [store.item(subject)]
    except NotFound:
        pass
    try:
        return store.segments(subject)
    except NotFound:
        raise NotFound(f"the centre has no item and no recording {subject[:64]!r}") from None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Export:
    """What the bundles of one export have in common: `parts` is the centre's word of which parts leave together, and
    `notes` say what of the recording is not here.
    """

    store: Store
    wanted: Wanted
    user: str
    signer: SigningKey
    parts: Parts | None
    notes: Sequence[str]


def _export_one(exporting: _Export, row: ItemRow, place: Path, copy: RedactedCopy | None) -> str:
    store, wanted, signer, said = exporting.store, exporting.wanted, exporting.signer, exporting.parts
    journal = _journal(store, row)
    with _opened(store, row, wanted.identities) as opened, _sealed(store, row, wanted) as sealed:
        parts = bundle.BundleParts(
            manifest=store.manifest(row.item),
            receipt=store.receipt(row.item),
            proof=store.proof(row.item),
            journal=journal,
            enrolment=store.enrolment(row.device),
            log_origin=config.load_central(store.folder / "central.toml").central.origin,
            signer=signer,
            made_us=store.clock.utc_us(),
            sealed=sealed,
            opened=opened,
            heads=heads_of(store, row, signer),
            recording_parts=said.sign(signer) if said is not None else None,
            marks=_marks(store, row, wanted.identities, journal),
            note=wanted.reason,
            companions=copy.companions if copy is not None else {},
        )
        bundle.make(place, with_companions(parts, exported_by=exporting.user))
    return "; ".join(_notes(exporting, row, has_journal=bool(journal)))


def _notes(exporting: _Export, row: ItemRow, *, has_journal: bool) -> Iterator[str]:
    """What a person should know about the bundle of this item."""
    said = exporting.parts
    if said is not None and (len(said.parts) > 1 or exporting.notes):
        yield f"{bundle_parts.place(row.sequence, said)} of recording {said.recording}"
    yield from exporting.notes
    if not has_journal and row.kind != "custody":  # no line names a file of the journal itself
        yield "the device's custody journal of this item has not arrived yet; export again later"


def _journal(store: Store, row: ItemRow) -> list[bytes]:
    if row.manifest.journal is None:
        return []
    return bundle.journal_of(store.custody_lines(row.device, row.manifest.journal.service), row.item)


def _marks(store: Store, row: ItemRow, identities: Sequence[Identity], journal: Sequence[bytes]) -> bytes | None:
    """The key to the marks of the opened file's fragments, where that leaves and the device signed any (BU-54)."""
    lines = [parse_line(line) for line in journal]
    if not identities or not any(one.item == row.item and "fragments" in one.detail for one in lines):
        return None
    with store.blobs.open(row.sealed_sha256) as source:
        return to_key_file(row.item, fragments_key_of(source, identities))


@contextmanager
def _sealed(store: Store, row: ItemRow, wanted: Wanted) -> Iterator[Path | None]:
    """A path that reads as the sealed file while the block lasts."""
    if not wanted.with_sealed:
        yield None
        return
    with store.blobs.local(row.sealed_sha256) as path:
        yield path


@contextmanager
def _opened(store: Store, row: ItemRow, identities: Sequence[Identity]) -> Iterator[Path | None]:
    """A path that reads as the opened file while the block lasts; it lies in memory and has no name."""
    if not identities:
        yield None
        return
    descriptor = os.memfd_create("opened", os.MFD_CLOEXEC)
    try:
        with store.blobs.open(row.sealed_sha256) as source, os.fdopen(os.dup(descriptor), "wb") as sink:
            for piece in _pieces(source, identities, complete=row.complete):
                sink.write(piece)
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _pieces(source: BinaryIO, identities: Sequence[Identity], *, complete: bool) -> Iterator[bytes]:
    """The plain bytes; of a recording that was cut, every whole chunk up to the cut."""
    if not complete:
        yield from recover(source, identities)
        return
    reader = SealedReader(source, identities)
    while piece := reader.read(_PIECE_BYTES):
        yield piece
