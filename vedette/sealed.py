"""Sealed files: ordinary age v1 files, written while the evidence is made and opened by those it was sealed to.

Decided here: when a chunk leaves, and that hybrid and classic recipients do not meet in one file. The header, the
recipient types, the chunk cipher and the readers are in `age_header`, `age_recipients`, `age_stream`, `age_reader`;
this module is the one that others import. Spec: docs/spec/sealed-file.md.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from types import TracebackType
from typing import BinaryIO, Protocol

from vedette.age_header import (
    FILE_KEY_BYTES,
    HeaderFault,
    MacFault,
    NoMatch,
    format_header,
    read_header,
)
from vedette.age_reader import Recovery, SealedReader, fragments_key_of, read_nonce
from vedette.age_recipients import (
    HybridIdentity,
    HybridRecipient,
    Identity,
    Recipient,
    X25519Identity,
    X25519Recipient,
    load_identities,
    parse_identity,
    parse_recipient,
    save_identity,
)
from vedette.age_stream import (
    CHUNK_BYTES,
    NONCE_BYTES,
    SEALED_CHUNK_BYTES,
    Buffer,
    Chunks,
    PayloadFault,
)
from vedette.errors import Usage
from vedette.fragment_marks import fragments_key

__all__ = [
    "CHUNK_BYTES", "HeaderFault", "HybridIdentity", "HybridRecipient", "Identity", "MacFault", "NoMatch",
    "PayloadFault", "Recipient", "Recovery", "SealedReader", "SealedWriter", "X25519Identity", "X25519Recipient",
    "fragments_key_of", "header_length", "load_identities", "open_sealed", "parse_identity", "parse_recipient",
    "recover", "save_identity", "seal", "whole_prefix",
]  # fmt: skip

MAX_RECIPIENTS = 32


class BinarySink(Protocol):
    """Anything that takes bytes: an open file, a `BytesIO`, a writer that also counts and hashes."""

    def write(self, data: bytes, /) -> object:
        """Take `data`; a raw file that took only some of it returns how much."""


class SealedWriter:
    """Seals what is written to it into `sink`, chunk by chunk.

    A full chunk leaves as soon as one more byte arrives (the last chunk is marked as such and must not be empty, so a
    full one has to wait until it is known not to be the last). `sink.write` gets the header first, then whole chunks.
    `fragments_key` is the key of the marks of what is written (SF-21). Leaving a `with` block by an exception does not
    close the file, and after an error of the sink nothing more is written: a torn recording must not look complete.
    """

    def __init__(self, sink: BinarySink, recipients: Sequence[Recipient]) -> None:
        """Write the header; `Usage` when there is no recipient, too many, or hybrid and classic ones together."""
        if not 1 <= len(recipients) <= MAX_RECIPIENTS:
            raise Usage(f"a file is sealed to 1 to {MAX_RECIPIENTS} recipients, not to {len(recipients)}")
        if len({recipient.is_post_quantum for recipient in recipients}) > 1:
            raise Usage("post-quantum and classic recipients cannot share a sealed file: the weaker would decide")
        file_key, nonce = os.urandom(FILE_KEY_BYTES), os.urandom(NONCE_BYTES)
        self._sink = sink
        self._chunks = Chunks(file_key, nonce)
        self._held = bytearray()
        self._index = 0
        self._closed = False
        self.sealed_bytes = 0
        self.plain_bytes = 0
        self.fragments_key = fragments_key(file_key, nonce)
        self._emit(format_header([recipient.wrap(file_key) for recipient in recipients], file_key) + nonce)

    def write(self, data: Buffer) -> int:
        """Seal `data`; returns its length in bytes."""
        if self._closed:
            raise ValueError("write to a SealedWriter that is closed or whose sink failed")
        rest = memoryview(data).cast("B")
        size = len(rest)
        if self._held and len(self._held) + size > CHUNK_BYTES:
            taken = CHUNK_BYTES - len(self._held)
            self._held += rest[:taken]
            rest = rest[taken:]
            self._emit_chunk(self._held, is_last=False)
            self._held = bytearray()
        while len(rest) > CHUNK_BYTES:
            self._emit_chunk(rest[:CHUNK_BYTES], is_last=False)
            rest = rest[CHUNK_BYTES:]
        self._held += rest
        self.plain_bytes += size
        return size

    def close(self) -> None:
        """Write the last chunk; the sink itself stays open. A second call does nothing."""
        if self._closed:
            return
        self._emit_chunk(self._held, is_last=True)
        self._held = bytearray()
        self._closed = True

    def _emit_chunk(self, plain: Buffer, *, is_last: bool) -> None:
        self._emit(self._chunks.seal(self._index, plain, is_last=is_last))
        self._index += 1

    def _emit(self, sealed: bytes) -> None:
        try:
            _write_full(self._sink, sealed)
        except BaseException:
            self._closed = True
            raise
        self.sealed_bytes += len(sealed)

    def __enter__(self) -> SealedWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()


def recover(source: BinaryIO, identities: Sequence[Identity]) -> Recovery:
    """What can be had of a file that power loss cut: see `Recovery`."""
    return Recovery(source, identities)


def seal(data: Buffer, recipients: Sequence[Recipient]) -> bytes:
    """`data` as a sealed file."""
    sink = io.BytesIO()
    with SealedWriter(sink, recipients) as writer:
        writer.write(data)
    return sink.getvalue()


def open_sealed(data: bytes, identities: Sequence[Identity]) -> bytes:
    """The whole content of a sealed file, or an error and nothing of it."""
    return SealedReader(io.BytesIO(data), identities).readall()


def header_length(source: BinaryIO) -> int:
    """Where the first chunk begins: the size of header and nonce in bytes; needs no key. Leaves the source there."""
    length = read_header(source).length
    read_nonce(source)
    return length + NONCE_BYTES


def whole_prefix(size: int, header_len: int) -> int:
    """The largest chunk edge not beyond `size` bytes of a file still being written; 0 while the header is not whole.

    `header_len` is from `header_length`. The last, short chunk has no edge: only a manifest says that a file is whole.
    """
    if size < header_len:
        return 0
    return header_len + (size - header_len) // SEALED_CHUNK_BYTES * SEALED_CHUNK_BYTES


def _write_full(sink: BinarySink, data: bytes) -> None:
    taken = sink.write(data)
    while isinstance(taken, int) and 0 < taken < len(data):
        data = data[taken:]
        taken = sink.write(data)
