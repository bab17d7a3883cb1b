"""Signed records, manifests and receipts."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from vedette import canonical, records
from vedette.clock import FakeClock, uuid7
from vedette.errors import Integrity, NotTrusted, VedetteError
from vedette.keys import PublicKey, SigningKey

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "record" / "records.json").read_text())
KEY = SigningKey.generate()
KEYS = records.keyring(KEY.public)


def manifest(**changes: Any) -> records.Manifest:
    clock = FakeClock()
    made = records.Manifest(
        item=uuid7(clock),
        kind="segment",
        device="car-1",
        sealed_sha256="a" * 64,
        sealed_size=1000,
        plain_sha256="b" * 64,
        plain_size=900,
        created_us=1,
        started_us=2,
        ended_us=3,
        time_source="simulated",
        time_error_us=0,
        complete=True,
        priority=4,
        recording=uuid7(clock),
        sequence=0,
        activation="continuous",
        media=records.Media(codec="h264", width=1280, height=720, duration_us=1_000_000, frames=25),
        journal=records.JournalHead(service="recorder", seq=7, head="c" * 64),
        software="vedette 0.1.0",
        models={},
    )
    return dataclasses.replace(made, **changes)


def receipt_for(made: records.Manifest, **changes: Any) -> records.Receipt:
    found = records.Receipt(
        item=made.item,
        device=made.device,
        sealed_sha256=made.sealed_sha256,
        sealed_size=made.sealed_size,
        manifest_sha256="d" * 64,
        stored_us=9,
        log_index=0,
        log_checkpoint="vedette.local/log\n1\n",
    )
    return dataclasses.replace(found, **changes)


@pytest.mark.parametrize("vector", VECTORS["accept"], ids=lambda vector: vector["name"])
def test_record_is_accepted_when_the_vector_is_good(vector: dict[str, str]) -> None:
    """RE-5. RE-6."""
    keys = records.keyring(PublicKey.from_text(VECTORS["key"]))
    body = records.open_record(vector["kind"], vector["record"].encode(), keys)
    assert body == json.loads(vector["record"])["body"]


@pytest.mark.parametrize("vector", VECTORS["reject"], ids=lambda vector: vector["name"])
def test_record_is_refused_when_the_vector_is_bad(vector: dict[str, str]) -> None:
    """RE-3. RE-5. RE-6. RE-7."""
    keys = records.keyring(PublicKey.from_text(VECTORS["key"]))
    with pytest.raises(VedetteError) as caught:
        records.open_record(vector["kind"], vector["record"].encode(), keys)
    assert type(caught.value).__name__ == vector["error"]


def test_record_is_refused_when_any_byte_is_flipped() -> None:
    """RE-5. RE-7."""
    record = records.sign_record("vedette/test/1", {"a": 1, "b": "text"}, KEY)
    assert records.open_record("vedette/test/1", record, KEYS) == {"a": 1, "b": "text"}
    for place in range(len(record)):
        changed = bytearray(record)
        changed[place] ^= 1
        with pytest.raises((Integrity, NotTrusted)):
            records.open_record("vedette/test/1", bytes(changed), KEYS)


def test_manifest_returns_equal_when_signed_and_opened() -> None:
    """RE-11. RE-12. RE-13."""
    made = manifest(complete=False, media=None, journal=None, recording=None, activation=None, plain_sha256=None)
    assert records.open_manifest(records.sign_record(records.MANIFEST, made.to_body(), KEY), KEYS) == made


@pytest.mark.parametrize("field", sorted(manifest().to_body()))
def test_manifest_is_refused_when_a_field_is_missing_or_of_another_type(field: str) -> None:
    """RE-11."""
    body = manifest().to_body()
    with pytest.raises(Integrity, match=field):
        records.Manifest.from_body({name: value for name, value in body.items() if name != field})
    with pytest.raises(Integrity):
        records.Manifest.from_body({**body, field: ["unexpected"]})


@pytest.mark.parametrize("field", ["plate", "position", "officer", "text"])
def test_manifest_is_refused_when_it_holds_what_it_must_not(field: str) -> None:
    """RE-10. RE-11."""
    with pytest.raises(Integrity, match="unknown field"):
        records.Manifest.from_body({**manifest().to_body(), field: "x"})


def first_version() -> records.Manifest:
    """What a device with software of before manifest/2 signed."""
    return manifest(version=1)


@pytest.mark.parametrize("media", [None, manifest().media])
def test_manifest_of_the_first_version_is_opened_when_an_older_device_signed_it(media: records.Media | None) -> None:
    """RE-17: and comes out as it was, so that its bytes can be made again."""
    old = dataclasses.replace(first_version(), media=media)
    record = records.sign_record("vedette/manifest/1", old.to_body(), KEY)
    assert b"policy" not in record and b"sound" not in record
    assert records.open_manifest(record, KEYS) == records.peek_manifest(record) == old
    assert records.sign_record(old.record_kind, records.open_manifest(record, KEYS).to_body(), KEY) == record


@pytest.mark.parametrize(
    "kind", ["vedette/manifest/1", "vedette/manifest/2", "vedette/manifest/3", "vedette/receipt/1"]
)
@pytest.mark.parametrize("made", [first_version(), manifest()], ids=["first", "second"])
def test_manifest_is_refused_when_its_kind_is_not_that_of_its_fields(made: records.Manifest, kind: str) -> None:
    """RE-7. RE-17."""
    record = records.sign_record(kind, made.to_body(), KEY)
    if kind == made.record_kind:
        assert records.open_manifest(record, KEYS) == made
    else:
        for opened in (lambda: records.open_manifest(record, KEYS), lambda: records.peek_manifest(record)):
            with pytest.raises(Integrity):
                opened()


def test_manifest_says_who_made_the_item_when_it_is_of_the_second_version() -> None:
    """RE-14. RE-15. RE-16."""
    media = records.Media(codec="h264", width=1, height=1, duration_us=1, frames=1, sound="aac")
    made = manifest(
        hardware="Raspberry Pi 5 Model B", firmware="image vedette 7; debian 12", policy_sha256="e" * 64, media=media
    )
    opened = records.open_manifest(records.sign_record(records.MANIFEST, made.to_body(), KEY), KEYS)
    assert (opened.hardware, opened.firmware) == ("Raspberry Pi 5 Model B", "image vedette 7; debian 12")
    assert opened.policy_sha256 == "e" * 64
    assert opened.media is not None and opened.media.sound == "aac"


@pytest.mark.parametrize(
    "change", [{"policy_sha256": "E" * 64}, {"policy_sha256": ""}, {"hardware": "x" * 513}, {"firmware": 7}]
)
def test_manifest_is_refused_when_what_made_it_is_of_another_form(change: dict[str, Any]) -> None:
    """RE-14. RE-15."""
    with pytest.raises(Integrity, match=next(iter(change))):
        records.Manifest.from_body({**manifest().to_body(), **change})


def test_manifest_priority_is_refused_when_it_is_over_the_last() -> None:
    """RE-13."""
    assert records.Manifest.from_body(manifest(priority=4).to_body()).priority == 4
    with pytest.raises(Integrity, match="priority"):
        records.Manifest.from_body(manifest(priority=5).to_body())


def test_receipt_is_refused_when_it_is_for_anything_else() -> None:
    """RE-20. RE-21."""
    made = manifest()
    good = receipt_for(made)
    records.check_receipt(records.Receipt.from_body(good.to_body()), made, "d" * 64)
    changes: list[dict[str, Any]] = [
        {"item": uuid7(FakeClock(utc_us=5_000_000))},
        {"device": "car-2"},
        {"sealed_sha256": "e" * 64},
        {"sealed_size": 999},
        {"manifest_sha256": "e" * 64},
    ]
    for change in changes:
        with pytest.raises(NotTrusted, match="the file is kept"):
            records.check_receipt(dataclasses.replace(good, **change), made, "d" * 64)


def test_manifest_of_a_spool_can_be_peeked_at_without_a_key_but_not_another_record() -> None:
    """SP-4."""
    made = manifest()
    assert records.peek_manifest(records.sign_record(records.MANIFEST, made.to_body(), KEY)) == made
    with pytest.raises(Integrity, match="not a manifest"):
        records.peek_manifest(canonical.dumps({"kind": "vedette/receipt/1", "body": {}}))
