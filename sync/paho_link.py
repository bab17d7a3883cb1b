"""The MQTT port on paho-mqtt 2: MQTT 5 (or 3.1.1) over TLS 1.3 with a client certificate.

Decided here: every session is a new paho client (one that reconnects would send its old messages again), nothing is
published while there is no session, and what the broker has not acknowledged is bounded by a window, as paho bounds
neither. paho runs one network thread for each session; its callbacks only put into bounded queues that the caller's
thread empties in `poll`. They never publish, and the one that paho calls with its own lock held never waits.
"""

from __future__ import annotations

import contextlib
import queue
import random
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from sync.client_tls import client_tls
from sync.link import Connected, Disconnected, Event, Message, Undelivered, Will, backoff_us
from sync.paho_client import LeanClient
from vedette.clock import Clock
from vedette.errors import Refused
from vedette.wire import MAX_PACKET_BYTES

MAX_WAITING_EVENTS = 64
MAX_WAITING_ACKS = 4096
CONNECT_TIMEOUT_S = 5.0
SESSION_TIMEOUT_US = 30_000_000
ACK_TIMEOUT_US = 120_000_000
STABLE_US = 30_000_000
PACKET_OVERHEAD_BYTES = 64
GOODBYE_S = 2.0
GOODBYE_POLLS = 40
NOBODY_LISTENS = 0x10


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkConfig:
    """Where to connect, as whom (the certificate's common name is user name and client id), and what to hear.

    `window` bounds what the broker has not acknowledged yet, `backlog` what waits here for room in that window, both in
    messages. A device wants no backlog, so that what is urgent when there is room goes first. `dscp` marks its packets.
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
    version: Literal["5", "3.1.1"] = "5"


@dataclass(kw_only=True, slots=True, eq=False)
class _Session:
    """One paho client from the attempt to connect to its end, and what the broker allows it."""

    client: Client
    began_us: int
    up: bool = False
    over: bool = False
    acked_us: int = 0
    window: int
    packet_bytes: int = MAX_PACKET_BYTES
    topics: dict[int, str] = field(default_factory=dict)
    backlog: deque[tuple[str, bytes, bool]] = field(default_factory=deque)
    acks: deque[tuple[int, ReasonCode]] = field(default_factory=lambda: deque(maxlen=MAX_WAITING_ACKS))

    @property
    def answer_due_us(self) -> int:
        """When a broker that has said nothing counts as dead, though the connection looks alive."""
        if not self.up:
            return self.began_us + SESSION_TIMEOUT_US
        return self.acked_us + ACK_TIMEOUT_US if len(self.topics) > len(self.acks) else sys.maxsize

    @property
    def full(self) -> bool:
        """The broker has a whole window of messages to acknowledge."""
        return len(self.topics) - len(self.acks) >= self.window

    def send(self, topic: str, payload: bytes, retain: bool) -> bool:
        """Publish by QoS 1, so that the broker tells when nobody listens."""
        told = self.client.publish(topic, payload, qos=1, retain=retain)
        if told.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            return False
        self.topics[told.mid] = topic
        return True

    def drop_unsent(self) -> None:
        """Let the kernel throw away what it has not sent when the socket is closed (it sends a reset)."""
        connection = self.client.socket()
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # type: ignore[attr-defined]

    def end(self) -> None:
        """Make the network thread leave without waiting for it, also where the network is dead."""
        self.over = True
        self.client.disconnect()
        connection = self.client.socket()
        if connection is not None:
            with contextlib.suppress(OSError):
                # Not SSLSocket.shutdown: that drops the encryption first, while the other thread may still write.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)  # type: ignore[arg-type]


def _jitter_permille() -> int:
    return random.randrange(1000)


class PahoLink:
    """`Link` on paho-mqtt. Raises NotFound or Refused where certificate, key or CA cannot be used."""

    def __init__(
        self, config: LinkConfig, clock: Clock, *, jitter_permille: Callable[[], int] = _jitter_permille
    ) -> None:
        self._config = config
        self._clock = clock
        self._jitter_permille = jitter_permille
        self._tls = client_tls(config.ca, config.certificate, config.key)
        self._events: queue.Queue[tuple[_Session, Event | None]] = queue.Queue(MAX_WAITING_EVENTS)
        self._session: _Session | None = None
        self._attempt = 0
        self._next_try_us = 0
        self._closed = False

    @property
    def connected(self) -> bool:
        """A session is up as far as the caller's thread has heard."""
        return self._session is not None and self._session.up

    @property
    def settled(self) -> bool:
        """Nothing that was begun waits: no attempt to connect, no message to be acknowledged, no event to be heard."""
        session = self._session
        return self._events.empty() and (session is None or (session.up and not session.topics))

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """As in `Link`."""
        session = self._session
        if session is None or not session.up:
            return False
        if len(payload) + len(topic) + PACKET_OVERHEAD_BYTES > session.packet_bytes:
            raise Refused(f"{topic}: {len(payload)} bytes, the broker takes packets of {session.packet_bytes}")
        if not session.topics:
            session.acked_us = self._clock.mono_us()
        if not session.full and not session.backlog:
            return session.send(topic, payload, retain)
        if len(session.backlog) >= self._config.backlog:
            return False
        session.backlog.append((topic, payload, retain))
        return True

    def poll(self, timeout_s: float) -> list[Event]:
        """As in `Link`; at most MAX_WAITING_EVENTS at once, and the broker's complaints."""
        if self._closed:
            return []
        events = self._connect_when_due()
        wait_s = 0.0 if events else timeout_s
        for _ in range(MAX_WAITING_EVENTS):
            try:
                session, event = self._events.get(timeout=wait_s) if wait_s > 0 else self._events.get_nowait()
            except queue.Empty:
                break
            wait_s = 0.0
            if session is self._session and event is not None:
                events.append(event)
                self._note(session, event)
        return events + self._work_off()

    def cut(self, reason: str) -> None:
        """As in `BulkLink`."""
        session = self._session
        if session is not None:
            with contextlib.suppress(queue.Full):
                self._events.put_nowait((session, Disconnected(reason=reason)))
            session.up = False
            session.drop_unsent()
            session.end()

    def take_up(self, certificate: Path, key: Path) -> None:
        """Connect with this certificate from now on: the session is ended and made anew. Refused if it does not load.

        What was on its way is lost, as with any session.
        """
        config = replace(self._config, certificate=certificate, key=key)
        self._tls, self._config = client_tls(config.ca, config.certificate, config.key), config
        session = self._session
        if session is not None:
            with contextlib.suppress(queue.Full):
                self._events.put_nowait((session, Disconnected(reason="a new certificate is taken up")))
            session.up = False
            session.end()

    def close(self) -> None:
        """As in `Link`; waits up to GOODBYE_S each for the broker to have taken the last words and the goodbye."""
        session = self._session
        for _ in range(GOODBYE_POLLS):
            if session is None or session is not self._session or not session.topics:
                break
            self.poll(GOODBYE_S / GOODBYE_POLLS)
        self._closed = True
        session, self._session = self._session, None
        if session is None:
            return
        session.client.disconnect()
        with contextlib.suppress(queue.Empty):
            while session.up and not isinstance(self._events.get(timeout=GOODBYE_S)[1], Disconnected):
                pass
        session.end()

    def _connect_when_due(self) -> list[Event]:
        now_us = self._clock.mono_us()
        session = self._session
        if session is None and now_us >= self._next_try_us:
            self._session = self._open(now_us)
        if session is None or now_us <= session.answer_due_us:
            return []
        late = Disconnected(reason="the broker did not answer in time")
        self._note(session, late)
        return [late]

    def _note(self, session: _Session, event: Event) -> None:
        now_us = self._clock.mono_us()
        if isinstance(event, Connected):
            session.up, session.began_us = True, now_us
        elif isinstance(event, Disconnected):
            lasted = session.up and now_us - session.began_us > STABLE_US
            self._attempt = 1 if lasted else self._attempt + 1
            self._next_try_us = now_us + backoff_us(self._attempt, self._jitter_permille())
            self._session = None
            session.end()

    def _work_off(self) -> list[Event]:
        """Take note of what the broker acknowledged, fill the room that makes, return what nobody will get."""
        session = self._session
        undelivered: list[Event] = []
        while session is not None and session.acks:
            mid, reason = session.acks.popleft()
            session.acked_us = self._clock.mono_us()
            topic = session.topics.pop(mid, "")
            if topic and reason.value >= NOBODY_LISTENS:
                undelivered.append(Undelivered(topic=topic, reason=str(reason)))
        while session is not None and session.backlog and not session.full and session.send(*session.backlog[0]):
            session.backlog.popleft()
        return undelivered

    def _put(self, session: _Session, event: Event) -> None:
        """Hand an event to the caller's thread; a caller that does not come for a whole keepalive loses the session."""
        try:
            self._events.put((session, event), timeout=0 if session.over else self._config.keepalive_s)
        except queue.Full:
            session.end()

    def _open(self, now_us: int) -> _Session:
        config = self._config
        is_old = config.version == "3.1.1"
        client = LeanClient(
            CallbackAPIVersion.VERSION2,
            client_id=config.client_id,
            clean_session=True if is_old else None,
            protocol=MQTTv311 if is_old else MQTTv5,
            reconnect_on_failure=False,
        )
        session = _Session(client=client, began_us=now_us, window=config.window)
        client.tls_set_context(self._tls)
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.max_inflight_messages_set(config.window)
        client.max_queued_messages_set(config.window)
        if config.will is not None:
            client.will_set(config.will.topic, config.will.payload, qos=1, retain=True)
        self._listen(session)
        if is_old:
            client.connect_async(config.host, config.port, config.keepalive_s)
        else:
            limits = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            limits.SessionExpiryInterval = 0
            limits.MaximumPacketSize = MAX_PACKET_BYTES
            client.connect_async(config.host, config.port, config.keepalive_s, clean_start=True, properties=limits)
        client.loop_start()
        return session

    def _listen(self, session: _Session) -> None:
        """Set the callbacks; all run on the session's network thread."""
        subscriptions = [(topic, 1) for topic in self._config.subscriptions]
        # A broker without shared subscriptions (RabbitMQ) does for one worker, which then gets everything itself.
        plain = [(topic.split("/", 2)[2] if topic.startswith("$share/") else topic, 1) for topic, _qos in subscriptions]

        def on_connect(
            client: Client, _data: Any, _flags: ConnectFlags, code: ReasonCode, allowed: Properties | None
        ) -> None:
            if code.is_failure:
                self._put(session, Disconnected(reason=f"the broker refused the connection: {code}"))
            elif session.over:
                client.disconnect()
            else:
                session.window = min(session.window, getattr(allowed, "ReceiveMaximum", session.window))
                session.packet_bytes = min(
                    session.packet_bytes, getattr(allowed, "MaximumPacketSize", MAX_PACKET_BYTES)
                )
                client.subscribe(subscriptions if getattr(allowed, "SharedSubscriptionAvailable", 1) else plain)

        def on_subscribe(client: Client, _data: Any, _mid: int, codes: list[ReasonCode], _p: Properties | None) -> None:
            refused = next((code for code in codes if code.is_failure), None)
            self._put(session, Disconnected(reason=f"subscription refused: {refused}") if refused else Connected())

        def on_disconnect(
            client: Client, _data: Any, _flags: DisconnectFlags, code: ReasonCode, _p: Properties | None
        ) -> None:
            self._put(session, Disconnected(reason=str(code)))

        def on_connect_fail(client: Client, _data: Any) -> None:
            self._put(session, Disconnected(reason=f"cannot connect: {sys.exc_info()[1] or 'no reason given'}"))

        def on_message(client: Client, _data: Any, message: MQTTMessage) -> None:
            self._put(session, Message(topic=message.topic, payload=bytes(message.payload), retained=message.retain))

        def on_publish(client: Client, _data: Any, mid: int, code: ReasonCode, _p: Properties) -> None:
            # paho holds the lock that publish() needs: waiting here would deadlock.
            session.acks.append((mid, code))
            if session.backlog:
                with contextlib.suppress(queue.Full):
                    self._events.put_nowait((session, None))

        def on_socket_open(client: Client, _data: Any, connection: Any) -> None:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            mark(connection, self._config.dscp)

        client = session.client
        client.on_connect, client.on_subscribe, client.on_disconnect = on_connect, on_subscribe, on_disconnect
        client.on_connect_fail, client.on_message, client.on_publish = on_connect_fail, on_message, on_publish
        client.on_socket_open = on_socket_open


def mark(connection: socket.socket, dscp: int) -> None:
    """Mark the packets of `connection` for the routers on the way (RFC 2474); 0 leaves them as they are."""
    if dscp and connection.family == socket.AF_INET6:
        connection.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp << 2)
    elif dscp:
        connection.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)
