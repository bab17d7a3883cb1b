"""The MQTT port on paho-mqtt 2: MQTT 5 (or 3.1.1) over TLS 1.3 with a client certificate.

Decided here: every session is a new paho client (one that reconnects would send its old messages again), nothing is
published while there is no session, and what the broker has not acknowledged is bounded by a window, as paho bounds
neither; so are the bytes that a broker which does not read leaves here. The caller's thread reads in `poll` and writes
in `publish` and `poll`: a hand-over between threads for each record of a part cost more than the part. Whoever does not
poll for longer than a keepalive loses the session.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from sync.client_tls import client_tls
from sync.link import Buffer, Connected, Disconnected, Event, Undelivered, backoff_us
from sync.paho_session import ACK_TIMEOUT_US as ACK_TIMEOUT_US
from sync.paho_session import SESSION_TIMEOUT_US as SESSION_TIMEOUT_US
from sync.paho_session import LinkConfig as LinkConfig
from sync.paho_session import Readable, Session, wait
from sync.paho_session import mark as mark
from vedette.clock import Clock
from vedette.errors import Refused

STABLE_US = 30_000_000
PACKET_OVERHEAD_BYTES = 64
MAX_UNSENT_BYTES = 32 << 20  # more than a device has on its way: 20 parts of 1 MiB
MAX_BACKLOG_BYTES = 32 << 20
GOODBYE_S = 2.0
GOODBYE_POLLS = 40
NOBODY_LISTENS = 0x10


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
        self._beside: tuple[PahoLink, ...] = ()
        self._heard_with: tuple[PahoLink, ...] = ()
        self._also: tuple[Readable, ...] = ()
        self._session: Session | None = None
        self._attempt = 0
        self._next_try_us = 0
        self._unsent_bytes = self._backlog_bytes = 0
        self._closed = False

    @property
    def connected(self) -> bool:
        """A session is up as far as the caller's thread has heard."""
        return self._session is not None and self._session.up

    @property
    def emptied(self) -> bool:
        """As in `Link`; where there is no session nothing can have come."""
        return self._session is None or self._session.emptied

    @property
    def waited_us(self) -> int | None:
        """As in `Link`."""
        return None if self._session is None else self._session.waited_us

    @property
    def settled(self) -> bool:
        """Nothing that was begun waits: no attempt to connect, no message to be acknowledged, no event to be heard."""
        session = self._session
        return session is None or (session.up and session.settled and not session.events)

    def publish(self, topic: str, payload: bytes, *, behind: Buffer = b"", retain: bool = False) -> bool:
        """As in `Link`."""
        session = self._session
        if session is None or not session.up:
            return False
        size = len(payload) + len(behind)
        if size + len(topic) + PACKET_OVERHEAD_BYTES > session.packet_bytes:
            raise Refused(f"{topic}: {size} bytes, the broker takes packets of {session.packet_bytes}")
        if session.settled:
            session.acked_us = self._clock.mono_us()
        if not session.backlog and self._has_room(session):
            return self._send(session, topic, payload, behind, retain)
        if len(session.backlog) >= self._config.backlog or self._backlog_bytes >= MAX_BACKLOG_BYTES:
            return False
        session.backlog.append((topic, payload, behind, retain))
        self._backlog_bytes += size
        return True

    def _has_room(self, session: Session) -> bool:
        """Whether the broker may be sent more: its window is not full, nor does it leave too much unread here."""
        return not session.full and (self._unsent_bytes < MAX_UNSENT_BYTES or not session.client.want_write())

    def _send(self, session: Session, topic: str, payload: bytes, behind: Buffer, retain: bool) -> bool:
        unsent_bytes = self._unsent_bytes if session.client.want_write() else 0
        sent = session.send(topic, payload, behind, retain)
        self._unsent_bytes = unsent_bytes + len(payload) + len(behind)
        return sent

    def wake_for(self, others: Sequence[PahoLink], also: Sequence[Readable] = ()) -> None:
        """Let `poll` also end its wait when one of `others` can go on writing, so that whoever polls it next may.

        It ends as well when one of `also` has something to read.
        """
        self._beside, self._also = tuple(others), tuple(also)

    def hear_with(self, others: Sequence[PahoLink]) -> None:
        """Let `poll` also end its wait when one of `others` has something to be polled for."""
        self._heard_with = tuple(others)

    def poll(self, timeout_s: float) -> list[Event]:
        """As in `Link`, and the broker's complaints."""
        if self._closed:
            return []
        events = self._connect_when_due()
        session = self._session
        if timeout_s > 0 and not events:
            heard = [one._session for one in (self, *self._heard_with) if one._session is not None]
            beside = [one._session for one in self._beside if one._session is not None]
            wait(heard, beside, timeout_s, self._also)
        if session is not None:
            session.pump()
            while session.events:
                event = session.events.popleft()
                events.append(event)
                self._note(session, event)
                if session is not self._session:
                    break
        return events + self._work_off()

    def cut(self, reason: str) -> None:
        """As in `BulkLink`."""
        session = self._session
        if session is not None:
            session.events.append(Disconnected(reason=reason))
            session.up = False
            session.drop_unsent()
            session.end()

    def take_up(self, certificate: Path, key: Path, ca: Path | None = None) -> None:
        """Connect with this certificate from now on, and with these authorities; without `ca` they stay as they are.

        The session is ended and made anew. Refused if the files do not load. What was on its way is lost, as with any
        session.
        """
        config = replace(self._config, certificate=certificate, key=key, ca=ca or self._config.ca)
        self._tls, self._config = client_tls(config.ca, config.certificate, config.key), config
        session = self._session
        if session is not None:
            session.events.append(Disconnected(reason="a new certificate is taken up"))
            session.up = False
            session.end()

    def close(self) -> None:
        """As in `Link`; waits up to GOODBYE_S each for the broker to have taken the last words and the goodbye."""
        session = self._session
        for _ in range(GOODBYE_POLLS):
            if session is None or session is not self._session or session.settled:
                break
            self.poll(GOODBYE_S / GOODBYE_POLLS)
        self._closed = True
        session, self._session = self._session, None
        if session is None:
            return
        session.say_goodbye()
        until = time.monotonic() + GOODBYE_S
        while session.up and not session.events and time.monotonic() < until:
            wait((session,), (), GOODBYE_S / GOODBYE_POLLS)
            session.pump()
        session.end()

    def _connect_when_due(self) -> list[Event]:
        now_us = self._clock.mono_us()
        session = self._session
        if session is None and now_us >= self._next_try_us:
            self._session = Session(self._config, self._tls, now_us)
            self._unsent_bytes = self._backlog_bytes = 0
        if session is None or now_us <= session.answer_due_us:
            return []
        late = Disconnected(reason="the broker did not answer in time")
        self._note(session, late)
        return [late]

    def _note(self, session: Session, event: Event) -> None:
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
            topic, reason = session.acks.popleft()
            session.acked_us = self._clock.mono_us()
            if reason.value >= NOBODY_LISTENS:
                undelivered.append(Undelivered(topic=topic, reason=str(reason)))
        while session is not None and session.backlog and self._has_room(session):
            topic, payload, behind, retain = session.backlog[0]
            if not self._send(session, topic, payload, behind, retain):
                break
            session.backlog.popleft()
            self._backlog_bytes -= len(payload) + len(behind)
        return undelivered
