"""The centre's certificate authority: ECDSA P-256 certificates for broker, ingest worker and devices.

Decided here: a certificate's common name is the MQTT user name and client id; which names may not be a
device's; how long certificates last, never longer than their authority; the revocation list (RFC 5280). Not
decided here: who is enrolled (fleet.py), when an authority gives way to the next (succession.py).
"""

from __future__ import annotations

import datetime
import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from vedette import files
from vedette.errors import Refused

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 825
LASTS = datetime.timedelta(days=CERTIFICATE_DAYS)
# An expired revocation list makes OpenSSL refuse every client, so it outlives the certificates; it is written anew at
# every start and every revocation.
REVOCATIONS_DAYS = 3650
_BACKDATE = datetime.timedelta(days=1)  # a device's clock may be a little behind when it first connects
MAX_PEM_BYTES = 64 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Issued:
    """A new certificate with its key, both PEM; `serial` in hex is how it is revoked."""

    certificate: bytes
    key: bytes
    serial: str


class Authority:
    """The authority whose certificate and key lie in the folder `keys`; `now_us` is stamped into what it signs.

    `Refused` where they do not belong together.
    """

    def __init__(self, keys: Path, certificate: str = "ca.crt", key: str = "ca.key") -> None:
        loaded = serialization.load_pem_private_key(files.read(keys / key, max_bytes=MAX_PEM_BYTES), password=None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise Refused(f"{keys / key} is not an elliptic-curve key")
        self._key = loaded
        self.x509 = x509.load_pem_x509_certificate(files.read(keys / certificate, max_bytes=MAX_PEM_BYTES))
        if self.x509.public_key() != loaded.public_key():
            text = f"{keys / certificate} is not for the key in {key}"
            raise Refused(f"{text}; was `vedette central authority --switch` broken off? Repeat it")

    @property
    def certificate(self) -> bytes:
        """Its certificate, PEM."""
        return _pem(self.x509)

    @staticmethod
    def create(keys: Path, name: str, now_us: int) -> Authority:
        """Make a new authority called `name` in the folder `keys`; never over another one."""
        made = make(f"{name} CA", now_us)
        files.write_new(keys / "ca.key", made.key, mode=0o600)
        files.write_new(keys / "ca.crt", made.certificate)
        return Authority(keys)

    def issue_server(self, host: str, now_us: int) -> Issued:
        """A certificate for the broker: localhost, both loopback addresses, this machine's name and `host`."""
        names = {"localhost", "127.0.0.1", "::1", socket.gethostname(), host} - {"", "0.0.0.0", "::"}
        alternatives = x509.SubjectAlternativeName([_general_name(name) for name in sorted(names)])
        key = ec.generate_private_key(ec.SECP256R1())
        usage = ExtendedKeyUsageOID.SERVER_AUTH
        certificate = self._sign("broker", key.public_key(), usage, now_us, LASTS, alternatives)
        return Issued(certificate=_pem(certificate), key=_key_pem(key), serial=f"{certificate.serial_number:x}")

    def issue_client(self, name: str, now_us: int, *, lasts: datetime.timedelta = LASTS) -> Issued:
        """A client certificate whose common name (and alternative name, for brokers that look there) is `name`."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._client(name, key.public_key(), now_us, lasts)
        return Issued(certificate=_pem(certificate), key=_key_pem(key), serial=f"{certificate.serial_number:x}")

    def certify(self, name: str, key: ec.EllipticCurvePublicKey, now_us: int) -> tuple[bytes, str]:
        """A client certificate for `name` and a key made elsewhere: (PEM, serial in hex)."""
        certificate = self._client(name, key, now_us, LASTS)
        return _pem(certificate), f"{certificate.serial_number:x}"

    def revocations(self, serials: Iterable[str], now_us: int) -> bytes:
        """The signed revocation list of these serial numbers (hex), PEM."""
        now = _moment(now_us)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.x509.subject)
            .last_update(now - _BACKDATE)
            .next_update(now + datetime.timedelta(days=REVOCATIONS_DAYS))
            .add_extension(self._authority_id(), critical=False)
            .add_extension(x509.CRLNumber(now_us), critical=False)
        )
        for serial in serials:
            revoked = x509.RevokedCertificateBuilder().serial_number(int(serial, 16)).revocation_date(now).build()
            builder = builder.add_revoked_certificate(revoked)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _client(
        self, name: str, key: ec.EllipticCurvePublicKey, now_us: int, lasts: datetime.timedelta
    ) -> x509.Certificate:
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name)])
        return self._sign(name, key, ExtendedKeyUsageOID.CLIENT_AUTH, now_us, lasts, alternatives)

    def _sign(
        self,
        name: str,
        key: ec.EllipticCurvePublicKey,
        purpose: x509.ObjectIdentifier,
        now_us: int,
        lasts: datetime.timedelta,
        alternatives: x509.SubjectAlternativeName,
    ) -> x509.Certificate:
        # One that has ended gives certificates of no use, so that the centre still starts and shows what it keeps.
        ends = max(_moment(now_us) - _BACKDATE, min(_moment(now_us) + lasts, self.x509.not_valid_after_utc))
        builder = (
            _builder(_name(name), self.x509.subject, key, now_us, ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(self._authority_id(), critical=False)
        )
        return builder.add_extension(alternatives, critical=False).sign(self._key, hashes.SHA256())

    def _authority_id(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())


def make(name: str, now_us: int) -> Issued:
    """A new authority's certificate, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    ends = _moment(now_us) + datetime.timedelta(days=AUTHORITY_DAYS)
    builder = (
        _builder(subject, subject, key.public_key(), now_us, ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    certificate = builder.sign(key, hashes.SHA256())
    return Issued(certificate=_pem(certificate), key=_key_pem(key), serial=f"{certificate.serial_number:x}")


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, now_us: int, ends: datetime.datetime
) -> x509.CertificateBuilder:
    begins = _moment(now_us) - _BACKDATE
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(begins).not_valid_after(ends)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _moment(now_us: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(now_us // 1_000_000, datetime.timezone.utc)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
