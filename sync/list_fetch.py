"""Fetching a sealed watchlist in parts, as a pure state machine; whether it is good is `vedette.watchlist`'s to say.

Decided here: which offer is followed, what is asked next, and when the same offer is not followed again for a while.
Asking is repeated until it is answered; every message may be lost, doubled or late. Implements docs/spec/wire.md,
"Watchlist".
"""

from __future__ import annotations

from vedette.wire import ListOffer, ListPart, ListWant

FIRST_RETRY_US = 5_000_000
MOST_RETRY_US = 60_000_000
MAX_TRIES = 8
REFUSED_PAUSE_US = 600_000_000


class ListFetch:
    """At most one fetch at a time, of the newest version offered. Times are monotonic microseconds."""

    def __init__(self, have_version: int) -> None:
        self.have_version = have_version
        self._offer: ListOffer | None = None
        self._got_bytes = 0
        self._asked_us: int | None = None
        self._retry_us = FIRST_RETRY_US
        self._tries = 0
        self._refused: tuple[str, int] = ("", 0)

    @property
    def offer(self) -> ListOffer | None:
        """What is being fetched."""
        return self._offer

    @property
    def whole(self) -> bool:
        """Every byte of the offered list has been taken."""
        return self._offer is not None and self._got_bytes == self._offer.size

    def wants(self, offer: ListOffer, now_us: int) -> bool:
        """Whether to begin with `offer`: newer than what is here and under way, and not refused a short while ago."""
        sha256, until_us = self._refused
        if offer.sha256 == sha256 and now_us < until_us:
            return False
        newest = max(self.have_version, self._offer.version if self._offer else 0)
        return offer.version > newest

    def begin(self, offer: ListOffer, got_bytes: int) -> None:
        """Fetch `offer`, of which the first `got_bytes` are here already."""
        self._offer, self._got_bytes = offer, min(got_bytes, offer.size)
        self._answered()

    def next_want(self, now_us: int) -> ListWant | None:
        """What to ask now; call `asked` when the link took it. An offer that nobody honours is given up."""
        if self._offer is None or self.whole:
            return None
        if self._asked_us is not None and now_us < self._asked_us + self._retry_us:
            return None
        if self._tries >= MAX_TRIES:
            self.refused(now_us)
            return None
        return ListWant(version=self._offer.version, offset=self._got_bytes)

    def asked(self, now_us: int) -> None:
        """The link took the question."""
        if self._asked_us is not None:
            self._retry_us = min(MOST_RETRY_US, self._retry_us * 2)
        self._asked_us = now_us
        self._tries += 1

    def take(self, part: ListPart) -> bytes:
        """The bytes to append; none when the part is not the one asked for or runs past the list's end."""
        offer = self._offer
        if offer is None or (part.version, part.offset) != (offer.version, self._got_bytes):
            return b""
        if part.offset + len(part.payload) > offer.size:
            return b""
        self._got_bytes += len(part.payload)
        self._answered()
        return part.payload

    def lost_session(self) -> None:
        """Ask again at once in the next session."""
        self._answered()

    def accepted(self, version: int, now_us: int) -> None:
        """The list was verified and stored; `version` is what its signature says, which an offer only claims."""
        self.have_version = version
        if self._offer is not None and self._offer.version != version:
            self.refused(now_us)
        self._offer = None

    def refused(self, now_us: int) -> None:
        """The bytes are not a list to be used: the same offer is not followed for a while."""
        if self._offer is not None:
            self._refused = (self._offer.sha256, now_us + REFUSED_PAUSE_US)
        self._offer = None

    def _answered(self) -> None:
        self._asked_us, self._retry_us, self._tries = None, FIRST_RETRY_US, 0
