"""Which certificates this centre gave, which no longer hold, and giving a device a new one before the old one ends.

Decided here: revoking a device revokes every certificate it was ever given; a device asks for a new one over the wire
with a key it made itself, and gets it when its signing key is the enrolled one and it is not revoked; asking again
with the same key gives the same certificate. One certificate, the canary's, is revoked from the beginning: whether a
broker lets it in tells whether that broker reads the revocation list. Implements docs/spec/renewal.md.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sync.authorities import fingerprint, is_signed_by
from sync.central.authority import MAX_PEM_BYTES, Authority
from sync.central.quarantine import put_off
from sync.central.store import Store
from sync.central.succession import authorities, next_authority
from sync.renewal import is_due
from vedette import files
from vedette.errors import Integrity, Refused
from vedette.renewal import CertificateRequest

REVOCATIONS = "crl.pem"
CANARY = "canary.pem"
CANARY_ID = "check-a"  # as a device of the audit, that any broker would let in but for the revocation
MAX_RENEWALS = 8
RENEWALS_WITHIN_US = 86_400_000_000


def write_revocations(store: Store) -> Path:
    """Write the revocation list anew from the store; the broker is told to read it (broker.py notices the change).

    Who is put off for a while is on it for that while.
    """
    keys, now_us = store.folder / "keys", store.clock.utc_us()
    away = sorted(put_off(store))
    gone = f"(revoked_us IS NOT NULL OR device IN ({', '.join('?' * len(away)) or 'NULL'}))"
    sql = (
        f"SELECT certificate_serial FROM devices WHERE {gone} UNION "
        f"SELECT serial FROM certificates JOIN devices USING (device) WHERE {gone}"
    )
    rows = store.db.execute(sql, [*away, *away]).fetchall()
    serials = [write_canary(keys, Authority(keys), now_us), *(row[0] for row in rows)]
    lists = [one.revocations(serials, now_us) for one in authorities(keys, now_us)]
    files.replace(keys / REVOCATIONS, b"".join(lists))
    return keys / REVOCATIONS


def write_canary(keys: Path, authority: Authority, now_us: int) -> str:
    """The serial (hex) of the certificate that never held, in `keys/canary.pem` with its key; made where it is not.

    One of a former authority gives way to another: a broker that no longer knows it refuses it for that reason.
    """
    path = keys / CANARY
    if path.is_file():
        try:
            canary = x509.load_pem_x509_certificate(files.read(path, max_bytes=MAX_PEM_BYTES))
        except ValueError:
            raise Integrity(f"{path} holds no certificate; delete it and start the centre again") from None
        if is_signed_by(canary, authority.x509):
            return f"{canary.serial_number:x}"
    issued = authority.issue_client(CANARY_ID, now_us)
    files.replace(path, issued.key + issued.certificate, mode=0o600)
    return issued.serial


def enter(store: Store, device: str, name: str, serial: str, certificate: bytes) -> None:
    """Note a certificate that `device` was given for the connection `name`."""
    public = x509.load_pem_x509_certificate(certificate).public_key()
    row = [serial, device, name, store.clock.utc_us(), _fingerprint(public), certificate]
    sql = (
        "INSERT INTO certificates (serial, device, name, issued_us, key_sha256, certificate) VALUES (?, ?, ?, ?, ?, ?)"
    )
    store.db.execute(sql, row)


def renew(store: Store, asked: CertificateRequest) -> bytes:
    """The certificate (PEM) for a request whose signature by the device's enrolled key was checked.

    Of the next authority, where the device says that it trusts it. `Integrity` when it holds no request for a P-256 key
    signed by that key, `Refused` past MAX_RENEWALS a day.
    """
    public = _requested_key(asked.request)
    keys, now_us = store.folder / "keys", store.clock.utc_us()
    coming = next_authority(keys)
    authority = coming if coming is not None and asked.authority == fingerprint(coming.x509) else Authority(keys)
    sql = "SELECT certificate FROM certificates WHERE device = ? AND name = ? AND key_sha256 = ?"
    for (given,) in store.db.execute(sql, [asked.device, asked.name, _fingerprint(public)]).fetchall():
        if is_signed_by(x509.load_pem_x509_certificate(bytes(given)), authority.x509):
            return bytes(given)
    sql = "SELECT count(*) FROM certificates WHERE device = ? AND issued_us > ?"
    if store.db.execute(sql, [asked.device, now_us - RENEWALS_WITHIN_US]).fetchone()[0] >= MAX_RENEWALS:
        raise Refused(f"{asked.device} had {MAX_RENEWALS} certificates within a day; it gets no more until tomorrow")
    certificate, serial = authority.certify(asked.name, public, now_us)
    enter(store, asked.device, asked.name, serial, certificate)
    return certificate


def renew_own(keys: Path, host: str, centre: str, now_us: int) -> list[str]:
    """Renew the broker's and the ingest worker's certificates where they are due; the names of those renewed.

    `host` is where the broker listens, `centre` the worker's name. A certificate that does not fit its key, as a power
    cut between the two files leaves it, or is of a former authority, is due as well.
    """
    authority = Authority(keys)
    makers = {
        "server": lambda: authority.issue_server(host, now_us),
        "ingest": lambda: authority.issue_client(centre, now_us),
    }
    renewed = [name for name in makers if _is_own_due(keys, name, authority, now_us)]
    for name in renewed:
        issued = makers[name]()
        files.replace(keys / f"{name}.key", issued.key, mode=0o600)
        files.replace(keys / f"{name}.crt", issued.certificate)
    return renewed


def _is_own_due(keys: Path, name: str, authority: Authority, now_us: int) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(files.read(keys / f"{name}.crt", max_bytes=MAX_PEM_BYTES))
        key = serialization.load_pem_private_key(
            files.read(keys / f"{name}.key", max_bytes=MAX_PEM_BYTES), password=None
        )
    except ValueError as error:
        raise Integrity(f"{keys / name}.crt and .key do not load: {error}") from None
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    is_late = is_due(int(begins.timestamp()) * 1_000_000, int(ends.timestamp()) * 1_000_000, now_us)
    return is_late or certificate.public_key() != key.public_key() or not is_signed_by(certificate, authority.x509)


def _requested_key(request: bytes) -> ec.EllipticCurvePublicKey:
    try:
        parsed = x509.load_pem_x509_csr(request)
        public, proven = parsed.public_key(), parsed.is_signature_valid
    except Exception as error:  # cryptography's own kinds vary with what is wrong inside
        raise Integrity(f"no certificate request: {type(error).__name__}") from None
    if not proven or not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        raise Integrity("the certificate request is not for a P-256 key, or not signed by that key")
    return public


def _fingerprint(public: object) -> str:
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise Integrity("a device's certificate is for an elliptic-curve key")
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(public.public_bytes(serialization.Encoding.DER, form)).hexdigest()
