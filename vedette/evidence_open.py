"""Opens a sealed item for whoever holds a key that it is sealed to: the whole, what is whole of a cut one, or a range.

Decided here: a range is named as in HTTP (`first-last`, both bytes included, `first-` to the end) and opens only the
chunks that it touches (SF-16); nothing is given out that was not authenticated in its place; the sealed file may lie by
itself or in a bundle. The keys are `vedette.sealed`'s, what is printed is `vedette.evidence_cli`'s.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vedette.bundle import LISTING, Listing, file_names
from vedette.bundle_source import open_source
from vedette.errors import Integrity, NotFound, NotTrusted, Refused, Usage
from vedette.sealed import Identity, NoMatch, Recovery, SealedReader, recover

PIECE_BYTES = 1 << 20
_RANGE = re.compile(r"^([0-9]{1,15})-([0-9]{0,15})$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """Bytes of an item's content, from `first` to `last`, both included; `last` is None for the end."""

    first: int
    last: int | None

    @classmethod
    def parse(cls, text: str) -> Range:
        """The range in `A-B` or `A-`; raises Usage."""
        found = _RANGE.fullmatch(text)
        if found is None:
            raise Usage(f"--range is {text[:40]!r}; it must be A-B or A-, in bytes of the content, as in 0-65535")
        first, last = int(found[1]), int(found[2]) if found[2] else None
        if last is not None and last < first:
            raise Usage(f"--range is {text}: it ends before it begins")
        return cls(first=first, last=last)


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """What was given out: how many bytes with which SHA-256 (hex), the content's size where it is known, and whether
    the sealed file was whole as far as it was looked at (`fault` says what is not).
    """

    size: int
    sha256: str
    content_size: int | None
    complete: bool
    fault: str | None


def open_whole(path: Path, identities: Sequence[Identity], sink: BinaryIO, *, may_be_cut: bool) -> Opened:
    """Write the content of the item at `path` to `sink`; with `may_be_cut` what is whole of one that was cut.

    Raises NotFound or Refused (no such file), NotTrusted (sealed to other keys) or Integrity; what was written to
    `sink` before an error is authentic but not all, and is the caller's to remove.
    """
    with sealed_file(path) as source:
        recovery = _start(path, source, identities)
        digest = hashlib.sha256()
        for piece in recovery:
            sink.write(piece)
            digest.update(piece)
        if not recovery.complete and not (may_be_cut and recovery.plain_bytes):
            raise Integrity(f"{path}: {recovery.fault}; nothing was written, {_rest(recovery)}")
    return Opened(
        size=recovery.plain_bytes,
        sha256=digest.hexdigest(),
        content_size=recovery.plain_bytes if recovery.complete else None,
        complete=recovery.complete,
        fault=recovery.fault,
    )


def open_range(path: Path, identities: Sequence[Identity], sink: BinaryIO, wanted: Range) -> Opened:
    """Write a range of the content of the item at `path` to `sink`, cut at the content's end as in HTTP.

    Opens the last chunk (which shows that the file was not cut) and those that the range touches, no others. Raises as
    `open_whole`, and Refused where the range begins behind the content's end.
    """
    with sealed_file(path) as source:
        try:
            pieces = read_range(source, identities, wanted)
            size, digest = 0, hashlib.sha256()
            for piece in pieces.pieces:
                sink.write(piece)
                digest.update(piece)
                size += len(piece)
        except NoMatch:
            raise _not_ours(path) from None
        except (Integrity, Refused) as error:
            raise type(error)(f"{path}: {error}") from None
    return Opened(size=size, sha256=digest.hexdigest(), content_size=pieces.content_size, complete=True, fault=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pieces:
    """A range's bytes as they are asked for, and the size of the whole content in bytes."""

    pieces: Iterator[bytes]
    content_size: int


def read_range(source: BinaryIO, identities: Sequence[Identity], wanted: Range) -> Pieces:
    """The range of a sealed file (seekable, at its start); Refused where it begins behind the end, else as
    `SealedReader`.
    """
    reader = SealedReader(source, identities)
    if wanted.first >= reader.size:
        raise Refused(f"the content has {reader.size} bytes; a range that begins at byte {wanted.first} is not in it")
    last = reader.size - 1 if wanted.last is None else min(wanted.last, reader.size - 1)
    return Pieces(pieces=_between(reader, wanted.first, last + 1), content_size=reader.size)


@contextlib.contextmanager
def sealed_file(path: Path) -> Iterator[BinaryIO]:
    """The sealed file at `path`, which may be the item's own file or a bundle (a folder or .zip) that holds it.

    Raises NotFound, Refused, or Integrity where a bundle has no sealed file.
    """
    if (path / LISTING).is_file() or path.suffix.lower() == ".zip":
        with open_source(path) as bundle:
            listing = Listing.peek(bundle.record)
            name = file_names(listing.item, listing.kind)["sealed"]
            if name not in {one.name for one in listing.files}:
                raise NotFound(f"{path} holds no sealed file: it was made with the opened one only")
            with bundle.open(name) as file:
                yield file
        return
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise NotFound(f"{path} is not there") from None
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}") from None
    with file:
        yield file


def _between(reader: SealedReader, position: int, end: int) -> Iterator[bytes]:
    reader.seek(position)
    while position < end:
        piece = reader.read(min(PIECE_BYTES, end - position))
        position += len(piece)
        yield piece


def _start(path: Path, source: BinaryIO, identities: Sequence[Identity]) -> Recovery:
    try:
        return recover(source, identities)
    except NoMatch:
        raise _not_ours(path) from None
    except Integrity as error:
        raise Integrity(f"{path}: {error}") from None


def _not_ours(path: Path) -> NotTrusted:
    return NotTrusted(f"{path} is sealed to other keys: the identity given does not open it")


def _rest(recovery: Recovery) -> str:
    return "--recover writes what is whole" if recovery.plain_bytes else "nothing of it can be recovered"
