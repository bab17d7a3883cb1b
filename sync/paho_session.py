"""One MQTT session on paho-mqtt 2 from the attempt to connect to its end; `sync.paho_link` decides when there is one.

Decided here: what is said to the broker at its beginning, what the broker allows it, and that the caller's thread does
all of the work in `pump` and in `send`. Only the attempt to connect, which waits for name, network and handshake, has a
thread of its own; it ends before the first packet is read.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from sync.bulk_socket import drop_unsent
from sync.bulk_socket import mark as mark
from sync.link import MAX_BYTES_AT_ONCE, MAX_MESSAGES_AT_ONCE, Buffer, Connected, Disconnected, Event, Message, Will
from sync.paho_client import LeanClient
from vedette.wire import MAX_PACKET_BYTES, Part

MAX_WAITING_ACKS = 4096
PART_LEVEL = f"/{Part.name}/"
CONNECT_TIMEOUT_S = 5.0
CONNECTING_LOOK_S = 0.02
SESSION_TIMEOUT_US = 30_000_000
ACK_TIMEOUT_US = 120_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalSocket:
    """A broker's Unix domain socket on this machine, and the password for it; see `sync.central.mosquitto`."""

    path: Path
    password: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkConfig:
    """Where to connect, as whom (the certificate's common name is user name and client id), and what to hear.

    `window` bounds what the broker has not acknowledged yet, `backlog` what waits here for room in that window, both in
    messages. A device wants no backlog, so that what is urgent when there is room goes first. `dscp` marks its packets.
    With `local` it goes there in place of `host` and `port`, without TLS.
    MQTT 3.1.1 tells neither the broker's limits nor that nobody listens; silence does, a little later.
    """

    host: str
    port: int
    client_id: str
    ca: Path
    certificate: Path
    key: Path
    subscriptions: tuple[str, ...]
    will: Will | None = None
    keepalive_s: int = 20
    window: int = 20
    backlog: int = 1024
    dscp: int = 0
    local: LocalSocket | None = None
    version: Literal["5", "3.1.1"] = "5"


class Session:
    """One paho client and what the broker allows it; everything but the connecting is done by the caller's thread."""

    def __init__(self, config: LinkConfig, tls: ssl.SSLContext, now_us: int) -> None:
        self._config = config
        self.began_us = now_us
        self.up = self.over = False
        self.acked_us = 0
        self.window = config.window
        self.packet_bytes = MAX_PACKET_BYTES
        self.backlog: deque[tuple[str, bytes, Buffer, bool]] = deque()
        self.acks: deque[tuple[str, ReasonCode]] = deque(maxlen=MAX_WAITING_ACKS)
        self.events: deque[Event] = deque()
        self._is_old = config.version == "3.1.1"
        self.client = self._client(tls)
        self._failure = ""
        self._tried = threading.Event()
        self._ending = threading.Lock()
        threading.Thread(target=self._connect, name="mqtt-connect", daemon=True).start()

    @property
    def answer_due_us(self) -> int:
        """When a broker that has said nothing counts as dead, though the connection looks alive."""
        if not self.up:
            return self.began_us + SESSION_TIMEOUT_US
        return self.acked_us + ACK_TIMEOUT_US if self.client.unanswered else sys.maxsize

    @property
    def full(self) -> bool:
        """The broker has a whole window of messages to acknowledge."""
        return self.client.unanswered >= self.window

    @property
    def settled(self) -> bool:
        """The broker has taken all there was, and the caller has heard of it."""
        return not self.client.unanswered and not self.acks

    @property
    def emptied(self) -> bool:
        """The last `pump` has read all that had come."""
        return self.client.emptied

    @property
    def waited_us(self) -> int | None:
        """As in `LeanClient`."""
        return self.client.waited_us

    def send(self, topic: str, payload: bytes, behind: Buffer, retain: bool) -> bool:
        """Publish by QoS 1, so that the broker tells when nobody listens; as much as the socket takes goes at once."""
        return self.client.put(topic, payload, behind, retain=retain)

    def pump(self) -> None:
        """Read what has come, as much as `poll` may tell at once, write what the socket takes, keep it alive."""
        if self.over or not self._tried.is_set():
            return
        if self._failure:
            self.events.append(Disconnected(reason=f"cannot connect: {self._failure}"))
            self._failure = ""
            return
        client = self.client
        client.read_packets(MAX_MESSAGES_AT_ONCE, MAX_BYTES_AT_ONCE)
        if client.want_write():
            client.loop_write()
        client.loop_misc()

    def drop_unsent(self) -> None:
        """Let the kernel throw away what it has not sent when the socket is closed (it sends a reset)."""
        connection = self.client.socket()
        if connection is not None:
            drop_unsent(connection)  # type: ignore[arg-type]

    def say_goodbye(self) -> None:
        """Queue MQTT's own goodbye; `pump` sends it."""
        if self._tried.is_set():
            self.client.disconnect()

    def end(self) -> None:
        """Close the connection as it is; an attempt that is still being made closes its own."""
        with self._ending:
            self.over = True
            if self._tried.is_set():
                self.client.drop()

    def _connect(self) -> None:
        """On a thread of its own: everything that may wait."""
        config = self._config
        more: dict[str, Any] = {}
        if not self._is_old:
            limits = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            limits.SessionExpiryInterval = 0
            limits.MaximumPacketSize = MAX_PACKET_BYTES
            more = {"clean_start": True, "properties": limits}
        try:
            if config.local is None:
                self.client.connect(config.host, config.port, config.keepalive_s, **more)
            else:
                with short_address(config.local.path) as path:
                    self.client.connect(path, config.port, config.keepalive_s, **more)
        except (OSError, ValueError) as error:
            self._failure = str(error) or type(error).__name__
        with self._ending:
            self._tried.set()
            if self.over:
                self.client.drop()

    def _client(self, tls: ssl.SSLContext) -> LeanClient:
        config = self._config
        client = LeanClient(
            CallbackAPIVersion.VERSION2,
            client_id=config.client_id,
            clean_session=True if self._is_old else None,
            protocol=MQTTv311 if self._is_old else MQTTv5,
            transport="unix" if config.local else "tcp",
            reconnect_on_failure=False,
            deliver=self._on_message,
            answered=self._on_answer,
        )
        if config.local is None:
            client.tls_set_context(tls)
        else:
            client.username_pw_set(config.client_id, config.local.password)
        client.connect_timeout = CONNECT_TIMEOUT_S
        if config.will is not None:
            client.will_set(config.will.topic, config.will.payload, qos=1, retain=True)
        client.on_connect, client.on_subscribe = self._on_connect, self._on_subscribe
        client.on_disconnect, client.on_socket_open = self._on_disconnect, self._on_socket_open
        return client

    def _on_connect(
        self, client: Client, _data: Any, _flags: ConnectFlags, code: ReasonCode, allowed: Properties | None
    ) -> None:
        if code.is_failure:
            self.events.append(Disconnected(reason=f"the broker refused the connection: {code}"))
            return
        self.window = min(self.window, getattr(allowed, "ReceiveMaximum", self.window))
        self.packet_bytes = min(self.packet_bytes, getattr(allowed, "MaximumPacketSize", MAX_PACKET_BYTES))
        shares = not self._is_old and getattr(allowed, "SharedSubscriptionAvailable", True)
        # A broker without shared subscriptions (RabbitMQ, MQTT 3.1.1) does for one worker, which then gets everything.
        client.subscribe([(topic if shares else _unshared(topic), 1) for topic in self._config.subscriptions])

    def _on_subscribe(
        self, _client: Client, _data: Any, _mid: int, codes: list[ReasonCode], _properties: Properties | None
    ) -> None:
        refused = next((code for code in codes if code.is_failure), None)
        self.events.append(Disconnected(reason=f"subscription refused: {refused}") if refused else Connected())

    def _on_disconnect(
        self, _client: Client, _data: Any, _flags: DisconnectFlags, code: ReasonCode, _properties: Properties | None
    ) -> None:
        self.events.append(Disconnected(reason=str(code)))

    def _on_message(self, topic: str, payload: memoryview, retained: bool) -> None:
        """A part is taken in before the next look, and is worth not to be copied; whatever else is copied."""
        kept = payload if PART_LEVEL in topic else bytes(payload)
        self.events.append(Message(topic=topic, payload=kept, retained=retained))

    def _on_answer(self, topic: str, reason: ReasonCode) -> None:
        self.acks.append((topic, reason))

    def _on_socket_open(self, _client: Client, _data: Any, connection: Any) -> None:
        """On the connecting thread."""
        if self._config.local is not None:
            return
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        mark(connection, self._config.dscp)

    def interest(self, *, reading: bool) -> tuple[socket.socket | None, int]:
        """The socket and for what it is waited on; none while connecting, and no mask where nothing is wanted."""
        if not self._tried.is_set():
            return None, 0
        connection = self.client.socket()
        reading = (reading or self.full) and not self.client.is_choked
        wanted = (select.POLLIN if reading else 0) | (select.POLLOUT if self.client.want_write() else 0)
        return connection, wanted if connection is not None else 0  # type: ignore[return-value]

    @property
    def is_connecting(self) -> bool:
        """The attempt is still being made."""
        return not self._tried.is_set()

    @property
    def is_ready(self) -> bool:
        """`pump` has something to do that no socket tells."""
        return bool(self.events) or bool(self._failure) or (self._tried.is_set() and self.client.has_pending)


class Readable(Protocol):
    """Something whose descriptor is readable when there is something to do."""

    def fileno(self) -> int:
        """The descriptor."""


def wait(heard: Sequence[Session], beside: Sequence[Session], timeout_s: float, also: Sequence[Readable] = ()) -> None:
    """Wait until one that is `heard` or of `also` has something to read, or one `heard` or `beside` can go on writing.

    `timeout_s` at most.
    """
    waiting = select.poll()
    if any(one.is_ready for one in heard):
        return
    interests = [one.interest(reading=True) for one in heard] + [one.interest(reading=False) for one in beside]
    for connection, wanted in interests:
        if connection is not None and wanted:
            waiting.register(connection, wanted)
    for one in also:
        waiting.register(one.fileno(), select.POLLIN)
    if any(one.is_connecting for one in (*heard, *beside)):
        timeout_s = min(timeout_s, CONNECTING_LOOK_S)
    waiting.poll(timeout_s * 1000)


@contextlib.contextmanager
def short_address(path: Path) -> Iterator[str]:
    """A name for the socket at `path` while this is entered, however long the path: an address takes 107 bytes."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _unshared(topic: str) -> str:
    return topic.split("/", 2)[2] if topic.startswith("$share/") else topic
