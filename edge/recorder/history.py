"""What the recorder's own journal says of earlier runs: segments and how they ended, and where recording broke off.

Decided here: only the newest few files are read, because a closed file is sealed and may be deleted only while no
segment is open, so whatever an unfinished segment needs is in them.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from edge.recorder.filing import Ending, SegmentFacts
from edge.recorder.segments import Progress
from vedette import files
from vedette.custody_entry import Entry, parse_line
from vedette.custody_tail import MAX_FILE_BYTES, journal_files
from vedette.errors import Integrity, NotFound

MAX_FILES = 16
SERVICE_STOPPED = "service_stopped"


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
    """The recorder's past.

    `broke_off_us` is where the last recorded picture ended (UTC), None when there is none. `running` is the activation
    of a recording that never stopped, `held` whether it waits for a stop; `last_stop` why the last one stopped.
    """

    segments: dict[str, Segment] = field(default_factory=dict)
    broke_off_us: int | None = None
    activation: str | None = None
    held: bool = False
    last_stop: str | None = None

    @property
    def was_recording(self) -> bool:
        """True when the recorder was stopped from outside, or died, in the middle of a recording."""
        return self.activation is not None and self.last_stop in (None, SERVICE_STOPPED)


def read_history(folder: Path) -> History:
    """The history in the journal at `folder`; what cannot be understood was reported by the journal and is skipped."""
    history = History()
    for path in journal_files(folder)[-MAX_FILES:] if folder.is_dir() else []:
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
    if entry.event == "recording.started":
        history.activation, history.held = str(entry.detail.get("activation")), bool(entry.detail.get("held"))
        history.last_stop = None
    elif entry.event == "recording.stopped":
        history.last_stop = str(entry.detail.get("reason"))
    elif entry.event == "gap" and isinstance(to_us := entry.detail.get("to_us"), int):
        history.broke_off_us = max(history.broke_off_us or 0, to_us)
    elif entry.item is not None and entry.event.startswith("segment."):
        _learn_segment(history, entry, entry.item)


def _learn_segment(history: History, entry: Entry, item: str) -> None:
    if entry.event == "segment.opened":
        facts = SegmentFacts.from_detail(item, entry.detail)
        history.segments[item] = Segment(facts=facts, marked=facts.marked)
    segment = history.segments.get(item)
    if segment is None:
        return
    if entry.event == "segment.checkpoint":
        segment.progress.append(_progress(entry))
        segment.marked = bool(entry.detail.get("marked"))
    elif entry.event in ("segment.closed", "segment.recovered"):
        segment.ending = Ending.from_detail(entry.detail)
    history.broke_off_us = max(history.broke_off_us or 0, segment.ended_us)


def _progress(entry: Entry) -> Progress:
    numbers = {name: entry.detail.get(name) for name in ("offset", "media_us", "frames")}
    if not all(isinstance(value, int) for value in numbers.values()):
        raise Integrity(f"the journal's checkpoint {entry.seq} is incomplete")
    return Progress(sha256=str(entry.detail.get("sha256")), **numbers)  # type: ignore[arg-type]
