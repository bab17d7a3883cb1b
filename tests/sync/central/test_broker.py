"""The real Mosquitto with the centre's configuration: who gets in, and who may say and hear what."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from sync.central import fleet, greeting, mosquitto
from sync.central.authority import Authority
from sync.central.broker import Broker
from sync.central.certificates import CANARY
from sync.central.cutting import Cutting
from sync.central.greeting import context_of, greet
from sync.central.quarantine import PUT_OFF_US, count_again, write_counts
from vedette import topics
from vedette.wire import RefuseCode

pytestmark = [
    pytest.mark.skipif(mosquitto.find_mosquitto() is None, reason="mosquitto is not installed"),
    pytest.mark.usefixtures("program"),
]

WAIT_S = 10.0
CUT_AT_US = 60_000_000
CONNECT = b"\x10\x10\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x03abc"
CONNACK = b"\x20"


def until(fact: Callable[[], object], wait_s: float = WAIT_S) -> bool:
    end = time.monotonic() + wait_s
    while not fact() and time.monotonic() < end:
        time.sleep(0.01)
    return bool(fact())


class Client:
    """A plain MQTT 5 client with the certificate at `keys/<name>.crt`; it notes what it hears."""

    def __init__(self, centre: Any, port: int, keys: Path, name: str, client_id: str = "anything") -> None:
        self.heard: list[tuple[str, bytes | bytearray]] = []
        self.published: dict[int, int] = {}
        self.connected = False
        self.reasons: list[str] = []
        self.mqtt = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv5)
        context = ssl.create_default_context(cafile=str(centre.folder / "keys" / "ca.crt"))
        if name:
            context.load_cert_chain(keys / f"{name}.crt", keys / f"{name}.key")
        self.mqtt.tls_set_context(context)
        self.mqtt.on_connect = self._on_connect
        self.mqtt.on_disconnect = self._on_disconnect
        self.mqtt.on_message = lambda _c, _d, message: self.heard.append((message.topic, message.payload))
        self.mqtt.on_publish = lambda _c, _d, mid, code, _p: self.published.update({mid: code.value})
        self.port = port

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        self.connected = not code.is_failure

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        self.connected = False
        self.reasons.append(str(code))

    def __enter__(self) -> Client:
        self.mqtt.connect("127.0.0.1", self.port, keepalive=10, clean_start=True)
        self.mqtt.loop_start()
        assert until(lambda: self.connected)
        return self

    def __exit__(self, *_: object) -> None:
        self.mqtt.disconnect()
        self.mqtt.loop_stop()

    def say(self, topic: str, payload: bytes = b"x") -> int:
        """Publish and return the broker's reason code."""
        mid = self.mqtt.publish(topic, payload, qos=1).mid
        assert until(lambda: mid in self.published)
        return self.published[mid]

    def listen(self, topic: str) -> None:
        done: list[object] = []
        self.mqtt.on_subscribe = lambda *_: done.append(1)
        self.mqtt.subscribe(topic, qos=1)
        assert until(lambda: done)


@pytest.fixture
def as_device(centre: Any, own_broker: Broker) -> Callable[..., Client]:
    return lambda device, **more: Client(centre, own_broker.port, device.folder / "keys", "tls", **more)


@pytest.fixture
def as_centre(centre: Any, own_broker: Broker) -> Callable[[], Client]:
    return lambda: Client(centre, own_broker.port, centre.folder / "keys", "ingest")


def test_device_and_centre_hear_each_other_when_they_use_their_own_topics(
    device: Any, as_device: Any, as_centre: Any
) -> None:
    with as_centre() as centre_client, as_device(device) as device_client:
        centre_client.listen("devices/+/init")
        device_client.listen(f"cmd/{device.id}/#")

        device_client.say(f"devices/{device.id}/init", b"up")
        centre_client.say(f"cmd/{device.id}/grant", b"down")

        assert until(lambda: centre_client.heard == [(f"devices/{device.id}/init", b"up")])
        assert until(lambda: device_client.heard == [(f"cmd/{device.id}/grant", b"down")])


def test_device_cannot_publish_when_the_topic_is_anothers(
    centre: Any, device: Any, as_device: Any, as_centre: Any
) -> None:
    """Told so by code, and nobody hears it."""
    other = centre.device("car-2")
    topics = (
        f"devices/{other.id}/init",
        f"cmd/{other.id}/grant",
        f"cmd/{device.id}/sealed",
        "devices/centre/x/../init",
    )
    with as_centre() as centre_client, as_device(other) as victim, as_device(device) as attacker:
        centre_client.listen("#")
        victim.listen(f"cmd/{other.id}/#")

        codes = {attacker.say(topic) for topic in topics}
        attacker.say(f"devices/{device.id}/init", b"mine")

        assert codes == {0x87}
        assert until(lambda: centre_client.heard)
        assert centre_client.heard == [(f"devices/{device.id}/init", b"mine")]
        assert victim.heard == []


def test_device_can_write_every_topic_there_is_and_no_other(device: Any, as_device: Any) -> None:
    """WI-2. Or it could fill the broker with retained messages on topics that nobody reads."""
    names = topics.written_by_devices((fleet.CENTRE_ID, *mosquitto.WORKER_IDS))
    others = ("other", "part", "part/w99", "part/centre/more", "birth/more", "check/more", "")
    with as_device(device) as client:
        codes = {name: client.say(f"devices/{device.id}/{name}") for name in (*names, "check", *others)}

    assert {name for name, code in codes.items() if code == 0x87} == set(others)
    assert {"part/centre", "fin/w2", "init", "renew"} <= set(names)


def test_device_cannot_leave_a_will_when_the_topic_is_anothers(
    centre: Any, device: Any, as_device: Any, as_centre: Any
) -> None:
    """A will is published by the broker itself, so it is a way around a check of what clients publish."""
    other = centre.device("car-2")
    with as_centre() as centre_client:
        centre_client.listen("devices/#")
        for topic in (f"devices/{other.id}/birth", f"devices/{device.id}/birth"):
            attacker = as_device(device)
            attacker.mqtt.will_set(topic, b"will", qos=1)
            with attacker:
                attacker.mqtt.socket().shutdown(socket.SHUT_RDWR)
                assert until(lambda seen=attacker: seen.reasons)

        assert until(lambda: centre_client.heard)
        assert {topic for topic, _payload in centre_client.heard} == {f"devices/{device.id}/birth"}


def test_device_hears_nothing_when_it_subscribes_to_anothers_topics(
    centre: Any, device: Any, as_device: Any, as_centre: Any
) -> None:
    other = centre.device("car-2")
    wishes = (f"cmd/{other.id}/#", f"devices/{other.id}/#", "#", "+/+/+", "$share/ingest/devices/+/init", "$SYS/#")
    with as_centre() as centre_client, as_device(other) as victim, as_device(device) as attacker:
        for wish in wishes:
            attacker.listen(wish)
        victim.listen(f"cmd/{other.id}/#")
        centre_client.listen("devices/#")

        centre_client.say(f"cmd/{other.id}/grant", b"secret")
        victim.say(f"devices/{other.id}/init", b"secret")
        centre_client.say(f"cmd/{device.id}/grant", b"mine")

        assert until(lambda: victim.heard and centre_client.heard and attacker.heard)
        assert {payload for _topic, payload in attacker.heard} == {b"mine"}


def test_centres_session_lives_on_when_a_device_claims_its_client_id(
    device: Any, as_device: Any, as_centre: Any
) -> None:
    with as_centre() as centre_client:
        centre_client.listen("devices/+/init")
        with as_device(device, client_id=fleet.CENTRE_ID) as device_client:
            device_client.say(f"devices/{device.id}/init")
            assert until(lambda: centre_client.heard)

        assert centre_client.reasons == []


def test_client_is_let_in_when_it_is_enrolled(centre: Any, device: Any, own_broker: Broker) -> None:
    """What the refusals below are measured against."""
    keys = device.folder / "keys"

    _handshake(centre, own_broker.port, lambda context: context.load_cert_chain(keys / "tls.crt", keys / "tls.key"))


def test_client_is_not_let_in_when_it_has_no_certificate(centre: Any, own_broker: Broker) -> None:
    with pytest.raises((ssl.SSLError, OSError, AssertionError)):
        _handshake(centre, own_broker.port, lambda context: None)


def test_client_is_not_let_in_when_another_authority_made_its_certificate(
    centre: Any, own_broker: Broker, tmp_path: Path
) -> None:
    made = fleet.make_centre(tmp_path / "foreign", tmp_path / "foreign-keys", "centre.test/log", clock=centre.clock)
    keys = made.folder / "keys"

    with pytest.raises((ssl.SSLError, OSError, AssertionError)):
        _handshake(
            centre, own_broker.port, lambda context: context.load_cert_chain(keys / "ingest.crt", keys / "ingest.key")
        )


def test_client_is_not_let_in_when_it_speaks_no_tls_13(centre: Any, device: Any, own_broker: Broker) -> None:
    def older(context: ssl.SSLContext) -> None:
        context.load_cert_chain(device.folder / "keys" / "tls.crt", device.folder / "keys" / "tls.key")
        context.maximum_version = ssl.TLSVersion.TLSv1_2

    with pytest.raises(ssl.SSLError):
        _handshake(centre, own_broker.port, older)


def test_client_is_not_let_in_when_it_speaks_no_tls(own_broker: Broker) -> None:
    with (
        socket.create_connection(("127.0.0.1", own_broker.port), timeout=WAIT_S) as plain,
        pytest.raises((OSError, AssertionError)),
    ):
        plain.sendall(CONNECT)
        assert plain.recv(64)[:1] == CONNACK


def test_device_is_cut_and_kept_out_when_it_is_revoked(
    centre: Any, device: Any, own_broker: Broker, as_device: Any, as_centre: Any
) -> None:
    """RC-9, WI-18. Its live session ends too; nobody else's does."""
    other = centre.device("car-2")
    cutting = Cutting(centre.store, [("127.0.0.1", own_broker.port)])
    with as_centre() as centre_client, as_device(other) as other_client, as_device(device) as device_client:
        fleet.revoke(centre.store, device.id)
        own_broker.tend(1_000_000)
        assert until(lambda: _cut(cutting))

        assert until(lambda: device_client.reasons)
        assert not until(lambda: device_client.connected, 1.5)
        assert (centre_client.reasons, other_client.reasons) == ([], [])
        assert (centre_client.connected, other_client.connected) == (True, True)


def test_cut_is_made_again_when_the_broker_does_not_read_the_list_yet(
    centre: Any, device: Any, own_broker: Broker, as_device: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A foreign broker gets its list from somebody else; until then the device comes back and is cut again."""
    lists = centre.folder / "keys" / fleet.REVOCATIONS
    lists.write_bytes(Authority(centre.folder / "keys").revocations((), centre.clock.utc_us()))
    own_broker.tend(0)
    assert until(lambda: greet("127.0.0.1", own_broker.port, _canary(centre), "canary").is_in)
    cutting = Cutting(centre.store, [("127.0.0.1", own_broker.port)])
    with as_device(device) as device_client:
        centre.store.db.execute("UPDATE devices SET revoked_us = ?", [centre.clock.utc_us()])
        cutting.step(1_000_000)
        assert until(lambda: device_client.reasons)
        assert (cutting.cuts, "needs keys/crl.pem" in caplog.text) == (0, True)

        fleet.write_revocations(centre.store)
        own_broker.tend(0)
        assert until(lambda: _cut(cutting))

        assert not until(lambda: device_client.connected, 1.5)


def test_revoked_device_is_cut_again_when_it_still_speaks(centre: Any, device: Any, own_broker: Broker) -> None:
    """At most every ten seconds."""
    cutting = Cutting(centre.store, [("127.0.0.1", own_broker.port)])
    fleet.revoke(centre.store, device.id)
    own_broker.tend(0)
    assert until(lambda: _cut(cutting))

    seconds = (1, 5, 30)
    cuts = []
    for second in seconds:
        at_us = CUT_AT_US + second * 1_000_000
        cutting.heard({device.id, "stranger"}, at_us)
        cutting.step(at_us)
        cuts.append(cutting.cuts)

    assert cuts == [1, 1, 2]


def test_device_that_is_put_off_is_cut_and_kept_out_for_that_while(
    centre: Any, device: Any, own_broker: Broker, as_device: Any
) -> None:
    """WI-73. Nobody else is; it is cut when the broker has read the list, and let in when the while is over."""
    other = centre.device("car-2")
    cutting = Cutting(centre.store, [("127.0.0.1", own_broker.port)])
    with as_device(other) as other_client, as_device(device) as device_client:
        count_again(centre.store, device.id, RefuseCode.BUSY, 1)
        write_counts(centre.store)
        cutting.step(1_000_000)
        assert (cutting.cuts, device_client.reasons) == (0, [])
        own_broker.tend(1_000_000)
        assert until(lambda: _cut(cutting))

        assert until(lambda: device_client.reasons)
        assert not until(lambda: device_client.connected, 1.5)
        assert (other_client.connected, other_client.reasons) == (True, [])

        centre.clock.advance(PUT_OFF_US)
        cutting.step(2 * CUT_AT_US)
        own_broker.tend(2_000_000)
        assert until(lambda: device_client.connected)


def test_silent_broker_is_waited_for_once_a_look(centre: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are to be cut, for ingest waits meanwhile; the looks grow rarer, to one a minute."""
    monkeypatch.setattr(greeting, "TIMEOUT_S", 0.2)
    devices = [centre.device(f"car-{number}") for number in range(3)]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        cutting = Cutting(centre.store, [("127.0.0.1", silent.getsockname()[1])])
        for one in devices:
            fleet.revoke(centre.store, one.id)
        looks, now_us = [], 0
        for _ in range(9):
            cutting.step(now_us)
            looks.append(now_us)
            now_us = cutting._look_at_us
        silent.setblocking(False)
        calls = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                silent.accept()[0].close()
                calls += 1

    assert calls == len(looks)
    assert [(after - before) // 1_000_000 for before, after in pairwise(looks)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_taking_over_ends_no_session_when_nobody_was_revoked(
    device: Any, own_broker: Broker, as_device: Any, centre: Any
) -> None:
    with as_device(device) as device_client:
        Cutting(centre.store, [("127.0.0.1", own_broker.port)]).step(1_000_000)

        assert not until(lambda: device_client.reasons, 0.5)


def _cut(cutting: Cutting) -> bool:
    """Let it look once more; whether it has cut somebody for good."""
    cutting.step(CUT_AT_US)
    cutting._look_at_us = 0
    return cutting.cuts > 0


def _canary(centre: Any) -> ssl.SSLContext:
    keys = centre.folder / "keys"
    return context_of(keys / "ca.crt", keys / CANARY)


def _handshake(centre: Any, port: int, prepare: Callable[[ssl.SSLContext], None]) -> None:
    """Connect by TLS and read the answer to an MQTT CONNECT; raises when the broker ends it."""
    context = ssl.create_default_context(cafile=str(centre.folder / "keys" / "ca.crt"))
    prepare(context)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        secured.sendall(CONNECT)
        assert secured.recv(64)[:1] == CONNACK
