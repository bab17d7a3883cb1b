"""When the centre signs for an item, and what it signs (docs/spec/receipt.md, RC-1 to RC-6)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from sync.central import fleet
from sync.central.log import Log
from sync.central.quarantine import counts, kept_bytes, write_counts
from vedette import merkle, note, proof
from vedette.keys import SigningKey
from vedette.records import check_receipt, keyring, open_receipt
from vedette.wire import Ack, Fin, Grant, Refuse, RefuseCode, Sealed


def trusted(centre: Any) -> Any:
    return keyring(centre.signer.key.public)


def receipt_of(centre: Any, answers: Any) -> Any:
    (answer,) = answers
    assert isinstance(answer, Sealed)
    return open_receipt(answer.receipt, trusted(centre))


def test_receipt_names_the_stored_bytes_when_the_upload_is_whole(centre: Any, device: Any, worker: Any) -> None:
    """RC-1. The blob, the row and the log leaf are there with the receipt."""
    item = device.item(b"video" * 20_000)

    receipt = receipt_of(centre, worker.upload(item))

    check_receipt(receipt, item.manifest, hashlib.sha256(item.manifest_bytes).hexdigest())
    with centre.store.blobs.open(item.manifest.sealed_sha256) as blob:
        assert blob.read() == item.sealed_bytes
    assert centre.store.item(item.id).sealed_size == len(item.sealed_bytes)
    assert list((centre.folder / "incoming" / fleet.CENTRE_ID).iterdir()) == []


def test_receipt_is_not_given_when_the_bytes_are_others(centre: Any, device: Any, worker: Any) -> None:
    """RC-1, RC-7. The whole is hashed on the centre's disk, whatever the parts' own hashes said."""
    item, other = device.item(b"a" * 50_000), device.item(b"b" * 50_000)
    worker.say(device.id, item.init())
    foreign = [part.__class__(item=item.id, index=part.index, payload=part.payload) for part in other.parts()]
    worker.say(device.id, *foreign)

    (answer,) = worker.say(device.id, item.fin())

    assert isinstance(answer, Refuse) and answer.code is RefuseCode.MISMATCH
    assert centre.store.items() == []
    assert [row.code for row in centre.store.quarantine()] == ["mismatch"]
    assert isinstance(worker.upload(item)[0], Sealed)


def test_item_is_stored_when_a_crash_came_between_blob_and_row(
    centre: Any, device: Any, worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RC-1. The blob was renamed, the transaction never committed: asked again, the centre finishes its work."""
    item = device.item(b"video" * 20_000)
    monkeypatch.setattr("sync.central.receipts.accept_all", _power_cut)
    with pytest.raises(KeyboardInterrupt):
        worker.upload(item)
    monkeypatch.undo()
    assert centre.store.items() == []
    assert centre.store.blobs.has(item.manifest.sealed_sha256)
    worker.restart()

    receipt = receipt_of(centre, worker.say(device.id, item.init()))

    assert receipt.item == item.id


def test_blob_is_not_believed_when_it_was_never_this_devices_upload(centre: Any, device: Any, worker: Any) -> None:
    """RC-1. Knowing the hash of stored bytes is not having sent them."""
    item = device.item(b"video" * 20_000)
    worker.upload(item)
    other = centre.device("car-2")
    claim = other.item(b"", sealed_sha256=item.manifest.sealed_sha256, sealed_size=item.manifest.sealed_size)

    (answer,) = worker.say(other.id, claim.init())

    assert isinstance(answer, Grant) and answer.have == ()


@pytest.mark.parametrize(
    "change",
    [
        {"size": 5},
        {"sha256": "0" * 64},
        {"kind": "hit"},
        {"priority": 0},
        {"item": "01890000-0000-7000-8000-000000000001"},
    ],
)
def test_upload_is_refused_when_the_manifest_says_otherwise(
    centre: Any, device: Any, worker: Any, change: dict[str, Any]
) -> None:
    """RC-2."""
    item = device.item(b"video")

    (answer,) = worker.say(device.id, item.init(**change))

    assert isinstance(answer, Refuse) and answer.code is RefuseCode.INVALID
    assert len(centre.store.quarantine()) == 1


def test_upload_is_refused_when_another_key_signed_the_manifest(centre: Any, device: Any, worker: Any) -> None:
    """RC-2."""
    item = device.item(b"video", key=SigningKey.generate())

    (answer,) = worker.say(device.id, item.init())

    assert isinstance(answer, Refuse) and answer.code is RefuseCode.INVALID


def test_upload_is_refused_when_it_is_another_devices_item(centre: Any, device: Any, worker: Any) -> None:
    """RC-2. A manifest that car-1 signed is worth nothing from car-2's certificate."""
    other = centre.device("car-2")

    (answer,) = worker.say(other.id, device.item(b"video").init())

    assert isinstance(answer, Refuse) and answer.code is RefuseCode.INVALID


def test_receipt_is_the_same_bytes_when_asked_again(centre: Any, device: Any, worker: Any) -> None:
    """RC-3. Also after a restart, by init or by fin of an item that is stored."""
    item = device.item(b"video" * 9_000)
    (first,) = worker.upload(item)
    worker.restart()

    (again,) = worker.say(device.id, item.init())

    assert again == first
    assert centre.store.receipt(item.id) == first.receipt
    assert centre.store.log_size() == 1


def test_checkpoint_in_a_receipt_is_signed_and_covers_the_leaf(centre: Any, device: Any, worker: Any) -> None:
    """RC-4."""
    worker.upload(device.item(b"one"))

    receipt = receipt_of(centre, worker.upload(device.item(b"two")))

    checkpoint = note.open_checkpoint(receipt.log_checkpoint, centre.signer.origin, centre.signer.key.public)
    assert (receipt.log_index, checkpoint.size) == (1, 2)


def test_leaf_is_what_the_receipt_says_when_an_item_is_logged(centre: Any, device: Any, worker: Any) -> None:
    """RC-5. And its proof verifies against the newest checkpoint, with growing logs consistent."""
    items = [device.item(bytes([number]) * 100) for number in range(7)]
    receipts = [receipt_of(centre, worker.upload(item)) for item in items]

    for item, receipt in zip(items, receipts, strict=True):
        text = centre.store.proof(item.id)
        leaf, checkpoint = proof.verify(proof.Proof.from_text(text), centre.signer.origin, centre.signer.key.public)
        assert (leaf.item, leaf.received_us, checkpoint.size) == (receipt.item, receipt.stored_us, 7)
        then = note.open_checkpoint(receipt.log_checkpoint, centre.signer.origin, centre.signer.key.public)
        path = Log(centre.store.db).consistency(then.size, 7)
        merkle.verify_consistency(then.size, 7, then.root, checkpoint.root, path)


def test_item_is_a_conflict_when_its_id_is_stored_with_other_bytes(centre: Any, device: Any, worker: Any) -> None:
    """RC-6."""
    item = device.item(b"video")
    worker.upload(item)
    other = device.item(b"other", item=item.id)

    (answer,) = worker.say(device.id, other.init())

    assert isinstance(answer, Refuse) and answer.code is RefuseCode.CONFLICT
    assert centre.store.manifest(item.id) == item.manifest_bytes


def test_item_is_a_conflict_when_another_device_is_sending_it(centre: Any, device: Any, worker: Any) -> None:
    """RC-6. The upload that is under way goes on unharmed."""
    item = device.item(b"video" * 9_000)
    other = centre.device("car-2")
    thief = other.item(b"other", item=item.id)
    worker.say(device.id, item.init())

    (answer,) = worker.say(other.id, thief.init())

    assert isinstance(answer, Refuse) and answer.code is RefuseCode.CONFLICT
    assert isinstance(worker.say(device.id, *item.parts())[0], Ack)
    assert isinstance(worker.say(device.id, item.fin())[0], Sealed)


CONFLICTS: dict[str, Callable[[Any, Any], Any]] = {
    "hash": lambda device, item: item.init(sha256="0" * 64),
    "size": lambda device, item: item.init(size=item.manifest.sealed_size + 1),
    "manifest": lambda device, item: device.resign(item, software="another").init(),
    "fin": lambda device, item: Fin(item=item.id, sha256="0" * 64),
}


@pytest.mark.parametrize("cause", CONFLICTS)
def test_conflict_of_an_item_under_way_is_in_quarantine(centre: Any, device: Any, worker: Any, cause: str) -> None:
    """RC-6, RC-7, CS-18. A row, however often it is said, with what was said; the upload goes on unharmed."""
    item = device.item(b"video" * 9_000)
    worker.say(device.id, item.init())
    said = CONFLICTS[cause](device, item)

    answers = [worker.say(device.id, said)[0] for _ in range(3)]
    write_counts(centre.store)

    assert {(type(one), one.code) for one in answers} == {(Refuse, RefuseCode.CONFLICT)}
    (row,) = centre.store.quarantine()
    assert (row.device, row.item, row.code) == (device.id, item.id, "conflict")
    assert kept_bytes(centre.store, row.id) == said.encode()
    assert [(one.outcome, one.times) for one in counts(centre.store)] == [("repeated", 2)]
    assert isinstance(worker.upload(item)[0], Sealed)


def test_each_cause_of_a_conflict_has_a_row_of_its_own(centre: Any, device: Any, worker: Any) -> None:
    """RC-7, CS-18. And endless variants of one cause have one: what is compared has no words of the device's."""
    item = device.item(b"video" * 9_000)
    worker.say(device.id, item.init())

    for number in range(20):
        worker.say(device.id, item.init(sha256=f"{number:064x}"), Fin(item=item.id, sha256=f"{number:064x}"))
        worker.say(device.id, item.init(size=1 + number), device.resign(item, software=f"{number}").init())

    assert len({row.text for row in centre.store.quarantine()}) == len(centre.store.quarantine()) == len(CONFLICTS)


def _power_cut(*_: Any) -> None:
    raise KeyboardInterrupt
