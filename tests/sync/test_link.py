"""The MQTT port against a real Mosquitto, and its pure rules."""

from __future__ import annotations

import gc
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sync.link import BACKOFF_MOST_US, Connected, Disconnected, Event, Message, Undelivered, Will, backoff_us
from sync.paho_link import ACK_TIMEOUT_US, SESSION_TIMEOUT_US, LinkConfig, PahoLink, mark
from vedette.clock import FakeClock, SystemClock
from vedette.errors import NotFound, Refused
from vedette.wire import MAX_PACKET_BYTES

Opener = Callable[[LinkConfig], PahoLink]


@pytest.fixture
def open_link() -> Iterator[Opener]:
    opened: list[PahoLink] = []

    def opener(config: LinkConfig) -> PahoLink:
        opened.append(PahoLink(config, SystemClock(), jitter_permille=lambda: 0))
        return opened[-1]

    yield opener
    for link in opened:
        link.close()


def wait_for(link: PahoLink, kind: type[Event], within_s: float = 20) -> list[Event]:
    """Every event of `link` up to one of `kind`; fails when none comes."""
    events: list[Event] = []
    deadline = time.monotonic() + within_s
    while not any(isinstance(event, kind) for event in events):
        assert time.monotonic() < deadline, f"no {kind.__name__} within {within_s} s, only {events}"
        events += link.poll(0.05)
    return events


def test_backoff_doubles_to_a_minute_and_is_half_jitter_when_attempts_grow() -> None:
    """WI-13."""
    assert [backoff_us(attempt, 0) for attempt in (1, 2, 3)] == [250_000, 500_000, 1_000_000]
    assert backoff_us(1, 999) < 500_000
    assert backoff_us(1000, 0) == BACKOFF_MOST_US // 2


def test_link_delivers_in_order_when_connected(broker, open_link: Opener) -> None:
    """WI-1."""
    central = open_link(broker.config("central", subscriptions=("devices/#",)))
    wait_for(central, Connected)
    device = open_link(broker.config("car-1", subscriptions=("cmd/car-1/#",)))
    wait_for(device, Connected)
    assert all(device.publish("devices/car-1/status", bytes([n])) for n in range(10))
    heard: list[Event] = []
    while len(heard) < 10:
        heard += wait_for(central, Message)
    assert [event.payload[0] for event in heard if isinstance(event, Message)] == list(range(10))


def test_link_waits_for_no_full_packet_when_it_sends(broker, open_link: Opener) -> None:
    """WI-10: TCP_NODELAY, asked of the kernel; without it a window of one part was a hundred times slower."""
    link = open_link(broker.config("car-1", subscriptions=("cmd/car-1/#",)))
    wait_for(link, Connected)

    connection = link._session.client.socket()

    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_link_takes_nothing_when_not_connected(broker, open_link: Opener) -> None:
    """WI-12."""
    device = open_link(broker.config("car-1", subscriptions=()))
    assert not device.publish("devices/car-1/status", b"early")


def test_link_takes_nothing_when_its_window_is_full(broker, open_link: Opener) -> None:
    """WI-12."""
    device = open_link(broker.config("car-1", subscriptions=("cmd/car-1/#",)))
    wait_for(device, Connected)
    broker.pause()
    taken = [device.publish("devices/car-1/status", bytes(200_000)) for _ in range(40)]
    broker.resume()
    assert taken == [True] * 20 + [False] * 20


def test_link_keeps_a_bounded_backlog_in_order_when_its_window_is_full(broker, open_link: Opener) -> None:
    """WI-12."""
    listener = open_link(broker.config("car-1", subscriptions=("cmd/car-1/#",)))
    wait_for(listener, Connected)
    central = open_link(broker.config("central", subscriptions=("devices/#",), backlog=30))
    wait_for(central, Connected)
    broker.pause()
    taken = [central.publish("cmd/car-1/ack", bytes([n])) for n in range(60)]
    assert taken == [True] * 50 + [False] * 10
    broker.resume()
    heard: list[Event] = []
    while len(heard) < 50:
        central.poll(0.01)
        heard += listener.poll(0.01)
    assert [event.payload[0] for event in heard if isinstance(event, Message)] == list(range(50))


def test_link_refuses_a_packet_when_it_is_larger_than_the_broker_takes(broker, open_link: Opener) -> None:
    """WI-11."""
    device = open_link(broker.config("car-1", subscriptions=("cmd/car-1/#",)))
    wait_for(device, Connected)
    with pytest.raises(Refused, match="the broker takes"):
        device.publish("devices/car-1/status", bytes(MAX_PACKET_BYTES))
    assert device.connected


def test_link_tells_when_nobody_listens(broker, open_link: Opener) -> None:
    """WI-14."""
    device = open_link(broker.config("car-1", subscriptions=("cmd/car-1/#",)))
    wait_for(device, Connected)
    assert device.publish("devices/car-1/init", b"anybody?")
    assert wait_for(device, Undelivered)[-1] == Undelivered(
        topic="devices/car-1/init", reason="No matching subscribers"
    )


def test_link_tells_when_it_may_not_write_there(broker, open_link: Opener) -> None:
    """WI-2: a device cannot publish under another device's topics, and is told so."""
    device = open_link(broker.config("car-1", subscriptions=("cmd/car-1/#",)))
    central = open_link(broker.config("central", subscriptions=("devices/#",)))
    wait_for(device, Connected)
    wait_for(central, Connected)
    assert device.publish("devices/car-2/status", b"not mine")
    assert wait_for(device, Undelivered)[-1] == Undelivered(topic="devices/car-2/status", reason="Not authorized")
    assert central.poll(0.3) == []


def test_link_hears_nothing_when_it_listens_to_another_device(broker, open_link: Opener) -> None:
    """WI-2: a device cannot subscribe to another device's commands."""
    thief = open_link(broker.config("car-2", subscriptions=("cmd/car-1/#", "devices/#")))
    central = open_link(broker.config("central", subscriptions=("devices/#",)))
    owner = open_link(broker.config("car-1", subscriptions=("cmd/car-1/#",)))
    for link in (thief, central, owner):
        wait_for(link, Connected)
    assert central.publish("cmd/car-1/command", b"secret")
    assert wait_for(owner, Message)[-1] == Message(topic="cmd/car-1/command", payload=b"secret")
    assert thief.poll(0.3) == []


def test_link_is_refused_when_its_certificate_is_of_another_authority(
    broker, open_link: Opener, tmp_path: Path
) -> None:
    """WI-10."""
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    type(broker.authority)(foreign, name="ca").issue("car-1")
    good = broker.config("car-1", subscriptions=())
    stranger = open_link(
        LinkConfig(
            host=good.host,
            port=good.port,
            client_id="car-1",
            ca=good.ca,
            certificate=foreign / "car-1.crt",
            key=foreign / "car-1.key",
            subscriptions=("cmd/car-1/#",),
        )
    )
    wait_for(stranger, Disconnected)
    assert not stranger.connected


def test_link_refuses_the_broker_when_its_certificate_is_of_another_authority(
    broker, open_link: Opener, tmp_path: Path
) -> None:
    """WI-10."""
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    type(broker.authority)(foreign, name="ca")
    good = broker.config("car-1", subscriptions=())
    careful = open_link(
        LinkConfig(
            host=good.host,
            port=good.port,
            client_id="car-1",
            ca=foreign / "ca.crt",
            certificate=good.certificate,
            key=good.key,
            subscriptions=("cmd/car-1/#",),
        )
    )
    reasons = [event.reason for event in wait_for(careful, Disconnected) if isinstance(event, Disconnected)]
    assert "certificate verify failed" in reasons[0].lower()


def test_link_names_the_file_when_a_key_is_missing(broker, tmp_path: Path) -> None:
    """WI-10."""
    good = broker.config("car-1", subscriptions=())
    good.key.unlink()
    with pytest.raises(NotFound, match=r"car-1\.key"):
        PahoLink(good, FakeClock())


def test_link_refuses_to_start_when_key_and_certificate_differ(broker) -> None:
    """WI-10."""
    good = broker.config("car-1", subscriptions=())
    broker.authority.issue("car-2")
    good.key.write_bytes((broker.folder / "car-2.key").read_bytes())
    with pytest.raises(Refused, match="do not load"):
        PahoLink(good, FakeClock())


def test_link_comes_back_with_nothing_old_when_the_broker_was_killed(broker, open_link: Opener) -> None:
    """WI-12: what was in flight is not sent again by the link; the transfer decides that."""
    central = open_link(broker.config("central", subscriptions=("devices/#",)))
    device = open_link(broker.config("car-1", subscriptions=("cmd/car-1/#",)))
    wait_for(central, Connected)
    wait_for(device, Connected)
    broker.kill()
    device.publish("devices/car-1/status", b"old")
    wait_for(device, Disconnected)
    assert not device.publish("devices/car-1/status", b"old")
    broker.start()
    wait_for(central, Disconnected)
    wait_for(central, Connected)
    wait_for(device, Connected)
    assert device.publish("devices/car-1/status", b"new")
    heard = [event.payload for event in wait_for(central, Message) if isinstance(event, Message)]
    assert heard == [b"new"]


def test_link_gives_a_session_up_when_the_broker_acknowledges_nothing(broker, open_link: Opener) -> None:
    """WI-12."""
    clock = FakeClock()
    device = PahoLink(broker.config("car-1", subscriptions=("cmd/car-1/#",)), clock, jitter_permille=lambda: 0)
    wait_for(device, Connected)
    broker.pause()
    assert device.publish("devices/car-1/status", b"anybody?")
    clock.advance(ACK_TIMEOUT_US)
    assert device.poll(0.1) == []
    clock.advance(1)
    assert device.poll(0) == [Disconnected(reason="the broker did not answer in time")]
    broker.resume()
    clock.advance(BACKOFF_MOST_US)
    wait_for(device, Connected)
    device.close()


def test_link_gives_an_attempt_up_when_the_broker_takes_the_connection_and_says_nothing(broker) -> None:
    """WI-13."""
    clock = FakeClock()
    broker.pause()
    device = PahoLink(broker.config("car-1", subscriptions=()), clock)
    assert device.poll(0.1) == []
    clock.advance(SESSION_TIMEOUT_US + 1)
    assert device.poll(0) == [Disconnected(reason="the broker did not answer in time")]
    broker.resume()
    device.close()


def test_link_leaves_nothing_open_when_it_failed_to_connect_many_times(broker) -> None:
    """WI-13."""
    clock = FakeClock()
    config = broker.config("car-1", subscriptions=())
    broker.stop()
    device = PahoLink(config, clock)
    failures: list[Event] = []
    before, threads = len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
    while len(failures) < 50:
        clock.advance(BACKOFF_MOST_US)
        failures += device.poll(0.05)
    gc.collect()
    time.sleep(1.5)
    device.close()
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 5
    assert threading.active_count() <= threads + 2


def test_link_leaves_nothing_open_when_its_session_was_cut_many_times(broker, open_link: Opener) -> None:
    """WI-13: at once, not when the interpreter tidies up; else a month of bad network is the end of it."""
    clock = FakeClock()
    device = PahoLink(broker.config("car-1", subscriptions=("cmd/car-1/#",)), clock)
    counts = []
    gc.disable()
    try:
        for _ in range(12):
            wait_for(device, Connected)
            device.cut("a test")
            wait_for(device, Disconnected)
            clock.advance(BACKOFF_MOST_US)
            counts.append(len(list(Path("/proc/self/fd").iterdir())))
    finally:
        gc.enable()
        device.close()
    assert max(counts) == counts[0]


def test_link_leaves_its_will_when_it_dies_and_none_when_it_closes(broker, open_link: Opener) -> None:
    """WI-15."""
    will = Will(topic="devices/car-1/birth", payload=b"offline")
    central = open_link(broker.config("central", subscriptions=("devices/+/birth",)))
    wait_for(central, Connected)
    polite = open_link(broker.config("car-1", subscriptions=("cmd/car-1/#",), will=will))
    wait_for(polite, Connected)
    polite.close()
    assert central.poll(0.5) == []
    first = open_link(broker.config("car-1", subscriptions=("cmd/car-1/#",), will=will))
    wait_for(first, Connected)
    # A second client of the same identity takes the session over, and the broker speaks the first one's will.
    second = open_link(broker.config("car-1", subscriptions=("cmd/car-1/#",)))
    wait_for(second, Connected)
    assert wait_for(central, Message)[-1] == Message(topic="devices/car-1/birth", payload=b"offline")


def test_wait_of_one_link_ends_with_what_another_hears(broker, open_link: Opener) -> None:
    """WI-68. A centre at several brokers waits for all of them at once; this one would wait for a minute."""
    first = open_link(broker.config("car-2", subscriptions=("cmd/car-2/#",)))
    second = open_link(broker.config("central", subscriptions=("devices/#",)))
    device = open_link(broker.config("car-1", subscriptions=("cmd/car-1/#",)))
    for link in (first, second, device):
        wait_for(link, Connected)
    first.hear_with([second])
    waiting = threading.Thread(target=first.poll, args=(60.0,), daemon=True)
    waiting.start()
    assert device.publish("devices/car-1/status", b"here")
    waiting.join(20)
    assert not waiting.is_alive()
    assert second.poll(0.0) == [Message(topic="devices/car-1/status", payload=b"here")]


@pytest.mark.parametrize("is_cut", [False, True])
def test_link_throws_away_what_is_in_its_socket_when_it_is_cut(broker, open_link: Opener, is_cut: bool) -> None:
    """WI-61: what the kernel has not sent is not sent any more; without the cut it all arrives."""
    central = open_link(broker.config("central", subscriptions=("devices/#",)))
    wait_for(central, Connected)
    device = open_link(broker.config("car-1.bulk", subscriptions=("cmd/car-1.bulk/#",)))
    wait_for(device, Connected)
    broker.pause()
    # More than the buffers of both kernels on a loopback hold, so that much of it waits on this side.
    assert all(device.publish("devices/car-1.bulk/part/w", bytes([n]) * 1_000_000) for n in range(16))
    time.sleep(0.3)
    if is_cut:
        device.cut("a test")
        assert not device.connected
        assert Disconnected(reason="a test") in device.poll(1)
        time.sleep(0.3)
    broker.resume()
    heard: list[Event] = []
    if is_cut:
        wait_for(device, Connected)
        assert device.publish("devices/car-1.bulk/part/w", b"last")
    while not (heard and heard[-1].payload in (b"last", bytes([15]) * 1_000_000)):
        device.poll(0.0)
        heard += central.poll(0.05)
    assert len(heard) < 16 if is_cut else len(heard) == 16


@pytest.mark.parametrize(
    ("family", "level", "option"),
    [
        (socket.AF_INET, socket.IPPROTO_IP, socket.IP_TOS),
        (socket.AF_INET6, socket.IPPROTO_IPV6, socket.IPV6_TCLASS),
    ],
)
def test_link_marks_a_socket_of_either_family(family: int, level: int, option: int) -> None:
    """WI-62: asked of the kernel."""
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        mark(connection, 0)
        assert connection.getsockopt(level, option) == 0
        mark(connection, 8)
        assert connection.getsockopt(level, option) == 0x20
