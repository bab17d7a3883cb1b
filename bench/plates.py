"""The reader's stages against the decoding of the same picture, the list's index against a Python dict."""

from __future__ import annotations

import random

import cv2

from bench.harness import Row, pair
from bench.street import street_luma
from edge.reader import index
from edge.reader.look import Looker
from simulator.plates import invent
from vedette.clock import SystemClock
from vedette.keys import SigningKey
from vedette.records import keyring
from vedette.watchlist import WatchEntry, make_list, open_list

LIST_ENTRIES = 100_000
LOOKUPS = 1000
_DAY_US = 86_400_000_000


def reader_stages() -> list[Row]:
    """Whole look, detector and reader on one 720p picture, against decoding its JPEG to grey."""
    luma = street_luma()
    jpeg = cv2.imencode(".jpg", luma)[1]
    looker = Looker.load(threads=1)

    def decode() -> object:
        return cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE)

    found = looker.look(luma)
    plates = f"{len(found)} plates found"
    decoding = "JPEG decode of the picture"
    rows = [
        pair(
            "look, 720p, one thread", lambda: looker.look(luma), decoding, decode, amount=1, unit="frames", note=plates
        )
    ]
    detector, reader = looker.detector, looker.reader
    rows.append(pair("  detect", lambda: detector.detect(luma), decoding, decode, amount=1, unit="frames"))
    if found:
        corners = found[0].detection.corners_px
        rows.append(
            pair("  read one plate", lambda: reader.read(luma, corners), decoding, decode, amount=1, unit="plates")
        )
    return rows


def list_lookup() -> list[Row]:
    """Exact match in a list of 50,000, half of the looked-up plates on it, against a dict of strings."""
    rng = random.Random(1)
    regions = {plate.text: plate.region for plate in (invent(rng) for _ in range(LIST_ENTRIES))}
    texts = list(regions)
    now_us = SystemClock().utc_us()
    entries = [_entry(text, regions[text], now_us) for text in texts[: len(texts) // 2]]
    key = SigningKey.generate()
    signed = make_list(entries, version=1, issued_us=now_us, expires_us=now_us + _DAY_US, source="bench", key=key)
    opened = open_list(signed, keyring(key.public), now_us=now_us, newer_than=None)
    built = index.build(opened)
    asked = rng.sample(texts, LOOKUPS)
    table = {entry.plate: entry for entry in entries}
    return [
        pair(
            f"{LOOKUPS} look-ups in {len(entries):,} entries",
            lambda: [built.find(text) for text in asked],
            "dict of strings",
            lambda: [table.get(text) for text in asked],
            amount=LOOKUPS,
            unit="look-ups",
        )
    ]


def _entry(text: str, region: str, now_us: int) -> WatchEntry:
    return WatchEntry(
        plate=text,
        region=region,
        reason="bench",
        priority="normal",
        source="bench",
        valid_from_us=now_us - _DAY_US,
        valid_to_us=now_us + _DAY_US,
    )
