"""The broker's Unix domain socket: by it the centre's own processes come, with a password, and nobody else."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sync.central import fleet, mosquitto, to_brokers
from sync.central.broker import Broker, broker_port
from sync.link import Connected, Disconnected, Message
from sync.paho_link import LinkConfig, PahoLink
from vedette import topics
from vedette.clock import SystemClock
from vedette.config import load_central

pytestmark = [
    pytest.mark.skipif(mosquitto.find_mosquitto() is None, reason="mosquitto is not installed"),
    pytest.mark.usefixtures("program"),
]
WAIT_S = 10.0
LONGEST_ADDRESS = 107


def hear(link: PahoLink, wanted: type, other: PahoLink | None = None) -> Any:
    """The first event of that kind, while `other` goes on writing; None where none comes."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        if other is not None:
            other.poll(0.0)
        for event in link.poll(0.01):
            if isinstance(event, wanted):
                return event
    return None


Opener = Callable[..., PahoLink]


@pytest.fixture
def local_link(centre: Any) -> Iterator[Opener]:
    """Opens links by the socket of the centre's own broker, as the client of that name."""
    opened: list[PahoLink] = []

    def opener(name: str = "centre", *, password: str | None = None, subscriptions: tuple[str, ...] = ()) -> PahoLink:
        socket = mosquitto.local_socket(centre.folder, "broker")
        keys = centre.folder / "keys"
        config = LinkConfig(
            host="127.0.0.1",
            port=1,  # nobody is there
            client_id=name,
            ca=keys / "ca.crt",
            certificate=keys / "ingest.crt",
            key=keys / "ingest.key",
            subscriptions=subscriptions or (f"cmd/{name}/#",),
            local=socket if password is None else replace(socket, password=password),
        )
        opened.append(PahoLink(config, SystemClock()))
        return opened[-1]

    yield opener
    for link in opened:
        link.close()


def test_centre_hears_a_device_that_comes_by_tls_and_answers_it(
    centre: Any, device: Any, own_broker: Broker, local_link: Opener
) -> None:
    """Whole parts go both ways, larger than what the socket takes at once."""
    keys = device.folder / "keys"
    config = LinkConfig(
        host="127.0.0.1",
        port=own_broker.port,
        client_id=device.id,
        ca=centre.folder / "keys" / "ca.crt",
        certificate=keys / "tls.crt",
        key=keys / "tls.key",
        subscriptions=(f"cmd/{device.id}/#",),
    )
    link, theirs = local_link(subscriptions=("devices/+/init",)), PahoLink(config, SystemClock())
    try:
        assert hear(link, Connected)
        assert hear(theirs, Connected)
        payload = bytes(range(256)) * 4000

        assert theirs.publish(f"devices/{device.id}/init", payload)
        assert hear(link, Message, theirs) == Message(topic=f"devices/{device.id}/init", payload=payload)

        assert link.publish(f"cmd/{device.id}/grant", payload)
        assert hear(theirs, Message, link) == Message(topic=f"cmd/{device.id}/grant", payload=payload)
    finally:
        theirs.close()


@pytest.mark.parametrize(
    ("name", "password"), [("centre", "guessed"), ("centre", ""), ("car-1", None), ("check", None), ("nobody", None)]
)
def test_nobody_comes_by_the_socket_without_the_centres_password_and_a_name_of_the_centre(
    own_broker: Broker, local_link: Opener, name: str, password: str | None
) -> None:
    """WI-71."""
    link = local_link(name, password=password)

    refused = hear(link, Disconnected)

    assert refused is not None
    assert "Not authorized" in refused.reason
    assert not link.connected


def test_further_worker_of_this_machine_comes_by_the_socket(own_broker: Broker, local_link: Opener) -> None:
    """WI-71."""
    assert hear(local_link("w2", subscriptions=("devices/+/part/w2",)), Connected)


def test_password_is_made_once_and_read_by_the_centre_alone(centre: Any) -> None:
    first, second = (mosquitto.local_socket(centre.folder, name) for name in ("broker", "broker-1"))

    path = centre.folder / "keys" / mosquitto.PASSWORD
    assert first.password == second.password
    assert len(first.password) >= 43
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert first.password not in repr(first)
    assert first.password not in mosquitto.password_list(first.password)


def test_socket_is_met_however_long_its_path(tmp_path: Path, device: Any, centre: Any) -> None:
    """An address of a Unix socket has 108 bytes; a centre may lie deeper."""
    folder = tmp_path / ("a-folder-with-a-long-name-" * 4) / "central"
    folder.parent.mkdir()
    made = fleet.make_centre(folder, tmp_path / "escrow-2", "other.example/log", clock=SystemClock())
    broker = Broker(made.folder, "127.0.0.1", broker_port(made.folder, "127.0.0.1", 0))
    broker.start(0)
    config = load_central(made.config)
    heard = topics.worker_subscriptions(fleet.CENTRE_ID)
    link = to_brokers.link(
        config, SystemClock(), identity=fleet.CENTRE_ID, key=config.keys / "ingest.key", subscriptions=heard
    )
    try:
        assert len(str(made.folder / "broker" / "broker.sock")) > LONGEST_ADDRESS
        assert hear(link, Connected)  # type: ignore[arg-type]
    finally:
        link.close()
        broker.stop()


def test_broker_elsewhere_is_met_by_tls(centre: Any) -> None:
    """Without a Mosquitto of its own the centre has no socket to go to."""
    text = (centre.folder / fleet.CONFIG).read_text().replace("embedded = true", "embedded = false")
    (centre.folder / fleet.CONFIG).write_text(text.replace("port = 0", "port = 8883", 1))
    config = load_central(centre.folder / fleet.CONFIG)
    link = to_brokers.link(
        config, SystemClock(), identity="centre", key=config.keys / "ingest.key", subscriptions=("a",)
    )

    assert isinstance(link, PahoLink)
    assert link._config.local is None
    link.close()


def test_link_tries_again_where_the_socket_is_not_there_yet(tmp_path: Path, centre: Any, local_link: Opener) -> None:
    """The centre starts beside its broker, and outlives it."""
    link = local_link()
    failed = hear(link, Disconnected)
    broker = Broker(centre.folder, "127.0.0.1", broker_port(centre.folder, "127.0.0.1", 0))
    broker.start(0)
    try:
        assert failed is not None
        assert hear(link, Connected)
    finally:
        broker.stop()
    assert hear(link, Disconnected)
