"""Every plate of a video as a track: found in every picture, looked for closely where it was just seen, and followed
backwards from where it was first found.

Decided here: recall comes before precision. Each picture is looked at whole and in four overlapping quarters; a plate
that was there in the last pictures and is not found now is looked for from closer at its place; a new one is followed
backwards through the last second, for it was there before it was large enough. Regions of tracks are `find`'s.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge.reader.camera_motion import CameraMotion
from edge.reader.detect import Detection, distinct, overlap
from edge.reader.track import Tracker, closeness

Box = tuple[int, int, int, int]
Luma = NDArray[np.uint8]

MEMORY_PICTURES = 30
CLOSE_ROOM = 1.0
SAME_OVERLAP = 0.3
MISSES = 6


class Finder(Protocol):
    """What finds plates: `edge.reader.detect.Detector`."""

    def detect(self, luma: Luma) -> list[Detection]: ...

    def detect_closer(self, luma: Luma) -> list[Detection]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Sight:
    """A plate in one picture: its time, upright box in pixels and how sure the detector is."""

    number: int
    at_us: int
    box: Box
    confidence_permille: int


@dataclass(kw_only=True, slots=True)
class Sights:
    """One plate over time, in the order of the pictures."""

    sights: list[Sight] = field(default_factory=list)

    @property
    def last(self) -> Sight:
        """The latest sight."""
        return self.sights[-1]

    def expected(self, number: int) -> Box:
        """Where the plate should be in a picture near its last ones, going on as it moved."""
        last = self.last
        before = next((one for one in self.sights[:-10:-1] if 2 <= last.number - one.number <= 8), last)
        passed = last.number - before.number
        steps = (number - last.number) / passed if passed else 0.0
        moved = [round(a + (a - b) * steps) for a, b in zip(last.box, before.box, strict=True)]
        good = moved[2] - moved[0] >= 4 and moved[3] - moved[1] >= 2
        return (moved[0], moved[1], moved[2], moved[3]) if good else last.box


@dataclass(frozen=True, kw_only=True, slots=True)
class _Seen:
    """A picture that was looked at, for following backwards."""

    number: int
    at_us: int
    luma: Luma
    boxes: list[Box]


class Follower:
    """Takes one picture after another; `tracks` has every plate so far that was not taken out with `gone`."""

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
        self._tracker = Tracker()
        self._motion = CameraMotion()
        self._memory: deque[_Seen] = deque(maxlen=MEMORY_PICTURES)
        self.tracks: dict[int, Sights] = {}

    def take(self, number: int, at_us: int, luma: Luma) -> None:
        """Look at the next picture."""
        found = [*self._finder.detect(luma), *self._finder.detect_closer(luma)]
        found = distinct(sorted(found, key=lambda one: -one.confidence_permille))
        found = distinct([*found, *self._missed(number, luma, found)])
        boxes = [one.box_px for one in found]
        step = self._tracker.update(boxes, at_us, self._motion.shift(luma))
        for track, one in zip(step.tracks, found, strict=True):
            sight = Sight(number=number, at_us=at_us, box=one.box_px, confidence_permille=one.confidence_permille)
            is_new = track not in self.tracks
            self.tracks.setdefault(track, Sights()).sights.append(sight)
            if is_new:
                self._follow_back(self.tracks[track])
        self._memory.append(_Seen(number=number, at_us=at_us, luma=luma, boxes=boxes))

    def gone(self, number: int, before_us: int) -> list[Sights]:
        """Take out the plates that are not looked for in picture `number` any more and were last seen before
        `before_us`; behind `MAX_COAST_US` none comes back, so that what is kept does not grow with the video.
        """
        ended = [
            track
            for track, one in self.tracks.items()
            if number - one.last.number > MEMORY_PICTURES and one.last.at_us < before_us
        ]
        return [self.tracks.pop(track) for track in ended]

    def _missed(self, number: int, luma: Luma, found: Sequence[Detection]) -> list[Detection]:
        """What is found from closer of the plates that were seen lately and not in `found`."""
        more: list[Detection] = []
        for track in self.tracks.values():
            if not 0 < number - track.last.number <= MEMORY_PICTURES:
                continue
            box = track.expected(number)
            if any(closeness(box, one.box_px) > 0.5 for one in found):
                continue
            one = self._closely(luma, box)
            if one is not None:
                more.append(one)
        return more

    def _follow_back(self, track: Sights) -> None:
        """Add what is found of a new plate in the pictures before, until it is not found six times running."""
        back, misses = Sights(sights=[track.last]), 0
        for seen in reversed(self._memory):
            box = back.expected(seen.number)
            if any(overlap(box, other) > SAME_OVERLAP for other in seen.boxes):
                break
            one = self._closely(seen.luma, box)
            misses = 0 if one is not None else misses + 1
            if misses == MISSES:
                break
            if one is not None:
                sure = one.confidence_permille
                sight = Sight(number=seen.number, at_us=seen.at_us, box=one.box_px, confidence_permille=sure)
                back.sights.append(sight)
                seen.boxes.append(one.box_px)
        track.sights[:] = back.sights[::-1]

    def _closely(self, luma: Luma, box: Box) -> Detection | None:
        """The plate at about that place, found in a part of the picture that is enlarged for it."""
        room = max(24, round(CLOSE_ROOM * (box[2] - box[0])))
        left, top = max(0, box[0] - room), max(0, box[1] - room)
        part = np.ascontiguousarray(luma[top : max(0, box[3] + room), left : max(0, box[2] + room)])
        if min(part.shape) < 8:
            return None
        near = [one.moved(left, top) for one in self._finder.detect(part)]
        scored = [(closeness(box, one.box_px), one.confidence_permille, one) for one in near]
        good = [one for one in scored if one[0] > 0.5]
        return max(good, key=lambda one: one[:2])[2] if good else None
