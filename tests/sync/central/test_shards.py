"""Several brokers as one: which device belongs where, one link over all, and a centre with two real Mosquittos."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sync.central import fleet, mosquitto, shards
from sync.central.shards import MAX_SHARDS, ShardedLink, shard_of
from sync.link import Buffer, Connected, Disconnected, Event, Link, Message
from sync.uplink_commands import make_uplink
from vedette import config
from vedette.clock import SystemClock
from vedette.errors import Usage

WAIT_S = 30.0


@dataclass
class FakeShard:
    """One shard's link: what it will hear, what it was given."""

    connected: bool = True
    takes: bool = True
    waiting: list[Event] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    closed: bool = False

    def publish(self, topic: str, payload: bytes, *, behind: Buffer = b"", retain: bool = False) -> bool:
        if self.takes:
            self.sent.append(topic)
        return self.takes

    def poll(self, timeout_s: float) -> list[Event]:
        events, self.waiting = self.waiting, []
        return events

    def close(self) -> None:
        self.closed = True


def sharded(*links: Link) -> ShardedLink:
    return ShardedLink(links)


def birth(device: str) -> Message:
    return Message(topic=f"devices/{device}/birth", payload=b"{}")


def car_of(shard: int, count: int = 2) -> str:
    return next(f"car-{number}" for number in range(1000) if shard_of(f"car-{number}", count) == shard)


def test_shard_of_an_id_is_the_same_everywhere_and_for_ever() -> None:
    """By hand: `printf car-1 | sha256sum` begins 701cec69f31b804f, modulo 4, and so on."""
    assert [shard_of(f"car-{number}", 4) for number in range(8)] == [1, 3, 1, 2, 1, 2, 3, 0]
    assert {shard_of(f"car-{number}", 1) for number in range(100)} == {0}


def test_devices_are_spread_evenly() -> None:
    counts = [0] * 4
    for number in range(4000):
        counts[shard_of(f"body-{number:04d}", 4)] += 1

    assert max(counts) - min(counts) < 150


def test_answer_goes_where_the_device_was_heard() -> None:
    """Also when its id belongs elsewhere: shards were added since."""
    first, second = FakeShard(), FakeShard()
    link = sharded(first, second)
    device = car_of(0)

    link.publish(f"cmd/{device}/grant", b"")
    second.waiting = [birth(device)]
    heard = link.poll(0.0)
    link.publish(f"cmd/{device}/ack", b"")

    assert (first.sent, second.sent) == ([f"cmd/{device}/grant"], [f"cmd/{device}/ack"])
    assert birth(device) in heard


def test_shard_that_is_down_holds_up_nobody() -> None:
    first, second = FakeShard(), FakeShard(connected=False)
    link = sharded(first, second)

    taken = [link.publish(f"cmd/{car_of(shard)}/grant", b"") for shard in (1, 0)]

    assert (taken, len(first.sent), second.sent) == ([True, True], 1, [])


def test_shard_that_is_full_is_asked_again() -> None:
    link = sharded(FakeShard(), FakeShard(takes=False))

    assert link.publish(f"cmd/{car_of(1)}/grant", b"") is False


def test_link_is_there_from_the_first_shard_to_the_last() -> None:
    first, second = FakeShard(connected=False), FakeShard(connected=False)
    link = sharded(first, second)
    told = [(link.connected, link.poll(0.0))]
    for one, connected in ((first, True), (second, True), (first, False), (second, False)):
        one.connected = connected
        one.waiting = [Connected() if connected else Disconnected(reason="x")]
        told.append((link.connected, link.poll(0.0)))

    kinds = [(connected, [type(event) for event in events]) for connected, events in told]
    assert kinds == [(False, []), (True, [Connected]), (True, []), (True, []), (False, [Disconnected])]


def test_stranger_topic_is_passed_on_and_remembered_nowhere() -> None:
    first = FakeShard(waiting=[Message(topic="devices/x/y/z", payload=b"")])
    link = sharded(first, FakeShard())

    assert len(link.poll(0.0)) == 2  # with Connected
    link.close()
    assert first.closed


@pytest.mark.parametrize(
    "text",
    ["broker-2", "broker-2:0", "broker-2:65536", "a:b", "::1:8883", "127.0.0.1:1883 127.0.0.1:1883", "h:8883,g:8883"],
)
def test_shards_are_refused_when_they_name_no_brokers(centre: Any, text: str) -> None:
    with pytest.raises(Usage, match=r"\[broker\] shards"):
        shards.addresses(_configured(centre, text))


def test_shards_are_read_in_order(centre: Any) -> None:
    """At the limit and one past it."""
    names = [f"b{number}:8883" for number in range(MAX_SHARDS - 1)]

    found = shards.addresses(_configured(centre, " ".join(["[::1]:8884", *names[1:]])))

    assert (found[0][0], found[1], found[-1]) == ("127.0.0.1", ("::1", 8884), (f"b{MAX_SHARDS - 2}", 8883))
    with pytest.raises(Usage):
        shards.addresses(_configured(centre, " ".join([*names, "one-more:8883"])))


def _configured(centre: Any, text: str) -> config.CentralConfig:
    path = centre.folder / "central.toml"
    before = path.read_text().split("shards")[0]
    path.write_text(f'{before}shards = "{text}"\n')
    return config.load_central(path)


class Fleet:
    """A centre process with two Mosquittos and devices with their real uplinks."""

    def __init__(self, centre: Any) -> None:
        self.centre = centre
        centre.clock.jump(time.time_ns() // 1000 - centre.clock.utc_us())
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.second = int(probe.getsockname()[1])
        self.addresses = shards.addresses(_configured(centre, f"127.0.0.1:{self.second}"))
        self.uplinks: dict[str, Any] = {}
        self.places: dict[str, Any] = {}
        self.process = centre.start()

    def add(self, device: Any) -> Any:
        """Enrol by the command and start its uplink."""
        device.join()
        self.start(device)
        return device

    def start(self, device: Any) -> None:
        place = self.places[device.id] = config.load_device(device.folder / "device.toml")
        self.uplinks[device.id] = make_uplink(place, SystemClock())

    def send(self, device: Any) -> Path:
        """Put an item into the spool; where its receipt will be."""
        item, place = device.item(os.urandom(100_000)), self.places[device.id]
        item.commit(place.spool)
        return Path(place.receipts / f"{item.id}.receipt")

    def drive(self, fact: Callable[[], bool], within_s: float = WAIT_S) -> bool:
        end = time.monotonic() + within_s
        while not fact() and time.monotonic() < end:
            for uplink in self.uplinks.values():
                uplink.step(SystemClock().mono_us())
        return fact()

    def is_connected(self, device: Any) -> bool:
        return bool(self.uplinks[device.id]._parts.link.connected)

    def broker(self, number: int) -> int:
        name = f"broker-{number}" if number else "broker"
        return int(json.loads((self.centre.folder / "run" / f"{name}.pid.json").read_bytes())["pid"])

    def close(self) -> None:
        for uplink in self.uplinks.values():
            uplink.close()
        self.process.terminate()
        self.process.wait(WAIT_S)


@pytest.fixture
def two(centre: Any) -> Iterator[Fleet]:
    if mosquitto.find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    fleet_of_two = Fleet(centre)
    yield fleet_of_two
    fleet_of_two.close()


def test_devices_of_two_shards_are_served_cut_and_moved(centre: Any, two: Fleet) -> None:
    """WI-18, WI-20. Real brokers: each device at its own, one broker's death is no matter to the other's devices, a
    revoked device is cut at its shard, and a device that moves to the other shard is answered there.
    """
    here, there, more = (two.add(centre.stranger(name)) for name in (car_of(0), car_of(1), f"{car_of(1)}0.x"))
    assert [two.places[one.id].uplink.port for one in (here, there)] == [two.addresses[0][1], two.second]
    receipts = [two.send(one) for one in (here, there)]
    assert two.drive(lambda: all(path.is_file() for path in receipts)), two.uplinks

    os.kill(two.broker(1), signal.SIGKILL)
    first, second = two.send(here), two.send(there)
    assert two.drive(first.is_file)
    assert two.drive(second.is_file)  # the broker was started again

    fleet.revoke(centre.store, there.id)
    assert two.drive(lambda: not two.is_connected(there))
    never, first = two.send(there), two.send(here)
    assert two.drive(first.is_file)
    assert not two.drive(never.is_file, 2.0)

    port, other = two.places[more.id].uplink.port, {two.addresses[0][1], two.second} - {two.places[more.id].uplink.port}
    two.uplinks.pop(more.id).close()
    toml = more.folder / "device.toml"
    toml.write_text(toml.read_text().replace(f"port = {port}", f"port = {other.pop()}"))
    two.start(more)
    moved = two.send(more)
    assert two.drive(moved.is_file)
