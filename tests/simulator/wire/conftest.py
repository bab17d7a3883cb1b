"""One drive in a network of its own, in which nobody but the demo speaks: everything that was said there, and the keys.

The network has a loopback over which whatever is sent to anywhere goes, and tshark listens there from before the first
process to after the last. The demo is the one a user starts, and uses more than it does: the depot's door for bulk
video, peers that are told, the pages, first as they come and then as they are served to other machines.
"""

from __future__ import annotations

import contextlib
import csv
import ctypes
import http.cookiejar
import io
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from ports import free_port
from waiting import until

from simulator import demo, world
from simulator import stage as staging
from simulator.overheard import Address, Overheard, overheard
from simulator.readable import placed, spelled, windows
from simulator.report import Progress
from simulator.stage import Scene, Stage, vedette
from sync.central.authority import Authority
from sync.central.greeting import context_for
from sync.central.probe import Heard, Probe, wait
from sync.central.store import Store
from sync.multicast import MulticastAir
from vedette.clock import SystemClock
from vedette.daemon import read_status
from vedette.records import PRIORITY_BULK
from vedette.sealed import load_identities, open_sealed

SEED, SECONDS = 30, 40
LISTED_UNTIL_US = 15_000_000
TAP = "tap"
WITHIN_S = 60.0
CLONE_NEWNET = 0x40000000
NETWORK = "192.0.2.7"  # this machine for others (RFC 5737)
GROUP, PEERS_PORT = "239.255.86.68", 47_868
START_AFTER_US = 30_000_000  # the drive begins by the clock, and a loaded machine starts the reader slowly
RECORDER = {
    "mode": "continuous",
    "segment_s": 4,
    "pre_event_s": 1,
    "post_event_s": 1,
    "hit_before_s": 1,
    "hit_after_s": 1,
}
STOP_HOLD_MS = "3500"
LEAST_MARK_BYTES = 6  # fewer stand by chance in a drive's ciphertext, once in some hundred drives
JPEG, MP4 = (
    (b"\xff\xd8\xff\xe0\x00\x10JFIF", b"\xff\xd8\xff\xdb\x00\x43", b"\xff\xd8\xff\xdb\x00\x84"),
    (b"ftypiso5", b"\x00\x00\x00\x10mfhd", b"VideoHandler"),
)
# What only a hit, a journal or a picture has; a broker needs none of it.
PLACE = (b"lat_e7", b"lon_e7", b"latitude")
INSIDE = (b"text_ascii", b"corners_dpx", b'"alternatives"', b'"event":')
# People: who sees the evidence at the centre, and of whom an investigator's reason speaks.
USER, PASSWORD = "amina.berrada", "correct horse battery"
OFFICER = ("Driss El Fassi", "B-44718")
REASON = f"{OFFICER[0]}, badge {OFFICER[1]}, asks to keep what the vehicle sees now"
LINK = """
ip link set lo up
ip address add {network}/32 dev lo
ip route add default dev lo
ip -6 route add default dev lo || true
"""


@dataclass
class Seen:
    """What was said in one drive, and the finished stage. `servers` says what listens where."""

    stage: Stage
    capture: Path | None = None
    servers: dict[Address, str] = field(default_factory=dict)
    listening: set[Address] = field(default_factory=set)
    pages: dict[str, list[bytes]] = field(default_factory=dict)
    heard: list[Heard] = field(default_factory=list)
    opened: list[tuple[str, bytes]] = field(default_factory=list)
    unmarked_bytes: int = 0
    is_page_elsewhere: bool | None = None

    @property
    def hits(self) -> list[Any]:
        """The record of each hit."""
        return [json.loads(plain.split(b"\n", 1)[0]) for kind, plain in self.opened if kind == "hit"]

    @property
    def named(self) -> tuple[str, ...]:
        """Who is at the centre, and of whom is spoken there."""
        return (USER, REASON, *OFFICER)

    def plates(self) -> set[bytes]:
        """Every plate of the street and of the list, and every text that was read, in each spelling."""
        texts = {one.text for one in world.plan(SEED, SECONDS).plates}
        texts |= {row["plate"] for row in self.watchlist()}
        for hit in self.hits:
            alternatives = (one["text"] for one in hit["alternatives"])
            texts |= {hit["text"], hit["text_ascii"], hit["entry"]["text"], *alternatives}
        return {one for text in texts for one in spelled(text) if len(one) >= LEAST_MARK_BYTES}

    def places(self) -> set[bytes]:
        """Where the car was: each second of the drive, and when a hit was raised."""
        drive = world.plan(SEED, SECONDS)
        known = {drive.position_e7(second * 1_000_000) for second in range(SECONDS)}
        fixes = [hit["position"] for hit in self.hits if hit["position"] is not None]
        known |= {(fix["lat_e7"], fix["lon_e7"]) for fix in fixes}
        return {one for place in known for one in placed(*place)}

    def people(self) -> set[bytes]:
        """Who is named, and the words in which somebody is wanted."""
        reasons = {row["reason"] for row in self.watchlist()}
        return {one for text in (*self.named, PASSWORD, *reasons) if len(text) > 4 for one in spelled(text)}

    def pictures(self) -> set[bytes]:
        """Marks of pictures and video, and pieces of those of this drive."""
        return {one for kind, plain in self.opened if kind != "custody" for one in windows(plain)} | {*JPEG, *MP4}

    def marks(self) -> set[bytes]:
        """Everything that is looked for."""
        return self.plates() | self.places() | self.people() | self.pictures() | {*PLACE, *INSIDE}

    def watchlist(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.stage.scene.watchlist_csv)))

    def tshark(self, wanted: str, name: str) -> list[str]:
        """One field of each packet that the filter wants, the ports of TLS known."""
        tls = {port for (_host, port), what in self.servers.items() if what not in ("page", "peers")}
        known = [word for port in tls for word in ("-d", f"tcp.port=={port},tls")]
        words = ["tshark", "-r", str(self.capture), *known, "-Y", wanted, "-T", "fields", "-e", name]
        return subprocess.run(words, capture_output=True, text=True, timeout=120, check=True).stdout.split()


@contextlib.contextmanager
def own_network() -> Iterator[None]:
    """A network of this thread and of every process that it starts, with a loopback and no way out."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if libc.unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "no network of its own")
        try:
            subprocess.run(["sh", "-eu", "-c", LINK.format(network=NETWORK)], check=True, capture_output=True)
            yield
        finally:
            assert libc.setns(before, CLONE_NEWNET) == 0
    finally:
        os.close(before)


@contextlib.contextmanager
def capturing(path: Path) -> Iterator[None]:
    """tshark on the loopback; whatever was said while this lasted is in the file when it ends."""
    words = ["tshark", "-i", "lo", "-F", "pcap", "-s", "0", "-B", "64", "-w", str(path)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: path.is_file() and path.stat().st_size > 0, "tshark to listen")
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(WITHIN_S)


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
        time.sleep(0.5)  # the broker tells nobody when it has read it; without the right the tests would fail
        issued = Authority(central / "keys").issue_client(TAP, SystemClock().utc_us())
        self.probe = Probe("127.0.0.1", self.port, context_for(central / "keys" / "ca.crt", issued), TAP).__enter__()
        assert self.probe.subscribe("#") == 1
        return self.probe

    def __exit__(self, *_: object) -> None:
        self.probe.__exit__(None, None, None)


class Visitor:
    """Somebody's browser: signs in and looks at the hits, their pictures, the evidence and the devices."""

    def __init__(self, url: str, stage: Stage) -> None:
        self.url = url
        context = ssl.create_default_context(cafile=str(stage.central / "keys" / "ca.crt"))
        context.check_hostname = False  # the certificate is for the names of the broker's host
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context), cookies
        )

    def get(self, path: str, form: dict[str, str] | None = None) -> bytes:
        sent = None if form is None else urllib.parse.urlencode(form).encode()
        with self._opener.open(self.url + path, sent, timeout=WITHIN_S) as answer:
            return bytes(answer.read())

    def look_round(self) -> list[bytes]:
        token = re.search(rb'name="door_token" value="([^"]+)"', self.get("login"))
        assert token is not None
        found = [self.get("login", {"door_token": token[1].decode(), "name": USER, "password": PASSWORD})]
        hits = sorted(set(re.findall(rb'"/(hits/[0-9a-f-]{36})[?"]', found[0])))
        assert hits  # or there would be nothing to read on the page
        for hit in hits:
            page = self.get(hit.decode())
            found += [page, *(self.get(one.decode()) for one in sorted(set(re.findall(rb'"/(hits/[^"]+jpg)"', page))))]
        return [*found, self.get("evidence"), self.get("devices"), self.get("log")]


def short_marks(options: demo.Options) -> Scene:
    """The demo's, with marks so short, and of so few plates, that some video stays unmarked for the door."""
    made = demo.scene(options)
    later = {one.text for one in world.plan(SEED, SECONDS).plates if one.visible_to_us > LISTED_UNTIL_US}
    head, *rows = made.watchlist_csv.splitlines(keepends=True)
    listed = "".join([head, *(row for row in rows if row.split(",")[0] not in later)])
    return replace(made, recorder=RECORDER, watchlist_csv=listed)


def listeners(stage: Stage) -> set[Address]:
    """Where the stage's processes listen by TCP: of `ss`, in this thread's network."""
    told = subprocess.run(["ss", "-Htln"], capture_output=True, text=True, check=True).stdout
    places = [line.split()[3].rpartition(":") for line in told.splitlines()]
    return {(host.strip("[]"), int(port)) for host, _colon, port in places}


def is_reached(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def prepare(stage: Stage) -> int:
    """Make the stage, with a door for bulk video and peers that are told; the door's port."""
    stage.prepare()
    door = free_port()
    for path, more in (
        (stage.central / "central.toml", f"\n[depot]\nenabled = true\nport = {door}\n"),
        (
            stage.device / "device.toml",
            f'\n[uplink]\ndepot_host = "127.0.0.1"\ndepot_port = {door}\n'
            f'\n[peers]\ngroup = "{GROUP}"\nport = {PEERS_PORT}\ninterface = "127.0.0.1"\ntell = true\nlisten = true\n',
        ),
    ):
        path.write_text(path.read_text() + more)
    return door


def press(stage: Stage) -> None:
    """The officer begins a recording with the button, of which peers are told, and ends it."""
    config = stage.device / "device.toml"
    until(lambda: recorder(stage, "state") == "recording", "the recorder to record")
    air = MulticastAir(GROUP, PEERS_PORT, interface="127.0.0.1")
    vedette("sim", "press", "record", "--config", config)
    until(air.receive, "what peers are told")
    air.close()
    until(lambda: recorder(stage, "held"), "the recorder to say that it is held")
    vedette("sim", "press", "record", "--hold-ms", STOP_HOLD_MS, "--config", config)
    until(lambda: not recorder(stage, "held"), "the recorder to be let go")


def recorder(stage: Stage, what: str) -> object:
    """What the recorder says of itself."""
    return read_status(stage.run, "recorder").get(what)


def quiet(_progress: Progress) -> None:
    """Nobody watches."""


def go(stage: Stage, found: Seen) -> None:
    """The whole drive: by the door and the broker, with a look at the pages."""
    door = prepare(stage)
    stage.start_centre()
    ports = stage.ports()
    found.servers |= {
        ("127.0.0.1", ports["broker"]): "broker",
        ("127.0.0.1", door): "door",
        ("127.0.0.1", ports["web"]): "page",
        (GROUP, PEERS_PORT): "peers",
    }
    with Tap(stage, ports["broker"]) as tap:
        vedette("central", "user", "add", stage.central, USER, "--role", "investigator", typed=f"{PASSWORD}\n")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(staging, "START_AFTER_US", START_AFTER_US)
            stage.start_device()
        vedette("central", "command", stage.central, stage.scene.device, "mark", "--reason", REASON)
        press(stage)
        demo.drive(stage, None, quiet)
        demo.finish(stage, quiet)
        wait(lambda: any("/sealed" in one.topic for one in tap.heard))
        found.pages["page"] = Visitor(stage.page, stage).look_round()
        found.heard = list(tap.heard)


def go_on_for_others(stage: Stage, found: Seen) -> None:
    """The pages once more, served to other machines: the same centre, started anew."""
    found.listening = listeners(stage)
    found.is_page_elsewhere = is_reached(NETWORK, stage.ports()["web"])
    stage.centre.stop()
    path = stage.central / "central.toml"
    path.write_text(f'{path.read_text()}\n[web]\nhost = "{NETWORK}"\n')
    stage.centre.start()
    port = until(lambda: stage.ports().get("web"), "the pages")
    found.servers |= {(NETWORK, port): "page for others", ("127.0.0.1", stage.ports()["broker"]): "broker"}
    found.pages["page for others"] = Visitor(f"https://{NETWORK}:{port}/", stage).look_round()


def unmarked_bytes(stage: Stage) -> int:
    """How much of the drive's video nobody and nothing asked to be kept."""
    store = Store(stage.central)
    try:
        manifests = [row.manifest for row in store.items(limit=100)]
        return sum(one.sealed_size for one in manifests if one.priority == PRIORITY_BULK)
    finally:
        store.close()


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


@pytest.fixture(scope="package")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    folder = tmp_path_factory.mktemp("wire")
    options = demo.Options(folder=folder / "demo", seconds=SECONDS, seed=SEED, video=None, plates=(), watchlist=None)
    stage = Stage(options.folder, short_marks(options))
    found = Seen(stage=stage)
    tools = [tool for tool in ("tshark", "ip", "ss") if shutil.which(tool) is None]
    try:
        if os.geteuid() == 0 and not tools:
            found.capture = folder / "wire.pcap"
            with own_network(), capturing(found.capture):
                go(stage, found)
                go_on_for_others(stage, found)
                stage.close()
        else:
            go(stage, found)
        found.opened, found.unmarked_bytes = opened(stage), unmarked_bytes(stage)
        yield found
    finally:
        stage.close()


@pytest.fixture(scope="package")
def said(seen: Seen) -> Overheard:
    """Everything that was said on the network."""
    if seen.capture is None:
        pytest.skip("needs root, tshark, ip and ss: it listens in a network of its own (apt install tshark iproute2)")
    return overheard(seen.capture)
