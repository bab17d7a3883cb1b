"""A board without hardware: a laptop, a test bench, a vehicle before its wiring."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge.board.port import AlertPattern, ButtonEvent
from edge.board.position import read_position
from vedette.clock import Clock
from vedette.hitfile import Position


class NullBoard:
    """Knows the position if something leaves it in the run folder; keeps the last pattern for who asks."""

    def __init__(self, run_dir: Path, clock: Clock) -> None:
        self._run_dir = run_dir
        self._clock = clock
        self.last_pattern: AlertPattern | None = None

    def position(self) -> Position | None:
        return read_position(self._run_dir, now_us=self._clock.utc_us())

    def signal(self, pattern: AlertPattern) -> None:
        self.last_pattern = pattern

    def buttons(self) -> Sequence[ButtonEvent]:
        return ()

    def close(self) -> None:
        self.last_pattern = None
