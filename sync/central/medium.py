"""Evidence that came by hand: the centre's half of the USB or SD carrier.

Decided here: a medium is believed in nothing; each item goes through the checks of an upload, in the same order, gets
the same signed receipt, and what does not verify goes into quarantine. May run beside the ingest: an item that comes
both ways is stored once. Implements ME-10 to ME-15 of docs/spec/medium.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sync import medium
from sync.central import receipts
from sync.central.fleet import device_key
from sync.central.quarantine import quarantine, write_counts
from sync.central.receipts import NotTaken, Signer
from sync.central.store import Store
from vedette import files, spool
from vedette.errors import Integrity, NotFound, VedetteError
from vedette.fields import check_device_id
from vedette.records import KINDS, Manifest, peek_manifest
from vedette.wire import DEFAULT_PART_BYTES, MAX_SIGNED_BYTES, Init, RefuseCode

BATCH = 32
_PIECE_BYTES = 1 << 20


@dataclass(kw_only=True, slots=True)
class Taken:
    """What became of a medium: (device, item) stored now or before, and by "device/file" why one was not taken."""

    stored: list[tuple[str, str]] = field(default_factory=list)
    already: list[tuple[str, str]] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    bytes: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Whole:
    init: Init
    manifest: Manifest


def take_in(store: Store, signer: Signer, folder: Path, *, max_item_bytes: int) -> Taken:
    """Store every item on the medium at `folder` and leave the receipts on it.

    Raises NotFound when there is no medium, or nothing of ours on it, and OSError when a disk does not take what has to
    be written; what was receipted until then stays so, and another run goes on.
    """
    root = folder / medium.FOLDER
    if not root.is_dir():
        raise NotFound(f"{root} is not there: nothing was carried on this medium (vedette device carry)")
    taken = Taken()
    try:
        for place in sorted(root.iterdir()):
            with contextlib.suppress(Integrity):  # a folder that no device is called is not ours
                check_device_id(place.name)
                if place.is_dir() and not place.is_symlink():
                    _Import(store, signer, place, max_item_bytes, taken).run()
    finally:
        write_counts(store)
    return taken


class _Import:
    """One device's folder on the medium."""

    def __init__(self, store: Store, signer: Signer, root: Path, max_item_bytes: int, taken: Taken) -> None:
        self._store = store
        self._signer = signer
        self._root = root
        self._device = root.name
        self._max_item_bytes = max_item_bytes
        self._taken = taken
        self._desk = store.folder / "importing"
        self._desk.mkdir(exist_ok=True, mode=0o750)

    def run(self) -> None:
        key = device_key(self._store, self._device)
        if key is None:
            text = f"{self._device} is not enrolled here, or was revoked"
            quarantine(self._store, self._device, None, RefuseCode.REVOKED, text)
            self._taken.refused[self._device] = text
            return
        waiting: list[_Whole] = []
        for path in self._manifests():
            record = b""
            try:
                record = files.read(path, max_bytes=MAX_SIGNED_BYTES)
                init = _init(path, record)
                manifest = receipts.check_init(self._device, init, key, max_item_bytes=self._max_item_bytes)
                receipt = receipts.stored_receipt(self._store, self._device, init)
                if receipt is not None:
                    self._tell(init.item, receipt)
                    self._taken.already.append((self._device, init.item))
                    continue
                self._keep(path.with_name(f"{init.item}.{init.kind}.age"), init)
            except VedetteError as error:
                self._refuse(path, error, record)
                continue
            waiting.append(_Whole(init=init, manifest=manifest))
            if len(waiting) >= BATCH:
                self._store_all(waiting)
        self._store_all(waiting)

    def _manifests(self) -> Iterator[Path]:
        for kind, _item, path in sorted(spool.item_ids(self._root), key=lambda one: KINDS.index(one[0])):
            if not (self._root / kind).is_symlink() and not path.is_symlink():
                yield path

    def _keep(self, source: Path, init: Init) -> None:
        """Copy the sealed bytes from the medium, hash what was copied, and adopt it; `Integrity` when it is not it."""
        target = self._desk / f"{init.item}.part"
        try:
            size, sha256 = _copy(source, target, most=init.size)
            if (size, sha256) != (init.size, init.sha256):
                text = f"{size} bytes with hash {sha256} on the medium, {init.size} and {init.sha256} named"
                raise NotTaken(RefuseCode.MISMATCH, f"item {init.item}: {text}")
            self._store.blobs.adopt(target, init.sha256)
        finally:
            target.unlink(missing_ok=True)

    def _store_all(self, waiting: list[_Whole]) -> None:
        """One transaction for all of `waiting`, then their receipts onto the medium."""
        records = [(one.manifest, one.init.manifest) for one in waiting]
        for one, receipt in zip(waiting, receipts.accept_all(self._store, self._signer, records), strict=True):
            self._tell(one.init.item, receipt)
            self._taken.stored.append((self._device, one.init.item))
            self._taken.bytes += one.init.size
        waiting.clear()

    def _tell(self, item: str, receipt: bytes) -> None:
        folder = self._root / medium.RECEIPTS
        folder.mkdir(exist_ok=True)
        medium.write(folder / f"{item}.receipt", receipt)

    def _refuse(self, path: Path, error: VedetteError, record: bytes) -> None:
        code = error.code if isinstance(error, NotTaken) else RefuseCode.INVALID
        self._taken.refused[f"{self._device}/{path.name}"] = str(error)
        if code is not RefuseCode.BUSY:
            quarantine(self._store, self._device, path.stem, code, str(error), record)


def _init(path: Path, record: bytes) -> Init:
    """What an upload of this manifest would begin with."""
    manifest = peek_manifest(record)
    if path.name != f"{manifest.item}.manifest" or path.parent.name != manifest.kind:
        raise Integrity(f"{path.name}: the manifest inside is of {manifest.kind} {manifest.item}")
    return Init(
        item=manifest.item,
        kind=manifest.kind,
        size=manifest.sealed_size,
        sha256=manifest.sealed_sha256,
        priority=manifest.priority,
        part_size=DEFAULT_PART_BYTES,
        manifest=record,
    )


def _copy(source: Path, target: Path, *, most: int) -> tuple[int, str]:
    """Copy up to one byte more than `most` of a regular file, fsynced: (bytes, SHA-256 in hex)."""
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise Integrity(f"{source.name} cannot be read from the medium: {error.strerror}") from None
    digest, size = hashlib.sha256(), 0
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Integrity(f"{source.name} is no file")
        with target.open("wb") as written:
            while size <= most and (piece := _read(descriptor, source, min(_PIECE_BYTES, most + 1 - size))):
                digest.update(piece)
                written.write(piece)
                size += len(piece)
            written.flush()
            os.fsync(written.fileno())
    finally:
        os.close(descriptor)
    return size, digest.hexdigest()


def _read(descriptor: int, source: Path, most: int) -> bytes:
    """A medium that cannot be read fails one item, a disk that cannot be written the whole run."""
    try:
        return os.read(descriptor, most)
    except OSError as error:
        raise Integrity(f"{source.name} cannot be read from the medium: {error.strerror}") from None
