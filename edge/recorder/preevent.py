"""The pre-event buffer: encoded pictures in memory that become the beginning of a recording, or are forgotten.

Decided here: it is bounded by time and by bytes, always begins at a key unit (whatever is kept can be opened), and
lets go of whole groups of pictures from its old end. With a length of zero it keeps nothing at all. Sound is kept only
where policy says so (ADR 20); it shares the bounds.
"""

from __future__ import annotations

from collections import deque

from edge.camera.port import EncodedUnit, Recorded

MAX_BYTES = 96 << 20


class PreEventBuffer:
    """Units of one camera in the order they came, `length_us` of media time and `max_bytes` at most."""

    def __init__(self, *, length_us: int, max_bytes: int = MAX_BYTES, keeps_sound: bool = False) -> None:
        self._length_us = length_us
        self._max_bytes = max_bytes
        self._keeps_sound = keeps_sound
        self._groups: deque[list[Recorded]] = deque()
        self.size_bytes = 0

    def add(self, unit: Recorded) -> None:
        """Keep `unit`, and let go of what is too old or too much."""
        is_picture = isinstance(unit, EncodedUnit)
        if self._length_us == 0 or not (is_picture or self._keeps_sound):
            return
        if isinstance(unit, EncodedUnit) and unit.is_key:
            self._groups.append([])
        if not self._groups:
            return
        self._groups[-1].append(unit)
        self.size_bytes += len(unit.data)
        self._shrink(unit.pts_us - self._length_us)

    def take(self) -> list[Recorded]:
        """Everything kept, oldest first, beginning with a key unit; the buffer is empty afterwards."""
        units = [unit for group in self._groups for unit in group]
        self.clear()
        return units

    def clear(self) -> None:
        """Forget everything."""
        self._groups.clear()
        self.size_bytes = 0

    def _shrink(self, oldest_us: int) -> None:
        while len(self._groups) > 1 and (self._groups[1][0].pts_us <= oldest_us or self.size_bytes > self._max_bytes):
            self.size_bytes -= sum(len(unit.data) for unit in self._groups.popleft())
        if self.size_bytes > self._max_bytes:
            self.clear()
