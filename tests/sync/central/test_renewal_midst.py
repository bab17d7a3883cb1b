"""A certificate that is renewed while the real centre, its broker and depot and the real uplink are at work."""

from __future__ import annotations

import datetime
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from waiting import until

from sync.central import mosquitto
from sync.central.authority import Authority
from sync.central.broker import broker_port
from sync.uplink_commands import make_uplink
from vedette import canonical, config, daemon, spool
from vedette.clock import SystemClock

LONGER_THAN_THE_BROKER_CAN_TAKE_BEFORE_THE_DOOR_IS_BACK = 120 << 20


@pytest.fixture
def running(centre: Any) -> Iterator[subprocess.Popen[bytes]]:
    if mosquitto.find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    centre.clock.jump(time.time_ns() // 1000 - centre.clock.utc_us())
    with (centre.folder / "central.toml").open("a") as toml:
        toml.write("\n[depot]\nenabled = true\nport = 0\n")
    command = [sys.executable, "-m", "vedette.cli", "central", "run", "--config", str(centre.folder / "central.toml")]
    with (centre.folder / "run" / "test.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    yield process
    process.send_signal(signal.SIGKILL)
    process.wait()


def _late(centre: Any, toml: str) -> tuple[Any, Any]:
    """A device whose certificate is in its last third, with its spool; `toml` goes into its section [uplink]."""
    until(lambda: daemon.read_status(centre.folder / "run", "central").get("connected") is True, "the centre")
    stranger = centre.stranger("car-1")
    port = broker_port(centre.folder, "127.0.0.1", 0)
    with (stranger.folder / "device.toml").open("a") as file:
        file.write(f'run = "{stranger.folder / "run"}"\n[uplink]\n{toml}')
    device = stranger.enrol()
    (device.folder / "run").mkdir()
    keys, now_us = device.folder / "keys", centre.clock.utc_us()
    late = Authority(centre.folder / "keys").issue_client(device.id, now_us, lasts=datetime.timedelta(hours=2))
    (keys / "tls.crt").write_bytes(late.certificate)
    (keys / "tls.key").write_bytes(late.key)
    place = config.load_device(device.folder / "device.toml")
    text = (device.folder / "device.toml").read_text().replace(f"port = {place.uplink.port}\n", f"port = {port}\n")
    (device.folder / "device.toml").write_text(text)
    place = config.load_device(device.folder / "device.toml")
    spool.make_folders(place.spool)
    return device, place


def _receipted(place: Any, items: list[str]) -> int:
    return sum((place.receipts / f"{item}.receipt").is_file() for item in items)


def _check_nothing_is_lost(centre: Any, place: Any, items: list[str]) -> None:
    events = [canonical.loads(line)["event"] for line in _journal(place)]
    assert events.count("certificate.renewed") == 1
    count = centre.store.db.execute("SELECT count(*) FROM items WHERE kind = 'segment'").fetchone()[0]
    assert count == len(items)


def test_upload_loses_nothing_when_the_certificate_is_renewed_in_its_midst(
    centre: Any, running: subprocess.Popen[bytes]
) -> None:
    """RN-5, RN-6. The real broker, centre and uplink; the new certificate is the one the broker then sees."""
    device, place = _late(centre, "part_kib = 16\n")
    renewed = device.folder / "keys" / "renewed" / "tls.pem"
    items = [_spooled(place, device.item(os.urandom(2 << 20))) for _ in range(12)]
    uplink = make_uplink(place, SystemClock())

    try:
        _drive(uplink, renewed.is_file)
        in_the_midst = _receipted(place, items)
        _drive(uplink, lambda: _receipted(place, items) == len(items))
        _drive(uplink, lambda: uplink._parts.link.connected)
    finally:
        uplink.close()

    assert in_the_midst < len(items)
    assert uplink._parts.link._config.certificate == renewed
    _check_nothing_is_lost(centre, place, items)


def test_upload_to_the_depot_loses_nothing_when_the_certificate_is_renewed_in_its_midst(
    centre: Any, running: subprocess.Popen[bytes]
) -> None:
    """RN-6. DE-14: the real broker brings the certificate while the real door takes video; both ways go on with it."""
    address = centre.folder / "run" / "depot.json"
    until(address.exists, "the door")
    port = json.loads(address.read_bytes())["port"]
    device, place = _late(centre, f'bulk_connection = false\ndepot_host = "127.0.0.1"\ndepot_port = {port}\n')
    renewed = device.folder / "keys" / "renewed" / "tls.pem"
    uplink = make_uplink(place, SystemClock())
    depot = uplink._parts.depot
    # The broker may bring it before the door has taken anything: it is handed on once the door has.
    brought: list[Any] = []
    take_up, depot._door.take_up = depot._door.take_up, lambda *pair: brought.append(pair)
    try:
        _drive(uplink, lambda: depot.connected)
        item = _spooled(place, device.item(os.urandom(LONGER_THAN_THE_BROKER_CAN_TAKE_BEFORE_THE_DOOR_IS_BACK)))
        _drive(uplink, lambda: bool(brought) and depot.acknowledged_bytes > 0)
        taken = depot.acknowledged_bytes
        take_up(*brought[0])
        _drive(uplink, lambda: not depot.connected)
        in_the_midst = _receipted(place, [item])
        _drive(uplink, lambda: _receipted(place, [item]) == 1)
        _drive(uplink, lambda: depot.connected)
    finally:
        uplink.close()

    assert (in_the_midst, brought[1:]) == (0, [])
    assert 0 < taken < LONGER_THAN_THE_BROKER_CAN_TAKE_BEFORE_THE_DOOR_IS_BACK
    assert depot._door._config.certificate == depot._door._config.key == renewed
    assert item in (centre.folder / "run" / "depot.log").read_text()
    _check_nothing_is_lost(centre, place, [item])


def _journal(place: Any) -> list[bytes]:
    paths = sorted((place.journals / "uplink").glob("*.jsonl"))
    return [line for path in paths for line in path.read_bytes().splitlines()]


def _spooled(place: Any, item: Any) -> str:
    spool.part_path(place.spool, item.manifest.kind, item.id).write_bytes(item.sealed_bytes)
    spool.commit(place.spool, item.manifest.kind, item.id, item.manifest_bytes)
    return str(item.id)


def _drive(uplink: Any, until: Callable[[], bool], within_s: float = 60.0) -> None:
    end = time.monotonic() + within_s
    while not until():
        assert time.monotonic() < end
        uplink.step(SystemClock().mono_us())
