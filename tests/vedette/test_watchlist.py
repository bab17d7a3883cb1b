"""The signed list and the device's sealed copy of it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vedette import canonical, errors, watchlist
from vedette.keys import PublicKey, SigningKey
from vedette.records import keyring
from vedette.sealed import HybridIdentity, seal
from vedette.watchlist import WatchEntry, WatchList, make_list, open_list, parse_entry

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "watchlist" / "lists.json").read_text(encoding="utf-8")
)
NOW_US = 1_795_420_800_000_000
DAY_US = 86_400_000_000
KEY = SigningKey.generate()
KEYS = keyring(KEY.public)
IDENTITY = HybridIdentity.generate()
ENTRY = WatchEntry(
    plate="12345|أ|6",
    region="MA",
    reason="stolen",
    priority="high",
    source="test",
    valid_from_us=NOW_US - DAY_US,
    valid_to_us=NOW_US + DAY_US,
)
OTHER = replace(ENTRY, plate="AB123CD", region="FR")


def make(
    version: int = 1, entries: Sequence[WatchEntry] = (ENTRY, OTHER), *, expires_us: int = NOW_US + DAY_US
) -> bytes:
    return make_list(
        entries, version=version, issued_us=NOW_US - DAY_US, expires_us=expires_us, source="centre", key=KEY
    )


def store(folder: Path, signed: bytes, *, now_us: int = NOW_US) -> WatchList:
    return watchlist.store(folder, seal(signed, [IDENTITY.recipient]), [IDENTITY], KEYS, now_us=now_us)


def load(folder: Path, *, now_us: int = NOW_US) -> WatchList:
    return watchlist.load(folder, [IDENTITY], KEYS, now_us=now_us)


def open_vector(case: dict[str, Any]) -> WatchList:
    keys = keyring(PublicKey.from_text(VECTORS["signer"]))
    data = case["list"].encode("utf-8")
    return open_list(data, keys, now_us=VECTORS["now_us"], newer_than=case["newer_than"])


@pytest.mark.parametrize(
    "case", [case for case in VECTORS["cases"] if case["expect"] == "ok"], ids=lambda case: case["name"]
)
def test_list_opens_when_the_vector_is_good(case: dict[str, Any]) -> None:
    """WL-10, WL-11, WL-12, WL-13, WL-14."""
    opened = open_vector(case)
    assert len(list(opened.entries())) == opened.count
    assert opened.version == 7


@pytest.mark.parametrize(
    "case", [case for case in VECTORS["cases"] if case["expect"] != "ok"], ids=lambda case: case["name"]
)
def test_list_is_refused_when_the_vector_is_bad(case: dict[str, Any]) -> None:
    """WL-10, WL-11, WL-12, WL-13, WL-14, WL-17."""
    with pytest.raises(getattr(errors, case["expect"])):
        open_vector(case)


def test_list_is_refused_when_any_one_byte_is_flipped() -> None:
    """WL-10, WL-11."""
    signed = make()
    for place in range(len(signed)):
        changed = bytearray(signed)
        changed[place] ^= 1
        with pytest.raises((errors.Integrity, errors.NotTrusted)):
            open_list(bytes(changed), KEYS, now_us=NOW_US, newer_than=None)


def test_list_returns_its_entries_when_made_and_opened() -> None:
    """WL-15."""
    opened = open_list(make(), KEYS, now_us=NOW_US, newer_than=None)
    assert sorted(entry.plate for entry in opened.entries()) == ["12345|أ|6", "AB123CD"]
    assert ENTRY in set(opened.entries())
    assert (opened.count, opened.source, opened.age_us(NOW_US)) == (2, "centre", DAY_US)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("plate", "12345A6"),
        ("plate", "012345|أ|6"),
        ("plate", ""),
        ("region", "ma"),
        ("region", "FR"),
        ("reason", "x" * 201),
        ("reason", 5),
        ("priority", "urgent"),
        ("source", "x" * 61),
        ("valid_to_us", NOW_US - DAY_US),
        ("valid_from_us", -1),
        ("valid_from_us", True),
    ],
)
def test_entry_is_refused_when_a_field_is_not_what_it_must_be(field: str, value: object) -> None:
    """WL-15."""
    line = canonical.dumps({**ENTRY.to_body(), field: value})
    with pytest.raises(errors.Integrity):
        parse_entry(line)


def test_entry_is_refused_when_a_field_is_missing_or_unknown() -> None:
    """WL-15, WL-17."""
    body = ENTRY.to_body()
    with pytest.raises(errors.Integrity, match="unknown field 'note'"):
        parse_entry(canonical.dumps({**body, "note": ""}))
    with pytest.raises(errors.Integrity, match="'source' is missing"):
        parse_entry(canonical.dumps({name: value for name, value in body.items() if name != "source"}))
    with pytest.raises(errors.Integrity, match="over the limit of 2048"):
        parse_entry(canonical.dumps({**body, "reason": "x" * 2048}))


def test_list_is_not_made_when_a_source_lists_a_plate_twice() -> None:
    """WL-15."""
    with pytest.raises(errors.Refused, match=r"test lists plate 12345\|أ\|6 \(MA\) twice"):
        make(entries=[ENTRY, replace(ENTRY, reason="again")])
    assert make(entries=[ENTRY, replace(ENTRY, source="another")])


def test_list_is_not_made_when_it_would_never_expire_or_has_no_version() -> None:
    """WL-12, WL-14."""
    with pytest.raises(errors.Refused):
        make(expires_us=NOW_US - DAY_US)
    with pytest.raises(errors.Refused):
        make(version=0)


def test_list_is_taken_at_its_limit_and_refused_above(monkeypatch: pytest.MonkeyPatch) -> None:
    """WL-17."""
    entries = [replace(ENTRY, plate=f"{number}|أ|6") for number in range(1, 5)]
    monkeypatch.setattr(watchlist, "MAX_ENTRIES", 3)
    assert open_list(make(entries=entries[:3]), KEYS, now_us=NOW_US, newer_than=None).count == 3
    with pytest.raises(errors.Refused, match="4 entries is over the limit of 3"):
        make(entries=entries)
    signed = make(entries=entries[:3])
    monkeypatch.setattr(watchlist, "MAX_LIST_BYTES", len(signed))
    assert open_list(signed, KEYS, now_us=NOW_US, newer_than=None)
    monkeypatch.setattr(watchlist, "MAX_LIST_BYTES", len(signed) - 1)
    with pytest.raises(errors.Integrity, match="over the limit"):
        open_list(signed, KEYS, now_us=NOW_US, newer_than=None)


def test_entry_keeps_its_id_when_the_list_says_something_else_of_it() -> None:
    """WL-16."""
    renewed = replace(ENTRY, reason="recovered?", priority="low", valid_to_us=NOW_US + 9 * DAY_US)
    assert renewed.entry_id == ENTRY.entry_id
    assert len({ENTRY.entry_id, replace(ENTRY, source="x").entry_id, OTHER.entry_id}) == 3


def test_device_keeps_the_list_sealed_when_it_is_stored(tmp_path: Path) -> None:
    """WL-20, WL-21."""
    assert store(tmp_path, make(3)).version == 3
    assert load(tmp_path).version == 3
    on_disk = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"12345|" not in on_disk and b"AB123CD" not in on_disk and b"stolen" not in on_disk


def test_device_keeps_the_old_list_when_the_new_one_is_refused(tmp_path: Path) -> None:
    """WL-12, WL-21, WL-22."""
    store(tmp_path, make(3))
    with pytest.raises(errors.NotTrusted, match="version 2 is not newer"):
        store(tmp_path, make(2))
    with pytest.raises(errors.Integrity):
        store(tmp_path, make(4)[:-1])
    with pytest.raises(errors.NotTrusted):
        watchlist.store(tmp_path, seal(make(4), [IDENTITY.recipient]), [IDENTITY], keyring(), now_us=NOW_US)
    with pytest.raises(errors.Expired):
        store(tmp_path, make(4), now_us=NOW_US + DAY_US)
    assert load(tmp_path).version == 3


def test_device_refuses_an_older_list_when_its_copy_is_gone(tmp_path: Path) -> None:
    """WL-22."""
    store(tmp_path, make(3))
    watchlist.current_path(tmp_path).unlink()
    with pytest.raises(errors.NotTrusted):
        store(tmp_path, make(2))
    assert store(tmp_path, make(3)).version == 3


def test_device_refuses_its_copy_when_an_older_one_was_put_in_its_place(tmp_path: Path) -> None:
    """WL-22."""
    store(tmp_path, make(2))
    older = watchlist.current_path(tmp_path).read_bytes()
    store(tmp_path, make(3))
    watchlist.current_path(tmp_path).write_bytes(older)
    with pytest.raises(errors.NotTrusted, match="not newer"):
        load(tmp_path)


def test_device_takes_a_list_when_its_note_of_the_version_is_damaged(tmp_path: Path) -> None:
    """WL-22."""
    store(tmp_path, make(3))
    watchlist.current_path(tmp_path).with_name("floor.json").write_bytes(b"{")
    assert watchlist.floor(tmp_path) == 0
    assert store(tmp_path, make(4)).version == 4
    assert watchlist.floor(tmp_path) == 4


def test_device_says_so_when_it_has_no_list_or_another_key(tmp_path: Path) -> None:
    """WL-20."""
    with pytest.raises(errors.NotFound):
        load(tmp_path)
    store(tmp_path, make(3))
    with pytest.raises(errors.VedetteError):
        watchlist.load(tmp_path, [HybridIdentity.generate()], KEYS, now_us=NOW_US)
