"""From the plates that were followed through a video to the regions of a plan.

Decided here: a plate is covered from a second before it was first found to a second after it was last found,
and in every picture between, found or not; with margins, because a detector's corners are a few pixels off; and with
as few keys as say the same within two pixels, which the margin makes good. Nothing here is certain: the note of each
region says how often the plate was found, and a person decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edge.redact.follow import Box, Follower, Sight, Sights
from edge.redact.pictures import Picture
from edge.redact.plan import BOX, BY_DETECTOR, Key, Region

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


def plates(pictures: Iterable[Picture], follower: Follower) -> list[Region]:
    """The regions of every plate in a video of which these are the pictures, in the order of their first sight."""
    times: list[int] = []
    width = height = 0
    for picture in pictures:
        follower.take(picture.number, picture.at_us, picture.luma.copy())
        times.append(picture.at_us)
        height, width = picture.luma.shape
    tracks = sorted(follower.tracks.values(), key=lambda one: (one.sights[0].at_us, one.sights[0].box))
    regions = (region(one, times, number, width, height) for number, one in enumerate(tracks, start=1))
    return [one for one in regions if one is not None]


def region(track: Sights, times: Sequence[int], number: int, width: int, height: int) -> Region | None:
    """The region of one plate in a video with pictures at `times`; None for a doubtful one."""
    sights = track.sights
    best = max(one.confidence_permille for one in sights)
    widest = max(one.box[2] - one.box[0] for one in sights)
    is_large = widest > LARGE_SHARE * width
    if (len(sights) <= FEW_SIGHTS and best < DOUBTFUL_PERMILLE) or (is_large and best < LARGE_SURE_PERMILLE):
        return None
    from_us = max(times[0], sights[0].at_us - HOLD_US)
    to_us = min(times[-1], sights[-1].at_us + HOLD_US)
    first, last = _held(sights[:8], from_us), _held(sights[::-1][:8], to_us)
    points = [(from_us, first)] * (from_us < sights[0].at_us) + [(one.at_us, _grown(one.box)) for one in sights]
    points += [(to_us, last)] * (to_us > sights[-1].at_us)
    keys = [_key(at_us, box, width, height) for at_us, box in simplified(points)]
    if any(key.places[0] >= key.places[2] or key.places[1] >= key.places[3] for key in keys):
        return None
    shown = sum(sights[0].at_us <= one <= sights[-1].at_us for one in times)
    return Region(
        name=f"plate-{number}",
        reason=PLATE,
        found_by=BY_DETECTOR,
        shape=BOX,
        from_us=from_us,
        to_us=to_us,
        keys=tuple(keys),
        note=f"found in {len(sights)} of {shown} pictures, best {best} per mille, {widest} px wide at most",
    )


def simplified(points: Sequence[tuple[int, Box]]) -> list[tuple[int, Box]]:
    """As few points as leave every other within KEY_ERROR_PX of the line between those kept (Douglas-Peucker)."""
    kept = {0, len(points) - 1}
    waiting = [(0, len(points) - 1)]
    while waiting:
        begin, end = waiting.pop()
        errors = [(_error(points[begin], points[one], points[end]), one) for one in range(begin + 1, end)]
        worst, index = max(errors, default=(0.0, begin))
        if worst > KEY_ERROR_PX:
            kept.add(index)
            waiting += [(begin, index), (index, end)]
    return [points[index] for index in sorted(kept)]


def _error(begin: tuple[int, Box], point: tuple[int, Box], end: tuple[int, Box]) -> float:
    share = (point[0] - begin[0]) / max(1, end[0] - begin[0])
    expected = (a + (b - a) * share for a, b in zip(begin[1], end[1], strict=True))
    return max(abs(a - b) for a, b in zip(expected, point[1], strict=True))


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
