"""The first directory of a TIFF file: its fields, and the numbers that one of them holds.

Decided here is only where fields and numbers lie (TIFF 6.0, section 2); what they mean is the caller's.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

MAX_ENTRIES = 4096
ENTRY_BYTES = 12
# Strips and tiles of the largest picture that is decoded are fewer.
MAX_NUMBERS = 1_000_000
_FORMS = {1: ("B", 1), 3: ("H", 2), 4: ("I", 4)}
_AT_ONCE = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One field: its kind of numbers, how many, and where in the file they stand."""

    kind: int
    count: int
    at: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Directory:
    """The first directory: byte order, fields by their tag, and where it ends in the file."""

    order: str
    fields: dict[int, Field]
    end: int

    def numbers(self, content: memoryview, tag: int) -> Iterator[int]:
        """The numbers of a field, none where it is missing; struct.error where the file ends before them.

        KeyError for numbers that are no whole ones, ValueError for more than MAX_NUMBERS.
        """
        field = self.fields.get(tag)
        if field is None:
            return
        if field.count > MAX_NUMBERS:
            raise ValueError(tag)
        form, size = _FORMS[field.kind]
        for first in range(0, field.count, _AT_ONCE):
            some = min(_AT_ONCE, field.count - first)
            yield from struct.unpack_from(f"{self.order}{some}{form}", content, field.at + first * size)

    def end_of(self, tag: int) -> int:
        """Where the numbers of a field end in the file; 0 where it is missing."""
        field = self.fields.get(tag)
        return 0 if field is None else field.at + field.count * _FORMS[field.kind][1]


def end_of_directory(content: memoryview) -> int:
    """Where the first directory ends, as far as is told; struct.error where not even its place is."""
    order = order_of(content)
    (at,) = struct.unpack_from(f"{order}I", content, 4)
    if at + 2 > len(content):
        return int(at) + 2
    (entries,) = struct.unpack_from(f"{order}H", content, at)
    return int(at) + 2 + ENTRY_BYTES * int(entries) + 4


def order_of(content: memoryview) -> str:
    """The byte order as `struct` writes it."""
    return "<" if content[0] == 0x49 else ">"


def directory_of(content: memoryview) -> Directory:
    """The first directory; struct.error where the file ends within it."""
    order, end = order_of(content), end_of_directory(content)
    (at,) = struct.unpack_from(f"{order}I", content, 4)
    fields = {}
    for entry in range(min((end - at) // ENTRY_BYTES, MAX_ENTRIES)):
        tag, kind, count = struct.unpack_from(f"{order}HHI", content, at + 2 + ENTRY_BYTES * entry)
        value_at = at + 10 + ENTRY_BYTES * entry
        if kind in _FORMS:
            if _FORMS[kind][1] * count > 4:
                (value_at,) = struct.unpack_from(f"{order}I", content, value_at)
            fields[tag] = Field(kind=kind, count=count, at=value_at)
    return Directory(order=order, fields=fields, end=end)
