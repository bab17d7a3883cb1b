"""An uplink with its device folder, a real Mosquitto, and a small centre made of the product's receiver."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sync import receiver as engine
from sync.link import Connected, Message
from sync.paho_link import PahoLink
from sync.parts import PartSet
from sync.transfer import Receiver
from sync.uplink import Uplink
from sync.uplink_commands import make_uplink
from vedette import canonical, daemon, records, spool, topics, watchlist, wire
from vedette.clock import SystemClock, uuid7
from vedette.config import DeviceConfig, load_device
from vedette.keys import SigningKey
from vedette.records import Manifest, Receipt, sign_record
from vedette.sealed import HybridIdentity, save_identity, seal
from vedette.trust import Trust
from vedette.wire import RefuseCode

CLOCK = SystemClock()
PART = 16 * 1024


@dataclass
class Centre:
    """A centre in memory; what was synced survives `restart`, as a disk would. `sign` makes its receipts."""

    link: PahoLink
    key: SigningKey
    sign: Callable[[Manifest, bytes], bytes]
    refusing: RefuseCode | None = None
    disk: dict[str, dict[int, bytes]] = field(default_factory=dict)
    cache: dict[str, dict[int, bytes]] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)
    receipts: dict[str, bytes] = field(default_factory=dict)
    births: list[wire.Birth] = field(default_factory=list)
    statuses: list[wire.Status] = field(default_factory=list)
    wants: list[wire.ListWant] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    parts: list[tuple[str, int]] = field(default_factory=list)
    lists: dict[int, bytes] = field(default_factory=dict)
    outgoing: deque[tuple[str, bytes]] = field(default_factory=deque)
    receiver: Receiver = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.cache.clear()
        self.receiver = Receiver(worker="central", budget_bytes=64 * PART, part_size=PART)

    def step(self) -> None:
        for event in self.link.poll(0.005):
            if isinstance(event, Message):
                address = topics.parse_topic(event.topic)
                if address.name == topics.HEADS:
                    self.heads.append(bytes(event.payload))
                    continue
                self.hear(address.device, wire.decode(address.name, event.payload))
        self.work(self.receiver.flush())
        self.say()

    def say(self) -> None:
        """Publish as `sync.central.ingest` does: without a connection what is to be said is void."""
        if not self.link.connected:
            self.outgoing.clear()
        while self.outgoing and self.link.publish(*self.outgoing[0]):
            self.outgoing.popleft()

    def hear(self, device: str, message: wire.Message) -> None:
        match message:
            case wire.Birth():
                self.births.append(message)
            case wire.Status():
                self.statuses.append(message)
            case wire.ListWant():
                self.wants.append(message)
                payload = self.lists[message.version][message.offset : message.offset + 1000]
                part = wire.ListPart(version=message.version, offset=message.offset, payload=payload)
                self.send(device, part)
            case wire.Init() | wire.Part() | wire.Fin():
                self.work(self.receiver.receive(device, message, CLOCK.mono_us()))

    def send(self, device: str, message: wire.FromCentre) -> None:
        self.outgoing.append((topics.topic(device, message), message.encode()))

    def offer_list(self, version: int, sealed: bytes) -> None:
        self.lists[version] = sealed
        digest = hashlib.sha256(sealed).hexdigest()
        self.send("car-1", wire.ListOffer(version=version, size=len(sealed), sha256=digest))

    def work(self, actions: list[engine.Action]) -> None:
        for action in actions:
            match action:
                case engine.Send():
                    self.send(action.device, action.message)
                case engine.Open():
                    self.work(self.open(action))
                case engine.Write():
                    self.parts.append((action.item, action.index))
                    self.cache.setdefault(action.item, {})[action.index] = action.payload
                case engine.Sync():
                    self.disk.setdefault(action.item, {}).update(self.cache.pop(action.item))
                    self.work(self.receiver.synced((action.device, action.item)))
                case engine.Seal():
                    self.work(self.seal(action))

    def open(self, action: engine.Open) -> list[engine.Action]:
        item = action.init.item
        if self.refusing is not None:
            return self.receiver.refuse(action.device, item, self.refusing, "not today")
        if item in self.receipts:
            return self.receiver.stored(action.device, item, self.receipts[item])
        have = PartSet(wire.parts_of(action.init.size, action.part_size))
        for index in self.disk.get(item, {}):
            have.add(index)
        return self.receiver.opened(action.device, item, part_size=action.part_size, have=have.ranges)

    def seal(self, action: engine.Seal) -> list[engine.Action]:
        init = action.init
        whole = b"".join(payload for _, payload in sorted(self.disk[init.item].items()))
        assert hashlib.sha256(whole).hexdigest() == init.sha256
        self.stored[init.item] = whole
        self.receipts[init.item] = self.sign(records.peek_manifest(init.manifest), init.manifest)
        return self.receiver.stored(action.device, init.item, self.receipts[init.item])


def right_receipt(manifest: Manifest, manifest_bytes: bytes) -> Receipt:
    return Receipt(
        item=manifest.item,
        device=manifest.device,
        sealed_sha256=manifest.sealed_sha256,
        sealed_size=manifest.sealed_size,
        manifest_sha256=hashlib.sha256(manifest_bytes).hexdigest(),
        stored_us=1,
        log_index=0,
        log_checkpoint="checkpoint",
    )


@dataclass
class World:
    """One broker, one device, one centre, driven by turns in this thread."""

    broker: Any
    config: DeviceConfig
    config_path: Path
    key: SigningKey
    list_key: SigningKey
    list_identity: HybridIdentity
    centre: Centre
    manifest_of: Callable[..., Manifest]
    uplink: Uplink | None = None

    def put(self, kind: str, priority: int, size: int) -> str:
        """Commit an item of random bytes to the spool."""
        item = uuid7(CLOCK)
        sealed = random.Random(item).randbytes(size)
        manifest = self.manifest_of(sealed, item=item, kind=kind, priority=priority)
        spool.part_path(self.config.spool, kind, item).write_bytes(sealed)
        spool.commit(self.config.spool, kind, item, sign_record(records.MANIFEST, manifest.to_body(), self.key))
        return item

    def right_receipt(self, manifest: Manifest, manifest_bytes: bytes) -> Receipt:
        return right_receipt(manifest, manifest_bytes)

    def command_line(self, *arguments: str) -> list[str]:
        """`vedette uplink` with these arguments on this device."""
        return [sys.executable, "-m", "vedette.cli", "uplink", *arguments, "--config", str(self.config_path)]

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command_line(*arguments), capture_output=True, text=True, timeout=60, check=False)

    def start(self) -> Uplink:
        self.uplink = make_uplink(self.config, CLOCK)
        return self.uplink

    def stop(self) -> None:
        if self.uplink is not None:
            self.uplink.close()
            self.uplink = None

    def drive(self, until: Callable[[], bool], within_s: float = 30) -> None:
        """Step everything in turn until it is so."""
        deadline = time.monotonic() + within_s
        while not until():
            assert time.monotonic() < deadline, daemon.read_status(self.config.run, "uplink")
            if self.uplink is not None:
                assert self.uplink.step(CLOCK.mono_us()) == 0.0
            self.centre.step()

    def drive_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.drive(lambda: time.monotonic() > end, within_s=seconds + 5)

    def receipt(self, item: str) -> Path:
        return self.config.receipts / f"{item}.receipt"

    def status(self) -> dict[str, Any]:
        return daemon.read_status(self.config.run, "uplink")

    def journal(self) -> list[dict[str, Any]]:
        lines = [
            line
            for path in sorted((self.config.journals / "uplink").glob("*.jsonl"))
            for line in path.read_bytes().splitlines()
        ]
        return [canonical.loads(line) for line in lines]

    def sealed_list(self, version: int, key: SigningKey | None = None) -> bytes:
        now_us = CLOCK.utc_us()
        entry = watchlist.WatchEntry(
            plate="AB12CDE",
            region="GB",
            reason="stolen",
            priority="high",
            source="test",
            valid_from_us=now_us - 1,
            valid_to_us=now_us + 3_600_000_000,
        )
        signed = watchlist.make_list(
            [entry],
            version=version,
            issued_us=now_us,
            expires_us=now_us + 3_600_000_000,
            source="test.csv",
            key=key or self.list_key,
        )
        return seal(signed, [self.list_identity.recipient])


@pytest.fixture
def world(broker: Any, tmp_path: Path, manifest_of: Callable[..., Manifest]) -> Iterator[World]:
    centre_key, key, list_key = SigningKey.generate(), SigningKey.generate(), SigningKey.generate()
    identity, list_identity = HybridIdentity.generate(), HybridIdentity.generate()
    device = tmp_path / "device"
    (device / "keys").mkdir(parents=True)
    public = identity.recipient.text
    trust = Trust(
        centre=centre_key.public,
        list_signer=list_key.public,
        log_origin="test/log",
        evidence=(public,),
        oversight=(public,),
        triage=public,
    )
    (device / "trust.json").write_bytes(trust.to_bytes())
    key.save(device / "keys" / "sign.pem")
    save_identity(device / "keys" / "list.identity", list_identity)
    tls = broker.config("car-1", subscriptions=())
    for source, name in ((tls.ca, "ca.crt"), (tls.certificate, "tls.crt"), (tls.key, "tls.key")):
        (device / "keys" / name).write_bytes(source.read_bytes())
    config_path = device / "device.toml"
    config_path.write_text(
        f'[device]\nid = "car-1"\ndata = "."\nrun = "{tmp_path}/run"\n'
        f'[uplink]\nhost = "127.0.0.1"\nport = {broker.port}\npart_kib = 16\n'
    )
    subscriptions = topics.worker_subscriptions("central")
    link = PahoLink(broker.config("central", subscriptions=subscriptions, backlog=1000), CLOCK)
    while not any(isinstance(event, Connected) for event in link.poll(0.1)):
        pass

    def sign(manifest: Manifest, manifest_bytes: bytes) -> bytes:
        return sign_record(records.RECEIPT, right_receipt(manifest, manifest_bytes).to_body(), centre_key)

    config = load_device(config_path)
    spool.make_folders(config.spool)
    centre = Centre(link=link, key=centre_key, sign=sign)
    made = World(broker, config, config_path, key, list_key, list_identity, centre, manifest_of)
    yield made
    made.stop()
    link.close()
