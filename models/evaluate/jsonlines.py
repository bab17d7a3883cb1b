"""JSON lines read strictly: a fault is told by its file, line and field.

Decided here is only how a value is taken out of a line; what the lines mean is in `manifest` and `peers`.  Fields that
nobody asks for are let through, because other programs' lines carry more than is compared.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vedette.errors import NotFound, Refused

MAX_LINE_BYTES = 4 * 1024 * 1024
MAX_LINES = 2_000_000
MAX_TEXT = 1024


class BadLine(Refused):
    """A line that is not what its format says."""


class Line:
    """The fields of one object; `where` is the file and line, and for an inner object the field it stands in."""

    def __init__(self, body: object, where: str, inside: str = "") -> None:
        self._where, self._inside = where, inside
        if not isinstance(body, dict):
            raise self.wrong("", "expected an object")
        self._body: dict[str, Any] = body

    def wrong(self, name: str, what: str) -> BadLine:
        """The error to raise about one field."""
        field = ".".join(part for part in (self._inside, name) if part)
        return BadLine(f"{self._where}: {f'{field}: ' if field else ''}{what}")

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self._body.get(name) is not None

    def text(self, name: str) -> str:
        """A text."""
        value = self._needed(name)
        if not isinstance(value, str) or len(value) > MAX_TEXT:
            raise self.wrong(name, f"expected text of {MAX_TEXT} characters at most, found {_shown(value)}")
        return value

    def number(self, name: str, *, least: float = -math.inf, most: float = math.inf) -> float:
        """A number from `least` to `most`."""
        value = self._needed(name)
        if not _is_number(value) or not least <= value <= most:
            raise self.wrong(name, f"expected a number{_range(least, most)}, found {_shown(value)}")
        return float(value)

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self._needed(name)
        if not isinstance(value, bool):
            raise self.wrong(name, f"expected true or false, found {_shown(value)}")
        return value

    def box(self, name: str) -> tuple[float, float, float, float]:
        """Four numbers x0, y0, x1, y1 with x0 < x1 and y0 < y1."""
        value = self._needed(name)
        if not isinstance(value, list) or len(value) != 4 or not all(_is_number(side) for side in value):
            raise self.wrong(name, f"expected four numbers [x0, y0, x1, y1], found {_shown(value)}")
        x0, y0, x1, y1 = (float(side) for side in value)
        if x0 >= x1 or y0 >= y1:
            raise self.wrong(name, f"expected x0 < x1 and y0 < y1, found {_shown(value)}")
        return x0, y0, x1, y1

    def corners(self, name: str) -> tuple[tuple[float, float], ...]:
        """Four points [x, y]."""
        value = self._needed(name)
        good = isinstance(value, list) and len(value) == 4
        if not good or not all(
            isinstance(point, list) and len(point) == 2 and all(_is_number(side) for side in point) for point in value
        ):
            raise self.wrong(name, f"expected four points [[x, y], …], found {_shown(value)}")
        return tuple((float(x), float(y)) for x, y in value)

    def objects(self, name: str) -> list[Line | None]:
        """A list of objects, null where an entry is null."""
        value = self._needed(name)
        if not isinstance(value, list):
            raise self.wrong(name, f"expected a list, found {_shown(value)}")
        inside = ".".join(part for part in (self._inside, name) if part)
        return [
            None if inner is None else Line(inner, self._where, f"{inside}[{index}]")
            for index, inner in enumerate(value)
        ]

    def _needed(self, name: str) -> Any:
        if name not in self._body:
            raise self.wrong(name, "is missing")
        return self._body[name]


def lines_of(path: Path) -> Iterator[Line]:
    """Every line of a file that is not blank; raises NotFound, or BadLine where one is no JSON object."""
    if not path.is_file():
        raise NotFound(f"{path}: no such file")
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            where = f"{path}, line {number}"
            if len(raw) > MAX_LINE_BYTES or number > MAX_LINES:
                raise BadLine(f"{where}: more than {MAX_LINES} lines, or one above {MAX_LINE_BYTES} bytes")
            if raw.strip():
                yield Line(_parsed(raw, where), where)


def _parsed(raw: bytes, where: str) -> object:
    try:
        parsed: object = json.loads(raw.decode("utf-8"))
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise BadLine(f"{where}: not JSON: {error}") from error
    return parsed


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _range(least: float, most: float) -> str:
    if math.isfinite(most):
        return f" from {least:g} to {most:g}"
    return f" of {least:g} or more" if math.isfinite(least) else ""


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"
