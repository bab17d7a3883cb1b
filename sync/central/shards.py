"""Several brokers as one: which are there, which of them a new device is sent to, and one link over all of them.

Decided here: a device is enrolled at the shard that its id's hash names, and stays there; the centre listens at every
shard and answers where it last heard the device, so that shards may be added without moving anybody. A broker that is
down loses what is said to its devices, as any message may be lost; what one that takes no more for now is to take waits
in a queue of its own. Neither holds up anybody else's. One look takes no more than it does from one broker; what it
leaves at a shard is first at the next. See docs/guide/scale.md. Implements WI-70 of docs/spec/wire.md.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from sync.central.answers import Answers
from sync.central.broker import broker_port
from sync.link import (
    MAX_BYTES_AT_ONCE,
    MAX_MESSAGES_AT_ONCE,
    Buffer,
    Connected,
    Disconnected,
    Event,
    Link,
    Look,
    Message,
)
from sync.paho_link import PahoLink
from vedette.config import CentralConfig
from vedette.errors import Integrity, Usage
from vedette.topics import parse_topic

MAX_SHARDS = 64
MAX_HOMES = 100_000
UNSEEN = Look(emptied=False, waited_us=None)
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]]+):(\d{1,5})")

Address = tuple[str, int]


def addresses(config: CentralConfig) -> list[Address]:
    """Every broker as central.toml names it, the first one of `host` and `port`; `Usage` where one is no address."""
    broker = config.broker
    found = [(broker.host, broker_port(config.data, broker.host, broker.port))]
    for word in broker.shards.split():
        named = _ADDRESS.fullmatch(word)
        if named is None or not 0 < int(named[2]) < 65_536:
            raise Usage(f"[broker] shards: {word[:60]!r} is no address; write host:port, an IPv6 address in brackets")
        found.append((named[1].strip("[]"), int(named[2])))
    if len(set(found)) < len(found) or len(found) > MAX_SHARDS:
        raise Usage(f"[broker] shards names one broker twice, or more than {MAX_SHARDS}")
    return found


def shard_of(device: str, shards: int) -> int:
    """The shard of a new device, 0 to `shards` - 1: the first 8 bytes of its id's SHA-256, big-endian, modulo."""
    return int.from_bytes(hashlib.sha256(device.encode()).digest()[:8], "big") % shards


def joined(links: Sequence[PahoLink]) -> Link:
    """One link over these, one for each shard in the order of `addresses`; what any of them hears ends the wait."""
    if len(links) == 1:
        return links[0]
    for link in links:
        link.hear_with([other for other in links if other is not link])
    return ShardedLink(links)


def looks_of(link: Link) -> Sequence[Look]:
    """What the last `poll` told of the line of each broker behind `link`."""
    return link.looks if isinstance(link, ShardedLink) else (Look(emptied=link.emptied, waited_us=link.waited_us),)


def homes_of(link: Link) -> tuple[int, Callable[[str], int]]:
    """How many brokers are behind `link`, and at which of them a device is."""
    return (len(link.looks), link.home) if isinstance(link, ShardedLink) else (1, lambda _device: 0)


class ShardedLink:
    """`Link` over one link for each shard, in the order of `addresses`."""

    def __init__(self, links: Sequence[Link]) -> None:
        self._links = tuple(links)
        self._answers = tuple(Answers(link) for link in self._links)
        self._homes: dict[str, int] = {}
        self._was_connected = False
        self._next = 0
        self._looks = [replace(UNSEEN, emptied=True) for _ in self._links]

    @property
    def connected(self) -> bool:
        """At least one shard is there."""
        return any(link.connected for link in self._links)

    @property
    def emptied(self) -> bool:
        """As in `Link`: the last `poll` has come to every shard, and to the end of what waited there."""
        return all(look.emptied for look in self._looks)

    @property
    def waited_us(self) -> int | None:
        """As in `Link`: the longest of those shards that the last `poll` has come to."""
        return max((look.waited_us for look in self._looks if look.waited_us is not None), default=None)

    @property
    def looks(self) -> Sequence[Look]:
        """What the last `poll` told of each shard's line; of one that it did not come to, that it was not emptied."""
        return self._looks

    def home(self, device: str) -> int:
        """The shard at which the centre last heard `device`, or the one where it belongs."""
        found = self._homes.get(device)
        return shard_of(device, len(self._links)) if found is None else found

    def publish(self, topic: str, payload: bytes, *, behind: Buffer = b"", retain: bool = False) -> bool:
        """As in `Link`, to the device's shard, and always taken: it waits for a full shard, and is void at one that is
        down.
        """
        answers = self._answers[self.home(parse_topic(topic).device)]
        answers.publish(topic, payload, behind=behind, retain=retain)
        answers.flush()
        return True

    def poll(self, timeout_s: float) -> list[Event]:
        """As in `Link`; `Connected` is the first shard that comes, `Disconnected` the last that goes."""
        for answers in self._answers:
            answers.flush()
        events = self._look(0.0)
        if timeout_s > 0 and not events:
            events = self._look(timeout_s)
        return events + self._changed()

    def close(self) -> None:
        """As in `Link`."""
        for link in self._links:
            link.close()

    def _look(self, timeout_s: float) -> list[Event]:
        """Once at every shard, or at as many as give enough for one look; the first of them does the waiting."""
        events: list[Event] = []
        self._looks = [UNSEEN for _ in self._links]
        for _ in self._links:
            if _is_enough(events):
                break
            events += self._from(self._next, timeout_s)
            link = self._links[self._next]
            self._looks[self._next] = Look(emptied=link.emptied, waited_us=link.waited_us)
            self._next = (self._next + 1) % len(self._links)
            timeout_s = 0.0
        return events

    def _from(self, index: int, timeout_s: float) -> list[Event]:
        events: list[Event] = []
        for event in self._links[index].poll(timeout_s):
            if isinstance(event, Message):
                self._heard(event.topic, index)
            if not isinstance(event, (Connected, Disconnected)):
                events.append(event)
        return events

    def _heard(self, topic: str, index: int) -> None:
        try:
            device = parse_topic(topic).device
        except Integrity:
            return
        if len(self._homes) >= MAX_HOMES and device not in self._homes:
            self._homes.clear()  # whoever speaks is found again
        self._homes[device] = index

    def _changed(self) -> list[Event]:
        before, self._was_connected = self._was_connected, self.connected
        if before == self._was_connected:
            return []
        return [Connected() if self._was_connected else Disconnected(reason="no shard's broker is there")]


def _is_enough(events: Sequence[Event]) -> bool:
    """Whether these are as many as one look is to take in before they are worked off."""
    messages = [event for event in events if isinstance(event, Message)]
    size = sum(len(message.payload) for message in messages)
    return len(messages) >= MAX_MESSAGES_AT_ONCE or size >= MAX_BYTES_AT_ONCE
