"""The panel: the only service that owns the board's pins. What an officer does becomes commands, and signals go back.

Decided here: what a step does; that an officer is told when recording begins, goes on and ends, when the camera sees
nothing, when the storage fills up (`storagesign`), and when video is kept that nobody activated (`sign`), on a screen
too (`page`); and that in stealth nothing lights up, vibrates or sounds, from the moment custody has it and not before:
the recorder's status says so. A recorder that does not run is said to be not recording, and stealth holds until it runs
again. What a press means is decided in `press`, what motion means in `motion`, what is recorded in the recorder.
Implements docs/spec/activation.md, AC-7 to AC-19, CF-11 of docs/spec/camera-fault.md, HE-1 of docs/spec/heat.md, RI-21
and RI-22 of docs/spec/ring.md, and ST-7 to ST-9 of docs/spec/storage.md.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.board import heat, open_board
from edge.board.alerts import BLIND, REMINDER, STARTED, STOPPED
from edge.board.motion import MAX_AGE_US, MAX_SPEED_CM_S, Motion, read_motion
from edge.board.port import RECORD, AlertPattern, Board, ButtonEvent
from edge.board.position import read_fix
from edge.board.relay import PANEL, parse_signal
from edge.panel import motion, page, press
from edge.panel.motion import Course, Limits
from edge.panel.page import Shown
from edge.panel.press import Ask, Press, Recording
from edge.panel.sign import RingSign
from edge.panel.storagesign import StorageSign
from edge.recorder.modes import TOGGLE, Mode
from vedette import commands, daemon
from vedette.clock import Clock
from vedette.config import DeviceConfig
from vedette.hitfile import Position
from vedette.storage import Storage, parse_storage

STEP_S = 0.05
LOOK_US = 100_000
STATUS_US = 1_000_000
HEAT_US = 5_000_000
RECORDER_FRESH_US = 5_000_000
# What was asked for a moment ago and the recorder's status does not show yet.
TRUST_US = 1_500_000
BUTTON, SILENT = "button", "silent"
_MODES = {mode.value for mode in Mode}
_CONTACTS = ("lights", "door")
# A street may be dark or bright for reasons that nobody can mend; these are felt.
_FELT = ("unplugged", "frozen", "blocked")


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """What the recorder's status says; `state` is "silent" where it says nothing, `fault` empty where there is none."""

    state: str = SILENT
    recording: bool = False
    active: bool = False
    held: bool = False
    stealth: bool = False
    muted: bool = False
    no_sound: bool = False
    keeping: bool = False
    storage: Storage = Storage.ENOUGH
    fault: str = ""


class PanelService:
    """The service `panel`; a `vedette.daemon.Step`."""

    name = PANEL

    def __init__(self, config: DeviceConfig, clock: Clock, board: Board, *, zones: Path = heat.ZONES) -> None:
        """`zones` is where the kernel shows its thermal zones."""
        panel = config.panel
        self._zones = zones
        self._run_dir, self._clock, self._board = config.run, clock, board
        self._hold_us, self._reminder_us = panel.stop_hold_ms * 1000, panel.reminder_s * 1_000_000
        self._limits = Limits(
            crash_mg=panel.crash_mg,
            drop_cm_s=panel.crash_drop_kmh * 100_000 // 3600,
            speed_cm_s=panel.speed_kmh * 100_000 // 3600,
            speed_us=panel.speed_s * 1_000_000,
        )
        self._retroactive_h, self._warn_s = config.recorder.retroactive_h, config.recorder.room_warning_s
        self._press, self._course, self._view = Press(), Course(), self._look(View())
        self._ring_sign, self._storage_sign = RingSign(), StorageSign()
        self._signalled_us: int | None = None
        self._fix: Position | None = None
        self._moved_us = 0
        self._asked_us: int | None = None
        self._look_us = self._status_us = self._heat_us = 0
        self._reminded_us = clock.mono_us()
        self._presses = self._signals = self._hidden = self._errors = 0

    def step(self, now_us: int) -> float:
        """Take presses, contacts, motion and signals, and remind; seconds until the next step."""
        if now_us >= self._look_us:
            self._look_us = now_us + LOOK_US
            self._watch(now_us)
            self._move()
        for event in self._board.buttons():
            self._take(event, now_us)
        self._press, ask = press.after_time(self._press, now_us=now_us, hold_us=self._hold_us)
        self._ask(ask, now_us)
        self._relay()
        self._remind(now_us)
        self._show_storage(now_us)
        self._show_keeping(now_us)
        self._feel(now_us)
        if now_us >= self._status_us:
            self._status_us = now_us + STATUS_US
            self._report()
        return STEP_S

    def close(self) -> None:
        """Everything off."""
        self._board.close()
        self._report()

    def _look(self, before: View) -> View:
        """What the recorder says; of one that says nothing only that stealth is kept is known."""
        status = daemon.read_status(self._run_dir, "recorder")
        seen_us = status.get("utc_us")
        if not isinstance(seen_us, int) or abs(self._clock.utc_us() - seen_us) > RECORDER_FRESH_US:
            return View(stealth=before.stealth)
        fault = status.get("camera")
        return View(
            state=str(status.get("state")),
            recording=status.get("state") == "recording",
            active=status.get("active") is True,
            held=status.get("held") is True,
            stealth=status.get("stealth") is True,
            muted=status.get("muted") is True,
            no_sound=status.get("sound_missing") is True,
            keeping=status.get("retaining") is True,
            storage=parse_storage(status.get("storage")),
            fault=fault if isinstance(fault, str) and fault != "ok" and status.get("asleep") is not True else "",
        )

    def _watch(self, now_us: int) -> None:
        before, self._view = self._view, self._look(self._view)
        if self._view.recording and not before.recording:
            self._reminded_us = now_us
            self._signal(STARTED)
        elif before.recording and not self._view.recording:
            self._signal(STOPPED)
        if self._view.fault in _FELT and before.fault not in _FELT:
            self._signal(BLIND)
        if self._view.state != SILENT:
            begins = self._view.recording and not before.recording
            in_vain = self._view.active and not before.active and self._view.storage is Storage.FULL
            self._storage_sign.note(self._view.storage, begins=begins or in_vain)

    def _take(self, event: ButtonEvent, now_us: int) -> None:
        if event.button == RECORD:
            self._presses += event.pressed
            asked = self._asked_us is not None and now_us - self._asked_us <= TRUST_US
            recording = Recording(active=self._view.active or asked, held=self._view.held or asked)
            held_ms = 0 if self._press.down_us is None else (event.mono_us - self._press.down_us) // 1000
            self._press, ask = press.after_event(self._press, event, recording, hold_us=self._hold_us)
            self._ask(ask, now_us, held_ms)
        elif event.button in _MODES and event.pressed:
            self._post({"command": "mode", "mode": event.button, "on": TOGGLE, "activation": BUTTON, "id": ""})
        elif event.button in _CONTACTS and event.pressed:
            self._post({"command": "start", "activation": event.button, "id": ""})

    def _ask(self, ask: Ask | None, now_us: int, held_ms: int = 0) -> None:
        if ask is None:
            return
        body: dict[str, Any] = {"command": ask.value, "activation": BUTTON, "id": ""}
        if ask is Ask.STOP_IGNORED:
            body["held_ms"] = held_ms
        self._post(body)
        self._asked_us = now_us if ask is Ask.START else None

    def _move(self) -> None:
        """Ask the rules about motion."""
        utc_us = self._clock.utc_us()
        if utc_us < self._moved_us - MAX_AGE_US:  # the wall clock was set back; what it said before is of no use
            self._course = Course()
        self._moved_us = utc_us
        found = read_motion(self._run_dir, now_us=utc_us)
        asked: list[str] = []
        if found is not None:
            self._course, asked = motion.after_peak(self._course, found, self._limits)
        speed = self._speed(found, utc_us)
        if speed is not None:
            self._course, more = motion.after_speed(self._course, *speed, self._limits)
            asked += more
        for why in dict.fromkeys(asked):
            self._post({"command": "start", "activation": why, "id": ""})

    def _speed(self, found: Motion | None, utc_us: int) -> tuple[int, int | None] | None:
        """When which speed was measured; where no sensor gives one the receiver does, or else two of its fixes.

        The speed is None where nobody can know it; None is said where nothing came since the last look.
        """
        fix, before, told = self._board.position(), self._fix, read_fix(self._run_dir, now_us=utc_us)
        is_new = fix is not None and (before is None or fix.fixed_us != before.fixed_us)
        if is_new:
            self._fix = fix
        if found is not None and found.speed_cm_s is not None:
            return found.measured_us, found.speed_cm_s
        if fix is None:
            return utc_us, None
        if not is_new:
            return None
        speed = None if before is None else motion.speed_between(before, fix)
        if told is not None and told.position == fix and told.speed_cm_s is not None:
            speed = min(told.speed_cm_s, MAX_SPEED_CM_S)
        return None if speed is None else (fix.fixed_us, speed)

    def _relay(self) -> None:
        with contextlib.suppress(OSError):
            for body in commands.take(self._run_dir, PANEL):
                pattern = parse_signal(body, now_us=self._clock.utc_us())
                if pattern is not None:
                    self._signal(pattern)

    def _remind(self, now_us: int) -> None:
        if self._view.recording and self._reminder_us and now_us - self._reminded_us >= self._reminder_us:
            self._reminded_us = now_us
            self._signal(REMINDER)

    def _show_storage(self, now_us: int) -> None:
        if self._view.stealth:
            return
        pattern = self._storage_sign.due(now_us=now_us, signalled_us=self._signalled_us)
        if pattern is not None:
            self._signal(pattern)

    def _show_keeping(self, now_us: int) -> None:
        pattern = self._ring_sign.due(self._view.keeping, now_us=now_us, signalled_us=self._signalled_us)
        if pattern is not None:
            self._signal(pattern)

    def _feel(self, now_us: int) -> None:
        """Leave for the recorder how hot the board is, every five seconds."""
        if now_us >= self._heat_us:
            self._heat_us = now_us + HEAT_US
            milli_c = heat.measure(self._zones)
            if milli_c is not None:
                heat.write_heat(self._run_dir, milli_c, now_us=self._clock.utc_us())

    def _signal(self, pattern: AlertPattern) -> None:
        self._signalled_us = self._clock.mono_us()
        if self._view.stealth:
            self._hidden += 1
            return
        self._signals += 1
        self._board.signal(pattern)

    def _post(self, body: dict[str, Any]) -> None:
        try:
            commands.post(self._run_dir, "recorder", body, clock=self._clock)
        except OSError:
            self._errors += 1

    def _report(self) -> None:
        view, utc_us = self._view, self._clock.utc_us()
        kept_h = self._retroactive_h if view.keeping else 0
        shown = Shown(
            state=view.state,
            stealth=view.stealth,
            muted=view.muted,
            no_sound=view.no_sound,
            kept_h=kept_h,
            fault=view.fault,
            storage=view.storage,
            warn_s=self._warn_s,
        )
        page.write(self._run_dir, shown, written_ms=utc_us // 1000)
        daemon.write_status(
            self._run_dir,
            self.name,
            {
                "pid": os.getpid(),
                "utc_us": utc_us,
                "state": "stealth" if self._view.stealth else "on",
                "presses": self._presses,
                "signals": self._signals,
                "hidden": self._hidden,
                "reminder_s": self._reminder_us // 1_000_000,
                "errors": self._errors,
            },
        )


def open_panel(config: DeviceConfig, clock: Clock) -> PanelService:
    """The panel of the device in `config`, with its board open; raises what `edge.board.open_board` raises."""
    return PanelService(config, clock, open_board(config, clock))
