"""Whose signatures a timeline's lines are checked against, and who vouches for that key.

Decided here: a key that is given goes before all others; a key in a bundle counts by the centre's enrolment of the
bundle's own device, the centre being that of the trust file where there is one, else, and that is said, the one that
the bundle names itself (BU-9, BU-20). Implements TI-32 of docs/spec/timeline.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from vedette.bundle import Keys
from vedette.enrolment import open_enrolment
from vedette.errors import NotTrusted, Usage
from vedette.keys import PublicKey
from vedette.records import keyring
from vedette.trust import Trust


class Vouched(Enum):
    """Who says that a key is the device's, the best first: whoever gave it, the trust file's centre, the centre whose
    store it is, the device itself, or a bundle alone.
    """

    GIVEN = "given"
    TRUST = "trust"
    CENTRE = "centre"
    DEVICE = "device"
    BUNDLE = "bundle"


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundKey:
    """A device's public key (of any device where `device` is None), who vouches for it, where it was found.

    `centre` is the key by which a bundle vouches for itself.
    """

    device: str | None
    key: PublicKey
    vouched: Vouched
    name: str
    centre: PublicKey | None = None


def key_in(name: str, keys: Keys, trust: Trust | None, *, device: str | None = None) -> FoundKey:
    """The key in a bundle of `device`; NotTrusted where its centre is not the trusted one or it is another device's."""
    if trust is not None and (keys.centre, keys.log_origin) != (trust.centre, trust.log_origin):
        raise NotTrusted(
            f"{name}: it is of another centre or log than your trust file: {keys.centre.text}, {keys.log_origin!r}"
        )
    try:
        enrolment = open_enrolment(keys.enrolment, keyring(keys.centre))
    except NotTrusted as error:
        raise NotTrusted(f"{name}: {error}") from None
    if device not in (None, enrolment.device):
        raise NotTrusted(f"{name}: its key is of {enrolment.device}, the bundle of {device}")
    vouched, centre = (Vouched.BUNDLE, keys.centre) if trust is None else (Vouched.TRUST, None)
    return FoundKey(device=enrolment.device, key=enrolment.key, vouched=vouched, name=name, centre=centre)


def key_of(device: str, found: Sequence[FoundKey]) -> FoundKey:
    """The key that this device's lines are checked against: of the keys found, the best vouched for.

    Raises Usage where there is none, NotTrusted where two differ and none was given.
    """
    order = list(Vouched)
    mine = sorted((one for one in found if one.device in (None, device)), key=lambda one: order.index(one.vouched))
    if not mine:
        raise Usage(
            "whose signatures? give the device's key with --key, --keys KEYS.json and --trust TRUST.json, or a bundle"
        )
    other = next((one for one in mine if one.key != mine[0].key), None)
    if other is not None and mine[0].vouched is not Vouched.GIVEN:
        raise NotTrusted(f"{mine[0].name} and {other.name} name different keys of {device}: give the right one, --key")
    return mine[0]
