"""The one byte form of a zipped bundle: every byte that is not content follows from the listing.

Decided here: entries are stored (not compressed), in the listing's order after `bundle.json`, dated 1980-01-01,
with no extra fields, no comments, no data descriptors, below 4 GiB. A reader therefore knows from the signed
listing what every header byte must be, compares all of them, and never acts on what a header says. Implements BU-14
to BU-17 of docs/spec/bundle.md.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from vedette.errors import Integrity, Refused

MAX_ARCHIVE_BYTES = (1 << 32) - 1
_LOCAL = struct.Struct("<IHHHHHIIIHH")
_CENTRAL = struct.Struct("<IHHHHHHIIIHHHHHII")
_END = struct.Struct("<IHHHHIIH")
_VERSION, _MADE_BY_UNIX, _DATE, _MODE = 10, 3 << 8 | 10, 0x21, 0o100640 << 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One entry: name (ASCII), size in bytes and CRC-32 of its content."""

    name: str
    size: int
    crc32: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """Bytes of the archive that are not content: where they begin, what they must be, what they are called in a
    report.
    """

    offset: int
    expected: bytes
    what: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Where everything of an archive lies: its frames, each content's offset and size, and its own size, in bytes."""

    frames: tuple[Frame, ...]
    offsets: dict[str, int]
    sizes: dict[str, int]
    size: int


def layout(members: Sequence[Member]) -> Layout:
    """The one archive that holds these members; Refused when it would not stay below 4 GiB."""
    frames, offsets, position, directory = [], {}, 0, b""
    for member in members:
        directory += _central_entry(member, position)
        local = _local_header(member)
        frames.append(Frame(offset=position, expected=local, what=f"local header of {member.name}"))
        offsets[member.name] = position + len(local)
        position = offsets[member.name] + member.size
        if position + len(directory) > MAX_ARCHIVE_BYTES - 1024:
            raise Refused("the bundle is too large for a zip file of 4 GiB; make it a folder (a name without .zip)")
    end = _END.pack(0x06054B50, 0, 0, len(members), len(members), len(directory), position, 0)
    frames.append(Frame(offset=position, expected=directory, what="central directory"))
    frames.append(Frame(offset=position + len(directory), expected=end, what="end of central directory"))
    sizes = {member.name: member.size for member in members}
    return Layout(frames=tuple(frames), offsets=offsets, sizes=sizes, size=position + len(directory) + len(end))


def write(file: BinaryIO, members: Sequence[Member], content: Callable[[str], Iterator[bytes]]) -> None:
    """Write the archive of `members`; `content(name)` gives each one's bytes in pieces."""
    plan = layout(members)
    for frame, member in zip(plan.frames, members, strict=False):
        file.write(frame.expected)
        for piece in content(member.name):
            file.write(piece)
    for frame in plan.frames[len(members) :]:
        file.write(frame.expected)


def check(file: BinaryIO, plan: Layout) -> None:
    """Return when every byte of `file` outside the contents is what it must be; Integrity names the first that is
    not.
    """
    for frame in plan.frames:
        file.seek(frame.offset)
        found = file.read(len(frame.expected))
        if found != frame.expected:
            pairs = zip(found, frame.expected, strict=False)
            index = next((place for place, (a, b) in enumerate(pairs) if a != b), len(found))
            where = f"byte {frame.offset + index} ({frame.what}, its byte {index})"
            raise Integrity(f"{where} is not what it must be; a bundle only packed anew can be verified as a folder")
    size = file.seek(0, os.SEEK_END)
    if size != plan.size:
        raise Integrity(f"the archive has {size} bytes where its listing makes {plan.size}: from byte {plan.size} on")


def first_member(file: BinaryIO, name: str, *, max_bytes: int, is_whole: Callable[[bytes], bool]) -> bytes:
    """The content of the archive's first entry, which is called `name`; the one thing taken from headers not yet
    checked.

    Its size is tried as the local header and the central directory have it, so that one damaged size field does not
    hide the listing.
    """
    start = _LOCAL.size + len(name)
    contents = []
    for size in _sizes(file, start):
        file.seek(start)
        content = file.read(min(size, max_bytes + 1))
        if len(content) <= max_bytes and is_whole(content):
            return content
        contents.append(content)
    _check_first_header(file, name)
    return contents[0][:max_bytes]


def member(name: str, pieces: Iterator[bytes]) -> Member:
    """The member that this content makes."""
    size, crc32 = 0, 0
    for piece in pieces:
        size, crc32 = size + len(piece), zlib.crc32(piece, crc32)
    return Member(name=name, size=size, crc32=crc32)


def _check_first_header(file: BinaryIO, name: str) -> None:
    """Integrity names the first byte of the first local header that no bundle has; checksum and sizes may be
    anything.
    """
    expected = _local_header(Member(name=name, size=0, crc32=0))
    file.seek(0)
    found = file.read(len(expected))
    checked = [*range(14), *range(26, len(expected))]
    wrong = next((place for place in checked if found[place : place + 1] != expected[place : place + 1]), None)
    if wrong is not None:
        raise Integrity(f"byte {wrong} is not what the archive of a bundle has there; {name} cannot be read from it")


def _sizes(file: BinaryIO, start: int) -> list[int]:
    size = file.seek(0, os.SEEK_END)
    if size < start + _CENTRAL.size + _END.size:
        raise Integrity(f"a file of {size} bytes is too short for a bundle's archive")
    file.seek(0)
    local = _LOCAL.unpack(file.read(_LOCAL.size))
    file.seek(size - _END.size)
    directory_at = min(_END.unpack(file.read(_END.size))[6], size - _CENTRAL.size)
    file.seek(directory_at)
    central = _CENTRAL.unpack(file.read(_CENTRAL.size))
    return [local[8], local[7], central[9], central[8]]


def _local_header(member: Member) -> bytes:
    fixed = _LOCAL.pack(
        0x04034B50, _VERSION, 0, 0, 0, _DATE, member.crc32, member.size, member.size, len(member.name), 0
    )
    return fixed + member.name.encode("ascii")


def _central_entry(member: Member, offset: int) -> bytes:
    sizes = (member.crc32, member.size, member.size, len(member.name), 0, 0, 0, 0)
    fixed = _CENTRAL.pack(0x02014B50, _MADE_BY_UNIX, _VERSION, 0, 0, 0, _DATE, *sizes, _MODE, offset)
    return fixed + member.name.encode("ascii")
