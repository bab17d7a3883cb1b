"""What the recorder was asked to do: takes the commands that wait, keeps activations and modes, and tells custody.

Decided here: which command changes what, that an activation ends sleep, that one which began here is told to cameras
nearby, and what custody says of a request that changes nothing. The rules are in `activation`, `modes` and `schedule`.
Nothing here touches camera or video. Implements docs/spec/activation.md, AC-1 to AC-15.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from edge.camera.condition import Moment
from edge.recorder import activation, modes
from edge.recorder.activation import Command, Policy, State, Verb, Window
from edge.recorder.facts import Detail
from edge.recorder.history import History
from edge.recorder.modes import Change, Mode, Modes, Permitted
from edge.ring import Claim, parse_claim
from vedette import commands
from vedette.clock import Clock
from vedette.config import DeviceConfig
from vedette.schedule import Schedule, parse_schedule

SECOND_US = 1_000_000
SERVICE = "recorder"
RESTARTED = "restart"
IGNORED_STOP = "stop_ignored"
MAX_HELD_MS = 60_000
# What began elsewhere is not passed on: one message would go round for ever.
TOLD = ("button", "command", "crash", "door", "lights", "speed")


@dataclass(frozen=True, kw_only=True, slots=True)
class Voices:
    """How duty speaks: `note` writes custody, `mute` begins and ends the muted time of the sound, `claim` asks for a
    stretch of what nobody activated.
    """

    note: Callable[[str, Detail], None]
    mute: Callable[[bool, str], None]
    claim: Callable[[Claim], None]


def _next(waiting: Iterator[dict[str, Any]]) -> dict[str, Any] | None:
    """The next command; none where the inbox cannot be read or written. What obeying one raises is not hidden."""
    with suppress(OSError):
        return next(waiting, None)
    return None


class Duty:
    """The recorder's orders; the pictures' time (`picture_us`, monotonic) is what activations count in."""

    def __init__(self, config: DeviceConfig, clock: Clock, voices: Voices) -> None:
        """Read the policy; `Usage` for a schedule that is none."""
        recorder = config.recorder
        self._run_dir, self._clock, self._voices = config.run, clock, voices
        self._modes_path = config.run / SERVICE / "modes.json"
        self._tells_peers = config.peers.tell
        self._permitted = Permitted(
            stealth=recorder.may_stealth, mute=recorder.may_mute, sleep=recorder.may_sleep
        )  # fmt: skip
        self._schedule: Schedule = parse_schedule(recorder.schedule, config.device.zone)
        self._schedule_us = 0
        self.policy = Policy(
            continuous=recorder.mode == activation.CONTINUOUS,
            pre_event_us=recorder.pre_event_s * SECOND_US,
            post_event_us=recorder.post_event_s * SECOND_US,
            hit_before_us=recorder.hit_before_s * SECOND_US,
            hit_after_us=recorder.hit_after_s * SECOND_US,
            stop_tail_us=recorder.stop_tail_s * SECOND_US,
            scheduled=self._schedule.is_on(clock.utc_us()),
        )
        self.state = State()
        self.modes = Modes()
        self.bad_commands = 0

    @property
    def is_held(self) -> bool:
        """Whether an activation is being recorded, by a start or by a mark."""
        return self.state.held_by is not None or self.state.kept_by is not None

    @property
    def wanted(self) -> str | None:
        """The activation for which video is to be kept now, or None."""
        return None if self.modes.sleep else activation.wanted(self.state, self.policy)

    @property
    def was_asleep(self) -> bool:
        """Whether the run before this one was, and `resume` will go on with that."""
        return modes.load_modes(self._modes_path).sleep

    def resume(self) -> None:
        """Go on with the modes of a run before this one, and say so: its intervals ended with it."""
        earlier = modes.load_modes(self._modes_path)
        for mode in Mode:
            if earlier.has(mode):
                self._change(Change(mode=mode, on=True, by=RESTARTED))

    def go_on(self, history: History, now: Moment) -> None:
        """Go on with what a run before this one was recording, as long again after it as after any activation.

        What it was asked to record and had not begun is begun; what it was asked to stop has its tail and no more.
        """
        policy, since = self.policy, history.broke_off
        until_us = now.mono_us + policy.post_event_us
        if history.marked and since is not None and now.mono_us - since.mono_us <= policy.post_event_us:
            self.state = State(marks=(Window(from_us=now.mono_us, to_us=until_us),))
        if policy.always:
            self._hold_on(history, now)
            return
        owed_to = history.holder if history.owed_to == activation.SCHEDULE else history.owed_to
        if owed_to is None:
            return
        if history.stopping:
            until_us = now.mono_us + policy.stop_tail_us
            if policy.stop_tail_us == 0:
                return
        if history.held and not history.stopping:
            self.state = replace(self.state, held_by=owed_to)
        else:
            self.state = replace(self.state, kept_by=owed_to, kept_until_us=until_us)

    def _hold_on(self, history: History, now: Moment) -> None:
        """What is recorded always is marked again where a start held it, until the stop."""
        if history.holder is not None:
            held = Window(from_us=now.mono_us, to_us=None)
            self.state = replace(self.state, held_by=history.holder, marks=(*self.state.marks, held))

    def sign_off(self) -> None:
        """End the intervals that are open, in custody only: the next run goes on with them."""
        for mode in Mode:
            if self.modes.has(mode):
                self._tell(Change(mode=mode, on=False, by="service_stopped"))

    def take(self, picture_us: int) -> bool:
        """Obey the commands that wait; True when there was one."""
        is_any = False
        # One is removed when it was obeyed: a recorder that dies over it finds it again (AC-46).
        waiting = commands.each(self._run_dir, SERVICE)
        while (body := _next(waiting)) is not None:
            is_any = True
            self._obey(body, max(picture_us, self._clock.mono_us()) if self.modes.sleep else picture_us)
        return is_any

    def tick(self, picture_us: int, *, oldest_us: int, mono_us: int) -> None:
        """Forget what is over; once a second ask the schedule, whose beginning ends sleep."""
        self.state = activation.after_time(self.state, now_us=picture_us, oldest_us=oldest_us)
        if mono_us >= self._schedule_us:
            self._schedule_us, was_on = mono_us + SECOND_US, self.policy.scheduled
            self.policy = replace(self.policy, scheduled=self._schedule.is_on(self._clock.utc_us()))
            if self.policy.scheduled and not was_on and self.modes.sleep:
                self._change(Change(mode=Mode.SLEEP, on=False, by=activation.SCHEDULE))

    def _obey(self, body: Mapping[str, Any], now_us: int) -> None:
        change, utc_us = modes.parse_change(body, self.modes), self._clock.utc_us()
        offset_us = utc_us - self._clock.mono_us()
        if change is not None:
            self._ask(change)
        elif body.get("command") == IGNORED_STOP:
            self._ignore_stop(body)
        elif (claim := parse_claim(body, now_us=utc_us)) is not None:
            self._voices.claim(claim)
        elif (command := activation.parse_command(body, now_us=now_us, offset_us=offset_us)) is not None:
            self._activate(command, now_us)
        else:
            self.bad_commands += 1

    def _activate(self, command: Command, now_us: int) -> None:
        self._voices.note(
            "activation.received",
            {"command": command.verb.value, "activation": command.activation, "id": command.reference},
        )
        if self.modes.sleep and command.verb is not Verb.STOP:
            self._change(Change(mode=Mode.SLEEP, on=False, by=command.activation))
        was_held = self.state.held_by is not None
        self.state = activation.after_command(self.state, command, self.policy, now_us=now_us)
        if self._tells_peers and not was_held and self.state.held_by in TOLD:
            at_us = self._clock.utc_us() - (now_us - command.at_us)
            body = {"command": "tell_peers", "activation": command.activation, "at_us": at_us}
            with suppress(OSError):
                commands.post(self._run_dir, "uplink", body, clock=self._clock)

    def _ignore_stop(self, body: Mapping[str, Any]) -> None:
        held_ms, by = body.get("held_ms"), body.get("activation")
        if not isinstance(held_ms, int) or not 0 <= held_ms <= MAX_HELD_MS or not isinstance(by, str):
            self.bad_commands += 1
            return
        self._voices.note("stop.ignored", {"by": by[: modes.MAX_NAME], "held_ms": held_ms})

    def _ask(self, change: Change) -> None:
        why = modes.refusal(change, self._permitted, is_held=self.is_held)
        if why is not None:
            self._voices.note(f"{change.mode.value}.refused", {"by": change.by, "why": why})
        elif self.modes.has(change.mode) is not change.on:
            self._change(change)

    def _change(self, change: Change) -> None:
        self.modes = self.modes.with_change(change)
        # Custody first: what reads the file or the status acts on a mode that is already an interval.
        self._tell(change)
        with suppress(OSError):
            modes.save_modes(self._modes_path, self.modes)

    def _tell(self, change: Change) -> None:
        if change.mode is Mode.MUTE:
            self._voices.mute(change.on, change.by)
        else:
            self._voices.note(modes.event(change), {"by": change.by})
