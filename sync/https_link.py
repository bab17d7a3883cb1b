"""A link over HTTPS to the depot: what the uplink would publish over MQTT goes as tus 1.0 requests, answers come back.

Decided here: init becomes a creation, parts that follow each other become one PATCH, fin asks for the receipt; what
the server answers is handed on as the messages they are on the wire, so that the sender's state machine is the same on
both ways. One thread, one connection (`sync.https_session`); a request that fails, or is cut, ends the session, and
whoever asked asks again. Implements DE-10 to DE-15 of docs/spec/depot.md.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import queue
import random
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from sync.client_tls import client_tls
from sync.https_session import CONNECT_TIMEOUT_S, HttpsSession
from sync.https_session import HttpsConfig as HttpsConfig
from sync.link import Connected, Disconnected, Event, Message, backoff_us
from vedette import wire
from vedette.clock import Clock
from vedette.errors import Integrity
from vedette.wire import Fin, Grant, Init, Part, Refuse, Sealed

TUS = {"Tus-Resumable": "1.0.0"}
ANSWER_HEADER = "Vedette-Answer"
MAX_EVENTS = 256
MAX_BODY_BYTES = 4 << 20
MAX_ANSWER_BYTES = wire.MAX_CONTROL_BYTES
STABLE_US = 30_000_000
LOOK_S = 0.2


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
        self._events: queue.Queue[tuple[Event, HttpsSession | None]] = queue.Queue(MAX_EVENTS)
        self._next: Init | Part | Fin | None = None
        self._part_sizes: dict[str, int] = {}
        self._session: HttpsSession | None = None
        self._over = threading.Event()
        self._outdated = threading.Event()
        self._thread = threading.Thread(target=self._run, name="https", daemon=True)
        self._thread.start()

    @property
    def connected(self) -> bool:
        """A session is up as far as the caller's thread has heard."""
        return self._session is not None

    def send(self, message: Init | Part | Fin) -> bool:
        """As in `Door`; a part has no CRC on this way, TLS and the item's hash find what it would."""
        if self._session is None:
            return False
        try:
            self._session.jobs.put_nowait(message)
        except queue.Full:
            return False
        return True

    def poll(self, timeout_s: float) -> list[Event]:
        """As in `Door`."""
        events: list[tuple[Event, HttpsSession | None]] = []
        with contextlib.suppress(queue.Empty):
            while len(events) < MAX_EVENTS:
                events.append(self._events.get(block=not events and timeout_s > 0, timeout=timeout_s or None))
        for event, session in events:
            if isinstance(event, (Connected, Disconnected)):
                self._session = session
        return [event for event, _session in events]

    def cut(self, reason: str) -> None:
        """As in `Door`."""
        session, self._session = self._session, None
        if session is not None:
            session.cut(reason)

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
        self.cut("closed")
        self._thread.join(timeout=2 * CONNECT_TIMEOUT_S)

    def _run(self) -> None:
        attempt = 0
        while not self._over.is_set():
            began_us = self._clock.mono_us()
            why = self._one_session()
            lasted = self._clock.mono_us() - began_us > STABLE_US
            attempt = 1 if lasted else attempt + 1
            if not self._over.is_set():
                self._tell(Disconnected(reason=why))
            self._over.wait(backoff_us(attempt, self._jitter_permille()) / 1_000_000)

    def _one_session(self) -> str:
        """From a connection to its end; why it ended."""
        self._outdated.clear()  # before the certificate is read: one that is taken up right now ends this session
        session = HttpsSession(self._config, self._tls)
        self._next = None
        self._part_sizes.clear()
        try:
            session.connect()
            self._request(session, "OPTIONS", "/files", {}, b"")
            self._tell(Connected(), session)
            while not (self._over.is_set() or self._outdated.is_set() or session.why_cut):
                job = self._take(session, block=True)
                if job is not None:
                    self._do(session, job)
        except (OSError, http.client.HTTPException, Integrity, ValueError) as error:
            return session.why_cut or f"the depot's door: {error or type(error).__name__}"
        finally:
            session.end()
        return session.why_cut or ("closed" if self._over.is_set() else "a new certificate is taken up")

    def _take(self, session: HttpsSession, *, block: bool) -> Init | Part | Fin | None:
        job, self._next = self._next, None
        if job is None:
            with contextlib.suppress(queue.Empty):
                job = session.jobs.get(block=block, timeout=LOOK_S)
        return job

    def _do(self, session: HttpsSession, job: Init | Part | Fin) -> None:
        if isinstance(job, Init):
            value = base64.b64encode(job.encode()).decode()
            headers = {"Upload-Length": str(job.size), "Upload-Metadata": f"init {value}"}
            self._request(session, "POST", "/files", headers, b"")
        elif isinstance(job, Fin):
            self._request(session, "GET", f"/files/{job.item}", {}, b"")
        else:
            self._send_parts(session, job)

    def _send_parts(self, session: HttpsSession, first: Part) -> None:
        """`first` and those waiting behind it that go on where it ends."""
        run, size = [first], len(first.payload)
        while size + len(first.payload) <= MAX_BODY_BYTES:
            job = self._take(session, block=False)
            if not isinstance(job, Part) or (job.item, job.index) != (first.item, run[-1].index + 1):
                self._next = job
                break
            run.append(job)
            size += len(job.payload)
        offset = first.index * self._part_sizes.get(first.item, len(first.payload))
        headers = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": str(offset)}
        self._request(session, "PATCH", f"/files/{first.item}", headers, b"".join(one.payload for one in run))

    def _request(self, session: HttpsSession, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        """One request; what it is answered goes to the caller's thread. Raises OSError or HTTPException."""
        session.request(method, path, body=body or None, headers={**TUS, **headers})
        with session.getresponse() as response:
            content = response.read(MAX_ANSWER_BYTES + 1)
            is_whole = response.isclosed()
        name, _, value = response.headers.get(ANSWER_HEADER, "").partition(" ")
        if not name and method == "OPTIONS" and response.status == 204:
            return
        if not name or len(content) > MAX_ANSWER_BYTES or not is_whole:
            raise http.client.HTTPException(f"{method} was answered by {response.status} {response.reason[:60]}")
        payload = base64.b64decode(value) if value else content
        message = wire.decode(name, payload)
        if isinstance(message, Grant):
            self._part_sizes[message.item] = message.part_size
        elif isinstance(message, (Sealed, Refuse)):
            self._part_sizes.pop(message.item, None)
        self._tell(Message(topic=f"cmd/{self._config.device}/{name}", payload=payload))

    def _tell(self, event: Event, session: HttpsSession | None = None) -> None:
        """Hand an event, and a session that begins, to the caller's thread, which may be busy; nothing is lost."""
        while not self._over.is_set():
            with contextlib.suppress(queue.Full):
                self._events.put((event, session), timeout=LOOK_S)
                return
