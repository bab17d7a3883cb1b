"""The Jetson's board: light, vibration, sound, buttons and contacts on the 40-pin header by Jetson.GPIO.

Jetson.GPIO has no background pulses, so one worker thread plays the newest pattern and stops at once for a newer one
or for `close`. Edges come from the library's own thread into a bounded queue.
"""

from __future__ import annotations

import threading
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
BOUNCE_MS = 20


class JetsonBoard:
    """`Refused` where the pins cannot be had, `NotFound` where Jetson.GPIO is not installed."""

    def __init__(self, options: Mapping[str, str], *, run_dir: Path, clock: Clock) -> None:
        self._pins = parse_pins(options)
        try:
            from Jetson import GPIO
        except ImportError:
            raise NotFound("[board] adapter 'jetson' needs the package Jetson.GPIO (extra device-jetson)") from None
        except Exception as error:
            # The package looks for the board while it is imported and raises bare exceptions of several types.
            raise Refused(f"[board] adapter 'jetson': {str(error)[:200]}") from None
        self._gpio: Any = GPIO
        self._run_dir, self._clock = run_dir, clock
        self._events: deque[ButtonEvent] = deque(maxlen=MAX_EVENTS)
        self._changed = threading.Condition()
        self._pattern: AlertPattern | None = None
        self._closed = False
        self._outputs = [pin for pin in (self._pins.light, self._pins.vibration, self._pins.sound) if pin is not None]
        try:
            self._open()
        except (RuntimeError, ValueError, OSError) as error:
            self._gpio.cleanup()
            raise Refused(f"[board] adapter 'jetson': the pins cannot be used: {error}") from None
        self._player = threading.Thread(target=self._play, name="alerts", daemon=True)
        self._player.start()

    def position(self) -> Position | None:
        return read_position(self._run_dir, now_us=self._clock.utc_us())

    def signal(self, pattern: AlertPattern) -> None:
        with self._changed:
            self._pattern = pattern
            self._changed.notify()

    def buttons(self) -> Sequence[ButtonEvent]:
        return [self._events.popleft() for _ in range(len(self._events))]

    def close(self) -> None:
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify()
        self._player.join(timeout=2)
        self._gpio.cleanup()

    def _open(self) -> None:
        self._gpio.setmode(self._gpio.BCM)
        for pin in self._outputs:
            self._gpio.setup(pin, self._gpio.OUT, initial=self._gpio.LOW)
        for pin in self._pins.inputs:
            self._gpio.setup(pin, self._gpio.IN)
            self._gpio.add_event_detect(pin, self._gpio.BOTH, callback=self._note, bouncetime=BOUNCE_MS)

    def _note(self, pin: int) -> None:
        pressed = self._gpio.input(pin) == self._gpio.LOW
        self._events.append(ButtonEvent(button=self._pins.inputs[pin], pressed=pressed, mono_us=self._clock.mono_us()))

    def _play(self) -> None:
        """Runs on the worker thread only; it alone writes the output pins."""
        while (pattern := self._next()) is not None:
            for _ in range(pattern.pulses):
                self._write(pattern, on=True)
                replaced = self._wait(pattern.on_ms)
                self._write(pattern, on=False)
                if replaced or self._wait(pattern.off_ms):
                    break

    def _next(self) -> AlertPattern | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._pattern is not None)
            pattern, self._pattern = self._pattern, None
            return None if self._closed else pattern

    def _wait(self, duration_ms: int) -> bool:
        """True as soon as something newer is wanted, False when the time has passed."""
        with self._changed:
            return self._changed.wait_for(lambda: self._closed or self._pattern is not None, duration_ms / 1000)

    def _write(self, pattern: AlertPattern, *, on: bool) -> None:
        used = {self._pins.light: True, self._pins.vibration: pattern.vibrates, self._pins.sound: pattern.sounds}
        for pin in self._outputs:
            self._gpio.output(pin, self._gpio.HIGH if on and used[pin] else self._gpio.LOW)
