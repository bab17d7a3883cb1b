"""`vedette sim press` and `vedette sim panel`: the officer's buttons for a developer whose board is the simulated one.

Decided here: which key is which button. A press is left in the run folder, where the simulated board of the running
panel service finds it; what becomes of it is decided there as on a wired device.
"""

from __future__ import annotations

import argparse
import os
import select
import sys
import termios
import tty
from collections.abc import Callable
from pathlib import Path

from simulator.board import BUTTONS, CRASH, INBOX, MAX_HOLD_MS
from vedette import cli, commands, config, daemon
from vedette.clock import Clock, SystemClock
from vedette.errors import NotFound, Refused, Usage

SHORT_MS = 200
HOLD_EXTRA_MS = 500
KEYS = {
    "r": ("record", False), "R": ("record", True), "m": ("mute", False), "s": ("stealth", False),
    "z": ("sleep", False), "l": ("lights", False), "d": ("door", False), "c": (CRASH, False),
}  # fmt: skip
HELP = "r press record   R hold record (stop)   m mute   s stealth   z sleep   l light bar   d door   c crash   q leave"
_QUIT = ("q", "\x03", "\x04", "")
_SHOW_EVERY_S = 0.5


def register(nouns: cli.Nouns) -> None:
    """Add the verbs `sim press` and `sim panel`."""
    verbs = cli.noun(nouns, "sim", help="a street on this laptop")
    one = verbs.add_parser("press", help="press a button of a device whose board is the simulated one, or crash")
    one.add_argument("button", choices=(*BUTTONS, CRASH))
    one.add_argument("--hold-ms", type=int, default=SHORT_MS, help=f"for how long (0 to {MAX_HOLD_MS}, default 200)")
    one.add_argument("--config", type=Path, required=True, metavar="FILE", help="device.toml")
    one.set_defaults(run=_press)
    panel = verbs.add_parser("panel", help="the device's buttons on the keys of this terminal")
    panel.add_argument("--config", type=Path, required=True, metavar="FILE", help="device.toml")
    panel.set_defaults(run=_panel)


def press(run_dir: Path, button: str, hold_ms: int, *, clock: Clock) -> None:
    """Press `button` for `hold_ms`; `NotFound` where the device's run folder is not there."""
    if not run_dir.is_dir():
        raise NotFound(f"{run_dir} is not there: no service of this device runs")
    commands.post(run_dir, INBOX, {"button": button, "hold_ms": hold_ms}, clock=clock)


def drive(read_key: Callable[[float], str | None], device: config.DeviceConfig, clock: Clock) -> None:
    """Turn keys into presses and show what the recorder says, until one of the keys to leave with."""
    hold_ms = device.panel.stop_hold_ms + HOLD_EXTRA_MS
    shown = ""
    print(HELP)
    while (key := read_key(_SHOW_EVERY_S)) not in _QUIT:
        if key in KEYS:
            button, is_hold = KEYS[key]
            press(device.run, button, hold_ms if is_hold else SHORT_MS, clock=clock)
        line = _line(daemon.read_status(device.run, "recorder"))
        if line != shown:
            shown = line
            print(f"\r\x1b[K{line}", end="", flush=True)
    print()


def _line(status: dict[str, int | str | bool | None]) -> str:
    if not status:
        return "the recorder has not said anything yet"
    modes = [name for name in ("stealth", "muted") if status.get(name) is True]
    modes += ["kept, nobody asked"] if status.get("retaining") is True else []
    why = f" ({status['activation']})" if status.get("activation") else ""
    return "  ".join([f"{status.get('state')}{why}", *modes])


def _press(args: argparse.Namespace) -> int:
    if not 0 <= args.hold_ms <= MAX_HOLD_MS:
        raise Usage(f"--hold-ms is {args.hold_ms}; it must be from 0 to {MAX_HOLD_MS}")
    press(config.load_device(args.config).run, args.button, args.hold_ms, clock=SystemClock())
    return 0


def _panel(args: argparse.Namespace) -> int:
    device = config.load_device(args.config)
    if not sys.stdin.isatty():
        raise Refused("vedette sim panel needs a terminal; `vedette sim press` does not")
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)
        drive(lambda timeout_s: _key(terminal, timeout_s), device, SystemClock())
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
    return 0


def _key(terminal: int, timeout_s: float) -> str | None:
    """The next key, empty at the end of input, None when none came in time."""
    if not select.select([terminal], [], [], timeout_s)[0]:
        return None
    return os.read(terminal, 1).decode(errors="replace")
