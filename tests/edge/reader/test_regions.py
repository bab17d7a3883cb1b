"""Which countries a text may be of."""

from __future__ import annotations

import pytest

from edge.reader.grammar import reading_of
from edge.reader.regions import only_region, regions_of


@pytest.mark.parametrize(
    ("symbols", "regions", "region"),
    [
        ("12345أ6", "MA", "MA"),
        ("1234|A|26", "MA", "MA"),
        ("609008WW", "MA", "MA"),
        ("123ت4567", "TN", "TN"),
        ("LS15EBC", "GB", "GB"),
        ("AB12CDE", "GB RO", ""),
        ("ABC1D23", "BR", "BR"),
        ("OUN4297", "BR DE GR PL US", ""),
        ("9ABC123", "BE US", ""),
        ("1AB234", "US", "US"),
        ("1234567", "US", ""),
        ("1234BCD", "ES", "ES"),
        ("12?4BCD", "ES", "ES"),
        ("??15EBC", "ES GB RO SI", ""),
        ("ZZZZZZZZ", "", ""),
    ],
)
def test_a_country_is_named_only_where_no_other_fits(symbols: str, regions: str, region: str) -> None:
    """HT-44."""
    reading = reading_of(symbols)
    assert reading is not None
    assert regions_of(reading.text, reading.region) == tuple(regions.split())
    assert only_region(reading.text, reading.region) == region
