"""The MQTT port: what the uplink and the centre need of a connection, and no more.

Decided here: messages are published only while connected and are otherwise refused, never kept; whoever asked asks
again. Nothing a broker says is a receipt. The real adapter is `sync.paho_link`, the simulator's is its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from vedette.wire import Fin, Init, Part

MAX_MESSAGES_AT_ONCE = 256
MAX_BYTES_AT_ONCE = 1 << 20
Buffer = bytes | memoryview
BACKOFF_FIRST_US = 500_000
BACKOFF_MOST_US = 60_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Connected:
    """A new session; nothing of an earlier one is left: subscriptions are made, nothing is in flight."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Disconnected:
    """The session, or an attempt to make one, is over; the link tries again by itself."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A message that arrived on a topic subscribed to; the payload of a part may be good until the next `poll` only."""

    topic: str
    payload: Buffer
    retained: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Undelivered:
    """The broker took a message on `topic` and told that nobody will get it: no subscriber, or not allowed."""

    topic: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What the last `poll` told of one broker's line, as in `Link`: whether it was read to its end, and its wait."""

    emptied: bool
    waited_us: int | None


Event = Connected | Disconnected | Message | Undelivered


class Link(Protocol):
    """One connection of one identity. All methods are called by one thread."""

    @property
    def connected(self) -> bool:
        """A session is up as far as is known."""

    @property
    def emptied(self) -> bool:
        """The last `poll` ended because nothing more had come; what it returned does not tell that."""

    @property
    def waited_us(self) -> int | None:
        """How long what came with the last `poll` had waited for it, wherever it lay; None where nothing tells."""

    def publish(self, topic: str, payload: bytes, *, behind: Buffer = b"", retain: bool = False) -> bool:
        """Hand one message to the connection; False when it takes none now (not connected, or its window is full).

        `behind` is the end of the payload; it is not copied, and must not change. Raises Refused when the payload is
        larger than the broker takes.
        """

    def poll(self, timeout_s: float) -> list[Event]:
        """What happened since the last call, after waiting up to `timeout_s` for the first; reconnects when due.

        At most MAX_MESSAGES_AT_ONCE messages, and none begun after MAX_BYTES_AT_ONCE bytes.
        """

    def close(self) -> None:
        """Leave politely (no will); later calls do nothing."""


class BulkLink(Link, Protocol):
    """A device's second connection, which carries parts of recordings and can be dropped with what is still in it."""

    def cut(self, reason: str) -> None:
        """End the session without a goodbye and without what is in its socket; `poll` tells it, and reconnects."""


class Door(Protocol):
    """A connection that carries bulk uploads and nothing else, message by message. One thread calls all methods."""

    @property
    def connected(self) -> bool:
        """As in `Link`."""

    def send(self, message: Init | Part | Fin) -> bool:
        """Hand one message to the connection; False when it takes none now. A part's bytes must not change."""

    def poll(self, timeout_s: float) -> list[Event]:
        """As in `Link`."""

    def cut(self, reason: str) -> None:
        """As in `BulkLink`, and without what was handed over and is not sent."""

    def close(self) -> None:
        """As in `Link`."""


def backoff_us(attempt: int, jitter_permille: int) -> int:
    """How long to wait before try number `attempt` (1 is the first again), with `jitter_permille` from 0 to 999.

    Doubles from half a second to a minute; half of it is jitter, so that a fleet cut off together does not come back
    together.
    """
    whole = min(BACKOFF_MOST_US, BACKOFF_FIRST_US << min(max(attempt, 1) - 1, 20))
    return whole // 2 + whole * jitter_permille // 2000


@dataclass(frozen=True, kw_only=True, slots=True)
class Will:
    """What the broker publishes, retained, when the connection dies without a goodbye."""

    topic: str
    payload: bytes
