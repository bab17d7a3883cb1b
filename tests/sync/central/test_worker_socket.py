"""The socket by which ingest workers of this machine reach the embedded broker: theirs alone, and as good as TLS."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from sync.central import fleet, mosquitto, succession
from sync.central.broker import Broker
from sync.link import Message
from sync.paho_link import LinkConfig, PahoLink
from vedette.clock import SystemClock

pytestmark = [
    pytest.mark.skipif(mosquitto.find_mosquitto() is None, reason="mosquitto is not installed"),
    pytest.mark.usefixtures("program"),
]
WAIT_S = 10.0


def until(fact: Callable[[], object], wait_s: float = WAIT_S) -> bool:
    end = time.monotonic() + wait_s
    while not fact() and time.monotonic() < end:
        time.sleep(0.01)
    return bool(fact())


def link(
    centre: Any, broker: Broker, name: str, hears: str, *, door: Path | None, keys: Path | None = None
) -> PahoLink:
    keys = keys or centre.folder / "keys"
    config = LinkConfig(
        host="127.0.0.1",
        port=broker.port,
        client_id=name,
        ca=succession.trusted(centre.folder / "keys"),
        certificate=keys / ("ingest.crt" if (keys / "ingest.crt").exists() else "tls.crt"),
        key=keys / ("ingest.key" if (keys / "ingest.key").exists() else "tls.key"),
        subscriptions=(hears,),
        socket=door,
    )
    return PahoLink(config, SystemClock())


@pytest.fixture
def door(centre: Any, own_broker: Broker, program: mosquitto.Mosquitto) -> Iterator[Path]:
    """The running broker's socket, where its dialect has one."""
    found = mosquitto.worker_socket(centre.folder, "broker")
    if program.version >= (2, 1):
        assert found is None  # TLS, as everybody else
        pytest.skip("Mosquitto 2.1 has no settings by listener")
    assert found is not None
    yield found


def test_worker_hears_devices_by_the_socket_and_answers_them(
    centre: Any, own_broker: Broker, device: Any, door: Path
) -> None:
    """WI-69: parts of the largest size, both ways between TLS and the socket."""
    worker = link(centre, own_broker, fleet.CENTRE_ID, "devices/+/init", door=door)
    car = link(centre, own_broker, device.id, f"cmd/{device.id}/#", door=None, keys=device.folder / "keys")
    heard: list[Message] = []

    def step() -> bool:
        for one in (worker, car):
            heard.extend(event for event in one.poll(0.01) if isinstance(event, Message))
        return worker.connected and car.connected

    assert until(step)
    payload = os.urandom(1 << 20)
    assert car.publish(f"devices/{device.id}/init", payload)
    assert until(lambda: step() and len(heard) == 1)
    assert worker.publish(f"cmd/{device.id}/ack", payload[::-1])
    assert until(lambda: step() and len(heard) == 2)
    assert [one.payload for one in heard] == [payload, payload[::-1]]
    worker.close()
    car.close()


@pytest.mark.parametrize("name", ["", "car-1", "check", "w1", "root"])
def test_nobody_but_a_worker_hears_or_says_anything_by_the_socket(
    centre: Any, own_broker: Broker, device: Any, door: Path, name: str
) -> None:
    """WI-69."""
    worker = link(centre, own_broker, fleet.CENTRE_ID, "devices/+/init", door=door)
    car = link(centre, own_broker, device.id, f"cmd/{device.id}/#", door=None, keys=device.folder / "keys")
    heard: list[Message] = []
    stranger = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="x", protocol=mqtt.MQTTv5, transport="unix")
    if name:
        stranger.username_pw_set(name)
    subscribed: list[object] = []
    overheard: list[str] = []
    published: list[Any] = []
    stranger.on_subscribe = lambda *_: subscribed.append(True)
    stranger.on_message = lambda _c, _d, message: overheard.append(message.topic)
    stranger.on_publish = lambda _c, _d, _m, code, _p: published.append(code)

    def step() -> bool:
        for one in (worker, car):
            heard.extend(event for event in one.poll(0.01) if isinstance(event, Message))
        return worker.connected and car.connected

    stranger.connect(str(door), 1883)
    stranger.loop_start()
    try:
        assert until(stranger.is_connected)
        stranger.subscribe([("devices/#", 1), ("cmd/#", 1)])
        assert until(lambda: step() and subscribed)
        assert car.publish(f"devices/{device.id}/init", b"x")
        assert until(lambda: step() and heard)
        stranger.publish(f"cmd/{device.id}/ack", b"x", qos=1)
        assert until(lambda: step() and published)  # said behind whatever would have been heard before
    finally:
        stranger.disconnect()
        stranger.loop_stop()
    assert overheard == []
    assert all(code.is_failure for code in published)
    assert [one.topic for one in heard] == [f"devices/{device.id}/init"]
    worker.close()
    car.close()


def test_session_by_the_socket_begins_again_when_the_broker_is_killed(
    centre: Any, own_broker: Broker, door: Path
) -> None:
    """WI-13: the dead broker's socket lies there and answers nobody."""
    worker = link(centre, own_broker, fleet.CENTRE_ID, "devices/+/init", door=door)
    assert until(lambda: worker.poll(0.01) is not None and worker.connected)
    pid = own_broker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert until(lambda: worker.poll(0.01) is not None and not worker.connected)

    own_broker.tend(10_000_000)

    assert until(lambda: worker.poll(0.01) is not None and worker.connected)
    worker.close()


@pytest.mark.parametrize("mode", [0o750, 0o701, 0o770])
def test_socket_is_not_used_when_others_could_reach_it(centre: Any, door: Path, mode: int) -> None:
    """WI-69."""
    assert door.parent.stat().st_mode & 0o777 == 0o700
    door.parent.chmod(mode)
    assert mosquitto.worker_socket(centre.folder, "broker") is None


def test_socket_is_not_used_when_it_is_none_or_another_users(
    centre: Any, door: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WI-69."""
    assert mosquitto.worker_socket(centre.folder, "broker-1") is None
    (door.parent / "broker-2").touch()
    assert mosquitto.worker_socket(centre.folder, "broker-2") is None
    (door.parent / "broker-3").symlink_to(door)
    assert mosquitto.worker_socket(centre.folder, "broker-3") is None
    owner = door.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert mosquitto.worker_socket(centre.folder, "broker") is None


@pytest.mark.parametrize(("spare", "is_there"), [(0, True), (-1, False)])
def test_workers_come_by_tls_when_the_path_is_too_long_for_a_socket(
    tmp_path: Path, program: mosquitto.Mosquitto, spare: int, is_there: bool
) -> None:
    """The kernel's bound of 107 bytes; at the bound and one byte beyond."""
    end = mosquitto.socket_path(tmp_path / "x", "broker")
    room = mosquitto.MAX_SOCKET_PATH_BYTES - len(os.fsencode(end)) + 1 - spare
    if room < 1:
        pytest.skip("the folder for tests is too deep already")
    folder = tmp_path / ("x" * room)
    (folder / "broker").mkdir(parents=True)
    stale = mosquitto.socket_path(folder, "broker")
    path = folder / "broker" / "broker.conf"

    mosquitto.write_configuration(folder, path, program, "127.0.0.1", 1883, 1 << 20)

    text = path.read_text()
    assert ("\nlistener 0 " in text) == (is_there and program.version < (2, 1))
    if is_there:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.bind(str(stale))  # the bound is the kernel's
