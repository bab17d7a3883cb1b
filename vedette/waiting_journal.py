"""A custody journal that waits for a disk that takes its first line, for a service that must run without.

Decided here: a full disk keeps neither the uplink from starting, since sending is what empties it (WI-33), nor the
reader, since the officer is to be warned (HT-35); another process that writes the same journal does. Each call tries
the disk again; what could not be written is the caller's to keep or to lose.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from vedette.clock import Clock
from vedette.custody import Entry, Journal, NoRoom
from vedette.custody_entry import DetailValue
from vedette.keys import SigningKey


class WaitingJournal:
    """The journal of one service on one device, opened when the disk allows it. Not for several threads."""

    def __init__(self, folder: Path, *, service: str, device: str, key: SigningKey, clock: Clock) -> None:
        """Try at once; raises Refused when another process writes this journal."""
        self.service = service
        self.device = device
        self.key = key
        self._folder = folder
        self._clock = clock
        self._opened: Journal | None = None
        with suppress(NoRoom):
            self.opened()

    @property
    def is_open(self) -> bool:
        """Whether the disk has taken the first line."""
        return self._opened is not None

    @property
    def head(self) -> tuple[int, str]:
        """(seq, SHA-256 in hex) of the last line; raises `NoRoom` as long as there is none."""
        return self.opened().head

    def opened(self) -> Journal:
        """The journal; raises `NoRoom` as long as the disk takes no line."""
        if self._opened is None:
            self._opened = Journal.open(
                self._folder, service=self.service, device=self.device, key=self.key, clock=self._clock
            )
        return self._opened

    def append(self, event: str, item: str | None = None, detail: Mapping[str, DetailValue] | None = None) -> Entry:
        """Write one line; raises VedetteError when it is not durable."""
        return self.opened().append(event, item, detail)

    def close(self) -> None:
        """Let go of the journal."""
        if self._opened is not None:
            self._opened.close()
