"""A link over HTTPS to the depot: what the uplink would publish over MQTT goes as tus 1.0 requests, answers come back.

Decided here: init becomes a creation, parts that follow each other become one PATCH, fin asks for the receipt; what
the server answers is handed on as the messages they are on the wire, so that the sender's state machine is the same on
both ways. One thread, one connection; a request that fails ends the session, and whoever asked asks again. Implements
DE-10 to DE-13 of docs/spec/depot.md.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import queue
import random
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from sync.client_tls import client_tls
from sync.link import Connected, Disconnected, Event, Message, backoff_us
from vedette import wire
from vedette.clock import Clock
from vedette.errors import Integrity
from vedette.wire import Fin, Grant, Init, Part, Refuse, Sealed

TUS = {"Tus-Resumable": "1.0.0"}
ANSWER_HEADER = "Vedette-Answer"
MAX_WAITING = 64
MAX_EVENTS = 256
MAX_BODY_BYTES = 4 << 20
MAX_ANSWER_BYTES = wire.MAX_CONTROL_BYTES
TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 5.0
STABLE_US = 30_000_000
LOOK_S = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpsConfig:
    """Where the depot's door is, and as whom to knock."""

    host: str
    port: int
    device: str
    ca: Path
    certificate: Path
    key: Path


def _jitter_permille() -> int:
    return random.randrange(1000)


class HttpsLink:
    """`Door` over HTTPS. Raises NotFound or Refused where certificate, key or CA cannot be used."""

    def __init__(
        self, config: HttpsConfig, clock: Clock, *, jitter_permille: Callable[[], int] = _jitter_permille
    ) -> None:
        self._config = config
        self._clock = clock
        self._jitter_permille = jitter_permille
        self._tls = client_tls(config.ca, config.certificate, config.key)
        self._jobs: queue.Queue[Init | Part | Fin] = queue.Queue(MAX_WAITING)
        self._events: queue.Queue[Event] = queue.Queue(MAX_EVENTS)
        self._next: Init | Part | Fin | None = None
        self._part_sizes: dict[str, int] = {}
        self._up = False
        self._over = threading.Event()
        self._outdated = threading.Event()
        self._thread = threading.Thread(target=self._run, name="https", daemon=True)
        self._thread.start()

    @property
    def connected(self) -> bool:
        """A session is up as far as the caller's thread has heard."""
        return self._up

    def send(self, message: Init | Part | Fin) -> bool:
        """As in `Door`; a part has no CRC on this way, TLS and the item's hash find what it would."""
        if not self._up:
            return False
        try:
            self._jobs.put_nowait(message)
        except queue.Full:
            return False
        return True

    def poll(self, timeout_s: float) -> list[Event]:
        """As in `Door`."""
        events: list[Event] = []
        with contextlib.suppress(queue.Empty):
            while len(events) < MAX_EVENTS:
                events.append(self._events.get(block=not events and timeout_s > 0, timeout=timeout_s or None))
        for event in events:
            if isinstance(event, (Connected, Disconnected)):
                self._up = isinstance(event, Connected)
        return events

    def take_up(self, certificate: Path, key: Path, ca: Path | None = None) -> None:
        """Connect with this certificate from now on, and with these authorities; without `ca` they stay as they are.

        Refused, with the old ones in use, if the files do not load. A request under way comes to its end first; then
        the session is ended and made anew.
        """
        config = replace(self._config, certificate=certificate, key=key, ca=ca or self._config.ca)
        self._tls, self._config = client_tls(config.ca, config.certificate, config.key), config
        self._outdated.set()

    def close(self) -> None:
        """As in `Door`; a request under way is given up."""
        self._over.set()
        self._up = False
        self._thread.join(timeout=2 * CONNECT_TIMEOUT_S)

    def _run(self) -> None:
        attempt = 0
        while not self._over.is_set():
            began_us = self._clock.mono_us()
            why = self._session()
            lasted = self._clock.mono_us() - began_us > STABLE_US
            attempt = 1 if lasted else attempt + 1
            if not self._over.is_set():
                self._tell(Disconnected(reason=why))
            self._over.wait(backoff_us(attempt, self._jitter_permille()) / 1_000_000)

    def _session(self) -> str:
        """From a connection to its end; why it ended."""
        self._outdated.clear()  # before the certificate is read: one that is taken up right now ends this session
        connection = http.client.HTTPSConnection(
            self._config.host, self._config.port, timeout=CONNECT_TIMEOUT_S, context=self._tls
        )
        try:
            connection.connect()
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sock.settimeout(TIMEOUT_S)
            self._request(connection, "OPTIONS", "/files", {}, b"")
            with contextlib.suppress(queue.Empty):  # what was meant for the session before
                while True:
                    self._jobs.get_nowait()
            self._next = None
            self._part_sizes.clear()
            self._tell(Connected())
            while not self._over.is_set() and not self._outdated.is_set():
                job = self._take(block=True)
                if job is not None:
                    self._do(connection, job)
        except (OSError, http.client.HTTPException, Integrity, ValueError) as error:
            return f"the depot's door: {error or type(error).__name__}"
        finally:
            connection.close()
        return "closed" if self._over.is_set() else "a new certificate is taken up"

    def _take(self, *, block: bool) -> Init | Part | Fin | None:
        job, self._next = self._next, None
        if job is None:
            with contextlib.suppress(queue.Empty):
                job = self._jobs.get(block=block, timeout=LOOK_S)
        return job

    def _do(self, connection: http.client.HTTPSConnection, job: Init | Part | Fin) -> None:
        if isinstance(job, Init):
            value = base64.b64encode(job.encode()).decode()
            headers = {"Upload-Length": str(job.size), "Upload-Metadata": f"init {value}"}
            self._request(connection, "POST", "/files", headers, b"")
        elif isinstance(job, Fin):
            self._request(connection, "GET", f"/files/{job.item}", {}, b"")
        else:
            self._send_parts(connection, job)

    def _send_parts(self, connection: http.client.HTTPSConnection, first: Part) -> None:
        """`first` and those waiting behind it that go on where it ends."""
        run, size = [first], len(first.payload)
        while size + len(first.payload) <= MAX_BODY_BYTES:
            job = self._take(block=False)
            if not isinstance(job, Part) or (job.item, job.index) != (first.item, run[-1].index + 1):
                self._next = job
                break
            run.append(job)
            size += len(job.payload)
        offset = first.index * self._part_sizes.get(first.item, len(first.payload))
        headers = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": str(offset)}
        self._request(connection, "PATCH", f"/files/{first.item}", headers, b"".join(one.payload for one in run))

    def _request(
        self, connection: http.client.HTTPSConnection, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> None:
        """One request; what it is answered goes to the caller's thread. Raises OSError or HTTPException."""
        connection.request(method, path, body=body or None, headers={**TUS, **headers})
        response = connection.getresponse()
        content = response.read(MAX_ANSWER_BYTES + 1)
        name, _, value = response.headers.get(ANSWER_HEADER, "").partition(" ")
        if not name and method == "OPTIONS" and response.status == 204:
            return
        if not name or len(content) > MAX_ANSWER_BYTES or not response.isclosed():
            raise http.client.HTTPException(f"{method} was answered by {response.status} {response.reason[:60]}")
        payload = base64.b64decode(value) if value else content
        message = wire.decode(name, payload)
        if isinstance(message, Grant):
            self._part_sizes[message.item] = message.part_size
        elif isinstance(message, (Sealed, Refuse)):
            self._part_sizes.pop(message.item, None)
        self._tell(Message(topic=f"cmd/{self._config.device}/{name}", payload=payload))

    def _tell(self, event: Event) -> None:
        """Hand an event to the caller's thread, which may be busy; nothing is thrown away."""
        while not self._over.is_set():
            with contextlib.suppress(queue.Full):
                self._events.put(event, timeout=LOOK_S)
                return
