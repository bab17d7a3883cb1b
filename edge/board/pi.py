"""The Raspberry Pi's board: light, vibration, sound, buttons and contacts on GPIO pins by gpiozero.

gpiozero runs pulses and edges on its own threads; edges come over in a bounded queue, and the oldest is dropped when
nobody asks.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge.board.pins import parse_pins
from edge.board.port import AlertPattern, ButtonEvent
from edge.board.position import read_position
from vedette.clock import Clock
from vedette.errors import NotFound, Refused
from vedette.hitfile import Position

MAX_EVENTS = 64
BOUNCE_S = 0.02


class PiBoard:
    """`Refused` where the pins cannot be had, `NotFound` where gpiozero is not installed."""

    def __init__(self, options: Mapping[str, str], *, run_dir: Path, clock: Clock) -> None:
        pins = parse_pins(options)
        try:
            import gpiozero
        except ImportError:
            raise NotFound("[board] adapter 'pi' needs the Python package gpiozero (extra device-pi)") from None
        self._run_dir, self._clock = run_dir, clock
        self._events: deque[ButtonEvent] = deque(maxlen=MAX_EVENTS)
        self._opened = contextlib.ExitStack()
        try:
            self._light = self._output(gpiozero, pins.light)
            self._vibration = self._output(gpiozero, pins.vibration)
            self._sound = self._output(gpiozero, pins.sound)
            for pin, name in pins.inputs.items():
                self._watch(gpiozero, pin, name)
        except gpiozero.GPIOZeroError as error:
            self._opened.close()
            raise Refused(f"[board] adapter 'pi': the pins cannot be used: {error}") from None

    def position(self) -> Position | None:
        return read_position(self._run_dir, now_us=self._clock.utc_us())

    def signal(self, pattern: AlertPattern) -> None:
        wanted = ((self._light, True), (self._vibration, pattern.vibrates), (self._sound, pattern.sounds))
        for output, used in wanted:
            if output is not None and used:
                output.blink(pattern.on_ms / 1000, pattern.off_ms / 1000, n=pattern.pulses, background=True)
            elif output is not None:
                output.off()

    def buttons(self) -> Sequence[ButtonEvent]:
        return [self._events.popleft() for _ in range(len(self._events))]

    def close(self) -> None:
        self._opened.close()

    def _output(self, gpiozero: Any, pin: int | None) -> Any:
        if pin is None:
            return None
        output = gpiozero.DigitalOutputDevice(pin)
        self._opened.callback(output.close)
        return output

    def _watch(self, gpiozero: Any, pin: int, name: str) -> None:
        button = gpiozero.Button(pin, bounce_time=BOUNCE_S)
        self._opened.callback(button.close)
        button.when_pressed = lambda: self._note(name, True)
        button.when_released = lambda: self._note(name, False)

    def _note(self, name: str, pressed: bool) -> None:
        self._events.append(ButtonEvent(button=name, pressed=pressed, mono_us=self._clock.mono_us()))
