"""The whole centre as a process tree, with the real broker: start, a device's upload, kill -9 of every part, stop."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sync.central import broker, fleet, mosquitto, worker
from sync.central.broker import broker_port
from sync.central.children import process_start
from sync.link import Message
from sync.paho_link import LinkConfig, PahoLink
from vedette import topics, wire
from vedette.clock import SystemClock
from vedette.errors import Refused
from vedette.wire import Grant, Sealed

pytestmark = pytest.mark.skipif(broker.find_mosquitto() is None, reason="mosquitto is not installed")

WAIT_S = 20.0
KILLS = 8


def until(fact: Callable[[], object], wait_s: float = WAIT_S) -> bool:
    end = time.monotonic() + wait_s
    while not fact() and time.monotonic() < end:
        time.sleep(0.02)
    return bool(fact())


class Running:
    """`vedette central run` on this folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "run" / "test.log"
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "vedette.cli", "central", "run", "--config", str(self.folder / "central.toml")],
                stdout=log,
                stderr=log,
            )

    def wait(self) -> dict[str, int]:
        assert until(lambda: len(self.ports) == 2), self.log.read_text()
        return self.ports

    @property
    def ports(self) -> dict[str, int]:
        try:
            found: dict[str, int] = json.loads((self.folder / "run" / "ports.json").read_bytes())
        except FileNotFoundError:
            return {}
        return found

    def child(self, name: str) -> tuple[int, str]:
        try:
            identity = json.loads((self.folder / "run" / f"{name}.pid.json").read_bytes())
        except FileNotFoundError:  # it is being started
            return 0, "none"
        return identity["pid"], identity["started"]


def is_alive(child: tuple[int, str]) -> bool:
    return process_start(child[0]) == child[1]


@pytest.fixture
def running(centre: Any) -> Iterator[Running]:
    service = Running(centre.folder)
    yield service
    service.process.send_signal(signal.SIGKILL)
    service.process.wait()


@pytest.fixture
def connect(centre: Any) -> Iterator[Callable[[Any], PahoLink]]:
    links: list[PahoLink] = []

    def make(device: Any) -> PahoLink:
        keys = device.folder / "keys"
        config = LinkConfig(
            host="127.0.0.1",
            port=broker_port(centre.folder, "127.0.0.1", 0),
            client_id=device.id,
            ca=keys / "ca.crt",
            certificate=keys / "tls.crt",
            key=keys / "tls.key",
            subscriptions=topics.device_subscriptions(device.id),
        )
        links.append(PahoLink(config, SystemClock()))
        return links[-1]

    yield make
    for link in links:
        link.close()


def upload(link: PahoLink, device: Any, item: Any, wait_s: float = WAIT_S) -> Sealed | None:
    """A naive device: asks by init until a grant or a receipt comes, sends every missing part, says fin."""
    end, asked = time.monotonic() + wait_s, 0.0
    while time.monotonic() < end:
        if time.monotonic() - asked > 0.5:
            asked = time.monotonic()
            link.publish(topics.topic(device.id, item.init()), item.init().encode())
        for event in link.poll(0.05):
            if not isinstance(event, Message):
                continue
            message = wire.decode(topics.parse_topic(event.topic).name, event.payload)
            if isinstance(message, Sealed):
                return message
            if isinstance(message, Grant):
                _answer(link, device, item, message)
    return None


def _answer(link: PahoLink, device: Any, item: Any, grant: Grant) -> None:
    had = {index for first, last in grant.have for index in range(first, last + 1)}
    missing = [part for part in item.parts(grant.part_size) if part.index not in had]
    for part in missing[: grant.credit]:
        link.publish(topics.topic(device.id, part, grant.worker), part.encode())
    if len(missing) <= grant.credit:
        link.publish(topics.topic(device.id, item.fin(), grant.worker), item.fin().encode())


def test_item_is_receipted_when_a_device_sends_it_through_the_real_broker(
    centre: Any, running: Running, connect: Any
) -> None:
    """RC-1, RC-2. Bytes, row, log, receipt; the hit is opened."""
    device = centre.device()
    running.wait()
    link = connect(device)

    sealed = upload(link, device, device.item(os.urandom(700_000)))
    hit = upload(link, device, device.hit())

    assert sealed is not None and hit is not None
    assert until(lambda: len(centre.store.hits()) == 1)
    assert centre.store.log_size() == 2


def test_pages_show_what_came_when_somebody_signs_in(centre: Any, running: Running, connect: Any) -> None:
    """The page's process opens the stores by itself: rows, pictures and blobs come through it."""
    device = centre.device()
    centre.store.add_user("chief", "correct horse", "admin")
    running.wait()
    link = connect(device)
    segment, hit = device.item(os.urandom(700_000)), device.hit()
    assert upload(link, device, segment) is not None and upload(link, device, hit) is not None
    assert until(lambda: centre.store.hits())
    base = f"http://127.0.0.1:{running.wait()['web']}"
    assert until(lambda: _answers(running.wait()["web"]))
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    token = re.search(r'name="door_token" value="([^"]+)"', browser.open(f"{base}/login").read().decode())
    assert token is not None
    form = {"door_token": token[1], "name": "chief", "password": "correct horse", "back": "/"}
    browser.open(f"{base}/login", urllib.parse.urlencode(form).encode())

    found = centre.store.hits()[0].hit
    pages = {
        path: browser.open(base + path).read() for path in ("/", "/devices", "/evidence", "/log", f"/hits/{found}")
    }

    assert b"AB123CD" in pages["/"] and b"AB123CD" in pages[f"/hits/{found}"]
    assert device.id.encode() in pages["/devices"] and segment.id.encode() in pages["/evidence"]
    assert browser.open(f"{base}/hits/{found}/pictures/crop.jpg").read() == b"\xff\xd8crop"
    assert browser.open(f"{base}/evidence/{segment.id}/sealed").read() == segment.sealed_bytes


@pytest.mark.parametrize("victim", ["broker", "web"])
def test_child_comes_back_when_it_is_killed(centre: Any, running: Running, connect: Any, victim: str) -> None:
    """The ports stay those that were told, and devices get their receipts as before."""
    device = centre.device()
    before = running.wait()
    link = connect(device)
    assert upload(link, device, device.item(b"first")) is not None
    child = running.child(victim)

    os.kill(child[0], signal.SIGKILL)

    assert until(lambda: running.child(victim) != child and is_alive(running.child(victim)))
    assert upload(link, device, device.item(b"second")) is not None
    assert running.wait()["broker"] == before["broker"]
    assert until(lambda: _answers(running.wait()["web"]))


def test_upload_is_finished_when_the_centre_is_killed_in_the_middle(
    centre: Any, running: Running, connect: Any
) -> None:
    """RC-8. The kernel ends the children, the next start repairs the rest, the device asks again."""
    device = centre.device()
    running.wait()
    children = [running.child(name) for name in ("broker", "web")]
    link = connect(device)
    item = device.item(os.urandom(3_000_000))
    assert upload(link, device, device.item(b"warm")) is not None
    link.publish(topics.topic(device.id, item.init()), item.init().encode())
    arriving = centre.folder / "incoming" / fleet.CENTRE_ID / f"{item.id}.part"
    assert until(lambda: (link.poll(0.05), arriving.exists())[1])

    running.process.kill()
    running.process.wait()
    assert until(lambda: not any(is_alive(child) for child in children))
    running.start()
    running.wait()

    assert upload(link, device, item) is not None
    assert centre.store.log_size() == 2


def test_nothing_receipted_is_missing_when_the_centre_is_killed_again_and_again(
    centre: Any, running: Running, connect: Any
) -> None:
    """RC-1, CS-9. kill -9 at seeded moments, in the midst of blobs, rows and receipts; nothing comes twice."""
    device, dice = centre.device(), random.Random(5)
    running.wait()
    link = connect(device)
    items = [device.item(os.urandom(size)) for size in (40, 300_000, 40, 300_000, 9 << 20, 40, 300_000, 40)]
    over = threading.Event()

    def kill() -> None:
        for _ in range(KILLS):
            if over.wait(dice.uniform(0.3, 2.0)):
                return
            running.process.kill()
            running.process.wait()
            running.start()

    killer = threading.Thread(target=kill)
    killer.start()
    receipts = [upload(link, device, item, wait_s=120.0) for item in items]
    over.set()
    killer.join()

    for item, sealed in zip(items, receipts, strict=True):
        assert sealed is not None and sealed.receipt == centre.store.receipt(item.id)
        assert centre.store.blobs.holds(item.manifest.sealed_sha256, item.manifest.sealed_size)
    assert centre.store.log_size() == len(items) == len(centre.store.items(limit=500))


@pytest.fixture
def crowd(centre: Any) -> Iterator[Running]:
    """The centre with three ingest workers."""
    with (centre.folder / "central.toml").open("a") as config:
        config.write("\n[ingest]\nworkers = 3\n")
    service = Running(centre.folder)
    yield service
    service.process.kill()
    service.process.wait()


def test_upload_is_granted_anew_by_another_when_its_worker_is_killed(centre: Any, crowd: Running, connect: Any) -> None:
    """CS-14. Until every further worker has granted something and was killed for it."""
    device = centre.device()
    crowd.wait()
    link = connect(device)
    killed: set[str] = set()
    items = []
    end = time.monotonic() + 120
    while killed != {"w2", "w3"} and time.monotonic() < end:
        items.append(device.item(os.urandom(300_000)))
        name = granted_by(link, device, items[-1])
        if name in ("w2", "w3"):
            os.kill(crowd.child(name)[0], signal.SIGKILL)
            killed.add(name)
        assert upload(link, device, items[-1], wait_s=120.0) is not None

    assert killed == {"w2", "w3"}
    assert centre.store.log_size() == len(items) == len(centre.store.items(limit=500))
    assert all(centre.store.blobs.has(item.manifest.sealed_sha256) for item in items)


def test_what_must_be_done_once_is_done_once_when_there_are_several_workers(
    centre: Any, crowd: Running, connect: Any
) -> None:
    """CS-15. Every hit is opened, whichever worker took it, and none is called a second."""
    device = centre.device()
    crowd.wait()
    link = connect(device)
    hits = [device.hit() for _ in range(12)]

    assert all(upload(link, device, hit) is not None for hit in hits)

    assert until(lambda: len(centre.store.hits()) == 12)
    assert [row.problem for row in centre.store.items(kind="hit")] == [None] * 12


def granted_by(link: PahoLink, device: Any, item: Any) -> str:
    """Which worker answers an init of this item."""
    end, asked = time.monotonic() + WAIT_S, 0.0
    while time.monotonic() < end:
        if time.monotonic() - asked > 0.5:
            asked = time.monotonic()
            link.publish(topics.topic(device.id, item.init()), item.init().encode())
        for event in link.poll(0.05):
            if isinstance(event, Message):
                message = wire.decode(topics.parse_topic(event.topic).name, event.payload)
                if isinstance(message, Grant) and message.item == item.id:
                    return message.worker
    return "nobody"


def test_everything_ends_when_the_centre_is_stopped(centre: Any, running: Running) -> None:
    """SIGTERM: exit code 0, no process and no told port left."""
    running.wait()
    children = [running.child(name) for name in ("broker", "web")]

    running.process.terminate()

    assert running.process.wait(WAIT_S) == 0
    assert not any(is_alive(child) for child in children)
    assert running.ports == {}


@pytest.mark.embedded
def test_second_centre_is_refused_when_one_runs_on_the_folder(running: Running) -> None:
    running.wait()

    second = subprocess.run(
        [sys.executable, "-m", "vedette.cli", "central", "run", "--config", str(running.folder / "central.toml")],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )

    assert (second.returncode, "running" in second.stderr) == (1, True)


@pytest.mark.embedded
def test_centre_is_refused_when_the_brokers_port_is_busy(centre: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        (centre.folder / "central.toml").write_text(f'[central]\ndata = "."\n[broker]\nport = {port}\n')
        started = Running(centre.folder)

        assert started.process.wait(WAIT_S) == 1
    assert f"port {port}" in started.log.read_text()


@pytest.mark.embedded
def test_centre_is_refused_and_no_broker_stays_when_the_pages_port_is_busy(centre: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        (centre.folder / "central.toml").write_text(f'[central]\ndata = "."\n[web]\nport = {port}\n')
        started = Running(centre.folder)

        assert started.process.wait(WAIT_S) == 1
    assert f"[web] cannot listen on 127.0.0.1 port {port}" in started.log.read_text()
    assert not (centre.folder / "run" / "broker.pid.json").exists()


def test_device_is_cut_when_it_is_revoked_while_the_centre_runs(centre: Any, running: Running, connect: Any) -> None:
    """RC-9. By a command of another process."""
    device = centre.device()
    running.wait()
    link = connect(device)
    assert upload(link, device, device.item(b"first")) is not None

    fleet.revoke(centre.store, device.id)
    fleet.write_revocations(centre.store)

    assert until(lambda: (link.poll(0.05), not link.connected)[1])
    assert upload(link, device, device.item(b"second"), wait_s=2.0) is None


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.embedded
def test_no_device_can_have_a_worker_s_name_and_every_worker_has_its_rights(centre: Any) -> None:
    """CS-15."""
    assert worker.names(1) == ()
    assert worker.names(worker.MAX_WORKERS) == mosquitto.WORKER_IDS
    for name in worker.names(worker.MAX_WORKERS):
        with pytest.raises(Refused):
            fleet.check_new_id(centre.store, name)
