"""A plate cut out of a picture by its four corners, straight and at the reader's size.

Decides how much room is left around the plate, and which other cuts are worth a second look: tighter, looser, sheared.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Luma = NDArray[np.uint8]
Quad = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """One way to cut: room beside and above in fractions of the plate, shear, tilt, and the rows from top to bottom."""

    beside: float = 0.04
    above: float = 0.07
    shear: float = 0.0
    tilt: float = 0.0
    top: float = 0.0
    bottom: float = 1.0


FIRST_VIEW = View()
# Corners a little too tight cut a character off; from this view it is still there.
SECOND_VIEW = View(beside=0.07, above=0.12)
# Taken in two rounds, the second only where the first did not settle it.
MORE_VIEWS = (
    (View(beside=0.0, above=-0.02),),
    (
        View(shear=0.05),
        View(shear=-0.05),
        View(tilt=0.12, above=0.1),
        View(tilt=-0.12, above=0.1),
    ),
)
# The upper and the lower row of a plate of two lines, each for several places of the line between them.
TWO_ROWS = tuple(
    tuple(View(top=top, bottom=bottom, above=0.03) for top, bottom in half)
    for half in (((0.0, 0.48), (0.0, 0.54), (0.0, 0.6)), ((0.42, 1.0), (0.47, 1.0), (0.53, 1.0)))
)


def straightened(luma: Luma, corners: Quad, view: View, *, width_px: int, height_px: int) -> Luma:
    """The plate between the corners (4, 2), cut as the view says: (height_px, width_px), brightness evened out."""
    quad = _quad(corners, view)
    across = float(np.linalg.norm(quad[1] - quad[0]))
    finer = int(np.clip(np.ceil(across / width_px), 1, 4))
    size = (width_px * finer, height_px * finer)
    target = np.array([[0, 0], [size[0], 0], [size[0], size[1]], [0, size[1]]], dtype=np.float32)
    shape = cv2.getPerspectiveTransform(quad, target)
    cut = cv2.warpPerspective(luma, shape, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if finer > 1:
        cut = cv2.resize(cut, (width_px, height_px), interpolation=cv2.INTER_AREA)
    return evened(np.asarray(cut, dtype=np.uint8))


def evened(luma: Luma) -> Luma:
    """The same picture with mean 128 and a fixed contrast, as the reader was trained."""
    values = luma.astype(np.float32)
    return np.asarray(np.clip((values - values.mean()) / (values.std() + 6.0) * 52.0 + 128.0, 0, 255), dtype=np.uint8)


def aspect(corners: Quad) -> float:
    """Width against height of the plate between the corners."""
    wide = np.linalg.norm(corners[1] - corners[0]) + np.linalg.norm(corners[2] - corners[3])
    tall = np.linalg.norm(corners[3] - corners[0]) + np.linalg.norm(corners[2] - corners[1])
    return float(wide / max(1e-3, float(tall)))


def part_of(corners: Quad, left: float, right: float) -> Quad:
    """The corners (4, 2) of the part of a plate between two places along it, 0 to 1."""
    upper, lower = corners[1] - corners[0], corners[2] - corners[3]
    return np.array(
        [corners[0] + left * upper, corners[0] + right * upper, corners[3] + right * lower, corners[3] + left * lower],
        dtype=np.float32,
    )


def _quad(corners: Quad, view: View) -> Quad:
    """The corners moved as the view says, by bilinear steps within the plate."""
    height = view.bottom - view.top
    unit = np.array(
        [
            [-view.beside, view.top - view.above * height],
            [1 + view.beside, view.top - view.above * height],
            [1 + view.beside, view.bottom + view.above * height],
            [-view.beside, view.bottom + view.above * height],
        ],
        dtype=np.float32,
    )
    unit[:, 0] += (unit[:, 1] - 0.5) * view.shear
    unit[:, 1] += (unit[:, 0] - 0.5) * view.tilt
    u, v = unit[:, :1], unit[:, 1:]
    upper = corners[0] + u * (corners[1] - corners[0])
    lower = corners[3] + u * (corners[2] - corners[3])
    return np.asarray(upper + v * (lower - upper), dtype=np.float32)
