"""Whether one look at a plate may count: a verdict with its reason, so that nothing is guessed, nothing dropped unseen.

Decided here (docs/spec/hit.md, HT-36 and HT-37): how small, how doubtful or how oddly shaped a plate may be before its
text is not worth believing. The measures were taken on photographs that were not trained on, made smaller step by
step: below `HEIGHT_PX` and `WIDTH_PX` about one in three texts read with confidence is wrong; together they take the
share of right texts from 86 to 92 in a hundred. Not decided here: which texts of several looks agree (vote).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from edge.reader.alphabet import HIDDEN
from edge.reader.detect import Corners, Detection
from edge.reader.look import Look

HEIGHT_PX = 9.0
WIDTH_PX = 36.0
DETECTOR_PERMILLE = 300
# Signs say words; a plate without any digit is rare, and has to be read this surely.
WORD_PERMILLE = 900
NARROWEST_ASPECT = 1.0
WIDEST_ASPECT = 9.0
STEEPEST = 1.6
# Nearer than this to the picture's edge, in shares of its own width and height, a part of the plate may be outside. Of
# 1,284 photographs that were cut through a plate, a tenth to a half of its width outside, 117 gave a text that counted
# when only corners on the edge itself were outside; with this one does (`python -m models.evaluate.cut`).
EDGE_SHARE = 0.15
EDGE_PX = 1.0
# A plate this narrow carries two lines of text, each of which has half of its height.
TWO_LINES_BELOW_ASPECT = 1.6


class Verdict(Enum):
    """What a look is worth: a text to believe, one to doubt, a plate too small to read, or no text at all."""

    READ = "read"
    UNSURE = "unsure"
    TOO_SMALL = "too_small"
    NO_TEXT = "no_text"


class Reason(Enum):
    """Which gate kept a look back: `NO_PLATE` that the text seems to stand on something else, `COVERED` that a
    character cannot be seen, `WORD` that it has no digit and may be a sign's word, `TEXT` that no text fits, `UNREAD`
    that the plate was found and not read yet.
    """

    HEIGHT = "height"
    WIDTH = "width"
    DETECTOR = "detector"
    SHAPE = "shape"
    EDGE = "edge"
    CONFIDENCE = "confidence"
    NO_PLATE = "no_plate"
    COVERED = "covered"
    WORD = "word"
    TEXT = "text"
    UNREAD = "unread"


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """The verdict on one look; `reason` is None where it counts."""

    verdict: Verdict
    reason: Reason | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Gates:
    """What a look must reach: the text's confidence as its user wants it, the plate's measures as they were found."""

    confidence_permille: int
    detector_permille: int = DETECTOR_PERMILLE
    height_px: float = HEIGHT_PX
    width_px: float = WIDTH_PX


@dataclass(frozen=True, kw_only=True, slots=True)
class Measures:
    """A plate between four corners: its least width, its least height for a line of text, width against height, and
    how much longer one edge is than the opposite one.
    """

    width_px: float
    height_px: float
    aspect: float
    steepness: float


COUNTS = Judged(verdict=Verdict.READ)


def judge(look: Look, gates: Gates) -> Judged:
    """The verdict on a whole look."""
    before = judge_detection(look.detection, gates)
    if before is not None:
        return before
    if look.plate is None:
        return Judged(verdict=Verdict.NO_TEXT, reason=Reason.TEXT)
    if not look.plate.is_plate:
        return Judged(verdict=Verdict.UNSURE, reason=Reason.NO_PLATE)
    if look.plate.confidence_permille < gates.confidence_permille:
        return Judged(verdict=Verdict.UNSURE, reason=Reason.CONFIDENCE)
    if HIDDEN in look.plate.text:
        return Judged(verdict=Verdict.UNSURE, reason=Reason.COVERED)
    if look.plate.confidence_permille < WORD_PERMILLE and not any(one.isdigit() for one in look.plate.text):
        return Judged(verdict=Verdict.UNSURE, reason=Reason.WORD)
    return COUNTS


def judge_detection(detection: Detection, gates: Gates, picture: tuple[int, int] | None = None) -> Judged | None:
    """The verdict that needs no reading; None where the plate is worth reading.

    `picture` is its width and height where a plate may be on its way in or out, as in a video.
    """
    found = measures(detection.corners_px)
    if found.height_px < gates.height_px:
        return Judged(verdict=Verdict.TOO_SMALL, reason=Reason.HEIGHT)
    if found.width_px < gates.width_px:
        return Judged(verdict=Verdict.TOO_SMALL, reason=Reason.WIDTH)
    if not NARROWEST_ASPECT <= found.aspect <= WIDEST_ASPECT or found.steepness > STEEPEST:
        return Judged(verdict=Verdict.UNSURE, reason=Reason.SHAPE)
    if detection.confidence_permille < gates.detector_permille:
        return Judged(verdict=Verdict.UNSURE, reason=Reason.DETECTOR)
    if picture is not None and not is_whole(detection.corners_px, *picture):
        return Judged(verdict=Verdict.UNSURE, reason=Reason.EDGE)
    return None


def is_whole(corners: Corners, width: int, height: int) -> bool:
    """Whether a plate is surely wholly inside a picture of this size: what is left of one that is cut reads as another
    one's text.
    """
    return all(map(_is_inside, zip(*corners, strict=True), (width, height)))


def _is_inside(places: Sequence[float], size: int) -> bool:
    least, most = min(places), max(places)
    room = max(EDGE_PX, EDGE_SHARE * (most - least))
    return room <= least and most <= size - room


def measures(corners: Corners) -> Measures:
    """The measures of a plate with corners top left, top right, bottom right, bottom left."""
    top_left, top_right, bottom_right, bottom_left = corners
    top, bottom = math.dist(top_left, top_right), math.dist(bottom_left, bottom_right)
    left, right = math.dist(top_left, bottom_left), math.dist(top_right, bottom_right)
    heights = [
        *(_distance(corner, bottom_left, bottom_right) for corner in (top_left, top_right)),
        *(_distance(corner, top_left, top_right) for corner in (bottom_left, bottom_right)),
    ]
    aspect = (top + bottom) / max(1e-3, sum(heights) / 2)
    lines = 2 if aspect < TWO_LINES_BELOW_ASPECT else 1
    return Measures(
        width_px=min(top, bottom),
        height_px=min(heights) / lines,
        aspect=aspect,
        steepness=max(_ratio(top, bottom), _ratio(left, right)),
    )


def _distance(point: tuple[float, float], start: tuple[float, float], end: tuple[float, float]) -> float:
    """From a point to the line through two others."""
    (x, y), (x0, y0), (x1, y1) = point, start, end
    return abs((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)) / max(1e-3, math.dist(start, end))


def _ratio(one: float, other: float) -> float:
    return max(one, other) / max(1e-3, min(one, other))
