"""Hears at once that an item came to the spool, so that a hit does not wait for the next look at the folders.

Decided here: only a word in time is taken from the kernel's inotify, never the truth: the uplink looks at the folders
ten times a second whether it heard anything or not, and goes on without where the kernel has no more watches to give.
Implements WI-69 of docs/spec/wire.md.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from inotify_simple import INotify, flags, parse_events

from vedette.records import KINDS

MOST_BYTES = 64 * 1024
_log = logging.getLogger("vedette.uplink")


class Arrivals:
    """The folders of a spool, watched for manifests that appear."""

    def __init__(self, spool_root: Path) -> None:
        self._inotify = INotify(nonblocking=True)
        for kind in KINDS:
            self._inotify.add_watch(spool_root / kind, flags.CREATE | flags.MOVED_TO)

    def fileno(self) -> int:
        """Readable when there is something to hear."""
        return int(self._inotify.fileno())

    def any(self) -> bool:
        """Whether a manifest came since the last time this was asked, or so much that the kernel does not know."""
        heard = False
        while data := self._next():
            events = parse_events(data)
            heard = heard or any(one.mask & flags.Q_OVERFLOW or one.name.endswith(".manifest") for one in events)
        return heard

    def close(self) -> None:
        """Hear no more."""
        self._inotify.close()

    def _next(self) -> bytes:
        try:
            return os.read(self._inotify.fileno(), MOST_BYTES)
        except BlockingIOError:
            return b""


def arrivals(spool_root: Path) -> Arrivals | None:
    """The watch of this spool; None, with a line in the log, where the kernel has none to give."""
    try:
        return Arrivals(spool_root)
    except OSError as error:
        _log.warning("new items are found by looking ten times a second, as the kernel gives no watch: %s", error)
        return None
