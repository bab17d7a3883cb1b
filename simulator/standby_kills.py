"""Kills the real recorder as a shift goes: in standby, while its pre-event buffer is written, while it records, while
it stops, and while it repairs what the kill before left.

Decided here: the five aims, which take turns in an order drawn from the seed; how each is driven by the commands that
the panel would leave and by the lines that the recorder writes; how long a buffer is held before it is activated. What
must be there afterwards is judged in `standby_account`.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from simulator import standby_account
from simulator.recorder_kills import READY_WITHIN_S, Bench, Found, Trial
from simulator.standby_account import Aim, ShiftTrial
from vedette import canonical, commands
from vedette.clock import SystemClock
from vedette.custody_entry import Entry, parse_line
from vedette.custody_tail import journal_files
from vedette.daemon import read_status
from vedette.errors import Integrity, Refused

PRE_EVENT_S = 120
# Most buffers are some seconds long, so that many are tried; one in `LONG_EACH` is as long as it gets.
HELD_S, LONG_EACH = (1.0, 9.0), 10
# A buffer is written in this share of its own time, measured on a machine of two busy cores; kills fall within it.
WRITING_SHARE = 0.02
STANDBY_S, SETTLED_S, RECORDING_S, STOPPING_S, RECOVERY_S = 2.5, 0.5, 3.0, 0.35, 0.15
# Some are killed as the command comes: it may not have been looked at yet, or be half obeyed.
UNSEEN, UNSEEN_S = 0.3, 0.2
LOOK_S = 0.002
START, STOP = "start", "stop"


@dataclass(kw_only=True, slots=True)
class ShiftBench(Bench):
    """A device in standby with a pre-event buffer, and what its next trial is aimed at."""

    recorder_toml: ClassVar[str] = f'mode = "standby"\npre_event_s = {PRE_EVENT_S}\n'
    aims: list[Aim] = field(default_factory=list)
    writings: int = 0

    def trial(self, number: int, chance: random.Random) -> Trial:
        """Start, bring it to where the kill is to fall, kill."""
        if not self.aims:
            self.aims = list(Aim)
            chance.shuffle(self.aims)
        aim = self.aims.pop()
        self.bus.unlink(missing_ok=True)
        started_us = _now_us()
        self.process.start()
        trial = ShiftTrial(
            number=number, aim=aim, started_us=started_us, killed_us=0, first_us=started_us, taken_us=started_us
        )
        if aim is Aim.RECOVERY:
            self._wait_for("service.started", started_us)
            time.sleep(chance.uniform(0, RECOVERY_S))
        else:
            self._be_ready(trial)
            self._drive(trial, chance)
        if self.process.running:
            self.process.kill()
        trial.killed_us = _now_us()
        trial.first_us, trial.taken_us = self._taken(started_us)
        trial.waiting = self._waiting()
        trial.left = {path.name: path.read_bytes() for path in self._segments.glob("*.part")}
        return trial

    def judge(self, trials: Sequence[Trial], found: Sequence[Found]) -> list[str]:
        """Hold each trial against what was promised in its state."""
        mine = [one for one in trials if isinstance(one, ShiftTrial)]
        return standby_account.judge(mine, found, self.entries())

    def run_once_more(self) -> None:
        """A last run that is ended in order; it must go on with what the last kill broke off."""
        started_us = _now_us()
        self.bus.unlink(missing_ok=True)
        self.process.start()
        self._state(started_us)
        self.process.stop()

    def _be_ready(self, trial: ShiftTrial) -> None:
        """Wait until it is in standby; where it goes on with a recording, that is stopped."""
        trial.resumed = self._state(trial.started_us) == "recording"
        if trial.resumed:
            self._ask(STOP)
            self._until(lambda: self._state(trial.started_us) == "standby", "does not stop")
        trial.ready_us = _now_us()

    def _drive(self, trial: ShiftTrial, chance: random.Random) -> None:
        if trial.aim is Aim.STANDBY:
            time.sleep(chance.uniform(0, STANDBY_S))
            return
        held_s = chance.uniform(*HELD_S)
        if trial.aim is Aim.WRITING:
            self.writings += 1
            held_s = float(PRE_EVENT_S) if self.writings % LONG_EACH == 0 else held_s
        time.sleep(held_s)
        self._ask(START)
        if trial.aim is Aim.WRITING and chance.random() < UNSEEN:
            time.sleep(chance.uniform(0, UNSEEN_S))
            return
        self._wait_for("recording.started", trial.ready_us)
        if trial.aim is Aim.WRITING:
            time.sleep(chance.uniform(0, WRITING_SHARE * held_s))
            return
        time.sleep(SETTLED_S + chance.uniform(0, RECORDING_S))
        if trial.aim is Aim.STOPPING:
            trial.ended_us = _now_us()
            if chance.random() < 0.5:
                self._ask(STOP)
            else:
                trial.was_ended = True
                os.kill(self.process.pid, signal.SIGTERM)
            time.sleep(chance.uniform(0, STOPPING_S))

    def _ask(self, command: str) -> None:
        body = {"command": command, "activation": "button", "id": ""}
        commands.post(self.config.run, "recorder", body, clock=SystemClock())

    def _waiting(self) -> tuple[str, ...]:
        """The commands that nobody has taken."""
        inbox = commands.folder(self.config.run, "recorder")
        found = [canonical.loads(path.read_bytes()) for path in sorted(inbox.glob("*.json"))]
        return tuple(str(one["command"]) for one in found if isinstance(one, dict))

    def _state(self, since_us: int) -> str:
        """The recorder's state by its own word, once it gives pictures."""
        found: list[str] = []

        def is_told() -> bool:
            status = read_status(self.config.run, "recorder")
            told_us, state = status.get("utc_us"), status.get("state")
            is_its_own = status.get("pid") == self.process.pid and isinstance(told_us, int) and told_us >= since_us
            if is_its_own and state in ("standby", "recording"):
                found.append(str(state))
            return bool(found)

        self._until(is_told, "gives no pictures")
        return found[0]

    def _wait_for(self, event: str, since_us: int) -> None:
        """Wait until the journal has a line of this event."""
        self._until(lambda: any(one.event == event for one in self._newest(event, since_us)), f"never says {event}")

    def _newest(self, event: str, since_us: int) -> list[Entry]:
        said = f'"event":"{event}"'.encode()
        folder = self.config.journals / "recorder"
        files = journal_files(folder)[-2:] if folder.is_dir() else []
        lines = [line for path in files for line in _content(path).split(b"\n") if said in line]
        return [one for one in map(_entry, lines) if one is not None and one.utc_us >= since_us]

    def _until(self, is_so: Callable[[], bool], complaint: str) -> None:
        until = time.monotonic() + READY_WITHIN_S
        while not is_so():
            if not self.process.running or time.monotonic() > until:
                raise Refused(f"the recorder {complaint}; it said last:\n{self.process.last_words()}")
            time.sleep(LOOK_S)


def _content(path: Path) -> bytes:
    """A file of the journal; one that a kill left empty is gone as soon as the next run begins."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _entry(line: bytes) -> Entry | None:
    """A line that is being written is none yet."""
    try:
        return parse_line(line)
    except Integrity:
        return None


def _now_us() -> int:
    return SystemClock().utc_us()
