"""From a segment's bytes to an item: what custody says of it, its signed manifest, its commit into the spool.

Decided here: the order. The bytes are durable, then the journal says so (`segment.closed` or `segment.recovered`, with
everything the manifest needs), then the manifest is signed over that journal head, then the spool commits. A crash
between any two of these is completed from the journal by `edge.recorder.recovery`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from edge.recorder.facts import Detail, Ending, SegmentFacts
from edge.recorder.history import STATE, GrowingHistory, History
from edge.recorder.segments import Finished, Progress
from vedette import files, spool
from vedette.custody import Journal, seal_closed
from vedette.errors import VedetteError
from vedette.identity import Identity
from vedette.records import MANIFEST, PRIORITY_BULK, PRIORITY_MARKED, JournalHead, Manifest, Media, sign_record
from vedette.sealed import Recipient

KIND = "segment"
ROLL_ENTRIES = 48


class Shelf(Protocol):
    """Where segments are put and what custody says of them: the spool, or the ring."""

    journal: Journal

    @property
    def folder(self) -> Path: ...

    def started(self, detail: Detail) -> None: ...

    def stopped(self, detail: Detail) -> None: ...

    def opened(self, facts: SegmentFacts) -> Path: ...

    def checkpoint(self, facts: SegmentFacts, progress: Progress) -> None: ...

    def closed(self, facts: SegmentFacts, finished: Finished) -> spool.Item | None: ...

    def tidy(self, *, all_of_it: bool = False) -> None: ...

    def is_filed(self, item: str) -> bool: ...

    def cut(self, item: str, ending: Ending) -> None: ...

    def finish(self, facts: SegmentFacts, ending: Ending, path: Path) -> None: ...

    def put_aside(self, item: str, path: Path, why: str) -> None: ...


class Filing:
    """Writes custody of segments and commits them; the `Shelf` that is the spool."""

    def __init__(
        self,
        spool_root: Path,
        journal: Journal,
        *,
        custody_recipients: Sequence[Recipient],
        identity: Identity,
    ) -> None:
        self.spool_root = spool_root
        self.journal = journal
        self._custody_recipients = custody_recipients
        self._identity = identity
        self._rolled_seq = journal.head[0]
        self._history: GrowingHistory | None = None

    @property
    def folder(self) -> Path:
        """Where the sealed files lie."""
        return self.spool_root / KIND

    def read_history(self) -> History:
        """The history by the journal on the disk; segments that an earlier run left are in it."""
        self._history = None
        return self.history()

    def history(self) -> History:
        """The history up to now, without segments that had ended when the journal was rolled last."""
        return self._growing().found()

    def started(self, detail: Detail) -> None:
        """Say in the journal that a recording starts."""
        self.journal.append("recording.started", detail=detail)

    def stopped(self, detail: Detail) -> None:
        """Say in the journal that it stopped."""
        self.journal.append("recording.stopped", detail=detail)

    def opened(self, facts: SegmentFacts) -> Path:
        """Say in the journal that the segment begins; the path at which to write it."""
        self.journal.append("segment.opened", facts.item, facts.to_detail())
        return spool.part_path(self.spool_root, KIND, facts.item)

    def checkpoint(self, facts: SegmentFacts, progress: Progress) -> None:
        """Say in the journal how much of the segment is durable."""
        detail = {**asdict(progress), "marked": facts.marked}
        self.journal.append("segment.checkpoint", facts.item, detail)

    def closed(self, facts: SegmentFacts, finished: Finished) -> spool.Item:
        """File a whole segment whose bytes are durable."""
        ending = Ending.of(finished, marked=facts.marked)
        marks = {"fragments": finished.fragments, "fragments_key": finished.fragments_key}
        self.journal.append("segment.closed", facts.item, {**ending.to_detail(), **marks})
        return self.commit(facts, ending)

    def tidy(self, *, all_of_it: bool = False) -> None:
        """Seal the journal so far into the spool once it is long enough; only between segments.

        A sealed file may be deleted, and an open segment could not be recovered without its lines. The new file
        begins with what the next run must know of the old ones.
        """
        if all_of_it or self.journal.head[0] - self._rolled_seq >= ROLL_ENTRIES:
            history = self._growing()
            state = history.found().to_detail()
            history.forget_ended()
            self.journal.roll()
            self.journal.append(STATE, detail=state)
            self._rolled_seq = self.journal.head[0]
        seal_closed(self.journal, self.spool_root, self._custody_recipients, identity=self._identity)

    def signed_off(self) -> None:
        """Say in the journal that the service stopped, and seal all of it."""
        self.journal.append("service.stopped", detail=self.history().to_detail())
        self.journal.roll()
        seal_closed(self.journal, self.spool_root, self._custody_recipients, identity=self._identity)

    def commit(self, facts: SegmentFacts, ending: Ending) -> spool.Item:
        """Sign the manifest and commit the item; the journal must have the ending already."""
        manifest = self._manifest(facts, ending)
        return spool.commit(self.spool_root, KIND, facts.item, self._sign(manifest))

    def is_filed(self, item: str) -> bool:
        """Whether a segment's file needs nothing more."""
        return spool.manifest_path(self.spool_root, KIND, item).exists()

    def cut(self, item: str, ending: Ending) -> None:
        """Say in the journal how a segment ends that a dead run left."""
        self.journal.append("segment.recovered", item, ending.to_detail())

    def finish(self, facts: SegmentFacts, ending: Ending, path: Path) -> None:
        """Commit a segment that a dead run left at `path`; the journal must have the ending already."""
        if path.suffix == ".part":
            self.commit(facts, ending)
        else:
            manifest = self._sign(self._manifest(facts, ending))
            files.write_new(spool.manifest_path(self.spool_root, KIND, facts.item), manifest)

    def put_aside(self, item: str, path: Path, why: str) -> None:
        """Put a file that custody does not explain where a person sees it."""
        target = self.spool_root / spool.QUARANTINE / path.name
        try:
            self.journal.append("segment.quarantined", item, {"file": path.name, "why": why[:512]})
        except VedetteError:
            return
        os.replace(path, target)
        files.fsync_dir(target.parent)
        files.fsync_dir(path.parent)

    def _growing(self) -> GrowingHistory:
        """The history, read from the disk where that was not done: pictures wait for a roll, and many files may lie
        there that nobody has fetched yet.
        """
        if self._history is None:
            self._history = GrowingHistory(self.journal.folder)
            self.journal.follow(self._history.learn)
        return self._history

    def _sign(self, manifest: Manifest) -> bytes:
        return sign_record(MANIFEST, manifest.to_body(), self.journal.key)

    def _manifest(self, facts: SegmentFacts, ending: Ending) -> Manifest:
        quality = self.journal.clock.quality()
        seq, head = self.journal.head
        return Manifest(
            item=facts.item,
            kind=KIND,
            device=self.journal.device,
            sealed_sha256=ending.sealed_sha256,
            sealed_size=ending.sealed_size,
            plain_sha256=ending.plain_sha256,
            plain_size=ending.plain_size,
            created_us=self.journal.clock.utc_us(),
            started_us=facts.started_us,
            ended_us=facts.started_us + ending.media_us,
            time_source=quality.source,
            time_error_us=quality.error_us,
            complete=ending.complete,
            priority=PRIORITY_MARKED if ending.marked else PRIORITY_BULK,
            recording=facts.recording,
            sequence=facts.sequence,
            activation=facts.activation,
            media=Media(
                codec=facts.codec,
                width=facts.width,
                height=facts.height,
                duration_us=ending.media_us,
                frames=ending.frames,
                sound=facts.sound,
            ),
            journal=JournalHead(service=self.journal.service, seq=seq, head=head),
            software=self._identity.software,
            models={},  # no model has touched the video
            hardware=self._identity.hardware,
            firmware=self._identity.firmware,
            policy_sha256=self._identity.policy_sha256,
        )
