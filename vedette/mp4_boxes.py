"""The box structure of an MP4 file (ISO/IEC 14496-12): which boxes lie where, and moving what points into the file.

Decided here: a file that was cut is read up to the last box that is whole, the rest is kept as it is; a box that must
be looked into is at most 64 MiB and 16 deep. Nothing here knows of codecs.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from vedette.errors import Integrity, Refused

MAX_BOXES = 1 << 20
MAX_HELD_BYTES = 64 << 20
MAX_DEPTH = 16
_CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf", b"mfra")

Shift = Callable[[int], int]


@dataclass(frozen=True, slots=True)
class Box:
    """A box of a file or of bytes: kind, where it begins, its size and that of its header, in bytes."""

    kind: bytes
    start: int
    size: int
    header: int

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.start + self.size


def box(kind: bytes, *parts: bytes) -> bytes:
    """A box with this content."""
    return struct.pack(">I4s", 8 + sum(map(len, parts)), kind) + b"".join(parts)


def full_box(kind: bytes, version: int, *parts: bytes) -> bytes:
    """A box with version and flags (0)."""
    return box(kind, struct.pack(">I", version << 24), *parts)


def top_boxes(file: BinaryIO) -> list[Box]:
    """The boxes of a file, in order, up to the last one that is whole."""
    end = file.seek(0, os.SEEK_END)
    found: list[Box] = []
    position = 0
    while position + 8 <= end and len(found) < MAX_BOXES:
        file.seek(position)
        one = _box_at(file.read(16), position, end)
        if one is None:
            break
        found.append(one)
        position = one.end
    return found


def held(file: BinaryIO, one: Box) -> bytes:
    """The bytes of a box; Refused where it is larger than 64 MiB."""
    if one.size > MAX_HELD_BYTES:
        raise Refused(f"the MP4's box {_name(one.kind)} has {one.size} bytes, more than {MAX_HELD_BYTES}")
    file.seek(one.start)
    return file.read(one.size)


def children(content: bytes, parent: Box) -> Iterator[Box]:
    """The boxes in a container that lies in `content`; Integrity where one runs over its end."""
    position = parent.start + parent.header
    while position < parent.end:
        one = _box_at(content[position : position + 16], position, parent.end)
        if one is None:
            raise Integrity(f"the MP4's box {_name(parent.kind)} holds one that runs over its end")
        yield one
        position = one.end


def find(content: bytes, parent: Box, *path: bytes) -> Iterator[Box]:
    """Every box at this path below `parent`."""
    for one in children(content, parent):
        if one.kind == path[0]:
            yield from find(content, one, *path[1:]) if path[1:] else [one]


def whole(content: bytes) -> Box:
    """The one box that these bytes are; Integrity where they are another."""
    one = _box_at(content[:16], 0, len(content))
    if one is None or one.size != len(content):
        raise Integrity("the MP4 holds a box that is cut off")
    return one


def moved(content: bytes, shift: Shift) -> bytes:
    """A `moov`, `moof` or `mfra` with every place in the file that it names moved: `stco`, `co64`, `tfra`, `tfhd`."""
    patched = bytearray(content)
    _move(patched, content, whole(content), shift)
    return bytes(patched)


def _move(patched: bytearray, content: bytes, parent: Box, shift: Shift, depth: int = 1) -> None:
    if depth > MAX_DEPTH:
        raise Integrity(f"the MP4's box {_name(parent.kind)} lies more than {MAX_DEPTH} boxes deep")
    for one in children(content, parent):
        if one.kind in _CONTAINERS:
            _move(patched, content, one, shift, depth + 1)
            continue
        for place, form in _pointers(content, one):
            (value,) = struct.unpack_from(form, content, place)
            target = shift(value)
            if form == ">I" and target >= 1 << 32:
                raise Refused("the MP4 has 32-bit places and grows over 4 GiB; it cannot take another box")
            struct.pack_into(form, patched, place, target)


def _pointers(content: bytes, one: Box) -> list[tuple[int, str]]:
    """Where in `content` this box names a place in the file, and in which form."""
    start = one.start + one.header
    try:
        flags = int.from_bytes(content[start + 1 : start + 4], "big")
        if one.kind in (b"stco", b"co64"):
            form, width = (">I", 4) if one.kind == b"stco" else (">Q", 8)
            (count,) = struct.unpack_from(">I", content, start + 4)
            return _within(one, [(start + 8 + width * at, form) for at in range(min(count, one.size))], width)
        if one.kind == b"tfra":
            wide = content[start] == 1
            _track, lengths, count = struct.unpack_from(">III", content, start + 4)
            step = (16 if wide else 8) + 3 + (lengths >> 4 & 3) + (lengths >> 2 & 3) + (lengths & 3)
            form, width = (">Q", 8) if wide else (">I", 4)
            return _within(one, [(start + 16 + step * at + width, form) for at in range(min(count, one.size))], width)
        if one.kind == b"tfhd" and flags & 1:
            return _within(one, [(start + 8, ">Q")], 8)
    except (struct.error, IndexError):
        raise Integrity(f"the MP4's box {_name(one.kind)} is cut off") from None
    return []


def _within(one: Box, places: list[tuple[int, str]], width: int) -> list[tuple[int, str]]:
    if places and places[-1][0] + width > one.end:
        raise Integrity(f"the MP4's box {_name(one.kind)} has fewer entries than it says")
    return places


def _box_at(head: bytes, start: int, end: int) -> Box | None:
    """The box whose header `head` is, or None where it is no box or not whole before `end`."""
    if len(head) < 8:
        return None
    size, kind = struct.unpack_from(">I4s", head)
    header = 8
    if size == 1 and len(head) == 16:
        header, size = 16, struct.unpack_from(">Q", head, 8)[0]
    elif size == 0:
        size = end - start
    if size < header or start + size > end:
        return None
    return Box(kind, start, size, header)


def _name(kind: bytes) -> str:
    return repr(kind.decode("latin-1"))
