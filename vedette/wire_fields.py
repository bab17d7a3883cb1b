"""The forms of field that only control messages have: signed records, ranges, bitmaps of parts, counters.

Decided here: their bounds, and that each has one way to be written. Implements WI-4, WI-9 and WI-66 of wire.md.
"""

from __future__ import annotations

import base64
import binascii
import re

from vedette import canonical
from vedette.errors import Integrity
from vedette.fields import Fields

VERSION = 1
MAX_CONTROL_BYTES = 128 * 1024
MAX_SIGNED_BYTES = 64 * 1024
MAX_PARTS = 65_536
MAX_RANGES = 64
MAX_COUNTERS = 64
MAX_COUNTER_TEXT = 200
MAX_BITMAP_BYTES = MAX_PARTS // 8
MAX_BITMAP_TEXT = -(-MAX_BITMAP_BYTES // 3) * 4

Ranges = tuple[tuple[int, int], ...]
_RUN = re.compile("1+")


class MessageFields(Fields):
    """The fields of one control message; adds the forms only messages have."""

    def __init__(self, name: str, data: bytes) -> None:
        super().__init__(canonical.loads(data, max_bytes=MAX_CONTROL_BYTES), f"{name} message")
        if self.integer("v") != VERSION:
            raise Integrity(f"{name} message: another version than {VERSION}; update this side")

    def signed(self, name: str) -> bytes:
        """The bytes of a signed record, in base64."""
        text = self.text(name, most=MAX_CONTROL_BYTES)
        try:
            value = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise self._wrong(name, "base64") from None
        if not 0 < len(value) <= MAX_SIGNED_BYTES or base64_text(value) != text:
            raise self._wrong(name, f"canonical base64 of 1 to {MAX_SIGNED_BYTES} bytes")
        return value

    def ranges(self, name: str) -> Ranges:
        """Part indexes as rising, separate `[first, last]` pairs."""
        value = self._get(name)
        if not isinstance(value, list) or len(value) > MAX_RANGES:
            raise self._wrong(name, f"a list of at most {MAX_RANGES} ranges")
        least = 0
        for pair in value:
            if not (isinstance(pair, list) and len(pair) == 2 and all(type(n) is int for n in pair)):
                raise self._wrong(name, "made of [first, last] pairs")
            if not least <= pair[0] <= pair[1] < MAX_PARTS:
                raise self._wrong(name, "rising, apart and within an item")
            least = pair[1] + 2
        return tuple((first, last) for first, last in value)

    def bitmap(self, name: str) -> Ranges:
        """Part indexes as a bitmap in base64: part `i` is bit `i % 8`, from the lowest, of byte `i // 8`."""
        text = self.text(name, most=MAX_BITMAP_TEXT)
        try:
            value = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise self._wrong(name, "base64") from None
        if len(value) > MAX_BITMAP_BYTES or value[-1:] == b"\0" or base64_text(value) != text:
            raise self._wrong(name, f"a canonical bitmap of at most {MAX_PARTS} parts")
        bits = f"{int.from_bytes(value, 'little'):b}"[::-1]
        return tuple((run.start(), run.end() - 1) for run in _RUN.finditer(bits))

    def counters(self, name: str) -> dict[str, int | str]:
        """Counters by name: integers, or short texts."""
        value = self._get(name)
        if not isinstance(value, dict) or len(value) > MAX_COUNTERS:
            raise self._wrong(name, f"an object of at most {MAX_COUNTERS} counters")
        for key, count in value.items():
            fits = type(count) is int or (isinstance(count, str) and len(count) <= MAX_COUNTER_TEXT)
            if not fits or not 0 < len(key) <= MAX_COUNTER_TEXT:
                raise self._wrong(name, "made of integers and short texts")
        return dict(value)


def base64_text(value: bytes) -> str:
    """`value` in canonical base64."""
    return base64.b64encode(value).decode("ascii")


def bitmap_text(ranges: Ranges) -> str:
    """These part indexes as a bitmap in base64, without the zero bytes behind the last one."""
    bits = sum(((1 << (last - first + 1)) - 1) << first for first, last in ranges)
    return base64_text(bits.to_bytes(-(-bits.bit_length() // 8), "little"))
