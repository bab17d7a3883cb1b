"""Match: exact, in time, the best of several."""

from dataclasses import replace

import pytest

from edge.reader.index import build
from edge.reader.match import match
from vedette.keys import SigningKey
from vedette.records import keyring
from vedette.watchlist import WatchEntry, make_list, open_list

KEY = SigningKey.generate()
NOW_US = 1_795_420_800_000_000
EXPIRES_US = NOW_US + 1000
ENTRY = WatchEntry(
    plate="AB123CD",
    region="FR",
    reason="stolen",
    priority="normal",
    source="a",
    valid_from_us=NOW_US - 5,
    valid_to_us=NOW_US + 5,
)


def found(*entries: WatchEntry, text: str = "AB123CD", region: str = "FR", utc_us: int = NOW_US) -> WatchEntry | None:
    signed = make_list(entries, version=1, issued_us=1, expires_us=EXPIRES_US, source="centre", key=KEY)
    opened = open_list(signed, keyring(KEY.public), now_us=NOW_US, newer_than=None)
    return match(text, region, build(opened), utc_us=utc_us)


@pytest.mark.parametrize("text", ["AB123CO", "AB123C", "AB123CDD", "A8123CD", "", "?", "AB123CD|"[:-2]])
def test_nothing_matches_when_the_text_is_not_exactly_the_entrys(text: str) -> None:
    """WL-40."""
    assert found(ENTRY, text=text) is None


@pytest.mark.parametrize("region", ["FR", "IT", "", "europe"])
def test_entry_matches_when_the_text_is_equal_whatever_region_the_reader_guessed(region: str) -> None:
    """WL-8, WL-40."""
    assert found(ENTRY, region=region) == ENTRY


@pytest.mark.parametrize(
    ("utc_us", "matches"), [(NOW_US - 6, False), (NOW_US - 5, True), (NOW_US + 4, True), (NOW_US + 5, False)]
)
def test_entry_matches_only_while_it_is_valid(utc_us: int, matches: bool) -> None:
    """WL-42."""
    assert (found(ENTRY, utc_us=utc_us) is not None) == matches


@pytest.mark.parametrize(("utc_us", "matches"), [(EXPIRES_US - 1, True), (EXPIRES_US, False)])
def test_nothing_matches_when_the_list_has_expired(utc_us: int, matches: bool) -> None:
    """WL-51."""
    assert (found(replace(ENTRY, valid_to_us=2 * NOW_US), utc_us=utc_us) is not None) == matches


def test_reads_own_region_then_urgency_decide_when_several_entries_match() -> None:
    """WL-43."""
    low, high = replace(ENTRY, priority="low"), replace(ENTRY, priority="high", source="b")
    italian = replace(ENTRY, region="IT", priority="high")
    assert found(low, high, italian) == high
    assert found(low, italian) == low
    assert found(low, italian, region="IT") == italian
    assert found(replace(high, valid_to_us=NOW_US), low) == low


def test_moroccan_read_matches_when_the_list_was_written_in_latin_letters() -> None:
    """WL-3, WL-40."""
    entry = replace(ENTRY, plate="12345|أ|6", region="MA")
    assert found(entry, text="12345|أ|6", region="MA") == entry
    assert found(entry, text="12345A6", region="MA") is None
