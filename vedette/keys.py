"""Ed25519 keys that sign records, journals, lists and receipts (RFC 8032), and their text form.

Decided here: `ed25519:<base64 of 32 bytes>` is a public key's text, its key id is the first 32 hex digits of the
SHA-256 of the raw key, private keys rest as PKCS #8 PEM with mode 0600. Sealing keys (age) are in `sealed`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from vedette import files
from vedette.errors import Integrity, NotTrusted, Refused

_PREFIX = "ed25519:"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key that verifies signatures; `raw` is its 32 bytes."""

    raw: bytes

    @classmethod
    def from_text(cls, text: str) -> PublicKey:
        """Parse `ed25519:<base64>`; `Integrity` for anything else."""
        try:
            raw = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if not text.startswith(_PREFIX) or len(raw) != 32 or base64.b64encode(raw).decode() != text[len(_PREFIX) :]:
            raise Integrity(f"{text[:60]!r} is not a public key of the form ed25519:<base64 of 32 bytes>")
        return cls(raw)

    @property
    def text(self) -> str:
        """`ed25519:<base64>`."""
        return _PREFIX + base64.b64encode(self.raw).decode()

    @property
    def key_id(self) -> str:
        """The first 32 hex digits of the SHA-256 of the raw key."""
        return hashlib.sha256(self.raw).hexdigest()[:32]

    def verify(self, signature: bytes, message: bytes) -> None:
        """Return when `signature` is this key's over `message`, else `NotTrusted`."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except (InvalidSignature, ValueError):
            raise NotTrusted(f"the signature is not one of key {self.key_id}") from None


class SigningKey:
    """A private key; the one thing on a device that says "I recorded this"."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = PublicKey(private.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> SigningKey:
        """A new random key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path) -> SigningKey:
        """Read a PKCS #8 PEM file; `NotFound` when missing, `Refused` when it is not an Ed25519 private key."""
        pem = files.read(path, max_bytes=4096)
        try:
            private = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError):
            raise Refused(f"{path} is not a private key in PEM form") from None
        if not isinstance(private, Ed25519PrivateKey):
            raise Refused(f"{path} is a private key but not an Ed25519 one")
        return cls(private)

    def save(self, path: Path) -> None:
        """Write the key as PKCS #8 PEM, mode 0600; never over another key."""
        pem = self._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        files.write_new(path, pem, mode=0o600)

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature over `message`."""
        return self._private.sign(message)

    @property
    def private(self) -> Ed25519PrivateKey:
        """The key as `cryptography` has it."""
        return self._private
