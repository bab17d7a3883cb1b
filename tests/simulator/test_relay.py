"""The link that tests slow, cut and mute: it carries bytes unchanged and never faster than it says."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from simulator.relay import Relay, Relays, Shape


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that sends back what it gets; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve(connection: socket.socket) -> None:
            with connection:
                while data := connection.recv(65536):
                    connection.sendall(data)

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield int(listener.getsockname()[1])


@pytest.fixture
def relays(echo: int) -> Iterator[Relays]:
    with Relays("127.0.0.1", echo) as running:
        yield running


def connected(relay: Relay) -> socket.socket:
    return socket.create_connection(("127.0.0.1", relay.port), timeout=10)


def there_and_back(connection: socket.socket, data: bytes) -> bytes:
    threading.Thread(target=connection.sendall, args=(data,), daemon=True).start()
    found = b""
    while len(found) < len(data):
        found += connection.recv(65536)
    return found


@pytest.mark.parametrize("size", [1, 16 * 1024, 16 * 1024 + 1, 1 << 20])
def test_relay_carries_bytes_unchanged(relays: Relays, size: int) -> None:
    data = os.urandom(size)
    with connected(relays.add()) as connection:
        assert there_and_back(connection, data) == data


def test_relay_counts_what_each_connection_carried(relays: Relays) -> None:
    relay = relays.add()
    for size in (1, 70_000):
        with connected(relay) as connection:
            there_and_back(connection, bytes(size))
    assert relay.carried == ([1, 70_000], [1, 70_000])


def test_relay_is_never_faster_than_its_rate_and_delay(relays: Relays) -> None:
    """100 kB at 4 Mbit/s take 0.2 s, and 0.1 s of delay each way; a busy machine makes it slower, never faster."""
    with connected(relays.add(Shape(rate_bps=4_000_000, delay_s=0.1))) as connection:
        began = time.monotonic()
        there_and_back(connection, bytes(100_000))
        assert time.monotonic() - began >= 0.4


def test_connections_share_one_links_rate(relays: Relays) -> None:
    relay = relays.add(Shape(rate_bps=4_000_000))
    with connected(relay) as first, connected(relay) as second:
        began = time.monotonic()
        other = threading.Thread(target=there_and_back, args=(second, bytes(100_000)))
        other.start()
        there_and_back(first, bytes(100_000))
        other.join()
        assert time.monotonic() - began >= 0.4


def test_cut_ends_every_connection_and_takes_new_ones(relays: Relays) -> None:
    relay = relays.add()
    with connected(relay) as connection:
        there_and_back(connection, b"x")
        relay.cut()
        with pytest.raises(ConnectionError):
            while connection.recv(1) != b"":
                pass
            raise ConnectionResetError
    with connected(relay) as connection:
        assert there_and_back(connection, b"again") == b"again"


def test_muted_link_lets_nothing_through_until_it_speaks_again(relays: Relays) -> None:
    relay = relays.add()
    with connected(relay) as connection:
        there_and_back(connection, b"x")
        relay.mute()
        time.sleep(0.1)
        connection.sendall(b"y")
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        relay.unmute()
        connection.settimeout(10)
        assert connection.recv(1) == b"y"
