"""Stealth, mute and sleep: who may begin and end them, and the intervals that custody gets.

Decided here: each is an interval with a name for who began and who ended it; policy may forbid each; sleep is refused
while an activation is being recorded, so that it is no way round the hold that a stop needs; an activation ends sleep.
A mode outlives a crash of the recorder, by a file in memory, but not a start of the machine. There is no mode that is
not logged (ADR 11). Implements docs/spec/activation.md, AC-10 to AC-15.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from vedette import canonical, files
from vedette.errors import VedetteError

MAX_MODES_BYTES = 512
MAX_NAME = 64
TOGGLE = "toggle"


class Mode(Enum):
    """What may be switched beside recording itself."""

    STEALTH = "stealth"
    MUTE = "mute"
    SLEEP = "sleep"


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A request to begin (`on`) or end a mode, and by whom (`button`, `command`, …)."""

    mode: Mode
    on: bool
    by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Modes:
    """Which modes are on."""

    stealth: bool = False
    mute: bool = False
    sleep: bool = False

    def has(self, mode: Mode) -> bool:
        """Whether `mode` is on."""
        return bool(getattr(self, mode.value))

    def with_change(self, change: Change) -> Modes:
        """The modes once `change` is made."""
        return replace(self, **{change.mode.value: change.on})


@dataclass(frozen=True, kw_only=True, slots=True)
class Permitted:
    """Which modes the force's policy allows on this device."""

    stealth: bool = True
    mute: bool = True
    sleep: bool = True


def parse_change(body: Mapping[str, Any], modes: Modes) -> Change | None:
    """The change in a message `{"command":"mode","mode":…,"on":true|false|"toggle","activation":by}`, or None."""
    names = {mode.value: mode for mode in Mode}
    mode, by, on = names.get(str(body.get("mode"))), body.get("activation"), body.get("on")
    if body.get("command") != "mode" or mode is None or not isinstance(by, str) or not 0 < len(by) <= MAX_NAME:
        return None
    if on == TOGGLE:
        return Change(mode=mode, on=not modes.has(mode), by=by)
    return Change(mode=mode, on=on, by=by) if isinstance(on, bool) else None


def refusal(change: Change, permitted: Permitted, *, is_held: bool) -> str | None:
    """Why `change` is not made, or None; ending a mode is never refused."""
    if not change.on:
        return None
    if not getattr(permitted, change.mode.value):
        return "policy"
    return "recording" if change.mode is Mode.SLEEP and is_held else None


def event(change: Change) -> str:
    """The custody event of a change: `stealth.began`, `sleep.ended`, …"""
    return f"{change.mode.value}.{'began' if change.on else 'ended'}"


def load_modes(path: Path) -> Modes:
    """The modes an earlier run of the recorder left; none when there is no such file or it is not whole."""
    try:
        body = canonical.loads(files.read(path, max_bytes=MAX_MODES_BYTES))
    except VedetteError:
        return Modes()
    names = [mode.value for mode in Mode]
    if not isinstance(body, dict) or set(body) != set(names) or not all(isinstance(body[one], bool) for one in names):
        return Modes()
    return Modes(**body)


def save_modes(path: Path, modes: Modes) -> None:
    """Leave the modes for the next run of the recorder; the folder is in memory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.replace(path, canonical.dumps({mode.value: modes.has(mode) for mode in Mode}))
