"""The real ingest over a real store, told anything at all by devices that mean harm, beside one that does not.

What comes over the line is made of good messages in any order, damaged good messages, messages that are well formed and
false, and noise; the worker is killed in the middle, and leases run out. A bounded number of examples here;
`HYPOTHESIS_PROFILE=long` (and `make fuzz`) tries many more.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hostile_devices import PART, Said, items, said_bytes, saids
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync.central import fleet, quarantine
from sync.central.heads import MAX_SERVICES, MAX_STARTS
from sync.central.incoming import MAX_AT_REST_PER_DEVICE
from sync.central.ingest import Ingest
from sync.link import Connected, Disconnected, Event, Message, Undelivered
from sync.receiver import MAX_UPLOADS_PER_DEVICE
from sync.sender import Done, Offer, Sender, SendPart
from vedette import topics, wire
from vedette.config import IngestSection
from vedette.custody_entry import Entry, parse_line
from vedette.custody_heads import open_heads
from vedette.errors import Integrity, VedetteError
from vedette.records import check_receipt, keyring, open_receipt
from vedette.wire import Ack, Grant, Part, Refuse, RefuseCode, Sealed

EXAMPLES = settings().max_examples if settings().max_examples > 100 else 60
QUIET = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
FUZZ = settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=QUIET)
LIMITS = IngestSection(credit_mib=1, part_kib=16, max_item_mib=1)
ROUNDS = 400
MOST_GROWTH_KIB = 96 << 10
LEASE_US = 70_000_000
NONSENSE = (2, 3)  # of a world's items: they come through whole, and what is in them is no hit and no journal
HARD = (RefuseCode.INVALID, RefuseCode.CONFLICT, RefuseCode.MISMATCH)

flows = st.tuples(items, st.integers(0, 4))
happenings = st.sampled_from(("killed", "lease", "second", "gone", "back", "undelivered"))
batches = st.lists(st.one_of(saids, saids, saids, flows, flows, happenings), max_size=8)
plans = st.lists(batches, min_size=1, max_size=6)


@dataclass
class Line:
    """The ingest's connection: gives what was put in, keeps what was said. Any bytes may be on it."""

    given: Callable[[Message], None]
    connected = emptied = True
    waited_us = None
    waiting: list[Event] = field(default_factory=lambda: [Connected()])
    sent: list[tuple[topics.Address, bytes]] = field(default_factory=list)

    def publish(self, topic: str, payload: bytes, *, behind: Any = b"", retain: bool = False) -> bool:
        self.sent.append((topics.parse_topic(topic), payload + bytes(behind)))
        return True

    def poll(self, timeout_s: float) -> list[Event]:
        events, self.waiting = self.waiting, []
        for event in events:
            if isinstance(event, Message):
                self.given(event)
        return events

    def close(self) -> None:
        self.connected = False


class Honest:
    """A device with one recording, and the sender that every device has."""

    def __init__(self, world: World, item: Any) -> None:
        self.world, self.item, self.done = world, item, False
        self._sender = Sender(world.check, part_size=PART, window=8)
        init = item.init()
        same = {name: getattr(init, name) for name in ("item", "kind", "size", "sha256", "priority", "manifest")}
        self._sender.offer(Offer(**same))

    def say(self) -> None:
        """Put what it wants to say now on the line."""
        now_us = self.world.clock.mono_us()
        self._note(self._sender.tick(now_us))
        while (action := self._sender.next_action()) is not None:
            self._sender.sent(action, now_us)
            if isinstance(action, SendPart):
                payload = self.item.sealed_bytes[action.offset : action.offset + action.length]
                message: Any = Part(item=action.item, index=action.index, payload=payload)
            else:
                message = action.message
            worker = fleet.CENTRE_ID if message.name in ("part", "fin") else None
            self.world.hear(topics.topic("car-2", message, worker), message.encode())

    def hear(self, message: Any) -> None:
        self._note(self._sender.receive(message, self.world.clock.mono_us()))

    def _note(self, outcomes: Any) -> None:
        self.done = self.done or any(isinstance(one, Done) for one in outcomes)


class World:
    """One centre's store, the worker of one example, and the account of what was said, refused and promised."""

    def __init__(self, centre: Any, written: Any, worker: Any) -> None:
        self.centre, self.clock, self.written = centre, centre.clock, written
        self.devices = {name: centre.device(name) for name in ("car-1", "car-2", "car-3")}
        self.devices["car-9"] = centre.stranger()
        self.examples = 0
        self.lines, self.at_centre = self.journal(worker)

    def journal(self, worker: Any) -> tuple[list[Entry], int]:
        """The lines of car-1's recorder, and how many of them are at the centre before anything else is said."""
        device = self.devices["car-1"]
        journal = device.journal()
        for _ in range(7):
            journal.append("camera.fault")
        worker.upload(device.custody(journal.roll()))
        worker.step()
        came = len(self.centre.store.custody_lines("car-1", "recorder"))
        for _ in range(4):
            journal.append("camera.fault")
        files = sorted(journal.folder.glob("*.jsonl"))
        return [parse_line(line) for path in files for line in path.read_bytes().splitlines()], came

    def losses(self) -> int:
        """How many heads show that lines of a journal were lost; each of them is one complaint."""
        sql = "SELECT count(*) FROM journal_heads WHERE problem IS NOT NULL"
        return int(self.centre.store.db.execute(sql).fetchone()[0])

    def begin(self) -> None:
        """A new worker, and new items: three that are what they say, a hit, a journal and an item of nobody's."""
        self.examples += 1
        one, other = self.devices["car-1"], self.devices["car-3"]
        noise = os.urandom(200)
        self.items = [one.item(b"v" * 50), one.item(bytes(2 * PART + 5)), one.item(noise, "hit")]
        self.items += [one.item(noise, "custody"), other.item(bytes(PART)), one.hit()]
        self.honest = Honest(self, self.devices["car-2"].item(bytes(3 * PART)))
        self.sealed: dict[str, bytes] = {}
        self.acknowledged: dict[tuple[str, str], set[int]] = {}
        self.expected = 0
        self.before, self.lost = self.complaints(), self.losses()
        self.start()

    def start(self) -> None:
        self.line = Line(self.given)
        self.ingest = Ingest(self.centre.store, self.line, self.centre.signer, LIMITS)

    def complaints(self) -> int:
        quarantine.write_counts(self.centre.store)
        counted = sum(one.times for one in quarantine.all_counts(self.centre.store))
        return quarantine.kept_rows(self.centre.store) + counted

    def check(self, item: str, receipt: bytes) -> None:
        """A receipt of the centre's, for exactly what the device has."""
        known = next(one for one in (*self.items, self.honest.item) if one.id == item)
        trusted = open_receipt(receipt, keyring(self.centre.signer.key.public))
        check_receipt(trusted, known.manifest, trusted.manifest_sha256)

    def hear(self, topic: str, payload: bytes) -> None:
        """Put it on the line."""
        self.line.waiting.append(Message(topic=topic, payload=payload))

    def given(self, message: Message) -> None:
        """The worker hears it: into the account, where it must become a complaint."""
        try:
            address = topics.parse_topic(message.topic)
        except Integrity:
            return
        if address.device == "car-9" or address.name == topics.RENEW:
            self.expected += 1
        elif address.name == topics.HEADS:
            try:
                open_heads(bytes(message.payload), address.device, self.devices[address.device].key.public)
            except VedetteError:
                self.expected += 1
        else:
            try:
                wire.decode(address.name, message.payload)
            except Integrity:
                self.expected += 1

    def step(self) -> None:
        """Step the worker until nothing of it is under way on other threads, and take its answers."""
        self.clock.advance(50_000)
        with self.written.watched():
            self.ingest.step(self.clock.mono_us())
            while any(self.ingest.counters[name] for name in ("asked", "syncing", "keeping")):
                time.sleep(0.001)
                self.ingest.step(self.clock.mono_us())
        sent, self.line.sent = self.line.sent, []
        for address, payload in sent:
            self.answered(address, payload)
        uploads: Any = self.ingest.counters["uploads"]
        assert uploads <= MAX_UPLOADS_PER_DEVICE * len(self.devices)

    def answered(self, address: topics.Address, payload: bytes) -> None:
        if address.name in (topics.CERTIFICATE, topics.PEERS):
            self.expected -= address.name == topics.CERTIFICATE  # it was a request that holds
            return
        message: Any = wire.decode(address.name, payload)
        self.expected += isinstance(message, Refuse) and message.code in HARD
        if isinstance(message, Sealed):
            self.check(message.item, message.receipt)
            assert self.sealed.setdefault(message.item, message.receipt) == message.receipt
        if isinstance(message, (Grant, Ack, Refuse)):
            self.promised((address.device, message.item), message)
        if address.device == "car-2" and isinstance(message, (Grant, Ack, Refuse, Sealed)):
            self.honest.hear(message)

    def promised(self, upload: tuple[str, str], message: Grant | Ack | Refuse) -> None:
        """What was acknowledged is in every grant that follows, until the whole was refused as other bytes."""
        if isinstance(message, Refuse):
            if message.code is RefuseCode.MISMATCH:
                self.acknowledged.pop(upload, None)
            return
        ranges = message.have if isinstance(message, Grant) else message.ranges
        had = {index for first, last in ranges for index in range(first, last + 1)}
        before = self.acknowledged.setdefault(upload, set())
        assert not isinstance(message, Grant) or before <= had
        before |= had

    def flow(self, number: int, parts: int) -> None:
        """A good upload, as far as so many parts; the whole of it is past the last one."""
        item = self.items[number]
        for message in [item.init(), *item.parts()[:parts], *([item.fin()] if parts > len(item.parts()) else [])]:
            worker = fleet.CENTRE_ID if message.name in ("part", "fin") else None
            self.hear(topics.topic(item.manifest.device, message, worker), message.encode())
            if message.name == "init":
                self.step()

    def happen(self, what: str) -> None:
        if what == "killed":
            self.start()
        elif what in ("lease", "second"):
            self.clock.advance(LEASE_US if what == "lease" else 1_000_000)
        else:
            events: dict[str, Event] = {"gone": Disconnected(reason="x"), "back": Connected()}
            self.line.waiting.append(events.get(what, Undelivered(topic="cmd/car-1/ack", reason="x")))

    def finish(self) -> None:
        """Let the honest device come to its end, kill the worker, and hold the account against what is there."""
        for _ in range(ROUNDS):
            if self.honest.done:
                break
            self.honest.say()
            self.step()
            self.clock.advance(500_000)
        assert self.honest.done, "an honest device's item did not come through"
        self.start()
        for number, item in enumerate(self.items):
            if item.id not in self.sealed and self.acknowledged.get((item.manifest.device, item.id)):
                self.flow(number, 0)  # `promised` sees that the grant names what was acknowledged
        self.step()
        self.expected += sum(self.items[number].id in self.sealed for number in NONSENSE)
        assert self.complaints() - self.before == self.expected + self.losses() - self.lost
        for item, receipt in self.sealed.items():
            self.stored(item, receipt)

    def stored(self, item: str, receipt: bytes) -> None:
        store, known = self.centre.store, next(one for one in (*self.items, self.honest.item) if one.id == item)
        assert store.receipt(item) == receipt
        with store.blobs.open(known.manifest.sealed_sha256) as blob:
            assert blob.read() == known.sealed_bytes

    def check_bounds(self) -> None:
        for device in self.devices:
            assert quarantine.kept_rows(self.centre.store, device) <= quarantine.MAX_PER_DEVICE
            sql = "SELECT count(*) FROM transfers WHERE device = ?"
            at_rest = self.centre.store.db.execute(sql, [device]).fetchone()[0]
            assert at_rest <= MAX_AT_REST_PER_DEVICE
            sql = "SELECT service, count(*) FROM journal_heads WHERE device = ? GROUP BY service"
            heads = self.centre.store.db.execute(sql, [device]).fetchall()
            assert len(heads) <= MAX_SERVICES
            assert all(count <= MAX_STARTS for _service, count in heads)
        assert len(list((self.centre.folder / "incoming" / fleet.CENTRE_ID).iterdir())) <= MAX_AT_REST_PER_DEVICE * 3
        assert self.written.outside(self.centre.folder) == []


@pytest.fixture
def tmp_path(folder_in_memory: Path) -> Path:
    """No power is cut here, and a disk would make a hundred examples of a thousand."""
    return folder_in_memory


@pytest.fixture
def world(centre: Any, written: Any, worker: Any) -> World:
    """A centre with a list to hand out, and three devices."""
    sql = (
        "INSERT INTO lists (version, issued_us, entries, imported_by, sha256, sealed_sha256, published_us)"
        " VALUES (1, 1, 1, 'test', ?, ?, 1)"
    )
    centre.store.db.execute(sql, ["0" * 64, centre.store.blobs.put(bytes(3 * PART))])
    return World(centre, written, worker)


def test_ingest_survives_hostile_devices_and_serves_an_honest_one(world: World) -> None:
    """WI-3, WI-5, CJ-30, CJ-33, RC-1, RC-6, RC-7, RC-8, CS-18: nothing is raised, every refusal is a row or a count,
    nothing is written elsewhere, what was acknowledged stays, and what was receipted is what was sent.
    """
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    @FUZZ
    @given(plans)
    def tell(plan: list[list[Said | str | tuple[int, int]]]) -> None:
        world.begin()
        for batch in plan:
            world.honest.say()
            for one in batch:
                if isinstance(one, str):
                    world.happen(one)
                elif isinstance(one, tuple):
                    world.flow(*one)
                else:
                    world.hear(*said_bytes(world, one))
            world.step()
        world.finish()

    tell()
    world.check_bounds()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < MOST_GROWTH_KIB


def test_every_kind_of_false_head_is_told_and_accounted_for(world: World) -> None:
    """CJ-30, CJ-33: what the fuzz draws from is what it should be: foreign, other chains, shorter, too many."""
    world.begin()
    for said in (Said("car-1", "heads", 0, 4, "", 0), Said("car-1", "heads", 0, 1, "false", 0)):
        world.hear(*said_bytes(world, said))
        world.step()
        world.happen("lease")
        world.step()
    for at in range(9 * 60):
        world.hear(*said_bytes(world, Said("car-1", "heads", 0, at % 4, "false", at)))
        if at % 50 == 0:
            world.happen("lease")
            world.step()
    world.happen("second")
    world.step()
    assert world.losses() > MAX_STARTS // 2
    world.finish()
    world.check_bounds()
    texts = "\n".join(row.text for row in world.centre.store.quarantine(200))
    for words in ("is not the one that came", "it ends at line", "signed by key", "name 'car-2'", "by service"):
        assert words in texts, words
