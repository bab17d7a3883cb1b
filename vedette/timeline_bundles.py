"""What a bundle says of its device's shift: the stretch of a journal that is in it, a whole journal's file where that
is its item, and the device's key.

Decided here: which files of a bundle are read, and that a bundle without a line of a journal is said and no error. The
lines are signed by the device and need nobody else's word; the whole bundle is for `vedette evidence verify` to check.
Implements TI-24, TI-31, TI-33 and TI-38 of docs/spec/timeline.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from vedette.bundle import JOURNAL, KEYS, MAX_JOURNAL_BYTES, MAX_KEYS_BYTES, Keys, Listing, file_names
from vedette.bundle_folder import bundles_in
from vedette.bundle_source import Source, open_source
from vedette.custody_entry import Entry
from vedette.errors import Integrity, NotFound, NotTrusted
from vedette.sealed import Identity
from vedette.timeline_keys import key_in
from vedette.timeline_source import Lines, is_bundle, opened
from vedette.trust import Trust


def bundles_at(path: Path) -> list[Path]:
    """The bundles at `path`: itself, or those that lie in it as an export leaves them; none where it is neither."""
    return [path] if is_bundle(path) else bundles_in(path)


def read_bundle(path: Path, trust: Trust | None, identities: Sequence[Identity], into: Lines) -> None:
    """Take a bundle's lines and its device's key.

    Raises Integrity where it cannot be read, NotTrusted where its key is not vouched for as `key_in` says.
    """
    with open_source(path) as source:
        listing = Listing.peek(source.record)
        with source.open(KEYS) as file:
            keys = Keys.from_bytes(file.read(MAX_KEYS_BYTES + 1))
        into.keys.append(key_in(f"{path}: {KEYS}", keys, trust, device=listing.device))
        into.bundles.append(path)
        with source.open(JOURNAL) as file:
            stretch = into.add_file(f"{path}: {JOURNAL}", _bounded(JOURNAL, file))
        _note_edges(stretch, listing.item, into)
        if listing.kind == "custody":
            _whole_file(path, source, listing, identities, into)
        elif not stretch:
            into.cannot(str(path), NotFound("no line of its item's journal was at the centre when it was made"))


def _note_edges(stretch: Sequence[Entry], item: str, into: Lines) -> None:
    """Where a stretch begins and ends with a line of the bundle's item: what is beyond was never to be in it."""
    for place, entry in ((0, stretch[0]), (1, stretch[-1])) if stretch else ():
        if entry.item == item:
            into.edges.setdefault((entry.device, entry.service), (set(), set()))[place].add(entry.seq)


def _whole_file(path: Path, source: Source, listing: Listing, identities: Sequence[Identity], into: Lines) -> None:
    """The journal's file that the bundle is of: the opened one where it is there, else the sealed one."""
    names, listed = file_names(listing.item, listing.kind), {one.name for one in listing.files}
    what = "opened" if names["opened"] in listed else "sealed"
    name = f"{path}: {names[what]}"
    with source.open(names[what]) as file:
        try:
            journal = _bounded(name, file) if what == "opened" else opened(name, file, identities)
        except NotTrusted as error:
            into.cannot(str(path), error, item=listing.item)
            return
    into.add_file(name, journal)
    into.items.add(listing.item)


def _bounded(name: str, file: BinaryIO) -> bytes:
    journal = file.read(MAX_JOURNAL_BYTES + 1)
    if len(journal) > MAX_JOURNAL_BYTES:
        raise Integrity(f"{name} is over {MAX_JOURNAL_BYTES} bytes")
    return journal
