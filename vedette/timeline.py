"""A shift, second by second: what was recorded, and for what was not, why; values, and the rule that lays them out.

Decided here: the states a second can have, that one stretch follows the other without a hole, and that a second nobody
accounts for is `unknown` and never guessed at. What the journal's lines say is read in `timeline_layers`, where on one
axis they lie in `timeline_axis`. Implements TI-1 to TI-6 of docs/spec/timeline.md.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

SECOND_US = 1_000_000


class State(Enum):
    """What a second was: recorded, kept without an activation (and never sent unless recovered), or why it was not."""

    RECORDED = "recorded"
    RETAINED = "retained"
    STANDBY = "standby"
    ASLEEP = "asleep"
    OFF = "off"
    STARTING = "starting"
    RESTARTED = "restarted"
    POWER_LOST = "power_lost"
    CAMERA = "camera"
    FULL = "full"
    DISK = "disk"
    THERMAL = "thermal"
    OTHER = "other"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """One state from `from_us` up to `to_us` (shown time, UTC); `why` is the journal's own word or a sentence."""

    from_us: int
    to_us: int
    state: State
    why: str = ""
    recording: str | None = None
    marked: bool = False

    @property
    def length_us(self) -> int:
        """How long it lasts."""
        return self.to_us - self.from_us


@dataclass(frozen=True, kw_only=True, slots=True)
class Overlay:
    """What was so beside, in the row that `timeline_words.ROWS` names; a moment where times agree."""

    row: str
    from_us: int
    to_us: int
    label: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """Something to say about a moment: a `kind` of `timeline_words`, and the value its sentence has in it."""

    at_us: int
    kind: str
    value: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeline:
    """A device's shift: stretches without a hole from `from_us` to `to_us`, overlays and notes in order of time.

    `is_stopped` says that its recorder stopped in order with the last line.
    """

    device: str
    from_us: int
    to_us: int
    is_stopped: bool
    stretches: tuple[Stretch, ...]
    overlays: tuple[Overlay, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def totals(self) -> dict[State, int]:
        """Microseconds of each state; their sum is the whole."""
        found = dict.fromkeys(State, 0)
        for one in self.stretches:
            found[one.state] += one.length_us
        return found

    @property
    def unexplained_us(self) -> int:
        """How long nobody accounts for."""
        return self.totals[State.UNKNOWN]

    def between(self, from_us: int, to_us: int) -> Timeline:
        """The part from `from_us` to `to_us`; beyond the lines it is unknown, or off after an orderly stop."""
        inside = [clip(one, from_us, to_us) for one in self.stretches]
        stretches = [one for one in inside if one.length_us > 0]
        if from_us < self.from_us:
            before = min(self.from_us, to_us)
            stretches.insert(0, _unknown(from_us, before, "before_first_line"))
        if to_us > self.to_us:
            stretches.append(self._after(max(self.to_us, from_us), to_us))
        overlays = [
            replace(one, from_us=max(one.from_us, from_us), to_us=min(one.to_us, to_us))
            for one in self.overlays
            if one.from_us < to_us and one.to_us >= from_us
        ]
        notes = [one for one in self.notes if from_us <= one.at_us <= to_us]
        return replace(
            self,
            from_us=from_us,
            to_us=to_us,
            stretches=joined(stretches),
            overlays=tuple(overlays),
            notes=tuple(notes),
        )

    def _after(self, from_us: int, to_us: int) -> Stretch:
        if self.is_stopped:
            return Stretch(from_us=from_us, to_us=to_us, state=State.OFF, why="service_stopped")
        return _unknown(from_us, to_us, "after_last_line")


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """A claim about a stretch of time; where claims overlap the highest `rank` holds, the later one of equals."""

    rank: int
    stretch: Stretch


def lay_out(layers: Iterable[Layer], from_us: int, to_us: int) -> tuple[Stretch, ...]:
    """One stretch after the other from `from_us` to `to_us`: the strongest claim for each moment, else unknown."""
    claims = [one for one in layers if one.stretch.to_us > from_us and one.stretch.from_us < to_us]
    claims = [one for one in claims if one.stretch.length_us > 0]
    edges = sorted(
        {from_us, to_us}
        | {edge for one in claims for edge in (one.stretch.from_us, one.stretch.to_us) if from_us < edge < to_us}
    )
    waiting = sorted(enumerate(claims), key=lambda one: one[1].stretch.from_us, reverse=True)
    active: list[tuple[int, Layer]] = []
    found = []
    for start_us, end_us in itertools.pairwise(edges):
        active = [one for one in active if one[1].stretch.to_us > start_us]
        while waiting and waiting[-1][1].stretch.from_us <= start_us:
            active.append(waiting.pop())
        best = max(active, key=lambda one: (one[1].rank, one[0]), default=None)
        claim = best[1].stretch if best else _unknown(start_us, end_us, "")
        found.append(replace(claim, from_us=start_us, to_us=end_us))
    return without_slivers(joined(found))


def joined(stretches: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """Neighbours that say the same become one."""
    found: list[Stretch] = []
    for one in stretches:
        if found and replace(found[-1], from_us=0, to_us=0) == replace(one, from_us=0, to_us=0):
            found[-1] = replace(found[-1], to_us=one.to_us)
        else:
            found.append(one)
    return tuple(found)


def without_slivers(stretches: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """Less than a second that is unknown goes to a neighbour that was not recorded; between two recorded it stays.

    The recorder writes a line some moments after what it tells of, so a state's edge is known to a second (TI-5). Time
    is never added to what was recorded.
    """
    found = list(stretches)
    for index, one in enumerate(stretches):
        if one.state is not State.UNKNOWN or one.why or one.length_us >= SECOND_US:
            continue
        beside = [stretches[near] for near in (index + 1, index - 1) if 0 <= near < len(stretches)]
        taker = next((near for near in beside if near.state not in (State.RECORDED, State.UNKNOWN)), None)
        if taker is not None:
            found[index] = replace(taker, from_us=one.from_us, to_us=one.to_us)
    return joined(found)


def clip(one: Stretch, from_us: int, to_us: int) -> Stretch:
    """The part of a stretch in [from_us, to_us]; of no or negative length where there is none."""
    return replace(one, from_us=max(one.from_us, from_us), to_us=min(one.to_us, to_us))


def _unknown(from_us: int, to_us: int, why: str) -> Stretch:
    return Stretch(from_us=from_us, to_us=to_us, state=State.UNKNOWN, why=why)
