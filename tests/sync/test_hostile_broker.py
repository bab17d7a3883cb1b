"""A broker that means harm, one layer below the protocol: any bytes at all after a right handshake.

Whatever it says, the link's thread raises nothing, holds no more than a bound, and comes to a session again elsewhere.
"""

from __future__ import annotations

import dataclasses
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paho.mqtt.client import MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import VariableByteIntegers

from sync.link import Connected, Disconnected
from sync.paho_client import MOST_UNSENT, LeanClient
from sync.paho_link import PahoLink
from vedette.clock import SystemClock
from vedette.wire import MAX_PACKET_BYTES

EXAMPLES = settings().max_examples if settings().max_examples > 100 else 300
FUZZ = settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
PROPERTIES = (0, 1, 2, 11, 17, 18, 19, 21, 22, 23, 26, 28, 31, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 127)
KINDS = (0x20, 0x30, 0x32, 0x33, 0x34, 0x40, 0x50, 0x62, 0x70, 0x82, 0x90, 0xB0, 0xC0, 0xD0, 0xE0, 0xF0, 0x10, 0x00)
LET_IN = b"\x20\x03\x00\x00\x00"
LOOKS = 12
WAIT_S = 30.0
MORE_LOOKS = 10


def packet(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + VariableByteIntegers.encode(len(body)) + body


few = st.binary(max_size=24)
properties = st.one_of(
    st.just(b"\0"),
    st.lists(st.builds(lambda name, value: bytes([name]) + value, st.sampled_from(PROPERTIES), few), max_size=4).map(
        lambda one: VariableByteIntegers.encode(len(b"".join(one))) + b"".join(one)
    ),
    few,
)
reasons = st.sampled_from((b"\0", b"\x10", b"\x80", b"\x87", b"\xff", b""))
numbers = st.one_of(st.sampled_from((b"\0\1", b"\0\2", b"\0\0", b"\xff\xff")), st.binary(max_size=2))
topics = st.sampled_from((b"\0\3a/b", b"\0\0", b"\0\x0dcmd/car-1/ack", b"\xff\xffa", b"\0\2\xff\xfe"))
bodies = st.one_of(
    few,
    st.builds(lambda a, b, c: a + b + c, numbers, reasons, properties),
    st.builds(lambda a, b, c: a + b + c, numbers, properties, few),
    st.builds(lambda a, b, c: a + b + c, st.sampled_from((b"\0", b"\1", b"\7")), reasons, properties),
    st.builds(lambda a, b, c, d: a + b + c + d, topics, numbers, properties, few),
)
packets = st.builds(packet, st.one_of(st.sampled_from(KINDS), st.integers(0, 255)), bodies)
streams = st.lists(st.one_of(packets, few), min_size=1, max_size=8).map(b"".join)


class Pipe:
    """A socket's stand-in: gives what it was given, in pieces of at most `step`; takes `room` bytes and no more."""

    def __init__(self, there: bytes = b"", step: int = 1 << 20, room: int = 1 << 30) -> None:
        self.there, self.step, self.room = bytearray(there), step, room

    def recv(self, size: int) -> bytes:
        if not self.there:
            raise ssl.SSLWantReadError
        piece = bytes(self.there[: min(size, self.step)])
        del self.there[: len(piece)]
        return piece

    def recv_into(self, room: memoryview) -> int:
        piece = self.recv(len(room))
        room[: len(piece)] = piece
        return len(piece)

    def send(self, data: Any) -> int:
        taken = min(len(data), self.room)
        self.room -= taken
        if not taken:
            raise ssl.SSLWantWriteError
        return taken

    def pending(self) -> int:
        return len(self.there)

    def close(self) -> None:
        pass


def client(pipe: Pipe, version: int, heard: list[bytes]) -> LeanClient:
    made = LeanClient(
        CallbackAPIVersion.VERSION2,
        client_id="car-1",
        protocol=version,
        reconnect_on_failure=False,
        deliver=lambda topic, payload, retained: heard.append(bytes(payload)),
        answered=lambda topic, reason: None,
    )
    made._sock = pipe  # type: ignore[assignment]
    made.publish("devices/car-1/init", b"x", qos=1)
    made.subscribe([("cmd/car-1/#", 1)])
    return made


@FUZZ
@given(streams, st.sampled_from((MQTTv5, MQTTv311)), st.sampled_from((1, 3, 1 << 20)))
def test_nothing_is_raised_whatever_bytes_a_broker_sends(there: bytes, version: int, step: int) -> None:
    """WI-12: in any cut; a session goes on or is ended, and what is heard was in what was sent."""
    heard: list[bytes] = []
    made = client(Pipe(there, step), version, heard)

    for _ in range(LOOKS):
        made.read_packets(64, MAX_PACKET_BYTES)
        if made.want_write():
            made.loop_write()
        made.loop_misc()

    assert sum(map(len, heard)) <= len(there)


@pytest.mark.parametrize("version", [MQTTv5, MQTTv311])
def test_no_more_is_taken_from_a_broker_that_talks_and_never_listens(version: int) -> None:
    """WI-12: else what it is owed would fill the memory; it is heard again as soon as it listens."""
    nothing = b"\0" if version == MQTTv5 else b""
    one, pipe = packet(0x32, b"\0\3a/b\0\7" + nothing + b"x"), Pipe(room=0)
    heard: list[bytes] = []
    made = client(pipe, version, heard)

    for _ in range(MOST_UNSENT + 100):
        pipe.there += one * 64
        made.read_packets(64, MAX_PACKET_BYTES)
        made.loop_write()
    held, taken, was_choked, had_pending = len(made._out_packet), len(heard), made.is_choked, made.has_pending
    pipe.room = 1 << 20
    made.loop_write()
    made.read_packets(64, MAX_PACKET_BYTES)

    assert held <= MOST_UNSENT + 1
    assert taken <= 64 * (MOST_UNSENT + 1)
    assert (was_choked, had_pending) == (True, False)
    assert (len(made._out_packet), len(heard), made.is_choked) == (0, taken + 64, False)


class Liar:
    """A broker with a right certificate that sends `said` to whoever connects, and waits until it leaves."""

    def __init__(self, folder: Path, said: bytes) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(folder / "server.crt", folder / "server.key")
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.server.getsockname()[1])
        self.said = said
        self.sessions = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self.server.accept()
                with self.context.wrap_socket(plain, server_side=True) as connection:
                    connection.recv(1)
                    self.sessions += 1
                    connection.sendall(self.said)
                    while connection.recv(1 << 16):
                        pass
            except OSError:
                if self.server.fileno() < 0:
                    return


@pytest.fixture
def liar(broker: Any) -> Iterator[Any]:
    made: list[Liar] = []

    def make(said: bytes) -> Liar:
        made.append(Liar(broker.folder, said))
        return made[-1]

    yield make
    for one in made:
        one.server.close()


LISTENED = LET_IN + b"\x90\x04\0\1\0\1"
STAYS = {
    "no greeting": b"",
    "greeted again and again": LET_IN * 50,
    "acknowledged what was never sent": LISTENED + b"\x40\2\x12\x34" * 200,
}
ENDS = {
    "garbage": bytes(range(256)) * 40,
    "refused": b"\x20\x03\x00\x87\x00",
    "refused after it was let in": LISTENED + b"\x20\x03\x00\x87\x00",
    "larger than any packet": LISTENED + b"\x30" + VariableByteIntegers.encode(MAX_PACKET_BYTES + 1) + bytes(1 << 16),
    "no text in a topic": LISTENED + packet(0x30, b"\0\2\xff\xfe\0x"),
    "sent away": LISTENED + b"\xe0\x02\x8e\x00",
}


@pytest.mark.parametrize(
    ("said", "sessions"),
    [*((one, 1) for one in STAYS.values()), *((one, 2) for one in ENDS.values())],
    ids=[*STAYS, *ENDS],
)
def test_link_survives_a_lying_broker_and_comes_back(broker: Any, liar: Any, said: bytes, sessions: int) -> None:
    """WI-12, WI-13: by real TLS; it raises nothing, and of a session's end it says why."""
    there = liar(said)
    config = broker.config("car-1", subscriptions=("cmd/car-1/#",))
    link = PahoLink(dataclasses.replace(config, port=there.port), SystemClock(), jitter_permille=lambda: 0)
    events: list[Any] = []
    end, more = time.monotonic() + WAIT_S, MORE_LOOKS
    try:
        while more and time.monotonic() < end:
            events += link.poll(0.02)
            link.publish("devices/car-1/init", b"x")
            more -= there.sessions >= sessions
    finally:
        link.close()

    assert there.sessions >= sessions
    assert all(isinstance(one, Connected) or (isinstance(one, Disconnected) and one.reason) for one in events)
    assert any(isinstance(one, Disconnected) for one in events) == (sessions > 1)


def test_link_does_not_spin_when_a_broker_talks_and_never_listens(broker: Any, liar: Any) -> None:
    """WI-12: nothing is waited for but that it listens; the socket's next message wakes nobody."""
    there = liar(LISTENED)
    config = broker.config("car-1", subscriptions=("cmd/car-1/#",))
    link = PahoLink(dataclasses.replace(config, port=there.port), SystemClock())
    end = time.monotonic() + WAIT_S
    while not link.connected and time.monotonic() < end:
        link.poll(0.05)
    session = link._session
    assert session is not None

    session.client._out_packet.extend([{}] * (MOST_UNSENT + 1))  # type: ignore[typeddict-item]

    assert session.interest(reading=True)[1] == select.POLLOUT
    session.client._out_packet.clear()
    assert session.interest(reading=True)[1] == select.POLLIN
    link.close()
