"""Keeping what nobody activated: while nothing is recorded, pictures go into the ring's segments (ADR 19).

Decided here: when the ring is written (policy says so, nothing is recorded, the camera is awake, there is room) and
that it is an interval in custody, with the policy that ordered it. Sound is in it only where the pre-event buffer keeps
sound too. Nothing here sends, marks or deletes. Implements RI-1 to RI-6 of docs/spec/ring.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from edge import ring
from edge.camera.port import EncodedUnit, Recorded, SoundInfo, SoundUnit
from edge.recorder.claims import Claims
from edge.recorder.facts import Detail
from edge.recorder.filing import Filing
from edge.recorder.history import RETROACTIVE, History, Segment
from edge.recorder.overlap import Span, forget_old, recorded_spans, share
from edge.recorder.recording import Form, Recording
from edge.recorder.recovery import Recovered, recover
from edge.recorder.ringfiling import RingFiling
from edge.ring import Claim
from edge.room import spare_bytes
from vedette import files
from vedette.config import DeviceConfig
from vedette.spool import Item

LOOK_US = 1_000_000
SETTLE_US = 200_000
ROOM, POLICY = "room", "policy"


@dataclass(frozen=True, kw_only=True, slots=True)
class RingPolicy:
    """For how many hours un-activated video is kept (0: not at all), in how many bytes at most, and how many bytes of
    the disk must stay free beside it.
    """

    folder: Path
    hours: int = 0
    most_bytes: int = 0
    min_free_bytes: int = 0
    keeps_sound: bool = False


def policy_of(config: DeviceConfig) -> RingPolicy:
    """What the configuration says of the ring."""
    recorder = config.recorder
    least_mib = max(config.keeper.low_free_mib, recorder.min_free_mib, recorder.marked_min_free_mib)
    return RingPolicy(
        folder=ring.folder_of(config.spool),
        hours=recorder.retroactive_h,
        most_bytes=recorder.retroactive_mib << 20,
        min_free_bytes=least_mib << 20,
        keeps_sound=config.sound.pre_event,
    )


class Retaining:
    """The ring as the recorder sees it; raises OSError or Refused where the disk takes no more."""

    def __init__(self, policy: RingPolicy) -> None:
        self.policy = policy
        self._writing: Recording | None = None
        self._claims = Claims(policy.folder)
        self._asked: list[Claim] = []
        self._recent: dict[str, Segment] = {}
        self._recorded: list[Span] = []
        self._until_us: int | None = None
        self._is_short = False
        self._look_us = self._settle_us = 0

    @property
    def is_on(self) -> bool:
        """Whether un-activated video is being kept now."""
        return self._writing is not None

    @property
    def waiting(self) -> int:
        """How many claims are not settled."""
        return self._claims.waiting + len(self._asked)

    def repair(self, filing: Filing, history: History) -> Recovered:
        """Make whole what a dead run left in the ring, and go on with its claims."""
        self._writing = None
        if self.policy.hours:
            self.policy.folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        if not self.policy.folder.is_dir():
            return Recovered()
        self._recent, self._recorded = dict(history.ring), recorded_spans(history.segments)
        found = recover(RingFiling(self.policy.folder, filing, recent=self._recent), history.ring)
        self._share(filing)
        self._claims.resume(filing)
        return found

    def recorded(self, filing: Filing, item: Item, began_us: int) -> None:
        """A segment of a recording that began at `began_us` (monotonic) is filed: what of the ring it holds too is not
        to be brought a second time.
        """
        ended_us = began_us + item.manifest.ended_us - item.manifest.started_us
        if self._recent and item.manifest.activation != RETROACTIVE:
            self._recorded.append(Span(0, began_us, ended_us))
            self._share(filing)
        if self._until_us is not None and ended_us >= self._until_us:
            self._until_us = None

    def activated(self) -> None:
        """A recording began with what was buffered, which is in the ring too: claims wait until that is filed."""
        newest = max(self._recent.values(), key=lambda one: one.end, default=None)
        if newest is not None and newest.boot == 0 and share(newest, self._recorded) is None:
            self._until_us = newest.mono_us + newest.media_us

    def is_over(self) -> None:
        """The recording that an activation began has ended: no more of it will be filed."""
        self._until_us = None

    def _share(self, filing: Filing) -> None:
        """Note beside each segment what recordings hold of it: custody first, then the file."""
        forget_old(self._recent, self._recorded)
        for item, segment in list(self._recent.items()):
            path = self.policy.folder / f"{item}{ring.SHARED}"
            found = share(segment, self._recorded) if segment.ending is not None else None
            if found is None or path.exists() or not (self.policy.folder / f"{item}{ring.KEPT}").exists():
                continue
            said: Detail = {
                "segment": item,
                "from_us": found.from_us,
                "offset": found.cut.offset if found.cut else None,
            }
            filing.journal.append("ring.recorded", detail=said)
            files.write_new(path, found.to_bytes())

    def begin(self, filing: Filing, form: Form) -> None:
        """Begin to keep, where policy says so, there is room, and it is not so already."""
        if self._writing is not None or not self.policy.hours or self._is_short:
            return
        if not self.policy.keeps_sound:
            form = replace(form, info=replace(form.info, sound=None))
        said: Detail = {"hours": self.policy.hours, "most_mib": self.policy.most_bytes >> 20}
        shelf = RingFiling(self.policy.folder, filing, said, self._recent)
        self._writing = Recording(shelf, form, activation=RETROACTIVE, held=False)

    def deliver(self, sound: SoundInfo) -> None:
        """The camera brings this sound from here on."""
        if self._writing is not None and self.policy.keeps_sound:
            self._writing.deliver(sound)

    def take(self, unit: Recorded) -> None:
        """Keep one unit where keeping goes on."""
        if self._writing is None:
            return
        if isinstance(unit, SoundUnit):
            if self.policy.keeps_sound:
                self._writing.hear(unit)
        elif isinstance(unit, EncodedUnit) and self._writing.takes(unit):
            self._writing.write(unit, marked=False)

    def end(self, reason: str) -> None:
        """Close the open segment; custody has the reason."""
        writing, self._writing = self._writing, None
        if writing is None:
            return
        try:
            writing.stop(reason)
        except BaseException:
            writing.abandon()
            raise

    def abandon(self) -> None:
        """Let go of the open segment as the disk has it."""
        self._until_us = None
        if self._writing is not None:
            self._writing.abandon()
            self._writing = None

    def look(self, now_us: int, free_bytes: Callable[[], int]) -> None:
        """Once a second: keeping stops where the rest of the disk has little room, and goes on with some to spare."""
        if now_us < self._look_us:
            return
        self._look_us = now_us + LOOK_US
        least = self.policy.min_free_bytes
        self._is_short = free_bytes() < least + (spare_bytes(least) if self._is_short else 0)
        if self._is_short:
            self.end(ROOM)

    def keep(self, now_us: int) -> None:
        """Make what is written durable, as for a recording."""
        if self._writing is not None:
            self._writing.keep(now_us)

    def claim(self, filing: Filing, claim: Claim) -> None:
        """Take a request to recover a stretch, or say in custody why not."""
        why = POLICY if not self.policy.hours else "too_many" if self.waiting >= ring.MAX_CLAIMS else None
        if why is None:
            self._asked.append(claim)
        else:
            filing.journal.append("ring.refused", detail={"id": claim.id, "by": claim.by, "why": why})

    def settle(self, filing: Filing, now_us: int) -> Item | None:
        """A few times a second: accept what was asked for, then move one segment; the item it became, if any."""
        if now_us < self._settle_us or not self.waiting:
            return None
        self._settle_us = now_us + SETTLE_US
        while self._asked:
            if not self._claims.take(filing, self._asked[0]):
                return None
            claim = self._asked.pop(0)
            began = self._writing.began if self._writing is not None else None
            if self._writing is not None and began is not None and claim.to_us > began.utc_us:
                self._writing.end_segment()
        return self._claims.settle(filing) if self._until_us is None else None
