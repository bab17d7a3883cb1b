"""Topics and messages against the vectors of docs/spec/wire.md, at their bounds, and with every bit flipped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vedette import topics, wire
from vedette.clock import FakeClock, uuid7
from vedette.errors import Integrity
from vedette.wire import Ack, Grant, Init, ListOffer, ListPart, Part, RefuseCode, Status

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "wire" / "wire.json").read_text())
ITEM = uuid7(FakeClock())


def payload(vector: dict[str, Any]) -> bytes:
    return bytes.fromhex(vector["hex"]) if "hex" in vector else vector["text"].encode()


@pytest.mark.parametrize("vector", VECTORS["accept"], ids=lambda one: one["name"])
def test_message_decodes_and_encodes_to_the_same_bytes_when_it_is_good(vector: dict[str, Any]) -> None:
    """WI-4. WI-6. WI-8. WI-9. WI-66."""
    message = wire.decode(vector["message"], payload(vector))
    assert message.name == vector["message"]
    assert message.encode() == payload(vector)


@pytest.mark.parametrize("vector", VECTORS["reject"], ids=lambda one: one["name"])
def test_message_is_refused_whole_when_anything_is_wrong(vector: dict[str, Any]) -> None:
    """WI-4. WI-5. WI-6. WI-8. WI-9. WI-66."""
    with pytest.raises(Integrity):
        wire.decode(vector["message"], payload(vector))


def test_half_of_the_vectors_are_rejects() -> None:
    """WI-5."""
    assert len(VECTORS["reject"]) >= len(VECTORS["accept"])
    assert len(VECTORS["topics"]["reject"]) >= len(VECTORS["topics"]["accept"])


@pytest.mark.parametrize(("text", "device", "name", "worker"), VECTORS["topics"]["accept"])
def test_topic_is_read_and_written_the_same_when_it_is_good(
    text: str, device: str, name: str, worker: str | None
) -> None:
    """WI-1."""
    address = topics.parse_topic(text)
    assert (address.device, address.name, address.worker) == (device, name, worker)
    assert address.topic == text


@pytest.mark.parametrize("text", VECTORS["topics"]["reject"])
def test_topic_is_refused_when_it_is_none_of_ours(text: str) -> None:
    """WI-1. WI-5."""
    with pytest.raises(Integrity):
        topics.parse_topic(text)


def test_topic_needs_its_worker_when_the_message_is_pinned_to_one() -> None:
    """WI-1."""
    assert topics.topic("car-1", Part, "w1") == "devices/car-1/part/w1"
    assert topics.topic("car-1", Grant) == "cmd/car-1/grant"
    with pytest.raises(ValueError, match="worker"):
        topics.topic("car-1", Part)
    with pytest.raises(ValueError, match="worker"):
        topics.topic("car-1", Init, "w1")


def test_subscriptions_share_inits_and_pin_parts_when_a_worker_listens() -> None:
    """WI-1."""
    assert topics.device_subscriptions("car-1") == ("cmd/car-1/#",)
    assert topics.worker_subscriptions("w1") == (
        "$share/ingest/devices/+/init",
        "$share/ingest/devices/+/list-want",
        "$share/ingest/devices/+/renew",
        "$share/ingest/devices/+/peers-want",
        "$share/ingest/devices/+/answer",
        "$share/ingest/devices/+/heads",
        "devices/+/fin/w1",
        "devices/+/part/w1",
        "devices/+/birth",
        "devices/+/status",
    )


@settings(deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["init", "grant", "ack", "part", "list-part", "birth", "x"]))
def test_decoder_raises_one_error_only_when_bytes_are_random(data: bytes, name: str) -> None:
    """WI-4. WI-5."""
    with pytest.raises(Integrity):
        wire.decode(name, data)


def test_part_is_refused_when_any_bit_of_hash_magic_or_payload_is_flipped() -> None:
    """WI-6."""
    good = Part(item=ITEM, index=3, payload=b"some bytes").encode()
    covered = [*range(4 * 8), *range(24 * 8, len(good) * 8)]
    for bit in covered:
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Integrity):
            Part.decode(bytes(bad))


@pytest.mark.parametrize("size", [1, 2, wire.MAX_PART_BYTES - 1, wire.MAX_PART_BYTES])
def test_part_and_list_part_come_back_when_their_size_is_allowed(size: int) -> None:
    """WI-6. WI-8."""
    part = Part(item=ITEM, index=wire.MAX_PARTS - 1, payload=bytes(size))
    assert Part.decode(part.encode()) == part
    assert len(part.encode()) + topic_room() < wire.MAX_PACKET_BYTES
    listed = ListPart(version=1, offset=0, payload=bytes(size))
    assert ListPart.decode(listed.encode()) == listed


def topic_room() -> int:
    return len(topics.topic("a" * 64, Part, "w" * 32)) + 64


@pytest.mark.parametrize("kind", [Part, ListPart])
def test_part_and_list_part_are_refused_when_they_are_one_byte_too_long(kind: Any) -> None:
    """WI-6. WI-8."""
    with pytest.raises(Integrity, match="1048576"):
        kind.decode(kind.MAGIC + bytes(kind.FORM.size - 4 + wire.MAX_PART_BYTES + 1))


def test_control_message_is_not_sent_when_it_would_be_too_large() -> None:
    """WI-4."""
    Status(utc_us=1, counters={"a": "x" * (wire.MAX_CONTROL_BYTES - 100)}).encode()
    with pytest.raises(Integrity, match="at most"):
        Status(utc_us=1, counters={"a": "x" * wire.MAX_CONTROL_BYTES}).encode()


@pytest.mark.parametrize(("kind", "field"), [(wire.Sealed, "receipt"), (Init, "manifest")])
def test_signed_record_is_taken_up_to_its_limit(kind: Any, field: str) -> None:
    """WI-4."""
    vector = next(one for one in VECTORS["accept"] if one["message"] == kind.name)
    good = wire.decode(kind.name, payload(vector))
    most = kind(**{**vars(good), field: bytes(wire.MAX_SIGNED_BYTES)})
    assert wire.decode(kind.name, most.encode()) == most
    with pytest.raises(Integrity, match="base64"):
        wire.decode(kind.name, kind(**{**vars(good), field: bytes(wire.MAX_SIGNED_BYTES + 1)}).encode())


def test_ranges_are_cut_to_the_first_ones_when_there_are_too_many() -> None:
    """WI-9."""
    ranges = tuple((2 * number, 2 * number) for number in range(100))
    sent = wire.decode("ack", Ack(item=ITEM, ranges=ranges, credit=1).encode())
    assert isinstance(sent, Ack) and sent.ranges == ranges[: wire.MAX_RANGES]


@pytest.mark.parametrize(
    ("size", "part_size", "parts"), [(1, 4096, 1), (4095, 4096, 1), (4096, 4096, 1), (4097, 4096, 2), (8192, 4096, 2)]
)
def test_parts_are_counted_up_when_the_last_is_shorter(size: int, part_size: int, parts: int) -> None:
    """WI-7."""
    assert wire.parts_of(size, part_size) == parts


def test_refusals_say_whether_trying_again_soon_helps() -> None:
    """WI-28."""
    temporary = {code for code in RefuseCode if code.temporary}
    assert temporary == {RefuseCode.UNKNOWN_ITEM, RefuseCode.BUSY, RefuseCode.MISMATCH}


@settings(deadline=None)
@given(
    version=st.integers(1, 2**53 - 1),
    size=st.integers(1, wire.MAX_LIST_BYTES),
    sha256=st.binary(min_size=32, max_size=32).map(bytes.hex),
)
def test_list_offer_comes_back_when_it_was_sent(version: int, size: int, sha256: str) -> None:
    """WI-4."""
    offer = ListOffer(version=version, size=size, sha256=sha256)
    assert wire.decode("list", offer.encode()) == offer


@settings(deadline=None)
@given(st.sets(st.integers(0, wire.MAX_PARTS - 1), max_size=300), st.booleans())
def test_grant_says_every_gap_however_many_there_are(parts: set[int], many: bool) -> None:
    """WI-66."""
    if many:
        parts = parts | set(range(0, wire.MAX_PARTS, 2))
    ranges: list[tuple[int, int]] = []
    for index in sorted(parts):
        if ranges and ranges[-1][1] == index - 1:
            ranges[-1] = (ranges[-1][0], index)
        else:
            ranges.append((index, index))
    grant = Grant(item=ITEM, worker="w", part_size=wire.MIN_PART_BYTES, have=tuple(ranges), credit=1, lease_s=1)
    assert wire.decode("grant", grant.encode()) == grant
