"""The request for a new TLS certificate: a device's signed word that this key is its own.

Its TLS key was made on the device and stays there; the record is signed by the device's signing key, so that neither a
broker nor the thief of a TLS key gets a certificate. Implements RN-1 to RN-3 of docs/spec/renewal.md; a signed record
of kind `vedette/certificate-request/1` (docs/spec/record.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from vedette.errors import Integrity
from vedette.fields import Fields
from vedette.keys import PublicKey, SigningKey
from vedette.records import keyring, open_record, sign_record
from vedette.topics import bulk_identity

CERTIFICATE_REQUEST = "vedette/certificate-request/1"
MAX_REQUEST_BYTES = 4096
MAX_CERTIFICATE_BYTES = 16 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class CertificateRequest:
    """Which device asks, for which connection (`name`: its id, or `<id>.bulk`), by which PKCS #10 request (PEM).

    `authority`: SHA-256 (hex) of the newest authority the centre has named to it, None where it has named none.
    """

    device: str
    name: str
    request: bytes
    requested_us: int
    authority: str | None = None

    def sign(self, key: SigningKey) -> bytes:
        """The signed record's bytes."""
        body = {
            "device": self.device,
            "name": self.name,
            "request": self.request.decode("ascii"),
            "requested_us": self.requested_us,
            **({} if self.authority is None else {"authority": self.authority}),
        }
        return sign_record(CERTIFICATE_REQUEST, body, key)


def open_certificate_request(record: bytes, device: str, key: PublicKey) -> CertificateRequest:
    """The request of `device` in a record signed by its `key`; raises Integrity or NotTrusted."""
    body = open_record(CERTIFICATE_REQUEST, record, keyring(key), max_bytes=2 * MAX_REQUEST_BYTES)
    fields = Fields(body, "certificate request")
    text = fields.text("request", most=MAX_REQUEST_BYTES)
    asked = CertificateRequest(
        device=fields.device("device"),
        name=fields.text("name", most=80),
        request=text.encode("ascii", "replace"),
        requested_us=fields.integer("requested_us"),
        authority=fields.sha256("authority") if "authority" in body else None,
    )
    fields.close()
    if asked.device != device or asked.name not in (device, bulk_identity(device)):
        raise Integrity(f"a certificate request of {device} names {asked.name[:80]!r}")
    return asked
