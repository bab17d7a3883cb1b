"""The depot's door and changing networks: what is on its way there stops at once, is dropped, and goes on later."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sync.depot_post import DepotPost
from sync.flight import MOST_WINDOW_BYTES, Flight
from sync.https_session import HttpsSession
from sync.sender import Sender
from sync.uplink import Uplink
from sync.uplink_commands import make_uplink
from vedette import daemon, spool, wire
from vedette.clock import SystemClock
from vedette.config import load_device
from vedette.wire import Grant, Part

PART = 64 * 1024
SIZE = 12_000_000
WAIT_S = 30.0
HOUR_US = 3_600_000_000
MONDAY_NOON_US = 1_699_876_800_000_000
ROOM_BYTES = 64 * 1024
GATHERED = 10


class FastNetwork(Flight):
    """What a sender knows of a network that was fast until now: as many parts as it has places may be on their way."""

    window = MOST_WINDOW_BYTES
    part_size = PART


class MovedClock(SystemClock):
    """The machine's clocks, its wall clock at a time of the week that a test chooses."""

    ahead_us = 0

    def utc_us(self) -> int:
        return super().utc_us() + self.ahead_us


@dataclass
class Car:
    """A device whose depot is behind a relay, and its uplink. It has no broker."""

    place: Any
    device: Any
    line: Any
    told: Path
    clock: MovedClock
    uplink: Uplink = field(init=False)
    is_held: bool = False

    def start(self) -> None:
        self.uplink = make_uplink(self.place, self.clock)
        self.post._sender = Sender(self.post._holdings.check_receipt, flight=FastNetwork())

    def fill(self) -> int:
        """Begin to send, then hold the network still while many parts wait in a request and behind it; bytes that left.

        Not all of them fit into the network and the kernel, which gets less room than it would take.
        """
        self.drive(lambda: self.post.connected)
        self.line.narrow(ROOM_BYTES)
        link: Any = self.post._door
        send_parts = link._send_parts

        def hold(session: HttpsSession, first: Part) -> None:
            """On the link's thread, before each request with parts."""
            if self.post.acknowledged_bytes and not self.is_held:
                self.line.until(lambda: session.jobs.qsize() >= GATHERED)
                self.line.hold()
                self.is_held = True
            send_parts(session, first)

        link._send_parts = hold
        self.drive(lambda: self.is_held and self.is_stuck())
        return self.line.standing().left

    @property
    def post(self) -> DepotPost:
        found = self.uplink._parts.depot
        assert found is not None
        return found

    def put(self, size: int) -> Any:
        item = self.device.item(random.Random(size).randbytes(size))
        item.commit(self.place.spool)
        return item

    def receipt(self, item: Any) -> Path:
        return Path(self.place.receipts / f"{item.id}.receipt")

    def drive(self, fact: Callable[[], object]) -> None:
        end = time.monotonic() + WAIT_S
        while not fact():
            assert time.monotonic() < end, daemon.read_status(self.place.run, "uplink")
            self.uplink.step(self.clock.mono_us())

    def is_stuck(self) -> bool:
        """Bytes wait in the kernel, which nobody takes, and more than a part in this process."""
        now = self.line.standing()
        return now.in_vain and now.held > 0 and self.post.bytes_sent > now.left + now.held + PART

    def waits_for(self) -> str:
        return str(daemon.read_status(self.place.run, "uplink")["bulk_waits"])


@pytest.fixture
def part_kib() -> int:
    return PART // 1024


@pytest.fixture
def make_car(device: Any, line: Any, tmp_path: Path) -> Iterator[Callable[..., Car]]:
    made: list[Car] = []

    def make(network: str = "", uplink: str = "") -> Car:
        told, toml = tmp_path / "network", device.folder / "device.toml"
        text = toml.read_text().replace('data = "."\n', f'data = "."\nrun = "{tmp_path}"\n')
        text += f'depot_host = "127.0.0.1"\ndepot_port = {line.relay.port}\npart_kib = 16\n{uplink}\n'
        toml.write_text(f'{text}[network]\nsource = "file"\nask = "{told}"\n{network}\n')
        place = load_device(toml)
        spool.make_folders(place.spool)
        made.append(Car(place, device, line, told, MovedClock()))
        return made[-1]

    yield make
    for one in made:
        one.uplink.close()


@dataclass(frozen=True, kw_only=True)
class Change:
    """A network that is one for bulk, and then is no more, as `told` or the clock says; `why` bulk waits then."""

    why: str
    network: str = ""
    good: str = "metered=no\n"
    bad: str = "metered=no\n"
    later_us: int = 0


CHANGES = [
    Change(why="metered", bad="metered=yes\n"),
    Change(why="network unknown", bad=""),
    Change(
        why="not a depot",
        network='bulk_on = "depot"\ndepots = "Depot North"',
        good="ssid=Depot North\n",
        bad="ssid=Street\n",
    ),
    Change(why="quiet hours", network='quiet = "mon 13:00-14:00"', later_us=HOUR_US),
]


def watch(car: Car, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Any], list[Any]]:
    """What the sender hears and what it says from now on."""
    heard: list[Any] = []
    said: list[Any] = []
    receive, send = car.post._sender.receive, car.post._door.send

    def hear(message: Any, now_us: int) -> Any:
        heard.append(message)
        return receive(message, now_us)

    def say(message: Any) -> bool:
        said.append(message)
        return send(message)

    monkeypatch.setattr(car.post._sender, "receive", hear)
    monkeypatch.setattr(car.post._door, "send", say)
    return heard, said


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.why)
def test_upload_at_the_door_stops_at_once_and_goes_on_later_when_the_network_is_no_more_for_it(
    make_car: Callable[..., Car], monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    """DE-15. WI-60. WI-61. WI-63: not a part more leaves, and nothing that arrived is sent again."""
    car = make_car(change.network)
    car.clock.ahead_us = MONDAY_NOON_US - car.clock.utc_us()
    car.told.write_text(change.good)
    car.start()
    item = car.put(SIZE)
    left = car.fill()

    car.told.write_text(change.bad)
    car.clock.ahead_us += change.later_us
    car.drive(lambda: not car.post.under_way)
    assert not car.post.connected
    car.drive(lambda: car.post.trouble == f"bulk waits: {change.why}")
    car.line.relay.unmute()
    sent = car.post.bytes_sent
    car.drive(lambda: car.post.connected and car.waits_for() == change.why)
    waiting = car.uplink._parts.outbox.items[item.id]
    assert (waiting.tries, waiting.refused, waiting.why) == (0, "", "")
    assert car.post.bytes_sent == sent

    heard, said = watch(car, monkeypatch)
    car.told.write_text(change.good)
    car.clock.ahead_us += change.later_us
    car.drive(car.receipt(item).exists)
    assert car.line.relay.carried[0][0] <= left + PART
    grant = next(message for message in heard if isinstance(message, Grant))
    ((_, last),) = grant.have  # in one piece, since parts go in their order
    total = wire.parts_of(item.manifest.sealed_size, PART)
    assert grant.part_size == PART and last > 0
    assert {message.index for message in said if isinstance(message, Part)} == set(range(last + 1, total))


def test_parts_of_an_item_that_ended_are_dropped_too_when_the_network_turns_metered(
    make_car: Callable[..., Car],
) -> None:
    """DE-15: a file that was cut short ends its upload; what was read of it before must not go out either."""
    car = make_car()
    car.told.write_text("metered=no\n")
    car.start()
    item = car.put(SIZE)
    left = car.fill()
    car.post._sender.drop(item.id)
    spool.final_path(car.place.spool, "segment", item.id).unlink()

    car.told.write_text("metered=yes\n")
    car.drive(lambda: car.post.trouble == "bulk waits: metered")
    car.line.relay.unmute()
    car.drive(lambda: car.post.connected)
    assert car.line.relay.carried[0][0] <= left + PART


@pytest.mark.parametrize(("dscp", "tos"), [(8, 0x20), (1, 0x04), (0, 0)])
def test_connection_to_the_door_is_marked(make_car: Callable[..., Car], dscp: int, tos: int) -> None:
    """DE-16. WI-62: asked of the kernel; also the connection after a lost one."""
    car = make_car(uplink=f"bulk_dscp = {dscp}")
    car.told.write_text("metered=no\n")
    car.start()
    car.drive(lambda: car.post.connected)
    assert car.line.marks() == {tos}
    car.line.relay.cut()
    car.drive(car.receipt(car.put(PART)).exists)
    assert len(car.line.relay.carried[0]) > 1
    assert car.line.marks() == {tos}
