"""The way that a recording was driven, from its lines: points with their time and quality, in stretches, and a count of
the seconds that have none.

Decided here: a fix is one point. Its time is that of the line, and where the line says how old it is, that much
earlier; a fix that was there already is no new point. A stretch ends where a second has no position or an old one, and
where the next point is more than three seconds later, or earlier. Pure: lines in, values out. Implements SG-28 and
SG-29 of docs/spec/segment.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from vedette.errors import Refused
from vedette.stamp_line import Line, Located

MAX_POINTS = 100_000
APART_S = 3
# A fix is said without an age for two seconds before and behind its own; the line's second and its age are rounded.
ROUNDED_S, FRESH_S = 1, 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A position and when it was fixed (UTC, seconds since the epoch, to two seconds)."""

    at_s: int
    located: Located


@dataclass(kw_only=True, slots=True)
class Track:
    """What one recording's lines say: `points` in stretches; how many lines there are and how many of another form.

    Counted in seconds of the lines: all, those without a position, those of them in which it was taken out, those with
    an old position, those whose time the receiver's judge did not trust.
    """

    name: str
    device: str = ""
    recording: str = ""
    sequence: int = 0
    stretches: list[list[Point]] = field(default_factory=list)
    lines: int = 0
    other_lines: int = 0
    first_s: int = 0
    seconds: int = 0
    unknown_s: int = 0
    removed_s: int = 0
    old_s: int = 0
    distrusted_s: int = 0

    @property
    def points(self) -> int:
        """How many there are."""
        return sum(map(len, self.stretches))


def track_of(name: str, lines: Iterable[Line | None]) -> Track:
    """The track of a recording called `name`; a line of another form is None.

    Raises Refused where it has more than 100,000 points.
    """
    walk = _Walk(Track(name=name))
    for line in lines:
        walk.take(line)
    return walk.track


def in_order(tracks: Iterable[Track]) -> list[Track]:
    """The tracks by their first second; an old fix with which one begins and another ended is the other's alone."""
    found, last = sorted(tracks, key=lambda one: one.first_s), None
    for track in found:
        first = track.stretches[0] if track.stretches else None
        if first and last and first[0].located.age_s and _is_same_fix(last, first[0]):
            track.stretches[0] = first[1:]
            track.stretches = [stretch for stretch in track.stretches if stretch]
        last = track.stretches[-1][-1] if track.stretches else last
    return found


class _Walk:
    """One pass over the lines, which the recorder repeats in each fragment."""

    def __init__(self, track: Track) -> None:
        self.track = track
        self._last: Point | None = None
        self._is_apart = True
        self._second: int | None = None
        self._counted: set[str] = set()
        self._points = 0

    def take(self, line: Line | None) -> None:
        track = self.track
        track.lines += 1
        if line is None:
            track.other_lines += 1
            return
        if self._second is None:
            track.device, track.recording, track.sequence = line.device, line.recording, line.sequence
            track.first_s = line.at_s
        if line.at_s != self._second:
            self._second, self._counted = line.at_s, set()
            track.seconds += 1
        if line.located is None:
            self._count("unknown_s")
            if line.is_removed:
                self._count("removed_s")
            self._is_apart = True
            return
        if line.located.age_s:
            self._count("old_s")
        if line.located.is_distrusted:
            self._count("distrusted_s")
        self._place(Point(at_s=line.at_s - line.located.age_s, located=line.located))

    def _count(self, what: str) -> None:
        if what not in self._counted:
            self._counted.add(what)
            setattr(self.track, what, getattr(self.track, what) + 1)

    def _place(self, point: Point) -> None:
        last, age_s = self._last, point.located.age_s
        if last is not None and _is_same_fix(last, point):
            self._is_apart = self._is_apart or age_s > 0
            return
        is_next = last is not None and 0 <= point.at_s - last.at_s <= APART_S
        if self._is_apart or not is_next:
            self.track.stretches.append([])
        self._points += 1
        if self._points > MAX_POINTS:
            raise Refused(f"more than {MAX_POINTS} positions are more than a track takes")
        self.track.stretches[-1].append(point)
        self._last, self._is_apart = point, False


def _is_same_fix(last: Point, point: Point) -> bool:
    """Whether the position is that of the last point: it stood still, or another line names the same fix."""
    if replace(point.located, age_s=last.located.age_s) != last.located:
        return False
    behind_s = point.at_s - last.at_s
    return -FRESH_S <= behind_s <= (ROUNDED_S if point.located.age_s else 0)
