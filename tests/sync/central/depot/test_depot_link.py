"""The device's way through the depot's door: the product's sender and uplink over the link, by real TLS."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sync.central import broker, fleet
from sync.https_link import HttpsConfig, HttpsLink
from sync.link import Connected, Disconnected, Message
from sync.sender import Done, Offer, Sender, SendPart
from sync.uplink_commands import make_uplink
from vedette import spool, topics, wire
from vedette.clock import SystemClock
from vedette.config import load_device
from vedette.errors import NotFound, Refused
from vedette.records import check_receipt, keyring, open_receipt
from vedette.wire import Fin, Init, Part

PART = 16 * 1024
WAIT_S = 20.0


class StableSoon(SystemClock):
    """A clock by which each session lasts long, so that the attempt after it does not wait for those before."""

    def mono_us(self) -> int:
        return super().mono_us() * 100_000


def put(device: Any, item: Any) -> Any:
    """The item as the recorder leaves it in the spool."""
    root, kind = device.folder / "spool", item.manifest.kind
    spool.make_folders(root)
    spool.part_path(root, kind, item.id).write_bytes(item.sealed_bytes)
    spool.commit(root, kind, item.id, item.manifest_bytes)
    return item


def sockets() -> int:
    """How many this process holds open."""
    return sum(path.is_socket() for path in Path("/proc/self/fd").iterdir())


def drive(link: HttpsLink, centre: Any, items: list[Any], each: Callable[[int], None] = lambda count: None) -> set[int]:
    """The product's sender over the link until every item is receipted; the part indexes that were sent."""
    held = {item.id: item for item in items}

    def check(item_id: str, receipt: bytes) -> None:
        one = held[item_id]
        body = open_receipt(receipt, keyring(centre.signer.key.public))
        check_receipt(body, one.manifest, hashlib.sha256(one.manifest_bytes).hexdigest())

    sender, clock, done, sent, count = Sender(check, part_size=PART), SystemClock(), set(), set(), 0
    end = time.monotonic() + 60
    while len(done) < len(items) and time.monotonic() < end:
        for event in link.poll(0.02):
            if isinstance(event, (Connected, Disconnected)):
                sender.reset()
            elif isinstance(event, Message):
                message = wire.decode(topics.parse_topic(event.topic).name, event.payload)
                outcomes = sender.receive(message, clock.mono_us())
                done |= {one.item for one in outcomes if isinstance(one, Done)}
        sender.tick(clock.mono_us())
        for one in items:
            if link.connected and one.id not in done:
                init = one.init()
                sender.offer(
                    Offer(
                        item=one.id,
                        kind=init.kind,
                        size=init.size,
                        sha256=init.sha256,
                        priority=init.priority,
                        manifest=init.manifest,
                    )
                )
        while (action := sender.next_action()) is not None:
            if isinstance(action, SendPart):
                payload = held[action.item].sealed_bytes[action.offset : action.offset + action.length]
                message = Part(item=action.item, index=action.index, payload=payload)
            else:
                message = action.message
            if not link.send(message):
                break
            sender.sent(action, clock.mono_us())
            if isinstance(action, SendPart):
                sent.add(action.index)
                count += 1
                each(count)
    assert len(done) == len(items)
    return sent


def test_the_device_s_sender_reaches_receipts_over_the_link_and_both_sides_may_die(
    centre: Any, device: Any, door: Any
) -> None:
    """DE-3, DE-11, DE-13: the door is killed in the middle and opened at the same port."""
    random.seed(8)
    items = [device.item(random.randbytes(size)) for size in (1, PART, 3_000_000)]
    path = centre.folder / fleet.CONFIG
    path.write_text(path.read_text().replace("port = 0\n\n[ingest]", f"port = {door.port}\n\n[ingest]"))
    link = door.link(device)

    def kill(count: int) -> None:
        if count == 60:
            door.kill()
            door.start()

    sent = drive(link, centre, items, kill)
    link.close()
    assert sent == set(range(-(-len(items[2].sealed_bytes) // PART)))
    for item in items:
        assert centre.store.blobs.open(item.manifest.sealed_sha256).read() == item.sealed_bytes
    more = device.item(random.randbytes(400_000))
    client = door.client(device)
    client.create(more)
    client.patch(more, 0, more.sealed_bytes[: 10 * PART])
    link = door.link(device)  # a device that knows nothing of the first ten parts is told of them
    assert min(drive(link, centre, [more])) == 10
    link.close()


@pytest.mark.embedded
def test_item_arrives_and_nothing_is_left_open_when_its_session_is_cut_again_and_again(
    centre: Any, device: Any, door: Any
) -> None:
    """DE-3, DE-13, DE-15: at any moment of a request, by another thread than the one that makes it."""
    chance = random.Random(5)
    item = device.item(chance.randbytes(8_000_000))
    opened = sockets()
    link = door.link(device, StableSoon())
    cuts = [chance.randrange(1, 40) for _ in range(12)]

    def cut(_count: int) -> None:
        if cuts:
            cuts[0] -= 1
            if not cuts[0]:
                cuts.pop(0)
                link.cut("a test")

    drive(link, centre, [item], cut)
    assert cuts == []
    link.close()
    assert sockets() == opened


@pytest.mark.embedded
def test_the_door_sees_the_new_certificate_when_one_is_taken_up(
    centre: Any, device: Any, door: Any, item: Any, tmp_path: Path
) -> None:
    """DE-14: here it names another device, whose item the first certificate could not have begun."""
    other = centre.device("car-2")
    keys, pair = other.folder / "keys", tmp_path / "tls.pem"
    pair.write_bytes((keys / "tls.key").read_bytes() + (keys / "tls.crt").read_bytes())
    link = door.link(device)
    drive(link, centre, [item])
    with pytest.raises(Refused):
        link.take_up(keys / "tls.crt", device.folder / "keys" / "tls.key")
    drive(link, centre, [device.item(b"as before" * 9_000)])

    link.take_up(pair, pair)

    (event,) = link.poll(WAIT_S)
    assert isinstance(event, Disconnected) and "certificate" in event.reason
    drive(link, centre, [other.item(b"video" * 9_000)])
    link.close()


@pytest.mark.embedded
def test_the_link_knows_the_server(centre: Any, device: Any, door: Any, tmp_path: Path) -> None:
    """DE-12: another authority's server is no depot."""
    other = fleet.make_centre(tmp_path / "other", tmp_path / "other-escrow", "other.test/log")
    keys = device.folder / "keys"
    strange = HttpsConfig(
        host="127.0.0.1",
        port=door.port,
        device=device.id,
        ca=other.folder / "keys" / "ca.crt",
        certificate=keys / "tls.crt",
        key=keys / "tls.key",
    )
    link = HttpsLink(strange, SystemClock(), jitter_permille=lambda: 0)
    (event,) = link.poll(WAIT_S)
    assert isinstance(event, Disconnected) and "certificate" in event.reason
    link.close()
    with pytest.raises(NotFound, match="enrol"):
        door.link(centre.stranger("car-9"))


def test_a_whole_device_sends_hits_by_the_broker_and_unmarked_video_by_the_door(
    centre: Any, device: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DE-10, DE-11: the real centre with its broker and its door, and the real uplink; then the door is gone."""
    if broker.find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    config = centre.folder / fleet.CONFIG
    config.write_text(config.read_text() + "\n[depot]\nenabled = true\nport = 0\n\n[ingest]\npart_kib = 64\n")
    command = [sys.executable, "-m", "vedette.cli", "central", "run", "--config", str(config)]
    process = subprocess.Popen(command)
    try:
        address, ports = centre.folder / "run" / "depot.json", centre.folder / "run" / "ports.json"
        end = time.monotonic() + 60
        while not (address.exists() and ports.exists()):
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.05)
        text = (device.folder / "device.toml").read_text()
        text = text.replace(f"port = {18883}", f"port = {json.loads(ports.read_bytes())['broker']}")
        text += f'depot_host = "127.0.0.1"\ndepot_port = {json.loads(address.read_bytes())["port"]}\n'
        text = text.replace('data = "."\n', f'data = "."\nrun = "{tmp_path}"\n')
        (device.folder / "device.toml").write_text(text)
        uplink = make_uplink(load_device(device.folder / "device.toml"), SystemClock())
        assert uplink._parts.depot is not None
        while not uplink._parts.depot.connected:  # else the broker may be first
            assert time.monotonic() < end
            uplink.step(0)
        asked: list[str] = []
        link = uplink._parts.depot._door
        send = link.send

        def watched(message: Init | Part | Fin) -> bool:
            asked.extend([message.item] if isinstance(message, Init) else [])
            return send(message)

        monkeypatch.setattr(link, "send", watched)
        bulk = [put(device, device.item(random.randbytes(700_000))) for _ in range(3)]
        other = [put(device, device.hit()), put(device, device.item(b"marked" * 9_000, priority=3))]
        receipts = device.folder / "receipts"

        def drive(items: list[Any]) -> None:
            end = time.monotonic() + 60
            while not all((receipts / f"{one.id}.receipt").exists() for one in items):
                assert time.monotonic() < end
                uplink.step(0)

        drive(bulk + other)
        said = (centre.folder / "run" / "depot.log").read_text()
        assert sorted(one.id for one in bulk + other if one.id in said) == sorted(one.id for one in bulk)
        assert len(asked) == len(bulk)  # one after the other, and none again behind its receipt
        late = put(device, device.item(random.randbytes(200_000)))
        os.kill(json.loads(address.read_bytes())["pid"], signal.SIGKILL)
        drive([late])  # by whichever way is there first: the door opens anew, the broker was never away
        uplink.close()
    finally:
        process.terminate()
        process.wait(30)
