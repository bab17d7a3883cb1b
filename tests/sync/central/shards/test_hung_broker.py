"""A broker that is there and reads nothing any more: only its own devices wait, and memory has a bound (WI-70)."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from sync import paho_link
from sync.central import answers, watchlists
from sync.central.answers import Answers
from sync.central.shards import ShardedLink, joined, shard_of
from sync.link import Link, Message
from sync.paho_link import PahoLink
from vedette.clock import SystemClock, iso
from vedette.errors import Refused
from vedette.wire import ListPart, Refuse, RefuseCode

WAIT_S = 20.0
SOON_S = 15.0  # a broker that is silent is given up after a keepalive and its answer: 40 s
ITEM = "0192a000-0000-7000-8000-000000000001"
MANY = 4000  # more than all that may wait for one broker: its window of 500 and 1,024 behind it
LIST_PART = 256 * 1024
DAY_US = 86_400_000_000


def car_of(shard: int) -> str:
    return next(f"car-{number}" for number in range(1000) if shard_of(f"car-{number}", 2) == shard)


def told(number: int) -> Refuse:
    return Refuse(item=ITEM, code=RefuseCode.BUSY, text=f"{number}")


def until(fact: Callable[[], object], *links: Link) -> None:
    end = time.monotonic() + WAIT_S
    while not fact():
        assert time.monotonic() < end
        for link in links:
            link.poll(0.02)


@pytest.fixture
def pair(make_broker: Any) -> Any:
    """Two brokers, the centre's link over both, and a device's link at the first."""
    brokers = [make_broker("first"), make_broker("second")]
    at_each = [
        PahoLink(one.config("central", subscriptions=("devices/#",), backlog=1024), SystemClock()) for one in brokers
    ]
    centre, car = joined(at_each), car_of(0)
    device = PahoLink(brokers[0].config(car, subscriptions=(f"cmd/{car}/#",)), SystemClock())
    until(lambda: device.connected and all(one.connected for one in at_each), centre, device)
    yield brokers, centre, device
    brokers[1].resume()
    device.close()
    centre.close()


@pytest.mark.parametrize("size", [1, LIST_PART])
def test_answers_reach_the_devices_of_one_broker_when_the_other_reads_nothing(pair: Any, size: int) -> None:
    """WI-70. Two real brokers, one is stopped; more is said to its devices than all that waits for it can hold."""
    brokers, centre, device = pair
    said = Answers(centre)
    heard: list[Message] = []
    brokers[1].pause()

    for number in range(MANY):
        if size == 1:
            said.send(car_of(1), told(number))
        else:
            said.send(car_of(1), ListPart(version=1, offset=number, payload=bytes(size)))
        if number % 100 == 99:
            said.send(car_of(0), told(number))
            said.flush()
            centre.poll(0.0)
    until(lambda: len(heard_by(device, heard)) == MANY // 100, centre)

    assert [one.topic for one in heard] == [f"cmd/{car_of(0)}/refuse"] * len(heard)
    assert held_bytes(centre) <= answers.MAX_WAITING_BYTES + paho_link.MAX_BACKLOG_BYTES + LIST_PART


def heard_by(device: PahoLink, heard: list[Message]) -> list[Message]:
    heard += [event for event in device.poll(0.02) if isinstance(event, Message)]
    return heard


def held_bytes(centre: ShardedLink) -> int:
    """What waits for the second broker."""
    session: Any = centre._links[1]._session  # type: ignore[attr-defined]
    return centre._answers[1].waiting_bytes + sum(len(one[1]) + len(one[2]) for one in session.backlog)


def test_link_holds_no_more_than_its_bounds_when_the_broker_reads_nothing(broker: Any) -> None:
    """WI-70, WI-12. What is with the socket, then what waits: in bytes too, since a list part is large."""
    config = broker.config("central", subscriptions=("devices/#",), backlog=1024)
    link = PahoLink(replace(config, window=500), SystemClock())
    until(lambda: link.connected, link)
    broker.pause()
    payload = ListPart(version=1, offset=0, payload=bytes(LIST_PART)).encode()

    try:
        while link.publish(f"cmd/{car_of(0)}/list-part", payload):
            pass
        session: Any = link._session
        unsent = sum(len(packet["packet"]) for packet in session.client._out_packet)
        waiting = sum(len(one[1]) for one in session.backlog)
    finally:
        broker.resume()

    assert unsent <= paho_link.MAX_UNSENT_BYTES + 2 * LIST_PART
    assert paho_link.MAX_BACKLOG_BYTES <= waiting <= paho_link.MAX_BACKLOG_BYTES + 2 * LIST_PART
    until(lambda: link.settled, link)
    assert link.publish(f"cmd/{car_of(0)}/list-part", payload)
    link.close()


class Full:
    """A link that takes nothing, or only what is small."""

    connected = True

    def __init__(self, most: int = -1) -> None:
        self.most = most
        self.taken: list[bytes] = []

    def publish(self, topic: str, payload: bytes, **_more: Any) -> bool:
        if self.most < 0:
            return False
        if len(payload) > self.most:
            raise Refused("larger than the broker takes")
        self.taken.append(payload)
        return True


@pytest.mark.parametrize(("size", "count"), [(1, answers.MAX_WAITING), (1 << 20, answers.MAX_WAITING_BYTES >> 20)])
def test_oldest_answers_are_lost_at_the_bound(size: int, count: int) -> None:
    """WI-70. At it and one past it, by number and by bytes."""
    link: Any = Full()
    said = Answers(link)

    for number in range(count + 1):
        said.publish(f"cmd/car-1/{number}", bytes(size))
    link.most = size
    waiting_bytes = said.waiting_bytes
    said.flush()

    assert (waiting_bytes, len(link.taken), said.waiting_bytes) == (count * size, count, 0)


def test_answer_that_the_broker_never_takes_holds_up_no_other() -> None:
    """WI-11, WI-70. A foreign broker may take less than a part of the list."""
    link: Any = Full(most=10)
    said = Answers(link)
    for size in (5, 11, 6):
        said.publish("cmd/car-1/list-part", bytes(size))

    said.flush()

    assert [len(one) for one in link.taken] == [5, 6]


def pretend_online(centre: Any, count: int, like: str) -> None:
    """So many more devices of the second broker, that are there."""
    ghosts = (f"ghost-{number}" for number in range(3 * count))
    names = [name for name in ghosts if shard_of(name, 2) == 1][:count]
    sql = (
        "INSERT INTO devices (device, public_key, enrolled_us, enrolment, certificate_serial, online)"
        " SELECT ?, public_key, enrolled_us, enrolment, ?, 1 FROM devices WHERE device = ?"
    )
    with centre.store.writing() as db:
        db.execute_many(sql, [[name, name, like] for name in names])


def test_devices_of_one_shard_are_served_when_the_other_s_broker_hangs(
    centre: Any, make_fleet: Any, tmp_path: Any
) -> None:
    """WI-70, WI-20. The centre itself, with its own brokers: a list is offered to thousands of devices of a broker that
    was stopped, and the others' evidence is receipted before that broker is given up; it comes back, and so do its own.
    """
    two = make_fleet()
    here, there = (two.add(centre.stranger(car_of(shard))) for shard in (0, 1))
    receipts = [two.send(one) for one in (here, there)]
    assert two.drive(lambda: all(path.is_file() for path in receipts)), two.uplinks
    first, last = (iso(SystemClock().utc_us() + days * DAY_US)[:10] for days in (-1, 30))
    (tmp_path / "list.csv").write_text(
        f"plate,region,reason,priority,source,valid_from,valid_to\nAB123CD,FR,stolen,high,test,{first},{last}\n"
    )
    watchlists.import_csv(centre.store, tmp_path / "list.csv", "test", expires_s=86_400)
    hung = two.pid("broker-1")

    os.kill(hung, signal.SIGSTOP)
    try:
        pretend_online(centre, MANY, there.id)
        watchlists.publish(centre.store)
        assert two.drive(lambda: centre.store.device(here.id).list_version == 1, SOON_S)
        receipt, waits = two.send(here), two.send(there)
        assert two.drive(receipt.is_file, SOON_S)
        assert not waits.is_file()
    finally:
        os.kill(hung, signal.SIGCONT)
    assert two.drive(waits.is_file, 3 * WAIT_S)
