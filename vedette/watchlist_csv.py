"""A watchlist as people keep it: a CSV file, read strictly, every bad row named with its reason.

Implements docs/spec/watchlist.md, WL-30 to WL-35. One bad row refuses the whole file: a list that silently lacks a
stolen car is worse than yesterday's list.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TypeVar

from vedette import plates, watchlist
from vedette.errors import Refused
from vedette.watchlist import WatchEntry

COLUMNS = ("plate", "region", "reason", "priority", "source", "valid_from", "valid_to")
MAX_CSV_BYTES = 256 << 20
MAX_SHOWN = 50
MAX_VALUE_SHOWN = 60
MAX_VALID_DAYS = 5 * 366

_DATE = re.compile(r"^\d{4}-\d\d-\d\d$")
_DATE_TIME = re.compile(r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)$")
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """What is wrong in one cell; `row` counts as a spreadsheet does (the header is row 1)."""

    row: int
    column: str
    value: str
    reason: str

    def __str__(self) -> str:
        return f"row {self.row}, {self.column} {self.value[:MAX_VALUE_SHOWN]!r}: {self.reason}"


class BadRows(Refused):
    """A CSV with bad rows; `problems` are the first `MAX_SHOWN` of `total`."""

    def __init__(self, problems: Sequence[Problem], total: int) -> None:
        self.problems = tuple(problems[:MAX_SHOWN])
        self.total = total
        lines = [f"the watchlist has {total} bad cell{'s' if total > 1 else ''}; nothing is taken over", *self.problems]
        if total > len(self.problems):
            lines.append(f"and {total - len(self.problems)} more")
        super().__init__("\n  ".join(map(str, lines)))


def read_csv(data: bytes) -> list[WatchEntry]:
    """Every entry of a CSV file; `BadRows` names all that is wrong, `Refused` when it is no such file at all."""
    rows = _rows(_decode(data))
    columns = _header(next(rows, (1, []))[1])
    entries: list[WatchEntry] = []
    problems: list[Problem] = []
    total = 0
    first_row: dict[tuple[str, str, str], int] = {}
    for number, row in rows:
        found = _entry(number, row, columns)
        if isinstance(found, WatchEntry):
            name = (found.plate, found.region, found.source)
            earlier = first_row.setdefault(name, number)
            if earlier == number:
                entries.append(found)
                continue
            found = [Problem(row=number, column="plate", value=found.plate, reason=f"repeats row {earlier}")]
        total += len(found)
        problems.extend(found[: MAX_SHOWN - len(problems)])
    if total:
        raise BadRows(problems, total)
    return entries


def _decode(data: bytes) -> str:
    if len(data) > MAX_CSV_BYTES:
        raise Refused(f"a CSV of {len(data)} bytes is over the limit of {MAX_CSV_BYTES}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Refused(f"line {line} is not UTF-8; save the file as CSV UTF-8") from None
    if "\0" in text:
        raise Refused("the file holds zero bytes, so it is no CSV in UTF-8; save it as CSV UTF-8")
    return text


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """(row number, cells) of every row that has any text, in the delimiter of the header."""
    header = text.lstrip("\r\n").partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=";" if ";" in header else ",", strict=True)
    number = 0
    try:
        for number, row in enumerate(reader, start=1):
            if number > watchlist.MAX_ENTRIES + 1:
                raise Refused(f"more than {watchlist.MAX_ENTRIES} rows; a watchlist holds no more")
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield number, cells
    except csv.Error as error:
        raise Refused(f"row {number + 1} is not CSV: {error}") from None


def _header(cells: Sequence[str]) -> list[str]:
    columns = [cell.lower() for cell in cells]
    for column in columns:
        if column not in COLUMNS:
            near = difflib.get_close_matches(column, COLUMNS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"the first row names the columns {', '.join(COLUMNS)}"
            raise Refused(f"unknown column {column[:MAX_VALUE_SHOWN]!r}; {hint}")
        if columns.count(column) > 1:
            raise Refused(f"the column {column!r} is there twice")
    missing = [column for column in COLUMNS if column not in columns]
    if missing:
        raise Refused(f"the column {missing[0]!r} is missing; the first row names {', '.join(COLUMNS)}")
    return columns


@dataclass(kw_only=True, slots=True)
class _Row:
    """One row being read; what is wrong in it gathers in `problems`."""

    number: int
    cells: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)

    def parse(self, column: str, rule: Callable[[str], T], default: T) -> T:
        try:
            return rule(self.cells[column])
        except Refused as error:
            self.wrong(column, str(error))
            return default

    def wrong(self, column: str, reason: str) -> None:
        value = self.cells.get(column, "")
        self.problems.append(Problem(row=self.number, column=column, value=value, reason=reason))


def _entry(number: int, cells: Sequence[str], columns: Sequence[str]) -> WatchEntry | list[Problem]:
    row = _Row(number=number, cells=dict(zip(columns, cells, strict=False)))
    if len(cells) != len(columns):
        row.wrong(
            columns[0], f"the row has {len(cells)} cells, the header {len(columns)}; a text with a comma needs quotes"
        )
        return row.problems
    region = row.parse("region", plates.check_region, "")
    plate = row.parse("plate", lambda text: plates.normalise(text, region).text, "")
    entry = WatchEntry(
        plate=plate,
        region=region,
        reason=row.parse("reason", lambda text: _text(text, watchlist.MAX_REASON), ""),
        priority=row.parse("priority", _priority, ""),
        source=row.parse("source", lambda text: _text(text, watchlist.MAX_SOURCE), ""),
        valid_from_us=row.parse("valid_from", lambda text: _time(text, day_after=0), 0),
        valid_to_us=row.parse("valid_to", lambda text: _time(text, day_after=1), 0),
    )
    if not row.problems:
        _check_validity(row, entry)
    return row.problems or entry


def _check_validity(row: _Row, entry: WatchEntry) -> None:
    if entry.valid_to_us <= entry.valid_from_us:
        row.wrong("valid_to", "the entry ends before it begins")
    elif entry.valid_to_us - entry.valid_from_us > MAX_VALID_DAYS * 86_400_000_000:
        row.wrong("valid_to", f"more than {MAX_VALID_DAYS} days after valid_from; an entry has to be renewed by then")


def _text(text: str, most: int) -> str:
    if not text:
        raise Refused("it is empty")
    if len(text) > most:
        raise Refused(f"it has {len(text)} characters, {most} at most")
    if not text.isprintable():
        raise Refused("it holds a line break or control character")
    return text


def _priority(text: str) -> str:
    if text.lower() not in watchlist.PRIORITIES:
        raise Refused(f"it is not one of {', '.join(watchlist.PRIORITIES)}")
    return text.lower()


def _time(text: str, *, day_after: int) -> int:
    """Microseconds since the epoch of an ISO 8601 date (UTC; its first moment, or its last) or date-time with zone."""
    if not text:
        raise Refused("it is empty; every entry has a beginning and an end")
    if _DATE.match(text):
        moment, days = f"{text}T00:00:00+00:00", day_after
    elif _DATE_TIME.match(text):
        moment, days = text.replace(" ", "T").replace("Z", "+00:00"), 0
    else:
        raise Refused("it is neither a date such as 2026-11-23 nor a time with its zone such as 2026-11-23T08:00+01:00")
    try:
        since = datetime.fromisoformat(moment) + timedelta(days=days) - _EPOCH
    except (ValueError, OverflowError) as error:
        raise Refused(f"it is no time of the calendar: {error}") from None
    if since < timedelta(0):
        raise Refused("it is before 1970")
    return since // timedelta(microseconds=1)
