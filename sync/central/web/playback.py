"""How a recording is opened for a person: identities in memory for one session, and opened bytes streamed by range.

Decided here: the identities that a person lends live in this process's memory only, under the name of their session,
and are dropped after `unlock_minutes` without playback, on "lock", at sign-out or when the process ends. Opened video
is made chunk by chunk as the browser asks for it and never written anywhere. Of a file that power loss cut, every
whole chunk is shown. Implements HTTP ranges (RFC 9110 section 14) for one range.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from vedette.clock import Clock
from vedette.errors import Refused, VedetteError
from vedette.sealed import Identity, SealedReader, parse_identity, recover

MAX_IDENTITY_BYTES = 16 * 1024
MAX_UNLOCKED = 200
PIECE_BYTES = 64 * 1024
_RANGE = re.compile(r"^bytes=(\d{0,18})-(\d{0,18})$")


@dataclass(slots=True)
class _Lent:
    identities: tuple[Identity, ...]
    reason: str
    used_us: int
    looked: set[str]


class Keyring:
    """The identities lent by signed-in people, by session name, with the reason given. Called from the server's worker
    threads.
    """

    def __init__(self, clock: Clock, *, idle_s: int) -> None:
        self._clock = clock
        self._idle_us = idle_s * 1_000_000
        self._lock = threading.Lock()
        self._lent: dict[str, _Lent] = {}

    def lend(self, session: str, identities: Sequence[Identity], reason: str) -> None:
        """Keep `identities` for this session until it goes idle; `Refused` when too many people hold keys already."""
        with self._lock:
            self._drop_idle()
            if len(self._lent) >= MAX_UNLOCKED and session not in self._lent:
                raise Refused(f"{MAX_UNLOCKED} sessions hold an evidence key already; one of them must lock first")
            self._lent[session] = _Lent(tuple(identities), reason, self._clock.mono_us(), set())

    def use(self, session: str) -> Sequence[Identity]:
        """The session's identities (empty when locked), which stay for another idle time."""
        with self._lock:
            self._drop_idle()
            lent = self._lent.get(session)
            if lent is None:
                return ()
            lent.used_us = self._clock.mono_us()
            return lent.identities

    def first_look(self, session: str, item: str) -> str | None:
        """The reason this session gave when it has not looked at `item` since it unlocked, else None."""
        with self._lock:
            lent = self._lent.get(session)
            if lent is None or item in lent.looked:
                return None
            lent.looked.add(item)
            return lent.reason

    def seconds_left(self, session: str) -> int:
        """Seconds until this session locks by itself; 0 when it is locked."""
        with self._lock:
            self._drop_idle()
            lent = self._lent.get(session)
            return 0 if lent is None else (lent.used_us + self._idle_us - self._clock.mono_us()) // 1_000_000

    def lock(self, session: str) -> None:
        """Drop the session's identities now."""
        with self._lock:
            self._lent.pop(session, None)

    def _drop_idle(self) -> None:
        oldest_us = self._clock.mono_us() - self._idle_us
        self._lent = {name: lent for name, lent in self._lent.items() if lent.used_us > oldest_us}


def read_identities(file_bytes: bytes) -> list[Identity]:
    """The identities in an identity file's bytes; `Refused` when there is none, without repeating any of it."""
    if len(file_bytes) > MAX_IDENTITY_BYTES:
        raise Refused("the file is too large to be an identity file")
    lines = [line.strip() for line in file_bytes.decode("ascii", "replace").splitlines()]
    keys = [line for line in lines if line and not line.startswith("#")]
    try:
        identities = [parse_identity(line) for line in keys]
    except VedetteError:
        identities = []
    if not identities:
        # Raised outside the handler: the cause may quote the key, and this message reaches a page and a log.
        raise Refused("the file holds no identity; it is a text file with a line AGE-SECRET-KEY-…")
    return identities


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """Bytes `first` up to and including `last` of `size`; `partial` when the browser asked for a range."""

    first: int
    last: int
    size: int
    partial: bool

    @property
    def length(self) -> int:
        """How many bytes it is."""
        return self.last - self.first + 1


def span_of(header: str | None, size: int) -> Span | None:
    """The bytes that a Range header asks for (all of them without one or with one we do not read); None when there are
    none.
    """
    match = _RANGE.match(header.strip()) if header else None
    if match is None or match.groups() == ("", ""):
        return Span(first=0, last=size - 1, size=size, partial=False)
    first_text, last_text = match.groups()
    if not first_text:
        first, last = max(0, size - int(last_text)), size - 1
    else:
        first, last = int(first_text), min(int(last_text or size - 1), size - 1)
    if first > last:
        return None
    return Span(first=first, last=last, size=size, partial=True)


class Opened(Protocol):
    """A sealed item opened for one answer; `close` is called when the answer has been sent or abandoned."""

    size: int

    def pieces(self, span: Span) -> Iterator[bytes]:
        """The opened bytes of `span`, in pieces."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...


def open_item(source: BinaryIO, identities: Sequence[Identity], *, complete: bool) -> Opened:
    """The item in `source`, which is closed with it (at once on an error); `NoMatch` when the identities are not its
    own.
    """
    try:
        return WholeItem(source, identities) if complete else CutItem(source, identities)
    except BaseException:
        source.close()
        raise


class WholeItem:
    """A complete sealed file: any range costs only its own chunks."""

    def __init__(self, source: BinaryIO, identities: Sequence[Identity]) -> None:
        self._source = source
        self._reader = SealedReader(source, identities)
        self.size = self._reader.size

    def pieces(self, span: Span) -> Iterator[bytes]:
        """The opened bytes of `span`, 64 KiB at a time."""
        left = span.length
        self._reader.seek(span.first)
        while left > 0 and (piece := self._reader.read(min(PIECE_BYTES, left))):
            left -= len(piece)
            yield piece

    def close(self) -> None:
        """Release the file."""
        self._source.close()


class CutItem:
    """A sealed file without its end: it is walked from the start each time, which a segment of a minute allows."""

    def __init__(self, source: BinaryIO, identities: Sequence[Identity]) -> None:
        self._source = source
        self._identities = identities
        self.size = sum(map(len, recover(source, identities)))

    def pieces(self, span: Span) -> Iterator[bytes]:
        """The opened bytes of `span`, chunk by chunk."""
        self._source.seek(0)
        start = 0
        for chunk in recover(self._source, self._identities):
            piece = chunk[max(0, span.first - start) : max(0, span.last + 1 - start)]
            start += len(chunk)
            if piece:
                yield piece

    def close(self) -> None:
        """Release the file."""
        self._source.close()
