"""Writes the sealed file vectors beside itself: `python tests/vectors/sealed/generate.py`."""

from __future__ import annotations

import hashlib
import io
import zlib
from pathlib import Path

from vedette.age_header import MAX_HEADER_BYTES, encode64
from vedette.age_stream import CHUNK_BYTES, SEALED_CHUNK_BYTES
from vedette.sealed import HybridIdentity, header_length, seal

HERE = Path(__file__).parent
MINE = HybridIdentity(hashlib.sha256(b"vedette vectors: mine").digest())
OTHER = HybridIdentity(hashlib.sha256(b"vedette vectors: other").digest())
SMALL = b"one patrol car, end to end\n"
LONG = bytes(range(256)) * (CHUNK_BYTES // 256) + b"\x5a" * CHUNK_BYTES + SMALL


def main() -> None:
    for name, (expect, content, sealed, comment) in vectors().items():
        head = f"expect: {expect}\npayload: {hashlib.sha256(content).hexdigest()}\nidentity: {MINE.secret_text}\n"
        head += f"compressed: zlib\ncomment: {comment}\n\n"
        (HERE / name).write_bytes(head.encode() + zlib.compress(sealed, 9))


def vectors() -> dict[str, tuple[str, bytes, bytes, str]]:
    small = seal(SMALL, [MINE.recipient])
    both = seal(SMALL, [OTHER.recipient, MINE.recipient])
    full = seal(LONG[:CHUNK_BYTES], [MINE.recipient])
    long = seal(LONG, [MINE.recipient])
    start = header_length_of(long)
    first, second = long[start:][:SEALED_CHUNK_BYTES], long[start + SEALED_CHUNK_BYTES :][:SEALED_CHUNK_BYTES]
    rest = long[start + 2 * SEALED_CHUNK_BYTES :]
    grease = b"-> grease\n" + (encode64(bytes(48)).encode() + b"\n") * (MAX_HEADER_BYTES // 65) + b"\n"
    bad, cut = "payload failure", LONG[:CHUNK_BYTES]
    return {
        "accept_small": ("success", SMALL, small, "one recipient"),
        "accept_two_recipients": ("success", SMALL, both, "the second of two recipients opens it"),
        "accept_empty": ("success", b"", seal(b"", [MINE.recipient]), "an empty content has one empty chunk"),
        "accept_full_last_chunk": ("success", cut, full, "the last chunk is full"),
        "cut_at_chunk_edge": (bad, cut, long[: start + SEALED_CHUNK_BYTES], "the second and third chunk are gone"),
        "cut_within_chunk": (bad, b"", small[:-1], "the last byte is gone"),
        "cut_before_chunks": (bad, b"", small[: header_length_of(small)], "no chunk is left"),
        "cut_in_header": ("header failure", b"", small[:700], "the header ends early"),
        "cut_in_nonce": ("header failure", b"", small[: header_length_of(small) - 1], "the nonce ends early"),
        "swapped_chunks": (bad, b"", long[:start] + second + first + rest, "chunks 0 and 1 changed places"),
        "repeated_chunk": (bad, cut, long[:start] + first + first + rest, "chunk 0 stands where chunk 1 was"),
        "trailing_byte": (bad, b"", small + b"\0", "one byte behind the last, short chunk"),
        "trailing_chunk": (bad, cut, full + full[-SEALED_CHUNK_BYTES:], "bytes behind a full last chunk"),
        "wrong_recipient": ("no match", b"", seal(SMALL, [OTHER.recipient]), "sealed to someone else"),
        "future_version": ("header failure", b"", small.replace(b"/v1\n", b"/v2\n", 1), "age v2 is not known"),
        "removed_recipient": ("HMAC failure", b"", without_first_stanza(both), "a recipient was taken out"),
        "header_too_long": ("header failure", b"", small.replace(b"-> ", grease + b"-> ", 1), "over 65,536 bytes"),
    }


def header_length_of(sealed: bytes) -> int:
    return header_length(io.BytesIO(sealed))


def without_first_stanza(sealed: bytes) -> bytes:
    first = sealed.index(b"-> ")
    return sealed[:first] + sealed[sealed.index(b"-> ", first + 1) :]


if __name__ == "__main__":
    main()
