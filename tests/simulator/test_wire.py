"""A whole drive as others see it: whoever taps the network sees TLS 1.3, the broker sees ciphertext and routing."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from simulator import demo, world
from simulator.stage import Stage
from sync.central.authority import Authority
from sync.central.greeting import context_for
from sync.central.probe import Heard, Probe, wait
from sync.central.store import Store
from vedette.clock import SystemClock
from vedette.topics import parse_topic

SEED, SECONDS = 3, 20
TAP = "tap"
STARTS_WITHIN_S = 20.0
MIN_BYTES = 1 << 20
JPEG, MP4 = (
    (b"\xff\xd8\xff\xe0\x00\x10JFIF", b"\xff\xd8\xff\xdb"),
    (b"ftypiso5", b"\x00\x00\x00\x10mfhd", b"VideoHandler"),
)
# What only a hit, a journal or a picture has; a broker needs none of it.
PLACE = (b"lat_e7", b"lon_e7", b"latitude")
INSIDE = (b"text_ascii", b"corners_dpx", b'"alternatives"')


@dataclass
class Seen:
    """What was tapped in one drive, and the finished stage with its centre still running."""

    stage: Stage
    port: int
    capture: Path | None
    heard: list[Heard] = field(default_factory=list)


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
            stage.start_device()
            demo.drive(stage, None, lambda _progress: None)
            demo.finish(stage, lambda _progress: None)
            found = Seen(stage=stage, port=port, capture=capture)
            wait(lambda: any("/sealed" in one.topic for one in tap.heard))
            found.heard = list(tap.heard)
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


def needles() -> list[bytes]:
    """Every plate of the street in both spellings, and the marks of places, hits, pictures and video."""
    drive = world.plan(SEED, SECONDS)
    texts = {spelling for one in drive.plates for spelling in (one.text, re.sub(r"\W", "", one.text))}
    return [*(text.encode() for text in texts), *JPEG, *MP4, *PLACE, *INSIDE]


def hits(stage: Stage) -> list[bytes]:
    store = Store(stage.central)
    try:
        return [bytes(row[0]) for row in store.db.execute("SELECT body FROM hits").fetchall()]
    finally:
        store.close()


def layers(payload: bytes, depth: int = 2) -> Iterator[bytes]:
    """The payload, what any base64 text in it says, and what any base64 text in that says."""
    yield payload
    for text in re.findall(rb"[A-Za-z0-9+/]{16,}", payload) if depth else ():
        whole = text[: len(text) - (len(text) % 4 == 1)]  # one character too many is the text's neighbour
        yield from layers(base64.b64decode(whole + b"=" * (-len(whole) % 4)), depth - 1)


def holding(payloads: Iterator[tuple[str, bytes]], marks: list[bytes]) -> set[tuple[str, bytes]]:
    return {(name, mark) for name, payload in payloads for layer in layers(payload) for mark in marks if mark in layer}


def test_search_finds_what_the_centre_could_open(seen: Seen) -> None:
    """What the two tests below are measured against."""
    opened = hits(seen.stage)
    wrapped = [b'{"hit":"' + base64.b64encode(body) + b'"}' for body in opened]

    assert opened
    for body in (*opened, *wrapped):
        marks = {mark for _name, mark in holding(iter([("hit", body)]), needles())}
        assert b"text_ascii" in marks
        assert len(marks - set(INSIDE)) >= 1  # the plate
    place = base64.b64encode(b'{"position":{"lat_e7":340020000,"lon_e7":-68480000}}')
    assert {mark for _name, mark in holding(iter([("line", place)]), needles())} == {b"lat_e7", b"lon_e7"}


def test_broker_sees_ciphertext_and_routing_only(seen: Seen) -> None:
    """WI-16, WI-46. Every message of a drive, as the broker has it."""
    messages = [one for one in seen.heard if parse_topic(one.topic)]
    names = {parse_topic(one.topic).name for one in messages}
    parts = [one.payload for one in messages if parse_topic(one.topic).name == "part"]

    assert {"birth", "init", "part", "fin", "grant", "ack", "sealed", "list"} <= names
    assert sum(map(len, parts)) > MIN_BYTES
    assert holding(((one.topic, one.payload) for one in messages), needles()) == set()


def test_network_sees_tls_13_only(seen: Seen) -> None:
    """WI-10, WI-46. The whole drive's packets, as tshark reads them."""
    if seen.capture is None:
        pytest.skip("tshark is not installed, or this user may not listen on the loopback (apt install tshark; root)")
    read = _reader(seen)

    assert seen.capture.stat().st_size > MIN_BYTES
    assert holding(iter([("packets", seen.capture.read_bytes())]), needles()) == set()
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
