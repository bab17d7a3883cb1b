"""The content-addressed folder: sealed bytes under the SHA-256 of themselves, written once, never changed.

Decided here: `blobs/<2 hex>/<sha256>`, adopted by rename from the same file system after fsync, folder fsynced before
the caller may sign for it. Everything in here is sealed; the centre's disk holds no readable video, picture or journal.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import BinaryIO

from vedette import files
from vedette.errors import Integrity, NotFound

_SHA256 = re.compile(r"^[0-9a-f]{64}$")
_READ_BYTES = 1 << 20


class Blobs:
    """The sealed bytes of every stored item, by their SHA-256 in hex."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, sha256: str) -> Path:
        """Where the blob is or would be; `Integrity` when `sha256` is not 64 lower-case hex digits."""
        if not _SHA256.fullmatch(sha256):
            raise Integrity(f"{sha256[:70]!r} is not a SHA-256 in hex")
        return self._folder / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        """Whether the blob is there."""
        return self.path(sha256).is_file()

    def open(self, sha256: str) -> BinaryIO:
        """The sealed bytes, open for reading and seekable; `NotFound` when they are not there."""
        try:
            return self.path(sha256).open("rb")
        except FileNotFoundError:
            raise NotFound(f"blob {sha256} is not in {self._folder}; restore it from a copy of the store") from None

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

    def _make_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            folder.mkdir(exist_ok=True)
            files.fsync_dir(self._folder)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file in hex, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            digest.update(piece)
    return digest.hexdigest()
