"""When an officer is told by light and vibration that the storage fills up (docs/spec/storage.md).

Decided here: each step that is worse than the one before is told once, and what stands is told again when a recording
begins or, where nothing can be recorded, is asked for. It waits until another signal is over and is not cut into it,
and it waits until stealth is over. Implements ST-8 and ST-9.
"""

from __future__ import annotations

from collections.abc import Mapping

from edge.board.alerts import CONTINUOUS_STOPPED, ROOM_LOW, STORAGE_FULL
from edge.board.port import AlertPattern
from vedette.storage import Storage

APART_US = 4_000_000
PATTERNS: Mapping[Storage, AlertPattern] = {
    Storage.LOW: ROOM_LOW,
    Storage.CONTINUOUS_STOPPED: CONTINUOUS_STOPPED,
    Storage.FULL: STORAGE_FULL,
}


class StorageSign:
    """Whether a sign is due; times are microseconds of the monotonic clock."""

    def __init__(self) -> None:
        self._step = Storage.ENOUGH
        self._is_due = False

    def note(self, step: Storage, *, begins: bool) -> None:
        """The recorder says `step`; `begins` where a recording began, or was asked for and cannot begin."""
        if step > self._step or begins:
            self._is_due = True
        if step is Storage.ENOUGH:
            self._is_due = False
        self._step = step

    def due(self, *, now_us: int, signalled_us: int | None) -> AlertPattern | None:
        """The sign to give now, where the last other signal was at `signalled_us` (None: there was none)."""
        if not self._is_due or (signalled_us is not None and now_us - signalled_us < APART_US):
            return None
        self._is_due = False
        return PATTERNS[self._step]
