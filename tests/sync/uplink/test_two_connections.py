"""Two connections and changing networks: recordings on their own, hits on the other, and bulk that stops at once."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import MQTTv311

from sync import estimate
from sync.link import Message
from vedette import topics
from vedette.clock import SystemClock
from vedette.config import load_device
from vedette.wire import Part

CLOCK = SystemClock()
PART = 16 * 1024


@pytest.fixture
def two(world: Any) -> Any:
    """A world whose device has a certificate for its second connection; `carried` counts parts by (item, on bulk)."""
    tls = world.broker.config("car-1.bulk", subscriptions=())
    (world.config.keys / "bulk.crt").write_bytes(tls.certificate.read_bytes())
    (world.config.keys / "bulk.key").write_bytes(tls.key.read_bytes())
    world.carried = Counter()
    poll = world.centre.link.poll

    def counting(timeout_s: float) -> list[Any]:
        events = poll(timeout_s)
        for event in events:
            if isinstance(event, Message) and "/part/" in event.topic:
                item = Part.decode(event.payload).item
                world.carried[item, topics.parse_topic(event.topic).bulk] += 1
        return events

    world.centre.link.poll = counting
    return world


def configure(world: Any, **sections: str) -> Path:
    """Add lines to sections of device.toml; the file that says what the network is."""
    told: Path = world.config_path.parent / "network"
    text = world.config_path.read_text()
    text = text.replace("[uplink]\n", f"[uplink]\n{sections.get('uplink', '')}\n")
    text += f'[network]\nsource = "file"\nask = "{told}"\n{sections.get("network", "")}\n'
    world.config_path.write_text(text)
    world.config = load_device(world.config_path)
    return told


def connected_twice(world: Any) -> None:
    parts = world.uplink._parts
    world.drive(lambda: parts.link.connected and parts.bulk.connected)


def socket_of(link: Any) -> socket.socket:
    found = link._session.client.socket()
    assert found is not None
    return found  # type: ignore[no-any-return]


def test_recordings_go_on_their_own_connection_and_a_hit_on_the_other(two: Any) -> None:
    """WI-59."""
    two.start()
    connected_twice(two)
    marked, bulk, hit = two.put("segment", 3, 9 * PART), two.put("segment", 4, 9 * PART), two.put("hit", 0, 3 * PART)
    two.drive(lambda: all(two.receipt(item).exists() for item in (marked, bulk, hit)))
    assert set(two.carried) == {(marked, True), (bulk, True), (hit, False)}


@pytest.mark.parametrize("how", ["switched off", "refused"])
def test_recordings_arrive_when_they_have_no_connection_of_their_own(two: Any, tmp_path: Path, how: str) -> None:
    """WI-59: while there is no second connection everything works over the first one."""
    if how == "switched off":
        configure(two, network='bulk_on = "any"', uplink="bulk_connection = false")
    else:
        (tmp_path / "stranger").mkdir()
        stranger = type(two.broker.authority)(tmp_path / "stranger")
        stranger.issue("car-1.bulk")
        for end in ("crt", "key"):
            (two.config.keys / f"bulk.{end}").write_bytes((stranger.folder / f"car-1.bulk.{end}").read_bytes())
    two.start()
    bulk = two.put("segment", 4, 9 * PART)
    two.drive(two.receipt(bulk).exists)
    assert set(two.carried) == {(bulk, False)}


def test_upload_goes_on_when_the_connection_for_bulk_is_cut(two: Any) -> None:
    """WI-59. WI-22: what was on it is asked for, and nothing that arrived is sent again."""
    two.start()
    connected_twice(two)
    bulk = two.put("segment", 4, 300 * PART)
    two.drive(lambda: len(two.centre.parts) > 20)
    two.uplink._parts.bulk.cut("a test")
    two.drive(two.receipt(bulk).exists)
    assert two.carried[bulk, True] > 20
    assert len(two.centre.parts) <= 300 + 40


def test_bulk_stops_at_once_when_the_network_turns_metered(two: Any) -> None:
    """WI-60. WI-61: what is under way is dropped with its connection, hits and marked recordings go on."""
    told = configure(two)
    told.write_text("metered=no\n")
    two.start()
    connected_twice(two)
    bulk = two.put("segment", 4, 2000 * PART)
    two.drive(lambda: len(two.centre.parts) > 20)

    told.write_text("metered=yes\n")
    sender, report = two.uplink._parts.sender, two.uplink._parts.report
    two.drive(lambda: bulk not in sender.under_way)
    assert not two.uplink._parts.bulk.connected
    sent, came = report.bytes_sent, len(two.centre.parts)
    hit, marked = two.put("hit", 0, 10), two.put("segment", 3, 3 * PART)
    two.drive(lambda: two.receipt(hit).exists() and two.receipt(marked).exists())
    two.drive(lambda: two.status()["bulk_waits"] == "metered")
    assert report.bytes_sent == sent + 10 + 3 * PART
    assert bulk not in two.centre.stored
    assert sum(1 for item, _ in two.centre.parts[came:] if item == bulk) <= 40

    before = len(two.centre.parts)
    told.write_text("metered=no\n")
    two.drive(two.receipt(bulk).exists)
    assert two.status()["bulk_waits"] in ("", "metered")
    assert len(two.centre.parts) - before < 2000


@pytest.mark.parametrize(("dscp", "tos"), [(8, 0x20), (1, 0x04), (0, 0)])
def test_only_the_connection_for_bulk_is_marked(two: Any, dscp: int, tos: int) -> None:
    """WI-62: asked of the kernel, on the sockets that carry the sessions."""
    configure(two, uplink=f"bulk_dscp = {dscp}")
    two.start()
    connected_twice(two)
    parts = two.uplink._parts
    assert socket_of(parts.link).getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 0
    assert socket_of(parts.bulk).getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == tos


def test_status_says_when_nothing_will_wait_any_more(two: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """WI-64. A fast machine is through before two seconds of it say how fast."""
    monkeypatch.setattr(estimate, "LEAST_US", 100_000)
    told = configure(two)
    told.write_text("metered=no\n")
    two.start()
    connected_twice(two)
    for _ in range(8):
        two.put("segment", 4, 4000 * PART)
    two.drive(lambda: two.status().get("empty_in_s", 0) > 0, within_s=60)
    assert two.status()["bytes_per_s"] > 0
    text = two.command("status").stdout
    assert " MB wait; " in text
    assert "through in about" in text
    told.write_text("metered=yes\n")
    two.drive(lambda: two.status()["bulk_waits"] == "metered")
    assert two.status()["empty_in_s"] == 0
    assert "unmarked video waits: metered" in two.command("status").stdout
    shown = subprocess.run(
        [sys.executable, "-m", "vedette.cli", "device", "status", "--config", str(two.config_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    assert "uplink" in shown and "unmarked video waits: metered" in shown


def test_uplink_never_waits_when_the_command_that_tells_the_network_hangs(two: Any) -> None:
    """WI-60."""
    told = configure(two)
    text = two.config_path.read_text().replace('source = "file"', 'source = "command"')
    two.config_path.write_text(text.replace(f'ask = "{told}"', 'ask = "sleep 600"'))
    two.config = load_device(two.config_path)
    two.start()
    connected_twice(two)
    bulk, hit = two.put("segment", 4, 10), two.put("hit", 0, 10)
    began_s = time.monotonic()
    two.drive(two.receipt(hit).exists)
    two.drive(lambda: two.status()["bulk_waits"] == "network unknown")
    assert time.monotonic() - began_s < 20
    assert not two.receipt(bulk).exists()


def test_everything_arrives_over_mqtt_3_1_1_when_broker_and_centre_come_and_go(two: Any) -> None:
    """WI-10. WI-21. WI-22. WI-27: no reason codes, so what nobody heard is found by silence."""
    configure(two, network='bulk_on = "any"', uplink='mqtt = "3.1.1"')
    two.start()
    connected_twice(two)
    assert {link._session.client.protocol for link in (two.uplink._parts.link, two.uplink._parts.bulk)} == {MQTTv311}
    bulk, hit = two.put("segment", 4, 60 * PART), two.put("hit", 0, 3 * PART)
    two.drive(lambda: len(two.centre.parts) > 10)
    two.centre.restart()
    two.drive(two.receipt(hit).exists)
    two.broker.kill()
    two.drive_for(0.5)
    two.broker.start()
    two.drive(two.receipt(bulk).exists, within_s=60)
    assert {key[1] for key in two.carried if key[0] == hit} == {False}
