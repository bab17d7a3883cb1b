"""Camera faults: unplugged, silent, frozen, blocked, over- or underexposed, noticed within two seconds of media time.

Decided here: what each fault is, when it begins and when it is over; pure rules over a few thousand points of a
picture, five times a second; frozen is decided in `stillness`. A rule says what is seen and not what caused it: a lens
under tape and a garage without light are the same black picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from edge.camera.condition import Change, Condition, Moment
from edge.camera.port import CameraSilent, EncodedUnit, SmallFrame
from edge.camera.stillness import Stillness
from vedette.errors import VedetteError

LOOK_US = 200_000
RAISE_US = 1_400_000
ROWS, COLUMNS, CELL = 96, 160, 12
WHITE_LEVEL = 233
MAX_WHY = 512


class Kind(Enum):
    """What is wrong with a camera, worst first."""

    UNPLUGGED = "unplugged"
    SILENT = "silent"
    FROZEN = "frozen"
    BLOCKED = "blocked"
    OVEREXPOSED = "overexposed"
    UNDEREXPOSED = "underexposed"


@dataclass(frozen=True, slots=True)
class Notice:
    """A fault that began (`lasted_us` is None) or ended; `since_us` is UTC, `lasted_us` monotonic time."""

    kind: Kind
    since_us: int
    why: str = ""
    lasted_us: int | None = None

    @property
    def event(self) -> str:
        """The custody event (custody-journal.md) that says so."""
        return "camera.fault" if self.lasted_us is None else "camera.recovered"

    def to_detail(self) -> dict[str, int | str | bool | None]:
        """The detail of that event."""
        if self.lasted_us is None:
            return {"kind": self.kind.value, "since_us": self.since_us, "why": self.why[:MAX_WHY]}
        return {"kind": self.kind.value, "since_us": self.since_us, "lasted_us": self.lasted_us}


@dataclass(frozen=True, slots=True)
class Seen:
    """What one picture shows: brightest point but 1 %, middle, share of white, spread of its parts' brightness."""

    bright: int
    middle: int
    white_permille: int
    spread: int


def sample(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Single points of a grey picture, about 96 rows of 160, its middle where it does not divide."""
    height, width = luma.shape
    down, across = max(1, height // ROWS), max(1, width // COLUMNS)
    return np.ascontiguousarray(luma[down // 2 :: down, across // 2 :: across][:ROWS, :COLUMNS])


def measure(points: NDArray[np.uint8]) -> Seen:
    """The figures the rules need of a sample."""
    count = np.bincount(points.ravel(), minlength=256)
    below = np.cumsum(count)
    height, width = (size // CELL * CELL or size for size in points.shape)
    rows, columns = min(CELL, height), min(CELL, width)
    cells = points[:height, :width].reshape(height // rows, rows, width // columns, columns).mean(axis=(1, 3))
    # As numpy's percentile does it, which takes ten times as long for these few.
    ordered = np.sort(cells, axis=None)
    low, high = np.interp((0.05 * (ordered.size - 1), 0.95 * (ordered.size - 1)), np.arange(ordered.size), ordered)
    return Seen(
        bright=int(np.searchsorted(below, below[-1] * 0.99)),
        middle=int(np.searchsorted(below, below[-1] * 0.5)),
        white_permille=int(count[WHITE_LEVEL:].sum() * 1000 // below[-1]),
        spread=round(high - low),
    )


def find_faults(seen: Seen, raised: frozenset[Kind]) -> dict[Kind, str]:
    """What is wrong with a picture by itself, and the words for it; a fault that is `raised` holds on a little longer.

    Of 1,427 road photographs by day and night the least spread is 10, the most white 60 %, and three of the darkest
    have less than 1 % of their points above level 40.
    """
    white = 500 if Kind.OVEREXPOSED in raised else 650
    spread = 9 if Kind.BLOCKED in raised else 6
    bright = 48 if Kind.UNDEREXPOSED in raised else 40
    if seen.white_permille >= white:
        return {Kind.OVEREXPOSED: f"{seen.white_permille // 10} % of the picture is white"}
    if seen.spread < spread:
        return {Kind.BLOCKED: f"nothing to be seen: the picture is even to {seen.spread} levels around {seen.middle}"}
    if seen.bright < bright:
        return {Kind.UNDEREXPOSED: f"too dark: 99 % of the picture is at or below level {seen.bright}"}
    return {}


class CameraWatch:
    """One camera's faults. Told of every unit and picture in the order they came; says what began and what ended."""

    def __init__(self) -> None:
        self._conditions = {kind: Condition(RAISE_US) for kind in Kind}
        self._conditions[Kind.FROZEN] = Condition(0)
        self._conditions[Kind.UNPLUGGED] = Condition(0)
        self._conditions[Kind.SILENT] = Condition(0)
        self._still = Stillness()
        self._look_us: int | None = None
        self._last: Moment | None = None
        self.faults = 0

    @property
    def condition(self) -> str:
        """`ok`, or the worst of what is wrong now."""
        return next((kind.value for kind, one in self._conditions.items() if one.raised), "ok")

    def expect(self, now: Moment) -> None:
        """From `now` on pictures are expected: a camera that gives none is missing since then."""
        self._last = now

    def rest(self) -> None:
        """No pictures are expected any more, nor compared with those before."""
        self._look_us = self._last = None
        self._still.forget()

    def unit(self, unit: EncodedUnit) -> list[Notice]:
        """A coded picture came: the camera is there."""
        self._last = now = Moment(unit.utc_us, unit.mono_us)
        if unit.is_key:
            self._still.key(unit.mono_us)
        return self._said((kind, self._conditions[kind].clear(now)) for kind in (Kind.SILENT, Kind.UNPLUGGED))

    def lost(self, error: VedetteError, now: Moment) -> list[Notice]:
        """What the camera, or who opens it, said `now` of its giving no pictures; it began with the last that came."""
        self._look_us = None
        self._still.forget()
        kind = Kind.SILENT if isinstance(error, CameraSilent) else Kind.UNPLUGGED
        return self._said([(kind, self._conditions[kind].update(str(error), now, self._last))])

    def picture(self, frame: SmallFrame) -> list[Notice]:
        """A picture came; most are not looked at."""
        if self._look_us is not None and 0 <= frame.mono_us - self._look_us < LOOK_US:
            return []
        self._look_us = frame.mono_us
        return self._said(self._look(frame.luma, Moment(frame.utc_us, frame.mono_us)))

    def _look(self, luma: NDArray[np.uint8], now: Moment) -> Iterator[tuple[Kind, Change | None]]:
        points = sample(luma)
        raised = frozenset(kind for kind, one in self._conditions.items() if one.raised)
        found = find_faults(measure(points), raised)
        since = self._still.look(luma, points, now)
        if found:
            self._still.see_nothing()
        why = f"the same picture for {(now.mono_us - since.mono_us) // 1000} ms" if since and not found else None
        yield Kind.FROZEN, self._conditions[Kind.FROZEN].update(why, now, since if why else self._still.moved)
        for kind in (Kind.BLOCKED, Kind.OVEREXPOSED, Kind.UNDEREXPOSED):
            yield kind, self._conditions[kind].update(found.get(kind), now)

    def _said(self, changes: Iterable[tuple[Kind, Change | None]]) -> list[Notice]:
        said = [Notice(kind, one.since_us, one.why, one.lasted_us) for kind, one in changes if one is not None]
        self.faults += sum(one.lasted_us is None for one in said)
        return said
