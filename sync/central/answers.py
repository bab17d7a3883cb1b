"""What a worker has to say to devices: kept in order until the connection takes it, void when there is none.

Decided here: the bound. Past it the oldest are lost, as any message may be; devices ask again.
"""

from __future__ import annotations

from collections import deque

from sync.link import Link
from vedette import topics
from vedette.wire import FromCentre

MAX_WAITING = 10_000


class Answers:
    """One queue in front of one link."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._waiting: deque[tuple[str, bytes]] = deque(maxlen=MAX_WAITING)

    def send(self, device: str, message: FromCentre) -> None:
        """Say `message` to `device` at the next flush."""
        self.publish(topics.topic(device, message), message.encode())

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish at the next flush what has no message type of its own."""
        self._waiting.append((topic, payload))

    def flush(self) -> None:
        """Publish as much as the connection takes; without one all of it is void."""
        if not self._link.connected:
            self._waiting.clear()
        while self._waiting and self._link.publish(*self._waiting[0]):
            self._waiting.popleft()
