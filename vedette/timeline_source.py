"""Where a timeline's lines come from: a device's folder, journal folders and files, their sealed copies, a bundle.

Decided here: lines are put in the order of their numbers whatever order they are named in; a line that is there twice
is read once; a hole is no error here, for what is missing is to be seen; a line that was changed is one.
Implements TI-24 and TI-25 of docs/spec/timeline.md.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from vedette import files
from vedette.bundle import JOURNAL, LISTING, MAX_JOURNAL_BYTES
from vedette.bundle_source import open_source
from vedette.custody_entry import Entry, parse_line
from vedette.custody_tail import HEAD_NAME, MAX_FILE_BYTES, journal_files
from vedette.custody_verify import split_lines, verify_chain
from vedette.errors import Integrity, NotFound, NotTrusted
from vedette.keys import PublicKey
from vedette.sealed import Identity, NoMatch, recover


def read_lines(paths: Iterable[Path], identities: Sequence[Identity], *, service: str) -> list[Entry]:
    """The lines of `service` in what is named, in the order of their numbers; their signatures are *not* checked.

    Raises NotFound where there is none, Integrity where two differ that have one number or one is malformed.
    """
    found: dict[int, Entry] = {}
    for name, journal in _journals(paths, identities, service):
        try:
            entries = [parse_line(line) for line in split_lines(journal)]
        except Integrity as error:
            raise Integrity(f"{name}: {error}") from None
        for entry in entries:
            if entry.service == service and found.setdefault(entry.seq, entry).line != entry.line:
                raise Integrity(f"{name}: there are two lines with seq {entry.seq} and they differ")
    if not found:
        raise NotFound(f"there is no line of the {service}'s custody journal in what was named")
    return [found[seq] for seq in sorted(found)]


def verify_pieces(entries: Sequence[Entry], key: PublicKey) -> list[Entry]:
    """The lines, each piece between holes checked as a chain; Integrity or NotTrusted names the line that fails."""
    piece: list[bytes] = []
    checked: list[Entry] = []
    for index, entry in enumerate(entries):
        if piece and entry.seq != entries[index - 1].seq + 1:
            checked += verify_chain(piece, key)
            piece = []
        piece.append(entry.line)
    checked += verify_chain(piece, key)
    if len({(one.device, one.service) for one in checked}) > 1:
        raise Integrity("the lines are of more than one device")
    return checked


def _journals(paths: Iterable[Path], identities: Sequence[Identity], service: str) -> Iterator[tuple[str, bytes]]:
    for path in paths:
        if path.suffix == ".age":
            yield str(path), _opened(path, identities)
        elif path.suffix.lower() == ".zip" or (path / LISTING).is_file():
            with open_source(path) as source, source.open(JOURNAL) as file:
                yield f"{path}: {JOURNAL}", _bounded(file, MAX_JOURNAL_BYTES)
        elif path.is_dir():
            yield from _of_folder(path, identities, service)
        else:
            yield str(path), files.read(path, max_bytes=MAX_JOURNAL_BYTES)


def _of_folder(path: Path, identities: Sequence[Identity], service: str) -> Iterator[tuple[str, bytes]]:
    """A journal's folder, or a device's: then its sealed copies too, for files that the keeper has deleted."""
    folder = path / "journal" / service
    if not folder.is_dir():
        folder = path
    for one in [folder / HEAD_NAME, *journal_files(folder)]:
        if one.exists():
            yield str(one), files.read(one, max_bytes=MAX_FILE_BYTES)
    if identities and folder != path:
        for one in sorted((path / "spool" / "custody").glob("*.age")):
            yield str(one), _opened(one, identities)


def _opened(path: Path, identities: Sequence[Identity]) -> bytes:
    with path.open("rb") as source:
        try:
            recovery = recover(source, identities)
            opened = io.BytesIO()
            for piece in recovery:
                opened.write(piece)
                if opened.tell() > MAX_JOURNAL_BYTES:
                    raise Integrity(f"it is over {MAX_JOURNAL_BYTES} bytes")
        except NoMatch:
            raise NotTrusted(f"{path} is sealed to other keys: --identity does not open it") from None
        except Integrity as error:
            raise Integrity(f"{path}: {error}") from None
    if not recovery.complete:
        raise Integrity(f"{path}: {recovery.fault}")
    return opened.getvalue()


def _bounded(file: BinaryIO, most: int) -> bytes:
    journal = file.read(most + 1)
    if len(journal) > most:
        raise Integrity(f"{JOURNAL} is over {most} bytes")
    return journal
