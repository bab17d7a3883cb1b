"""The audit's trials of what the broker keeps, takes and tells (WI-10 to WI-15 of docs/spec/wire.md)."""

from __future__ import annotations

import time
from dataclasses import replace

from sync.central.check import Broker, Trial
from sync.central.greeting import MQTT_311, greet
from sync.central.probe import SETTLE_S, wait
from vedette.wire import MAX_PACKET_BYTES, MAX_PART_BYTES

MIN_RECEIVE_MAXIMUM = 20
SHARED_MESSAGES = 40
NOBODY_LISTENS = 0x10
_TOLD_BY_5 = frozenset({"mqtt-5", "limits", "packet-told", "nobody-listens"})
_PART_FRAME_BYTES = 1024
_NEEDED = ("RetainAvailable", "WildcardSubscriptionAvailable")


def _mqtt_5(broker: Broker) -> tuple[bool, str]:
    with broker.client(broker.device) as device:
        missing = [name for name in _NEEDED if device.allowed.get(name, 1) == 0]
        if device.allowed.get("MaximumQoS", 2) < 1:
            missing.append("QoS 1")
    return not missing, f"the broker says it lacks {', '.join(missing)}" if missing else "connected, nothing is missing"


def _mqtt_311(broker: Broker) -> tuple[bool, str]:
    answer = greet(broker.host, broker.port, broker.context(broker.device), broker.device, version=MQTT_311)
    return answer.is_in, "connected" if answer.is_in else f"refused: {answer.why or f'reason {answer.code}'}"


def _told(broker: Broker) -> tuple[bool, str]:
    with broker.client(broker.device) as device:
        packet = device.allowed.get("MaximumPacketSize")
        window = device.allowed.get("ReceiveMaximum")
    is_enough = (packet or MAX_PACKET_BYTES) >= MAX_PACKET_BYTES and (window or 65_535) >= MIN_RECEIVE_MAXIMUM
    seen = f"largest packet {packet or 'not told'}, receive maximum {window or 'not told (65535)'}"
    return is_enough, seen


def _packet_told(broker: Broker) -> tuple[bool, str]:
    with broker.client(broker.device) as device:
        packet = device.allowed.get("MaximumPacketSize")
    return packet is not None, f"told: {packet}" if packet else "not told: a larger packet would end the connection"


def _largest_part(broker: Broker) -> tuple[bool, str]:
    payload = b"part" + bytes(MAX_PART_BYTES + _PART_FRAME_BYTES)
    with broker.client(broker.device) as device, broker.listener() as listener:
        listener.subscribe(broker.said_by("+"))
        device.publish(broker.said_by(broker.device), payload)
        arrived = listener.has(payload)
    return arrived, f"{len(payload)} bytes {'arrived' if arrived else 'did not arrive'}"


def _retained(broker: Broker) -> tuple[bool, str]:
    return _kept(broker, broker.said_by(broker.device))


def _retained_for_all(broker: Broker) -> tuple[bool, str]:
    return _kept(broker, broker.said_by("+"))


def _kept(broker: Broker, wanted: str) -> tuple[bool, str]:
    """Whether who subscribes to `wanted` later gets what was retained, and no more after it was cleared."""
    topic = broker.said_by(broker.device)
    with broker.client(broker.device) as device:
        device.publish(topic, b"kept", retain=True)
        with broker.listener() as listener:
            listener.subscribe(wanted)
            arrived = listener.has(b"kept")
            is_marked = any(one.retained for one in listener.heard if one.payload == b"kept")
        device.publish(topic, b"", retain=True)
        with broker.listener() as listener:
            listener.subscribe(wanted)
            time.sleep(SETTLE_S)
            is_cleared = not listener.heard
    seen = f"kept: {arrived and is_marked}, cleared by an empty one: {is_cleared}"
    return arrived and is_marked and is_cleared, seen


def _shared(broker: Broker) -> tuple[bool, str]:
    topic = broker.said_by(broker.device)
    with broker.listener(0) as one, broker.listener(1) as two, broker.client(broker.device) as device:
        codes = {client.subscribe(f"$share/check/{broker.said_by('+')}") for client in (one, two)}
        for number in range(SHARED_MESSAGES):
            device.publish(topic, b"%d" % number)
        wait(lambda: len(one.heard) + len(two.heard) >= SHARED_MESSAGES)
        time.sleep(SETTLE_S)
        counts = len(one.heard), len(two.heard)
        once = sorted(int(heard.payload) for client in (one, two) for heard in client.heard)
    holds = once == list(range(SHARED_MESSAGES)) and min(counts) > 0
    granted = codes <= {0, 1, 2}
    return holds and granted, f"{SHARED_MESSAGES} messages, the two workers got {counts[0]} and {counts[1]}"


def _expiry(broker: Broker) -> tuple[bool, str]:
    topic = broker.said_to(broker.device)
    # What a session with an end is to MQTT 5 is a clean one to 3.1.1.
    clean = broker.version == MQTT_311
    with broker.client(broker.device, clean=clean) as device:
        device.subscribe(topic)
        device.drop()
    with broker.listener() as listener:
        listener.publish(topic, b"while away")
    with broker.client(broker.device, clean=clean) as device:
        late = device.has(b"while away", SETTLE_S * 2)
        kept = device.session_present
    return not (late or kept), f"session kept: {kept}; message of meanwhile delivered: {late}"


def _nobody(broker: Broker) -> tuple[bool, str]:
    with broker.client(broker.device) as device:
        code = device.publish(broker.said_by(broker.device), b"anybody?")
    return code == NOBODY_LISTENS, "told" if code == NOBODY_LISTENS else f"not told (reason {code})"


SESSION = (
    Trial(
        name="mqtt-5",
        asked="MQTT 5 with retained messages, wildcards and QoS 1",
        run=_mqtt_5,
        advice="switch the missing feature on, or use another broker",
    ),
    Trial(
        name="mqtt-3.1.1",
        asked="MQTT 3.1.1 is spoken",
        run=_mqtt_311,
        is_must=False,
        advice="only needed where a device's library speaks nothing newer",
    ),
    Trial(
        name="limits",
        asked="packets of 2 MiB and 20 unacknowledged messages are allowed",
        run=_told,
        advice=f"allow packets of {MAX_PACKET_BYTES} bytes and a receive maximum of {MIN_RECEIVE_MAXIMUM} or more",
    ),
    Trial(
        name="packet-told",
        asked="the largest packet is told to clients",
        run=_packet_told,
        is_must=False,
        advice="nothing to do: devices keep to 2 MiB; the broker must take that",
    ),
    Trial(
        name="largest-part",
        asked="the largest part arrives",
        run=_largest_part,
        advice=f"allow packets of {MAX_PACKET_BYTES} bytes in both directions",
    ),
    Trial(
        name="retained",
        asked="retained messages are kept and can be cleared",
        run=_retained,
        advice="allow retained messages; births are retained",
    ),
    Trial(
        name="retained-for-all",
        asked="retained messages of all devices are given to a new subscriber",
        run=_retained_for_all,
        is_must=False,
        advice="nothing to do: after its restart the centre sees who is there at their next status",
    ),
    Trial(
        name="shared",
        asked="shared subscriptions spread messages, each to one worker",
        is_must=False,
        run=_shared,
        advice="nothing to do with one ingest worker, which then subscribes plainly; several workers need them",
    ),
    Trial(
        name="session-expiry",
        asked="a session that expires at once leaves nothing behind",
        run=_expiry,
        advice="the broker must honour session expiry 0; a kept session strands messages of a dead worker",
    ),
    Trial(
        name="nobody-listens",
        asked="the broker tells when nobody hears a message",
        run=_nobody,
        is_must=False,
        advice="nothing to do: devices find out by silence instead, a little later",
    ),
)


def session_trials(version: int) -> tuple[Trial, ...]:
    """What is tried of a broker to which this version is spoken: 3.1.1 cannot tell what 5 tells."""
    if version != MQTT_311:
        return SESSION
    kept = (one for one in SESSION if one.name not in _TOLD_BY_5)
    return tuple(replace(one, is_must=True) if one.name == "mqtt-3.1.1" else one for one in kept)
