"""What is changed of paho's client: large messages are neither copied for each record nor read into large buffers."""

from __future__ import annotations

from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from sync.paho_client import RECORD_BYTES, LeanClient
from vedette.wire import MAX_PART_BYTES


@pytest.fixture
def client() -> LeanClient:
    return LeanClient(CallbackAPIVersion.VERSION2, client_id="car-1", protocol=MQTTv5)


class Socket:
    """Takes one TLS record at once, as an SSL socket does."""

    def __init__(self) -> None:
        self.taken = bytearray()
        self.kinds: set[type] = set()
        self.asked: list[int] = []

    def send(self, data: Any) -> int:
        self.kinds.add(type(data))
        piece = bytes(data[:RECORD_BYTES])
        self.taken += piece
        return len(piece)

    def recv(self, size: int) -> bytes:
        self.asked.append(size)
        return bytes(size)

    def close(self) -> None:
        pass


@pytest.mark.parametrize("size", [1, RECORD_BYTES - 1, RECORD_BYTES, RECORD_BYTES + 1, MAX_PART_BYTES])
def test_packet_is_sent_whole_and_never_copied(client: LeanClient, size: int) -> None:
    """WI-11. The same bytes as paho's own client would send, cut without a copy."""
    packet = bytearray(size)
    packet[0], packet[-1] = 0x31, 0x32
    client._sock = connection = Socket()  # type: ignore[assignment]
    client._thread = object()  # type: ignore[assignment]  # what is queued waits for the network thread
    client._packet_queue(0x30, packet, 1, 1)
    while client._out_packet:
        client._packet_write()

    assert bytes(connection.taken) == bytes(packet)
    assert connection.kinds == {memoryview}


@pytest.mark.parametrize(("asked", "read"), [(1, 1), (RECORD_BYTES, RECORD_BYTES), (MAX_PART_BYTES, RECORD_BYTES)])
def test_no_more_is_asked_for_than_a_record_holds(client: LeanClient, asked: int, read: int) -> None:
    client._sock = connection = Socket()  # type: ignore[assignment]
    assert len(client._sock_recv(asked)) == read
    assert connection.asked == [read]


def test_paho_has_what_is_changed_of_it() -> None:
    """A paho that calls these otherwise would make the change void without a word."""
    assert {"_sock_recv", "_packet_queue", "_packet_write", "_out_packet"} <= {*vars(Client), "_out_packet"}
