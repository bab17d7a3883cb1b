"""What the lines of a recorder's journal claim about time: recorded here, not there and why, muted, faulty, suspect.

Decided here: which line makes which claim and how strong it is. A segment's marks prove what was recorded; a gap line
names what was not; between two runs of the service it is the journal's own shape that says whether it was stopped in
order, died, or went with the machine. Implements TI-12 to TI-20, TI-38 and TI-39 of docs/spec/timeline.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from vedette.custody_entry import Entry
from vedette.errors import Integrity
from vedette.timeline import SECOND_US, Layer, Note, Overlay, State, Stretch, Timeline, lay_out
from vedette.timeline_axis import SURE, Axis
from vedette.timeline_marks import Segment, recorded, retained, runs_of

STALL_US = 1_250_000
STARTING_US = 60 * SECOND_US
STALLED, RECORDED, RETAINED, MISSING, DOWN, GAP, TROUBLE, STARTING, IDLE = 90, 80, 75, 70, 60, 50, 40, 30, 20
_GAPS = {
    "camera": State.CAMERA, "ended": State.CAMERA, "disk_full": State.FULL, "full": State.FULL, "disk": State.DISK,
    "stream": State.DISK, "thermal": State.THERMAL, "hot": State.THERMAL, "sleep": State.ASLEEP, "asleep": State.ASLEEP,
    "standby": State.STANDBY, "policy": State.STANDBY, "stopped": State.STANDBY, "starting": State.STARTING,
    "waking": State.STARTING,
}  # fmt: skip
_PROVING = ("segment.checkpoint", "segment.closed", "ring.checkpoint", "ring.closed")
_DEATHS = ("killed", "service_stopped")
SUSPECT = "suspect"
_PAIRS = {"mute": "muted", "stealth": "stealth", "sleep": "sleep"}


def read_timeline(
    entries: Sequence[Entry],
    beside: Sequence[Entry] = (),
    keeper: Sequence[Entry] = (),
    undisclosed: Collection[int] = (),
) -> Timeline:
    """The shift that a recorder's verified lines tell of, from the first line to the last; lines may be missing.

    `entries` are of one device and service and in the order of their seq; `beside` are those of its position service,
    `keeper` those of its keeper. Behind the lines numbered in `undisclosed` those that are not here were not to be.
    Raises Integrity when there is no line.
    """
    if not entries:
        raise Integrity("there is no line from which a timeline could be drawn")
    axis = Axis(entries)
    reading = _Reading(entries, axis, undisclosed)
    gone = {entry.item for entry in keeper if entry.event == "ring.evicted"}
    layers = [
        *reading.segments(), *reading.kept(gone), *reading.breaks(), *reading.gaps(), *reading.runs(),
    ]  # fmt: skip
    proven = [one.stretch for one in layers if one.rank in (RECORDED, RETAINED)]
    from_us = min([axis.at(0), *(one.from_us for one in proven)])
    to_us = axis.at(len(entries) - 1)
    proven_us = max((one.to_us for one in proven), default=0)
    if entries[-1].event in _PROVING and to_us - proven_us < SECOND_US:
        to_us = proven_us  # The line was written some moments after what it proves; the next one tells what follows.
    return Timeline(
        device=entries[0].device,
        from_us=from_us,
        to_us=to_us,
        is_stopped=entries[-1].event == "service.stopped",
        stretches=lay_out(layers, from_us, to_us),
        overlays=_said_once([*reading.overlays(), *_beside(beside)]),
        notes=tuple(sorted([*reading.notes, *_clock_notes(axis)], key=lambda one: one.at_us)),
    )


class _Reading:
    """One pass over the lines for each kind of claim."""

    def __init__(self, entries: Sequence[Entry], axis: Axis, undisclosed: Collection[int] = ()) -> None:
        self.entries, self.axis, self._undisclosed = entries, axis, undisclosed
        self.notes: list[Note] = []
        self._recorded = recorded(entries, axis)
        self._edges = {at: shown for one in self._recorded for at, shown in one.edges.items()}
        self._down: dict[str, tuple[State, str]] = {}
        self._claimed = {one.item for one in entries if one.event == "segment.opened" and "claim" in one.detail}

    def segments(self) -> Iterator[Layer]:
        """What is proven to be recorded, and the moments between two segments of one recording."""
        before: Segment | None = None
        for one in self._recorded:
            if before and before.recording == one.recording and 0 < one.from_us - before.to_us <= STALL_US:
                yield _layer(STARTING, before.to_us, one.from_us, State.CAMERA, "short_stall")
            yield Layer(
                rank=RECORDED,
                stretch=Stretch(
                    from_us=one.from_us,
                    to_us=one.to_us,
                    state=State.RECORDED,
                    recording=one.recording,
                    marked=one.marked,
                ),
            )
            if not one.is_closed:
                self.notes.append(Note(at_us=one.to_us, kind="proven_to", value=one.recording or ""))
            before = one

    def kept(self, gone: Collection[str | None]) -> Iterator[Layer]:
        """What was kept though nobody had activated anything, and what was recovered of it; `gone` are evicted."""
        for one in retained(self.entries, self.axis):
            why = "ring_evicted" if one.item in gone else "ring_kept"
            yield _layer(RETAINED, one.from_us, one.to_us, State.RETAINED, why)
        for index, entry in enumerate(self.entries):
            most_us = entry.detail.get("most_us")
            if entry.event == "pre_event.lost" and isinstance(most_us, int):
                value = f"{most_us // SECOND_US} s"
                self.notes.append(Note(at_us=self.axis.at(index), kind="pre_event_lost", value=value))
            if entry.event == "ring.claimed" and entry.detail.get("resumed") is not True:
                value = f"{entry.detail.get('id')} ({entry.detail.get('by')}, {entry.detail.get('reason')})"
                self.notes.append(Note(at_us=self.axis.at(index), kind="ring_claimed", value=value))

    def breaks(self) -> Iterator[Layer]:
        """The time between two runs of the service, and lines that are not here."""
        for index in range(1, len(self.entries)):
            before, after = self.entries[index - 1], self.entries[index]
            from_us, to_us = self.axis.at(index - 1), self.axis.at(index)
            if after.seq != before.seq + 1:
                value = f"{before.seq + 1}–{after.seq - 1}"
                kind = "lines_undisclosed" if before.seq in self._undisclosed else "lines_missing"
                self.notes.append(Note(at_us=from_us, kind=kind, value=value))
                yield _layer(MISSING, from_us, to_us, State.UNKNOWN, kind)
            elif after.boot != before.boot:
                is_reboot = self.axis.boot(index) != self.axis.boot(index - 1)
                state, why = _break(before, is_reboot)
                self._down[after.boot] = state, why
                if is_reboot:
                    self._doubt_length(index, from_us)
                if state is not State.OFF and not before.event.startswith(("segment.", "ring.")):
                    self.notes.append(Note(at_us=from_us, kind="died_between"))
                yield _layer(DOWN, from_us, to_us, state, why)

    def gaps(self) -> Iterator[Layer]:
        """What the recorder itself named as not recorded."""
        for index, entry in enumerate(self.entries):
            if entry.event != "gap":
                continue
            start_us, end_us = (self._edge(index, entry, name) for name in ("from", "to"))
            if start_us is None or end_us is None:
                continue
            why = entry.detail.get("why")
            rank = STALLED if why == "camera_stalled" else GAP
            state, said = self._reason(str(why), entry)
            yield _layer(rank, start_us, end_us, state, said)

    def _edge(self, index: int, entry: Entry, name: str) -> int | None:
        """The shown time at which a gap begins or ends; by UTC alone a segment's edge of the same time is that edge."""
        utc_us, mono_us = (entry.detail.get(f"{name}{clock}") for clock in ("_us", "_mono_us"))
        if isinstance(mono_us, int):
            return self.axis.of_mono(index, mono_us)
        if not isinstance(utc_us, int):
            return None
        return self._edges[utc_us] if utc_us in self._edges else self.axis.moment(index, utc_us)

    def runs(self) -> Iterator[Layer]:
        """What the service did while it ran and did not record."""
        for first, last in runs_of(self.entries):
            yield from self._troubles(first, last)
            yield from self._idle(first, last)

    def overlays(self) -> Iterator[Overlay]:
        """Muted, stealth, heat, sound that was lost, camera faults, and what is to be known of the clock."""
        for first, last in runs_of(self.entries):
            for word, row in _PAIRS.items():
                if row != "sleep":
                    for start_us, end_us, label in self.pairs(first, last, f"{word}.began", f"{word}.ended"):
                        yield Overlay(row=row, from_us=start_us, to_us=end_us, label=label)
            for start_us, end_us, _label in self.pairs(first, last, "heat.began", "heat.ended"):
                yield Overlay(row="heat", from_us=start_us, to_us=end_us, label="hot_board")
            for start_us, end_us in self._losses(first, last):
                yield Overlay(row="sound", from_us=start_us, to_us=end_us, label="sound_lost")
            for index, start_us, end_us in self._framed(first, last, "reminder.began", "reminder.ended"):
                yield Overlay(row="reminder", from_us=start_us, to_us=end_us, label=_reminder(self.entries[index]))
            for start_us, end_us, label in self._faults(first, last):
                yield Overlay(row="camera", from_us=start_us, to_us=end_us, label=label)
        yield from self._clock()

    def _reason(self, why: str, entry: Entry) -> tuple[State, str]:
        """A gap's state and word; of a death the journal's shape knows more than the recorder that came after it."""
        if why in _DEATHS:
            return self._down.get(entry.boot, (State.RESTARTED, why))
        return next((state for word, state in _GAPS.items() if why.startswith(word)), State.OTHER), why

    def _troubles(self, first: int, last: int) -> Iterator[Layer]:
        """Asleep, at rest for heat; and a recording that stopped for a trouble, until the next one."""
        for start_us, end_us, _label in self.pairs(first, last, "sleep.began", "sleep.ended"):
            yield _layer(TROUBLE, start_us, end_us, State.ASLEEP, "asleep")
        for start_us, end_us, _label in self.pairs(first, last, "rest.began", "rest.ended"):
            yield _layer(TROUBLE, start_us, end_us, State.THERMAL, "rested")
        for start_us, end_us, label in self._faults(first, last):
            yield _layer(STARTING, start_us, end_us, State.CAMERA, label)
        for index in range(first, last + 1):
            why = str(self.entries[index].detail.get("reason"))
            if self.entries[index].event == "recording.stopped":
                state = next((state for word, state in _GAPS.items() if why.startswith(word)), None)
                if state not in (None, State.STANDBY):
                    end = self._next(index, last, "recording.started")
                    yield _layer(TROUBLE, self._stopped_us(index), self.axis.at(end), state, why)

    def _idle(self, first: int, last: int) -> Iterator[Layer]:
        """Standby until a recording starts; starting until its first picture, a minute at most."""
        idle_from, why = first, "no_activation"
        for index in range(first, last + 1):
            entry = self.entries[index]
            if entry.event == "recording.started":
                start_us, at_us = self._stopped_us(idle_from), self.axis.at(index)
                is_first = idle_from == first and entry.detail.get("activation") == "continuous"
                if is_first:
                    until_us = min(at_us, start_us + STARTING_US)
                    yield _layer(STARTING, start_us, until_us, State.STARTING, "until_first_picture")
                else:
                    kept_us = self._kept_from(start_us, at_us)
                    yield _layer(IDLE, start_us, kept_us, State.STANDBY, why)
                    yield _layer(IDLE, kept_us, at_us, State.STARTING, "until_first_picture")
                yield _layer(IDLE, at_us, self._first_picture(index, last), State.STARTING, "until_first_picture")
                idle_from = -1
            elif entry.event == "recording.stopped":
                idle_from, why = index, str(entry.detail.get("reason"))
            elif entry.event in ("segment.checkpoint", "segment.closed", "segment.opened"):
                # What a claim brings was not recorded now: the service is as idle as before.
                idle_from = idle_from if entry.item in self._claimed else -1
        if idle_from >= 0:
            yield _layer(IDLE, self._stopped_us(idle_from), self.axis.at(last), State.STANDBY, why)

    def _first_picture(self, index: int, last: int) -> int:
        """Where the first segment after line `index` begins, if it does so in a few seconds; else the line itself."""
        at_us = self.axis.at(index)
        after = [one.from_us for one in self._recorded if at_us <= one.from_us <= at_us + 5 * SECOND_US]
        return min(after, default=min(self.axis.at(last), at_us + 5 * SECOND_US))

    def _kept_from(self, from_us: int, to_us: int) -> int:
        """Where the first segment that begins in [from_us, to_us] does: standby is over there, though no line says so
        yet and the marks may prove less than was taken.
        """
        return min((one.from_us for one in self._recorded if from_us <= one.from_us <= to_us), default=to_us)

    def _stopped_us(self, index: int) -> int:
        """Where what line `index` ended did end: the last proven picture up to two seconds before it, else the line."""
        at_us = self.axis.at(index)
        ends = [one.to_us for one in self._recorded if at_us - 2 * SECOND_US <= one.to_us <= at_us]
        return max(ends, default=at_us)

    def _next(self, index: int, last: int, event: str) -> int:
        """The next line of this event up to `last`, else `last`."""
        return next((one for one in range(index + 1, last + 1) if self.entries[one].event == event), last)

    def pairs(self, first: int, last: int, began: str, ended: str) -> Iterator[tuple[int, int, str]]:
        """(from, to, by whom) of each interval that these two events frame within a run."""
        for index, start_us, end_us in self._framed(first, last, began, ended):
            yield start_us, end_us, str(self.entries[index].detail.get("by", ""))

    def _framed(self, first: int, last: int, began: str, ended: str) -> Iterator[tuple[int, int, int]]:
        """(line that began it, from, to) of each of these intervals."""
        for index in range(first, last + 1):
            if self.entries[index].event == began:
                yield index, self.axis.at(index), self.axis.at(self._next(index, last, ended))

    def _losses(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """(from, to) of each time without sound in a run; where the disk took one of its two lines the other tells."""
        open_us: int | None = None
        for index in range(first, last + 1):
            entry = self.entries[index]
            since_us, lasted_us = entry.detail.get("since_us"), entry.detail.get("lasted_us")
            if entry.event not in ("sound.lost", "sound.found") or not isinstance(since_us, int):
                continue
            start_us = self.axis.moment(index, since_us) if open_us is None else open_us
            open_us = start_us if entry.event == "sound.lost" else None
            if open_us is None:
                yield start_us, start_us + lasted_us if isinstance(lasted_us, int) else self.axis.at(index)
        if open_us is not None:
            yield open_us, self.axis.at(last)

    def _faults(self, first: int, last: int) -> Iterator[tuple[int, int, str]]:
        """(from, to, what) of each camera fault of a run: until it is said to be over, or pictures are recorded."""
        for index in range(first, last + 1):
            entry = self.entries[index]
            if entry.event != "camera.fault":
                continue
            kind, since_us = entry.detail.get("kind"), entry.detail.get("since_us")
            start_us = self.axis.moment(index, since_us) if isinstance(since_us, int) else self.axis.at(index)
            yield start_us, self.axis.at(self._recovery(index, last, kind)), str(kind or entry.detail.get("why") or "")

    def _recovery(self, index: int, last: int, kind: object) -> int:
        for one in range(index + 1, last + 1):
            entry = self.entries[one]
            if entry.event == "camera.recovered" and entry.detail.get("kind") == kind:
                return one
            if kind is None and entry.event in ("segment.opened", "camera.fault"):
                return one
        return last

    def _clock(self) -> Iterator[Overlay]:
        for step in self.axis.steps:
            yield Overlay(row="clock", from_us=step.at_us, to_us=step.at_us, label=f"step:{_seconds(step.by_us)}")
        for first, last in runs_of(self.entries):
            for start_us, end_us, _by in self.pairs(first, last, "time.suspect", "time.trusted"):
                yield Overlay(row="clock", from_us=start_us, to_us=end_us, label=SUSPECT)
        for boot in self.axis.boots:
            for setting in boot.settings:
                if setting.rank < SURE:
                    start_us, end_us = setting.from_mono_us + boot.offset_us, setting.to_mono_us + boot.offset_us
                    yield Overlay(row="clock", from_us=start_us, to_us=end_us, label=f"unset:{setting.source}")

    def _doubt_length(self, index: int, at_us: int) -> None:
        """Across a start of the machine only the wall clocks tell how long it was off."""
        ranks = [self.axis.boots[self.axis.boot(one)].best.rank for one in (index - 1, index)]
        if min(ranks) < SURE:
            self.notes.append(Note(at_us=at_us, kind="off_length_unproven"))


def _reminder(began: Entry) -> str:
    """How the officer was reminded of a recording: by its period, or why not."""
    period_s, why = began.detail.get("period_s"), str(began.detail.get("why") or "")
    return f"reminded:{period_s} s" if isinstance(period_s, int) else f"not_reminded_{why}"


def _break(before: Entry, is_reboot: bool) -> tuple[State, str]:
    """Why the service was not there between its last line and the next run's first."""
    if before.event == "service.stopped":
        return State.OFF, "stopped_machine_restarted" if is_reboot else "service_stopped"
    return (State.POWER_LOST, "machine_went_down") if is_reboot else (State.RESTARTED, "process_died")


def _beside(entries: Sequence[Entry]) -> Iterator[Overlay]:
    """What the position service knew: time from satellites that was suspect, and time without a fix."""
    if not entries:
        return
    reading = _Reading(entries, Axis(entries))
    for first, last in runs_of(entries):
        for start_us, end_us, _by in reading.pairs(first, last, "time.suspect", "time.trusted"):
            yield Overlay(row="clock", from_us=start_us, to_us=end_us, label=SUSPECT)
        for start_us, end_us, _by in reading.pairs(first, last, "gnss.lost", "gnss.found"):
            yield Overlay(row="place", from_us=start_us, to_us=end_us, label="no_fix")


def _said_once(overlays: Iterable[Overlay]) -> tuple[Overlay, ...]:
    """All in order; time that both journals call suspect, the recorder's some seconds later, is one interval."""
    found: list[Overlay] = []
    suspect: int | None = None
    for one in sorted(overlays, key=lambda one: (one.row, one.from_us)):
        if one.label != SUSPECT:
            found.append(one)
        elif suspect is not None and one.from_us <= found[suspect].to_us:
            found[suspect] = replace(found[suspect], to_us=max(found[suspect].to_us, one.to_us))
        else:
            suspect = len(found)
            found.append(one)
    return tuple(found)


def _clock_notes(axis: Axis) -> Iterator[Note]:
    for step in axis.steps:
        yield Note(at_us=step.at_us, kind="clock_step", value=_seconds(step.by_us))
    for boot in axis.boots:
        if boot.moved_us:
            at_us = boot.settings[0].from_mono_us + boot.offset_us
            yield Note(at_us=at_us, kind="boot_moved", value=_seconds(boot.moved_us))


def _seconds(duration_us: int) -> str:
    return f"{duration_us / SECOND_US:+.3f} s"


def _layer(rank: int, from_us: int, to_us: int, state: State | None, why: str) -> Layer:
    return Layer(rank=rank, stretch=Stretch(from_us=from_us, to_us=to_us, state=state or State.OTHER, why=why[:200]))
