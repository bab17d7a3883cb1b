"""The enrolment record: the centre's signed word that a device id has this signing key and got this certificate.

It lets anybody who knows only the centre's key check what a device signed. Implements BU-9 of docs/spec/bundle.md;
a signed record of kind `vedette/enrolment/1` (docs/spec/record.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vedette.fields import Fields
from vedette.keys import PublicKey, SigningKey
from vedette.records import ENROLMENT, open_record, sign_record


@dataclass(frozen=True, kw_only=True, slots=True)
class Enrolment:
    """Device id, its Ed25519 key, the serial number (hex) of its TLS certificate, and when it was enrolled."""

    device: str
    key: PublicKey
    certificate_serial: str
    enrolled_us: int

    def sign(self, centre: SigningKey) -> bytes:
        """The signed record's bytes."""
        body = {
            "device": self.device,
            "public_key": self.key.text,
            "certificate_serial": self.certificate_serial,
            "enrolled_us": self.enrolled_us,
        }
        return sign_record(ENROLMENT, body, centre)


def open_enrolment(record: bytes, keys: Mapping[str, PublicKey]) -> Enrolment:
    """The enrolment in a record signed by one of `keys` (the centre's); raises Integrity or NotTrusted."""
    fields = Fields(open_record(ENROLMENT, record, keys), "enrolment")
    enrolment = Enrolment(
        device=fields.device("device"),
        key=PublicKey.from_text(fields.text("public_key")),
        certificate_serial=fields.text("certificate_serial", most=64),
        enrolled_us=fields.integer("enrolled_us"),
    )
    fields.close()
    return enrolment
