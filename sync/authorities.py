"""Which certificate authorities this device trusts: the one of its enrolment, and those the centre has named since.

Decided here: what a next authority must be, and that the one before it stays trusted until it ends by itself, so that
a device finds its centre before, while and after the centre changes over. All of them lie in one file, which is
replaced as a whole. Implements RN-9 of docs/spec/renewal.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from vedette import files
from vedette.clock import Clock
from vedette.errors import Integrity, NotTrusted
from vedette.keys import PublicKey
from vedette.next_authority import open_next_authority

MAX_TRUSTED = 4
MAX_FILE_BYTES = 64 * 1024
FIRST = "ca.crt"
TRUSTED = Path("renewed", "authorities.pem")
_PEM = serialization.Encoding.PEM


def trusted_file(keys: Path) -> Path:
    """The file of what is trusted: that of the enrolment until another authority was named."""
    named = keys / TRUSTED
    return named if named.is_file() else keys / FIRST


def load_authorities(path: Path) -> list[x509.Certificate]:
    """The certificates in a file, the newest last; Integrity where it holds none."""
    try:
        return x509.load_pem_x509_certificates(files.read(path, max_bytes=MAX_FILE_BYTES))
    except ValueError:
        raise Integrity(f"{path} holds no certificate") from None


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 (hex) of the certificate's DER."""
    return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()


def is_signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether `authority` is the issuer of `certificate` and its key made the signature."""
    try:
        certificate.verify_directly_issued_by(authority)
    except Exception:  # cryptography's own kinds vary with what is wrong
        return False
    return True


def check_next(data: bytes, trusted: list[x509.Certificate]) -> x509.Certificate:
    """The certificate (PEM) of an authority that may follow those `trusted`; raises Integrity or NotTrusted.

    It signs itself, may sign certificates, has a key of its own, and ends later than each of those before it: an older
    word of the centre, played again, brings nothing back.
    """
    try:
        (certificate,) = x509.load_pem_x509_certificates(data)
        limits = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except (ValueError, x509.ExtensionNotFound):
        raise Integrity("the next authority is not one certificate of an authority") from None
    if not limits.ca or not usage.key_cert_sign or not is_signed_by(certificate, certificate):
        raise NotTrusted("the next authority is none: it signs no certificates, or not itself")
    if any(certificate.not_valid_after_utc <= one.not_valid_after_utc for one in trusted):
        raise NotTrusted("the next authority ends no later than one that is trusted")
    if any(certificate.public_key() == one.public_key() for one in trusted):
        raise NotTrusted("the next authority has the key of one that is trusted")
    return certificate


class Authorities:
    """The authorities in a device's `keys` folder; `centre` are the keys that may name another one."""

    def __init__(self, keys: Path, centre: Mapping[str, PublicKey], clock: Clock) -> None:
        self._keys = keys
        self._centre = centre
        self._clock = clock

    @property
    def path(self) -> Path:
        """Where all of them lie, for TLS."""
        return trusted_file(self._keys)

    def trusted(self) -> list[x509.Certificate]:
        """All of them, the newest last."""
        return load_authorities(self.path)

    def named(self) -> x509.Certificate | None:
        """The newest, where the centre has named one since the enrolment."""
        return self.trusted()[-1] if (self._keys / TRUSTED).is_file() else None

    def take(self, record: bytes) -> x509.Certificate | None:
        """Trust the authority in a record of the centre as well, and return it; None where it is trusted already.

        Those that have ended are let go of. Raises Integrity or NotTrusted, and OSError where it cannot be kept.
        """
        data = open_next_authority(record, self._centre).certificate
        trusted = self.trusted()
        if data.strip() in [one.public_bytes(_PEM).strip() for one in trusted]:
            return None
        certificate = check_next(data, trusted)
        now_us = self._clock.utc_us()
        kept = [one for one in trusted if one.not_valid_after_utc.timestamp() * 1e6 > now_us] or trusted[-1:]
        path = self._keys / TRUSTED
        path.parent.mkdir(mode=0o700, exist_ok=True)
        all_of_them = [*kept[1 - MAX_TRUSTED :], certificate]
        files.replace(path, b"".join(one.public_bytes(_PEM) for one in all_of_them), mode=0o640)
        return certificate
