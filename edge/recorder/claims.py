"""Claims on the ring: what nobody had activated becomes evidence, for a stretch of time, on request and with a reason.

Decided here: a claim is durable before custody has it and custody has it before anything moves; one segment moves at a
time, so that recording never waits for a long stretch; a segment is in the spool under its name before it leaves the
ring, so that no crash loses it; what moved is an item like any other, and only a receipt deletes it from then on. What
recordings hold already is not brought a second time: a segment that is wholly there stays, of one that is there in part
what they lack is brought, to the checkpoint behind it. Implements RI-12 to RI-18 and RI-20 of docs/spec/ring.md.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from edge import ring
from edge.recorder.facts import Detail, Ending
from edge.recorder.filing import KIND, Filing
from edge.ring import Claim, Cut, Kept
from vedette import files, spool
from vedette.age_stream import CHUNK_BYTES, SEALED_CHUNK_BYTES
from vedette.errors import VedetteError
from vedette.sealed import header_length
from vedette.spool import Item

MAX_READ = 64


@dataclass(slots=True)
class _Moved:
    """What a claim has recovered so far, in this run."""

    segments: int = 0
    media_us: int = 0
    recorded: set[str] = field(default_factory=set)


@dataclass
class Claims:
    """The claims that wait; nothing is read from the disk until `resume`."""

    folder: Path
    _waiting: list[Claim] = field(default_factory=list)
    _moved: dict[str, _Moved] = field(default_factory=dict)
    _known: dict[str, Kept | None] = field(default_factory=dict)

    @property
    def waiting(self) -> int:
        """How many claims are not settled."""
        return len(self._waiting)

    def resume(self, filing: Filing) -> None:
        """Go on with what a run before this one left."""
        self._waiting = ring.load_claims(self.folder)
        for claim in self._waiting:
            self._tell(filing, claim, is_resumed=True)

    def take(self, filing: Filing, claim: Claim) -> bool:
        """Accept a claim; False while the keeper decides what goes, then it is to be asked again.

        Raises OSError or Refused where the disk takes nothing.
        """
        if any(one.id == claim.id for one in self._waiting):
            return True
        with ring.locked(self.folder) as is_ours:
            if not is_ours:
                return False
            path = self.folder / f"{claim.id}{ring.CLAIM}"
            if not path.exists():
                files.write_new(path, claim.to_bytes())
        self._tell(filing, claim, is_resumed=False)
        self._waiting.append(claim)
        return True

    def settle(self, filing: Filing) -> Item | None:
        """Move one segment of the oldest claim, or end that claim where nothing of it is left in the ring."""
        if not self._waiting:
            return None
        if not self._look(filing):
            return None
        claim = self._waiting[0]
        kept = self._next(filing, claim)
        moved = self._moved.setdefault(claim.id, _Moved())
        if kept is not None:
            moved.segments += 1
            moved.media_us += kept.ending.media_us
            return self._move(filing, claim, kept)
        detail: Detail = {"id": claim.id, "segments": moved.segments, "media_us": moved.media_us}
        if moved.recorded:
            detail = {**detail, "recorded": len(moved.recorded)}
        filing.journal.append("ring.settled", detail=detail)
        files.remove(self.folder / f"{claim.id}{ring.CLAIM}")
        self._waiting.pop(0)
        self._moved.pop(claim.id)
        return None

    def _tell(self, filing: Filing, claim: Claim, *, is_resumed: bool) -> None:
        detail: Detail = {
            "id": claim.id,
            "by": claim.by,
            "reason": claim.reason,
            "from_us": claim.from_us,
            "to_us": claim.to_us,
            "resumed": is_resumed,
        }
        self._moved[claim.id] = _Moved()
        filing.journal.append("ring.claimed", detail=detail)

    def _look(self, filing: Filing) -> bool:
        """Read records that are new, `MAX_READ` at most; False while there are more."""
        new = [item for item in ring.named(self.folder, ring.KEPT) if item not in self._known]
        for item in new[:MAX_READ]:
            try:
                self._known[item] = ring.load_kept(self.folder / f"{item}{ring.KEPT}", filing.journal.key.public)
            except VedetteError:
                self._known[item] = None  # The keeper deals with what is no record; it describes no segment.
        return len(new) <= MAX_READ

    def _next(self, filing: Filing, claim: Claim) -> Kept | None:
        """The oldest segment of the claim that is still in the ring; what is not as its record says is named so."""
        for item in ring.named(self.folder, ring.KEPT):
            kept = self._known.get(item)
            if kept is None or not claim.covers(kept):
                continue
            shared = ring.load_shared(self.folder, item)
            if shared is not None and shared.from_us <= max(claim.from_us, kept.facts.started_us):
                self._moved.setdefault(claim.id, _Moved()).recorded.add(item)
                continue
            sealed, cut = ring.sealed_path(self.folder, item), shared.cut if shared else None
            sizes = (kept.ending.sealed_size, cut.offset if cut else None)
            if sealed.exists() and sealed.stat().st_size in sizes:
                return kept if cut is None else replace(kept, ending=_ending_at(cut, sealed))
            self._known[item] = None
            if filing.is_filed(item):  # A run before this one was killed between the removals.
                files.remove(self.folder / f"{item}{ring.SHARED}")
                files.remove(self.folder / f"{item}{ring.KEPT}")
            else:
                filing.journal.append("ring.unexplained", detail={"segment": item, "why": "missing or of another size"})
        return None

    def _move(self, filing: Filing, claim: Claim, kept: Kept) -> Item | None:
        root, item = filing.spool_root, kept.item
        sealed, record = ring.sealed_path(self.folder, item), self.folder / f"{item}{ring.KEPT}"
        found: Item | None = None
        if not filing.is_filed(item):
            # Its own boot of the machine may be over: when it was taken says the ring's line.
            facts, ending = replace(kept.facts, marked=True, mono_us=None), replace(kept.ending, marked=True)
            opened: Detail = {"claim": claim.id, "kept_seq": kept.seq, "kept_line": kept.line_sha256}
            filing.journal.append("segment.opened", item, {**facts.to_detail(), **opened})
            event = "segment.closed" if ending.complete else "segment.recovered"
            filing.journal.append(event, item, ending.to_detail())
            part = spool.part_path(root, KIND, item)
            part.unlink(missing_ok=True)
            _cut(sealed, ending.sealed_size)
            os.link(sealed, part)
            files.fsync_dir(part.parent)
            found = filing.commit(facts, ending)
        files.remove(sealed)
        files.remove(self.folder / f"{item}{ring.SHARED}")
        files.remove(record)
        self._known.pop(item, None)
        return found


def _ending_at(cut: Cut, sealed: Path) -> Ending:
    """How a segment ends at a checkpoint, whose bytes are whole chunks."""
    with sealed.open("rb") as file:
        header = header_length(file)
    return Ending(
        sealed_sha256=cut.sha256,
        sealed_size=cut.offset,
        plain_sha256=None,
        plain_size=(cut.offset - header) // SEALED_CHUNK_BYTES * CHUNK_BYTES,
        media_us=cut.media_us,
        frames=cut.frames,
        marked=True,
        complete=False,
    )


def _cut(sealed: Path, size: int) -> None:
    """Take off what is behind `size` and in a recording; nothing is behind it else."""
    if sealed.stat().st_size > size:
        with sealed.open("r+b") as file:
            file.truncate(size)
            os.fsync(file.fileno())
