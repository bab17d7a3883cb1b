"""Sealed bytes under the SHA-256 of themselves, written once, never changed: what such a store does, and the folder.

Decided here: of the folder, `blobs/<2 hex>/<sha256>`, adopted by rename from the same file system after fsync, folder
fsynced before the caller may sign for it. Everything in here is sealed; the centre's disk holds no readable video,
picture or journal. S3 is s3_blobs.py. Implements CS-7 to CS-11 of docs/spec/case-store.md.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from vedette import files
from vedette.errors import Integrity, NotFound, Refused

_SHA256 = re.compile(r"^[0-9a-f]{64}$")
_READ_BYTES = 1 << 20


class BlobStore(Protocol):
    """The sealed bytes of every stored item, by their SHA-256 in hex: a folder, or S3 (s3_blobs.py).

    A name that is not a SHA-256 in hex is `Integrity`, a blob that is not there `NotFound`, trouble an OSError.
    """

    @property
    def is_far(self) -> bool:
        """Whether keeping a blob takes so long that ingest does it beside its other work."""
        ...

    def check(self) -> None:
        """`Refused` when the store is not there or not what the configuration asks for."""
        ...

    def has(self, sha256: str) -> bool:
        """Whether the blob is there."""
        ...

    def size(self, sha256: str) -> int:
        """The blob's size in bytes."""
        ...

    def holds(self, sha256: str, size: int) -> bool:
        """Whether exactly these bytes are there, read and hashed now."""
        ...

    def open(self, sha256: str) -> BinaryIO:
        """The sealed bytes, open for reading and seekable."""
        ...

    def read(self, sha256: str, *, max_bytes: int) -> bytes:
        """The whole blob, checked against its name; `Integrity` when other bytes came back."""
        ...

    def local(self, sha256: str) -> AbstractContextManager[Path]:
        """A path that holds the sealed bytes while the block lasts."""
        ...

    def adopt(self, source: Path, sha256: str) -> None:
        """Keep `source`, fsynced and checked to hash to `sha256`, and take it away; durable on return."""
        ...

    def put(self, data: bytes) -> str:
        """Keep `data` and return its SHA-256; keeping the same bytes twice is fine."""
        ...


class Blobs:
    """The folder of blobs."""

    is_far = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, sha256: str) -> Path:
        """Where the blob is or would be; `Integrity` when `sha256` is not 64 lower-case hex digits."""
        return self._folder / checked_sha256(sha256)[:2] / sha256

    def check(self) -> None:
        """`Refused` when the folder is not there."""
        if not self._folder.is_dir():
            raise Refused(f"{self._folder} is not there: the store's disk is not mounted, or not a store")

    def has(self, sha256: str) -> bool:
        """Whether the blob is there."""
        return self.path(sha256).is_file()

    def size(self, sha256: str) -> int:
        """The blob's size in bytes; `NotFound` when it is not there."""
        try:
            return self.path(sha256).stat().st_size
        except FileNotFoundError:
            raise self._lost(sha256) from None

    def holds(self, sha256: str, size: int) -> bool:
        """Whether exactly these bytes are there, read and hashed now."""
        path = self.path(sha256)
        return path.is_file() and path.stat().st_size == size and sha256_of(path) == sha256

    @contextmanager
    def local(self, sha256: str) -> Generator[Path, None, None]:
        """The blob's own path."""
        yield self.path(sha256)

    def open(self, sha256: str) -> BinaryIO:
        """The sealed bytes, open for reading and seekable; `NotFound` when they are not there."""
        try:
            return self.path(sha256).open("rb")
        except FileNotFoundError:
            raise self._lost(sha256) from None

    def read(self, sha256: str, *, max_bytes: int) -> bytes:
        """The whole blob, checked against its name; `Integrity` when the disk gave back other bytes."""
        data = files.read(self.path(sha256), max_bytes=max_bytes)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise Integrity(f"blob {sha256} holds other bytes than its name says")
        return data

    def adopt(self, source: Path, sha256: str) -> None:
        """Move `source`, already fsynced and already checked to hash to `sha256`, into place; durable on return."""
        path = self.path(sha256)
        self._make_folder(path.parent)
        source.chmod(0o440)
        os.replace(source, path)
        files.fsync_dir(path.parent)

    def put(self, data: bytes) -> str:
        """Keep `data` and return its SHA-256; keeping the same bytes twice is fine."""
        sha256 = hashlib.sha256(data).hexdigest()
        path = self.path(sha256)
        if not path.is_file():
            self._make_folder(path.parent)
            files.replace(path, data, mode=0o440)
        return sha256

    def _lost(self, sha256: str) -> NotFound:
        return NotFound(f"blob {sha256} is not in {self._folder}; restore it from a copy of the store")

    def _make_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            folder.mkdir(exist_ok=True)
            files.fsync_dir(self._folder)


def checked_sha256(sha256: str) -> str:
    """`sha256` when it is 64 lower-case hex digits, else `Integrity`."""
    if not _SHA256.fullmatch(sha256):
        raise Integrity(f"{sha256[:70]!r} is not a SHA-256 in hex")
    return sha256


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file in hex, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            digest.update(piece)
    return digest.hexdigest()
