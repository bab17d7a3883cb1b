"""What the recorder's own journal says of earlier runs: segments and how they ended, and where recording broke off.

Decided here: old files may be gone (sealed, receipted, deleted), but never those of an unfinished segment, and each
new file begins with an entry `recorder.state` that says what the next run must know of those before. When the newest
file is gone too, its last line was kept (custody-journal.md), which says the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from edge.recorder.facts import Detail, Ending, SegmentFacts
from edge.recorder.segments import Progress
from vedette import files
from vedette.custody_entry import Entry, parse_line
from vedette.custody_tail import HEAD_NAME, MAX_FILE_BYTES, journal_files
from vedette.errors import Integrity, NotFound

MAX_FILES = 16
RETROACTIVE = "retroactive"
STATE = "recorder.state"
STOPPED, ENDED, SERVICE_STOPPED = "stopped", "ended", "service_stopped"


@dataclass(slots=True)
class Segment:
    """One segment by its journal: its facts, what was durable when (oldest first), and its ending if it had one."""

    facts: SegmentFacts
    progress: list[Progress] = field(default_factory=list)
    ending: Ending | None = None
    marked: bool = False

    @property
    def ended_us(self) -> int:
        """The last moment (UTC) that custody vouches for."""
        media_us = [one.media_us for one in self.progress] + ([self.ending.media_us] if self.ending else [])
        return self.facts.started_us + max(media_us, default=0)


@dataclass(slots=True)
class History:
    """The recorder's past; `ring` are the segments that nobody activated, which count for nothing else here.

    `broke_off_us` is where the last recorded picture ended (UTC), None when there is none. `activation` is that of the
    last recording, `held` whether only a stop ends it, `last_stop` why it stopped, None when it never did, and
    `marked` whether its last segment was.
    """

    segments: dict[str, Segment] = field(default_factory=dict)
    ring: dict[str, Segment] = field(default_factory=dict)
    broke_off_us: int | None = None
    activation: str | None = None
    held: bool = False
    last_stop: str | None = None
    marked: bool = False

    @property
    def was_recording(self) -> bool:
        """True when something broke the last recording off that nobody had asked to stop."""
        return self.activation is not None and self.last_stop not in (STOPPED, ENDED)

    def to_detail(self) -> Detail:
        """Everything but the segments, as an entry's detail."""
        return {
            "broke_off_us": self.broke_off_us,
            "activation": self.activation,
            "held": self.held,
            "last_stop": self.last_stop,
            "marked": self.marked,
        }


def read_history(folder: Path) -> History:
    """The history in the journal at `folder`; what cannot be understood was reported by the journal and is skipped."""
    history = History()
    for path in [folder / HEAD_NAME, *journal_files(folder)[-MAX_FILES:]] if folder.is_dir() else []:
        for entry in _entries(path):
            with suppress(Integrity):
                _learn(history, entry)
    return history


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


def _learn(history: History, entry: Entry) -> None:
    if entry.event in (STATE, "service.stopped"):
        _learn_state(history, entry.detail)
    elif entry.event == "recording.started":
        history.activation, history.held = str(entry.detail.get("activation")), bool(entry.detail.get("held"))
        history.last_stop = None
    elif entry.event == "recording.stopped":
        history.last_stop = str(entry.detail.get("reason"))
    elif entry.event == "gap" and isinstance(to_us := entry.detail.get("to_us"), int):
        history.broke_off_us = max(history.broke_off_us or 0, to_us)
    elif entry.item is not None and entry.event.startswith("segment."):
        _learn_segment(history, entry, entry.item)
    elif entry.event.startswith("ring.") and isinstance(item := entry.detail.get("segment"), str):
        _learn_marks(history.ring, entry, item, entry.event.removeprefix("ring."))


def _learn_state(history: History, detail: Detail) -> None:
    if isinstance(broke_off_us := detail.get("broke_off_us"), int):
        history.broke_off_us = max(history.broke_off_us or 0, broke_off_us)
    activation, last_stop = detail.get("activation"), detail.get("last_stop")
    history.activation = None if activation is None else str(activation)
    history.last_stop = None if last_stop is None else str(last_stop)
    history.held, history.marked = bool(detail.get("held")), bool(detail.get("marked"))


def _learn_segment(history: History, entry: Entry, item: str) -> None:
    segment = _learn_marks(history.segments, entry, item, entry.event.removeprefix("segment."))
    if segment is None or segment.facts.activation == RETROACTIVE:
        return  # What was claimed from the ring says nothing of what was being recorded.
    history.broke_off_us = max(history.broke_off_us or 0, segment.ended_us)
    history.marked = segment.marked if segment.ending is None else segment.ending.marked


def _learn_marks(segments: dict[str, Segment], entry: Entry, item: str, what: str) -> Segment | None:
    if what == "opened":
        facts = SegmentFacts.from_detail(item, entry.detail)
        segments[item] = Segment(facts=facts, marked=facts.marked)
    segment = segments.get(item)
    if segment is not None and what == "checkpoint":
        segment.progress.append(_progress(entry))
        segment.marked = bool(entry.detail.get("marked"))
    elif segment is not None and what in ("closed", "recovered"):
        segment.ending = Ending.from_detail(entry.detail)
    return segment


def _progress(entry: Entry) -> Progress:
    numbers = {name: entry.detail.get(name) for name in ("offset", "media_us", "frames")}
    if not all(isinstance(value, int) for value in numbers.values()):
        raise Integrity(f"the journal's checkpoint {entry.seq} is incomplete")
    return Progress(sha256=str(entry.detail.get("sha256")), **numbers)  # type: ignore[arg-type]
