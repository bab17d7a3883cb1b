"""Parses the object of a record once, at the edge, into values that cannot be wrong.

Every getter names the record and the field in its error; `close` refuses fields nobody asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from vedette.clock import check_uuid7
from vedette.errors import Integrity

T = TypeVar("T")
MAX_TEXT = 512
MAX_DEVICE_ID = 59  # `<id>.bulk` is a certificate's common name, which has 64 characters at most (RFC 5280)
DEVICE_ID = re.compile(rf"^[a-z0-9](?:[a-z0-9.-]{{1,{MAX_DEVICE_ID - 2}}})[a-z0-9]$")
_SHA256 = re.compile(r"^[0-9a-f]{64}$")


def check_device_id(text: object) -> str:
    """`text` when it is a device id (`[a-z0-9.-]`, 3 to 59 characters, no edge dot or dash), else `Integrity`."""
    if not isinstance(text, str) or not DEVICE_ID.fullmatch(text) or ".." in text:
        raise Integrity(f"{str(text)[:70]!r} is not a device id: 3 to {MAX_DEVICE_ID} of a-z, 0-9, dot and dash")
    return text


class Fields:
    """The fields of one object of a record called `what`."""

    def __init__(self, body: object, what: str) -> None:
        if not isinstance(body, dict):
            raise Integrity(f"{what}: expected an object")
        self._body: dict[str, Any] = body
        self._what = what
        self._asked: set[str] = set()

    def _get(self, name: str) -> Any:
        if name not in self._body:
            raise Integrity(f"{self._what}: the field {name!r} is missing")
        self._asked.add(name)
        return self._body[name]

    def _wrong(self, name: str, expected: str) -> Integrity:
        return Integrity(f"{self._what}: the field {name!r} is not {expected}")

    def text(self, name: str, *, most: int = MAX_TEXT) -> str:
        """Text of `most` characters at most."""
        value = self._get(name)
        if not isinstance(value, str) or len(value) > most:
            raise self._wrong(name, f"text of {most} characters at most")
        return value

    def integer(self, name: str, *, least: int = 0, most: int = (1 << 53) - 1) -> int:
        """An integer from `least` to `most`."""
        value = self._get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise self._wrong(name, f"an integer from {least} to {most}")
        return value

    def boolean(self, name: str) -> bool:
        """True or false."""
        value = self._get(name)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def uuid7(self, name: str) -> str:
        """A canonical UUIDv7."""
        return check_uuid7(self._get(name), f"{self._what}: {name}")

    def device(self, name: str) -> str:
        """A device id."""
        return check_device_id(self._get(name))

    def sha256(self, name: str) -> str:
        """64 lower-case hex digits."""
        value = self._get(name)
        if not isinstance(value, str) or not _SHA256.fullmatch(value):
            raise self._wrong(name, "a SHA-256 in hex")
        return value

    def one_of(self, name: str, choices: Sequence[str]) -> str:
        """One of `choices`."""
        value = self._get(name)
        if value not in choices:
            raise self._wrong(name, "one of " + ", ".join(choices))
        return str(value)

    def optional(self, name: str, parse: Callable[[str], T]) -> T | None:
        """None when the field is null, else `parse(name)`."""
        return None if self._get(name) is None else parse(name)

    def object(self, name: str) -> Fields:
        """The object in this field, as fields of its own."""
        return Fields(self._get(name), f"{self._what}.{name}")

    def objects(self, name: str, *, most: int) -> list[Fields]:
        """The objects of a list of `most` at most."""
        value = self._get(name)
        if not isinstance(value, list) or len(value) > most:
            raise self._wrong(name, f"a list of {most} at most")
        return [Fields(inner, f"{self._what}.{name}[{index}]") for index, inner in enumerate(value)]

    def integers(self, name: str, *, length: int, least: int = -(1 << 53) + 1) -> tuple[int, ...]:
        """A list of exactly `length` integers."""
        value = self._get(name)
        good = isinstance(value, list) and len(value) == length
        if not good or not all(type(one) is int and one >= least for one in value):
            raise self._wrong(name, f"a list of {length} integers")
        return tuple(value)

    def texts(self, name: str, *, most: int = 32) -> dict[str, str]:
        """An object of texts with `most` entries at most."""
        value = self._get(name)
        if not isinstance(value, dict) or len(value) > most or not all(isinstance(one, str) for one in value.values()):
            raise self._wrong(name, f"an object of {most} texts at most")
        return dict(value)

    def close(self) -> None:
        """`Integrity` when the object has a field nobody asked for."""
        unknown = sorted(set(self._body) - self._asked)
        if unknown:
            raise Integrity(f"{self._what}: unknown field {unknown[0]!r}")
