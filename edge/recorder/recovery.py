"""What a dead run left in the spool or the ring becomes segments again, or is put where a person sees it.

Decided here, for each file of a segment that is not filed (in the spool: that has no manifest):

* its ending is in the journal and its bytes have that hash: it is committed as the journal says;
* its beginning is in the journal: it is cut to its last whole chunk, checked against the last checkpoint in that
  reach, and filed as an incomplete item that ends at that checkpoint (chunks behind it stay in the file, unvouched);
* anything else (no journal entry, a hash that differs, not one whole chunk) goes to `spool/quarantine/` and the
  journal says why. Nothing is ever deleted here.

The device cannot open what it sealed, so none of this looks inside.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from edge.recorder.facts import Ending
from edge.recorder.filing import Shelf
from edge.recorder.history import Segment
from edge.recorder.segments import Progress
from vedette import files
from vedette.age_stream import CHUNK_BYTES, SEALED_CHUNK_BYTES
from vedette.errors import Integrity
from vedette.sealed import header_length, whole_prefix

_HASH_BLOCK_BYTES = 1 << 20
_NAME = re.compile(r"^([0-9a-f-]{36})\.segment\.age(\.part)?$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Recovered:
    """What one run of recovery did: items made whole again by their journal, items cut short, files put aside."""

    completed: int = 0
    cut: int = 0
    quarantined: int = 0


def recover(shelf: Shelf, segments: Mapping[str, Segment]) -> Recovered:
    """Deal with every segment file on `shelf` that is not filed; `segments` are those that the journal knows.

    Raises OSError where the disk takes no more.
    """
    completed = cut = quarantined = 0
    for item, path in _unfinished(shelf):
        try:
            if _recover_one(shelf, segments.get(item), item, path):
                completed += 1
            else:
                cut += 1
        except Integrity as error:
            shelf.put_aside(item, path, str(error))
            quarantined += 1
    return Recovered(completed=completed, cut=cut, quarantined=quarantined)


def _unfinished(shelf: Shelf) -> Iterator[tuple[str, Path]]:
    for name in sorted(entry.name for entry in os.scandir(shelf.folder)):
        if name.startswith(".") and name.endswith(".tmp"):
            # Half a manifest, whose segment is dealt with below; it holds nothing that is not in the journal.
            files.remove(shelf.folder / name)
        match = _NAME.match(name)
        if match and not shelf.is_filed(match[1]):
            yield match[1], shelf.folder / name


def _recover_one(shelf: Shelf, segment: Segment | None, item: str, path: Path) -> bool:
    """File one segment; True when it is whole, False when it is cut. Raises Integrity for what does not fit."""
    if segment is None:
        raise Integrity("the journal does not know this segment")
    ending = segment.ending
    if ending is None or not _has(path, ending):
        if path.suffix != ".part":
            raise Integrity("its bytes are not those that the journal closed")
        ending = _cut(path, segment)
        shelf.cut(item, ending)
    shelf.finish(segment.facts, ending, path)
    return ending.complete


def _cut(path: Path, segment: Segment) -> Ending:
    """Cut the file to whole chunks and return what it is then."""
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        header = _header_bytes(path)
        edge = whole_prefix(size, header)
        if edge <= header:
            raise Integrity(f"it has {size} bytes, which is not one whole chunk")
        proven = _proven(segment, edge)
        digest = _hash_with_check(path, edge, proven)
        file.truncate(edge)
        os.fsync(file.fileno())
    return Ending(
        sealed_sha256=digest,
        sealed_size=edge,
        plain_sha256=None,
        plain_size=(edge - header) // SEALED_CHUNK_BYTES * CHUNK_BYTES,
        media_us=proven.media_us if proven else 0,
        frames=proven.frames if proven else 0,
        marked=segment.marked,
        complete=False,
    )


def _header_bytes(path: Path) -> int:
    with path.open("rb") as file:
        return header_length(file)


def _proven(segment: Segment, edge: int) -> Progress | None:
    """The last checkpoint whose bytes are all there."""
    return next((one for one in reversed(segment.progress) if one.offset <= edge), None)


def _hash_with_check(path: Path, edge: int, proven: Progress | None) -> str:
    """The SHA-256 (hex) of the first `edge` bytes; Integrity when the checkpoint's part of them has another hash."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        _feed(digest, file, proven.offset if proven else 0)
        if proven is not None and digest.hexdigest() != proven.sha256:
            raise Integrity(f"its first {proven.offset} bytes are not those of the journal's checkpoint")
        _feed(digest, file, edge - (proven.offset if proven else 0))
    return digest.hexdigest()


def _has(path: Path, ending: Ending) -> bool:
    if path.stat().st_size != ending.sealed_size:
        return False
    return _hash_with_check(path, ending.sealed_size, None) == ending.sealed_sha256


def _feed(digest: hashlib._Hash, file: BinaryIO, count: int) -> None:
    while count:
        block = file.read(min(count, _HASH_BLOCK_BYTES))
        if not block:
            raise Integrity("the file became shorter while it was read")
        digest.update(block)
        count -= len(block)
