"""Under which conditions plates are read right: bands of width, tilt, light and contrast, and countries."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.reader.calibration import CERTAIN_PERMILLE
from models.evaluate.calibration import Conditions, Sample
from models.evaluate.seen import Corners
from models.evaluate.table import NOTHING, markdown, share

CUT_PX = (64, 16)
MIN_READS = 5
MIN_READS_OF_COUNTRY = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Band:
    """One row of a condition: `least` <= value < `most`."""

    name: str
    least: float
    most: float


def _bands(unit: str, *edges: float) -> tuple[Band, ...]:
    ends = (-math.inf, *edges, math.inf)
    return tuple(Band(name=_name(low, high, unit), least=low, most=high) for low, high in pairwise(ends))


def _name(low: float, high: float, unit: str) -> str:
    if low == -math.inf:
        return f"below {high:g} {unit}"
    return f"{low:g} {unit} and more" if high == math.inf else f"{low:g} to {high:g} {unit}"


BANDS: dict[str, tuple[Callable[[Conditions], float], tuple[Band, ...]]] = {
    "width": (lambda one: one.width_px, _bands("px", 50, 80, 120, 180)),
    "tilt": (lambda one: abs(one.tilt_deg), _bands("°", 3, 7)),
    "brightness": (lambda one: one.brightness, _bands("of 255", 60, 100, 150)),
    "contrast": (lambda one: one.contrast, _bands("grey levels", 25, 45)),
}


def measure(luma: NDArray[np.uint8], corners: Corners, country: str) -> Conditions:
    """The conditions of the plate between four corners of a grey picture (height, width), in its pixels."""
    points = np.array(corners, dtype=np.float32)
    across = (points[1] - points[0] + points[2] - points[3]) / 2
    target = np.array([[0, 0], [CUT_PX[0], 0], CUT_PX, [0, CUT_PX[1]]], dtype=np.float32)
    plate = cv2.warpPerspective(luma, cv2.getPerspectiveTransform(points, target), CUT_PX, flags=cv2.INTER_LINEAR)
    return Conditions(
        width_px=float(np.linalg.norm(across)),
        tilt_deg=math.degrees(math.atan2(float(across[1]), float(across[0]))),
        brightness=float(plate.mean()),
        contrast=float(plate.std()),
        country=country,
    )


def by_condition(samples: Sequence[Sample], permille: Sequence[int]) -> str:
    """A Markdown table: for each band how many reads are right, how many the confidences claim, and the difference."""
    rows: list[tuple[str, ...] | None] = []
    for condition, (value, bands) in BANDS.items():
        for band in bands:
            inside = [i for i, one in enumerate(samples) if band.least <= value(one.conditions) < band.most]
            rows.append(_row(condition, band.name, inside, samples, permille))
    often = Counter(one.conditions.country for one in samples).most_common()
    for country in [name for name, reads in often if reads >= MIN_READS_OF_COUNTRY]:
        inside = [i for i, one in enumerate(samples) if one.conditions.country == country]
        rows.append(_row("country", country or "none", inside, samples, permille))
    heads = ("condition", "band", "right, % of reads", "claimed, %", "claimed too much, points")
    return markdown(heads, [row for row in rows if row is not None])


def _row(
    condition: str, name: str, inside: Sequence[int], samples: Sequence[Sample], permille: Sequence[int]
) -> tuple[str, ...] | None:
    if not inside:
        return None
    right = [samples[i].right for i in inside]
    claimed = 100 * float(np.mean([permille[i] for i in inside])) / CERTAIN_PERMILLE
    gap = f"{claimed - 100 * np.mean(right):+.1f}" if len(inside) >= MIN_READS else NOTHING
    return condition, name, share(right), f"{claimed:.1f}", gap
