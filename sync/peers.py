"""Cameras nearby: tells them of this device's activations and starts this recorder for theirs.

Decided here: which datagram starts a recording, how often our own is sent, and what custody says of both. It is part of
the uplink because that is the only service with a network; the recorder gets a command file like any other. Who a peer
is, the centre's signed word says: its list (`sync.peer_intake`), or `peers/<device>.enrolment` in the device's folder
where there is none. Implements docs/spec/activation.md, AC-20 to AC-27.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from vedette import commands, files
from vedette.activation_record import MAX_ACTIVATION_BYTES, MAX_NAME, Activation, Fresh, open_activation
from vedette.clock import Clock, uuid7
from vedette.enrolment import Enrolment, open_enrolment
from vedette.errors import VedetteError
from vedette.keys import PublicKey, SigningKey

TELL = "tell_peers"
ANSWERED = "peer"
TIMES = 3
PAUSE_US = 150_000
MAX_HEARD = 32
MAX_PEERS = 10_000
MAX_TOLD_REFUSALS = 200
Note = Callable[[str, "dict[str, int | str | bool | None]"], None]


class Air(Protocol):
    """The local network; no method waits. See `sync.multicast.MulticastAir`."""

    def send(self, datagram: bytes) -> bool:
        """Send to everybody; False when nothing can be sent now."""

    def receive(self) -> bytes | None:
        """The next datagram that waits, or None."""

    def close(self) -> None:
        """Stop hearing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PeerParts:
    """What the post works with; `key` signs for `device`, `window_us` is how old a message may be."""

    device: str
    key: SigningKey
    peers: Mapping[str, Enrolment]
    air: Air
    run_dir: Path
    clock: Clock
    window_us: int
    note: Note


@dataclass(kw_only=True, slots=True)
class PeerCounts:
    """How many activations were told, heard and refused in this run."""

    told: int = 0
    heard: int = 0
    refused: int = 0


class PeerPost:
    """Stepped by the uplink; never waits and never raises for what the network brings."""

    def __init__(self, parts: PeerParts) -> None:
        self._parts = parts
        self._fresh = Fresh(slack_us=parts.window_us, started_us=parts.clock.utc_us())
        self._known: dict[str, Enrolment] = {}
        self.believe(parts.peers)
        self._outgoing: dict[bytes, tuple[int, int]] = {}
        self.counts = PeerCounts()

    def believe(self, peers: Mapping[str, Enrolment]) -> None:
        """From now on these are the peers, and nobody else."""
        parts = self._parts
        own = Enrolment(device=parts.device, key=parts.key.public, certificate_serial="", enrolled_us=0)
        # A member of a group hears itself; what it hears of itself is known as its own and left alone.
        self._known = {**peers, parts.key.public.key_id: own}

    def step(self, now_us: int) -> None:
        """Take what the recorder wants told, hear what came, send what is due."""
        with contextlib.suppress(OSError):
            for body in commands.take(self._parts.run_dir, "uplink"):
                self._take(body, now_us)
        for datagram in self._waiting():
            self._hear(datagram)
        self._send(now_us)

    def close(self) -> None:
        """Leave the network."""
        self._parts.air.close()

    def _take(self, body: Mapping[str, Any], now_us: int) -> None:
        why, at_us = body.get("activation"), body.get("at_us")
        if body.get("command") != TELL or not isinstance(why, str) or not 0 < len(why) <= MAX_NAME:
            return
        clock = self._parts.clock
        sent_us = clock.utc_us()
        at_us = at_us if isinstance(at_us, int) and not isinstance(at_us, bool) and 0 <= at_us <= sent_us else sent_us
        said = Activation(id=uuid7(clock), device=self._parts.device, activation=why, at_us=at_us, sent_us=sent_us)
        self._outgoing[said.sign(self._parts.key)] = (TIMES, now_us)
        self.counts.told += 1
        self._parts.note("peer.told", {"activation": why, "id": said.id})

    def _send(self, now_us: int) -> None:
        """Several times, because a datagram may be lost; hearing it twice changes nothing."""
        for datagram, (left, due_us) in list(self._outgoing.items()):
            if now_us < due_us:
                continue
            self._parts.air.send(datagram)
            del self._outgoing[datagram]
            if left > 1:
                self._outgoing[datagram] = (left - 1, now_us + PAUSE_US)

    def _waiting(self) -> Iterator[bytes]:
        for _ in range(MAX_HEARD):
            datagram = self._parts.air.receive()
            if datagram is None:
                return
            yield datagram

    def _hear(self, datagram: bytes) -> None:
        parts = self._parts
        try:
            heard = open_activation(datagram, self._known)
            if heard.device == parts.device or self._fresh.knows(heard.id):
                return
            now_us = parts.clock.utc_us()
            self._fresh.admit(heard.id, from_us=heard.sent_us, until_us=heard.sent_us, now_us=now_us)
            body = {"command": "start", "activation": ANSWERED, "id": heard.id}
            commands.post(parts.run_dir, "recorder", body, clock=parts.clock)
        except (VedetteError, OSError) as error:
            self._refuse(str(error))
            return
        self.counts.heard += 1
        parts.note("peer.heard", {"device": heard.device, "activation": heard.activation, "id": heard.id})

    def _refuse(self, why: str) -> None:
        self.counts.refused += 1
        if self.counts.refused <= MAX_TOLD_REFUSALS:
            self._parts.note("peer.refused", {"why": why[:300]})


def load_peers(folder: Path, centre: Mapping[str, PublicKey], *, own: str) -> dict[str, Enrolment]:
    """The enrolments in `folder` (`*.enrolment`, signed by the centre) by key id, without `own`; none without a folder.

    A file that is no enrolment by the centre is left out: a peer less, never a stop of the uplink.
    """
    found: dict[str, Enrolment] = {}
    for path in sorted(folder.glob("*.enrolment"))[:MAX_PEERS]:
        with contextlib.suppress(VedetteError):
            peer = open_enrolment(files.read(path, max_bytes=4 * MAX_ACTIVATION_BYTES), centre)
            if peer.device != own:
                found[peer.key.key_id] = peer
    return found
