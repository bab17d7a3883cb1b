"""A centre in a temporary folder, devices enrolled in it, the items they make, and a connection without a broker.

The modules of `BOTH_STORES` are the contract of the case store: each of their tests runs on SQLite and a folder, and
again on a real PostgreSQL and moto's S3 server.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from simulator.freight import make_hit, make_manifest
from sync.central import fleet, mosquitto
from sync.central.broker import Broker, broker_port
from sync.central.ingest import Ingest
from sync.central.receipts import Signer
from sync.central.store import Store
from sync.link import Buffer, Connected, Event, Message
from vedette import cli, hitfile, sealed, spool, topics, wire
from vedette.clock import FakeClock, uuid7
from vedette.config import DeviceConfig, IngestSection, load_device
from vedette.custody import Journal
from vedette.keys import SigningKey
from vedette.records import MANIFEST, JournalHead, Manifest, sign_record

ORIGIN = "centre.test/log"
BOTH_STORES = (
    "test_store",
    "test_receipts",
    "test_ingest",
    "test_quarantine",
    "test_quarantine_commands",
    "test_triage",
    "test_users",
    "test_watchlists",
    "test_export",
    "test_missing",
    "test_heads",
    "test_shift",
    "test_log_tiles",
    "test_witnesses",
    "test_fleet",
    "test_medium",
    "test_store_contract",
    "test_commanding",
    "test_peer_lists",
    "test_service",
    "test_depot",
    "test_depot_link",
    "test_hostile_device",
    "test_slow_disk",
    "test_admission",
)
PORT = 18883


@dataclass(kw_only=True)
class Item:
    """A sealed item as a device holds it."""

    sealed_bytes: bytes
    manifest: Manifest
    manifest_bytes: bytes

    @property
    def id(self) -> str:
        return self.manifest.item

    def commit(self, root: Path) -> None:
        """Lie in the spool as if the recorder had left it there."""
        spool.part_path(root, self.manifest.kind, self.id).write_bytes(self.sealed_bytes)
        spool.commit(root, self.manifest.kind, self.id, self.manifest_bytes)

    def init(self, **changes: Any) -> wire.Init:
        init = wire.Init(
            item=self.manifest.item,
            kind=self.manifest.kind,
            size=self.manifest.sealed_size,
            sha256=self.manifest.sealed_sha256,
            priority=self.manifest.priority,
            part_size=16 * 1024,
            manifest=self.manifest_bytes,
        )
        return replace(init, **changes)

    def parts(self, part_size: int = 16 * 1024) -> list[wire.Part]:
        return [
            wire.Part(item=self.id, index=index, payload=self.sealed_bytes[at : at + part_size])
            for index, at in enumerate(range(0, len(self.sealed_bytes), part_size))
        ]

    def fin(self) -> wire.Fin:
        return wire.Fin(item=self.id, sha256=self.manifest.sealed_sha256)


class Device:
    """An enrolled device with its folder and key."""

    def __init__(self, centre: Centre, name: str, folder: Path) -> None:
        self.centre = centre
        self.id = name
        self.folder = folder
        (folder / "keys").mkdir(parents=True)
        self.key = SigningKey.generate()
        self.key.save(folder / "keys" / "sign.pem")
        (folder / "device.toml").write_text(f'# mine\n[device]\nid = "{name}"\ndata = "."\n', encoding="utf-8")

    def enrol(self) -> Device:
        fleet.enrol(self.centre.store, self.id, self.folder, port=PORT)
        return self

    def join(self, toml: str = "") -> DeviceConfig:
        """Be enrolled by the command, with `toml` behind what is in device.toml; what an uplink needs is there then."""
        path, run = self.folder / "device.toml", self.folder / "run"
        path.write_text(f'{path.read_text()}run = "{run}"\n{toml}')
        run.mkdir()
        assert cli.main(["central", "enrol", str(self.centre.folder), self.id, "--device", str(self.folder)]) == 0
        config = load_device(path)
        spool.make_folders(config.spool)
        return config

    def item(self, payload: bytes, kind: str = "segment", key: SigningKey | None = None, **changes: Any) -> Item:
        trust = fleet.centre_trust(self.centre.folder)
        recipients = trust.segment_recipients() if kind == "segment" else trust.lead_recipients()
        sealed_bytes = sealed.seal(payload, recipients)
        clock = self.centre.clock
        manifest = make_manifest(
            sealed_bytes,
            item=uuid7(clock),
            kind=kind,
            device=self.id,
            at_us=clock.utc_us(),
            plain_sha256=hashlib.sha256(payload).hexdigest(),
            plain_size=len(payload),
            ended_us=clock.utc_us() + 1_000_000,
            time_error_us=0,
            priority={"hit": 0, "custody": 1}.get(kind, 4),
            software="test",
        )
        manifest = replace(manifest, **changes)
        clock.advance(1000)
        record = sign_record(MANIFEST, manifest.to_body(), key or self.key)
        return Item(sealed_bytes=sealed_bytes, manifest=manifest, manifest_bytes=record)

    def resign(self, item: Item, /, **changes: Any) -> Item:
        """The same sealed bytes under another manifest."""
        manifest = replace(item.manifest, **changes)
        record = sign_record(MANIFEST, manifest.to_body(), self.key)
        return Item(sealed_bytes=item.sealed_bytes, manifest=manifest, manifest_bytes=record)

    def hit(self, text: str = "AB123CD", **changes: Any) -> Item:
        now_us = self.centre.clock.utc_us()
        hit = make_hit(
            text,
            hit=uuid7(self.centre.clock),
            device=self.id,
            at_us=now_us,
            alternatives=(hitfile.ReadAlternative(text="AB123CO", region="FR", confidence_permille=12),),
            position=hitfile.Position(lat_e7=340000000, lon_e7=-68000000, accuracy_cm=300, fixed_us=now_us),
        )
        pictures = {"crop.jpg": b"\xff\xd8crop", "context.jpg": b"\xff\xd8"}
        return self.item(hitfile.pack(replace(hit, **changes), pictures), "hit")

    def journal(self, service: str = "recorder") -> Journal:
        return Journal.open(
            self.folder / "journal" / service,
            service=service,
            device=self.id,
            key=self.key,
            clock=self.centre.clock,
        )

    def custody(self, path: Path, service: str = "recorder", damage: Callable[[bytes], bytes] | None = None) -> Item:
        """The journal file at `path` as an item, its bytes put through `damage` first."""
        plain = path.read_bytes()
        plain = damage(plain) if damage else plain
        lines = plain.rstrip(b"\n").split(b"\n")
        head = JournalHead(service=service, seq=len(lines), head=hashlib.sha256(lines[-1]).hexdigest())
        return self.item(plain, "custody", journal=head, sequence=int(path.stem))


@dataclass(kw_only=True)
class Centre:
    """A centre's folder, its store and the clock it lives by."""

    folder: Path
    escrow: Path
    clock: FakeClock
    store: Store

    @property
    def signer(self) -> Signer:
        return Signer(origin=ORIGIN, key=SigningKey.load(self.folder / "keys" / "centre.pem"))

    def start(self) -> subprocess.Popen[bytes]:
        """`vedette central run`; what it prints is in run/test.log."""
        command = [sys.executable, "-m", "vedette.cli", "central", "run", "--config", str(self.folder / fleet.CONFIG)]
        with (self.folder / "run" / "test.log").open("wb") as log:
            return subprocess.Popen(command, stdout=log, stderr=log)

    def device(self, name: str = "car-1") -> Device:
        return Device(self, name, self.folder.parent / name).enrol()

    def stranger(self, name: str = "car-9") -> Device:
        return Device(self, name, self.folder.parent / name)


@dataclass
class FakeLink:
    """A connection to nobody: `hear` puts a message in, `sent` is what the centre published, decoded."""

    connected: bool = True
    emptied: bool = True
    waited_us: int | None = None
    waiting: list[Event] = field(default_factory=lambda: [Connected()])
    sent: list[tuple[str, wire.Message]] = field(default_factory=list)

    def hear(self, device: str, *messages: wire.Message) -> None:
        for message in messages:
            worker = fleet.CENTRE_ID if message.name in ("part", "fin") else None
            self.waiting.append(Message(topic=topics.topic(device, message, worker), payload=message.encode()))

    def publish(self, topic: str, payload: bytes, *, behind: Buffer = b"", retain: bool = False) -> bool:
        address = topics.parse_topic(topic)
        self.sent.append((address.device, wire.decode(address.name, payload)))
        return True

    def poll(self, timeout_s: float) -> list[Event]:
        events, self.waiting = self.waiting, []
        return events

    def close(self) -> None:
        self.connected = False

    def take(self) -> list[wire.Message]:
        sent, self.sent = self.sent, []
        return [message for _device, message in sent]


class Worker:
    """An ingest worker on a fake connection; `restart` is a kill -9 and a new start."""

    def __init__(self, centre: Centre, limits: IngestSection | None = None) -> None:
        self.centre = centre
        self.limits = limits or IngestSection(credit_mib=1, part_kib=16, max_item_mib=4)
        self.restart()

    def restart(self) -> None:
        self.link = FakeLink()
        self.ingest = Ingest(self.centre.store, self.link, self.centre.signer, self.limits)

    def say(self, device: str, *messages: wire.Message) -> list[wire.Message]:
        """Let `device` say these, step once, and return what was answered."""
        self.link.hear(device, *messages)
        self.step()
        return self.link.take()

    def step(self) -> None:
        self.centre.clock.advance(50_000)
        self.ingest.step(self.centre.clock.mono_us())
        while any(self.ingest.counters[name] for name in ("asked", "syncing", "keeping")):
            time.sleep(0.005)  # threads of their own make bytes durable and bring blobs into a store that is far
            self.ingest.step(self.centre.clock.mono_us())

    def upload(self, item: Item) -> list[wire.Message]:
        """The whole upload of `item`; the answers to its fin."""
        device = item.manifest.device
        self.say(device, item.init())
        self.say(device, *item.parts())
        return self.say(device, item.fin())


def pytest_configure(config: pytest.Config) -> None:
    why = "asks nothing of the store, or of SQLite, the folder or one step's order: it runs on one store only"
    config.addinivalue_line("markers", f"embedded: {why}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "stores" in metafunc.fixturenames and metafunc.module.__name__.rpartition(".")[2] in BOTH_STORES:
        embedded_only = any(metafunc.definition.iter_markers("embedded"))
        metafunc.parametrize("stores", ["embedded"] if embedded_only else ["embedded", "scaled"], indirect=True)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder for the states of a disk, in memory where there is one: they are many, and no cut falls on them."""
    place = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="vedette-states-", dir=place if place.is_dir() else tmp_path))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def stores(request: pytest.FixtureRequest) -> str:
    """What a new centre's central.toml says of its stores."""
    if getattr(request, "param", "embedded") == "embedded":
        return ""
    return str(request.getfixturevalue("scaled"))


@pytest.fixture
def centre(tmp_path: Path, stores: str) -> Iterator[Centre]:
    clock = FakeClock()
    made = fleet.make_centre(tmp_path / "central", tmp_path / "escrow", ORIGIN, clock=clock)
    with made.config.open("a", encoding="utf-8") as config:
        config.write(f"\n{stores}")
    store = Store(made.folder, clock)
    yield Centre(folder=made.folder, escrow=made.escrow, clock=clock, store=store)
    store.close()


@pytest.fixture
def device(centre: Centre) -> Device:
    return centre.device()


@pytest.fixture
def worker(centre: Centre) -> Worker:
    return Worker(centre)


@pytest.fixture
def make_worker(centre: Centre) -> Callable[[IngestSection], Worker]:
    return lambda limits: Worker(centre, limits)


@pytest.fixture
def scaled(postgres: Any, make_bucket: Callable[..., Any]) -> str:
    """What central.toml says of a new database of PostgreSQL and a new bucket."""
    return f'[store]\nurl = "{postgres.database()}"\n\n{make_bucket().toml}'


@pytest.fixture
def far(centre: Centre, scaled: str) -> Centre:
    """The test's centre on PostgreSQL and S3."""
    with (centre.folder / fleet.CONFIG).open("a") as config:
        config.write(f"\n{scaled}")
    centre.store.close()
    centre.store = Store(centre.folder, centre.clock)
    return centre


@pytest.fixture(params=["2.0", "2.1"])
def program(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> mosquitto.Mosquitto:
    """Each test with this machine's Mosquitto and with 2.1, whose dialect differs."""
    if request.param == "2.1":
        newer = request.getfixturevalue("newer_mosquitto")
        monkeypatch.setenv("PATH", f"{newer}:{os.environ['PATH']}")
    return mosquitto.installed()


@pytest.fixture
def own_broker(centre: Centre) -> Iterator[Broker]:
    """The centre's own broker, running."""
    centre.clock.jump(time.time_ns() // 1000 - centre.clock.utc_us())  # Mosquitto lives by the real clock
    child = Broker(centre.folder, "127.0.0.1", broker_port(centre.folder, "127.0.0.1", 0))
    child.start(0)
    yield child
    child.stop()


@pytest.fixture
def goes_on(centre: Any, worker: Any) -> Callable[[Path, list[Any]], None]:
    """Checks that the store in a folder takes what is missing without a person's help, once."""

    def check(folder: Path, made: list[Any]) -> None:
        store = Store(folder, centre.clock)
        before, centre.store = centre.store, store
        try:
            again = worker.__class__(centre)
            for one in made:
                answers = again.say(one.manifest.device, one.init())
                if not isinstance(answers[0], wire.Sealed):
                    answers = again.upload(one)
                assert isinstance(answers[-1], wire.Sealed)
            assert store.log_size() == len(made)
            assert store.quarantine() == []
        finally:
            centre.store = before
            store.close()

    return check
