"""The centre's lists of peers: signed when a group changed, never without a new version, without who is revoked."""

from __future__ import annotations

from typing import Any

import pytest

from sync.central import fleet
from sync.central.peer_lists import FLEET, PeerLists, current, groups, set_group
from vedette import topics
from vedette.activation_messages import PeersWant
from vedette.errors import NotFound, Refused
from vedette.peer_list import PeerList, open_peers
from vedette.records import keyring


class Told:
    """A worker's hand-out of lists, and what each device was sent, opened as it does."""

    def __init__(self, centre: Any) -> None:
        self.centre = centre
        self.lists = PeerLists(centre.store, centre.signer.key, self._publish)
        self.sent: list[tuple[str, PeerList]] = []

    def _publish(self, topic: str, payload: bytes) -> None:
        address = topics.parse_topic(topic)
        assert address.name == topics.PEERS
        keys = keyring(self.centre.signer.key.public)
        self.sent.append((address.device, open_peers(payload, keys, device=address.device)))

    def take(self) -> dict[str, tuple[int, list[str]]]:
        """Device → (version, who is on its list), since the last call."""
        sent, self.sent = self.sent, []
        assert len({device for device, _ in sent}) == len(sent)
        return {device: (found.version, sorted(found.peers)) for device, found in sent}


@pytest.fixture
def told(centre: Any) -> Told:
    return Told(centre)


def want(told: Told, *devices: str, version: int = 0) -> None:
    for device in devices:
        told.lists.want(device, PeersWant(version=version))


def test_device_gets_the_list_when_it_asks_and_only_a_newer_one(centre: Any, told: Told) -> None:
    """AC-34, AC-36."""
    for name in ("car-1", "car-2"):
        centre.device(name)
    want(told, "car-1")
    assert told.take() == {"car-1": (1, ["car-1", "car-2"])}
    want(told, "car-1", version=1)
    told.lists.step()
    assert told.take() == {}
    want(told, "car-2")
    assert told.take() == {"car-2": (1, ["car-1", "car-2"])}


@pytest.mark.parametrize("change", ["revoked", "enrolled"])
def test_who_asked_is_told_when_a_device_is_enrolled_or_revoked(centre: Any, told: Told, change: str) -> None:
    """AC-34, AC-36: the others are not, and who is revoked least of all."""
    for name in ("car-1", "car-2", "car-3"):
        centre.device(name)
    want(told, "car-1", "car-2")
    told.take()
    if change == "revoked":
        fleet.revoke(centre.store, "car-2")
        expected = {"car-1": (2, ["car-1", "car-3"])}
    else:
        centre.device("car-4")
        members = ["car-1", "car-2", "car-3", "car-4"]
        expected = {"car-1": (2, members), "car-2": (2, members)}
    told.lists.step()
    assert told.take() == expected
    told.lists.step()
    assert told.take() == {}


def test_moved_device_gets_a_list_that_is_newer_than_the_one_it_has(centre: Any, told: Told) -> None:
    """AC-34, AC-35: versions are one row for all groups, or it would refuse its new group's list."""
    for name in ("car-1", "car-2", "cam-1"):
        centre.device(name)
    set_group(centre.store, "cam-1", "harbour", user="amina")
    want(told, "car-1", "car-2", "cam-1")
    before = told.take()
    assert before["cam-1"][1] == ["cam-1"]
    set_group(centre.store, "car-2", "harbour", user="amina")
    told.lists.step()
    after = told.take()
    assert {device: members for device, (_, members) in after.items()} == {
        "car-1": ["car-1"],
        "car-2": ["cam-1", "car-2"],
        "cam-1": ["cam-1", "car-2"],
    }
    assert min(version for version, _ in after.values()) > max(version for version, _ in before.values())
    assert groups(centre.store) == {"cam-1": "harbour", "car-1": FLEET, "car-2": "harbour"}
    assert [access.reason for access in centre.store.accesses(subject="car-2")] == ["harbour"]


def test_same_members_get_the_same_record_from_every_worker(centre: Any) -> None:
    """AC-34. A device that is back in its group gets a new version all the same."""
    centre.device("car-1")
    centre.device("car-2")
    key = centre.signer.key
    first = current(centre.store, key, FLEET)
    assert current(centre.store, key, FLEET) == first
    set_group(centre.store, "car-2", "harbour", user="amina")
    assert current(centre.store, key, FLEET)[0] == first[0] + 1
    set_group(centre.store, "car-2", FLEET, user="amina")
    assert current(centre.store, key, FLEET)[0] == first[0] + 2


def test_device_that_is_revoked_gets_no_list(centre: Any, told: Told) -> None:
    """AC-34."""
    centre.device("car-1")
    fleet.revoke(centre.store, "car-1")
    want(told, "car-1")
    assert told.take() == {}


@pytest.mark.embedded
@pytest.mark.parametrize("name", ["", "Harbour", "-x", "a b", "a" * 65, "x\n"])
def test_group_is_refused_when_its_name_is_none(centre: Any, device: Any, name: str) -> None:
    """AC-34."""
    with pytest.raises(Refused, match="group"):
        set_group(centre.store, device.id, name, user="amina")


def test_unknown_device_is_in_no_group(centre: Any) -> None:
    """AC-34."""
    with pytest.raises(NotFound):
        set_group(centre.store, "car-9", "harbour", user="amina")
