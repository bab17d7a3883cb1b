"""The list the reader goes by."""

import pytest

from edge.reader import index
from edge.reader.current_list import CHECK_US, RETRY_US, CurrentList
from edge.reader.index import IndexBuilder
from vedette import watchlist
from vedette.errors import Refused
from vedette.keys import SigningKey
from vedette.records import keyring
from vedette.sealed import load_identities, seal
from vedette.trust import load_trust

DAY_US = 86_400_000_000


def open_current(device) -> CurrentList:
    config = device.config
    trusted = keyring(load_trust(config.trust).list_signer)
    return CurrentList(
        config.data,
        identities=load_identities(config.keys / "list.identity"),
        keys=trusted,
        journal=device.open_journal(),
        clock=device.clock,
    )


def run(current: CurrentList, device, *, after_us: int = 0) -> CurrentList:
    device.clock.advance(after_us)
    for _ in range(3):
        current.step(device.clock.mono_us())
    return current


def put(device, sealed: bytes) -> None:
    path = watchlist.current_path(device.config.data)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(sealed)


def seal_for(device, signed: bytes) -> bytes:
    return seal(signed, [load_identities(device.config.keys / "list.identity")[0].recipient])


def test_nothing_matches_when_there_is_no_list(device) -> None:
    """WL-50."""
    current = run(open_current(device), device)
    assert (current.state, current.version, current.age_s, current.index) == ("none", 0, None, None)
    assert device.event_names() == ["service.started"]


def test_list_is_used_when_it_is_there_at_the_start(device) -> None:
    """WL-50, WL-52."""
    device.store_list(device.entry(), version=4)
    device.clock.advance(90_000_000)
    current = run(open_current(device), device)
    assert (current.state, current.version, current.age_s) == ("ok", 4, 90)
    accepted = device.events()[-1]
    assert (accepted.event, accepted.detail["version"], accepted.detail["entries"]) == ("watchlist.accepted", 4, 1)


def test_list_is_taken_over_when_its_file_changes(device) -> None:
    """WL-50."""
    device.store_list(device.entry(), version=4)
    current = run(open_current(device), device)
    device.store_list(device.entry("9|ب|9"), version=5)
    run(current, device, after_us=CHECK_US)
    assert current.version == 5
    assert current.index is not None
    assert (len(current.index.find("9|ب|9")), len(current.index.find("12345|أ|6"))) == (1, 0)
    assert device.event_names().count("watchlist.accepted") == 2


def test_file_is_not_verified_again_when_it_did_not_change(device) -> None:
    """WL-50."""
    device.store_list(device.entry())
    current = run(open_current(device), device)
    run(run(current, device, after_us=CHECK_US), device, after_us=CHECK_US)
    assert device.event_names().count("watchlist.accepted") == 1


@pytest.mark.parametrize("damage", ["another signer", "cut", "not sealed"])
def test_older_list_stays_in_use_when_the_new_file_is_refused(device, damage: str) -> None:
    """WL-12, WL-50, WL-52."""
    device.store_list(device.entry(), version=4)
    current = run(open_current(device), device)
    good = device.signed_list(device.entry(), version=5)
    stranger = watchlist.make_list([], version=5, issued_us=1, expires_us=2**52, source="x", key=SigningKey.generate())
    bad = {"another signer": seal_for(device, stranger), "cut": seal_for(device, good)[:-1], "not sealed": good}
    put(device, bad[damage])
    run(current, device, after_us=CHECK_US)
    assert (current.state, current.version, current.refusal is None) == ("ok", 4, False)
    run(run(current, device, after_us=RETRY_US), device, after_us=RETRY_US)
    assert device.event_names()[-1:] == ["watchlist.refused"]
    assert device.event_names().count("watchlist.refused") == 1


def test_refused_list_is_used_when_the_clock_was_put_right(device) -> None:
    """WL-13, WL-50."""
    device.store_list(device.entry())
    device.clock.jump(-DAY_US)
    current = run(open_current(device), device)
    assert (current.state, current.index) == ("refused", None)
    device.clock.jump(DAY_US)
    run(current, device, after_us=RETRY_US)
    assert (current.state, current.refusal) == ("ok", None)


def test_list_is_given_up_when_it_expires_and_a_newer_one_brings_it_back(device) -> None:
    """WL-14, WL-51."""
    device.store_list(device.entry(), valid_us=DAY_US)
    current = run(open_current(device), device)
    run(current, device, after_us=DAY_US)
    assert (current.state, current.index, current.version) == ("expired", None, 1)
    device.store_list(device.entry(), version=2)
    run(current, device, after_us=CHECK_US)
    assert current.state == "ok"


def test_expired_list_is_refused_as_such_at_the_start(device) -> None:
    """WL-14, WL-51, WL-52."""
    device.store_list(device.entry(), valid_us=DAY_US)
    device.clock.advance(DAY_US)
    current = run(open_current(device), device)
    assert (current.state, current.index) == ("expired", None)
    assert "expired" in str(device.events()[-1].detail["why"])


def test_old_index_is_used_while_a_large_list_is_indexed_in_slices(device, monkeypatch: pytest.MonkeyPatch) -> None:
    """WL-50."""
    device.store_list(device.entry(), version=1)
    current = run(open_current(device), device)
    monkeypatch.setattr(index, "SLICE_ENTRIES", 1)
    monkeypatch.setattr(IndexBuilder.step, "__defaults__", (1,))
    device.store_list(*[device.entry(f"{n}|ب|9") for n in range(1, 4)], version=2)
    device.clock.advance(CHECK_US)
    versions = []
    for _ in range(4):
        current.step(device.clock.mono_us())
        versions.append((current.version, current.building))
    assert versions == [(1, True), (1, True), (1, True), (2, False)]


def test_custody_is_told_later_when_the_disk_took_no_line(device, monkeypatch: pytest.MonkeyPatch) -> None:
    """WL-52."""
    device.store_list(device.entry())
    current = open_current(device)
    append = current._journal.append

    def refuse(*_args: object, **_keys: object) -> None:
        raise Refused("the disk takes no line")

    monkeypatch.setattr(current._journal, "append", refuse)
    assert run(current, device).state == "ok"
    monkeypatch.setattr(current._journal, "append", append)
    run(current, device)
    assert device.event_names()[-1] == "service.started"
    run(current, device, after_us=CHECK_US)
    assert device.event_names()[-1] == "watchlist.accepted"
