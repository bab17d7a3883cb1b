"""From a segment's bytes to an item: what custody says of it, its signed manifest, its commit into the spool.

Decided here: the order. The bytes are durable, then the journal says so (`segment.closed` or `segment.recovered`, with
everything the manifest needs), then the manifest is signed over that journal head, then the spool commits. A crash
between any two of these is completed from the journal by `edge.recorder.recovery`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from edge.camera.port import StreamInfo
from edge.recorder.segments import Finished, Progress
from vedette import __version__, spool
from vedette.custody import Journal, seal_closed
from vedette.errors import Integrity
from vedette.records import MANIFEST, PRIORITY_BULK, PRIORITY_MARKED, JournalHead, Manifest, Media, sign_record
from vedette.sealed import Recipient

KIND = "segment"
SOFTWARE = f"vedette {__version__}"
ROLL_ENTRIES = 48

Detail = Mapping[str, int | str | bool | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentFacts:
    """What is known of a segment when it is opened; `marked` may become true later. Times in microseconds UTC."""

    item: str
    recording: str
    sequence: int
    activation: str
    started_us: int
    codec: str
    width: int
    height: int
    marked: bool

    @classmethod
    def from_detail(cls, item: str, detail: Detail) -> SegmentFacts:
        """The facts in the detail of a `segment.opened` entry; Integrity when one is missing."""
        try:
            return cls(item=item, **{one.name: detail[one.name] for one in fields(cls) if one.name != "item"})  # type: ignore[arg-type]
        except KeyError as error:
            raise Integrity(f"the journal's segment.opened of {item} has no {error}") from None

    def to_detail(self) -> dict[str, int | str | bool | None]:
        """The facts as a journal entry's detail."""
        return {name: value for name, value in asdict(self).items() if name != "item"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """How a segment ended: its final bytes, and how much of the recording they hold."""

    sealed_sha256: str
    sealed_size: int
    plain_sha256: str | None
    plain_size: int
    media_us: int
    frames: int
    marked: bool
    complete: bool

    @classmethod
    def from_detail(cls, detail: Detail) -> Ending:
        """The ending in the detail of a `segment.closed` or `segment.recovered` entry; Integrity when incomplete."""
        try:
            return cls(**{one.name: detail[one.name] for one in fields(cls)})  # type: ignore[arg-type]
        except KeyError as error:
            raise Integrity(f"the journal's entry on a segment's end has no {error}") from None

    def to_detail(self) -> dict[str, int | str | bool | None]:
        """The ending as a journal entry's detail."""
        return asdict(self)


class Filing:
    """Writes custody of segments and commits them."""

    def __init__(self, spool_root: Path, journal: Journal, *, custody_recipients: Sequence[Recipient]) -> None:
        self.spool_root = spool_root
        self.journal = journal
        self._custody_recipients = custody_recipients
        self._rolled_seq = journal.head[0]

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
        ending = Ending(**asdict(finished), marked=facts.marked, complete=True)
        self.journal.append("segment.closed", facts.item, ending.to_detail())
        return self.commit(facts, ending)

    def tidy(self, *, all_of_it: bool = False) -> None:
        """Seal the journal so far into the spool once it is long enough; only between segments.

        A sealed file may be deleted, and an open segment could not be recovered without its lines.
        """
        if all_of_it or self.journal.head[0] - self._rolled_seq >= ROLL_ENTRIES:
            self.journal.roll()
            self._rolled_seq = self.journal.head[0]
        seal_closed(self.journal, self.spool_root, self._custody_recipients, software=SOFTWARE)

    def commit(self, facts: SegmentFacts, ending: Ending) -> spool.Item:
        """Sign the manifest and commit the item; the journal must have the ending already."""
        manifest = self._manifest(facts, ending)
        return spool.commit(self.spool_root, KIND, facts.item, self._sign(manifest))

    def manifest_bytes(self, facts: SegmentFacts, ending: Ending) -> bytes:
        """The signed manifest alone, for a sealed file that has its final name already."""
        return self._sign(self._manifest(facts, ending))

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
            ),
            journal=JournalHead(service=self.journal.service, seq=seq, head=head),
            software=SOFTWARE,
            models={},
        )


def facts_of(
    info: StreamInfo, *, item: str, recording: str, sequence: int, activation: str, started_us: int, marked: bool
) -> SegmentFacts:
    """The facts of a segment that is about to begin on a camera's stream."""
    return SegmentFacts(
        item=item,
        recording=recording,
        sequence=sequence,
        activation=activation,
        started_us=started_us,
        codec=info.codec,
        width=info.width,
        height=info.height,
        marked=marked,
    )
