"""paho's client as one thread drives it, without what a large message costs it over TLS.

A TLS record holds 16 KiB, so a socket takes and gives no more at once. paho copies what is left of a packet for each
record, makes room anew for what is missing, runs a dozen steps of its own for each, answers each message by a packet
and a record, and keeps each message to send it again in a next session. Here a packet is sent and read record by record
from and into its place, no record holds a head alone, a payload is not copied beyond that record, the messages of one
look are answered together, and of what was sent only number and topic are kept, since each session has a client of its
own. Nothing of the protocol is touched. Made for paho's external loop, not for `loop_start`, and for QoS 1.
"""

from __future__ import annotations

import math
import ssl
import struct
import time
from collections.abc import Callable
from typing import Any, Literal

from paho.mqtt._packet import decode_puback
from paho.mqtt.client import Client, MQTTMessageInfo, MQTTv5
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.exception import MQTTException
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from sync.link import Buffer
from vedette.wire import MAX_PACKET_BYTES

LEAST_HEAD_BYTES, MOST_HEAD_BYTES = 2, 5
MOST_UNSENT = 2048
# So much of a message is copied behind its head, for one TLS record takes both and the broker wakes for no head alone.
RECORD_BYTES = 16 * 1024
# Room for a packet at least so long is used again, up to so much of it: making it anew costs more than filling it.
LEAST_LENT_BYTES, MOST_KEPT_BYTES = 32 * 1024, 8 << 20
LEAST_FOR_S = 60.0
TAKEN = ReasonCode(PacketTypes.PUBACK)
_GOOD = (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_AGAIN)


class LeanClient(Client):
    """`paho.mqtt.client.Client`, cheaper; `deliver(topic, payload, retained)` is told each message of QoS 0 or 1, and
    `answered(topic, reason)` that the broker has taken what `put` sent on that topic.

    A payload is good until the next `read_packets`: its room is used again then.
    """

    def __init__(
        self,
        *arguments: Any,
        deliver: Callable[[str, memoryview, bool], None],
        answered: Callable[[str, ReasonCode], None],
        **named: Any,
    ) -> None:
        super().__init__(*arguments, **named)
        self._deliver = deliver
        self._answered = answered
        self._unanswered: dict[int, str] = {}
        self._head = bytearray()
        self._rooms: list[bytearray] = []
        self._rooms_bytes = 0  # of these and of what is lent
        self._lent: list[bytearray] = []
        self._room = bytearray()
        self._message = memoryview(b"")
        self._length = -1  # of the body that is being read; below 0 while its head is
        self._filled = 0
        self._owed = bytearray()
        self._read_bytes = 0
        self.emptied = True
        self._asked: int | None = None  # one of those that are unanswered
        self._asked_s = math.inf  # when the first look behind it began
        self._least_s = self._newer_least_s = math.inf
        self._least_until_s = 0.0
        self._waited_s: float | None = None

    @property
    def waited_us(self) -> int | None:
        """How much longer than the least one an answer took that came with the last look, or one that did not come
        with it has taken so far; None where neither tells, as where nothing came.

        The broker answers in its turn: an answer waits behind all that it has for this client, wherever that lies. It
        is waited for from the next look on; what this side does before is no wait in a line.
        """
        waited_s = self._waited_s
        if self._asked is not None and self._read_bytes:
            waited_s = max(waited_s or 0.0, self._last_bytes_received - self._asked_s - self._least_s)
        return None if waited_s is None else max(0, int(waited_s * 1e6))

    @property
    def unanswered(self) -> int:
        """How many messages that `put` sent the broker has not taken yet."""
        return len(self._unanswered)

    @property
    def is_choked(self) -> bool:
        """MOST_UNSENT packets wait for a broker that takes none; nothing is taken from it until it does."""
        return len(self._out_packet) > MOST_UNSENT

    @property
    def has_pending(self) -> bool:
        """Bytes that are decrypted already wait to be taken: the kernel would not tell of them."""
        return isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0 and not self.is_choked

    def read_packets(self, most: int, most_bytes: int) -> MQTTErrorCode:
        """Take in what has come and answer it together: up to `most` packets, the last begun before `most_bytes`.

        `emptied` says afterwards that this was all: the broker's answers count as packets, and are told nobody here.
        """
        code, self._read_bytes, self.emptied, self._waited_s = MQTTErrorCode.MQTT_ERR_SUCCESS, 0, False, None
        self._take_back()
        if self._asked is not None and self._asked_s == math.inf:
            self._asked_s = time.monotonic()
        if self.is_choked:
            return code
        for _ in range(most):
            if self._sock is None:
                return MQTTErrorCode.MQTT_ERR_NO_CONN
            code = self._packet_read()
            self.emptied = code is not MQTTErrorCode.MQTT_ERR_SUCCESS
            if self.emptied or self._read_bytes >= most_bytes:
                break
        if self._owed and self._sock is not None:
            owed, self._owed = self._owed, bytearray()
            self._packet_queue(PacketTypes.PUBACK << 4, owed, 0, 1)
        return MQTTErrorCode.MQTT_ERR_SUCCESS if code in _GOOD else self._loop_rc_handle(code)

    def put(self, topic: str, payload: bytes, behind: Buffer = b"", *, retain: bool) -> bool:
        """Send one message with QoS 1, as much as the socket takes at once; False where it cannot be sent.

        `behind` is the end of the payload and must not change until it is sent.
        """
        number = self._mid_generate()
        if self._sock is None or number in self._unanswered:
            return False
        name = topic.encode()
        body = struct.pack(f"!H{len(name)}sH", len(name), name, number) + (b"\0" if self._protocol == MQTTv5 else b"")
        head = bytearray((PacketTypes.PUBLISH << 4 | 1 << 1 | retain,))
        self._pack_remaining_length(head, len(body) + len(payload) + len(behind))
        head += body
        pieces: list[Buffer | bytearray] = [head]
        for one in (payload, behind):
            joined = max(0, RECORD_BYTES - len(head)) if len(pieces) == 1 else 0
            head += one[:joined]
            if len(one) > joined:
                pieces.append(memoryview(one)[joined:])
        for piece in pieces:
            if self._packet_queue(PacketTypes.PUBLISH << 4, piece, number, 1) not in _GOOD:
                return False
        self._unanswered[number] = topic
        if self._asked is None:
            self._asked, self._asked_s = number, math.inf
        return True

    def drop(self) -> None:
        """Close the socket as it is."""
        self._sock_close()

    def _packet_read(self) -> MQTTErrorCode:
        try:
            if self._length < 0 and not self._read_head():
                return MQTTErrorCode.MQTT_ERR_PROTOCOL
            body = self._read_body()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            return MQTTErrorCode.MQTT_ERR_AGAIN
        except OSError:
            return MQTTErrorCode.MQTT_ERR_CONN_LOST
        self._last_bytes_received = time.monotonic()
        self._read_bytes += len(body)
        kind, self._message = self._head[0], body
        if self._length >= LEAST_LENT_BYTES:
            self._lent.append(self._room)
        packet = bytearray() if kind >> 4 == PacketTypes.PUBLISH else bytearray(body)
        self._in_packet.update({"command": kind, "remaining_length": len(body), "packet": packet, "pos": 0})
        self._head, self._length, self._filled = bytearray(), -1, 0
        try:
            return self._packet_handle()
        except (MQTTException, struct.error, IndexError, UnicodeDecodeError):
            return MQTTErrorCode.MQTT_ERR_PROTOCOL

    def _read_head(self) -> bool:
        """Read the kind and the length; False where they are not what MQTT allows, or too much."""
        head = self._head
        while len(head) < LEAST_HEAD_BYTES or head[-1] & 0x80:
            if len(head) == MOST_HEAD_BYTES:
                return False
            piece = self._sock.recv(max(1, LEAST_HEAD_BYTES - len(head)))  # type: ignore[union-attr]
            if not piece:
                raise ConnectionResetError
            head += piece
        length = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(head[1:]))
        if length > MAX_PACKET_BYTES:
            return False
        self._length = length
        self._room = self._room_for(length)
        return True

    def _room_for(self, length: int) -> bytearray:
        if length < LEAST_LENT_BYTES:
            return bytearray(length)
        for place, room in enumerate(self._rooms):
            if len(room) >= length:
                return self._rooms.pop(place)
        self._rooms_bytes += length
        return bytearray(length)

    def _take_back(self) -> None:
        """The rooms of what was told of at the last look may be used again; the largest are kept, which do for all."""
        self._rooms += self._lent
        self._lent.clear()
        if self._rooms_bytes <= MOST_KEPT_BYTES:
            return
        self._rooms.sort(key=len)
        while self._rooms and self._rooms_bytes > MOST_KEPT_BYTES:
            self._rooms_bytes -= len(self._rooms.pop(0))

    def _read_body(self) -> memoryview:
        """The whole body, in its room."""
        room, read_into = memoryview(self._room)[: self._length], self._sock.recv_into  # type: ignore[union-attr]
        while self._filled < self._length:
            count = read_into(room[self._filled :])
            if not count:
                raise ConnectionResetError
            self._filled += count
        return room

    def _handle_publish(self) -> MQTTErrorCode:
        packet = self._message
        quality = (self._in_packet["command"] >> 1) & 3
        if quality > 1:
            return MQTTErrorCode.MQTT_ERR_PROTOCOL  # what was subscribed to with QoS 1 comes with no more
        at = 2 + int.from_bytes(packet[:2], "big")
        topic = str(packet[2:at], "utf-8")
        number = packet[at : at + 2] if quality else b""
        at += len(number)
        if self._protocol == MQTTv5:
            at = _after_properties(packet, at)
        self._deliver(topic, packet[at:], bool(self._in_packet["command"] & 1))
        if quality:
            self._owed += bytes((PacketTypes.PUBACK << 4, 2)) + number
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _handle_pubackcomp(self, cmd: Literal["PUBACK", "PUBCOMP"]) -> MQTTErrorCode:
        packet = self._in_packet["packet"]
        if cmd != "PUBACK" or len(packet) < 2:
            return MQTTErrorCode.MQTT_ERR_PROTOCOL
        number, reason = int.from_bytes(packet[:2], "big"), TAKEN
        if len(packet) > 2:
            reason = decode_puback(self._in_packet["command"], packet, self._protocol).reason or TAKEN
        if number == self._asked:
            self._asked = None
            self._note_wait(time.monotonic())
        topic = self._unanswered.pop(number, None)
        if topic is not None:
            self._answered(topic, reason)
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _note_wait(self, now_s: float) -> None:
        """An answer came: how long it took beyond the least of this minute and the one before."""
        if now_s >= self._least_until_s:
            self._least_s, self._newer_least_s = self._newer_least_s, math.inf
            self._least_until_s = now_s + LEAST_FOR_S
        took_s = now_s - self._asked_s
        self._newer_least_s = min(self._newer_least_s, took_s)
        self._least_s = min(self._least_s, took_s)
        self._waited_s = took_s - self._least_s

    def _sock_send(self, buf: bytes | bytearray) -> int:
        """Send as many records as the socket takes."""
        sent = 0
        while sent < len(buf):
            try:
                sent += super()._sock_send(buf[sent:])
            except BlockingIOError:
                if not sent:
                    raise
                break
        return sent

    def _packet_queue(
        self,
        command: int,
        packet: Buffer | bytearray,
        mid: int,
        qos: int,
        info: MQTTMessageInfo | None = None,
    ) -> MQTTErrorCode:
        return super()._packet_queue(command, memoryview(packet), mid, qos, info)  # type: ignore[arg-type]


def _after_properties(packet: memoryview, at: int) -> int:
    """Where the payload begins behind the properties at `at`; they say nothing that is used."""
    length = shift = 0
    while True:
        byte = packet[at]
        at += 1
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    if at + length > len(packet):
        raise IndexError(at)
    return at + length
