"""The index: exact lookup in the verified list."""

from dataclasses import replace

import pytest

from edge.reader import index as index_module
from edge.reader.index import Index, IndexBuilder, build
from vedette.errors import Integrity
from vedette.keys import SigningKey
from vedette.records import keyring
from vedette.watchlist import WatchEntry, WatchList, make_list, open_list

KEY = SigningKey.generate()
NOW_US = 1_795_420_800_000_000
ENTRY = WatchEntry(
    plate="12345|أ|6",
    region="MA",
    reason="stolen",
    priority="high",
    source="test",
    valid_from_us=0,
    valid_to_us=2 * NOW_US,
)


def watchlist(*entries: WatchEntry) -> WatchList:
    signed = make_list(entries, version=1, issued_us=1, expires_us=2 * NOW_US, source="centre", key=KEY)
    return open_list(signed, keyring(KEY.public), now_us=NOW_US, newer_than=None)


def numbered(count: int) -> list[WatchEntry]:
    return [replace(ENTRY, plate=f"{number}|أ|6") for number in range(1, count + 1)]


@pytest.mark.parametrize("count", [0, 1, 2, 999])
def test_index_finds_each_entry_and_nothing_else(count: int) -> None:
    """WL-40."""
    index = build(watchlist(*numbered(count)))
    assert [index.find(entry.plate) for entry in numbered(count)] == [[entry] for entry in numbered(count)]
    assert index.find(f"{count + 1}|أ|6") == []
    assert index.find("") == []


@pytest.mark.parametrize(
    "text", ["12345|أ|7", "12345|أ|", "12345|أ|66", "1234|أ|6", "12345|ا|6", "12345A6", "12345|أ|6 "]
)
def test_index_finds_nothing_when_the_text_is_only_near(text: str) -> None:
    """WL-40."""
    assert build(watchlist(ENTRY)).find(text) == []


def test_index_finds_every_source_when_several_list_a_plate() -> None:
    """WL-40, WL-43."""
    entries = [replace(ENTRY, source=source) for source in ("a", "b", "c")]
    assert sorted(one.source for one in build(watchlist(*entries, *numbered(50))).find(ENTRY.plate)) == ["a", "b", "c"]


def test_index_compares_the_whole_text_when_hashes_collide(monkeypatch: pytest.MonkeyPatch) -> None:
    """WL-40."""
    monkeypatch.setattr(index_module, "_hash", lambda _fresh, plate: len(plate))
    index = build(watchlist(*numbered(9)))
    assert index.find("3|أ|6") == [replace(ENTRY, plate="3|أ|6")]
    assert index.find("3|أ|7") == []


def test_index_is_keyed_anew_when_it_is_made_again() -> None:
    """WL-41."""
    opened = watchlist(*numbered(9))
    first, second = build(opened), build(opened)
    assert sorted(first._hashes) != sorted(second._hashes)


@pytest.mark.parametrize("slice_entries", [1, 3, 4, 5, 99])
def test_index_is_the_same_when_it_is_built_in_slices(slice_entries: int) -> None:
    """WL-40."""
    builder = IndexBuilder(watchlist(*numbered(4)))
    found: Index | None = None
    steps = 0
    while found is None:
        found, steps = builder.step(slice_entries), steps + 1
    assert steps == -(-4 // slice_entries)
    assert found.find("4|أ|6") == [replace(ENTRY, plate="4|أ|6")]


def test_index_is_refused_when_a_signed_line_is_no_entry() -> None:
    """WL-15."""
    opened = watchlist(*numbered(3))
    broken = replace(opened, signed=opened.signed.replace(b'{"plate":"2|', b'{"place":"2|'))
    with pytest.raises(Integrity, match="line 3 is no entry"):
        build(broken)


def test_found_entry_is_refused_when_it_is_malformed() -> None:
    """WL-15."""
    opened = watchlist(*numbered(3))
    index = build(replace(opened, signed=opened.signed.replace(b'"priority":"high"', b'"priority":"low!"')))
    with pytest.raises(Integrity, match="priority"):
        index.find("2|أ|6")
