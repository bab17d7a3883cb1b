"""The centre's list of peers, `vedette/peers/1`: which devices of a group may start each other's cameras.

Decided here: what the record says and when a device may use it in place of the one it has. A device that is revoked is
not on the next list, and that is all it takes. Implements AC-34 and AC-35 of docs/spec/activation.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vedette.enrolment import Enrolment
from vedette.errors import Expired, NotTrusted, Refused
from vedette.fields import Fields, check_device_id
from vedette.keys import PublicKey, SigningKey
from vedette.records import open_record, sign_record

PEERS = "vedette/peers/1"
MAX_PEERS = 8_000
MAX_PEERS_BYTES = 1 << 20
MAX_GROUP = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class PeerList:
    """The devices of `group` with their keys; a version is given once in a centre's life, whatever the group."""

    version: int
    issued_us: int
    group: str
    peers: Mapping[str, PublicKey]

    def sign(self, centre: SigningKey) -> bytes:
        """The record's bytes; `Refused` where a group has too many devices for one list."""
        if len(self.peers) > MAX_PEERS:
            raise Refused(f"group {self.group!r} has {len(self.peers)} devices; {MAX_PEERS} at most share a list")
        body = {
            "version": self.version,
            "issued_us": self.issued_us,
            "group": self.group,
            "peers": {device: key.text for device, key in self.peers.items()},
        }
        record = sign_record(PEERS, body, centre)
        if len(record) > MAX_PEERS_BYTES:
            raise Refused(f"the list of group {self.group!r} has {len(record)} bytes; {MAX_PEERS_BYTES} at most")
        return record

    def without(self, own: str) -> dict[str, Enrolment]:
        """Everybody else by key id, as a post believes them."""
        return {
            key.key_id: Enrolment(device=device, key=key, certificate_serial="", enrolled_us=self.issued_us)
            for device, key in self.peers.items()
            if device != own
        }


def open_peers(record: bytes, keys: Mapping[str, PublicKey], *, device: str, newer_than: int = 0) -> PeerList:
    """The list for `device` in a record by one of `keys` (the centre's).

    Raises `Integrity` for bytes that are no such record, `NotTrusted` for another key or a list on which the device is
    not, `Expired` for one that is not newer than version `newer_than`.
    """
    fields = Fields(open_record(PEERS, record, keys, max_bytes=MAX_PEERS_BYTES), "peer list")
    found = PeerList(
        version=fields.integer("version", least=1),
        issued_us=fields.integer("issued_us"),
        group=fields.text("group", most=MAX_GROUP),
        peers={
            check_device_id(name): PublicKey.from_text(key)
            for name, key in fields.texts("peers", most=MAX_PEERS).items()
        },
    )
    fields.close()
    if device not in found.peers:
        raise NotTrusted(f"peer list version {found.version} of group {found.group!r} is not for {device}")
    if found.version <= newer_than:
        raise Expired(f"peer list version {found.version} is not newer than version {newer_than}, which is here")
    return found
