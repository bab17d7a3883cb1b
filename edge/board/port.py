"""The board port: what Vedette asks of the hardware around the camera, and the values that cross it.

Decided here: a pattern is a few equal pulses, so that every board can give it, and its caption asks for a look, never
claims a fact (law 4). Not decided here: when a pattern is given and what a button means (edge/panel).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from vedette.hitfile import Position

RECORD = "record"


@dataclass(frozen=True, kw_only=True, slots=True)
class AlertPattern:
    """`pulses` times on for `on_ms` and off for `off_ms`, on the light and, where set, by vibration and sound."""

    name: str
    caption: str
    pulses: int
    on_ms: int
    off_ms: int
    vibrates: bool
    sounds: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ButtonEvent:
    """An input named `button` went on or off at `mono_us` of the monotonic clock.

    The names are `record`, `mute`, `stealth` and `sleep` for buttons, `lights` and `door` for the vehicle's contacts.
    """

    button: str
    pressed: bool
    mono_us: int


class Board(Protocol):
    """Position, signals and buttons; no method waits for hardware, and none raises once the board is open."""

    def position(self) -> Position | None:
        """The last position if it is recent, else None."""

    def signal(self, pattern: AlertPattern) -> None:
        """Begin a pattern and return at once; a newer pattern replaces one that is still running."""

    def buttons(self) -> Sequence[ButtonEvent]:
        """What was pressed and released since the last call, oldest first."""

    def close(self) -> None:
        """Everything off; may be called twice."""
