"""What a press of the record button means: a short one starts, a deliberate hold stops.

Decided here: nothing recorded because of an activation → the press starts at once, when the button goes down, and is
used up by that. Otherwise a hold stops when its time is full, while the button is still down; one let go before is a
stop that was not meant, which custody gets. In what a mark alone keeps going a short press starts, as everywhere.
Pure. Implements docs/spec/activation.md, AC-7 to AC-9.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from edge.board.port import ButtonEvent


class Ask(Enum):
    """What the recorder is asked because of a press."""

    START = "start"
    STOP = "stop"
    STOP_IGNORED = "stop_ignored"


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """What the recorder says: `active` for an activation's sake, `held` by a start (and not only by a mark)."""

    active: bool
    held: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Press:
    """The record button: since when it is down (monotonic µs; None: up), and whether this press has done its work."""

    down_us: int | None = None
    used: bool = False


def after_event(press: Press, event: ButtonEvent, recording: Recording, *, hold_us: int) -> tuple[Press, Ask | None]:
    """The button after an edge, and what is asked because of it."""
    if event.pressed:
        if recording.active:
            return Press(down_us=event.mono_us), None
        return Press(down_us=event.mono_us, used=True), Ask.START
    if press.down_us is None or press.used:
        return Press(), None
    if event.mono_us - press.down_us >= hold_us:
        return Press(), Ask.STOP
    return Press(), Ask.STOP_IGNORED if recording.held else Ask.START


def after_time(press: Press, *, now_us: int, hold_us: int) -> tuple[Press, Ask | None]:
    """The button at `now_us`: a hold whose time is full stops before the button is let go."""
    if press.down_us is None or press.used or now_us - press.down_us < hold_us:
        return press, None
    return replace(press, used=True), Ask.STOP
