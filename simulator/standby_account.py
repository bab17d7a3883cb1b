"""What must be there after a recorder was killed in standby, writing its buffer, recording, stopping or recovering.

Decided here: in which state a kill fell is read from the recorder's own lines, not from where it was aimed; what was
promised in each; and that custody explains every second, the lost buffer's too. While a buffer is written the pictures
that are not on the disk yet are promised to nobody (AC-45), but the gap must begin where custody's proof ends.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from simulator.killed_cameras import KEY_US
from simulator.recorder_kills import MOST_LOST_US, Found, Trial
from vedette.custody_entry import Entry
from vedette.timeline import State, Timeline
from vedette.timeline_layers import read_timeline

# Two clock readings apart, or a frame.
NEAR_US = 100_000
PICTURE_PATIENCE_US = 2_000_000
START, STOP = "start", "stop"


class Aim(Enum):
    """Where in a shift a kill falls."""

    STANDBY = "standby"
    WRITING = "writing the buffer"
    RECORDING = "recording"
    STOPPING = "stopping"
    RECOVERY = "recovering"


@dataclass(kw_only=True, slots=True)
class ShiftTrial(Trial):
    """A kill within a shift: what it was aimed at and where it fell, whether the run went on with a recording
    (`resumed`), since when it was in standby, when its end was asked for, and which commands nobody had taken.
    """

    aim: Aim
    fell: Aim = Aim.STANDBY
    resumed: bool = False
    was_ended: bool = False
    ready_us: int = 0
    ended_us: int = 0
    waiting: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """In which state of the recorder it fell."""
        return self.fell.value


@dataclass(frozen=True, kw_only=True, slots=True)
class _Run:
    """The lines of one run of the recorder, those of its own activation, and those of the runs after it."""

    lines: Sequence[Entry]
    own: Sequence[Entry]
    later: Sequence[Entry]

    def last(self, event: str) -> Entry | None:
        """The newest line of this event since the run was in standby."""
        return next((one for one in reversed(self.own) if one.event == event), None)

    def asked(self, command: str) -> Entry | None:
        """The newest line of an obeyed command."""
        wanted = ("activation.received", command)
        found = (one for one in reversed(self.own) if (one.event, one.detail.get("command")) == wanted)
        return next(found, None)


def judge(trials: Sequence[ShiftTrial], found: Sequence[Found], entries: Sequence[Entry]) -> list[str]:
    """What is wrong with each trial and with the account of the whole shift."""
    faults: list[str] = []
    timeline = read_timeline(entries)
    if timeline.unexplained_us:
        faults.append(f"custody does not explain {timeline.unexplained_us / 1e6:.3f} s of the shift")
    owed = False
    for trial in trials:
        run = _run(trial, entries)
        trial.fell = _fell(trial, run)
        said = [*_went_on(trial, run, owed), *_kept(trial, run, found), *_explained(trial, run, timeline)]
        faults += [f"kill {trial.number} ({trial.fell.value}): {one}" for one in said]
        owed = _is_owed(trial, run, owed)
    if trials and owed and not _recorded_after(trials[-1], entries):
        faults.append("the last run did not go on with what the last kill broke off")
    return faults


def _run(trial: ShiftTrial, entries: Sequence[Entry]) -> _Run:
    lines = [one for one in entries if trial.started_us <= one.utc_us <= trial.killed_us]
    own = [one for one in lines if trial.ready_us and one.utc_us >= trial.ready_us]
    return _Run(lines=lines, own=own, later=[one for one in entries if one.utc_us > trial.killed_us])


def _fell(trial: ShiftTrial, run: _Run) -> Aim:
    if not trial.ready_us:
        return Aim.RECOVERY
    if trial.was_ended or run.asked(STOP) is not None:
        return Aim.STOPPING
    if run.last("recording.started") is None:
        return Aim.STANDBY
    # While the buffer is written, what a mark proves is long past as its line is written.
    is_present = any(one.said_us - one.to_us <= MOST_LOST_US for one in _marks(run))
    return Aim.RECORDING if is_present else Aim.WRITING


def _is_owed(trial: ShiftTrial, run: _Run, owed: bool) -> bool:
    """Whether the next run must record: what was activated and not stopped, in custody or in a command that waits."""
    if STOP in trial.waiting:
        return False
    if START in trial.waiting:
        return True
    if trial.fell is Aim.RECOVERY:
        return owed
    return run.asked(START) is not None and run.asked(STOP) is None


def _went_on(trial: ShiftTrial, run: _Run, owed: bool) -> Iterator[str]:
    """An activation outlives a kill, and so does a stop; a command that was taken is in custody."""
    if trial.ready_us and trial.resumed != owed:
        yield "it did not go on with the activation" if owed else "it went on though nothing was activated"
    if trial.fell is Aim.RECOVERY:
        return
    was_asked = trial.aim not in (Aim.STANDBY, Aim.RECOVERY)
    if was_asked and run.asked(START) is None and START not in trial.waiting:
        yield "the start was taken and is not in custody"
    is_stop = trial.aim is Aim.STOPPING and not trial.was_ended
    if is_stop and run.asked(STOP) is None and STOP not in trial.waiting:
        yield "the stop was taken and is not in custody"


def _kept(trial: ShiftTrial, run: _Run, found: Sequence[Found]) -> Iterator[str]:
    """What was recorded is there to a second, without a hole, from the first picture that was buffered."""
    mine = sorted(
        (one for one in found if trial.started_us <= one.from_us <= trial.killed_us), key=lambda one: one.from_us
    )
    own = [one for one in mine if trial.ready_us and one.from_us >= trial.first_us - NEAR_US and _is_own(one, run)]
    trial.items = len(own)
    if trial.fell is Aim.STANDBY:
        found_in_it = [one for one in mine if one.from_us >= trial.ready_us]
        if found_in_it:
            yield f"{len(found_in_it)} items begin in standby"
        return
    for before, after in itertools.pairwise(one for one in own if one.film.pictures):
        if after.number != before.number + len(before.film.pictures):
            yield f"pictures are missing between {before.item} and {after.item}"
    if trial.fell is Aim.RECOVERY or trial.taken_us == trial.started_us:
        return
    begun_us = trial.ready_us + KEY_US if trial.resumed else trial.first_us
    to_us = _wanted_to(trial, run)
    lost_us = max(0, to_us - max((one.to_us for one in own), default=begun_us))
    unproven_us = max(0, to_us - max((one.proven_us for one in own), default=begun_us))
    if own and own[0].from_us > begun_us + NEAR_US:
        yield f"it begins {(own[0].from_us - begun_us) / 1e6:.3f} s behind the first picture that was buffered"
    if trial.fell is Aim.WRITING:
        trial.unwritten_us = lost_us
        return
    trial.lost_us, trial.unproven_us = lost_us, unproven_us
    if lost_us > MOST_LOST_US:
        yield f"{lost_us / 1e6:.3f} s of pictures are missing"
    if unproven_us > MOST_LOST_US:
        yield f"{unproven_us / 1e6:.3f} s of pictures are without a checkpoint"


def _is_own(one: Found, run: _Run) -> bool:
    return any(line.event == "segment.opened" and line.item == one.item for line in run.own)


def _wanted_to(trial: ShiftTrial, run: _Run) -> int:
    """Until when pictures were to be recorded: to the kill, or to the stop."""
    stop = run.asked(STOP)
    if stop is not None:
        return min(trial.taken_us, stop.utc_us)
    return min(trial.taken_us, trial.ended_us) if trial.was_ended else trial.taken_us


def _explained(trial: ShiftTrial, run: _Run, timeline: Timeline) -> Iterator[str]:
    """The gap after a kill begins where custody's proof ends; the lost buffer is said; recorded time is recorded."""
    gap = next((one for one in run.later if one.event == "gap"), None)
    follows = [one.event for one in run.later]
    if trial.fell is Aim.STANDBY and trial.taken_us > trial.first_us and "pre_event.lost" not in follows:
        yield "custody does not say that the pre-event buffer was lost"
    if trial.fell in (Aim.WRITING, Aim.RECORDING) and gap is not None:
        since_us = gap.detail.get("from_us")
        if not isinstance(since_us, int):
            yield "its gap has no beginning"
        elif abs(since_us - _proven_us(trial, run)) > NEAR_US:
            yield f"its gap begins {(since_us - _proven_us(trial, run)) / 1e6:+.3f} s from where the proof ends"
    for at_us in _middles(run):
        state = next((one.state for one in timeline.stretches if one.from_us <= at_us < one.to_us), None)
        if state is not State.RECORDED:
            yield f"custody calls a proven second {state.value if state else 'nothing'}"


def _proven_us(trial: ShiftTrial, run: _Run) -> int:
    """Where the last mark of the run's own recording ends; without one, where its first segment or it itself began."""
    ends = list(_marks(run))
    if ends:
        return max(one.to_us for one in ends)
    opened = next((one.detail.get("started_us") for one in run.own if one.event == "segment.opened"), None)
    started = run.last("recording.started")
    return opened if isinstance(opened, int) else started.utc_us if started else trial.ready_us


@dataclass(frozen=True, slots=True)
class _Mark:
    """A line that proves a stretch of a segment, and when it was written."""

    from_us: int
    to_us: int
    said_us: int


def _marks(run: _Run) -> Iterator[_Mark]:
    begun: dict[str | None, int] = {}
    for one in run.own:
        started_us, media_us = one.detail.get("started_us"), one.detail.get("media_us")
        if one.event == "segment.opened" and isinstance(started_us, int):
            begun[one.item] = started_us
        elif one.event in ("segment.checkpoint", "segment.closed") and isinstance(media_us, int) and one.item in begun:
            yield _Mark(begun[one.item], begun[one.item] + media_us, one.utc_us)


def _middles(run: _Run) -> Iterator[int]:
    """The middle of each second that marks prove."""
    for from_us, to_us in {one.from_us: one.to_us for one in _marks(run)}.items():
        if to_us - from_us > 2 * NEAR_US:
            yield (from_us + to_us) // 2


def _recorded_after(trial: ShiftTrial, entries: Sequence[Entry]) -> bool:
    return any(one.event == "recording.started" and one.utc_us > trial.killed_us for one in entries)
