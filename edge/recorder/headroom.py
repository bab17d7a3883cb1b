"""How much space of the disk what is recorded now may take.

Decided here: what was asked for may use room that the rest may not (`edge.room` has the ladder), a disk that does not
answer has none, and which failure of a write means that it is full.
"""

from __future__ import annotations

import errno
from pathlib import Path

from edge.recorder.fragments import StreamFault
from edge.recorder.terms import Terms
from edge.room import spare_bytes
from vedette.errors import Refused

DISK_FULL, DISK_FAULT, STREAM_FAULT = "disk_full", "disk_fault", "stream_fault"
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_LITTLE_BYTES = 1 << 20


class Headroom:
    """The free space of the disk under `folder`; `is_marked` says that what is recorded now is marked or asked for."""

    def __init__(self, folder: Path, terms: Terms) -> None:
        self._folder, self._terms = folder, terms
        self.is_marked = False

    def free_bytes(self) -> int:
        """The free space of the disk."""
        try:
            return self._terms.free_bytes(self._folder)
        except OSError:
            return 0

    def usable_bytes(self) -> int:
        """The free space that what is recorded now may still take."""
        return max(0, self.free_bytes() - self._bound_bytes)

    @property
    def is_short(self) -> bool:
        """Whether less is free than must stay so."""
        return self.free_bytes() < self._bound_bytes

    @property
    def has_spare(self) -> bool:
        """Whether there is some more than must stay free, so that recording can begin again."""
        return self.free_bytes() >= self._bound_bytes + spare_bytes(self._bound_bytes)

    @property
    def is_gone(self) -> bool:
        """Whether there is next to nothing left, bounds or not."""
        return self.free_bytes() < _LITTLE_BYTES

    def name(self, error: OSError | Refused) -> str:
        """What the trouble is called in which a write failed."""
        if isinstance(error, StreamFault):
            return STREAM_FAULT
        return DISK_FULL if getattr(error, "errno", None) in _NO_SPACE or self.is_gone else DISK_FAULT

    @property
    def _bound_bytes(self) -> int:
        least, marked = self._terms.min_free_bytes, self._terms.marked_min_free_bytes
        return least if marked is None or not self.is_marked else min(least, marked)
