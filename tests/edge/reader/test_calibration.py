"""What a confidence is worth: the table, the file it comes from, and what it does to a read."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.reader.calibration import (
    IDENTITY,
    MAX_CALIBRATION_BYTES,
    MAX_KNOTS,
    Calibration,
    Knot,
    find_calibration,
    text_of,
)
from edge.reader.ocr import Alternative, PlateText
from edge.reader.registry import CALIBRATION
from vedette.errors import Integrity, Refused

READER = "a" * 64


def table(*pairs: tuple[int, int]) -> Calibration:
    return Calibration(knots=tuple(Knot(raw_permille=raw, right_permille=right) for raw, right in pairs))


def plate(confidence: int, *others: int) -> PlateText:
    return PlateText(
        text="12345|أ|6",
        text_ascii="12345A6",
        region="MA",
        confidence_permille=confidence,
        alternatives=tuple(Alternative(text=str(one), region="", confidence_permille=one) for one in others),
    )


TABLE = table((0, 0), (100, 300), (500, 500), (900, 980))


@pytest.mark.parametrize(
    ("raw", "right"),
    [(0, 0), (1, 3), (99, 297), (100, 300), (101, 300), (102, 301), (300, 400), (500, 500), (900, 980), (1000, 980)],
)
def test_between_two_knots_the_line_is_straight_and_beyond_the_last_it_is_flat(raw: int, right: int) -> None:
    assert TABLE.right_permille(raw) == right


@given(
    raw=st.lists(st.integers(1, 1000), min_size=1, max_size=MAX_KNOTS - 1, unique=True),
    right=st.lists(st.integers(0, 1000), min_size=MAX_KNOTS, max_size=MAX_KNOTS),
    pair=st.lists(st.integers(0, 1000), min_size=2, max_size=2),
)
def test_a_surer_read_is_never_calibrated_below_a_less_sure_one(
    raw: list[int], right: list[int], pair: list[int]
) -> None:
    made = table(*zip([0, *sorted(raw)], sorted(right), strict=False))
    assert 0 <= made.right_permille(min(pair)) <= made.right_permille(max(pair)) <= 1000


def test_identity_changes_nothing() -> None:
    assert [IDENTITY.right_permille(one) for one in range(1001)] == list(range(1001))
    read = plate(700, 200, 50)
    assert IDENTITY.applied(read) is read


@pytest.mark.parametrize(
    "pairs",
    [
        [(0, 0)],
        [(0, 0), (500, 400), (500, 500)],
        [(0, 0), (500, 400), (400, 500)],
        [(0, 500), (1000, 400)],
        [(1, 0), (1000, 1000)],
        [(0, 0), (1001, 1000)],
        [(0, -1), (1000, 1000)],
        [(0, 0), (1000, 1001)],
        [(one, one) for one in range(MAX_KNOTS + 1)],
    ],
)
def test_knots_that_are_no_table_are_refused(pairs: list[tuple[int, int]]) -> None:
    with pytest.raises(Integrity):
        table(*pairs)


def test_as_many_knots_as_the_limit_are_fine() -> None:
    assert len(table(*[(one, one) for one in range(MAX_KNOTS)]).knots) == MAX_KNOTS


def test_the_text_stays_and_the_alternatives_share_what_is_left() -> None:
    made = TABLE.applied(plate(300, 600, 70))
    assert made is not None
    assert (made.text, made.region, made.confidence_permille) == ("12345|أ|6", "MA", 400)
    assert [one.confidence_permille for one in made.alternatives] == [400, 60]


@given(raw=st.integers(0, 1000), shares=st.lists(st.integers(0, 1000), max_size=5))
def test_no_alternative_is_above_the_best_and_all_together_are_no_more_than_certain(
    raw: int, shares: list[int]
) -> None:
    left = 1000 - raw
    others = sorted((one * left // max(1, sum(shares)) for one in shares), reverse=True)
    made = TABLE.applied(plate(raw, *others))
    assert made is not None
    found = [one.confidence_permille for one in made.alternatives]
    assert found == sorted(found, reverse=True)
    assert all(one <= made.confidence_permille for one in found)
    assert made.confidence_permille + sum(found) <= 1000


def test_no_text_stays_no_text() -> None:
    assert TABLE.applied(None) is None


def test_what_is_written_is_found_again(tmp_path: Path) -> None:
    (tmp_path / CALIBRATION).write_text(text_of(TABLE, reader_sha256=READER, reads=1234))
    assert find_calibration(READER, folder=tmp_path) == TABLE


def test_without_a_file_the_readers_own_confidence_stands(tmp_path: Path) -> None:
    assert find_calibration(READER, folder=tmp_path) == IDENTITY


def test_a_table_of_another_reader_is_not_used(tmp_path: Path) -> None:
    (tmp_path / CALIBRATION).write_text(text_of(TABLE, reader_sha256="b" * 64, reads=1))
    assert find_calibration(READER, folder=tmp_path) == IDENTITY


def test_the_package_is_looked_at_where_no_folder_is_named() -> None:
    assert find_calibration("0" * 64) == IDENTITY


GOOD = text_of(TABLE, reader_sha256=READER, reads=9)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"reader_sha256 = ", "calibration"),
        (b"\xff\xfe", "calibration"),
        (b"", "reader_sha256 is missing"),
        (GOOD.replace("raw_permille", "raw").encode(), "raw is unknown"),
        (f'reader_sha256 = "{READER}"\nright_permille = [0, 1]\n'.encode(), "raw_permille is not a list of integers"),
        (GOOD.replace("[0, 100", "[0.0, 100").encode(), "raw_permille is not a list of integers"),
        (GOOD.replace("[0, 100", "[true, 100").encode(), "raw_permille is not a list of integers"),
        (GOOD.replace("[0, 300", "[300").encode(), "not of one length"),
        (GOOD.replace("980", "98").encode(), "never fall"),
        (GOOD.replace(READER, "b" * 64).replace("980", "98").encode(), "never fall"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes, fault: str) -> None:
    (tmp_path / CALIBRATION).write_bytes(content)
    with pytest.raises(Integrity, match=fault):
        find_calibration(READER, folder=tmp_path)


def test_a_file_may_be_as_large_as_the_limit_and_no_larger(tmp_path: Path) -> None:
    full = GOOD + "#" * (MAX_CALIBRATION_BYTES - len(GOOD.encode()))
    (tmp_path / CALIBRATION).write_text(full)
    assert find_calibration(READER, folder=tmp_path) == TABLE
    (tmp_path / CALIBRATION).write_text(full + "#")
    with pytest.raises(Refused, match="larger than"):
        find_calibration(READER, folder=tmp_path)
