"""Who may hand in evidence, and how long a look at the fleet is believed (docs/spec/receipt.md, RC-9)."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from sync.central import fleet
from sync.central.admission import BELIEVED_US, Admission
from sync.central.store import Store
from vedette.keys import PublicKey


def test_store_is_asked_once_when_a_device_says_much(centre: Any, device: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """RC-9."""
    asked: list[str] = []

    def ask(store: Store, name: str) -> PublicKey | None:
        asked.append(name)
        return fleet.device_key(store, name)

    monkeypatch.setattr("sync.central.admission.device_key", ask)
    admission = Admission(centre.store)

    assert all(admission.admits(device.id) for _ in range(1000))
    assert asked == [device.id]

    admission.lost(BELIEVED_US)
    assert asked == [device.id, device.id]


@pytest.mark.parametrize(("later_us", "lost"), [(0, False), (BELIEVED_US - 1, False), (BELIEVED_US, True)])
def test_device_is_lost_when_it_was_revoked_and_a_second_has_passed(
    centre: Any, device: Any, later_us: int, lost: bool
) -> None:
    """RC-9."""
    admission = Admission(centre.store)
    assert admission.admits(device.id) and admission.lost(0) == []
    fleet.revoke(centre.store, device.id)

    assert admission.lost(later_us) == ([device.id] if lost else [])

    assert admission.admits(device.id) is not lost
    assert admission.lost(later_us + BELIEVED_US) == ([] if lost else [device.id])


def test_nobody_is_forgotten_when_the_store_cannot_be_asked(
    centre: Any, device: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RC-9. What was revoked meanwhile is seen at the next look."""
    admission = Admission(centre.store)
    assert admission.admits(device.id) and admission.lost(0) == []
    fleet.revoke(centre.store, device.id)

    def broken(*_arguments: object) -> None:
        raise sqlite3.OperationalError("database is locked")

    with monkeypatch.context() as patch:
        patch.setattr("sync.central.admission.device_key", broken)
        with pytest.raises(sqlite3.OperationalError):
            admission.lost(BELIEVED_US)

    assert admission.lost(2 * BELIEVED_US) == [device.id]


def test_stranger_is_put_down_once_when_it_speaks_again(centre: Any) -> None:
    """RC-7, RC-9."""
    admission = Admission(centre.store)
    stranger = centre.stranger()

    reasons = {admission.turn_away(stranger.id) for _ in range(3)}

    (row,) = centre.store.quarantine()
    assert (row.device, row.code, row.text) == (stranger.id, "revoked", reasons.pop())
    assert not admission.admits(stranger.id)
