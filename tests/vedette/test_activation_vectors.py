"""Activations, commands and lists of peers against their vectors, and the bounds of a list."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vedette import canonical
from vedette.activation_record import open_activation, open_command
from vedette.enrolment import Enrolment
from vedette.errors import Expired, Refused, VedetteError
from vedette.keys import PublicKey, SigningKey
from vedette.peer_list import MAX_PEERS, PEERS, PeerList, open_peers
from vedette.records import keyring, sign_record

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "activation" / "records.json").read_text())
KEYS = {name: PublicKey.from_text(text) for name, text in VECTORS["keys"].items()}
CENTRE = keyring(KEYS["centre"])
PEER = Enrolment(device="cam-7", key=KEYS["cam-7"], certificate_serial="", enrolled_us=0)


def opened(vector: dict[str, Any]) -> object:
    record, device = vector["record"].encode(), VECTORS["device"]
    if vector["kind"] == PEERS:
        return open_peers(record, CENTRE, device=device, newer_than=VECTORS["have"])
    if "command" in vector["kind"]:
        return open_command(record, CENTRE, device=device)
    return open_activation(record, {PEER.key.key_id: PEER})


def named(one: dict[str, Any]) -> str:
    return str(one["name"])


@pytest.mark.parametrize("vector", [one for one in VECTORS["records"] if one["accept"]], ids=named)
def test_record_says_what_was_signed_when_it_is_good(vector: dict[str, Any]) -> None:
    """AC-23, AC-29, AC-34."""
    found, body = opened(vector), json.loads(vector["record"])["body"]
    said = {name: getattr(found, name) for name in body}
    if vector["kind"] == PEERS:
        said["peers"] = {device: key.text for device, key in said["peers"].items()}
    assert said == body


@pytest.mark.parametrize("vector", [one for one in VECTORS["records"] if not one["accept"]], ids=named)
def test_record_is_refused_when_anything_is_wrong(vector: dict[str, Any]) -> None:
    """AC-23, AC-29, AC-30, AC-34, AC-35."""
    with pytest.raises(VedetteError):
        opened(vector)


def test_half_of_the_vectors_are_rejects() -> None:
    """AC-23."""
    assert sum(not one["accept"] for one in VECTORS["records"]) * 2 >= len(VECTORS["records"])


def listed(count: int, signer: SigningKey) -> PeerList:
    peers = {f"unit-{number}": signer.public for number in range(count)}
    return PeerList(version=1, issued_us=0, group="fleet", peers=peers)


def test_list_is_as_long_as_a_fleet_and_no_longer() -> None:
    """AC-34. Both sides know the bound."""
    signer = SigningKey.generate()
    whole = listed(MAX_PEERS, signer)
    record = whole.sign(signer)
    assert open_peers(record, keyring(signer.public), device="unit-0") == whole
    assert len(record) < 1 << 20
    with pytest.raises(Refused, match="8000 at most"):
        listed(MAX_PEERS + 1, signer).sign(signer)
    longer = canonical.loads(record, max_bytes=1 << 20)["body"]
    longer["peers"]["unit-x"] = signer.public.text
    with pytest.raises(VedetteError, match="'peers'"):
        open_peers(sign_record(PEERS, longer, signer), keyring(signer.public), device="unit-0")


def test_list_is_refused_when_the_same_or_a_newer_one_is_here() -> None:
    """AC-35."""
    signer = SigningKey.generate()
    record = listed(1, signer).sign(signer)
    assert open_peers(record, keyring(signer.public), device="unit-0", newer_than=0).version == 1
    with pytest.raises(Expired, match="not newer"):
        open_peers(record, keyring(signer.public), device="unit-0", newer_than=1)
