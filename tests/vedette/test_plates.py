"""Plate text: one written form."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vedette import plates

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "watchlist" / "plates.json").read_text(encoding="utf-8")
)
GOOD = [case for case in CASES if "text" in case]
BAD = [case for case in CASES if "error" in case]


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case["text_ascii"])
def test_plate_has_its_written_form_when_people_write_it_in_any_way(case: dict[str, Any]) -> None:
    """WL-1, WL-2, WL-3, WL-5, WL-7, WL-9, WL-60, WL-61, WL-62, WL-63, WL-64, WL-65."""
    plate = plates.normalise(case["in"], case["region"])
    assert (plate.text, plate.text_ascii) == (case["text"], case["text_ascii"])
    assert plate.region == case["region"].upper()


@pytest.mark.parametrize("case", BAD, ids=lambda case: f"{case['in'][:12]} {case['region']}")
def test_plate_is_refused_and_says_why_when_it_is_none(case: dict[str, Any]) -> None:
    """WL-1, WL-4, WL-6, WL-9, WL-61, WL-62, WL-63, WL-65."""
    with pytest.raises(plates.PlateError) as refused:
        plates.normalise(case["in"], case["region"])
    assert case["error"] in str(refused.value)


@settings(deadline=None)
@given(st.integers(1, 9_999_999), st.sampled_from(sorted(plates.ASCII_OF)), st.integers(1, 99))
def test_written_form_stays_and_returns_from_ascii_when_the_plate_is_moroccan(
    serial: int, letter: str, prefecture: int
) -> None:
    """WL-1, WL-3, WL-7."""
    text = f"{serial}|{letter}|{prefecture}"
    plate = plates.normalise(text, "MA")
    assert plate.text == text
    assert plates.normalise(plate.text_ascii, "MA") == plate
    assert plates.normalise(text, "").key == plate.key


@settings(deadline=None)
@given(st.text(alphabet="ABCXYZ0189", min_size=2, max_size=12))
def test_written_form_stays_when_the_plate_is_latin(text: str) -> None:
    """WL-2, WL-3, WL-5."""
    assert plates.normalise(text, "FR").text == text


@settings(deadline=None)
@given(
    st.integers(1, 999),
    st.sampled_from(["تونس", "TU", "TN", "TUN", "TUNIS", "TUNISIE"]),
    st.integers(1, 9999),
    st.sampled_from(["", " ", "|", "-", " / "]),
)
def test_written_form_stays_and_returns_from_ascii_when_the_plate_is_tunisian(
    series: int, word: str, number: int, gap: str
) -> None:
    """WL-3, WL-7, WL-9, WL-64."""
    plate = plates.normalise(f"{series}{gap}{word}{gap}{number}", "TN")
    assert plate.text == f"{series}تونس{number}"
    assert plates.normalise(plate.text_ascii, "TN") == plate
    assert plates.normalise(plate.text, "").key == plate.key


@settings(deadline=None)
@given(st.integers(1, 999_999))
def test_written_form_stays_and_returns_from_ascii_when_the_plate_is_tunisian_and_suspended(number: int) -> None:
    """WL-3, WL-7, WL-9, WL-64."""
    plate = plates.normalise(f"{number} ن.ت", "TN")
    assert plate.text == f"{number}نت"
    assert plates.normalise(plate.text_ascii, "TN") == plate
    assert plates.normalise(plate.text, "").key == plate.key


@pytest.mark.parametrize("digits", ["12", "12346", "1234567", "0012"])
def test_digits_alone_are_one_plate_in_every_region(digits: str) -> None:
    """WL-2, WL-63."""
    assert {plates.normalise(digits, region).key for region in ("MA", "TN", "US", "")} == {digits}


@pytest.mark.parametrize("series", ["WW", "W18", "CD", "CC", "CMD", "OI", "م", "ج", "ش", "قس", "قمم"])
@pytest.mark.parametrize("prefecture", ["", "|18"])
def test_series_is_written_alone_or_with_a_prefecture(series: str, prefecture: str) -> None:
    """WL-1, WL-64."""
    text = f"12345|{series}{prefecture}"
    assert {plates.normalise(text, region).text for region in ("MA", "")} == {text}


@pytest.mark.parametrize("letter", sorted(plates.ASCII_OF))
def test_letter_is_taken_once_when_the_plate_shows_it_in_both_scripts(letter: str) -> None:
    """WL-62."""
    latin = plates.ASCII_OF[letter]
    doubled = [f"12345|{latin} {letter}|6", f"12345{letter}{latin}6", f"12345|{letter}|{latin}|6"]
    assert {plates.normalise(text, "MA").text for text in doubled} == {f"12345|{letter}|6"}


def test_dealers_plate_is_another_than_the_letter_with_prefecture_18_though_both_share_their_ascii() -> None:
    """WL-7, WL-61."""
    dealer, sefrou = plates.normalise("12345|W18", "MA"), plates.normalise("12345|W|18", "MA")
    assert dealer.key != sefrou.key
    assert dealer.text_ascii == sefrou.text_ascii


@settings(deadline=None)
@given(st.text(max_size=70), st.sampled_from(["MA", "TN", "FR", ""]))
def test_any_unicode_is_a_plate_in_its_written_form_or_a_plate_error(text: str, region: str) -> None:
    """WL-3, WL-6."""
    assert_stays(text, region)


PIECES = st.sampled_from([*"0123456789", *plates.ASCII_OF, *plates.LATIN_SERIES, *"ATRUSN| -/", "ت", "غ", "تونس", "نت"])


@settings(deadline=None)
@given(st.lists(PIECES, max_size=8).map("".join), st.sampled_from(["MA", "TN", "FR", ""]))
def test_any_text_of_plates_is_a_plate_in_its_written_form_or_a_plate_error(text: str, region: str) -> None:
    """WL-3, WL-6."""
    assert_stays(text, region)


def assert_stays(text: str, region: str) -> None:
    """A text is no plate, or one whose written form gives the same plate again."""
    try:
        plate = plates.normalise(text, region)
    except plates.PlateError:
        return
    assert plates.normalise(plate.text, region) == plate
    assert plate.text_ascii.isascii() and plate.text_ascii.isalnum()


def test_plates_are_different_when_only_a_look_alike_differs() -> None:
    """WL-5."""
    assert plates.normalise("LS1SEBC", "GB").key != plates.normalise("LS15EBC", "GB").key
    assert plates.normalise("O0", "GB").key != plates.normalise("00", "GB").key
