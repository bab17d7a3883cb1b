"""Which texts are plates."""

from __future__ import annotations

import pytest

from edge.reader import grammar
from edge.reader.grammar import reading_of
from vedette import plates


@pytest.mark.parametrize(
    ("symbols", "text"),
    [
        ("12345|أ|6", "12345|أ|6"),
        ("12345أ6", "12345|أ|6"),
        ("1|ب89", "1|ب|89"),
        ("609008WW", "609008|WW"),
        ("227709ش", "227709|ش"),
        ("2277|ش|9", "2277|ش|9"),
        ("123456غ", "123456|م"),
        ("12345قس", "12345|قس"),
        ("12345قمم", "12345|قمم"),
        ("12345ممق", "12345|قمم"),
        ("12345|سق", "12345|قس"),
        ("12345W18", "12345|W18"),
        ("12345|A|6", "12345|أ|6"),
        ("12345|?|6", "12345|?|6"),
        ("1?345أ6", "1?345|أ|6"),
        ("123456|7", "1234567"),
    ],
)
def test_a_moroccan_text_is_written_with_bars_however_many_were_seen(symbols: str, text: str) -> None:
    reading = reading_of(symbols)
    assert reading is not None
    assert (reading.text, reading.region) == (text, "MA")


@pytest.mark.parametrize(
    ("symbols", "text"), [("123ت4567", "123تونس4567"), ("1ت1", "1تونس1"), ("12345ن", "12345نت"), ("?2ت45", "?2تونس45")]
)
def test_a_tunisian_text_has_its_word_between_two_numbers(symbols: str, text: str) -> None:
    reading = reading_of(symbols)
    assert reading is not None
    assert (reading.text, reading.region) == (text, "TN")


@pytest.mark.parametrize(
    "text", ["12345|أ|6", "609008|WW", "12345|W18", "123456|م", "12345|قس", "123تونس4567", "12345نت"]
)
def test_what_is_read_is_the_written_form(text: str) -> None:
    symbols = text.replace("تونس", "ت").replace("نت", "ن")
    reading = reading_of(symbols)
    assert reading is not None
    assert plates.normalise(reading.text, reading.region).text == reading.text == text


def test_a_prefecture_that_is_not_there_yet_is_less_likely() -> None:
    known, unknown = reading_of("12345أ89"), reading_of("12345أ90")
    assert known is not None and unknown is not None
    assert unknown.prior < known.prior


def test_a_covered_character_costs_and_more_than_two_are_no_text() -> None:
    whole, one, two = reading_of("1234BCD"), reading_of("12?4BCD"), reading_of("12?4B?D")
    assert whole is not None and one is not None and two is not None
    assert whole.prior > one.prior > two.prior
    assert reading_of("?2?4B?D") is None


def test_variants_leave_a_covered_character_alone() -> None:
    assert "0?R2224" not in set(grammar.variants("0?R2224"))
    assert all(text[1] == "?" for text in grammar.variants("0?R2224"))


@pytest.mark.parametrize(
    "symbols",
    [
        "1234ت4567",
        "123ت",
        "ت123",
        "0ت12",
        "1234567ن",
        "123456غ6",
        "12345|E|6",
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
