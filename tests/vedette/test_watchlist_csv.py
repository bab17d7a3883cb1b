"""A watchlist as CSV: strict, every bad row named."""

import json
from pathlib import Path

import pytest

from vedette import cli, watchlist, watchlist_csv
from vedette.errors import Refused
from vedette.watchlist_csv import MAX_VALID_DAYS, BadRows, read_csv

HEADER = "plate,region,reason,priority,source,valid_from,valid_to"
GOOD = "12345|أ|6,MA,stolen,high,dgsn,2026-11-01,2026-12-31"


def bad_rows(*rows: str, header: str = HEADER) -> BadRows:
    with pytest.raises(BadRows) as refused:
        read_csv("\n".join([header, *rows]).encode())
    return refused.value


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("separator", [",", ";"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_csv_is_read_in_every_usual_form(mark: bytes, separator: str, newline: str) -> None:
    """WL-30, WL-31."""
    lines = ["Valid_To,plate,region, Reason ,priority,source,valid_from"]
    lines += ["2026-12-31,١٢٣٤٥ ا ٦,ma,stolen,High,dgsn,2026-11-01T08:00+01:00", "", ",,,,,,"]
    text = newline.join(lines).replace(",", separator)
    (entry,) = read_csv(mark + text.encode())
    assert (entry.plate, entry.region, entry.priority, entry.reason) == ("12345|أ|6", "MA", "high", "stolen")
    assert entry.valid_from_us == 1_793_516_400_000_000
    assert entry.valid_to_us == 1_798_761_600_000_000


def test_csv_keeps_separators_when_they_are_quoted() -> None:
    """WL-30."""
    (entry,) = read_csv(f'{HEADER}\n12345|أ|6,MA,"stolen, armed; ""red""",low,dgsn,2026-11-01,2026-12-31\n'.encode())
    assert entry.reason == 'stolen, armed; "red"'


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (HEADER.replace("priority", "prioritty"), "unknown column 'prioritty'; did you mean 'priority'"),
        (HEADER.replace("valid_to", "until"), "unknown column 'until'; the first row names"),
        (HEADER.replace(",valid_to", ""), "column 'valid_to' is missing"),
        (HEADER + ",plate", "'plate' is there twice"),
        (GOOD, "unknown column"),
        ("", "'plate' is missing"),
    ],
)
def test_csv_is_refused_when_the_header_is_not_the_columns(header: str, message: str) -> None:
    """WL-30."""
    with pytest.raises(Refused, match=message):
        read_csv(f"{header}\n{GOOD}".encode() if header else b"")


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (GOOD.replace("12345|أ|6", "6|أ|12345"), "plate: the last group '12345' is no prefecture"),
        (GOOD.replace("12345|أ|6", ""), "plate: a Moroccan plate is"),
        (GOOD.replace("MA", "UK"), "region: region 'UK' is not an ISO 3166 code; write GB"),
        (GOOD.replace("stolen", " "), "reason: it is empty"),
        (GOOD.replace("stolen", "x" * 201), "reason: it has 201 characters, 200 at most"),
        (GOOD.replace("stolen", "a\u0007b"), "reason: it holds a line break"),
        (GOOD.replace("high", "urgent"), "priority: it is not one of high, normal, low"),
        (GOOD.replace("dgsn", ""), "source: it is empty"),
        (GOOD.replace("2026-12-31", ""), "valid_to: it is empty; every entry has a beginning and an end"),
        (GOOD.replace("2026-12-31", "31/12/2026"), "valid_to: it is neither a date"),
        (GOOD.replace("2026-12-31", "2026-12-31T10:00"), "valid_to: it is neither a date"),
        (GOOD.replace("2026-12-31", "2026-02-30"), "valid_to: it is no time of the calendar"),
        (GOOD.replace("2026-12-31", "9999-12-31"), "valid_to: it is no time of the calendar"),
        (GOOD.replace("2026-12-31", "2099-12-31"), f"valid_to: more than {MAX_VALID_DAYS} days after valid_from"),
        (GOOD.replace("2026-12-31", "2026-10-31"), "valid_to: the entry ends before it begins"),
        (GOOD.replace("2026-11-01", "1969-12-31"), "valid_from: it is before 1970"),
        (GOOD + ",more", "plate: the row has 8 cells, the header 7"),
        ("12345|أ|6", "plate: the row has 1 cells, the header 7"),
    ],
)
def test_csv_names_the_cell_and_the_reason_when_it_is_bad(row: str, expected: str) -> None:
    """WL-31, WL-32, WL-33."""
    (problem,) = bad_rows(row).problems
    assert f"{problem.column}: {problem.reason}".startswith(expected)


def test_csv_names_every_bad_cell_when_several_rows_are_bad() -> None:
    """WL-32, WL-33."""
    both = GOOD.replace("high", "1").replace("2026-12-31", "")
    problems = bad_rows(GOOD, both, "", GOOD.replace("MA", "M1")).problems
    assert [(one.row, one.column) for one in problems] == [(3, "priority"), (3, "valid_to"), (5, "region")]
    assert str(problems[0]) == "row 3, priority '1': it is not one of high, normal, low"


def test_csv_shows_fifty_bad_cells_and_counts_the_others() -> None:
    """WL-32."""
    found = bad_rows(*[GOOD.replace("high", "1")] * 50)
    assert (found.total, len(found.problems), "more" in str(found)) == (50, 50, False)
    found = bad_rows(*[GOOD.replace("high", "1")] * 51)
    assert (found.total, len(found.problems)) == (51, 50)
    assert str(found).splitlines()[-1] == "  and 1 more"
    assert "51 bad cells; nothing is taken over" in str(found)


def test_csv_names_the_earlier_row_when_a_row_repeats_it() -> None:
    """WL-34."""
    (problem,) = bad_rows(GOOD, GOOD.replace("dgsn", "other"), GOOD.replace("12345|أ|6", "12345A6")).problems
    assert (problem.row, problem.column, problem.reason) == (4, "plate", "repeats row 2")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (f"{HEADER}\n{GOOD}".encode("cp1256"), "line 2 is not UTF-8"),
        (f"{HEADER}\n{GOOD}".encode("utf-16"), "line 1 is not UTF-8"),
        (b"plate\0", "zero bytes"),
        (f'{HEADER}\n"{GOOD}'.encode(), "row 2 is not CSV"),
        (f'{HEADER}\n"{"x" * 200_000}",'.encode(), "row 2 is not CSV"),
    ],
)
def test_csv_is_refused_when_it_is_no_csv_in_utf8(data: bytes, message: str) -> None:
    """WL-35."""
    with pytest.raises(Refused, match=message):
        read_csv(data)


def test_csv_is_taken_at_its_limit_and_refused_above(monkeypatch: pytest.MonkeyPatch) -> None:
    """WL-17, WL-35."""
    rows = [GOOD.replace("12345", str(number)) for number in range(1, 5)]
    monkeypatch.setattr(watchlist, "MAX_ENTRIES", 3)
    assert len(read_csv("\n".join([HEADER, *rows[:3]]).encode())) == 3
    with pytest.raises(Refused, match="more than 3 rows"):
        read_csv("\n".join([HEADER, *rows]).encode())
    monkeypatch.setattr(watchlist_csv, "MAX_CSV_BYTES", 10)
    with pytest.raises(Refused, match="over the limit of 10"):
        read_csv(b"x" * 11)


def test_check_prints_what_the_file_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """WL-30."""
    file = tmp_path / "list.csv"
    file.write_text(f"{HEADER}\n{GOOD}\n{GOOD.replace('12345', '7').replace('-12-31', '-11-02')}\n", encoding="utf-8")
    assert cli.main(["watchlist", "check", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["entries"], found["sources"], found["last_end"]) == (2, ["dgsn"], "2027-01-01T00:00:00.000000Z")
    assert cli.main(["watchlist", "check", str(file)]) == 0
    assert "2 entries are good" in capsys.readouterr().out


def test_check_names_rows_and_returns_one_when_a_row_is_broken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """WL-32, WL-33."""
    file = tmp_path / "list.csv"
    file.write_text(f"{HEADER}\n{GOOD}\n{GOOD.replace('high', '1')}\n", encoding="utf-8")
    assert cli.main(["watchlist", "check", str(file)]) == 1
    assert "row 3, priority '1': it is not one of" in capsys.readouterr().err
    assert cli.main(["watchlist", "check", str(tmp_path / "none.csv")]) == 3
