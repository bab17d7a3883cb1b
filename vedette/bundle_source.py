"""Where a bundle's bytes come from: a folder, or one zip file read by the listing's layout and not by its own
headers.

Decided here: only regular files count (no links, no sub-folders), nothing unlisted may lie beside them, and no name
from outside is ever made a path before the listing's own rules accepted it. Implements BU-17 to BU-19 of
docs/spec/bundle.md.
"""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol

from vedette import bundle_zip, canonical
from vedette.bundle import LISTING, MAX_LISTING_BYTES, Listing
from vedette.errors import Integrity, NotFound


class Source(Protocol):
    """A bundle's bytes. `record` is `bundle.json`; `open` gives one listed file, positioned at its start."""

    name: str
    record: bytes

    def open(self, name: str) -> BinaryIO:
        """The file of that name; Integrity when it is not there."""
        ...

    def check_container(self, listing: Listing) -> None:
        """Return when nothing but the listing and what it lists is there; Integrity names what is."""
        ...

    def __enter__(self) -> Source: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_source(path: Path) -> Source:
    """The bundle at `path`; Integrity when there is no listing in it."""
    return FolderSource(path) if path.is_dir() else ZipSource(path)


class FolderSource:
    """A bundle that is a folder."""

    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        self._folder = folder
        with self.open(LISTING) as file:
            self.record = file.read(MAX_LISTING_BYTES + 1)

    def open(self, name: str) -> BinaryIO:
        try:
            descriptor = os.open(self._folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            raise Integrity(f"{name} cannot be read from the bundle: {error.strerror}") from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise Integrity(f"{name} is not a regular file")
        return os.fdopen(descriptor, "rb")

    def check_container(self, listing: Listing) -> None:
        found = {entry.name for entry in os.scandir(self._folder)}
        wanted = {LISTING, *(one.name for one in listing.files)}
        if found - wanted:
            raise Integrity(f"{min(found - wanted)} lies in the folder and is not listed")
        if wanted - found:
            raise Integrity(f"{min(wanted - found)} is listed and not in the folder")

    def __enter__(self) -> FolderSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class ZipSource:
    """A bundle that is one zip file in the form of `vedette.bundle_zip`."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise NotFound(f"{path} cannot be read: {error.strerror}") from None
        try:
            self.record = bundle_zip.first_member(
                self._file, LISTING, max_bytes=MAX_LISTING_BYTES, is_whole=_is_canonical
            )
        except BaseException:
            self._file.close()
            raise
        self._layout: bundle_zip.Layout | None = None

    def open(self, name: str) -> BinaryIO:
        plan = self._plan(Listing.peek(self.record))
        if name not in plan.offsets:
            raise Integrity(f"{name} is not in the bundle")
        return io.BufferedReader(_Slice(self._file, plan.offsets[name], plan.sizes[name]))

    def check_container(self, listing: Listing) -> None:
        bundle_zip.check(self._file, self._plan(listing))

    def __enter__(self) -> ZipSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _plan(self, listing: Listing) -> bundle_zip.Layout:
        if self._layout is None:
            self._layout = bundle_zip.layout(listing.members(self.record))
        return self._layout


class _Slice(io.RawIOBase):
    """A stretch of a file as a read-only, seekable file of its own; ends early where the file does."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        super().__init__()
        self._file = file
        self._start = start
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        self._file.seek(self._start + self._position)
        count = max(0, min(len(buffer), self._size - self._position))
        piece = self._file.read(count)
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)


def _is_canonical(record: bytes) -> bool:
    try:
        canonical.loads(record, max_bytes=MAX_LISTING_BYTES)
    except Integrity:
        return False
    return True
