"""When video is kept, and which of it is marked: pure rules over commands and time.

Decided here:

* continuous mode records always, and the hours of the schedule are like it. A `start` marks what is recorded from then
  on until `stop`; nothing stops it.
* standby mode records from `start` to `stop`; the officer's `stop` ends it, whatever else wanted it, once the
  configured tail has passed, and a second `stop` ends that too.
* a `mark` marks a time before it and after it: a hit's own where it is a hit, else pre-event and post-event time. In
  standby it also starts a recording, or keeps one going, until the end of that time.

Marked video goes up before the rest. Times here are microseconds of the machine's monotonic clock, which nobody can
set, as the pictures have it: a wall clock that is set changes nothing of what is kept.
Implements docs/spec/activation.md, AC-1 to AC-5 and AC-42.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

MAX_MARKS = 64
MAX_NAME = 64
CONTINUOUS = "continuous"
SCHEDULE = "schedule"
HIT = "hit"


class Verb(Enum):
    """What may be asked of the recorder."""

    START = "start"
    STOP = "stop"
    MARK = "mark"


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """One request: what, why (`button`, `hit`, `remote`, …), which hit or request it belongs to, and since when."""

    verb: Verb
    activation: str
    reference: str
    at_us: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """The configured mode, whether the schedule records now, how far marks reach back and ahead, and a stop's tail."""

    continuous: bool
    pre_event_us: int
    post_event_us: int
    hit_before_us: int = 30_000_000
    hit_after_us: int = 60_000_000
    stop_tail_us: int = 0
    scheduled: bool = False

    @property
    def always(self) -> str | None:
        """The activation for which video is kept without anybody asking, or None."""
        if self.continuous:
            return CONTINUOUS
        return SCHEDULE if self.scheduled else None

    def reach_us(self, activation: str) -> tuple[int, int]:
        """How far a mark for `activation` reaches back and ahead."""
        return (self.hit_before_us, self.hit_after_us) if activation == HIT else (self.pre_event_us, self.post_event_us)


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """A marked stretch of time; `to_us` None while it is open."""

    from_us: int
    to_us: int | None

    def meets(self, from_us: int, to_us: int) -> bool:
        """True when any moment of [from_us, to_us] lies in the window."""
        return self.from_us <= to_us and (self.to_us is None or from_us <= self.to_us)


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """Who holds the recording open, until when a mark keeps it, and what is marked."""

    held_by: str | None = None
    kept_by: str | None = None
    kept_until_us: int = 0
    marks: tuple[Window, ...] = ()


def parse_command(body: Mapping[str, Any], *, now_us: int, offset_us: int) -> Command | None:
    """The command in a message to the recorder, or None when it is none; a time in the future becomes now.

    It counts since `from_mono_us`, or since `from_us` (UTC) less `offset_us` (wall minus monotonic now) where it names
    no other.
    """
    names = [body.get("activation"), body.get("id", "")]
    if not all(isinstance(name, str) and len(name) <= MAX_NAME for name in names) or not names[0]:
        return None
    shown_us = body.get("from_us", now_us + offset_us)
    at_us = body.get("from_mono_us")
    verbs = {verb.value: verb for verb in Verb}
    verb = verbs.get(str(body.get("command")))
    if verb is None or not _is_time(shown_us) or not (at_us is None or _is_time(at_us)):
        return None
    at_us = shown_us - offset_us if at_us is None else at_us
    return Command(verb=verb, activation=str(names[0]), reference=str(names[1]), at_us=min(at_us, now_us))


def after_command(state: State, command: Command, policy: Policy, *, now_us: int) -> State:
    """The state once `command` is obeyed at `now_us`."""
    if command.verb is Verb.MARK:
        return _after_mark(state, command, policy)
    if command.verb is Verb.START:
        if state.held_by is not None:
            return state
        opened = (Window(from_us=command.at_us - policy.pre_event_us, to_us=None),) if policy.always else ()
        return replace(state, held_by=command.activation, marks=_bounded((*state.marks, *opened)))
    return _after_stop(state, policy, now_us=now_us)


def after_time(state: State, *, now_us: int, oldest_us: int) -> State:
    """The state at `now_us`: marks that ended before `oldest_us` are forgotten, and a hit's time may be over."""
    marks = tuple(mark for mark in state.marks if mark.to_us is None or mark.to_us >= oldest_us)
    if state.kept_by is not None and now_us > state.kept_until_us:
        return replace(state, kept_by=None, marks=marks)
    return state if marks == state.marks else replace(state, marks=marks)


def wanted(state: State, policy: Policy) -> str | None:
    """The activation for which video is to be kept now, or None."""
    return policy.always or state.held_by or state.kept_by


def is_marked(state: State, *, from_us: int, to_us: int) -> bool:
    """True when a segment from `from_us` to `to_us` holds any marked moment."""
    return any(mark.meets(from_us, to_us) for mark in state.marks)


def _is_time(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _after_stop(state: State, policy: Policy, *, now_us: int) -> State:
    tail_us = policy.stop_tail_us if state.held_by is not None else 0
    until_us = now_us + tail_us
    closed = tuple(replace(mark, to_us=until_us) if mark.to_us is None else mark for mark in state.marks)
    if tail_us == 0:
        return State(marks=closed)
    return State(kept_by=state.held_by, kept_until_us=until_us, marks=closed)


def _after_mark(state: State, command: Command, policy: Policy) -> State:
    before_us, after_us = policy.reach_us(command.activation)
    until_us = command.at_us + after_us
    mark = Window(from_us=command.at_us - before_us, to_us=until_us)
    return replace(
        state,
        kept_by=state.kept_by or command.activation,
        kept_until_us=max(state.kept_until_us, until_us),
        marks=_bounded((*state.marks, mark)),
    )


def _bounded(marks: tuple[Window, ...]) -> tuple[Window, ...]:
    """At most `MAX_MARKS` windows: beyond it the two oldest closed ones become one that spans both."""
    if len(marks) <= MAX_MARKS:
        return marks
    closed = [mark for mark in marks if mark.to_us is not None]
    first, second = closed[0], closed[1]
    ends = (first.to_us or 0, second.to_us or 0)
    merged = Window(from_us=min(first.from_us, second.from_us), to_us=max(ends))
    return (merged, *(mark for mark in marks if mark not in (first, second)))
