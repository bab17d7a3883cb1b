"""An enrolled device that floods the centre with questions, or with what is no message: refused, counted, cut off."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from cryptography import x509
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from waiting import until

from sync import patience
from sync.central import fleet, mosquitto
from sync.central.greeting import context_of, greet
from sync.central.quarantine import PUT_OFF_US, all_counts, put_off
from sync.central.worker import Worker as FurtherWorker
from sync.link import Message
from sync.patience import NONSENSE, UNIT_US
from vedette import topics, wire
from vedette.config import IngestSection
from vedette.wire import Fin, Grant, Refuse, RefuseCode, Sealed

A_LOOK = 5  # units that the time of one look pays for here
NEAR = 400  # units, in place of the true bound, of which the tests of the engine speak
WAIT_S = 60.0
NOTHING = b"\xff no message"


@pytest.fixture
def near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "AHEAD_US", NEAR * UNIT_US)
    monkeypatch.setattr(patience, "AGAIN_US", NEAR // 2 * UNIT_US)
    monkeypatch.setattr(patience, "FAR_US", (NEAR + NEAR // 4) * UNIT_US)


Said = Callable[[Any], tuple[str, bytes]]
FLOODS: dict[str, tuple[int, Said]] = {
    "init": (1, lambda item: ("init", item.init().encode())),
    "fin": (1, lambda item: (f"fin/{fleet.CENTRE_ID}", Fin(item=item.id, sha256="0" * 64).encode())),
    "no init": (NONSENSE, lambda _item: ("init", NOTHING)),
    "no part": (NONSENSE, lambda _item: (f"part/{fleet.CENTRE_ID}", NOTHING)),
    "no request": (NONSENSE, lambda _item: ("renew", NOTHING)),
    "no heads": (NONSENSE, lambda _item: ("heads", NOTHING)),
}


def flood(worker: Any, device: Any, name: str, payload: bytes, times: int) -> list[Any]:
    """Let `device` say this so often between two looks of the worker; what was answered."""
    topic = f"devices/{device.id}/{name}"
    worker.link.waiting += [Message(topic=topic, payload=payload)] * times
    worker.step()
    return list(worker.link.take())


@pytest.mark.usefixtures("near")
@pytest.mark.parametrize(("units", "said"), FLOODS.values(), ids=FLOODS)
def test_device_that_floods_is_put_down_once_and_put_off_when_it_goes_on(
    centre: Any, device: Any, worker: Any, units: int, said: Said
) -> None:
    """WI-74, RC-7. An honest device beside it is served, meanwhile and after."""
    other = centre.device("car-2")
    name, payload = said(device.item(b"video"))
    flood(worker, device, name, payload, NEAR // units)
    before = [row.code for row in centre.store.quarantine() if row.code == "busy"]
    flood(worker, device, name, payload, A_LOOK + 1)
    first = [(row.device, row.code, row.text) for row in centre.store.quarantine() if row.code == "busy"]
    answers = flood(worker, device, name, payload, NEAR // 4 // units + 20)
    assert isinstance(worker.upload(other.hit())[0], Sealed)
    rows = len(centre.store.quarantine())
    centre.clock.advance(2_000_000)
    worker.step()

    assert before == []
    assert [one[:2] for one in first] == [(device.id, "busy")]
    assert {one.code for one in answers if isinstance(one, Refuse)} <= {RefuseCode.BUSY}
    assert rows == len(centre.store.quarantine()) <= 2
    assert put_off(centre.store).keys() == {device.id}
    assert worker.ingest.counters["beyond"] > 20
    assert isinstance(worker.upload(other.hit())[0], Sealed)


@pytest.mark.usefixtures("near")
def test_device_that_was_put_off_is_served_again(centre: Any, device: Any, worker: Any) -> None:
    """WI-74: after the five minutes its account is even."""
    flood(worker, device, "init", NOTHING, NEAR)
    assert {one.code for one in worker.say(device.id, device.hit().init()) if isinstance(one, Refuse)} == {
        RefuseCode.BUSY
    }

    centre.clock.advance(PUT_OFF_US)
    worker.step()

    assert put_off(centre.store) == {}
    assert isinstance(worker.upload(device.hit())[0], Sealed)


@pytest.mark.usefixtures("near")
def test_further_worker_puts_off_who_floods_it(centre: Any, device: Any, worker: Any) -> None:
    """WI-74: each worker has an account of its own, and what is counted is one store's."""
    link = worker.link.__class__()
    further = FurtherWorker(centre.store, link, centre.signer, IngestSection(), "w2")
    link.waiting += [Message(topic=f"devices/{device.id}/init", payload=NOTHING)] * NEAR
    further.step(centre.clock.mono_us())
    centre.clock.advance(2_000_000)
    further.step(centre.clock.mono_us())

    assert [row.code for row in centre.store.quarantine()] == ["busy", "invalid"]
    assert put_off(centre.store).keys() == {device.id}


class Flooder:
    """An MQTT client with a device's certificate that says what it likes until it is cut off."""

    def __init__(self, port: int, device: Any) -> None:
        keys = device.folder / "keys"
        self.device = device
        self.was_cut = False
        self.said = 0
        self.mqtt = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=device.id, protocol=mqtt.MQTTv5, reconnect_on_failure=False
        )
        self.mqtt.tls_set_context(context_of(keys / "ca.crt", keys / "tls.crt", keys / "tls.key"))
        self.mqtt.on_disconnect = self._on_disconnect
        self.mqtt.connect("127.0.0.1", port, clean_start=True)
        self.mqtt.loop_start()

    def _on_disconnect(self, *_told: Any) -> None:
        self.was_cut = True

    def flood(self, messages: list[tuple[str, bytes]]) -> None:
        """Say these a hundred times; on return the broker's socket has taken them, or nobody is there any more."""
        sent = [self.mqtt.publish(f"devices/{self.device.id}/{name}", payload) for name, payload in messages * 100]
        taken = [one for one in sent if one.rc is MQTTErrorCode.MQTT_ERR_SUCCESS]
        self.said += len(taken)
        # What was not taken says that the session is over; `was_cut` does so a moment later.
        until(
            lambda: self.was_cut or (len(taken) == len(sent) and sent[-1].is_published()),
            "what was said to leave",
            every_s=0.02,
        )

    def close(self) -> None:
        self.mqtt.disconnect()
        self.mqtt.loop_stop()


@pytest.fixture
def running(centre: Any) -> Iterator[subprocess.Popen[bytes]]:
    process = centre.start()
    yield process
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_S) == 0


def ports(folder: Path) -> dict[str, int]:
    path = folder / "run" / "ports.json"
    return json.loads(path.read_bytes()) if path.is_file() else {}


def listed(centre: Any) -> set[int]:
    lists = x509.load_pem_x509_crl((centre.folder / "keys" / fleet.REVOCATIONS).read_bytes())
    return {one.serial_number for one in lists}


def answer_to(client: Flooder, item: Any) -> Any:
    """What the centre answers to the init of an honest device; asked again until it does."""
    heard: list[Any] = []
    client.mqtt.on_message = lambda _c, _d, message: heard.append((message.topic, bytes(message.payload)))
    client.mqtt.subscribe(f"cmd/{client.device.id}/#", qos=1)
    asked = topics.topic(client.device.id, item.init())

    def asks() -> bool:
        client.mqtt.publish(asked, item.init().encode(), qos=1)
        return any(wire.Grant.name in topic for topic, _payload in heard)

    until(asks, "a grant")
    return next(wire.decode("grant", payload) for topic, payload in heard if "/grant" in topic)


@pytest.mark.skipif(mosquitto.find_mosquitto() is None, reason="mosquitto is not installed")
def test_flooding_device_loses_its_session_at_a_real_broker_and_others_are_served(
    centre: Any, running: subprocess.Popen[bytes]
) -> None:
    """WI-74, WI-18. The centre as it runs, with its true bounds: cut, on the list, and not let in again."""
    floods, honest = centre.device("car-1"), centre.device("car-2")
    port = until(lambda: ports(centre.folder).get("broker"), "the broker")
    keys = floods.folder / "keys"
    context = context_of(keys / "ca.crt", keys / "tls.crt", keys / "tls.key")
    serial = x509.load_pem_x509_certificate((keys / "tls.crt").read_bytes()).serial_number
    messages = [("init", floods.item(b"video").init().encode()), ("init", NOTHING), ("status", NOTHING)]
    bad, good = Flooder(port, floods), Flooder(port, honest)
    try:
        assert serial not in listed(centre)
        end = time.monotonic() + 4 * WAIT_S
        while not bad.was_cut and time.monotonic() < end:
            bad.flood(messages)

        assert bad.was_cut
        assert bad.said * (1 + 2 * NONSENSE) // 3 > patience.AHEAD_US // UNIT_US
        assert serial in listed(centre)
        until(lambda: not greet("127.0.0.1", port, context, floods.id).is_in, "the broker to refuse it")
        assert isinstance(answer_to(good, honest.hit()), Grant)
        assert not good.was_cut
    finally:
        bad.close()
        good.close()
    assert put_off(centre.store).keys() <= {floods.id}
    assert {row.device for row in centre.store.quarantine()} == {floods.id}
    assert {one.device for one in all_counts(centre.store)} == {floods.id}
