"""The reader's stages and a whole video against the decoding of the same pictures, the list's index against a dict."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.harness import Row, pair
from bench.street import SEED, street_luma
from edge.reader import index
from edge.reader.clips import ClipFrame
from edge.reader.eyes import ModelEyes
from edge.reader.look import Looker
from edge.reader.reads import Reads
from edge.reader.video import look_through
from edge.reader.vote import Rules
from simulator.plates import invent
from simulator.render import Renderer
from simulator.world import plan
from vedette.clock import SystemClock
from vedette.keys import SigningKey
from vedette.records import keyring
from vedette.watchlist import WatchEntry, make_list, open_list

LIST_ENTRIES = 100_000
LOOKUPS = 1000
VIDEO_SIZE, VIDEO_RATE, VIDEO_FRAMES, VIDEO_ROUNDS = (1920, 1080), 30, 60, 5
MEMORY = """
import sys
import cv2, numpy
from edge.reader.look import Looker
cv2.setNumThreads(1)
def held():
    (line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    return int(line.split()[1]) // 1024
luma = cv2.imdecode(numpy.frombuffer(sys.stdin.buffer.read(), numpy.uint8), cv2.IMREAD_GRAYSCALE)
looker = Looker.load(threads=1)
before = held()
looker.look(luma)
print(f"{held()} MiB at most, {before} of them before the first look")
"""
_DAY_US = 86_400_000_000


def reader_stages() -> list[Row]:
    """Whole look, detector and reader on one 720p picture, against decoding its JPEG to grey; one core throughout."""
    with _one_core():
        return [*_picture_stages(), _video()]


def _picture_stages() -> list[Row]:
    luma = street_luma()
    jpeg = cv2.imencode(".jpg", luma)[1]
    looker = Looker.load(threads=1)

    def decode() -> object:
        return cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE)

    found = looker.look(luma)
    plates = f"{len(found)} plates found, {_peak_memory(jpeg.tobytes())}"
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


def _video() -> Row:
    """A 1080p video, every frame looked at by the chain of the service, against decoding and shrinking its frames."""
    frames = [
        ClipFrame(number=n, at_us=n * 1_000_000 // VIDEO_RATE, luma=luma) for n, luma in enumerate(_street_video())
    ]
    jpegs = [cv2.imencode(".jpg", frame.luma)[1] for frame in frames]
    looker, rules = Looker.load(threads=1), Rules(min_looks=2, confidence_permille=600)
    counters = Reads(rules).counters

    def watch() -> None:
        nonlocal counters
        reads = Reads(rules)
        counters = reads.counters
        for _ in look_through(frames, ModelEyes(looker), reads):
            pass

    def decode() -> None:
        for jpeg in jpegs:
            luma = cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE)
            assert luma is not None, "what was just encoded can be decoded"
            cv2.resize(luma, (512, 288), interpolation=cv2.INTER_AREA)

    row = pair(
        f"video, {VIDEO_SIZE[1]}p, every frame, one thread", watch, "JPEG decode and resize of each", decode,
        amount=VIDEO_FRAMES, unit="frames", rounds=VIDEO_ROUNDS,
    )  # fmt: skip
    return replace(
        row, note=f"{counters.detections} plates found, {counters.looks} looked at, {counters.plates_read} read"
    )


def _street_video() -> Iterator[NDArray[np.uint8]]:
    """Two seconds of the drawn street around the plate that comes nearest."""
    drive = plan(SEED, 60)
    seen = max(drive.plates, key=lambda one: one.widest_px)
    begin_us = (seen.visible_from_us + seen.visible_to_us) // 2 - VIDEO_FRAMES * 500_000 // VIDEO_RATE
    renderer = Renderer(drive, width=VIDEO_SIZE[0], height=VIDEO_SIZE[1])
    for number in range(VIDEO_FRAMES):
        yield renderer.i420(max(0, begin_us) + number * 1_000_000 // VIDEO_RATE)[: VIDEO_SIZE[1]].copy()


def _peak_memory(jpeg: bytes) -> str:
    """What a process of its own held when it looked at the picture."""
    done = subprocess.run([sys.executable, "-c", MEMORY], input=jpeg, capture_output=True, check=False)
    return done.stdout.decode().strip() or "memory not known here"


@contextmanager
def _one_core() -> Iterator[None]:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


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
