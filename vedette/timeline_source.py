"""Where a timeline's lines come from: a device's folder, journal folders and files, their sealed copies, bundles.

Decided here: lines are put in the order of their numbers whatever order they are named in; a line that is there twice
is read once; a hole is no error here, for what is missing is to be seen; a line that was changed is one. What is named
and cannot be read is kept to be said. A bundle is read in `timeline_bundles`; a centre adds its rows to the same
`Lines`.
Implements TI-24, TI-25, TI-33, TI-34 and TI-38 of docs/spec/timeline.md.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from vedette import files
from vedette.bundle import LISTING, MAX_JOURNAL_BYTES
from vedette.custody_entry import Entry, parse_line, reread_line
from vedette.custody_tail import HEAD_NAME, MAX_FILE_BYTES, journal_files
from vedette.custody_verify import split_lines, verify_arrived, verify_chain
from vedette.errors import Integrity, NotFound, NotTrusted, Usage, VedetteError
from vedette.keys import PublicKey, SigningKey
from vedette.sealed import Identity, NoMatch, recover
from vedette.timeline_keys import FoundKey, Vouched
from vedette.trust import Trust

CENTRE_FILES = ("central.toml", "store.db")
SIGNING_KEY = Path("keys") / "sign.pem"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Of which device (None: the only one), service and time (UTC in microseconds; None: all of it) lines are wanted,
    and whose word counts.
    """

    device: str | None
    service: str
    from_us: int | None
    to_us: int | None
    trust: Trust | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Unread:
    """Something that is named and could not be read, and why; `item` is the journal's file that it is, if it is one."""

    name: str
    why: VedetteError
    item: str | None = None


@dataclass(slots=True)
class Lines:
    """What is known of devices' journals: lines by device and service (their signatures are *not* checked), the keys
    that could have signed them, the bundles that may tell more, what a centre has of the device's word of its length.

    `arrived` are the journals of which every line is a centre's own row, checked by it one by one when it came.
    `edges` are by device and service the numbers of the first and of the last lines of bundles' stretches, `items` the
    journals' files that bundles brought; `told` are records of heads with the last line that the centre has, `problems`
    what a centre found wrong with a journal.
    """

    entries: dict[tuple[str, str], dict[int, Entry]] = field(default_factory=dict)
    arrived: set[tuple[str, str]] = field(default_factory=set)
    edges: dict[tuple[str, str], tuple[set[int], set[int]]] = field(default_factory=dict)
    keys: list[FoundKey] = field(default_factory=list)
    bundles: list[Path] = field(default_factory=list)
    told: list[tuple[bytes, int]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)
    items: set[str] = field(default_factory=set)

    def add(self, name: str, lines: Sequence[bytes]) -> list[Entry]:
        """Take lines (without newlines); Integrity where one is malformed, or another of its number is here."""
        try:
            entries = [parse_line(line) for line in lines]
        except Integrity as error:
            raise Integrity(f"{name}: {error}") from None
        self.arrived -= {(entry.device, entry.service) for entry in entries}
        self._keep(name, entries)
        return entries

    def add_arrived(self, name: str, device: str, service: str, lines: Iterable[bytes]) -> None:
        """Take a centre's rows of this journal; Integrity where one is none, or of another journal."""
        try:
            entries = [reread_line(line) for line in lines]
        except Integrity as error:
            raise Integrity(f"{name}: {error}") from None
        if any((entry.device, entry.service) != (device, service) for entry in entries):
            raise Integrity(f"{name}: a line of another journal is among its rows")
        if (device, service) not in self.entries:
            self.arrived.add((device, service))
        self._keep(name, entries)

    def _keep(self, name: str, entries: Sequence[Entry]) -> None:
        for entry in entries:
            known = self.entries.setdefault((entry.device, entry.service), {})
            if known.setdefault(entry.seq, entry).line != entry.line:
                raise Integrity(f"{name}: there are two lines with seq {entry.seq} and they differ")

    def add_file(self, name: str, journal: bytes) -> list[Entry]:
        """Take the lines of a whole journal file; Integrity also where its last line is cut."""
        try:
            lines = split_lines(journal)
        except Integrity as error:
            raise Integrity(f"{name}: {error}") from None
        return self.add(name, lines)

    def cannot(self, name: str, why: VedetteError, *, item: str | None = None) -> None:
        """Keep that this could not be read."""
        self.unread.append(Unread(name=name, why=why, item=item))

    def of(self, device: str, service: str) -> list[Entry]:
        """The lines of one journal, in the order of their numbers."""
        known = self.entries.get((device, service), {})
        return [known[seq] for seq in sorted(known)]

    def verified(self, device: str, service: str, key: PublicKey) -> list[Entry]:
        """The lines of one journal, checked; Integrity or NotTrusted names the line that fails."""
        entries = self.of(device, service)
        if (device, service) not in self.arrived:
            return verify_pieces(entries, key)
        verify_arrived(entries, key)
        return entries

    def device(self, asked: str | None, service: str) -> str:
        """Whose shift it is: the device asked for, or the only one that lines of `service` are here of.

        Raises NotFound (or why something was not read) where there is none, Usage where it must be said which.
        """
        found = sorted({device for device, whose in self.entries if whose == service})
        if asked in found:
            return str(asked)
        if asked is None and len(found) == 1:
            return found[0]
        if asked is None and found:
            raise Usage(f"there are lines of {', '.join(found)}: say of which with --device")
        if self.unread:
            raise type(self.unread[0].why)(f"{self.unread[0].name}: {self.unread[0].why}")
        whose = f" of {asked}" if asked else ""
        raise NotFound(f"there is no line of the {service}'s custody journal{whose} in what was named")

    def undisclosed(self, device: str, service: str) -> Collection[int]:
        """The numbers of the lines behind which a bundle's stretch ends and the next one that is here begins another's.

        What lies between was never to be in these bundles: each has the lines of its own item (BU-5).
        """
        begins, ends = self.edges.get((device, service), (set(), set()))
        seqs = sorted(self.entries.get((device, service), {}))
        pairs = itertools.pairwise(seqs)
        return {before for before, after in pairs if after != before + 1 and before in ends and after in begins}


def is_centre(path: Path) -> bool:
    """Whether this is the folder of a central store."""
    return any((path / name).is_file() for name in CENTRE_FILES)


def is_bundle(path: Path) -> bool:
    """Whether this is to be read as a bundle: a zip, or a folder with a listing."""
    return path.suffix.lower() == ".zip" or (path / LISTING).is_file()


def verify_pieces(entries: Sequence[Entry], key: PublicKey) -> list[Entry]:
    """The lines, each piece between holes checked as a chain; Integrity or NotTrusted names the line that fails."""
    piece: list[bytes] = []
    checked: list[Entry] = []
    for index, entry in enumerate(entries):
        if piece and entry.seq != entries[index - 1].seq + 1:
            checked += verify_chain(piece, key)
            piece = []
        piece.append(entry.line)
    return checked + verify_chain(piece, key)


def read_files(path: Path, identities: Sequence[Identity], into: Lines) -> None:
    """Take what lies at `path`, no bundle: a journal's file or its sealed copy, a journal's folder, a device's.

    Raises Integrity where a line is malformed, NotFound where nothing lies there.
    """
    if path.suffix == ".age":
        _sealed_copies([path], identities, into)
    elif path.is_dir():
        _folder(path, identities, into)
    else:
        into.add_file(str(path), files.read(path, max_bytes=MAX_JOURNAL_BYTES))


def _folder(path: Path, identities: Sequence[Identity], into: Lines) -> None:
    """A journal's folder, or a device's: then each service's, and sealed copies of files that the keeper deleted."""
    folders = sorted(one for one in (path / "journal").glob("*") if one.is_dir()) or [path]
    for folder in folders:
        for one in [folder / HEAD_NAME, *journal_files(folder)]:
            if one.exists():
                into.add_file(str(one), files.read(one, max_bytes=MAX_FILE_BYTES))
    if (path / SIGNING_KEY).is_file():
        own = SigningKey.load(path / SIGNING_KEY).public
        into.keys.append(FoundKey(device=None, key=own, vouched=Vouched.DEVICE, name=str(path)))
    if identities and folders != [path]:
        _sealed_copies(sorted((path / "spool" / "custody").glob("*.age")), identities, into)


def _sealed_copies(paths: Iterable[Path], identities: Sequence[Identity], into: Lines) -> None:
    for path in paths:
        try:
            with path.open("rb") as source:
                into.add_file(str(path), opened(str(path), source, identities))
        except NotTrusted as error:
            into.cannot(str(path), error)


def opened(name: str, source: BinaryIO, identities: Sequence[Identity]) -> bytes:
    """What is in a sealed copy; NotTrusted where none of `identities` opens it, Integrity where it is damaged."""
    found = io.BytesIO()
    try:
        recovery = recover(source, identities)
        for piece in recovery:
            found.write(piece)
            if found.tell() > MAX_JOURNAL_BYTES:
                raise Integrity(f"it is over {MAX_JOURNAL_BYTES} bytes")
    except NoMatch:
        how = "--identity does not open it" if identities else "give what opens it with --identity"
        raise NotTrusted(f"it is sealed to other keys: {how}") from None
    except Integrity as error:
        raise Integrity(f"{name}: {error}") from None
    if not recovery.complete:
        raise Integrity(f"{name}: {recovery.fault}")
    return found.getvalue()
