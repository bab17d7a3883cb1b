"""The drawn street's board: adapter `sim`, a full implementation of the board port.

Decided here: there is one fix a second and none outside the drive; the record button is pressed at the seconds that the
option `press_s` lists, and what `vedette sim press` and `vedette sim panel` leave in the run folder is pressed too. A
crash, by the option `crash_s` or by hand, is felt by the accelerometer that is none (`simulator/accelerometer.py`) in
the run folder: whether anybody reads it `[motion] sensor` says. Nothing lights up: the last patterns are kept for who
asks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from edge.board.port import RECORD, AlertPattern, ButtonEvent
from simulator.accelerometer import CRASH_G, CRASH_US, FOLDER, REST_G, SimAccelerometer
from simulator.options import parse_options
from simulator.world import plan
from vedette import commands
from vedette.clock import Clock
from vedette.errors import Usage
from vedette.hitfile import Position

ACCURACY_CM = 250
MAX_PATTERNS = 64
BUTTON = RECORD
BUTTONS = (RECORD, "mute", "stealth", "sleep", "lights", "door")
CRASH = "crash"
INBOX = "board"
MAX_HOLD_MS = 60_000
_HELD_US = 200_000
_FIX_EVERY_US = 1_000_000


def open_board(options: Mapping[str, str], *, run_dir: Path, clock: Clock) -> SimBoard:
    """The board for `[board] options`; `Usage` for options it does not know."""
    return SimBoard(options, clock, run_dir)


class SimBoard:
    """Knows where the own car is; keeps what it was asked to signal in `patterns`, the newest last."""

    def __init__(self, options: Mapping[str, str], clock: Clock, run_dir: Path) -> None:
        street = parse_options(options, "board", others=("press_s", "crash_s"))
        self._drive = plan(street.seed, street.seconds)
        self._clock, self._run_dir = clock, run_dir
        self._edges: list[ButtonEvent] = []
        self._start_us = clock.utc_us() if street.start_utc_us is None else street.start_utc_us
        self._presses = _times(options, "press_s")
        self._crashes = _times(options, "crash_s")
        self._chip: SimAccelerometer | None = None
        self._crashed_us: int | None = None
        self._asked_us = self._driven_us()
        self.patterns: deque[AlertPattern] = deque(maxlen=MAX_PATTERNS)

    def position(self) -> Position | None:
        """The fix of the last whole second; None outside the drive."""
        driven_us = self._driven_us() // _FIX_EVERY_US * _FIX_EVERY_US
        if not 0 <= driven_us <= self._drive.seconds * 1e6:
            return None
        lat_e7, lon_e7 = self._drive.position_e7(driven_us)
        return Position(lat_e7=lat_e7, lon_e7=lon_e7, accuracy_cm=ACCURACY_CM, fixed_us=self._start_us + driven_us)

    def signal(self, pattern: AlertPattern) -> None:
        self.patterns.append(pattern)

    def buttons(self) -> Sequence[ButtonEvent]:
        """Presses and releases since the last call, oldest first."""
        from_us, self._asked_us = self._asked_us, self._driven_us()
        edges = [(at_us + shift, shift == 0) for at_us in self._presses for shift in (0, _HELD_US)]
        if any(from_us < at_us <= self._asked_us for at_us in self._crashes):
            self._crashed_us = self._clock.mono_us()
        offset_us = self._clock.mono_us() - self._asked_us
        listed = [
            ButtonEvent(button=BUTTON, pressed=pressed, mono_us=offset_us + at_us)
            for at_us, pressed in sorted(edges)
            if from_us < at_us <= self._asked_us
        ]
        by_hand = self._pressed_by_hand()
        self._shake()
        return sorted([*listed, *by_hand], key=lambda event: event.mono_us)

    def close(self) -> None:
        self._presses, self._crashes, self._edges = (), (), []

    def _shake(self) -> None:
        """Let the accelerometer feel a crash for as long as it lasts, or rest; only who asks for presses does so."""
        with suppress(OSError):
            self._chip = self._chip or SimAccelerometer(self._run_dir / FOLDER)
            is_crash = self._crashed_us is not None and self._clock.mono_us() - self._crashed_us < CRASH_US
            self._chip.show(*(CRASH_G if is_crash else REST_G))

    def _pressed_by_hand(self) -> list[ButtonEvent]:
        """The edges, due by now, of what a developer pressed; a button goes up again after its `hold_ms`."""
        now_us = self._clock.mono_us()
        with suppress(OSError):
            for body in commands.take(self._run_dir, INBOX):
                name, hold_ms = body.get("button"), body.get("hold_ms")
                if name == CRASH:
                    self._crashed_us = now_us
                if name in BUTTONS and type(hold_ms) is int and 0 <= hold_ms <= MAX_HOLD_MS:
                    down = ButtonEvent(button=str(name), pressed=True, mono_us=now_us)
                    up = ButtonEvent(button=str(name), pressed=False, mono_us=now_us + hold_ms * 1000)
                    self._edges += [down, up]
        due = [edge for edge in self._edges if edge.mono_us <= now_us]
        self._edges = [edge for edge in self._edges if edge.mono_us > now_us]
        return due

    def _driven_us(self) -> int:
        return self._clock.utc_us() - self._start_us


def _times(options: Mapping[str, str], name: str) -> tuple[int, ...]:
    """Microseconds from a list of whole seconds such as `12,40`."""
    text = options.get(name, "")
    parts = [part for part in text.split(",") if part]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise Usage(f"[board] options: {name} is {text!r}; whole seconds such as 12,40 are expected")
    return tuple(int(part) * 1_000_000 for part in parts)
