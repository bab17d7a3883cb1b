"""Who a file is sealed to and who opens it: the age recipient types `mlkem768x25519` and `X25519` (C2SP age.md).

Decided here: evidence is sealed to the post-quantum hybrid type only; X25519 exists to read and test against older
tools. Passphrases, tagged hardware keys and plugins are not built. Spec: docs/spec/sealed-file.md.
"""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from vedette import bech32, files
from vedette.age_header import FILE_KEY_BYTES, HeaderFault, Stanza, decode64, encode64, hkdf
from vedette.errors import Integrity, Refused

MAX_IDENTITIES = 64
MAX_IDENTITY_FILE_BYTES = 64 * 1024

_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
_HYBRID = "mlkem768x25519"
_HYBRID_INFO = b"age-encryption.org/mlkem768x25519"
_MLKEM_KEY_BYTES, _MLKEM_CIPHERTEXT_BYTES, _MLKEM_SEED_BYTES = 1184, 1088, 64
_ENCAPSULATED_BYTES = _MLKEM_CIPHERTEXT_BYTES + 32
_CLASSIC = "X25519"
_CLASSIC_INFO = b"age-encryption.org/v1/X25519"
_BODY_BYTES = FILE_KEY_BYTES + 16
_ZERO_NONCE = bytes(12)


class Recipient(ABC):
    """A public key that files are sealed to; `text` is its `age1…` form."""

    text: str
    is_post_quantum: bool

    @abstractmethod
    def wrap(self, file_key: bytes) -> Stanza:
        """The file key wrapped so that only this recipient's identity gets it back."""

    @staticmethod
    def parse(text: str) -> Recipient:
        """The recipient of an `age1pq1…` or `age1…` text, else `Integrity`."""
        return parse_recipient(text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recipient) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.text[:20]}…)"


class Identity(ABC):
    """A secret key that opens files; `secret_text` is its `AGE-SECRET-KEY-…` form, never shown by `repr`."""

    recipient: Recipient
    secret_text: str

    @abstractmethod
    def unwrap(self, stanza: Stanza) -> bytes | None:
        """The file key, or None when the stanza is another's; `HeaderFault` when one of this type is malformed."""

    @staticmethod
    def parse(text: str) -> Identity:
        """The identity of an `AGE-SECRET-KEY-PQ-1…` or `AGE-SECRET-KEY-1…` text, else `Integrity`."""
        return parse_identity(text)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(of {self.recipient!r})"


class HybridRecipient(Recipient):
    """ML-KEM-768 with X25519 (X-Wing) under HPKE; safe against a later quantum computer. `raw` is 1,216 bytes."""

    is_post_quantum = True

    def __init__(self, raw: bytes) -> None:
        if len(raw) != _MLKEM_KEY_BYTES + 32:
            raise Integrity(f"a post-quantum recipient has {_MLKEM_KEY_BYTES + 32} bytes, this one has {len(raw)}")
        try:
            mlkem = MLKEM768PublicKey.from_public_bytes(raw[:_MLKEM_KEY_BYTES])
        except ValueError:
            raise Integrity("the post-quantum recipient's ML-KEM key is not a valid one") from None
        self._public = MLKEM768X25519PublicKey(mlkem, _usable_x25519(raw[_MLKEM_KEY_BYTES:]))
        self.text = bech32.encode("age1pq", raw)

    def wrap(self, file_key: bytes) -> Stanza:
        sealed = _SUITE.encrypt(file_key, self._public, info=_HYBRID_INFO)
        return Stanza((_HYBRID, encode64(sealed[:_ENCAPSULATED_BYTES])), sealed[_ENCAPSULATED_BYTES:])


class HybridIdentity(Identity):
    """The 32-byte seed of an X-Wing key pair."""

    def __init__(self, seed: bytes) -> None:
        if len(seed) != 32:
            raise Integrity(f"a post-quantum identity has 32 bytes, this one has {len(seed)}")
        expanded = hashlib.shake_256(seed).digest(_MLKEM_SEED_BYTES + 32)
        mlkem = MLKEM768PrivateKey.from_seed_bytes(expanded[:_MLKEM_SEED_BYTES])
        self._x25519 = X25519PrivateKey.from_private_bytes(expanded[_MLKEM_SEED_BYTES:])
        self._private = MLKEM768X25519PrivateKey(mlkem, self._x25519)
        self.recipient = HybridRecipient(
            mlkem.public_key().public_bytes_raw() + self._x25519.public_key().public_bytes_raw()
        )
        self.secret_text = bech32.encode("age-secret-key-pq-", seed).upper()

    @classmethod
    def generate(cls) -> HybridIdentity:
        """A new random identity."""
        return cls(os.urandom(32))

    def unwrap(self, stanza: Stanza) -> bytes | None:
        if stanza.arguments[0] != _HYBRID:
            return None
        encapsulated = _argument(stanza, _ENCAPSULATED_BYTES)
        _exchange(self._x25519, encapsulated[_MLKEM_CIPHERTEXT_BYTES:])
        try:
            return _SUITE.decrypt(encapsulated + stanza.body, self._private, info=_HYBRID_INFO)
        except InvalidTag:
            return None


class X25519Recipient(Recipient):
    """The classic age recipient, for reading and tests; `raw` is 32 bytes."""

    is_post_quantum = False

    def __init__(self, raw: bytes) -> None:
        self._public = _usable_x25519(raw)
        self._raw = raw
        self.text = bech32.encode("age", raw)

    def wrap(self, file_key: bytes) -> Stanza:
        secret = X25519PrivateKey.generate()
        share = secret.public_key().public_bytes_raw()
        wrap_key = hkdf(secret.exchange(self._public), salt=share + self._raw, info=_CLASSIC_INFO)
        return Stanza((_CLASSIC, encode64(share)), ChaCha20Poly1305(wrap_key).encrypt(_ZERO_NONCE, file_key, None))


class X25519Identity(Identity):
    """The classic age identity, for reading and tests."""

    def __init__(self, raw: bytes) -> None:
        if len(raw) != 32:
            raise Integrity(f"an X25519 identity has 32 bytes, this one has {len(raw)}")
        self._private = X25519PrivateKey.from_private_bytes(raw)
        self._public_raw = self._private.public_key().public_bytes_raw()
        self.recipient = X25519Recipient(self._public_raw)
        self.secret_text = bech32.encode("age-secret-key-", raw).upper()

    @classmethod
    def generate(cls) -> X25519Identity:
        """A new random identity."""
        return cls(os.urandom(32))

    def unwrap(self, stanza: Stanza) -> bytes | None:
        if stanza.arguments[0] != _CLASSIC:
            return None
        share = _argument(stanza, 32)
        wrap_key = hkdf(_exchange(self._private, share), salt=share + self._public_raw, info=_CLASSIC_INFO)
        try:
            return ChaCha20Poly1305(wrap_key).decrypt(_ZERO_NONCE, stanza.body, None)
        except InvalidTag:
            return None


def parse_recipient(text: str) -> Recipient:
    """The recipient of an `age1pq1…` or `age1…` text, else `Integrity`."""
    prefix, raw = bech32.decode(text)
    if text == text.lower() and prefix == "age1pq":
        return HybridRecipient(raw)
    if text == text.lower() and prefix == "age":
        return X25519Recipient(raw)
    raise Integrity("the text is not a recipient: those begin with age1pq1 (or age1) in lower case")


def parse_identity(text: str) -> Identity:
    """The identity of an `AGE-SECRET-KEY-PQ-1…` or `AGE-SECRET-KEY-1…` text, else `Integrity`; secrets stay unsaid."""
    prefix, raw = bech32.decode(text)
    if text == text.upper() and prefix == "age-secret-key-pq-":
        return HybridIdentity(raw)
    if text == text.upper() and prefix == "age-secret-key-":
        return X25519Identity(raw)
    raise Integrity("the text is not an identity: those begin with AGE-SECRET-KEY-PQ-1 (or AGE-SECRET-KEY-1)")


def load_identities(path: Path) -> list[Identity]:
    """The identities in a file, one a line, `#` begins a comment line; `NotFound`, or `Refused` naming the line."""
    identities: list[Identity] = []
    text = files.read(path, max_bytes=MAX_IDENTITY_FILE_BYTES).decode("utf-8", "replace")
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            identities.append(parse_identity(line.strip()))
        except Integrity as fault:
            raise Refused(f"{path} line {number}: {fault}") from None
    if not 1 <= len(identities) <= MAX_IDENTITIES:
        raise Refused(f"{path} holds {len(identities)} identities; one to {MAX_IDENTITIES} are expected")
    return identities


def save_identity(path: Path, identity: Identity, *, created: str = "") -> None:
    """Write an identity file that any age tool reads, mode 0600; never over another file."""
    first = f"# created: {created}\n" if created else ""
    text = f"{first}# public key: {identity.recipient.text}\n{identity.secret_text}\n"
    files.write_new(path, text.encode(), mode=0o600)


def _argument(stanza: Stanza, size: int) -> bytes:
    """The stanza's one argument, `size` bytes; its body's length is checked before any key touches it."""
    if len(stanza.arguments) != 2:
        raise HeaderFault(f"a {stanza.arguments[0]} recipient has {len(stanza.arguments) - 1} arguments, not one")
    raw = decode64(stanza.arguments[1], "recipient argument")
    if len(raw) != size or len(stanza.body) != _BODY_BYTES:
        raise HeaderFault(f"a {stanza.arguments[0]} recipient has an argument or body of the wrong length")
    return raw


def _exchange(private: X25519PrivateKey, share: bytes) -> bytes:
    try:
        return private.exchange(X25519PublicKey.from_public_bytes(share))
    except ValueError:
        raise HeaderFault("a recipient's X25519 share is a low-order point, which gives no secret") from None


def _usable_x25519(raw: bytes) -> X25519PublicKey:
    """The public key, once it has shown that it is not a low-order point (RFC 7748, section 6.1)."""
    try:
        public = X25519PublicKey.from_public_bytes(raw)
        X25519PrivateKey.generate().exchange(public)
    except ValueError:
        raise Integrity("the recipient's X25519 key is not a usable one") from None
    return public
