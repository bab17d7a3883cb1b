"""Which pins a wired board uses, from the `[board] options` of device.toml: BCM numbers, each optional.

Decided here: an input is on while its pin is connected to ground, a button and the relay contact of a light bar alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from edge.board.port import RECORD
from vedette.errors import Usage

MAX_PIN = 27


@dataclass(frozen=True, kw_only=True, slots=True)
class Pins:
    """BCM pin numbers of the light, vibration motor and active buzzer (outputs), of the buttons and of the vehicle's
    light bar and door contacts (inputs); `button` is the record button."""

    light: int | None = None
    vibration: int | None = None
    sound: int | None = None
    button: int | None = None
    mute: int | None = None
    stealth: int | None = None
    sleep: int | None = None
    lights: int | None = None
    door: int | None = None

    @property
    def inputs(self) -> dict[int, str]:
        """The pins that are read, with the name under which the port reports each."""
        named = {RECORD: self.button, "mute": self.mute, "stealth": self.stealth, "sleep": self.sleep,
                 "lights": self.lights, "door": self.door}  # fmt: skip
        return {pin: name for name, pin in named.items() if pin is not None}


def parse_pins(options: Mapping[str, str]) -> Pins:
    """Parse `{"light": "17", …}`; `Usage` for an unknown name, a number that is no pin, or a pin used twice."""
    known = [one.name for one in fields(Pins)]
    for name, text in options.items():
        if name not in known:
            raise Usage(f"[board] options: unknown pin {name!r}; known: {', '.join(known)}")
        if not (text.isascii() and text.isdigit() and int(text) <= MAX_PIN):
            raise Usage(f"[board] options: {name} is {text!r}, not a BCM pin from 0 to {MAX_PIN}")
    numbers = {name: int(text) for name, text in options.items()}
    if len(set(numbers.values())) != len(numbers):
        raise Usage("[board] options: one pin is used for two things")
    return Pins(**numbers)
