"""paho's client as one thread drives it, without what a large message costs it over TLS.

A TLS record holds 16 KiB, so a socket takes and gives no more at once. paho copies what is left of a packet for each
record, makes room anew for what is missing, runs a dozen steps of its own for each, and answers each message by a
packet and a record. Here a packet is sent and read record by record from and into its place, and the messages of one
look are answered together. Nothing of the protocol is touched. Made for paho's external loop, not for `loop_start`.
"""

from __future__ import annotations

import ssl
import struct
import time
from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client, MQTTMessageInfo, MQTTv5
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.exception import MQTTException
from paho.mqtt.packettypes import PacketTypes

from vedette.wire import MAX_PACKET_BYTES

LEAST_HEAD_BYTES, MOST_HEAD_BYTES = 2, 5
MOST_UNSENT = 2048
_GOOD = (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_AGAIN)


class LeanClient(Client):
    """`paho.mqtt.client.Client`, cheaper; `deliver(topic, payload, retained)` is told each message of QoS 0 or 1."""

    def __init__(self, *arguments: Any, deliver: Callable[[str, bytes, bool], None], **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._deliver = deliver
        self._head = bytearray()
        self._body: bytearray | None = None
        self._filled = 0
        self._owed = bytearray()
        self._read_bytes = 0

    @property
    def is_choked(self) -> bool:
        """MOST_UNSENT packets wait for a broker that takes none; nothing is taken from it until it does."""
        return len(self._out_packet) > MOST_UNSENT

    @property
    def has_pending(self) -> bool:
        """Bytes that are decrypted already wait to be taken: the kernel would not tell of them."""
        return self._sock is not None and self._sock.pending() > 0 and not self.is_choked  # type: ignore[attr-defined]

    def read_packets(self, most: int, most_bytes: int) -> MQTTErrorCode:
        """Take in what has come and answer it together: up to `most` packets, the last begun before `most_bytes`."""
        code, self._read_bytes = MQTTErrorCode.MQTT_ERR_SUCCESS, 0
        if self.is_choked:
            return code
        for _ in range(most):
            if self._sock is None:
                return MQTTErrorCode.MQTT_ERR_NO_CONN
            code = self._packet_read()
            if code is not MQTTErrorCode.MQTT_ERR_SUCCESS or self._read_bytes >= most_bytes:
                break
        if self._owed and self._sock is not None:
            owed, self._owed = self._owed, bytearray()
            self._packet_queue(PacketTypes.PUBACK << 4, owed, 0, 1)
        return MQTTErrorCode.MQTT_ERR_SUCCESS if code in _GOOD else self._loop_rc_handle(code)

    def drop(self) -> None:
        """Close the socket as it is."""
        self._sock_close()

    def _packet_read(self) -> MQTTErrorCode:
        try:
            if self._body is None and not self._read_head():
                return MQTTErrorCode.MQTT_ERR_PROTOCOL
            body = self._read_body()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            return MQTTErrorCode.MQTT_ERR_AGAIN
        except OSError:
            return MQTTErrorCode.MQTT_ERR_CONN_LOST
        self._last_bytes_received = time.monotonic()
        self._read_bytes += len(body)
        self._in_packet.update({"command": self._head[0], "remaining_length": len(body), "packet": body, "pos": 0})
        self._head, self._body, self._filled = bytearray(), None, 0
        try:
            return self._packet_handle()
        except (MQTTException, struct.error, IndexError, UnicodeDecodeError):
            return MQTTErrorCode.MQTT_ERR_PROTOCOL

    def _read_head(self) -> bool:
        """Read the kind and the length, and make room; False where they are not what MQTT allows, or too much."""
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
        self._body = bytearray(length)
        return True

    def _read_body(self) -> bytearray:
        body, read_into = self._body, self._sock.recv_into  # type: ignore[union-attr]
        assert body is not None
        room = memoryview(body)
        while self._filled < len(body):
            count = read_into(room[self._filled :])
            if not count:
                raise ConnectionResetError
            self._filled += count
        return body

    def _handle_publish(self) -> MQTTErrorCode:
        packet = self._in_packet["packet"]
        quality = (self._in_packet["command"] >> 1) & 3
        if quality > 1:
            return MQTTErrorCode.MQTT_ERR_PROTOCOL  # what was subscribed to with QoS 1 comes with no more
        at = 2 + int.from_bytes(packet[:2], "big")
        topic = packet[2:at].decode()
        number = packet[at : at + 2] if quality else b""
        at += len(number)
        if self._protocol == MQTTv5:
            at = _after_properties(packet, at)
        self._deliver(topic, bytes(memoryview(packet)[at:]), bool(self._in_packet["command"] & 1))
        if quality:
            self._owed += bytes((PacketTypes.PUBACK << 4, 2)) + number
        return MQTTErrorCode.MQTT_ERR_SUCCESS

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
        packet: bytes | bytearray,
        mid: int,
        qos: int,
        info: MQTTMessageInfo | None = None,
    ) -> MQTTErrorCode:
        return super()._packet_queue(command, memoryview(packet), mid, qos, info)  # type: ignore[arg-type]


def _after_properties(packet: bytearray, at: int) -> int:
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
