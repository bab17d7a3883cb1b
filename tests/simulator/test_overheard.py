"""What is read of a capture: streams in their order, and what is no TLS is told from what is."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from simulator.overheard import overheard, tls_records
from vedette.errors import Integrity

HELLO = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"
ENCRYPTED = b"\x17\x03\x03\x00\x03abc"
CERTIFICATE = b"\x16\x03\x03\x00\x05\x0b\x00\x00\x01\x00"
SYN, ACK = 2, 16


def segment(said: bytes, sequence: int, flags: int = ACK) -> bytes:
    tcp = struct.pack(">HHIIBBHHH", 4000, 443, sequence, 0, 5 << 4, flags, 0, 0, 0) + said
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0, b"\x7f\0\0\1", b"\x7f\0\0\1")
    return bytes(12) + b"\x08\x00" + ip + tcp


def capture(path: Path, *frames: bytes) -> Path:
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1)
    path.write_bytes(head + b"".join(struct.pack("<4I", 0, 0, len(one), len(one)) + one for one in frames))
    return path


def test_stream_is_put_into_its_order_when_it_came_otherwise_and_twice(tmp_path: Path) -> None:
    parts = [segment(b"", 9, SYN), segment(b"cd", 12), segment(b"ab", 10), segment(b"ab", 10), segment(b"bcde", 11)]

    (found,) = overheard(capture(tmp_path / "it", *parts)).connections

    assert (bytes(found.said), bytes(found.heard)) == (b"abcde", b"")


@pytest.mark.parametrize("parts", [[segment(b"ab", 10)], [segment(b"", 9, SYN), segment(b"cd", 12)]])
def test_capture_is_refused_when_something_said_is_missing(tmp_path: Path, parts: list[bytes]) -> None:
    with pytest.raises(Integrity):
        overheard(capture(tmp_path / "it", *parts))


@pytest.mark.parametrize("stream", [b"", HELLO, HELLO + ENCRYPTED * 3, HELLO + ENCRYPTED + ENCRYPTED[:6]])
def test_tls_is_told(stream: bytes) -> None:
    """WI-46."""
    assert tls_records(stream) == len(stream[len(HELLO) :] + b"\0" * 7) // 8 + bool(stream)


@pytest.mark.parametrize(
    "stream", [b"GET / HTTP/1.1\r\n", HELLO + b"plain", HELLO + CERTIFICATE, b"\x10\x10\x00\x04MQTT"]
)
def test_what_is_no_tls_is_told(stream: bytes) -> None:
    """WI-46: a certificate in the clear is none of TLS 1.3."""
    with pytest.raises(Integrity):
        tls_records(stream)
