"""Plates of the corps of diplomats: what is read of them, and which entries such a read matches."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edge.reader import grammar
from edge.reader.alphabet import INDEX_OF
from edge.reader.grammar import reading_of
from edge.reader.index import build
from edge.reader.match import match
from edge.reader.regions import only_region, regions_of
from edge.reader.shown import fields_of
from edge.reader.weighing import sure
from vedette import plates
from vedette.keys import SigningKey
from vedette.records import keyring
from vedette.watchlist import WatchEntry, make_list, open_list

KEY = SigningKey.generate()
NOW_US = 1_795_420_800_000_000


def entry(written: str, region: str = "MA") -> WatchEntry:
    """An entry as somebody writes its plate."""
    return WatchEntry(
        plate=plates.normalise(written, region).text,
        region=region,
        reason="found",
        priority="normal",
        source="a",
        valid_from_us=NOW_US - 5,
        valid_to_us=NOW_US + 5,
    )


def matches(read: str, *entries: WatchEntry) -> str | None:
    """The plate of the entry that the read matches."""
    signed = make_list(entries, version=1, issued_us=1, expires_us=NOW_US + 9, source="centre", key=KEY)
    opened = open_list(signed, keyring(KEY.public), now_us=NOW_US, newer_than=None)
    found = match(read, "", build(opened), utc_us=NOW_US)
    return found.plate if found else None


@pytest.mark.parametrize("text", ["123CD45", "7CC32", "1OI1", "199OI9", "12CMD34", "CMD12345", "OI1234", "CC123456"])
def test_a_diplomats_text_counts_as_issued_and_stays_as_it_was_seen(text: str) -> None:
    """WL-66."""
    reading = reading_of(text)
    assert reading is not None
    assert (reading.text, reading.region) == (text, "")
    assert reading.prior >= grammar.ISSUED


def test_a_covered_digit_of_a_diplomats_text_costs_what_it_does_elsewhere() -> None:
    """WL-66."""
    reading = reading_of("12?CD34")
    assert reading is not None
    assert reading.prior == pytest.approx(grammar.ISSUED + grammar.COVERED)


@pytest.mark.parametrize("text", ["1234CX5", "0CD12", "12CD0", "1234CD56", "12CD3456", "CD12", "CD1234567", "12CE345"])
def test_a_text_that_no_diplomat_has_is_what_it_was_before(text: str) -> None:
    """WL-66: of another sign or another number of digits, or with a zero in front."""
    reading = reading_of(text)
    assert reading is not None
    assert reading.prior == grammar.UNKNOWN
    assert "MA" not in regions_of(text, reading.region)


@pytest.mark.parametrize(("other", "text"), [("12GD34", "12CD34"), ("CO1234", "CD1234"), ("1234CO", "1234CD")])
def test_a_diplomats_text_of_an_ordinary_shape_is_as_likely_as_its_shape(other: str, text: str) -> None:
    """WL-66: no ordinary plate is taken for a diplomat's."""
    ordinary, diplomats = reading_of(other), reading_of(text)
    assert ordinary is not None and diplomats is not None
    assert ordinary.prior == diplomats.prior


@pytest.mark.parametrize(
    ("text", "regions"),
    [
        ("123CD45", "MA TN"),
        ("148OI63", "MA TN"),
        ("12CD34", "MA NL PT TN"),
        ("7CMD32", "MA NL TN"),
        ("CMD12345", "ES MA PL"),
        ("CMD123456", "ES MA"),
        ("12?CC34", "MA TN"),
    ],
)
def test_morocco_is_among_the_countries_of_a_diplomats_text_and_none_is_named(text: str, regions: str) -> None:
    """WL-66, HT-44."""
    reading = reading_of(text)
    assert reading is not None
    assert regions_of(text, reading.region) == tuple(regions.split())
    assert (reading.region, only_region(text, reading.region)) == ("", "")


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("123CD45", ("123", "CD", "45")),
        ("7CC32", ("7", "CC", "32")),
        ("12CD34", None),
        ("CD12345", None),
        ("CMD123456", None),
        ("1?3CD45", None),
    ],
)
def test_fields_are_shown_where_no_country_counts_ordinary_plates_so(
    text: str, fields: tuple[str, str, str] | None
) -> None:
    """WL-66, HT-45."""
    expected = dict(zip(("serial", "letter", "prefecture"), fields, strict=True)) if fields else None
    assert fields_of(text) == expected


def test_one_clear_look_is_sure_of_a_diplomats_text() -> None:
    """WL-66: it is not marked down as a text of a shape that nobody issues."""
    rows = np.full((8, len(INDEX_OF) + 1), math.log(0.001), dtype=np.float32)
    for step, symbol in enumerate("123CD45"):
        rows[step, INDEX_OF[symbol]] = math.log(0.99)
    rows[7, 0] = math.log(0.99)
    read = sure(rows)
    assert read is not None
    assert read.text == "123CD45"


WRITTEN = [
    "CD 12-345",
    "12 CD 345",
    "12-CD-345",
    "12|CD|345",
    "12-345 CD",
    "cd 12/345",
    "12CD345",
    "CD12345",
    "12345CD",
]


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("read", ["12CD345", "CD12345", "12345CD"])
def test_a_listed_plate_matches_however_it_is_written_and_wherever_the_camera_sees_the_sign(
    written: str, read: str
) -> None:
    """WL-65, WL-67."""
    assert matches(read, entry(written)) is not None


@pytest.mark.parametrize(("read", "listed"), [("012CD045", "CD 12-45"), ("CD012045", "CD 12-45"), ("9OI1", "OI 9-1")])
def test_zeros_in_front_of_a_number_do_not_count(read: str, listed: str) -> None:
    """WL-65, WL-67."""
    assert matches(read, entry(listed)) == entry(listed).plate


@pytest.mark.parametrize(
    "read",
    ["123CD45", "12CC345", "CC12345", "12CD346", "345CD12", "CD34512", "CMD12345", "2CD345", "CD2345", "12C0345"],
)
def test_nothing_matches_when_sign_or_digits_or_a_place_that_is_seen_differ(read: str) -> None:
    """WL-40, WL-67."""
    assert matches(read, entry("CD 12-345")) is None


def test_an_entry_of_another_country_matches_by_its_own_text_alone() -> None:
    """WL-67."""
    spanish = entry("CD 12-345", "ES")
    assert matches("CD12345", spanish) == "CD12345"
    assert matches("12CD345", spanish) is None
    assert matches("12CD34", entry("12-CD-34", "NL")) == "12CD34"


@pytest.mark.parametrize("read", ["CD", "CD0", "0CD0", "CD00", "1CD", "CD1"])
def test_a_sign_with_hardly_a_digit_is_looked_up_without_trouble(read: str) -> None:
    """WL-67."""
    assert matches(read, entry("CD 12-345")) is None
