"""One MQTT client of the audit: connects once with what it is given and tells exactly what the broker answered.

Decided here: nothing is tried again, every wait has an end. Not the product's link (sync/paho_link.py), which hides a
broker's peculiarities on purpose. paho's network thread only appends to lists that the caller's thread reads.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from paho.mqtt.client import Client, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from sync.link import Will
from vedette.errors import Refused

WAIT_S = 3.0
SETTLE_S = 0.2
KEEPALIVE_S = 20
_TICK_S = 0.01


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """One message a client of the audit got."""

    topic: str
    payload: bytes
    retained: bool


def wait(fact: Callable[[], object], most_s: float = WAIT_S) -> bool:
    """Whether `fact` became true within `most_s` seconds."""
    end = time.monotonic() + most_s
    while not fact():
        if time.monotonic() > end:
            return False
        time.sleep(_TICK_S)
    return True


class Probe:
    """A client that is connected between `with` and its end; `Refused` where the broker does not let it in."""

    def __init__(
        self,
        host: str,
        port: int,
        context: ssl.SSLContext,
        client_id: str,
        *,
        version: MQTTProtocolVersion = MQTTv5,
        clean: bool = True,
        username: str = "",
        will: Will | None = None,
    ) -> None:
        self._where = host, port
        self._clean = clean
        self._version = version
        self.heard: list[Heard] = []
        self.code: int | None = None
        self.allowed: dict[str, Any] = {}
        self.session_present = False
        self.connected = False
        self._subscribed: queue.Queue[int] = queue.Queue()
        self._published: dict[int, int] = {}
        clean_session = clean if version == MQTTv311 else None
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=version,
            clean_session=clean_session,
            reconnect_on_failure=False,
        )
        self._client.tls_set_context(context)
        self._client.connect_timeout = WAIT_S
        if username:
            self._client.username_pw_set(username)
        if will is not None:
            self._client.will_set(will.topic, will.payload, qos=1)
        self._listen()

    def __enter__(self) -> Probe:
        more: dict[str, Any] = {}
        if self._version == MQTTv5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = 0
            more = {"clean_start": self._clean, "properties": properties}
        try:
            self._client.connect(*self._where, KEEPALIVE_S, **more)
        except (OSError, ValueError) as error:
            raise Refused(f"the broker did not let the audit in: {error}") from None
        self._client.loop_start()
        if not wait(lambda: self.code is not None) or not self.connected:
            self._client.loop_stop()
            raise Refused(f"the broker did not let the audit in: reason {self.code}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def subscribe(self, topic: str) -> int | None:
        """The broker's reason code (below 128: granted); None when it ended the session or did not answer."""
        self._client.subscribe(topic, qos=1)
        end = time.monotonic() + WAIT_S
        while self.connected and time.monotonic() < end:
            with contextlib.suppress(queue.Empty):
                return self._subscribed.get(timeout=_TICK_S)
        return None

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int | None:
        """The broker's reason code for this message; None when it ended the session or did not answer."""
        mid = self._client.publish(topic, payload, qos=1, retain=retain).mid
        wait(lambda: mid in self._published or not self.connected)
        return self._published.get(mid)

    def has(self, payload: bytes, most_s: float = WAIT_S) -> bool:
        """Whether a message with this payload arrives in time."""
        return wait(lambda: any(one.payload == payload for one in self.heard), most_s)

    def drop(self) -> None:
        """Cut the connection as a dead network does, so that the broker publishes the will."""
        connection = self._client.socket()
        if connection is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)  # type: ignore[arg-type]
        wait(lambda: not self.connected)

    def _listen(self) -> None:
        def on_connect(_client: Client, _data: Any, flags: Any, code: Any, allowed: Properties | None) -> None:
            self.session_present = bool(flags.session_present)
            names = getattr(allowed, "names", {}) if allowed is not None else {}
            found = {name.replace(" ", ""): getattr(allowed, name.replace(" ", ""), None) for name in names}
            self.allowed = {name: value for name, value in found.items() if value is not None}
            self.connected = not code.is_failure
            self.code = code.value

        def on_disconnect(*_: object) -> None:
            self.connected = False

        def on_message(_client: Client, _data: Any, message: MQTTMessage) -> None:
            self.heard.append(Heard(topic=message.topic, payload=bytes(message.payload), retained=bool(message.retain)))

        def on_subscribe(_client: Client, _data: Any, _mid: int, codes: list[Any], _p: Any) -> None:
            self._subscribed.put(max((code.value for code in codes), default=0x80))

        def on_publish(_client: Client, _data: Any, mid: int, code: Any, _p: Any) -> None:
            self._published[mid] = code.value

        client = self._client
        client.on_connect, client.on_disconnect, client.on_message = on_connect, on_disconnect, on_message
        client.on_subscribe, client.on_publish = on_subscribe, on_publish
