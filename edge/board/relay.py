"""Alerts of a service that does not own the pins: the pattern goes to the panel, which does, as a command file.

Decided here: only the panel opens a wired board, because a pin has one owner, and an alert older than `MAX_AGE_US` is
no alert any more. Where the panel does not run, nothing lights up and nothing else is lost.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edge.board.port import AlertPattern, ButtonEvent
from vedette import commands
from vedette.clock import Clock
from vedette.errors import Integrity
from vedette.fields import Fields
from vedette.hitfile import Position

PANEL = "panel"
SIGNAL = "signal"
MAX_AGE_US = 5_000_000
MAX_PULSES = 10
MAX_MS = 2000


class RelayBoard:
    """A board port whose signals the panel gives; `position` is whatever the device has for it."""

    def __init__(self, run_dir: Path, clock: Clock, *, position: Callable[[], Position | None]) -> None:
        self._run_dir, self._clock, self._position = run_dir, clock, position

    def position(self) -> Position | None:
        return self._position()

    def signal(self, pattern: AlertPattern) -> None:
        body = {"command": SIGNAL, "at_us": self._clock.utc_us(), **asdict(pattern)}
        with contextlib.suppress(OSError):
            commands.post(self._run_dir, PANEL, body, clock=self._clock)

    def buttons(self) -> Sequence[ButtonEvent]:
        return ()

    def close(self) -> None:
        """Nothing is open."""


def parse_signal(body: Mapping[str, Any], *, now_us: int) -> AlertPattern | None:
    """The pattern in a message to the panel; None when it is none, or older than `MAX_AGE_US`."""
    try:
        fields = Fields(dict(body), "signal")
        if fields.text("command") != SIGNAL or abs(now_us - fields.integer("at_us")) > MAX_AGE_US:
            return None
        pattern = AlertPattern(
            name=fields.text("name", most=64),
            caption=fields.text("caption", most=200),
            pulses=fields.integer("pulses", least=1, most=MAX_PULSES),
            on_ms=fields.integer("on_ms", least=1, most=MAX_MS),
            off_ms=fields.integer("off_ms", most=MAX_MS),
            vibrates=fields.boolean("vibrates"),
            sounds=fields.boolean("sounds"),
        )
        fields.close()
    except Integrity:
        return None
    return pattern
