"""The payload of a hit."""

import dataclasses

import pytest

from vedette import hitfile
from vedette.clock import FakeClock, uuid7
from vedette.errors import Integrity

HIT = hitfile.Hit(
    hit=uuid7(FakeClock()),
    device="car-1",
    raised_us=10,
    time_source="simulated",
    time_error_us=None,
    text="12345|أ|6",
    text_ascii="12345A6",
    region="MA",
    confidence_permille=981,
    looks=3,
    alternatives=(hitfile.ReadAlternative(text="12346|أ|6", region="MA", confidence_permille=9),),
    entry=hitfile.MatchedEntry(
        entry="7",
        text="12345|أ|6",
        region="MA",
        reason="stolen",
        priority="high",
        source="test",
        valid_from_us=0,
        valid_to_us=99,
    ),
    list_version=3,
    list_issued_us=5,
    list_age_us=5,
    models={"reader": "a" * 64},
    position=hitfile.Position(lat_e7=340_000_000, lon_e7=-68_000_000, accuracy_cm=300, fixed_us=9),
    track=4,
    first_seen_us=8,
    last_seen_us=9,
    box_px=(10, 20, 110, 45),
    corners_dpx=(100, 200, 1100, 200, 1100, 450, 100, 450),
)
PICTURES = {"crop.jpg": b"\xff\xd8crop", "context.jpg": b"\xff\xd8\ncontext\n"}


def test_hit_returns_equal_when_packed_and_unpacked() -> None:
    """HT-1."""
    assert hitfile.unpack(hitfile.pack(HIT, PICTURES)) == (HIT, PICTURES)
    bare = dataclasses.replace(HIT, position=None, alternatives=())
    assert hitfile.unpack(hitfile.pack(bare, {})) == (bare, {})


def test_hit_is_refused_when_any_byte_of_a_picture_is_flipped_or_missing() -> None:
    """HT-2."""
    payload = hitfile.pack(HIT, PICTURES)
    start = payload.index(b"\n") + 1
    for place in range(start, len(payload)):
        changed = bytearray(payload)
        changed[place] ^= 1
        with pytest.raises(Integrity, match="is not the one its header names"):
            hitfile.unpack(bytes(changed))
    with pytest.raises(Integrity):
        hitfile.unpack(payload[:-1])
    with pytest.raises(Integrity, match="left over"):
        hitfile.unpack(payload + b"x")


def test_hit_is_refused_when_the_header_is_missing_or_not_canonical() -> None:
    """HT-1."""
    payload = hitfile.pack(HIT, PICTURES)
    with pytest.raises(Integrity, match="no header line"):
        hitfile.unpack(payload.replace(b"\n", b" "))
    with pytest.raises(Integrity):
        hitfile.unpack(b" " + payload)
