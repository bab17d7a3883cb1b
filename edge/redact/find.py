"""From the plates that were followed through a video to the regions of a plan.

Decided here: a plate is covered from a second before it was first found to a second after it was last found,
and in every picture between, found or not; with margins, because a detector's corners are a few pixels off; and with
as few keys as say the same within two pixels, which the margin makes good. Nothing here is certain: the note of each
region says how often the plate was found, and a person decides.
"""

from __future__ import annotations

import dataclasses
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from edge.reader.track import MAX_COAST_US
from edge.redact.follow import Box, Follower, Sight, Sights
from edge.redact.pictures import Picture
from edge.redact.plan import BOX, BY_DETECTOR, MAX_KEYS, Key, Region

HOLD_US = 1_000_000
# What was found less often and never surer than this is taken for none; a person has to look anyway.
FEW_SIGHTS, DOUBTFUL_PERMILLE = 2, 400
# A plate wider than this share of the picture is found surely; what is not is a window or a sign.
LARGE_SHARE, LARGE_SURE_PERMILLE = 0.12, 500
# How far a plate may be taken to have moved where it was not seen, in its widths: its speed is known badly there.
HOLD_WIDTHS = 1.0
PLATE = "plate"
# Of the plate's width to each side and of its height above and below, pixels at least.
MARGIN_ACROSS, MARGIN_DOWN, MARGIN_PX = 0.15, 0.3, 4
KEY_ERROR_PX = 2
SPEED_OVER_US = 300_000


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """A plate that is gone: its first sight, for the order, and its regions, none for a doubtful one."""

    at_us: int
    box: Box
    regions: list[Region]


def plates(pictures: Iterable[Picture], follower: Follower) -> list[Region]:
    """The regions of every plate in a video of which these are the pictures, in the order of their first sight."""
    times = array("q")
    width = height = 0
    found: list[_Found] = []
    for picture in pictures:
        follower.take(picture.number, picture.at_us, picture.luma.copy())
        times.append(picture.at_us)
        height, width = picture.luma.shape
        gone = follower.gone(picture.number, picture.at_us - max(HOLD_US, MAX_COAST_US))
        found += [_found(one, times, width, height) for one in gone]
    found += [_found(one, times, width, height) for one in follower.tracks.values()]
    ordered = sorted(found, key=lambda one: (one.at_us, one.box))
    return [
        dataclasses.replace(region, name=f"{PLATE}-{number}{region.name}")
        for number, one in enumerate(ordered, start=1)
        for region in one.regions
    ]


def _found(track: Sights, times: Sequence[int], width: int, height: int) -> _Found:
    first = track.sights[0]
    return _Found(at_us=first.at_us, box=first.box, regions=regions(track, times, width, height))


def regions(track: Sights, times: Sequence[int], width: int, height: int) -> list[Region]:
    """The region of one plate in a video with pictures at `times`, several where it needs more keys than one may have;
    none for a doubtful plate. The first has no name, the others what is put behind it.
    """
    sights = track.sights
    best = max(one.confidence_permille for one in sights)
    widest = max(one.box[2] - one.box[0] for one in sights)
    is_large = widest > LARGE_SHARE * width
    if (len(sights) <= FEW_SIGHTS and best < DOUBTFUL_PERMILLE) or (is_large and best < LARGE_SURE_PERMILLE):
        return []
    from_us = max(times[0], sights[0].at_us - HOLD_US)
    to_us = min(times[-1], sights[-1].at_us + HOLD_US)
    first, last = _held(sights[:8], from_us), _held(sights[:-9:-1], to_us)
    points = [(from_us, first)] * (from_us < sights[0].at_us) + [(one.at_us, _grown(one.box)) for one in sights]
    points += [(to_us, last)] * (to_us > sights[-1].at_us)
    keys = [_key(at_us, box, width, height) for at_us, box in simplified(points)]
    shown = bisect_right(times, sights[-1].at_us) - bisect_left(times, sights[0].at_us)
    return [
        Region(
            name=f"-{1 + begin // (MAX_KEYS - 1)}" if begin else "",
            reason=PLATE,
            found_by=BY_DETECTOR,
            shape=BOX,
            from_us=keys[begin].at_us,
            to_us=keys[min(begin + MAX_KEYS, len(keys)) - 1].at_us,
            keys=tuple(keys[begin : begin + MAX_KEYS]),
            note=f"found in {len(sights)} of {shown} pictures, best {best} per mille, {widest} px wide at most",
        )
        for begin in range(0, max(1, len(keys) - 1), MAX_KEYS - 1)
    ]


def simplified(points: Sequence[tuple[int, Box]]) -> list[tuple[int, Box]]:
    """As few points as leave every other within KEY_ERROR_PX of the line between those kept (Douglas-Peucker)."""
    times = np.array([at_us for at_us, _ in points], dtype=np.float64)
    boxes = np.array([box for _, box in points], dtype=np.float64)
    kept = {0, len(points) - 1}
    waiting = [(0, len(points) - 1)]
    while waiting:
        begin, end = waiting.pop()
        if end - begin < 2:
            continue
        share = (times[begin + 1 : end] - times[begin]) / max(1.0, times[end] - times[begin])
        expected = boxes[begin] + (boxes[end] - boxes[begin]) * share[:, None]
        errors = np.abs(expected - boxes[begin + 1 : end]).max(axis=1)
        worst = int(errors.argmax())
        if errors[worst] > KEY_ERROR_PX:
            kept.add(begin + 1 + worst)
            waiting += [(begin, begin + 1 + worst), (begin + 1 + worst, end)]
    return [points[index] for index in sorted(kept)]


def _held(sights: Sequence[Sight], at_us: int) -> Box:
    """What to cover at a time beyond the first of `sights`: where the plate was and where it would have moved."""
    edge = sights[0]
    near = [one for one in sights if abs(one.at_us - edge.at_us) <= SPEED_OVER_US]
    other = near[-1]
    steps = (at_us - edge.at_us) / (edge.at_us - other.at_us) if other.at_us != edge.at_us else 0.0
    most = HOLD_WIDTHS * (edge.box[2] - edge.box[0])
    dx = steps * ((edge.box[0] + edge.box[2]) - (other.box[0] + other.box[2])) / 2
    dy = steps * ((edge.box[1] + edge.box[3]) - (other.box[1] + other.box[3])) / 2
    dx, dy = (max(-most, min(most, one)) for one in (dx, dy))
    x0, y0, x1, y1 = _grown(edge.box)
    return (
        round(min(x0, x0 + dx)), round(min(y0, y0 + dy)), round(max(x1, x1 + dx)), round(max(y1, y1 + dy)),
    )  # fmt: skip


def _grown(box: Box) -> Box:
    across = round(max(MARGIN_PX, MARGIN_ACROSS * (box[2] - box[0]))) + KEY_ERROR_PX
    down = round(max(MARGIN_PX, MARGIN_DOWN * (box[3] - box[1]))) + KEY_ERROR_PX
    return (box[0] - across, box[1] - down, box[2] + across, box[3] + down)


def _key(at_us: int, box: Box, width: int, height: int) -> Key:
    """The box cut at the picture's edges; one beyond them shrinks to the last pixel of the edge."""
    x0, x1 = (min(max(0, one), width) for one in (box[0], box[2]))
    y0, y1 = (min(max(0, one), height) for one in (box[1], box[3]))
    x0, x1 = (x0, x1) if x0 < x1 else (min(x0, width - 1), min(x0, width - 1) + 1)
    y0, y1 = (y0, y1) if y0 < y1 else (min(y0, height - 1), min(y0, height - 1) + 1)
    return Key(at_us=at_us, places=(x0, y0, x1, y1))
