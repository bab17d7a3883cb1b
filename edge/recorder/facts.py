"""What the journal says of a segment when it is opened and when it has ended, as values.

Decided here: which fields the entries `segment.opened`, `segment.closed` and `segment.recovered` have. Whatever a
manifest needs is in them, so that a crash before the manifest costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from edge.camera.port import EncodedUnit, StreamInfo
from edge.recorder.segments import Finished
from vedette.errors import Integrity

Detail = Mapping[str, int | str | bool | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentFacts:
    """What is known of a segment when it is opened; `marked` may become true later.

    Its first picture was taken at `started_us` (UTC microseconds) as the wall clock was then, and at `mono_us` of the
    machine's monotonic clock, None where that is not of the boot in which the line is written. `sound` is the codec of
    its sound track, None where it has none. `satellite_time_trusted` is what held at its first picture, None where
    there was no position or nobody judged.
    """

    item: str
    recording: str
    sequence: int
    activation: str
    started_us: int
    codec: str
    width: int
    height: int
    marked: bool
    sound: str | None = None
    mono_us: int | None = None
    satellite_time_trusted: bool | None = None

    @classmethod
    def from_detail(cls, item: str, detail: Detail) -> SegmentFacts:
        """The facts in the detail of a `segment.opened` entry; Integrity when one is missing."""
        # Older journals name none of these.
        known = {"sound": None, "mono_us": None, "satellite_time_trusted": None, **detail}
        try:
            return cls(item=item, **{one.name: known[one.name] for one in fields(cls) if one.name != "item"})  # type: ignore[arg-type]
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

    @classmethod
    def of(cls, finished: Finished, *, marked: bool) -> Ending:
        """The ending of a whole segment."""
        return cls(
            sealed_sha256=finished.sealed_sha256,
            sealed_size=finished.sealed_size,
            plain_sha256=finished.plain_sha256,
            plain_size=finished.plain_size,
            media_us=finished.media_us,
            frames=finished.frames,
            marked=marked,
            complete=True,
        )

    def to_detail(self) -> dict[str, int | str | bool | None]:
        """The ending as a journal entry's detail."""
        return asdict(self)


def facts_of(
    info: StreamInfo,
    first: EncodedUnit,
    *,
    item: str,
    recording: str,
    sequence: int,
    activation: str,
    marked: bool,
    satellite_time_trusted: bool | None,
) -> SegmentFacts:
    """The facts of a segment that is about to begin with `first` of a camera's stream."""
    return SegmentFacts(
        item=item,
        recording=recording,
        sequence=sequence,
        activation=activation,
        started_us=first.utc_us,
        mono_us=first.mono_us,
        codec=info.codec,
        width=info.width,
        height=info.height,
        marked=marked,
        sound=info.sound.codec if info.sound else None,
        satellite_time_trusted=satellite_time_trusted,
    )
