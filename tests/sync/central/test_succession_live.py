"""A fleet that changes over from one authority to the next, by real processes and a real broker; nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from sync.authorities import is_signed_by
from sync.central import fleet, mosquitto, succession
from sync.central.authority import Authority
from sync.central.broker import broker_port
from sync.central.check import Broker, Verdict, audit
from sync.central.check_authority import AUTHORITY as TRIALS
from sync.central.greeting import Answer, context_of, greet
from sync.uplink_commands import make_uplink
from vedette import canonical, cli, config, daemon, spool
from vedette.clock import SystemClock


class Running:
    """The real centre in a process of its own, stopped and started again."""

    def __init__(self, centre: Any) -> None:
        self.centre = centre
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        (self.centre.folder / "run" / "status" / "central.json").unlink(missing_ok=True)
        command = [sys.executable, "-m", "vedette.cli", "central", "run", "--config"]
        with (self.centre.folder / "run" / "test.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, str(self.centre.folder / "central.toml")], stdout=log, stderr=log
            )
        end = time.monotonic() + 60
        while daemon.read_status(self.centre.folder / "run", "central").get("connected") is not True:
            assert time.monotonic() < end and self.process.poll() is None
            time.sleep(0.05)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(60) == 0
            self.process = None

    def change(self, *words: str) -> None:
        """Stop, change the authority by the command, start again."""
        self.stop()
        assert cli.main(["central", "authority", str(self.centre.folder), *words]) == 0
        self.start()

    @property
    def port(self) -> int:
        return broker_port(self.centre.folder, "127.0.0.1", 0)

    def greet(self, keys: Path, name: str, trusts: Path) -> Answer:
        return greet("127.0.0.1", self.port, context_of(trusts, keys / "tls.crt", keys / "tls.key"), name)


@pytest.fixture
def running(centre: Any) -> Iterator[Running]:
    if mosquitto.find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    centre.clock.jump(time.time_ns() // 1000 - centre.clock.utc_us())
    running = Running(centre)
    running.start()
    yield running
    running.stop()


def test_fleet_changes_over_to_the_next_authority_and_loses_nothing(centre: Any, running: Running) -> None:
    """RN-8 to RN-12. Real broker, centre and uplink; one device is never told, one is revoked."""
    stranger = centre.stranger("car-1")
    with (stranger.folder / "device.toml").open("a") as toml:
        toml.write(f'run = "{stranger.folder / "run"}"\n')
    device, untold, thief = stranger.enrol(), centre.device("car-2"), centre.device("car-3")
    (device.folder / "run").mkdir()
    text = (device.folder / "device.toml").read_text()
    (device.folder / "device.toml").write_text(text.replace("port = 18883\n", f"port = {running.port}\n"))
    place, keys = config.load_device(device.folder / "device.toml"), centre.folder / "keys"
    spool.make_folders(place.spool)
    uplink = make_uplink(place, SystemClock())

    def drive(until: Callable[[], bool]) -> None:
        end = time.monotonic() + 90
        while not until():
            assert time.monotonic() < end
            uplink.step(SystemClock().mono_us())

    def send() -> None:
        items = [put(place, device.item(os.urandom(300_000))) for _ in range(4)]
        drive(lambda: all((place.receipts / f"{item}.receipt").is_file() for item in items))

    try:
        send()
        running.change("--prepare")
        assert [one.verdict for one in audit(_broker(running), TRIALS)] == [Verdict.RIGHT, Verdict.RIGHT]
        send()
        drive(lambda: "car-1" not in succession.standing(centre.store).without)
        drive(lambda: (place.keys / "renewed" / "bulk.pem").is_file() and uplink._parts.link.connected)
        running.change("--switch", "--leave", "car-2", "--leave", "car-3")
        send()
        assert uplink._parts.link.connected
    finally:
        uplink.close()

    with (keys / "server.crt").open("rb") as file:
        assert is_signed_by(pem(file.read())[0], Authority(keys).x509)
    lost = running.greet(untold.folder / "keys", untold.id, untold.folder / "keys" / "ca.crt")
    assert lost.code is None and "certificate" in lost.why
    assert running.greet(thief.folder / "keys", thief.id, keys / succession.TRUSTED).is_in  # both are let in
    fleet.revoke(centre.store, thief.id)
    fleet.revoke(centre.store, device.id)
    end = time.monotonic() + 30
    while running.greet(thief.folder / "keys", thief.id, keys / succession.TRUSTED).is_in:
        assert time.monotonic() < end
        time.sleep(0.2)
    renewed = place.keys / "renewed" / "tls.pem"
    context = context_of(keys / succession.TRUSTED, renewed, renewed)
    assert not greet("127.0.0.1", running.port, context, device.id).is_in
    events = [canonical.loads(line)["event"] for line in _lines(place)]
    assert (events.count("authority.trusted"), events.count("certificate.renewed")) == (1, 2)


def pem(data: bytes) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(data)


def _broker(running: Running) -> Broker:
    return Broker.of("127.0.0.1", running.port, running.centre.folder / "keys", SystemClock())


def _lines(place: Any) -> list[bytes]:
    return [line for path in (place.journals / "uplink").glob("*.jsonl") for line in path.read_bytes().splitlines()]


def put(place: Any, item: Any) -> str:
    spool.part_path(place.spool, item.manifest.kind, item.id).write_bytes(item.sealed_bytes)
    spool.commit(place.spool, item.manifest.kind, item.id, item.manifest_bytes)
    return str(item.id)
