"""A broker or centre that means harm: nothing is deleted, nothing is believed, memory stays bounded."""

from __future__ import annotations

import hashlib
import resource
import time
from dataclasses import replace
from typing import Any

import pytest

from sync.link import Message
from vedette import records, spool, topics, wire
from vedette.clock import FakeClock, uuid7
from vedette.records import sign_record
from vedette.wire import (
    MAX_CREDIT,
    MAX_LEASE_S,
    MAX_PART_BYTES,
    MAX_PARTS,
    Ack,
    Fin,
    Grant,
    Init,
    Part,
    RefuseCode,
    Sealed,
)

PART = 16 * 1024
MOST_GROWTH_KIB = 64 << 10


def tell(world: Any, *messages: Any) -> None:
    """Say so to the device and drive until it has been sent."""
    for message in messages:
        world.centre.send("car-1", message)
    world.drive(lambda: not world.centre.outgoing)


def is_untouched(world: Any, item: str, sealed: bytes) -> bool:
    """The item lies in the spool as it was, and there is no receipt for it."""
    path = spool.final_path(world.config.spool, "segment", item)
    return path.read_bytes() == sealed and not list(world.config.receipts.iterdir())


def sealed_of(world: Any, item: str) -> bytes:
    return spool.final_path(world.config.spool, "segment", item).read_bytes()


def mute(world: Any) -> list[Any]:
    """A centre that hears and does nothing of its own accord."""
    heard: list[Any] = []
    world.centre.hear = lambda _device, message: heard.append(message)
    return heard


def test_item_stays_when_everything_was_acknowledged_and_no_receipt_came(world: Any) -> None:
    """WI-26: "200 OK" without having stored anything. PUBACK, ack and silence after fin are worth nothing."""
    item = world.put("segment", 4, 3 * PART)
    sealed, heard = sealed_of(world, item), mute(world)
    world.start()
    world.drive(lambda: any(isinstance(one, Init) for one in heard))
    tell(world, Grant(item=item, worker="central", part_size=PART, have=((0, 2),), credit=8, lease_s=60))
    world.drive(lambda: any(isinstance(one, Fin) for one in heard))
    tell(world, Ack(item=item, ranges=((0, 2),), credit=8))
    world.drive_for(1)

    assert is_untouched(world, item, sealed)
    assert world.uplink is not None and world.status()["items_pending"] == 1


def test_receipt_is_not_believed_when_it_is_replayed_for_another_item(world: Any) -> None:
    """WI-26: a good receipt of one item deletes no other, not even one with the same priority and size."""
    first = world.put("segment", 4, PART)
    world.start()
    world.drive(world.receipt(first).exists)
    receipt = world.receipt(first).read_bytes()
    world.receipt(first).unlink()
    heard, second = mute(world), world.put("segment", 4, PART)
    sealed = sealed_of(world, second)
    world.drive(lambda: any(isinstance(one, Init) and one.item == second for one in heard))

    tell(world, Sealed(item=second, receipt=receipt))
    world.drive(lambda: world.status().get("receipts_refused", 0) > 0)

    assert sealed_of(world, second) == sealed and not world.receipt(second).exists()


def test_receipt_for_an_item_that_is_not_here_writes_nothing(world: Any) -> None:
    """WI-26: well signed, for an item that this device never had."""
    stranger = uuid7(FakeClock())
    item = world.put("segment", 4, PART)
    sealed, heard = sealed_of(world, item), mute(world)
    world.start()
    world.drive(lambda: any(isinstance(one, Init) for one in heard))
    manifest = world.manifest_of(b"x", item=stranger, kind="segment", priority=4)
    record = sign_record(records.MANIFEST, manifest.to_body(), world.key)
    tell(world, Sealed(item=stranger, receipt=world.centre.sign(manifest, record)))
    world.drive_for(0.5)

    assert is_untouched(world, item, sealed)


def test_grant_beyond_all_limits_changes_nothing_but_a_counter(world: Any) -> None:
    """WI-4, WI-9, WI-25: bitmaps past the item, part sizes and credits out of bounds, workers that are paths."""
    item = world.put("segment", 4, 3 * PART)
    sealed, heard = sealed_of(world, item), mute(world)
    world.start()
    world.drive(lambda: any(isinstance(one, Init) for one in heard))
    good = Grant(item=item, worker="central", part_size=PART, have=(), credit=1, lease_s=1).encode()
    wrong = [
        good.replace(b'"credit":1', b'"credit":1025'),
        good.replace(b'"credit":1', b'"credit":-1'),
        good.replace(b'"part_size":16384', b'"part_size":1'),
        good.replace(b'"part_size":16384', b'"part_size":99999999'),
        good.replace(b'"lease_s":1', b'"lease_s":0'),
        good.replace(b'"worker":"central"', b'"worker":"../../x"'),
        good.replace(b'"worker":"central"', b'"worker":"a/b"'),
        good.replace(b'"worker":"central"', b'"worker":"+"'),
        good.replace(b'"v":1', b'"v":2'),
        good[:-1],
        b"[" * 100_000,
        b"\xff" * 1000,
        b"",
    ]
    for payload in wrong:
        world.centre.outgoing.append((topics.topic("car-1", Ack(item=item, ranges=(), credit=0)), payload))
        world.centre.outgoing.append((f"cmd/car-1/{Grant.name}", payload))
    world.drive(lambda: not world.centre.outgoing)
    world.drive(lambda: world.status().get("messages_refused", 0) >= 2 * len(wrong))
    tell(world, Grant(item=item, worker="central", part_size=PART, have=((60_000, 65_535),), credit=1, lease_s=1))
    world.drive_for(0.5)

    assert not any(isinstance(one, (Part, Fin)) for one in heard)
    assert is_untouched(world, item, sealed)


def test_grant_of_everything_sends_no_more_than_the_window(world: Any) -> None:
    """WI-25: the largest credit and lease there are; the device's memory is what its window takes."""
    item = world.put("segment", 4, 40 * MAX_PART_BYTES)
    heard = mute(world)
    world.start()
    world.drive(lambda: any(isinstance(one, Init) for one in heard))
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    grant = Grant(
        item=item, worker="central", part_size=MAX_PART_BYTES, have=(), credit=MAX_CREDIT, lease_s=MAX_LEASE_S
    )
    tell(world, grant)
    world.drive_for(1)

    sent = {one.index for one in heard if isinstance(one, Part)}
    assert 0 < len(sent) <= world.config.uplink.window
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 2 * MOST_GROWTH_KIB


def test_flood_of_messages_is_survived_and_the_hit_still_goes(world: Any) -> None:
    """WI-5, WI-12: five thousand foreign messages; the uplink's memory is bounded and it works on."""
    world.start()
    world.drive(lambda: len(world.centre.births) > 0)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    stranger = uuid7(FakeClock())
    for number in range(5_000):
        receipt = hashlib.sha256(b"%d" % number).digest()
        message: wire.FromCentre = Sealed(item=stranger, receipt=receipt)
        if number % 2:
            message = Ack(item=stranger, ranges=((0, 1),), credit=5)
        world.centre.send("car-1", message)
        if number % 100 == 0:
            world.drive(lambda: len(world.centre.outgoing) < 100)
    world.drive(lambda: not world.centre.outgoing)
    hit = world.put("hit", 0, 100)

    world.drive(world.receipt(hit).exists)

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < MOST_GROWTH_KIB


def test_nothing_is_deleted_when_the_centre_refuses_all_for_good(world: Any) -> None:
    """WI-28, WI-34: it is counted and shown; every byte stays."""
    world.centre.refusing = RefuseCode.INVALID
    items = [world.put("segment", 4, PART) for _ in range(5)]
    sealed = {item: sealed_of(world, item) for item in items}
    world.start()
    world.drive(lambda: world.status().get("refused", 0) == 5)

    assert {item: sealed_of(world, item) for item in items} == sealed
    assert list(world.config.receipts.iterdir()) == []


FOREIGN = [
    "cmd/car-2/sealed",
    "cmd/car-2/grant",
    "cmd/car-1.bulk/sealed",
    "devices/car-1/init",
    "devices/car-1/part/central",
    "cmd/car-1/grant/x",
    "cmd/../sealed",
    "$SYS/broker/uptime",
    "",
]


@pytest.mark.parametrize("topic", FOREIGN)
def test_what_is_not_said_to_this_device_is_counted_and_changes_nothing(
    world: Any, monkeypatch: pytest.MonkeyPatch, topic: str
) -> None:
    """WI-1, WI-5: a broker hands over what was never subscribed to, a right receipt of this very item among it."""
    item = world.put("segment", 4, PART)
    sealed, heard = sealed_of(world, item), mute(world)
    uplink = world.start()
    world.drive(lambda: any(isinstance(one, Init) for one in heard))
    init = next(one for one in heard if isinstance(one, Init))
    said: dict[str, Any] = {
        "grant": Grant(item=item, worker="central", part_size=PART, have=(), credit=8, lease_s=60),
        "init": init,
        "part": Part(item=item, index=0, payload=b"x"),
    }
    right = Sealed(item=item, receipt=world.centre.sign(records.peek_manifest(init.manifest), init.manifest))
    message = said.get(topic.split("/")[2] if topic.count("/") > 1 else "", right)
    link, before = uplink._parts.link, uplink._parts.report.messages_refused
    poll = link.poll
    monkeypatch.setattr(link, "poll", lambda wait_s: [Message(topic=topic, payload=message.encode()), *poll(wait_s)])
    world.drive(lambda: uplink._parts.report.messages_refused > before + 5)
    monkeypatch.undo()

    assert is_untouched(world, item, sealed)
    assert not any(isinstance(one, (Part, Fin)) for one in heard)


@pytest.mark.parametrize(("size", "have"), [(PART, "full"), (1 << 30, "every other"), (1 << 30, "full")])
def test_bitmaps_of_every_part_cost_no_memory(world: Any, size: int, have: str) -> None:
    """WI-9, WI-66: the largest there are, again and again, for a small item and for one of 65,536 parts."""
    item = world.put("segment", 4, PART)
    sealed, heard = sealed_of(world, item), mute(world)
    uplink = world.start()
    world.drive(lambda: any(isinstance(one, Init) for one in heard))
    step = 1 if have == "full" else 2
    ranges = ((0, MAX_PARTS - 1),) if step == 1 else tuple((at, at) for at in range(0, MAX_PARTS, step))
    grant = Grant(item=item, worker="central", part_size=max(PART, size // MAX_PARTS), have=ranges, credit=1, lease_s=1)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(20):
        tell(world, *[grant] * 5)

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < MOST_GROWTH_KIB
    assert is_untouched(world, item, sealed)
    assert uplink._parts.report.receipts == 0


@pytest.mark.parametrize("stored_us", [0, 1, (1 << 53) - 1])
def test_clock_of_the_centre_changes_nothing_of_the_devices(world: Any, stored_us: int) -> None:
    """WI-26: whatever time a receipt claims, it counts for its bytes, and the device sets no clock by it."""
    sign = world.centre.sign

    def at(manifest: Any, data: bytes) -> bytes:
        body = replace(world.right_receipt(manifest, data), stored_us=stored_us).to_body()
        return sign_record(records.RECEIPT, body, world.centre.key)

    world.centre.sign = at
    first = world.put("segment", 4, PART)
    world.start()
    world.drive(world.receipt(first).exists)
    world.centre.sign = sign
    second = world.put("segment", 4, PART)
    world.drive(world.receipt(second).exists)

    times = [entry["utc_us"] for entry in world.journal()]
    assert times == sorted(times) and 0 < times[-1] <= time.time_ns() // 1000
