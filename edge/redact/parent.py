"""The item that is redacted: an opened MP4, a sealed item with a key that opens it, or a bundle.

Decided here: what of the parent's identity is known (item, device, hashes), from the manifest beside a sealed file or
in a bundle, and that a sealed item is read through its seal and never written opened. The manifest's signature is not
checked here (`vedette evidence verify` does): its hash goes into the record, so that whoever checks can.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from edge.redact.pictures import sha256_of
from vedette import files
from vedette.bundle import LISTING, Listing, file_names
from vedette.bundle_source import Source, open_source
from vedette.errors import Integrity, NotFound, NotTrusted, Refused, Usage
from vedette.records import MAX_RECORD_BYTES, Manifest, peek_manifest
from vedette.redaction import ParentId
from vedette.sealed import Identity, NoMatch, SealedReader


@dataclass(frozen=True, kw_only=True, slots=True)
class Parent:
    """The parent at hand: what messages call it, its opened bytes (seekable), who it is."""

    name: str
    file: BinaryIO
    identity: ParentId


def manifest_at(path: Path) -> Manifest | None:
    """The manifest of the item at `path`, in its bundle or beside the sealed file; None where none is at hand.

    Raises NotFound or Integrity. Its signature is not checked.
    """
    if _is_bundle(path):
        with open_source(path) as bundle:
            record: bytes | None = _manifest_in(bundle)
    elif not path.is_file():
        raise NotFound(f"{path} is not there")
    else:
        record = _beside(path)
    return peek_manifest(record) if record is not None else None


@contextlib.contextmanager
def open_parent(path: Path, identities: Sequence[Identity]) -> Iterator[Parent]:
    """The item at `path`. Raises NotFound, Usage (no key given), NotTrusted (sealed to others) or Integrity."""
    if _is_bundle(path):
        with open_source(path) as bundle, _of_bundle(path, bundle, identities) as parent:
            yield parent
        return
    if not path.is_file():
        raise NotFound(f"{path} is not there")
    with path.open("rb") as file:
        if path.suffix == ".age":
            yield _sealed(str(path), file, identities, _beside(path))
        else:
            yield _known(str(path), file, None, None)


@contextlib.contextmanager
def _of_bundle(path: Path, bundle: Source, identities: Sequence[Identity]) -> Iterator[Parent]:
    listing = Listing.peek(bundle.record)
    names = file_names(listing.item, listing.kind)
    there = {one.name for one in listing.files}
    record = _manifest_in(bundle)
    if names["opened"] in there:
        with bundle.open(names["opened"]) as file:
            yield _known(str(path), file, record, None)
        return
    if names["sealed"] not in there:
        raise NotFound(f"{path} holds neither the opened video nor the sealed one")
    with bundle.open(names["sealed"]) as file:
        yield _sealed(str(path), file, identities, record)


def _is_bundle(path: Path) -> bool:
    return (path / LISTING).is_file() or path.suffix.lower() == ".zip"


def _manifest_in(bundle: Source) -> bytes:
    listing = Listing.peek(bundle.record)
    with bundle.open(file_names(listing.item, listing.kind)["manifest"]) as file:
        return file.read(MAX_RECORD_BYTES + 1)


def _beside(path: Path) -> bytes | None:
    """The manifest beside a sealed file, if there is one."""
    manifest = path.with_name(path.name.partition(".")[0] + ".manifest")
    is_there = path.suffix == ".age" and manifest.is_file()
    return files.read(manifest, max_bytes=MAX_RECORD_BYTES) if is_there else None


def _sealed(name: str, file: BinaryIO, identities: Sequence[Identity], record: bytes | None) -> Parent:
    if not identities:
        raise Usage(f"{name} is sealed; give --identity, the key file that opens it")
    try:
        reader = SealedReader(file, identities)
    except NoMatch:
        raise NotTrusted(f"{name} is sealed to other keys: the identity given does not open it") from None
    except (Integrity, Refused) as error:
        raise type(error)(f"{name}: {error}") from None
    return _known(name, cast(BinaryIO, io.BufferedReader(reader, 1 << 17)), record, sha256_of(file)[0])


def _known(name: str, file: BinaryIO, record: bytes | None, sealed_sha256: str | None) -> Parent:
    manifest = peek_manifest(record) if record is not None else None
    sha256, size = sha256_of(file)
    if manifest is not None:
        _check(name, manifest, sha256, sealed_sha256)
    return Parent(
        name=name,
        file=file,
        identity=ParentId(
            plain_sha256=sha256,
            plain_size=size,
            sealed_sha256=sealed_sha256 or (manifest.sealed_sha256 if manifest else None),
            manifest_sha256=hashlib.sha256(record).hexdigest() if record is not None else None,
            item=manifest.item if manifest else None,
            device=manifest.device if manifest else None,
        ),
    )


def _check(name: str, manifest: Manifest, plain_sha256: str, sealed_sha256: str | None) -> None:
    if manifest.kind != "segment":
        raise Refused(f"{name} is a {manifest.kind}, not a recording; only recordings are redacted")
    if sealed_sha256 not in (None, manifest.sealed_sha256):
        raise Integrity(f"{name}: its bytes are not those that its manifest names")
    if manifest.plain_sha256 not in (None, plain_sha256):
        raise Integrity(f"{name}: its opened bytes are not those that its manifest names")
