"""The payload of an age v1 file (C2SP age.md, "Payload"): chunks of 64 KiB under ChaCha20-Poly1305.

Decided here: nothing beyond the format. Who opens which chunk when is decided in `sealed`.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from vedette.age_header import hkdf
from vedette.errors import Integrity

CHUNK_BYTES = 64 * 1024
TAG_BYTES = 16
SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES
NONCE_BYTES = 16

Buffer = bytes | bytearray | memoryview


class PayloadFault(Integrity):
    """A sealed file's content is cut, changed, reordered or followed by other bytes."""


class Chunks:
    """Seals and opens the chunks of one file by their index, which is part of what is authenticated."""

    def __init__(self, file_key: bytes, nonce: bytes) -> None:
        self._aead = ChaCha20Poly1305(hkdf(file_key, salt=nonce, info=b"payload"))

    def seal(self, index: int, plain: Buffer, *, is_last: bool) -> bytes:
        """The sealed form of chunk `index`."""
        return self._aead.encrypt(_nonce(index, is_last), plain, None)

    def open(self, index: int, sealed: Buffer, *, is_last: bool) -> bytes | None:
        """The content of chunk `index`, or None when these bytes are not that chunk in that place."""
        if len(sealed) < TAG_BYTES or (is_last and index and len(sealed) == TAG_BYTES):
            return None
        try:
            return self._aead.decrypt(_nonce(index, is_last), sealed, None)
        except InvalidTag:
            return None

    def open_into(self, index: int, sealed: Buffer, target: memoryview) -> bool:
        """Open a chunk that is not the last straight into `target` (64 KiB); False when it is not that chunk."""
        try:
            self._aead.decrypt_into(_nonce(index, False), sealed, None, target)
        except InvalidTag:
            return False
        return True


def plain_size(payload_bytes: int) -> int:
    """The content's size for a payload (without its nonce) of that size; `PayloadFault` when none has that size."""
    whole, rest = divmod(payload_bytes, SEALED_CHUNK_BYTES)
    if payload_bytes < TAG_BYTES or 0 < rest < TAG_BYTES or (whole and rest == TAG_BYTES):
        raise PayloadFault("the sealed file was cut short within a chunk; recover what is whole")
    return payload_bytes - TAG_BYTES * (whole + (rest > 0))


def _nonce(index: int, is_last: bool) -> bytes:
    return index.to_bytes(11, "big") + (b"\x01" if is_last else b"\x00")
