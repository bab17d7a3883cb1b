"""paho's client without two costs that a large message has over TLS.

A TLS record holds 16 KiB, so a socket takes and gives no more at once. For each record paho copies what is left of a
packet (a part of 256 KiB is copied eight times over), and when it reads it makes room for all that is missing. Nothing
else is changed, and nothing of the protocol is touched.
"""

from __future__ import annotations

from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import MQTTErrorCode

RECORD_BYTES = 16 * 1024


class LeanClient(Client):
    """`paho.mqtt.client.Client`, cheaper."""

    def _sock_recv(self, bufsize: int) -> bytes:
        return super()._sock_recv(min(bufsize, RECORD_BYTES))

    def _packet_queue(
        self,
        command: int,
        packet: bytes | bytearray,
        mid: int,
        qos: int,
        info: MQTTMessageInfo | None = None,
    ) -> MQTTErrorCode:
        return super()._packet_queue(command, memoryview(packet), mid, qos, info)  # type: ignore[arg-type]
