"""Opening sealed files: random access to a whole one, and what a cut one still yields.

Decided here: nothing unauthenticated is ever given out. Public names are re-exported by `sealed`.
Spec: docs/spec/sealed-file.md.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO

from vedette.age_header import Header, HeaderFault, NoMatch, read_header
from vedette.age_recipients import Identity
from vedette.age_stream import (
    CHUNK_BYTES,
    NONCE_BYTES,
    SEALED_CHUNK_BYTES,
    Chunks,
    PayloadFault,
    plain_size,
)
from vedette.fragment_marks import fragments_key

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class SealedReader(io.RawIOBase):
    """The content of a sealed file as a seekable, read-only binary file; a read opens only the chunks it touches.

    The last chunk is checked before anything else, so a file that was cut is refused at once (`recover` reads it).
    `source` must be seekable and begin with the sealed file; it stays its owner's and is not closed here.
    """

    def __init__(self, source: BinaryIO, identities: Sequence[Identity]) -> None:
        """Raises `HeaderFault`, `MacFault`, `NoMatch` (sealed to others) or `PayloadFault` (cut, changed)."""
        super().__init__()
        source.seek(0)
        header, self._chunks = _unlock(source, identities)
        self._source = source
        self._start = header.length + NONCE_BYTES
        payload_bytes = source.seek(0, os.SEEK_END) - self._start
        self.size = plain_size(payload_bytes)
        self._last_index = max(0, self.size - 1) // CHUNK_BYTES
        self._position = 0
        self._cached = self._open_chunk(self._last_index)
        self._cached_index = self._last_index

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        if origin + offset < 0:
            raise ValueError("seek before the start of a sealed file")
        self._position = origin + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill the whole buffer unless the content ends first; `PayloadFault` when a chunk was changed."""
        target = memoryview(buffer).cast("B")[: max(0, self.size - self._position)]
        done = 0
        while done < len(target):
            index, offset = divmod(self._position + done, CHUNK_BYTES)
            if offset == 0 and index != self._last_index and len(target) - done >= CHUNK_BYTES:
                self._open_chunk_into(index, target[done : done + CHUNK_BYTES])
                done += CHUNK_BYTES
                continue
            part = memoryview(self._chunk(index))[offset : offset + len(target) - done]
            target[done : done + len(part)] = part
            done += len(part)
        self._position += done
        return done

    def readall(self) -> bytes:
        first = self._position // CHUNK_BYTES
        chunks = [self._chunk(index) for index in range(first, self._last_index + 1)]
        content = b"".join(chunks)[self._position - first * CHUNK_BYTES :]
        self._position = max(self._position, self.size)
        return content

    def _chunk(self, index: int) -> bytes:
        if index != self._cached_index:
            self._cached = self._open_chunk(index)
            self._cached_index = index
        return self._cached

    def _open_chunk(self, index: int) -> bytes:
        plain = self._chunks.open(index, self._sealed_chunk(index), is_last=index == self._last_index)
        if plain is None and index == self._last_index:
            raise PayloadFault(f"the sealed file's end is missing or changed (chunk {index}); recover what is whole")
        if plain is None:
            raise _changed(index)
        return plain

    def _open_chunk_into(self, index: int, target: memoryview) -> None:
        if not self._chunks.open_into(index, self._sealed_chunk(index), target):
            target[:] = bytes(len(target))
            raise _changed(index)

    def _sealed_chunk(self, index: int) -> bytes:
        self._source.seek(self._start + index * SEALED_CHUNK_BYTES)
        return _read_full(self._source, SEALED_CHUNK_BYTES)


class Recovery(Iterator[bytes]):
    """Every whole, verified chunk of a sealed file in order, up to the first byte that is missing or wrong.

    When the iteration has ended: `complete` is True if the file was whole, else `fault` says where and why it stopped;
    `plain_bytes` were given out and `sealed_bytes` of the file (header included) were good.
    """

    def __init__(self, source: BinaryIO, identities: Sequence[Identity]) -> None:
        """Reads `source` forward only from its position; raises `HeaderFault`, `MacFault`, `NoMatch`."""
        header, self._chunks = _unlock(source, identities)
        self._source = source
        self._index = 0
        self._next = _read_full(source, SEALED_CHUNK_BYTES)
        self._ended = False
        self.sealed_bytes = header.length + NONCE_BYTES
        self.plain_bytes = 0
        self.complete = False
        self.fault: str | None = None

    def __next__(self) -> bytes:
        if self._ended:
            raise StopIteration
        sealed, self._next = self._next, b""
        if len(sealed) == SEALED_CHUNK_BYTES:
            self._next = _read_full(self._source, SEALED_CHUNK_BYTES)
        return self._take(sealed)

    def _take(self, sealed: bytes) -> bytes:
        may_continue = len(sealed) == SEALED_CHUNK_BYTES
        plain = self._chunks.open(self._index, sealed, is_last=False) if may_continue else None
        if plain is None:
            plain = self._chunks.open(self._index, sealed, is_last=True)
            self._ended = True
            self.complete = plain is not None and not self._next
            if plain is None:
                self._stop("is cut off, changed or out of its place" if sealed else "is missing")
            elif self._next:
                self._stop("is the last, yet more bytes follow")
        if plain is None:
            raise StopIteration
        self._index += 1
        self.plain_bytes += len(plain)
        self.sealed_bytes += len(sealed)
        return plain

    def _stop(self, why: str) -> None:
        self.fault = f"chunk {self._index} {why}; {self.plain_bytes} bytes before it are whole"


def fragments_key_of(source: BinaryIO, identities: Sequence[Identity]) -> bytes:
    """The key of the marks that the device signed of a file's content (SF-21), read from the file's beginning; raises
    `HeaderFault`, `MacFault`, `NoMatch`.
    """
    header = read_header(source)
    file_key = file_key_of(header, identities)
    header.check(file_key)
    return fragments_key(file_key, read_nonce(source))


def _unlock(source: BinaryIO, identities: Sequence[Identity]) -> tuple[Header, Chunks]:
    header = read_header(source)
    file_key = file_key_of(header, identities)
    header.check(file_key)
    return header, Chunks(file_key, read_nonce(source))


def file_key_of(header: Header, identities: Sequence[Identity]) -> bytes:
    """The file key that one of `identities` unwraps, not yet checked against the MAC; `NoMatch`, `HeaderFault`."""
    for identity in identities:
        for stanza in header.stanzas:
            file_key = identity.unwrap(stanza)
            if file_key is not None:
                return file_key
    raise NoMatch(f"none of the {len(identities)} keys at hand opens this file: it is sealed to others")


def read_nonce(source: BinaryIO) -> bytes:
    """The 16 bytes behind the header, else `HeaderFault`."""
    nonce = _read_full(source, NONCE_BYTES)
    if len(nonce) != NONCE_BYTES:
        raise HeaderFault("the sealed file ends just behind its header")
    return nonce


def _read_full(source: BinaryIO, size: int) -> bytes:
    """`size` bytes, fewer only at the end of the source; a raw file may give them in pieces."""
    data = source.read(size)
    while len(data) < size:
        more = source.read(size - len(data))
        if not more:
            break
        data += more
    return data


def _changed(index: int) -> PayloadFault:
    return PayloadFault(f"chunk {index} of the sealed file was changed, moved or damaged; do not use it")
