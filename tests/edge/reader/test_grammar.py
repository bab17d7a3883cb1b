"""Which texts are plates."""

from __future__ import annotations

import pytest

from edge.reader import grammar
from edge.reader.grammar import reading_of


@pytest.mark.parametrize(
    ("symbols", "text"),
    [
        ("12345|أ|6", "12345|أ|6"),
        ("12345أ6", "12345|أ|6"),
        ("1|ب89", "1|ب|89"),
        ("609008WW", "609008|WW"),
        ("227709ش", "227709|ش"),
        ("2277|ش|9", "2277|ش|9"),
    ],
)
def test_a_moroccan_text_is_written_with_bars_however_many_were_seen(symbols: str, text: str) -> None:
    reading = reading_of(symbols)
    assert reading is not None
    assert (reading.text, reading.region) == (text, "MA")


@pytest.mark.parametrize(
    "symbols",
    [
        "012345أ6",
        "12345أ0",
        "12345أ100",
        "1234567أ6",
        "AB12أ6",
        "12345أب6",
        "12345أ",
        "|",
        "",
        "A",
        "1234567890",
        "12|34",
    ],
)
def test_a_text_that_no_plate_carries_is_no_reading(symbols: str) -> None:
    assert reading_of(symbols) is None


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("LS15EBC", "GB"),
        ("CJ15EBC", ""),
        ("1234BCD", "ES"),
        ("ABC1D23", "BR"),
        ("ABC1234", ""),
        ("AB123CD", ""),
        ("1ABC234", "BE"),
    ],
)
def test_a_region_is_named_only_where_the_shape_fits_no_other(text: str, region: str) -> None:
    reading = reading_of(text)
    assert reading is not None
    expected = "" if text == "1ABC234" else region  # California issues the Belgian shape too
    assert (reading.text, reading.region) == (text, expected)


def test_widespread_shapes_come_before_rare_ones_and_those_before_unknown_ones() -> None:
    priors = [
        reading.prior for text in ("ABC1234", "AB1C2D", "AB1234CD", "1A1A1A1", "AB1") if (reading := reading_of(text))
    ]
    assert priors == sorted(priors, reverse=True)
    assert len(set(priors)) == 5


def test_a_spanish_shape_with_a_vowel_is_unknown() -> None:
    with_vowel, without = reading_of("1234BAD"), reading_of("1234BCD")
    assert with_vowel is not None and without is not None
    assert with_vowel.prior == grammar.UNKNOWN < without.prior


def test_variants_exchange_look_alikes_to_reach_known_shapes() -> None:
    found = set(grammar.variants("0ZR2224"))
    assert {"OZR2224", "QZR2224", "DZR2224"} <= found
    assert all(grammar.shape_of(text) in grammar.ALL_SHAPES for text in found)
    assert "0ZR2224" not in found


def test_variants_never_exceed_their_maximum() -> None:
    assert all(len(list(grammar.variants(text))) <= grammar.MAX_VARIANTS for text in ("00I1O0Q", "OOOOOOO", "1010101"))


def test_variants_of_a_text_of_an_unknown_length_are_none() -> None:
    assert list(grammar.variants("0O")) == []
