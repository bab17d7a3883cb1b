"""The uplink's custody journal, which waits for a disk that takes its first line.

Decided here: a full disk must not keep the uplink from starting, since sending is what empties it (WI-33); another
uplink on the same folder must. What could not be written is lost to custody and said in the status.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from vedette.custody import Journal, NoRoom
from vedette.custody_entry import DetailValue


class UplinkJournal:
    """A journal that is opened when the disk allows it."""

    def __init__(self, open_journal: Callable[[], Journal]) -> None:
        """Try at once; raises Refused when another process writes this journal."""
        self._open = open_journal
        self._opened: Journal | None = None
        with suppress(NoRoom):
            self.opened()

    def opened(self) -> Journal:
        """The journal; raises `NoRoom` as long as the disk takes no line."""
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    def append(self, event: str, item: str | None, detail: Mapping[str, DetailValue]) -> None:
        """Write one line; raises VedetteError when it is not durable."""
        self.opened().append(event, item, detail)

    def close(self) -> None:
        """Let go of the journal."""
        if self._opened is not None:
            self._opened.close()
