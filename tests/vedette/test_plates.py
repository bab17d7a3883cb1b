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
    """WL-1, WL-2, WL-3, WL-5, WL-7."""
    plate = plates.normalise(case["in"], case["region"])
    assert (plate.text, plate.text_ascii) == (case["text"], case["text_ascii"])
    assert plate.region == case["region"].upper()


@pytest.mark.parametrize("case", BAD, ids=lambda case: f"{case['in'][:12]} {case['region']}")
def test_plate_is_refused_and_says_why_when_it_is_none(case: dict[str, Any]) -> None:
    """WL-4, WL-6."""
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
@given(st.text(max_size=70), st.sampled_from(["MA", "FR", ""]))
def test_any_text_is_a_plate_in_its_written_form_or_a_plate_error(text: str, region: str) -> None:
    """WL-3, WL-6."""
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
