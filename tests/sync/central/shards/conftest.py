"""A centre with two real Mosquittos, and devices with their real uplinks; with further workers and a witness in each of
its processes where a test asks for them.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ports import free_port

from sync.central import mosquitto, shards
from sync.central.shards import shard_of
from sync.uplink_commands import make_uplink
from vedette import config
from vedette.clock import SystemClock

WAIT_S = 30.0
# Python runs this first in each process of the centre: it writes down what every upload was granted there.
WITNESS = """
import json, os, sys

words = sys.orig_argv
name = "centre" if "vedette.cli" in words else words[words.index("--name") + 1] if "--name" in words else ""
if name:
    from sync.credit import URGENT_PRIORITY, Credit

    allot, told = Credit.allot, open(os.path.join(os.path.dirname(__file__), f"{name}.{os.getpid()}.seen"), "w", 1)

    def seen(self, device, item, **more):
        before, credit = self.exposed(device, item), allot(self, device, item, **more)
        lines = self._devices[device].lines
        urgent = sum(line.bytes for line in lines.values() if line.priority <= URGENT_PRIORITY)
        of_device = {"device_bytes": self._devices[device].bytes, "urgent_bytes": urgent}
        of_upload = {"priority": lines[item].priority, "part_size": lines[item].part_size}
        room = self._devices[device].room
        of_all = {"devices": self.devices, "at_broker": room.devices, "budget": room.budget}
        of_all["all_bytes"] = self.exposed_bytes
        told.write(json.dumps({"device": device, "more": credit - before, **of_upload, **of_device, **of_all}) + "\\n")
        return credit

    Credit.allot = seen
"""


@dataclass(frozen=True, kw_only=True)
class Allotted:
    """What one worker told one upload, in bytes but for `more`, and how things stood then.

    `budget` is what was lent to the `at_broker` devices of its broker.
    """

    worker: str
    device: str
    more: int
    priority: int
    part_size: int
    device_bytes: int
    urgent_bytes: int
    devices: int
    at_broker: int
    budget: int
    all_bytes: int


class Fleet:
    """A centre process with two Mosquittos, and devices with their real uplinks, which one thread drives."""

    def __init__(self, centre: Any, toml: str = "") -> None:
        self.centre = centre
        centre.clock.jump(time.time_ns() // 1000 - centre.clock.utc_us())
        self.second = free_port()
        path = centre.folder / "central.toml"
        text = path.read_text().replace("port = 0\n", f'port = 0\nshards = "127.0.0.1:{self.second}"\n')
        path.write_text(f"{text}\n{toml}")
        self.addresses = shards.addresses(config.load_central(path))
        self.uplinks: dict[str, Any] = {}
        self.places: dict[str, Any] = {}
        self.process = centre.start()

    def names(self, shard: int) -> Iterator[str]:
        """Devices that belong to that shard."""
        names = (f"car-{number}" for number in range(1000))
        return (name for name in names if shard_of(name, len(self.addresses)) == shard)

    def add(self, device: Any) -> Any:
        """Enrol by the command and start its uplink."""
        device.join()
        self.start(device)
        return device

    def start(self, device: Any) -> None:
        place = self.places[device.id] = config.load_device(device.folder / "device.toml")
        self.uplinks[device.id] = make_uplink(place, SystemClock())

    def send(self, device: Any, item: Any = None) -> Path:
        """Put an item into the spool; where its receipt will be."""
        item, place = item or device.item(os.urandom(100_000)), self.places[device.id]
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

    def pid(self, child: str) -> int:
        """The process id of a child of the centre: broker, broker-1, w2, …"""
        return int(json.loads((self.centre.folder / "run" / f"{child}.pid.json").read_bytes())["pid"])

    def close(self) -> None:
        for uplink in self.uplinks.values():
            uplink.close()
        self.process.terminate()
        self.process.wait(WAIT_S)


@pytest.fixture
def make_fleet(centre: Any) -> Iterator[Callable[..., Fleet]]:
    """Starts the test's centre with two brokers, and with what else its central.toml shall say."""
    if mosquitto.find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    made: list[Fleet] = []

    def make(toml: str = "") -> Fleet:
        made.append(Fleet(centre, toml))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def witnessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[Allotted]]:
    """Lets the processes of a centre that is started from now on write down what they grant; reads it."""
    folder = tmp_path / "witness"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(WITNESS)
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{os.environ.get('PYTHONPATH', '')}")

    def read() -> list[Allotted]:
        seen = ((path, line) for path in folder.glob("*.seen") for line in path.read_text().splitlines())
        return [Allotted(worker=path.name.partition(".")[0], **json.loads(line)) for path, line in seen]

    return read
