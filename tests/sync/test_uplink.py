"""The uplink against a real Mosquitto and a small centre made of the product's receiver."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
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
from vedette import canonical, daemon, files, records, spool, topics, watchlist, wire
from vedette.clock import SystemClock, uuid7
from vedette.config import DeviceConfig, load_device
from vedette.custody import Journal
from vedette.errors import Refused
from vedette.keys import PublicKey, SigningKey
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
    parts: list[tuple[str, int]] = field(default_factory=list)
    lists: dict[int, bytes] = field(default_factory=dict)
    receiver: Receiver = field(init=False)
    workers: int = 0

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.cache.clear()
        self.receiver = Receiver(worker="central", budget_bytes=64 * PART, part_size=PART)

    def step(self) -> None:
        for event in self.link.poll(0.005):
            if isinstance(event, Message):
                address = topics.parse_topic(event.topic)
                self.hear(address.device, wire.decode(address.name, event.payload))
        self.work(self.receiver.flush())

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
        assert self.link.publish(topics.topic(device, message), message.encode())

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
                    self.work(self.receiver.synced(action.device, action.item))
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
    uplink: Uplink | None = None

    def put(self, kind: str, priority: int, size: int) -> str:
        """Commit an item of random bytes to the spool."""
        item = uuid7(CLOCK)
        sealed = random.Random(item).randbytes(size)
        manifest = Manifest(
            item=item,
            kind=kind,
            device="car-1",
            sealed_sha256=hashlib.sha256(sealed).hexdigest(),
            sealed_size=size,
            plain_sha256=None,
            plain_size=0,
            created_us=1,
            started_us=1,
            ended_us=1,
            time_source="simulated",
            time_error_us=None,
            complete=True,
            priority=priority,
            recording=None,
            sequence=0,
            activation=None,
            media=None,
            journal=None,
            software="test",
            models={},
        )
        spool.part_path(self.config.spool, kind, item).write_bytes(sealed)
        spool.commit(self.config.spool, kind, item, sign_record(records.MANIFEST, manifest.to_body(), self.key))
        return item

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
def world(broker, tmp_path: Path) -> Iterator[World]:
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
    made = World(broker, config, config_path, key, list_key, list_identity, centre)
    yield made
    made.stop()
    link.close()


@pytest.mark.parametrize("size", [1, PART - 1, PART, PART + 1, 2 * PART, 10 * PART + 3])
def test_uplink_brings_an_item_to_the_centre_and_keeps_its_receipt(world: World, size: int) -> None:
    """WI-20. WI-24. WI-26."""
    item = world.put("segment", 4, size)
    world.start()
    world.drive(world.receipt(item).exists)
    assert world.centre.stored[item] == spool.final_path(world.config.spool, "segment", item).read_bytes()
    keys = records.keyring(world.centre.key.public)
    assert records.open_receipt(world.receipt(item).read_bytes(), keys).item == item
    world.stop()
    status = world.status()
    assert (status["items_pending"], status["receipts"], status["bytes_sent"]) == (0, 1, size)


def test_uplink_sends_a_hit_before_the_bulk_that_is_under_way(world: World) -> None:
    """WI-30. WI-31."""
    bulk = [world.put("segment", 4, 600 * PART) for _ in range(3)]
    world.start()
    world.drive(lambda: len(world.centre.parts) > 20)
    hit = world.put("hit", 0, 3 * PART)
    world.drive(world.receipt(hit).exists)
    assert not any(item in world.centre.stored for item in bulk)
    world.drive(lambda: all(world.receipt(item).exists() for item in bulk))


def test_uplink_finishes_without_sending_twice_when_the_broker_is_killed(world: World) -> None:
    """WI-21. WI-22."""
    items = [world.put("segment", 4, 60 * PART) for _ in range(2)]
    world.start()
    world.drive(lambda: len(world.centre.parts) > 30)
    world.broker.kill()
    world.drive_for(0.5)
    world.broker.start()
    world.drive(lambda: all(world.receipt(item).exists() for item in items))
    assert len(world.centre.parts) <= 120 + 2 * 20


def test_uplink_finishes_when_the_centre_restarts(world: World) -> None:
    """WI-22: the new worker knows nothing but what is on its disk."""
    item = world.put("segment", 4, 80 * PART)
    world.start()
    world.drive(lambda: len(world.centre.parts) > 30)
    world.centre.restart()
    world.drive(world.receipt(item).exists)
    assert len(world.centre.parts) <= 80 + 20


def test_uplink_finishes_when_it_is_restarted(world: World) -> None:
    """WI-22. WI-33."""
    item = world.put("segment", 4, 80 * PART)
    world.start()
    world.drive(lambda: len(world.centre.parts) > 30)
    world.stop()
    (world.config.data / "outbox.db").unlink()
    world.start()
    world.drive(world.receipt(item).exists)
    assert len(world.centre.parts) <= 80 + 20


def test_uplink_waits_for_a_centre_when_none_listens(world: World) -> None:
    """WI-14. WI-29."""
    world.centre.link.close()
    item = world.put("hit", 0, 10)
    uplink = world.start()
    deadline = time.monotonic() + 10
    while "No matching subscribers" not in world.status().get("last_error", ""):
        assert time.monotonic() < deadline
        uplink.step(CLOCK.mono_us())
    subscriptions = topics.worker_subscriptions("central")
    world.centre.link = PahoLink(world.broker.config("central", subscriptions=subscriptions), CLOCK)
    world.drive(world.receipt(item).exists, within_s=10)


def forged(change: dict[str, Any]) -> Callable[[World], Callable[[Manifest, bytes], bytes]]:
    def make(world: World) -> Callable[[Manifest, bytes], bytes]:
        def sign(manifest: Manifest, manifest_bytes: bytes) -> bytes:
            wrong = dataclasses.replace(right_receipt(manifest, manifest_bytes), **change)
            return sign_record(records.RECEIPT, wrong.to_body(), world.centre.key)

        return sign

    return make


def by_another_key(world: World) -> Callable[[Manifest, bytes], bytes]:
    thief = SigningKey.generate()
    return lambda manifest, data: sign_record(records.RECEIPT, right_receipt(manifest, data).to_body(), thief)


def of_another_kind(world: World) -> Callable[[Manifest, bytes], bytes]:
    key = world.centre.key
    return lambda manifest, data: sign_record(records.MANIFEST, right_receipt(manifest, data).to_body(), key)


WRONG = {
    "another item": forged({"item": "0192f1c5-0000-7000-8000-000000000000"}),
    "another device": forged({"device": "car-2"}),
    "another hash": forged({"sealed_sha256": "0" * 64}),
    "another size": forged({"sealed_size": 1}),
    "another manifest": forged({"manifest_sha256": "0" * 64}),
    "another key": by_another_key,
    "another kind": of_another_kind,
    "no record": lambda world: lambda manifest, data: b"receipt",
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_uplink_keeps_nothing_when_a_receipt_is_wrong(world: World, wrong: Any) -> None:
    """WI-26. It is counted, written into custody, and the item stays to be sent."""
    world.centre.sign = wrong(world)
    item = world.put("hit", 0, 100)
    world.start()
    world.drive(lambda: world.status().get("receipts_refused", 0) > 0)
    assert list(world.config.receipts.iterdir()) == []
    assert world.status()["items_pending"] == 1
    entries = [entry for entry in world.journal() if entry["event"] == "receipt.refused"]
    assert [entry["item"] for entry in entries] == [item]
    world.stop()
    assert item in [one.item_id for one in spool.scan(world.config.spool)[0]]


def test_uplink_fetches_a_receipt_again_when_the_one_on_its_disk_is_damaged(world: World) -> None:
    """WI-26."""
    item = world.put("hit", 0, 100)
    world.start()
    world.drive(world.receipt(item).exists)
    good = world.receipt(item).read_bytes()
    world.stop()
    world.receipt(item).write_bytes(good[:-1])
    world.start()
    world.drive(lambda: world.receipt(item).read_bytes() == good)


def test_uplink_sends_nothing_again_when_it_has_the_receipt(world: World) -> None:
    """WI-33."""
    item = world.put("hit", 0, 100)
    world.start()
    world.drive(world.receipt(item).exists)
    world.stop()
    world.start()
    world.drive(lambda: len(world.centre.stored) == 2)
    world.stop()
    assert world.centre.parts.count((item, 0)) == 1


def test_uplink_keeps_an_item_and_tries_again_when_its_receipt_cannot_be_written(world: World) -> None:
    """WI-26: a full disk, here a folder in the way."""
    item = world.put("hit", 0, 100)
    world.receipt(item).mkdir(parents=True)
    world.start()
    world.drive(lambda: "could not be kept" in world.status().get("last_error", ""))
    assert world.status()["items_pending"] == 1 and world.status()["receipts"] == 0


@pytest.mark.parametrize("code", [RefuseCode.INVALID, RefuseCode.CONFLICT, RefuseCode.REVOKED])
def test_uplink_keeps_and_shows_an_item_when_the_centre_refuses_it(world: World, code: RefuseCode, capsys) -> None:
    """WI-28."""
    world.centre.refusing = code
    item = world.put("segment", 4, 100)
    world.start()
    world.drive(lambda: world.status().get("refused", 0) > 0)
    assert world.status()["items_pending"] == 1
    assert [entry["item"] for entry in world.journal() if entry["event"] == "item.refused"] == [item]
    world.stop()
    out = command("status", "--config", str(world.config_path), "--json")
    assert json.loads(out.stdout)["refused_items"] == [
        {"item": item, "kind": "segment", "code": code.value, "why": "not today"}
    ]


def test_uplink_sends_no_bulk_when_the_network_is_not_for_it(world: World) -> None:
    """WI-32."""
    text = world.config_path.read_text()
    world.config_path.write_text(text + "allow_bulk = false\n")
    world.config = load_device(world.config_path)
    bulk, hit = world.put("segment", 4, 10), world.put("hit", 0, 10)
    world.start()
    world.drive(world.receipt(hit).exists)
    world.drive_for(0.5)
    assert bulk not in world.centre.stored


def test_uplink_names_an_item_and_sends_the_others_when_its_file_is_cut(world: World) -> None:
    """WI-28."""
    bad, good = world.put("segment", 4, 5 * PART), world.put("segment", 4, 10)
    world.start()
    world.drive(world.receipt(good).exists)
    second = world.put("segment", 4, 5 * PART)
    world.drive(world.receipt(second).exists)
    assert bad in world.centre.stored
    third = world.put("segment", 4, 5 * PART)
    os.truncate(spool.final_path(world.config.spool, "segment", third), PART)
    world.drive(lambda: world.status()["items_bad"] == 1 or third in world.status()["last_error"])
    assert third not in world.centre.stored


def test_uplink_tells_its_birth_and_figures_when_it_comes_and_goes(world: World) -> None:
    """WI-15. WI-16."""
    daemon.write_status(world.config.run, "recorder", {"segments": 7, "recording": True, "where": "secret"})
    world.start()
    world.drive(lambda: bool(world.centre.births and world.centre.statuses))
    counters = world.centre.statuses[-1].counters
    assert (counters["recorder.segments"], counters["recorder.recording"]) == (7, 1)
    assert "recorder.where" not in counters
    world.stop()
    world.drive(lambda: len(world.centre.births) == 2)
    assert [birth.online for birth in world.centre.births] == [True, False]
    assert world.status()["connected"] is False


def test_uplink_ignores_and_counts_remote_commands_and_garbage(world: World) -> None:
    """WI-4. WI-5."""
    world.start()
    world.drive(lambda: bool(world.centre.births))
    world.centre.link.publish("cmd/car-1/command", b"wipe")
    world.centre.link.publish("cmd/car-1/grant", b"\xff\x00")
    world.centre.link.publish("cmd/car-1/unheard-of", b"{}")
    world.drive(lambda: world.status().get("messages_refused") == 2)
    assert world.status()["commands_ignored"] == 1


def test_uplink_takes_a_watchlist_when_it_is_offered(world: World) -> None:
    """WI-40. WI-41."""
    sealed = world.sealed_list(3)
    world.start()
    world.drive(lambda: bool(world.centre.births))
    world.centre.offer_list(3, sealed)
    world.drive(lambda: world.centre.births[-1].list_version == 3)
    assert watchlist.current_path(world.config.data).read_bytes() == sealed
    assert len(world.centre.wants) == -(-len(sealed) // 1000)
    assert [path.name for path in (world.config.data / "watchlist").glob("*.incoming")] == []
    accepted = [entry["detail"] for entry in world.journal() if entry["event"] == "watchlist.accepted"]
    assert accepted == [{"version": 3}]
    world.stop()
    world.start()
    world.drive(lambda: len(world.centre.births) == 4)
    assert world.centre.births[-1].list_version == 3


def test_uplink_goes_on_where_it_stopped_when_a_list_was_half_fetched(world: World) -> None:
    """WI-42."""
    sealed = world.sealed_list(3)
    incoming = world.config.data / "watchlist" / f"{hashlib.sha256(sealed).hexdigest()}.incoming"
    incoming.parent.mkdir()
    incoming.write_bytes(sealed[:1500])
    incoming.with_name("0.incoming").write_bytes(b"of an older list")
    world.start()
    world.drive(lambda: bool(world.centre.births))
    world.centre.offer_list(3, sealed)
    world.drive(watchlist.current_path(world.config.data).exists)
    assert world.centre.wants[0].offset == 1500
    assert list(incoming.parent.glob("*.incoming")) == []


def test_uplink_keeps_the_old_list_when_the_new_one_does_not_hold(world: World) -> None:
    """WI-41. WI-43."""
    good = world.sealed_list(3)
    world.start()
    world.drive(lambda: bool(world.centre.births))
    world.centre.offer_list(3, good)
    world.drive(lambda: world.status().get("list_version") == 3)
    world.centre.offer_list(4, world.sealed_list(4, key=SigningKey.generate()))
    world.drive(lambda: [entry["event"] for entry in world.journal()][-1] == "watchlist.refused")
    older = len(world.centre.wants)
    world.centre.offer_list(2, world.sealed_list(2))
    world.drive_for(0.5)
    assert len(world.centre.wants) == older
    assert watchlist.current_path(world.config.data).read_bytes() == good
    assert list((world.config.data / "watchlist").glob("*.incoming")) == []


def test_uplink_does_not_believe_the_version_of_an_offer(world: World) -> None:
    """WI-43: the signature says which version a list is; an old list under a new number stays out."""
    world.start()
    world.drive(lambda: bool(world.centre.births))
    world.centre.offer_list(3, world.sealed_list(3))
    world.drive(lambda: world.status().get("list_version") == 3)
    world.centre.offer_list(9, world.sealed_list(2))
    world.drive(lambda: [entry["event"] for entry in world.journal()][-1] == "watchlist.refused")
    assert world.status()["list_version"] == 3


def test_uplink_seals_its_own_custody_into_the_spool(world: World) -> None:
    """WI-17."""
    world.start()
    world.drive_for(0.3)
    world.stop()
    world.start()
    world.drive(lambda: any(item.kind == "custody" for item in spool.scan(world.config.spool)[0]))


def test_uplink_refuses_to_start_twice(world: World) -> None:
    """WI-17: one writer of the journal."""
    world.start()
    with pytest.raises(Refused, match="another process"):
        make_uplink(world.config, CLOCK)


def test_uplink_sends_when_its_journal_takes_no_line(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """WI-33: sending is what empties a full disk; custody begins when there is space."""

    def full(_journal: Journal, _seq: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Journal, "_begin_file", full)
    item = world.put("hit", 0, 100)
    world.start()
    world.drive(world.receipt(item).exists)
    assert world.journal() == []
    monkeypatch.undo()
    world.stop()
    assert [entry["event"] for entry in world.journal()] == ["service.started", "service.stopped"]


def test_uplink_deletes_no_evidence_when_everything_is_receipted(world: World) -> None:
    """WI-34."""
    items = [world.put(kind, 0, 500) for kind in ("hit", "custody", "segment")]
    world.start()
    world.drive(lambda: all(world.receipt(item).exists() for item in items))
    world.stop()
    assert set(items) <= {item.item_id for item in spool.scan(world.config.spool)[0]}


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    whole = [sys.executable, "-m", "vedette.cli", "uplink", *arguments]
    return subprocess.run(whole, capture_output=True, text=True, timeout=60, check=False)


def test_uplink_command_runs_and_ends_cleanly_when_it_is_told_to(world: World) -> None:
    """WI-15."""
    item = world.put("hit", 0, 100)
    whole = [sys.executable, "-m", "vedette.cli", "uplink", "run", "--config", str(world.config_path)]
    process = subprocess.Popen(whole)
    world.drive(world.receipt(item).exists)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    world.drive(lambda: not world.centre.births[-1].online)
    events = [entry["event"] for entry in world.journal()]
    assert events == ["service.started", "service.stopped"]


def test_uplink_leaves_its_will_and_loses_nothing_when_it_is_killed(world: World) -> None:
    """WI-15. WI-22."""
    item = world.put("segment", 4, 400 * PART)
    whole = [sys.executable, "-m", "vedette.cli", "uplink", "run", "--config", str(world.config_path)]
    process = subprocess.Popen(whole)
    world.drive(lambda: len(world.centre.parts) > 20)
    process.kill()
    process.wait(20)
    world.drive(lambda: not world.centre.births[-1].online)
    world.start()
    world.drive(world.receipt(item).exists)


def test_uplink_command_says_what_is_missing_when_the_device_is_not_enrolled(world: World) -> None:
    """WI-10."""
    files.remove(world.config.trust)
    done = command("run", "--config", str(world.config_path))
    assert done.returncode == 3
    assert "trust.json" in done.stderr and len(done.stderr.splitlines()) == 1


def test_uplink_trusts_one_centre_only(world: World) -> None:
    """WI-26."""
    assert isinstance(world.centre.key.public, PublicKey)
    world.centre.sign = by_another_key(world)
    world.put("hit", 0, 10)
    world.start()
    world.drive(lambda: world.status().get("receipts_refused", 0) > 0)
    assert world.status()["receipts"] == 0
