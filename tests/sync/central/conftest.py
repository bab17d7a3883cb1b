"""A centre in a temporary folder, devices enrolled in it, the items they make, and a connection without a broker."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from sync.central import fleet
from sync.central.ingest import Ingest
from sync.central.receipts import Signer
from sync.central.store import Store
from sync.link import Connected, Event, Message
from vedette import hitfile, sealed, topics, wire
from vedette.clock import FakeClock, uuid7
from vedette.config import IngestSection
from vedette.custody import Journal
from vedette.keys import SigningKey
from vedette.records import MANIFEST, JournalHead, Manifest, sign_record

ORIGIN = "centre.test/log"
NEWER = Path(__file__).parents[3] / "build" / "mosquitto-2.1"
RUN_NEWER = """#!/bin/sh
exec {root}/lib64/ld-linux-x86-64.so.2 --library-path {root}/lib/x86_64-linux-gnu {root}/sbin/mosquitto "$@"
"""
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

    def item(self, payload: bytes, kind: str = "segment", key: SigningKey | None = None, **changes: Any) -> Item:
        trust = fleet.centre_trust(self.centre.folder)
        recipients = trust.segment_recipients() if kind == "segment" else trust.lead_recipients()
        sealed_bytes = sealed.seal(payload, recipients)
        clock = self.centre.clock
        manifest = Manifest(
            item=uuid7(clock),
            kind=kind,
            device=self.id,
            sealed_sha256=hashlib.sha256(sealed_bytes).hexdigest(),
            sealed_size=len(sealed_bytes),
            plain_sha256=hashlib.sha256(payload).hexdigest(),
            plain_size=len(payload),
            created_us=clock.utc_us(),
            started_us=clock.utc_us(),
            ended_us=clock.utc_us() + 1_000_000,
            time_source="simulated",
            time_error_us=0,
            complete=True,
            priority={"hit": 0, "custody": 1}.get(kind, 4),
            recording=None,
            sequence=0,
            activation=None,
            media=None,
            journal=None,
            software="test",
            models={},
        )
        manifest = replace(manifest, **changes)
        clock.advance(1000)
        record = sign_record(MANIFEST, manifest.to_body(), key or self.key)
        return Item(sealed_bytes=sealed_bytes, manifest=manifest, manifest_bytes=record)

    def resign(self, item: Item, **changes: Any) -> Item:
        """The same sealed bytes under another manifest."""
        manifest = replace(item.manifest, **changes)
        record = sign_record(MANIFEST, manifest.to_body(), self.key)
        return Item(sealed_bytes=item.sealed_bytes, manifest=manifest, manifest_bytes=record)

    def hit(self, text: str = "AB123CD", **changes: Any) -> Item:
        hit = make_hit(self, text)
        return self.item(
            hitfile.pack(replace(hit, **changes), {"crop.jpg": b"\xff\xd8crop", "context.jpg": b"\xff\xd8"}), "hit"
        )

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


def make_hit(device: Device, text: str) -> hitfile.Hit:
    clock = device.centre.clock
    now_us = clock.utc_us()
    entry = hitfile.MatchedEntry(
        entry="a" * 32,
        text=text,
        region="FR",
        reason="stolen",
        priority="high",
        source="test",
        valid_from_us=0,
        valid_to_us=now_us * 2,
    )
    return hitfile.Hit(
        hit=uuid7(clock),
        device=device.id,
        raised_us=now_us,
        time_source="simulated",
        time_error_us=0,
        text=text,
        text_ascii=text,
        region="FR",
        confidence_permille=981,
        looks=3,
        alternatives=(hitfile.ReadAlternative(text="AB123CO", region="FR", confidence_permille=12),),
        entry=entry,
        list_version=1,
        list_issued_us=now_us,
        list_age_us=0,
        models={"reader": "0" * 64},
        position=hitfile.Position(lat_e7=340000000, lon_e7=-68000000, accuracy_cm=300, fixed_us=now_us),
        track=7,
        first_seen_us=now_us,
        last_seen_us=now_us,
        box_px=(1, 2, 3, 4),
        corners_dpx=(1, 2, 3, 4, 5, 6, 7, 8),
    )


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

    def device(self, name: str = "car-1") -> Device:
        return Device(self, name, self.folder.parent / name).enrol()

    def stranger(self, name: str = "car-9") -> Device:
        return Device(self, name, self.folder.parent / name)


@dataclass
class FakeLink:
    """A connection to nobody: `hear` puts a message in, `sent` is what the centre published, decoded."""

    connected: bool = True
    waiting: list[Event] = field(default_factory=lambda: [Connected()])
    sent: list[tuple[str, wire.Message]] = field(default_factory=list)

    def hear(self, device: str, *messages: wire.Message) -> None:
        for message in messages:
            worker = fleet.CENTRE_ID if message.name in ("part", "fin") else None
            self.waiting.append(Message(topic=topics.topic(device, message, worker), payload=message.encode()))

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
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

    def upload(self, item: Item) -> list[wire.Message]:
        """The whole upload of `item`; the answers to its fin."""
        device = item.manifest.device
        self.say(device, item.init())
        self.say(device, *item.parts())
        return self.say(device, item.fin())


@pytest.fixture
def centre(tmp_path: Path) -> Centre:
    clock = FakeClock()
    made = fleet.make_centre(tmp_path / "central", tmp_path / "escrow", ORIGIN, clock=clock)
    return Centre(folder=made.folder, escrow=made.escrow, clock=clock, store=Store(made.folder, clock))


@pytest.fixture
def device(centre: Centre) -> Device:
    return centre.device()


@pytest.fixture
def worker(centre: Centre) -> Worker:
    return Worker(centre)


@pytest.fixture
def make_worker(centre: Centre) -> Callable[[IngestSection], Worker]:
    return lambda limits: Worker(centre, limits)


@pytest.fixture(scope="session")
def newer_mosquitto() -> Path:
    """A folder with Mosquitto 2.1, which Debian 12 lacks: Debian's package of a later release, kept under build/."""
    if shutil.which("mmdebstrap") is None or os.uname().machine != "x86_64":
        pytest.skip("mosquitto 2.1 is fetched by mmdebstrap, on x86-64 only (apt install mmdebstrap)")
    root = NEWER / "root"
    if not (NEWER / "ready").is_file():
        shutil.rmtree(NEWER, ignore_errors=True)
        NEWER.mkdir(parents=True)
        # A mirror that is some days behind is as good here; the packages' signatures are checked all the same.
        late = '--aptopt=Acquire::Check-Valid-Until "false"'
        fetch = ["mmdebstrap", late, "--variant=extract", "--include=mosquitto", "sid", str(root)]
        try:
            done = subprocess.run(fetch, capture_output=True, text=True, timeout=120, check=False)
            failed = done.stderr.strip()[-200:] if done.returncode else ""
        except subprocess.TimeoutExpired:
            failed = "it took longer than two minutes"
        if failed:
            pytest.skip(f"mmdebstrap cannot fetch mosquitto: {failed}")
        for path in (root / "usr" / "lib" / "x86_64-linux-gnu").glob("*.so.*.*"):
            name, _, number = path.name.partition(".so.")
            short = path.with_name(f"{name}.so.{number.partition(chr(46))[0]}")
            if not short.exists():
                short.symlink_to(path.name)  # ldconfig's work, which an extracted package has not had
        (root / "usr" / "bin" / "mosquitto").write_text(RUN_NEWER.format(root=root / "usr"))
        (root / "usr" / "bin" / "mosquitto").chmod(0o755)
        (NEWER / "ready").touch()
    return root / "usr" / "bin"
