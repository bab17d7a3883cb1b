"""What the recorder's own journal says of earlier runs: segments and how they ended, and where recording broke off.

Decided here: old files may be gone (sealed, receipted, deleted), but never those of an unfinished segment, and each
new file begins with an entry `recorder.state` that says what the next run must know of those before. When the newest
file is gone too, its last line was kept (custody-journal.md), which says the same.

What comes after what is decided by the machine's monotonic clock within one of its boots, and by the order of the lines
between two; the wall clock, which may have been set meanwhile, decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from edge.camera.condition import Moment
from edge.recorder.activation import CONTINUOUS, SCHEDULE
from edge.recorder.facts import Detail, Ending, SegmentFacts
from edge.recorder.segments import Progress
from vedette import files
from vedette.custody_entry import DetailValue, Entry, parse_line
from vedette.custody_tail import HEAD_NAME, MAX_FILE_BYTES, journal_files
from vedette.errors import Integrity, NotFound
from vedette.timeline_axis import is_reboot

MAX_FILES = 16
RETROACTIVE = "retroactive"
STATE = "recorder.state"
ALWAYS = (CONTINUOUS, SCHEDULE)
WHOSE = ("asked", "holder")
SLEEPS = ("sleep.began", "sleep.ended", "recorder.alive")
NAMES_MACHINE = ("service.started", "service.stopped", STATE)
STOPPED, ENDED, SERVICE_STOPPED = "stopped", "ended", "service_stopped"


@dataclass(slots=True)
class Segment:
    """One segment by its journal: its facts, what was durable when (oldest first), and its ending if it had one.

    `mono_us` is when it began in the machine's boot number `boot`: 0 is the present one, those before are negative.
    """

    facts: SegmentFacts
    mono_us: int = 0
    boot: int = 0
    progress: list[Progress] = field(default_factory=list)
    ending: Ending | None = None
    marked: bool = False

    @property
    def media_us(self) -> int:
        """How much of it custody vouches for."""
        media_us = [one.media_us for one in self.progress] + ([self.ending.media_us] if self.ending else [])
        return max(media_us, default=0)

    @property
    def end(self) -> tuple[int, int]:
        """Boot and moment (monotonic) up to which custody vouches for it."""
        return self.boot, self.mono_us + self.media_us


@dataclass(slots=True)
class History:
    """The recorder's past; `ring` are the segments that nobody activated, which count for nothing else here.

    `broke_off` is where the last recorded picture ended, None when there is none; its monotonic time is below zero
    where that was before the machine's present boot, whose name is `machine`. `activation` is that of the last
    recording, `held` whether only a stop ends it, `last_stop` why it stopped, None when it never did, and `marked`
    whether its last segment was. `holder` is the activation that a start began and no stop has ended; `asked` is what
    was activated and had not begun to be recorded; `stopping` says that a stop was obeyed and the recording had not
    ended. `lost_buffer`: the run before this one died while it recorded nothing, with what its buffer held.
    """

    segments: dict[str, Segment] = field(default_factory=dict)
    ring: dict[str, Segment] = field(default_factory=dict)
    broke_off: Moment | None = None
    activation: str | None = None
    held: bool = False
    last_stop: str | None = None
    marked: bool = False
    holder: str | None = None
    asked: str | None = None
    stopping: bool = False
    lost_buffer: bool = False
    machine: str | None = None

    @property
    def was_recording(self) -> bool:
        """True when something broke the last recording off that nobody had asked to stop."""
        return self.activation is not None and self.last_stop not in (STOPPED, ENDED)

    @property
    def owed_to(self) -> str | None:
        """The activation for which a run that died would be recording now, whatever has stopped since."""
        return self.activation if self.was_recording else self.asked

    @property
    def is_owed(self) -> bool:
        """True when video was wanted, recorded or about to be, as the last run broke off."""
        return self.owed_to is not None

    def to_detail(self) -> Detail:
        """Everything but the segments, as an entry's detail."""
        since = self.broke_off
        return {
            "broke_off_us": since.utc_us if since else None,
            "broke_off_mono_us": since.mono_us if since and since.mono_us >= 0 else None,
            "machine": self.machine,
            "activation": self.activation,
            "held": self.held,
            "last_stop": self.last_stop,
            "marked": self.marked,
            "holder": self.holder,
            "asked": self.asked,
            "stopping": self.stopping,
        }


def read_history(folder: Path) -> History:
    """The history in the journal at `folder`; what cannot be understood was reported by the journal and is skipped."""
    return _read(folder).found()


class GrowingHistory:
    """The history as it goes on: read from the journal at `folder` once, then by each line that has become durable.

    It says what `read_history` would find there, and forgets segments that have ended where it is told to.
    """

    def __init__(self, folder: Path) -> None:
        """Read what is there; from now on each line is to be learned."""
        self._reading = _read(folder)

    def learn(self, entry: Entry) -> None:
        """Learn from a line that is durable."""
        with suppress(Integrity):
            self._reading.learn(entry)

    def found(self) -> History:
        """The history up to the last line."""
        return self._reading.found()

    def forget_ended(self) -> None:
        """Let go of the segments that have ended; where recording went on is known without them."""
        self._reading.forget_ended()


def _read(folder: Path) -> _Reading:
    reading = _Reading()
    for path in [folder / HEAD_NAME, *journal_files(folder)[-MAX_FILES:]] if folder.is_dir() else []:
        for entry in _entries(path):
            with suppress(Integrity):
                reading.learn(entry)
    return reading


def _entries(path: Path) -> Iterable[Entry]:
    try:
        lines = files.read(path, max_bytes=MAX_FILE_BYTES).split(b"\n")
    except NotFound:
        return
    for line in lines:
        try:
            yield parse_line(line)
        except Integrity:
            continue


class _Reading:
    """Reads line after line; boots of the machine are counted up from the first one that is met."""

    def __init__(self) -> None:
        self._history = History()
        self._machines: dict[str, str] = {}
        self._last: Entry | None = None
        self._boot = 0
        self._end: tuple[int, int, int] | None = None
        self._begun: tuple[int, int, int] | None = None
        self._asleep = False

    def found(self) -> History:
        """The history as far as lines were learned; more may be."""
        last, broke_off = self._last, None
        ends = [end for end in (self._end, self._begun) if end is not None]
        if ends and last is not None:
            boot, mono_us, utc_us = max(reversed(ends), key=lambda end: end[:2])
            earlier_us = min(-1, _mono_of(last, utc_us, None))
            broke_off = Moment(utc_us, mono_us if boot == self._boot else earlier_us)
        return replace(
            self._history,
            segments={item: self._by_now(one) for item, one in self._history.segments.items()},
            ring={item: self._by_now(one) for item, one in self._history.ring.items()},
            machine=None if last is None else self._machines.get(last.boot),
            broke_off=broke_off,
        )

    def _by_now(self, segment: Segment) -> Segment:
        """The segment with its boot counted from the present one."""
        boot, facts = segment.boot - self._boot, segment.facts
        return replace(segment, boot=boot, facts=replace(facts, mono_us=None) if boot < 0 else facts)

    def forget_ended(self) -> None:
        """Let go of the segments that have ended."""
        for segments in (self._history.segments, self._history.ring):
            for item in [item for item, one in segments.items() if one.ending is not None]:
                del segments[item]

    def learn(self, entry: Entry) -> None:
        """Learn from the next line; Integrity where it is not what it should be."""
        history, detail = self._history, entry.detail
        if entry.event in NAMES_MACHINE and isinstance(machine := detail.get("machine"), str):
            self._machines[entry.boot] = machine
        if self._last is not None and is_reboot(self._last, entry, self._machines):
            self._boot += 1
        before, self._last = self._last, entry
        if entry.event in (STATE, "service.stopped"):
            self._learn_state(entry)
        elif entry.event == "service.started":
            is_death = before is not None and before.event != "service.stopped"
            history.lost_buffer = is_death and not history.was_recording and not self._asleep
        elif entry.event == "recording.started":
            self._begins(entry)
            history.activation, history.held = str(detail.get("activation")), bool(detail.get("held"))
            history.last_stop, history.asked, history.stopping = None, None, False
            if history.held and history.activation not in ALWAYS:
                history.holder = history.holder or history.activation
        elif entry.event == "recording.stopped":
            history.last_stop = str(detail.get("reason"))
            self._is_over()
        elif entry.event == "activation.received":
            self._learn_request(entry, str(detail.get("command")), str(detail.get("activation")))
        elif entry.event in SLEEPS:
            self._asleep = entry.event == "sleep.began" or detail.get("state") == "asleep"
        elif entry.event == "gap" and isinstance(to_us := detail.get("to_us"), int):
            self._went_on(self._boot, _mono_of(entry, to_us, detail.get("to_mono_us")), to_us)
        elif entry.item is not None and entry.event.startswith("segment."):
            self._learn_segment(entry, entry.item)
        elif entry.event.startswith("ring.") and isinstance(item := detail.get("segment"), str):
            self._learn_marks(history.ring, entry, item, entry.event.removeprefix("ring."))

    def _learn_request(self, entry: Entry, command: str, activation: str) -> None:
        """What was asked for, until a line says that it was done; in standby a mark begins a recording too."""
        history = self._history
        history.marked = history.marked or command == "mark"
        history.holder = {"start": history.holder or activation, "stop": None}.get(command, history.holder)
        if command == "stop":
            history.asked, history.stopping = None, history.was_recording
            self._begun = self._begun if history.was_recording else None
        elif not history.was_recording:
            self._begins(entry)
            history.held = command == "start" or (history.asked is not None and history.held)
            history.asked = history.asked or activation
        else:
            history.held = command == "start" or (history.held and not history.stopping)
            history.stopping = False

    def _begins(self, entry: Entry) -> None:
        """Recording is wanted from here on, where it was not before; all is missing until a picture is recorded."""
        if not self._history.was_recording and self._begun is None:
            self._begun = (self._boot, entry.mono_us, entry.utc_us)

    def _is_over(self) -> None:
        if not self._history.was_recording:
            self._begun, self._history.stopping = None, False
            self._history.holder = self._history.asked = None

    def _went_on(self, boot: int, mono_us: int, utc_us: int) -> None:
        """Recording went on until then at least."""
        if self._end is None or (boot, mono_us) >= self._end[:2]:
            self._end = (boot, mono_us, utc_us)

    def _learn_state(self, entry: Entry) -> None:
        history, detail = self._history, entry.detail
        if isinstance(utc_us := detail.get("broke_off_us"), int):
            mono_us = detail.get("broke_off_mono_us")
            # Null says that it was in an earlier boot; older versions said nothing.
            least_us = -1 if "broke_off_mono_us" in detail else entry.mono_us
            known_us = mono_us if isinstance(mono_us, int) else min(least_us, _mono_of(entry, utc_us, None))
            self._went_on(self._boot, known_us, utc_us)
        activation, last_stop = detail.get("activation"), detail.get("last_stop")
        history.activation = None if activation is None else str(activation)
        history.last_stop = None if last_stop is None else str(last_stop)
        history.held, history.marked = bool(detail.get("held")), bool(detail.get("marked"))
        history.asked, history.holder = (None if detail.get(one) is None else str(detail[one]) for one in WHOSE)
        history.stopping = bool(detail.get("stopping"))

    def _learn_segment(self, entry: Entry, item: str) -> None:
        history = self._history
        segment = self._learn_marks(history.segments, entry, item, entry.event.removeprefix("segment."))
        if segment is None or segment.facts.activation == RETROACTIVE:
            return  # What was claimed from the ring says nothing of what was being recorded.
        self._begun = None
        self._went_on(*segment.end, segment.facts.started_us + segment.media_us)
        history.marked = segment.marked if segment.ending is None else segment.ending.marked

    def _learn_marks(self, segments: dict[str, Segment], entry: Entry, item: str, what: str) -> Segment | None:
        if what == "opened":
            facts = SegmentFacts.from_detail(item, entry.detail)
            mono_us = _mono_of(entry, facts.started_us, facts.mono_us)
            segments[item] = Segment(facts=facts, mono_us=mono_us, boot=self._boot, marked=facts.marked)
        segment = segments.get(item)
        if segment is not None and what == "checkpoint":
            segment.progress.append(_progress(entry))
            segment.marked = bool(entry.detail.get("marked"))
        elif segment is not None and what in ("closed", "recovered"):
            segment.ending = Ending.from_detail(entry.detail)
        return segment


def _mono_of(entry: Entry, utc_us: int, mono_us: DetailValue) -> int:
    """The monotonic time that a line names; where it names none, what its own two clocks make of its UTC time."""
    return mono_us if isinstance(mono_us, int) else utc_us - (entry.utc_us - entry.mono_us)


def _progress(entry: Entry) -> Progress:
    numbers = {name: entry.detail.get(name) for name in ("offset", "media_us", "frames")}
    if not all(isinstance(value, int) for value in numbers.values()):
        raise Integrity(f"the journal's checkpoint {entry.seq} is incomplete")
    return Progress(sha256=str(entry.detail.get("sha256")), **numbers)  # type: ignore[arg-type]
