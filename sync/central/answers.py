"""What a worker has to say to devices: kept in order until the connection takes it, void when there is none.

Decided here: the bounds, in messages and in bytes. Past them the oldest are lost, as any message may be, and so is one
that the broker never takes; devices ask again. Implements WI-70 of docs/spec/wire.md.
"""

from __future__ import annotations

import logging
from collections import deque

from sync.link import Buffer, Link
from vedette import topics
from vedette.errors import Refused
from vedette.wire import FromCentre

_log = logging.getLogger("vedette.ingest")

MAX_WAITING = 10_000
MAX_WAITING_BYTES = 32 << 20


class Answers:
    """One queue in front of one link."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._waiting: deque[tuple[str, bytes, Buffer, bool]] = deque()
        self.waiting_bytes = 0

    def send(self, device: str, message: FromCentre) -> None:
        """Say `message` to `device` at the next flush."""
        self.publish(topics.topic(device, message), message.encode())

    def publish(self, topic: str, payload: bytes, *, behind: Buffer = b"", retain: bool = False) -> None:
        """Publish at the next flush what has no message type of its own; `behind` and `retain` as in `Link`."""
        self._waiting.append((topic, payload, behind, retain))
        self.waiting_bytes += len(payload) + len(behind)
        while len(self._waiting) > MAX_WAITING or (self.waiting_bytes > MAX_WAITING_BYTES and len(self._waiting) > 1):
            self._drop_first()

    def flush(self) -> None:
        """Publish as much as the connection takes; without one all of it is void."""
        if not self._link.connected:
            self._waiting.clear()
            self.waiting_bytes = 0
        while self._waiting:
            topic, payload, behind, retain = self._waiting[0]
            try:
                if not self._link.publish(topic, payload, behind=behind, retain=retain):
                    break
            except Refused as error:  # the broker takes no message so large: it would be in the way for ever
                _log.error("not said: %s", error)
            self._drop_first()

    def _drop_first(self) -> None:
        _topic, payload, behind, _retain = self._waiting.popleft()
        self.waiting_bytes -= len(payload) + len(behind)
