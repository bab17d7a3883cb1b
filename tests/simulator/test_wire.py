"""A whole drive as others see it: whoever taps the network sees TLS 1.3, the broker sees ciphertext and routing."""

from __future__ import annotations

import base64
import contextlib
import csv
import gzip
import io
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import time
import urllib.parse
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from simulator import demo, world
from simulator.stage import Stage, vedette
from sync.central.authority import Authority
from sync.central.greeting import context_for
from sync.central.probe import Heard, Probe, wait
from sync.central.store import Store
from vedette.clock import SystemClock
from vedette.sealed import load_identities, open_sealed
from vedette.topics import parse_topic

SEED, SECONDS = 3, 20
TAP = "tap"
STARTS_WITHIN_S = 20.0
MIN_BYTES = 1 << 20
MAX_UNPACKED_BYTES = 1 << 22
EVERY, WINDOW = 16 * 1024, 16
LEAST_MARK_BYTES = 6  # fewer stand by chance in a drive's ciphertext, once in some hundred drives
JPEG, MP4 = (
    (b"\xff\xd8\xff\xe0\x00\x10JFIF", b"\xff\xd8\xff\xdb\x00\x43", b"\xff\xd8\xff\xdb\x00\x84"),
    (b"ftypiso5", b"\x00\x00\x00\x10mfhd", b"VideoHandler"),
)
# What only a hit, a journal or a picture has; a broker needs none of it.
PLACE = (b"lat_e7", b"lon_e7", b"latitude")
INSIDE = (b"text_ascii", b"corners_dpx", b'"alternatives"', b'"event":')
# People: who sees the evidence at the centre, and of whom an investigator's reason speaks.
USER, PASSWORD = "amina.berrada", "correct horse battery\n"
OFFICER = ("Driss El Fassi", "B-44718")
REASON = f"{OFFICER[0]}, badge {OFFICER[1]}, asks to keep what the vehicle sees now"


@dataclass
class Seen:
    """What was tapped in one drive, and the finished stage with its centre still running."""

    stage: Stage
    port: int
    capture: Path | None
    heard: list[Heard] = field(default_factory=list)
    opened: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def hits(self) -> list[Any]:
        """The record of each hit."""
        return [json.loads(plain.split(b"\n", 1)[0]) for kind, plain in self.opened if kind == "hit"]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    options = demo.Options(
        folder=tmp_path_factory.mktemp("wire") / "demo",
        seconds=SECONDS,
        seed=SEED,
        video=None,
        plates=(),
        watchlist=None,
    )
    stage = Stage(options.folder, demo.scene(options))
    try:
        stage.prepare()
        stage.start_centre()
        port = stage.ports()["broker"]
        with Capture(port, options.folder / "wire.pcap") as capture, Tap(stage, port) as tap:
            vedette("central", "user", "add", stage.central, USER, "--role", "investigator", typed=PASSWORD)
            stage.start_device()
            vedette("central", "command", stage.central, stage.scene.device, "mark", "--reason", REASON)
            demo.drive(stage, None, lambda _progress: None)
            demo.finish(stage, lambda _progress: None)
            found = Seen(stage=stage, port=port, capture=capture)
            wait(lambda: any("/sealed" in one.topic for one in tap.heard))
            found.heard = list(tap.heard)
        found.opened = opened(stage)
        yield found
    finally:
        stage.close()


class Capture:
    """tshark on the loopback, where the whole drive's traffic goes; None where it may not listen."""

    def __init__(self, port: int, path: Path) -> None:
        self.path = path
        self.process: subprocess.Popen[bytes] | None = None
        self.port = port

    def __enter__(self) -> Path | None:
        program = shutil.which("tshark")
        if program is None or os.geteuid() != 0:
            return None
        words = [program, "-i", "lo", "-f", f"tcp port {self.port}", "-B", "64", "-w", str(self.path)]
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return (
            self.path if wait(lambda: self.path.is_file() and self.path.stat().st_size > 0, STARTS_WITHIN_S) else None
        )

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(STARTS_WITHIN_S)


class Tap:
    """A client that hears everything, as the broker itself does: its right is added to the broker's access list."""

    def __init__(self, stage: Stage, port: int) -> None:
        self.stage, self.port = stage, port

    def __enter__(self) -> Probe:
        central = self.stage.central
        access = central / "broker" / "acl"
        access.write_text(f"{access.read_text()}\nuser {TAP}\ntopic read #\n")
        pid = json.loads((central / "run" / "broker.pid.json").read_bytes())["pid"]
        os.kill(pid, signal.SIGHUP)
        time.sleep(0.5)  # the broker tells nobody when it has read it; without the right the tests below would fail
        issued = Authority(central / "keys").issue_client(TAP, SystemClock().utc_us())
        self.probe = Probe("127.0.0.1", self.port, context_for(central / "keys" / "ca.crt", issued), TAP).__enter__()
        assert self.probe.subscribe("#") == 1
        return self.probe

    def __exit__(self, *_: object) -> None:
        self.probe.__exit__(None, None, None)


def opened(stage: Stage) -> list[tuple[str, bytes]]:
    """Every item of the drive as who has the keys reads it: its kind and its bytes."""
    keys = (stage.escrow / "evidence.identity", stage.central / "keys" / "triage.identity")
    identities = [one for path in keys for one in load_identities(path)]
    store = Store(stage.central)
    try:
        return [
            (row.kind, open_sealed(store.blobs.read(row.manifest.sealed_sha256, max_bytes=1 << 26), identities))
            for row in store.items(limit=100)
        ]
    finally:
        store.close()


def spelled(text: str) -> set[bytes]:
    """A word as it is, without separators, in capitals or not, escaped as JSON and URLs do, and in UTF-16."""
    bare = re.sub(r"\W", "", text)
    words = {one for word in (text, bare) for one in (word, word.lower(), word.upper())}
    words |= {json.dumps(one)[1:-1] for one in words} | {urllib.parse.quote(one) for one in words}
    return {one.encode() for one in words} | {one.encode("utf-16-le") for one in (text, bare)}


def placed(lat_e7: int, lon_e7: int) -> set[bytes]:
    """A place in integers, in degrees, in degrees and minutes, in NMEA's form, and in the binary forms."""
    found = {str(one).encode() for one in (abs(lat_e7), abs(lon_e7))}
    for value in (abs(lat_e7), abs(lon_e7)):
        degrees, rest = divmod(value, 10**7)
        minutes_e5 = rest * 60 // 100
        found |= {f"{degrees}.{rest:07d}"[: -cut or None].encode() for cut in (0, 1, 2)}
        found.add(f"{degrees}.{(rest + 50) // 100:05d}".encode())  # as it is written over the pictures
        found.add(f"{degrees:02d}{minutes_e5 // 10**5:02d}.{minutes_e5 % 10**5:05d}"[:-1].encode())
        found |= {f"{degrees}\N{DEGREE SIGN}{space}{minutes_e5 // 10**5:02d}".encode() for space in ("", " ")}
    for order in "<>":
        found |= {struct.pack(f"{order}2i", lat_e7, lon_e7), struct.pack(f"{order}2i", lon_e7, lat_e7)}
        found |= {struct.pack(f"{order}d", one / 1e7) for one in (lat_e7, lon_e7)}
    return found


def windows(plain: bytes) -> set[bytes]:
    """Pieces of a picture or video, every 16 KiB, that are no padding and no id, which the broker may know."""
    pieces = {plain[at : at + WINDOW] for at in range(1024, len(plain) - WINDOW, EVERY)}
    return {one for one in pieces if len(set(one)) > WINDOW // 2 and not re.fullmatch(rb"[0-9a-f-]+", one)}


def plates(seen: Seen) -> set[bytes]:
    """Every plate of the street and of the list, and every text that was read, in each spelling."""
    texts = {one.text for one in world.plan(SEED, SECONDS).plates}
    texts |= {row["plate"] for row in csv.DictReader(io.StringIO(seen.stage.scene.watchlist_csv))}
    for hit in seen.hits:
        texts |= {hit["text"], hit["text_ascii"], hit["entry"]["text"], *(one["text"] for one in hit["alternatives"])}
    return {one for text in texts for one in spelled(text) if len(one) >= LEAST_MARK_BYTES}


def places(seen: Seen) -> set[bytes]:
    """Where the car was: each second of the drive, and when a hit was raised."""
    drive = world.plan(SEED, SECONDS)
    known = {drive.position_e7(second * 1_000_000) for second in range(SECONDS)}
    fixes = [hit["position"] for hit in seen.hits if hit["position"] is not None]
    known |= {(fix["lat_e7"], fix["lon_e7"]) for fix in fixes}
    return {one for place in known for one in placed(*place)}


def people(seen: Seen) -> set[bytes]:
    """Who is named, and the words in which somebody is wanted."""
    reasons = {row["reason"] for row in csv.DictReader(io.StringIO(seen.stage.scene.watchlist_csv))}
    return {one for text in (USER, REASON, *OFFICER, *reasons) if len(text) > 4 for one in spelled(text)}


def pictures(seen: Seen) -> set[bytes]:
    """Marks of pictures and video, and pieces of those of this drive."""
    return {one for kind, plain in seen.opened if kind != "custody" for one in windows(plain)} | {*JPEG, *MP4}


def marks(seen: Seen) -> set[bytes]:
    """Everything that is looked for."""
    return plates(seen) | places(seen) | people(seen) | pictures(seen) | {*PLACE, *INSIDE}


def layers(payload: bytes, depth: int = 2) -> Iterator[bytes]:
    """The payload, what any base64 or hexadecimal text or compressed stream in it says, and what any in that says."""
    yield payload
    for inner in inside(payload) if depth else ():
        yield from layers(inner, depth - 1)


def inside(payload: bytes) -> Iterator[bytes]:
    for text in re.findall(rb"[A-Za-z0-9+/_-]{16,}", payload):
        plain = text.translate(bytes.maketrans(b"-_", b"+/"))
        for at in range(4):  # what stands before a base64 text may look like more of it
            rest = plain[at : len(plain) - ((len(plain) - at) % 4 == 1)]
            yield base64.b64decode(rest + b"=" * (-len(rest) % 4))
    for text in re.findall(rb"(?:[0-9A-Fa-f]{2}){8,}", payload):
        yield bytes.fromhex(text.decode())
    for found in re.finditer(rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]", payload):
        with contextlib.suppress(zlib.error):
            unpacked = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress(
                payload[found.start() :], MAX_UNPACKED_BYTES
            )
            if unpacked:
                yield unpacked


def holding(payloads: Iterable[tuple[str, bytes]], wanted: set[bytes]) -> set[tuple[str, bytes]]:
    return {(name, mark) for name, payload in payloads for layer in layers(payload) for mark in wanted if mark in layer}


def shown(plain: bytes, wanted: set[bytes]) -> set[bytes]:
    return {mark for _name, mark in holding([("", plain)], wanted)}


WRAPPINGS: dict[str, Callable[[bytes], bytes]] = {
    "as it is": lambda plain: plain,
    "base64": lambda plain: b'{"payload":"' + base64.b64encode(plain) + b'"}',
    "base64 for URLs": base64.urlsafe_b64encode,
    "base64 in base64": lambda plain: base64.b64encode(b'{"manifest":"' + base64.b64encode(plain) + b'"}'),
    "hexadecimal": lambda plain: b"item " + plain.hex().encode(),
    "gzip": lambda plain: b"part" + gzip.compress(plain, 1),
    "zlib in base64": lambda plain: base64.b64encode(zlib.compress(plain, 9)),
}


@pytest.mark.parametrize("wrap", WRAPPINGS.values(), ids=WRAPPINGS)
def test_search_finds_plates_places_and_pictures_in_what_who_has_the_keys_can_open(
    seen: Seen, wrap: Callable[[bytes], bytes]
) -> None:
    """What the two tests below are measured against: the evidence of this very drive, opened and wrapped."""
    opened_hits = [plain for kind, plain in seen.opened if kind == "hit"]
    videos = [plain for kind, plain in seen.opened if kind == "segment"]
    journals = [plain for kind, plain in seen.opened if kind == "custody"]

    assert opened_hits and videos and journals
    for plain, hit in zip(opened_hits, seen.hits, strict=True):
        assert {hit["text"].encode(), hit["text_ascii"].encode()} <= shown(wrap(plain), plates(seen))
        assert shown(wrap(plain), people(seen)) >= {hit["entry"]["reason"].encode()} - {b"fine"}
        assert len(shown(wrap(plain), pictures(seen))) > len(plain) // EVERY // 2
        where = hit["position"] or {}
        assert shown(wrap(plain), places(seen)) >= {str(abs(where[one])).encode() for one in where if "_e7" in one}
    for plain in videos:
        assert len(shown(wrap(plain[: 16 * EVERY]), pictures(seen))) > 8
    assert all(b'"event":' in shown(wrap(plain), set(INSIDE)) for plain in journals)


def test_search_finds_people_in_what_the_centre_keeps(seen: Seen) -> None:
    """What the two tests below are measured against: the device is told of no person, the centre's rows name them."""
    store = Store(seen.stage.central)
    try:
        rows = store.db.execute("SELECT reason FROM remote_commands UNION SELECT name FROM users").fetchall()
    finally:
        store.close()

    found = shown(base64.b64encode(json.dumps(rows).encode()), people(seen))

    assert {one.encode() for one in (USER, REASON, *OFFICER)} <= found


@pytest.mark.parametrize(
    "text",
    [
        b'{"lat":34.0021605,"lon":-6.8478509}',
        b"34.00216 N 6.84785 W",
        b'"lat_e7":340021605',
        b"$GPGLL,3400.1296,N,00650.8710,W",
        "34\N{DEGREE SIGN} 00.13 N".encode(),
        struct.pack("<2i", 340021605, -68478509),
        struct.pack(">d", 34.0021605),
    ],
)
def test_search_finds_a_place_when_it_is_spelled_in_another_way(text: bytes) -> None:
    assert shown(base64.b64encode(b"the car is at " + text), placed(340021605, -68478509))


@pytest.mark.parametrize("text", ["73041|\u0628|48", "73041\u062848", "3163tlh", "3163-TLH", "73041%7C%D8%A8%7C48"])
def test_search_finds_a_plate_when_it_is_spelled_in_another_way(text: str) -> None:
    wanted = spelled("73041|\u0628|48") | spelled("3163TLH") | spelled("3163-TLH")

    assert shown(text.encode(), wanted) and shown(text.encode("utf-16-le"), wanted | {text.encode("utf-16-le")})
    assert shown(json.dumps({"plate": text}).encode(), wanted)


def test_broker_sees_ciphertext_and_routing_only(seen: Seen) -> None:
    """WI-16, WI-46. Every message of a drive, as the broker has it."""
    messages = [one for one in seen.heard if parse_topic(one.topic)]
    names = {parse_topic(one.topic).name for one in messages}
    parts = [one.payload for one in messages if parse_topic(one.topic).name == "part"]

    assert {"birth", "init", "part", "fin", "grant", "ack", "sealed", "list", "command", "answer", "status"} <= names
    assert sum(map(len, parts)) > MIN_BYTES
    assert holding(((one.topic, one.topic.encode() + one.payload) for one in messages), marks(seen)) == set()


def test_network_sees_tls_13_only(seen: Seen) -> None:
    """WI-10, WI-46. The whole drive's packets, as tshark reads them."""
    if seen.capture is None:
        pytest.skip("tshark is not installed, or this user may not listen on the loopback (apt install tshark; root)")
    read = _reader(seen)

    assert seen.capture.stat().st_size > MIN_BYTES
    assert holding([("packets", seen.capture.read_bytes())], marks(seen)) == set()
    assert read("mqtt", "mqtt.msgtype") == []
    hellos = read("tls.handshake.type == 2", "tls.handshake.extensions.supported_version")
    assert hellos and set(hellos) == {"0x0304"}
    opened = read("tcp.flags.syn == 1 && tcp.flags.ack == 0", "tcp.stream")
    greeted = read("tls.handshake.type == 1", "tcp.stream")
    assert set(opened) == set(greeted)
    assert read("tls.handshake.type == 11", "frame.number") == []  # certificates name the device: they are encrypted


def _reader(seen: Seen) -> Callable[[str, str], list[Any]]:
    def read(wanted: str, name: str) -> list[Any]:
        words = ["tshark", "-r", str(seen.capture), "-d", f"tcp.port=={seen.port},tls", "-Y", wanted, "-T", "fields"]
        done = subprocess.run([*words, "-e", name], capture_output=True, text=True, timeout=120, check=True)
        return done.stdout.split()

    return read
