"""What a capture of a network holds (libpcap's classic format, Ethernet): who spoke to whom, and every byte they said.

Decided here: a TCP connection is what either side said in its order, without a gap; datagrams stay apart; what is
neither is kept as it is, so that nothing of a capture goes unaccounted for. `tls_records` says whether a stream is TLS
and nothing else. Written against RFC 791, 8200, 9293, 768 and 8446.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vedette.errors import Integrity

Address = tuple[str, int]

IPV4, IPV6, TCP, UDP = 0x0800, 0x86DD, 6, 17
SYN, ACK = 0x02, 0x10
HANDSHAKE, HELLOS = 22, (1, 2)
AFTER_HELLO = (20, 23)  # change_cipher_spec, application_data
MAX_RECORD_BYTES = (1 << 14) + 256
_MAGIC = {b"\xd4\xc3\xb2\xa1": "<", b"\x4d\x3c\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">", b"\xa1\xb2\x3c\x4d": ">"}


@dataclass(kw_only=True, slots=True)
class Connection:
    """One TCP connection: what its client said, and what it heard."""

    client: Address
    server: Address
    said: bytearray = field(default_factory=bytearray)
    heard: bytearray = field(default_factory=bytearray)


@dataclass(frozen=True, kw_only=True, slots=True)
class Datagram:
    """One UDP datagram."""

    sender: Address
    to: Address
    payload: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Overheard:
    """Everything in a capture. `others` are whole packets that are neither TCP nor UDP, each with where it went."""

    connections: tuple[Connection, ...]
    datagrams: tuple[Datagram, ...]
    others: tuple[tuple[str, bytes], ...]


def overheard(path: Path) -> Overheard:
    """What the capture at `path` holds; raises Integrity where it is none, or something said is missing from it."""
    under_way: dict[tuple[Address, Address], _Way] = {}
    connections: list[Connection] = []
    datagrams: list[Datagram] = []
    others: list[tuple[str, bytes]] = []
    for frame in _frames(path.read_bytes()):
        protocol, source, to, payload = _packet(frame)
        if protocol == TCP:
            sender, receiver = (source, _port(payload, 0)), (to, _port(payload, 2))
            flags = payload[13]
            if flags & SYN and not flags & ACK and not _is_repeated(under_way.get((sender, receiver)), payload):
                made = Connection(client=sender, server=receiver)
                connections.append(made)
                under_way[sender, receiver], under_way[receiver, sender] = _Way(made.said), _Way(made.heard)
            way = under_way.get((sender, receiver))
            if way is None:
                raise Integrity(f"{sender} speaks to {receiver}, and the capture has no beginning of that")
            way.take(payload)
        elif protocol == UDP:
            sender, receiver = (source, _port(payload, 0)), (to, _port(payload, 2))
            datagrams.append(Datagram(sender=sender, to=receiver, payload=payload[8 : _port(payload, 4)]))
        else:
            others.append((to, frame))
    for way in under_way.values():
        way.check()
    return Overheard(connections=tuple(connections), datagrams=tuple(datagrams), others=tuple(others))


def tls_records(stream: bytes | bytearray) -> int:
    """How many TLS records a side said; raises Integrity where any byte is none of TLS 1.3 as it may be seen.

    Only the hellos are in the clear; whatever follows them is encrypted. The last record may be cut off.
    """
    at = count = 0
    while at < len(stream):
        head = bytes(stream[at : at + 6])
        size = int.from_bytes(head[3:5], "big") if len(head) > 4 else 0
        is_hello = head[0] == HANDSHAKE and (len(head) < 6 or head[5] in HELLOS)
        is_record = len(head) < 3 or (head[1] == 3 and head[2] in (1, 3))
        if not is_record or not (is_hello or head[0] in AFTER_HELLO) or size > MAX_RECORD_BYTES:
            raise Integrity(f"byte {at} of {len(stream)} begins with {head.hex(' ')}, which is no record of TLS 1.3")
        at += 5 + size
        count += 1
    return count


class _Way:
    """One direction of a connection, put into its order."""

    def __init__(self, said: bytearray) -> None:
        self.first: int | None = None
        self._said = said
        self._waiting: dict[int, bytes] = {}

    def take(self, segment: bytes) -> None:
        sequence = int.from_bytes(segment[4:8], "big")
        if segment[13] & SYN:
            self.first = sequence
            return
        payload = segment[(segment[12] >> 4) * 4 :]
        if not payload or self.first is None:
            return
        at = (sequence - self.first - 1) & 0xFFFFFFFF
        if at < 1 << 31:  # else a keep-alive, which repeats the byte before
            self._waiting[at] = max(payload, self._waiting.get(at, b""), key=len)
        for begins in sorted(self._waiting):
            if begins > len(self._said):
                break
            self._said += self._waiting.pop(begins)[len(self._said) - begins :]

    def check(self) -> None:
        if self._waiting:
            raise Integrity(f"the capture lacks what was said after {len(self._said)} bytes; make its buffer larger")


def _is_repeated(way: _Way | None, segment: bytes) -> bool:
    return way is not None and way.first == int.from_bytes(segment[4:8], "big")


def _frames(capture: bytes) -> Iterator[bytes]:
    order = _MAGIC.get(capture[:4])
    if order is None or len(capture) < 24 or struct.unpack_from(f"{order}I", capture, 20)[0] & 0xFFFF != 1:
        raise Integrity("no capture of Ethernet in libpcap's classic format")
    at = 24
    while at < len(capture):
        kept, length = struct.unpack_from(f"{order}2I", capture, at + 8)
        if kept < length or at + 16 + kept > len(capture):
            raise Integrity("the capture has a packet that is cut short")
        yield capture[at + 16 : at + 16 + kept]
        at += 16 + kept


def _packet(frame: bytes) -> tuple[int, str, str, bytes]:
    """Protocol, who sent it, to whom, and what is in it; protocol -1 where it is no IP."""
    kind, packet = int.from_bytes(frame[12:14], "big"), frame[14:]
    if kind == IPV4:
        if int.from_bytes(packet[6:8], "big") & 0x3FFF:
            raise Integrity("the capture has a packet in fragments")
        head, size = (packet[0] & 15) * 4, int.from_bytes(packet[2:4], "big")
        source, to = (str(ipaddress.IPv4Address(packet[at : at + 4])) for at in (12, 16))
        return packet[9], source, to, packet[head : size or None]
    if kind == IPV6:
        source, to = (str(ipaddress.IPv6Address(packet[at : at + 16])) for at in (8, 24))
        return packet[6], source, to, packet[40 : 40 + int.from_bytes(packet[4:6], "big")]
    return -1, "", f"frame of type {kind:#06x}", packet


def _port(payload: bytes, at: int) -> int:
    return int.from_bytes(payload[at : at + 2], "big")
