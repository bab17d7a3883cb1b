"""Which detection in this picture is the same plate as one in the last: tracks, and nothing about what they say.

Decided here: a track is carried on by overlap with where it should be now (its box moved on at its last speed) or,
where slow readers leave gaps between boxes, by nearness of centres in plate widths. It outlives a short occlusion and
then ends; numbers of tracks are bounded. Not decided here: what is read (vote) and what follows from it (match).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edge.reader.detect import overlap

Box = tuple[int, int, int, int]

MAX_TRACKS = 32
MAX_COAST_US = 1_500_000
MIN_OVERLAP = 0.1
MAX_DISTANCE_WIDTHS = 1.5
MAX_SIZE_RATIO = 2.5
SPEED_SMOOTHING = 0.5


@dataclass(kw_only=True, slots=True)
class Track:
    """One plate over time; `box` is where it was seen last, `speed` its centre's motion in pixels a microsecond."""

    number: int
    box: Box
    speed: tuple[float, float]
    seen_us: int

    def predict(self, mono_us: int) -> Box:
        """Where the box should be at `mono_us`, its size kept."""
        passed = mono_us - self.seen_us
        dx, dy = round(self.speed[0] * passed), round(self.speed[1] * passed)
        return (self.box[0] + dx, self.box[1] + dy, self.box[2] + dx, self.box[3] + dy)

    def move(self, box: Box, mono_us: int) -> None:
        """Take `box` as where the plate is at `mono_us`."""
        passed = max(1, mono_us - self.seen_us)
        (x0, y0), (x1, y1) = _centre(self.box), _centre(box)
        fresh = ((x1 - x0) / passed, (y1 - y0) / passed)
        keep = SPEED_SMOOTHING if any(self.speed) else 0.0
        self.speed = (
            keep * self.speed[0] + (1 - keep) * fresh[0],
            keep * self.speed[1] + (1 - keep) * fresh[1],
        )
        self.box, self.seen_us = box, mono_us


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What one picture did: the track of each box, in the order of the boxes, and the numbers of tracks that ended."""

    tracks: tuple[int, ...]
    ended: tuple[int, ...]


class Tracker:
    """The tracks that are alive; times are of the monotonic clock and rise."""

    def __init__(self) -> None:
        self._tracks: list[Track] = []
        self._next = 1

    def update(self, boxes: Sequence[Box], mono_us: int) -> Step:
        """Carry tracks on with the boxes of one picture; a box that fits none begins one."""
        found = self._associate(boxes, mono_us)
        for number, track in found.items():
            track.move(boxes[number], mono_us)
        for number in range(len(boxes)):
            if number not in found:
                found[number] = self._begin(boxes[number], mono_us)
        return Step(tracks=tuple(found[n].number for n in range(len(boxes))), ended=self._end(mono_us))

    def end_all(self) -> tuple[int, ...]:
        """End every track, as when the pictures stop coming; their numbers."""
        ended = tuple(track.number for track in self._tracks)
        self._tracks = []
        return ended

    def _associate(self, boxes: Sequence[Box], mono_us: int) -> dict[int, Track]:
        pairs = [
            (score, number, track)
            for track in self._tracks
            for number, box in enumerate(boxes)
            if (score := closeness(track.predict(mono_us), box)) > 0
        ]
        found: dict[int, Track] = {}
        taken: set[int] = set()
        for _score, number, track in sorted(pairs, key=lambda pair: -pair[0]):
            if number not in found and track.number not in taken:
                found[number] = track
                taken.add(track.number)
        return found

    def _begin(self, box: Box, mono_us: int) -> Track:
        track = Track(number=self._next, box=box, speed=(0.0, 0.0), seen_us=mono_us)
        self._next += 1
        self._tracks.append(track)
        return track

    def _end(self, mono_us: int) -> tuple[int, ...]:
        """End what was unseen for too long, then the longest unseen ones over the limit."""
        fresh = [track for track in self._tracks if mono_us - track.seen_us <= MAX_COAST_US]
        kept = sorted(fresh, key=lambda track: (track.seen_us, track.number))[-MAX_TRACKS:]
        ended = tuple(track.number for track in self._tracks if track not in kept)
        self._tracks = kept
        return ended


def closeness(expected: Box, box: Box) -> float:
    """How well `box` carries on a track expected at `expected`: 0 not at all; overlap counts above mere nearness."""
    widths = (expected[2] - expected[0], box[2] - box[0])
    if min(widths) <= 0 or max(widths) > MAX_SIZE_RATIO * min(widths):
        return 0.0
    shared = overlap(expected, box)
    if shared >= MIN_OVERLAP:
        return 1.0 + shared
    (x0, y0), (x1, y1) = _centre(expected), _centre(box)
    distance = math.hypot(x1 - x0, y1 - y0) / max(widths)
    return max(0.0, 1.0 - distance / MAX_DISTANCE_WIDTHS)


def _centre(box: Box) -> tuple[float, float]:
    return ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
