"""Makes records.json beside it: activations, commands and lists of peers, good ones and ones to be refused.

`.venv/bin/python tests/vectors/activation/make.py` writes the same bytes each time: keys and ids are fixed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vedette.activation_record import ACTIVATION, COMMAND
from vedette.keys import SigningKey
from vedette.peer_list import PEERS
from vedette.records import sign_record

NOW_US = 1_795_420_800_000_000
ID = "0192f1c5-7a10-7abc-8def-0123456789ab"


def key(seed: int) -> SigningKey:
    """A key that everybody knows."""
    return SigningKey(Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


CENTRE, CAR, CAMERA, STRANGER = key(1), key(2), key(3), key(4)


def activation(**changed: Any) -> dict[str, Any]:
    body = {"id": ID, "device": "cam-7", "activation": "lights", "at_us": NOW_US - 40_000, "sent_us": NOW_US}
    return {**body, **changed}


def command(**changed: Any) -> dict[str, Any]:
    body = {"id": ID, "device": "car-1", "command": "start", "reason": "call 4711", "issued_us": NOW_US}
    return {**body, "expires_us": NOW_US + 120_000_000, **changed}


def peers(**changed: Any) -> dict[str, Any]:
    listed = {"car-1": CAR.public.text, "cam-7": CAMERA.public.text}
    return {"version": 8, "issued_us": NOW_US, "group": "fleet", "peers": listed, **changed}


def vectors() -> list[dict[str, Any]]:
    """`for` is the device that opens, `have` the version of the list it has."""
    made: list[tuple[str, bool, str, dict[str, Any], SigningKey]] = [
        ("activation of a peer", True, ACTIVATION, activation(), CAMERA),
        ("activation by a stranger", False, ACTIVATION, activation(), STRANGER),
        ("activation in another's name", False, ACTIVATION, activation(device="car-1"), CAMERA),
        ("activation with more", False, ACTIVATION, activation(place=1), CAMERA),
        ("start", True, COMMAND, command(), CENTRE),
        ("mark of ten minutes", True, COMMAND, command(command="mark", expires_us=NOW_US + 600_000_000), CENTRE),
        ("recovery", True, COMMAND, command(command="recover", reason="", from_us=1, to_us=2), CENTRE),
        ("recovery of no time", False, COMMAND, command(command="recover", from_us=2, to_us=2), CENTRE),
        ("start of a stretch", False, COMMAND, command(from_us=1, to_us=2), CENTRE),
        ("stop", False, COMMAND, command(command="stop"), CENTRE),
        ("start of another device", False, COMMAND, command(device="cam-7"), CENTRE),
        ("start for more than ten minutes", False, COMMAND, command(expires_us=NOW_US + 600_000_001), CENTRE),
        ("start by a device", False, COMMAND, command(), CAR),
        ("list of two", True, PEERS, peers(), CENTRE),
        ("list of nobody else", True, PEERS, peers(peers={"car-1": CAR.public.text}), CENTRE),
        ("list that is here already", False, PEERS, peers(version=7), CENTRE),
        ("older list", False, PEERS, peers(version=6), CENTRE),
        ("list of another group", False, PEERS, peers(peers={"cam-7": CAMERA.public.text}), CENTRE),
        ("list by a peer", False, PEERS, peers(), CAMERA),
        ("list with a device that has no id", False, PEERS, peers(peers={"car-1": CAR.public.text, "": "x"}), CENTRE),
        ("list without a version", False, PEERS, peers(version=0), CENTRE),
        ("list with more", False, PEERS, peers(until_us=NOW_US), CENTRE),
    ]
    found = []
    for name, accept, kind, body, signer in made:
        record = sign_record(kind, body, signer).decode()
        found.append({"name": name, "accept": accept, "kind": kind, "record": record})
    good = sign_record(PEERS, peers(), CENTRE).decode()
    found.append(
        {"name": "list with one more device", "accept": False, "kind": PEERS, "record": good.replace("cam-7", "cam-8")}
    )
    return found


def main() -> None:
    """Write the file."""
    about = "Records of activation.md as car-1 gets them, which has version 7 of the list; see make.py."
    keys = {"centre": CENTRE.public.text, "car-1": CAR.public.text, "cam-7": CAMERA.public.text}
    value = {"about": about, "now_us": NOW_US, "device": "car-1", "have": 7, "keys": keys, "records": vectors()}
    path = Path(__file__).with_name("records.json")
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
