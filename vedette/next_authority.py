"""The centre's word that another certificate authority will follow the one its devices trust: a signed record.

The signature is by the centre's signing key, which a device has trusted since its enrolment: so the new authority needs
no signature of the old one, and the thief of an authority's key can name no other. Implements RN-8 of
docs/spec/renewal.md; a signed record of kind `vedette/authority/1` (docs/spec/record.md). What a device makes of it is
sync/authorities.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vedette.fields import Fields
from vedette.keys import PublicKey, SigningKey
from vedette.records import open_record, sign_record

AUTHORITY_RECORD = "vedette/authority/1"
MAX_AUTHORITY_BYTES = 8 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class NextAuthority:
    """The certificate (PEM) of the authority that follows, and since when the centre says so."""

    certificate: bytes
    announced_us: int

    def sign(self, key: SigningKey) -> bytes:
        """The signed record's bytes."""
        body = {"certificate": self.certificate.decode("ascii"), "announced_us": self.announced_us}
        return sign_record(AUTHORITY_RECORD, body, key)


def open_next_authority(record: bytes, centre: Mapping[str, PublicKey]) -> NextAuthority:
    """The authority named in a record that one of the centre's keys signed; raises Integrity or NotTrusted."""
    fields = Fields(open_record(AUTHORITY_RECORD, record, centre, max_bytes=2 * MAX_AUTHORITY_BYTES), "authority")
    text = fields.text("certificate", most=MAX_AUTHORITY_BYTES)
    named = NextAuthority(
        certificate=text.encode("ascii", "replace"),
        announced_us=fields.integer("announced_us"),
    )
    fields.close()
    return named
