"""The uplink and receipts: only the right one counts, and nothing is deleted for it here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from vedette import records, spool
from vedette.keys import PublicKey, SigningKey
from vedette.records import Manifest, sign_record

PART = 16 * 1024
Sign = Callable[[Manifest, bytes], bytes]


def forged(change: dict[str, Any]) -> Callable[[Any], Sign]:
    def make(world: Any) -> Sign:
        def sign(manifest: Manifest, manifest_bytes: bytes) -> bytes:
            wrong = dataclasses.replace(world.right_receipt(manifest, manifest_bytes), **change)
            return sign_record(records.RECEIPT, wrong.to_body(), world.centre.key)

        return sign

    return make


def by_another_key(world: Any) -> Sign:
    thief = SigningKey.generate()
    return lambda manifest, data: sign_record(records.RECEIPT, world.right_receipt(manifest, data).to_body(), thief)


def of_another_kind(world: Any) -> Sign:
    key = world.centre.key
    return lambda manifest, data: sign_record(records.MANIFEST, world.right_receipt(manifest, data).to_body(), key)


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


@pytest.mark.parametrize("size", [1, PART - 1, PART, PART + 1, 2 * PART, 10 * PART + 3])
def test_uplink_brings_an_item_to_the_centre_and_keeps_its_receipt(world: Any, size: int) -> None:
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


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_uplink_keeps_nothing_when_a_receipt_is_wrong(world: Any, wrong: Any) -> None:
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


def test_uplink_fetches_a_receipt_again_when_the_one_on_its_disk_is_damaged(world: Any) -> None:
    """WI-26."""
    item = world.put("hit", 0, 100)
    world.start()
    world.drive(world.receipt(item).exists)
    good = world.receipt(item).read_bytes()
    world.stop()
    world.receipt(item).write_bytes(good[:-1])
    world.start()
    world.drive(lambda: world.receipt(item).read_bytes() == good)


def test_uplink_sends_nothing_again_when_it_has_the_receipt(world: Any) -> None:
    """WI-33."""
    item = world.put("hit", 0, 100)
    world.start()
    world.drive(world.receipt(item).exists)
    world.stop()
    world.start()
    world.drive(lambda: len(world.centre.stored) == 2)
    world.stop()
    assert world.centre.parts.count((item, 0)) == 1


def test_uplink_keeps_an_item_and_tries_again_when_its_receipt_cannot_be_written(world: Any) -> None:
    """WI-26: a full disk, here a folder in the way."""
    item = world.put("hit", 0, 100)
    world.receipt(item).mkdir(parents=True)
    world.start()
    world.drive(lambda: "could not be kept" in world.status().get("last_error", ""))
    assert world.status()["items_pending"] == 1 and world.status()["receipts"] == 0


def test_uplink_deletes_no_evidence_when_everything_is_receipted(world: Any) -> None:
    """WI-34."""
    items = [world.put(kind, 0, 500) for kind in ("hit", "custody", "segment")]
    world.start()
    world.drive(lambda: all(world.receipt(item).exists() for item in items))
    world.stop()
    assert set(items) <= {item.item_id for item in spool.scan(world.config.spool)[0]}


def test_uplink_trusts_one_centre_only(world: Any) -> None:
    """WI-26."""
    assert isinstance(world.centre.key.public, PublicKey)
    world.centre.sign = by_another_key(world)
    world.put("hit", 0, 10)
    world.start()
    world.drive(lambda: world.status().get("receipts_refused", 0) > 0)
    assert world.status()["receipts"] == 0
