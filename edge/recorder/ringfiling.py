"""The ring as a shelf: what custody says of a segment that nobody activated, and the record beside it.

Decided here: the same order as in `filing` (bytes durable, then custody, then the name, then the signed record), with
`ring.*` for each line, so that none passes for a recording, and without a manifest, so that none of it is an item. No
line has the marks of fragments: what is claimed leaves without these lines.
"""

from __future__ import annotations

import os
from pathlib import Path

from edge import ring
from edge.recorder.facts import Detail, Ending, SegmentFacts
from edge.recorder.filing import Filing
from edge.recorder.history import Segment
from edge.recorder.segments import Finished, Progress
from edge.ring import Kept
from vedette import files

_PART = f"{ring.SEALED}.part"


class RingFiling:
    """Writes custody of the ring's segments and files them; a `Shelf` beside the recorder's own."""

    def __init__(
        self, folder: Path, filing: Filing, policy: Detail | None = None, recent: dict[str, Segment] | None = None
    ) -> None:
        """`folder` must be there; the journal is that of `filing`; `policy` is said where keeping begins.

        In `recent` it is noted what was written, as the journal's history would have it.
        """
        self.folder, self.journal, self._filing = folder, filing.journal, filing
        self._policy, self._recent = policy or {}, {} if recent is None else recent

    def started(self, detail: Detail) -> None:
        """Say in the journal that keeping begins, and by which policy."""
        self.journal.append("ring.started", detail={**detail, **self._policy})

    def stopped(self, detail: Detail) -> None:
        """Say in the journal that it stopped, and why."""
        self.journal.append("ring.stopped", detail=detail)

    def opened(self, facts: SegmentFacts) -> Path:
        """Say in the journal that the segment begins; the path at which to write it."""
        self.journal.append("ring.opened", detail={**facts.to_detail(), "segment": facts.item})
        self._recent[facts.item] = Segment(facts=facts, mono_us=facts.mono_us or 0)
        return self.folder / f"{facts.item}{_PART}"

    def checkpoint(self, facts: SegmentFacts, progress: Progress) -> None:
        """Say in the journal how much of the segment is durable."""
        durable = {name: getattr(progress, name) for name in ("offset", "sha256", "media_us", "frames")}
        self.journal.append("ring.checkpoint", detail={**durable, "segment": facts.item})
        self._recent[facts.item].progress.append(progress)

    def closed(self, facts: SegmentFacts, finished: Finished) -> None:
        """File a whole segment whose bytes are durable."""
        ending = Ending.of(finished, marked=False)
        self.journal.append("ring.closed", detail={**ending.to_detail(), "segment": facts.item})
        self.finish(facts, ending, self.folder / f"{facts.item}{_PART}")

    def tidy(self, *, all_of_it: bool = False) -> None:
        """Seal the journal so far, as after each segment."""
        self._filing.tidy(all_of_it=all_of_it)

    def is_filed(self, item: str) -> bool:
        """Whether a segment's file needs nothing more: it has its record, or the keeper is deleting it."""
        going = (f".{why}{ring.GOING}" for why in ring.WHYS)
        return any((self.folder / f"{item}{ending}").exists() for ending in (ring.KEPT, *going))

    def cut(self, item: str, ending: Ending) -> None:
        """Say in the journal how a segment ends that a dead run left."""
        self.journal.append("ring.recovered", detail={**ending.to_detail(), "segment": item})

    def finish(self, facts: SegmentFacts, ending: Ending, path: Path) -> None:
        """Give the segment at `path` its name and its record; the journal must have the ending already."""
        if path.suffix == ".part":
            os.replace(path, ring.sealed_path(self.folder, facts.item))
            files.fsync_dir(self.folder)
        seq, line = self.journal.head
        machine = self.journal.clock.machine()
        kept = Kept(facts=facts, ending=ending, seq=seq, line_sha256=line, machine=machine)
        files.write_new(self.folder / f"{facts.item}{ring.KEPT}", kept.sign(self.journal.key))
        self._recent.setdefault(facts.item, Segment(facts=facts)).ending = ending

    def put_aside(self, item: str, path: Path, why: str) -> None:
        """Leave a file that custody does not explain to the keeper, which deletes it in its time like the rest."""
        self.journal.append("ring.unexplained", detail={"segment": item, "file": path.name, "why": why[:512]})
        os.replace(path, self.folder / f"{item}{ring.UNEXPLAINED}")
        files.fsync_dir(self.folder)
