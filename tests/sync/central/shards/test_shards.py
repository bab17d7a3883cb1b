"""Several brokers as one: which device belongs where, one link over all, and a centre with two real Mosquittos."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from typing import Any

import pytest

from sync.central import fleet, shards
from sync.central.shards import MAX_SHARDS, ShardedLink, shard_of
from sync.link import (
    MAX_BYTES_AT_ONCE,
    MAX_MESSAGES_AT_ONCE,
    Buffer,
    Connected,
    Disconnected,
    Event,
    Link,
    Message,
)
from vedette import config
from vedette.errors import Usage


@dataclass
class FakeShard:
    """One shard's link: what it will hear, what it was given."""

    connected: bool = True
    takes: bool = True
    most: int = MAX_MESSAGES_AT_ONCE
    waiting: list[Event] = field(default_factory=list)
    waits_s: list[float] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    closed: bool = False
    waited_us: int | None = None

    def publish(self, topic: str, payload: bytes, *, behind: Buffer = b"", retain: bool = False) -> bool:
        if self.takes:
            self.sent.append(topic)
        return self.takes

    @property
    def emptied(self) -> bool:
        return not self.waiting

    def poll(self, timeout_s: float) -> list[Event]:
        self.waits_s.append(timeout_s)
        events, self.waiting = self.waiting[: self.most], self.waiting[self.most :]
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


def test_shard_that_is_full_is_asked_again_and_holds_up_nobody() -> None:
    """WI-70. In order, when the link is looked at or told more; what it still waits with when it goes down is void."""
    first, second = FakeShard(), FakeShard(takes=False)
    link = sharded(first, second)

    taken = [link.publish(f"cmd/{car_of(1)}/{name}", b"") for name in ("grant", "ack")]
    assert link.publish(f"cmd/{car_of(0)}/grant", b"")
    assert (taken, first.sent, second.sent) == ([True, True], [f"cmd/{car_of(0)}/grant"], [])
    second.takes = True
    link.poll(0.0)
    assert second.sent == [f"cmd/{car_of(1)}/grant", f"cmd/{car_of(1)}/ack"]
    second.takes = False
    link.publish(f"cmd/{car_of(1)}/sealed", b"")
    second.connected = False
    link.poll(0.0)
    second.connected = second.takes = True
    link.poll(0.0)

    assert len(second.sent) == 2


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


MANY = MAX_MESSAGES_AT_ONCE - 1


@pytest.mark.parametrize("count", [0, 1, 100, MANY])
def test_link_is_emptied_when_each_shard_is_however_much_came_of_all(count: int) -> None:
    """WI-68. Two shards give more than one broker could at once, and nothing waits: the centre keeps up."""
    link = sharded(*(FakeShard(waiting=[birth(f"car-{shard}")] * count) for shard in range(2)))

    events = link.poll(0.0)

    assert (len(events), link.emptied) == (2 * count + 1, True)  # with Connected


@pytest.mark.parametrize("busy", [0, 1])
def test_link_is_not_emptied_while_one_shard_is_not(busy: int) -> None:
    """WI-68."""
    shards_of_two = [FakeShard(), FakeShard()]
    shards_of_two[busy] = FakeShard(waiting=[birth("car-1")] * 3, most=2)
    link = sharded(*shards_of_two)

    told = [(len(link.poll(0.0)), link.emptied) for _ in range(2)]

    assert told == [(3, False), (1, True)]


@pytest.mark.parametrize(
    ("first_us", "second_us", "waited_us"), [(None, None, None), (None, 7, 7), (9, 7, 9), (0, None, 0)]
)
def test_link_says_how_long_the_slowest_shard_let_wait(
    first_us: int | None, second_us: int | None, waited_us: int | None
) -> None:
    """WI-68."""
    link = sharded(FakeShard(waited_us=first_us), FakeShard(waited_us=second_us))

    link.poll(0.0)

    assert link.waited_us == waited_us


@pytest.mark.parametrize(("count", "size"), [(MAX_MESSAGES_AT_ONCE, 2), (4, MAX_BYTES_AT_ONCE // 4)])
def test_one_look_takes_no_more_than_of_one_broker_and_leaves_nobody_for_later(count: int, size: int) -> None:
    """WI-68. A hit waits for one look to be worked off and not for one of each shard; a shard that was left is
    the first of the next look, also when the others never end."""
    messages = [Message(topic="devices/car-1/init", payload=bytes(size))] * count
    busy = [FakeShard(waiting=messages * 9, most=count) for _ in range(2)]
    quiet = FakeShard(waiting=[birth("car-2")])
    link = sharded(*busy, quiet)
    assert len(link.poll(0.0)) == count + 1  # with Connected
    assert not link.emptied

    looks = [link.poll(0.0) for _ in range(2)]

    assert looks == [messages, [birth("car-2"), *messages]]
    assert not link.emptied


def test_wait_is_one_and_not_one_for_each_shard() -> None:
    first, second = FakeShard(), FakeShard()
    link = sharded(first, second)
    link.poll(0.0)

    link.poll(0.05)

    assert [first.waits_s, second.waits_s] == [[0.0, 0.0, 0.05], [0.0, 0.0, 0.0]]


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


def test_devices_of_two_shards_are_served_cut_and_moved(centre: Any, make_fleet: Any) -> None:
    """WI-18, WI-20. Real brokers: each device at its own, one broker's death is no matter to the other's devices, a
    revoked device is cut at its shard, and a device that moves to the other shard is answered there.
    """
    two = make_fleet()
    here, there, more = (two.add(centre.stranger(name)) for name in (car_of(0), car_of(1), f"{car_of(1)}0.x"))
    assert [two.places[one.id].uplink.port for one in (here, there)] == [two.addresses[0][1], two.second]
    receipts = [two.send(one) for one in (here, there)]
    assert two.drive(lambda: all(path.is_file() for path in receipts)), two.uplinks

    os.kill(two.pid("broker-1"), signal.SIGKILL)
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
