"""A broker that says it has no shared subscriptions, as RabbitMQ does (4.0.5 was tried by hand; Debian 12 has none)."""

from __future__ import annotations

import dataclasses
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest

from sync.link import Connected
from sync.paho_link import PahoLink
from vedette.clock import SystemClock

SHARED_YES, SHARED_NO = b"\x20\x05\x00\x00\x02\x2a\x01", b"\x20\x05\x00\x00\x02\x2a\x00"
WAIT_S = 10.0


class Stub:
    """Answers one connection's CONNECT with `greeting` and keeps the topics of its SUBSCRIBE."""

    def __init__(self, folder: Path, greeting: bytes) -> None:
        self.topics: list[str] = []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(folder / "server.crt", folder / "server.key")
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.server.getsockname()[1])
        self.greeting = greeting
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        plain, _ = self.server.accept()
        plain.settimeout(WAIT_S)
        with self.context.wrap_socket(plain, server_side=True) as connection:
            self._packet(connection)
            connection.sendall(self.greeting)
            kind, body = self._packet(connection)
            assert kind == 0x82
            rest = body[3:]
            while rest:
                length = int.from_bytes(rest[:2], "big")
                self.topics.append(rest[2 : 2 + length].decode())
                rest = rest[3 + length :]
            answer = body[:2] + b"\x00" + b"\x01" * len(self.topics)
            connection.sendall(b"\x90" + bytes([len(answer)]) + answer)
            self._packet(connection)  # until the other side leaves

    def _packet(self, connection: ssl.SSLSocket) -> tuple[int, bytes]:
        head = connection.recv(1)
        length, shift = 0, 0
        while head:
            byte = connection.recv(1)[0]
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        body = b""
        while len(body) < length:
            body += connection.recv(length - len(body))
        return (head or b"\x00")[0], body


@pytest.mark.parametrize(
    ("greeting", "wanted"),
    [
        (SHARED_YES, ["$share/ingest/devices/+/init", "devices/+/birth"]),
        (SHARED_NO, ["devices/+/init", "devices/+/birth"]),
    ],
    ids=["shared", "plain"],
)
def test_worker_subscribes_plainly_when_the_broker_shares_nothing(
    broker: Any, greeting: bytes, wanted: list[str]
) -> None:
    """Where it shares, it is asked to."""
    stub = Stub(broker.folder, greeting)
    config = broker.config("central", subscriptions=("$share/ingest/devices/+/init", "devices/+/birth"))
    link = PahoLink(dataclasses.replace(config, port=stub.port), SystemClock())
    try:
        events = [event for _ in range(100) if not link.connected for event in link.poll(0.1)]
    finally:
        link.close()
    stub.thread.join(WAIT_S)

    assert Connected() in events
    assert stub.topics == wanted
