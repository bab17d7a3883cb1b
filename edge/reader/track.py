"""Which detection in this picture is the same plate as one in the last: tracks, and nothing about what they say.

Decided here: a track is carried on by overlap with where it should be now (its box moved on at its last speed, and with
the whole picture where the camera was shaken) or, where slow readers leave gaps between boxes, by nearness of centres
in plate widths. It outlives a second of occlusion and then ends; numbers of tracks are bounded. Not decided here: how
the camera moved (camera_motion), what is read (vote), and whether two tracks say the same (reads).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edge.reader.camera_motion import NO_SHIFT, Shift
from edge.reader.detect import overlap

Box = tuple[int, int, int, int]

MAX_TRACKS = 32
MAX_COAST_US = 1_000_000
MIN_OVERLAP = 0.1
MAX_DISTANCE_WIDTHS = 1.5
MAX_SIZE_RATIO = 2.5
SPEED_MEMORY_US = 150_000
# How far from its expected place a plate may reappear when it says what the lost one said.
MAX_RETURN_WIDTHS = 6.0


@dataclass(kw_only=True, slots=True)
class Track:
    """One plate over time; `box` is where it was seen last, `speed` its centre's own motion in pixels a microsecond,
    `drift` how far the camera moved the picture since then.
    """

    number: int
    box: Box
    begun_us: int
    seen_us: int
    speed: tuple[float, float] = (0.0, 0.0)
    drift: Shift = NO_SHIFT
    sightings: int = 1

    def predict(self, mono_us: int, shift: Shift = NO_SHIFT) -> Box:
        """Where the box should be at `mono_us` when the camera moved the picture by `shift` more; its size is kept."""
        passed = mono_us - self.seen_us
        dx = round(self.speed[0] * passed + self.drift[0] + shift[0])
        dy = round(self.speed[1] * passed + self.drift[1] + shift[1])
        return (self.box[0] + dx, self.box[1] + dy, self.box[2] + dx, self.box[3] + dy)

    def move(self, box: Box, mono_us: int) -> None:
        """Take `box` as where the plate is at `mono_us`; the speed is a mean over the last `SPEED_MEMORY_US`."""
        passed = max(1, mono_us - self.seen_us)
        (x0, y0), (x1, y1) = _centre(self.box), _centre(box)
        fresh = ((x1 - x0 - self.drift[0]) / passed, (y1 - y0 - self.drift[1]) / passed)
        keep = min(math.exp(-passed / SPEED_MEMORY_US), 1 - 1 / self.sightings)
        self.speed = (
            keep * self.speed[0] + (1 - keep) * fresh[0],
            keep * self.speed[1] + (1 - keep) * fresh[1],
        )
        self.box, self.seen_us, self.drift = box, mono_us, NO_SHIFT
        self.sightings += 1


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

    def update(self, boxes: Sequence[Box], mono_us: int, shift: Shift = NO_SHIFT) -> Step:
        """Carry tracks on with the boxes of one picture; a box that fits none begins one.

        `shift` is how the camera seems to have moved the picture. It is believed unless the boxes fit better without.
        """
        found, believed = self._explain(boxes, mono_us, shift)
        for track in self._tracks:
            track.drift = (track.drift[0] + believed[0], track.drift[1] + believed[1])
        for number, track in found.items():
            track.move(boxes[number], mono_us)
        for number in range(len(boxes)):
            if number not in found:
                found[number] = self._begin(boxes[number], mono_us)
        return Step(tracks=tuple(found[n].number for n in range(len(boxes))), ended=self._end(mono_us))

    def returned(self, number: int) -> tuple[int, ...]:
        """The lost tracks that track `number` may go on: unseen since before it began, of its size, not too far away.

        The nearest comes first. Only what they say can tell whether one of them is the same plate.
        """
        one = next((track for track in self._tracks if track.number == number), None)
        if one is None:
            return ()
        lost = [track for track in self._tracks if track.seen_us < one.begun_us]
        near = {track.number: _distance_widths(track.predict(one.seen_us), one.box) for track in lost}
        return tuple(sorted((number for number in near if near[number] <= MAX_RETURN_WIDTHS), key=near.__getitem__))

    def join(self, lost: int, number: int) -> None:
        """Track `lost` is the same plate as track `number`, which ends in it."""
        tracks = {track.number: track for track in self._tracks}
        tracks[lost].move(tracks[number].box, tracks[number].seen_us)
        tracks[lost].speed = tracks[number].speed
        self._tracks.remove(tracks[number])

    def end_all(self) -> tuple[int, ...]:
        """End every track, as when the pictures stop coming; their numbers."""
        ended = tuple(track.number for track in self._tracks)
        self._tracks = []
        return ended

    def _explain(self, boxes: Sequence[Box], mono_us: int, shift: Shift) -> tuple[dict[int, Track], Shift]:
        """The tracks of the boxes, and the shift under which they fit best."""
        found, score = self._associate(boxes, mono_us, shift)
        if shift == NO_SHIFT or not boxes:
            return found, shift
        still, still_score = self._associate(boxes, mono_us, NO_SHIFT)
        return (still, NO_SHIFT) if still_score > score else (found, shift)

    def _associate(self, boxes: Sequence[Box], mono_us: int, shift: Shift) -> tuple[dict[int, Track], float]:
        pairs = [
            (score, number, track)
            for track in self._tracks
            for number, box in enumerate(boxes)
            if (score := closeness(track.predict(mono_us, shift), box)) > 0
        ]
        found: dict[int, Track] = {}
        taken: set[int] = set()
        total = 0.0
        for score, number, track in sorted(pairs, key=lambda pair: -pair[0]):
            if number not in found and track.number not in taken:
                found[number] = track
                taken.add(track.number)
                total += score
        return found, total

    def _begin(self, box: Box, mono_us: int) -> Track:
        track = Track(number=self._next, box=box, begun_us=mono_us, seen_us=mono_us)
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
    distance = _distance_widths(expected, box)
    if distance == math.inf:
        return 0.0
    shared = overlap(expected, box)
    if shared >= MIN_OVERLAP:
        return 1.0 + shared
    return max(0.0, 1.0 - distance / MAX_DISTANCE_WIDTHS)


def _distance_widths(expected: Box, box: Box) -> float:
    """Between two centres, in widths of the wider box; infinite where the sizes differ too much."""
    widths = (expected[2] - expected[0], box[2] - box[0])
    if min(widths) <= 0 or max(widths) > MAX_SIZE_RATIO * min(widths):
        return math.inf
    (x0, y0), (x1, y1) = _centre(expected), _centre(box)
    return math.hypot(x1 - x0, y1 - y0) / max(widths)


def _centre(box: Box) -> tuple[float, float]:
    return ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
