"""Where `verify.py` reads a bundle's bytes: a folder, or a zip read by its listing and not by its own headers.

A part of verify.py (see `vedette.verifier`): standard library only.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from vedette.verifier.records import MAX_LISTING, Bad, loads

# ---- from here on in verify.py ----
# The container: a folder, or a zip of which every byte that is not content follows from the listing.
LOCAL, CENTRAL, END = struct.Struct("<IHHHHHIIIHH"), struct.Struct("<IHHHHHHIIIHHHHHII"), struct.Struct("<IHHHHIIH")
Frame = tuple[int, bytes, str]


def local_header(name: str, size: int, crc32: int) -> bytes:
    return LOCAL.pack(0x04034B50, 10, 0, 0, 0, 0x21, crc32, size, size, len(name), 0) + name.encode()


class Zip:
    """A bundle that is one zip file; nothing of its headers is believed but where bundle.json ends."""

    def __init__(self, path: Path) -> None:
        self.file: BinaryIO = path.open("rb")
        self.size = self.file.seek(0, os.SEEK_END)
        self.places: dict[str, tuple[int, int]] = {}
        self.frames: list[Frame] = []
        self.listing = self._first()

    def _at(self, place: int, size: int) -> bytes:
        self.file.seek(place)
        return self.file.read(size)

    def _first(self) -> bytes:
        start = LOCAL.size + len("bundle.json")
        if self.size < start + CENTRAL.size + END.size:
            raise Bad(f"a file of {self.size} bytes is too short for a bundle's archive")
        local = LOCAL.unpack(self._at(0, LOCAL.size))
        directory = min(END.unpack(self._at(self.size - END.size, END.size))[6], self.size - CENTRAL.size)
        central = CENTRAL.unpack(self._at(directory, CENTRAL.size))
        contents = [
            self._at(start, min(size, MAX_LISTING + 1)) for size in (local[8], local[7], central[9], central[8])
        ]
        for content in contents:
            try:
                loads(content, MAX_LISTING)
            except Bad:
                continue
            return content
        expected, found = local_header("bundle.json", 0, 0), self._at(0, start)
        for place in (*range(14), *range(26, start)):
            if found[place] != expected[place]:
                raise Bad(f"byte {place} is not what the archive of a bundle has there; bundle.json cannot be read")
        return contents[0][:MAX_LISTING]

    def plan(self, listing: Any) -> None:
        first = {"name": "bundle.json", "size": len(self.listing), "crc32": zlib.crc32(self.listing)}
        position, directory, members = 0, b"", [first, *listing["files"]]
        for one in members:
            name, size, crc32 = one["name"], one["size"], one["crc32"]
            head = local_header(name, size, crc32)
            self.frames.append((position, head, f"local header of {name}"))
            entry = (
                0x02014B50,
                0x030A,
                10,
                0,
                0,
                0,
                0x21,
                crc32,
                size,
                size,
                len(name),
                0,
                0,
                0,
                0,
                0x81A00000,
                position,
            )
            self.places[name] = (position + len(head), size)
            position += len(head) + size
            if position >= 1 << 32:
                raise Bad("the files listed are too large for one zip file")
            directory += CENTRAL.pack(*entry) + name.encode()
        self.frames.append((position, directory, "central directory"))
        end = END.pack(0x06054B50, 0, 0, len(members), len(members), len(directory), position, 0)
        self.frames.append((position + len(directory), end, "end of central directory"))

    def check(self, listing: Any) -> None:
        for offset, expected, what in self.frames:
            found = self._at(offset, len(expected))
            if found != expected:
                index = next((i for i in range(len(found)) if found[i] != expected[i]), len(found))
                raise Bad(f"byte {offset + index} ({what}, its byte {index}) is not what it must be")
        wanted = self.frames[-1][0] + END.size
        if self.size != wanted:
            raise Bad(f"the archive has {self.size} bytes where its listing makes {wanted}: from byte {wanted} on")

    def pieces(self, name: str) -> Iterator[bytes]:
        if name not in self.places:
            raise Bad(f"{name} is not in the bundle")
        position, left = self.places[name]
        while piece := self._at(position, min(left, 1 << 20)):
            position, left = position + len(piece), left - len(piece)
            yield piece

    def part(self, name: str, at: int, size: int) -> bytes:
        place, whole = self.places.get(name, (0, 0))
        return self._at(place + at, max(0, min(size, whole - at)))


class Folder:
    """A bundle that is a folder: only regular files count, and nothing unlisted may lie in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.listing = b"".join(self.pieces("bundle.json", MAX_LISTING + 1))

    def plan(self, listing: Any) -> None:
        """A folder's files are where their names say."""

    def check(self, listing: Any) -> None:
        found, wanted = set(os.listdir(self.path)), {"bundle.json", *(one["name"] for one in listing["files"])}
        for name in sorted(found - wanted):
            raise Bad(f"{name} lies in the folder and is not listed")
        for name in sorted(wanted - found):
            raise Bad(f"{name} is listed and not in the folder")

    def pieces(self, name: str, most: int = 1 << 62) -> Iterator[bytes]:
        path = self.path / name
        try:
            if not stat.S_ISREG(path.lstat().st_mode):
                raise Bad(f"{name} is not a regular file")
            with path.open("rb") as file:
                while piece := file.read(min(most, 1 << 20)):
                    most -= len(piece)
                    yield piece
        except OSError as error:
            raise Bad(f"{name} cannot be read from the bundle: {error.strerror}") from None

    def part(self, name: str, at: int, size: int) -> bytes:
        with (self.path / name).open("rb") as file:
            file.seek(at)
            return file.read(size)
