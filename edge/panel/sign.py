"""When an officer is shown that video is kept though nobody activated it (docs/spec/ring.md): it is no secret to who
wears the camera.

Decided here: a sign that is felt when keeping begins and a faint one on the light while it goes on; none is cut into
another signal, and no configuration switches it off. In stealth nothing is shown, as of everything else, which is the
panel's. Implements RI-21.
"""

from __future__ import annotations

from edge.board.alerts import KEEPING, KEPT
from edge.board.port import AlertPattern

EVERY_US = 30_000_000
APART_US = 4_000_000


class RingSign:
    """Whether a sign is due; times are microseconds of the monotonic clock."""

    def __init__(self) -> None:
        self._is_shown = False
        self._shown_us = 0

    def due(self, is_keeping: bool, *, now_us: int, signalled_us: int | None) -> AlertPattern | None:
        """The sign to give now, where the last other signal was at `signalled_us` (None: there was none)."""
        if not is_keeping:
            self._is_shown = False
            return None
        if signalled_us is not None and now_us - signalled_us < APART_US:
            return None
        if self._is_shown and now_us - self._shown_us < EVERY_US:
            return None
        found = KEPT if self._is_shown else KEEPING
        self._is_shown, self._shown_us = True, now_us
        return found
