"""A device's new TLS certificate before the old one ends: when to ask, with which key, and what answer to believe.

Decided here: a certificate is renewed in the last third of its life; its new key is made here and never leaves this
machine; key and certificate come into use together, by one rename of one file (`renewed/tls.pem`), so that a power cut
leaves the old pair or the new one; the connection is then made anew, and what was under way goes on as after any other
loss of a connection. Implements RN-1 to RN-6 of docs/spec/renewal.md.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sync.authorities import Authorities, fingerprint, is_signed_by
from vedette import files
from vedette.clock import Clock
from vedette.errors import Integrity, NotTrusted, VedetteError
from vedette.keys import SigningKey
from vedette.renewal import MAX_CERTIFICATE_BYTES, CertificateRequest

FIRST_AGAIN_US = 60_000_000
MOST_AGAIN_US = 3_600_000_000
LOOK_US = 60_000_000
RENEWED = "renewed"
LAST_SHARE = 3  # the last third of its life
_PEM = serialization.Encoding.PEM


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """One connection's certificate: its common name and the stem of its files in the device's `keys` folder."""

    name: str
    stem: str

    def files(self, keys: Path) -> tuple[Path, Path]:
        """Certificate and key in use: both the renewed file, or the two of the enrolment."""
        renewed = self.renewed(keys)
        return (renewed, renewed) if renewed.is_file() else (keys / f"{self.stem}.crt", keys / f"{self.stem}.key")

    def renewed(self, keys: Path) -> Path:
        """Where a renewed certificate and its key lie, in one file; the uplink may write no other folder of keys."""
        return keys / RENEWED / f"{self.stem}.pem"


def is_due(begins_us: int, ends_us: int, now_us: int) -> bool:
    """Whether a certificate is in the last third of its life, or past it; not by a clock that is before its life."""
    return now_us > begins_us and (ends_us - now_us) * LAST_SHARE < ends_us - begins_us


class Renewal:
    """The renewals of one device; `take_up(name, file)` is called when a new certificate is in use.

    `take_up_authorities(file)` is called when another authority is trusted; `authorities` None: nobody may name one.
    """

    def __init__(
        self,
        device: str,
        identities: Sequence[Identity],
        keys: Path,
        clock: Clock,
        take_up: Callable[[str, Path], None],
        authorities: Authorities | None = None,
        take_up_authorities: Callable[[Path], None] = lambda _file: None,
    ) -> None:
        self._device = device
        self._identities = tuple(identities)
        self._keys = keys
        self._clock = clock
        self._take_up = take_up
        self._authorities = Authorities(keys, {}, clock) if authorities is None else authorities
        self._may_be_named = authorities is not None
        self._take_up_authorities = take_up_authorities
        self._waiting: dict[str, ec.EllipticCurvePrivateKey] = {}
        self._look_at_us = 0
        self._ask_at_us = 0
        self._pause_us = FIRST_AGAIN_US

    def next_request(self, now_us: int) -> bytes | None:
        """The signed request to publish now, None where nothing is due or it is too early to ask again.

        `now_us` is the monotonic clock's. A key file that cannot be read means no request, not an error.
        """
        if now_us < max(self._look_at_us, self._ask_at_us):
            return None
        self._look_at_us = now_us + LOOK_US
        for identity in self._identities:
            with contextlib.suppress(VedetteError, OSError, ValueError):
                if self._is_due(identity):
                    return self._request(identity)
        return None

    def asked(self, now_us: int) -> None:
        """The request is on its way; the next one goes after a pause that doubles up to an hour."""
        self._ask_at_us = now_us + self._pause_us
        self._look_at_us = 0
        self._pause_us = min(MOST_AGAIN_US, self._pause_us * 2)

    def take(self, answer: bytes) -> str | None:
        """Put a certificate that answers a request of ours into use and return its connection's name.

        None where it is the answer to no request that is open (a doubled or late one). Raises Integrity for what is no
        certificate, NotTrusted where it is not this centre's word about this device's key.
        """
        certificate = _certificate(answer)
        found = [
            identity
            for identity in self._identities
            if identity.name in self._waiting and self._waiting[identity.name].public_key() == certificate.public_key()
        ]
        if not found:
            return None
        identity = found[0]
        self._check(identity, certificate)
        key = self._waiting[identity.name].private_bytes(
            _PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path = identity.renewed(self._keys)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        files.replace(path, key + certificate.public_bytes(_PEM), mode=0o600)
        del self._waiting[identity.name]
        self._ask_at_us, self._pause_us = 0, FIRST_AGAIN_US
        self._take_up(identity.name, path)
        return identity.name

    def take_authority(self, record: bytes) -> str | None:
        """Trust the authority that the centre names, and return its SHA-256; certificates of others are due now.

        None where it is trusted already, or somebody else looks after the authorities. Raises what `Authorities.take`
        raises.
        """
        taken = self._authorities.take(record) if self._may_be_named else None
        if taken is None:
            return None
        self._waiting.clear()
        self._look_at_us, self._ask_at_us, self._pause_us = 0, 0, FIRST_AGAIN_US
        self._take_up_authorities(self._authorities.path)
        return fingerprint(taken)

    def _is_due(self, identity: Identity) -> bool:
        current = self._current(identity)
        named = self._authorities.named()
        if named is not None and not is_signed_by(current, named):
            return True
        return is_due(
            int(current.not_valid_before_utc.timestamp()) * 1_000_000,
            int(current.not_valid_after_utc.timestamp()) * 1_000_000,
            self._clock.utc_us(),
        )

    def _current(self, identity: Identity) -> x509.Certificate:
        return _certificate(files.read(identity.files(self._keys)[0], max_bytes=MAX_CERTIFICATE_BYTES))

    def _request(self, identity: Identity) -> bytes:
        key = self._waiting.setdefault(identity.name, ec.generate_private_key(ec.SECP256R1()))
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, identity.name)])
        request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
        named = self._authorities.named()
        asked = CertificateRequest(
            device=self._device,
            name=identity.name,
            request=request.public_bytes(_PEM),
            requested_us=self._clock.utc_us(),
            authority=None if named is None else fingerprint(named),
        )
        return asked.sign(SigningKey.load(self._keys / "sign.pem"))

    def _check(self, identity: Identity, certificate: x509.Certificate) -> None:
        if not any(is_signed_by(certificate, one) for one in self._authorities.trusted()):
            raise NotTrusted("a new certificate is not signed by this centre")
        names = [one.value for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        if names != [identity.name]:
            raise NotTrusted(f"a new certificate is for {names}, not {identity.name}")
        if certificate.not_valid_after_utc <= self._current(identity).not_valid_after_utc:
            raise NotTrusted("a new certificate ends before the old one")


def _certificate(data: bytes) -> x509.Certificate:
    if len(data) > MAX_CERTIFICATE_BYTES:
        raise Integrity(f"a certificate of {len(data)} bytes; {MAX_CERTIFICATE_BYTES} are the most")
    try:
        return x509.load_pem_x509_certificate(data)
    except ValueError:
        raise Integrity("the centre's answer is no certificate") from None
