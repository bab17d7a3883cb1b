"""A plan's TOML as tables whose every getter names the table and the key in its error; `close` refuses unknown keys.

Implements RD-5 of docs/spec/redaction.md.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from vedette.errors import Refused

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_PLAN_BYTES = 16 << 20
MAX_TEXT = 300
MAX_TIME_US = 1 << 50


def load_table(content: bytes) -> Table:
    """The top table of a TOML file; Refused where it is none or too large."""
    if len(content) > MAX_PLAN_BYTES:
        raise Refused(f"the plan is larger than {MAX_PLAN_BYTES} bytes")
    try:
        document: dict[str, Any] = tomllib.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Refused(f"the plan is not TOML: {error}") from None
    return Table(document, "the plan")


class Table:
    """One table of the plan; every getter names it in its error."""

    def __init__(self, values: object, where: str) -> None:
        if not isinstance(values, dict):
            raise Refused(f"{where} is not a table")
        self._values, self._where = dict(values), where

    def _take(self, name: str, default: object = None) -> Any:
        value = self._values.pop(name, default)
        if value is None:
            raise Refused(f"{self._where}: {name} is missing")
        return value

    def text(self, name: str, *, default: str | None = None) -> str:
        value = self._take(name, default)
        if not isinstance(value, str) or len(value) > MAX_TEXT:
            raise Refused(f"{self._where}: {name} is not a text of {MAX_TEXT} characters at most")
        return value

    def integer(self, name: str, *, least: int = 0, most: int = MAX_TIME_US) -> int:
        value = self._take(name)
        if type(value) is not int or not least <= value <= most:
            raise Refused(f"{self._where}: {name} is not a whole number from {least}")
        return value

    def boolean(self, name: str) -> bool:
        value = self._take(name)
        if not isinstance(value, bool):
            raise Refused(f"{self._where}: {name} is not true or false")
        return value

    def one_of(self, name: str, choices: Sequence[str], *, default: str | None = None) -> str:
        value = self._take(name, default)
        if value not in choices:
            raise Refused(f"{self._where}: {name} is {str(value)[:40]!r}; it is one of {', '.join(choices)}")
        return str(value)

    def table(self, name: str) -> dict[str, Any]:
        value = self._take(name, {})
        if not isinstance(value, dict) or len(value) > 8:
            raise Refused(f"{self._where}: {name} is not a table of 8 at most")
        return value

    def tables(self, name: str, *, most: int) -> list[Table]:
        value = self._take(name, [])
        if not isinstance(value, list) or len(value) > most:
            raise Refused(f"{self._where}: [[{name}]] is a list of {most} tables at most")
        return [Table(one, f"{self._where}: {name} {number}") for number, one in enumerate(value, start=1)]

    def rows(self, name: str, *, most: int, longest: int) -> list[list[int]]:
        value: list[list[int]] = self._take(name)
        good = isinstance(value, list) and len(value) <= most
        if not good or not all(isinstance(row, list) and 5 <= len(row) <= longest + 1 for row in value):
            raise Refused(f"{self._where}: {name} is not a list of [time, x, y, x, y …]")
        if not all(type(one) is int and abs(one) <= MAX_TIME_US for row in value for one in row):
            raise Refused(f"{self._where}: {name} holds something other than whole numbers")
        return value

    def close(self) -> None:
        if self._values:
            raise Refused(f"{self._where}: {min(self._values)!r} is unknown")
