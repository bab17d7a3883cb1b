"""Which cells of a picture are covered at a moment, and covering them so that nothing can be restored.

Decided here: the picture is a grid of cells of 8x8 pixels (4x4 in the colour planes); a cell that a region so much as
touches is covered whole, with one constant that depends on nothing in the picture. So no transform block of the coded
copy mixes what may be seen with what may not, and no sum over frames tells anything about what was there: blur and
mosaic keep samples, a constant keeps none. Implements RD-10 to RD-12 of docs/spec/redaction.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.redact.plan import BOX, Key, Region
from vedette.redaction import CELL_PX, FILL

Cells = NDArray[np.bool_]
Plane = NDArray[np.uint8]
Planes = tuple[Plane, Plane, Plane]


def at_time(regions: Iterable[Region], at_us: int) -> list[Region]:
    """The regions that cover something at that time."""
    return [one for one in regions if one.from_us <= at_us <= one.to_us]


def place_at(region: Region, at_us: int) -> tuple[tuple[float, float], ...]:
    """The corners of a region at that time, evenly between its keys; two of a box, all of a polygon."""
    before, after = _around(region.keys, at_us)
    span = after.at_us - before.at_us
    share = (at_us - before.at_us) / span if span else 0.0
    values = [a + (b - a) * share for a, b in zip(before.places, after.places, strict=True)]
    return tuple(zip(values[::2], values[1::2], strict=True))


def cells_at(regions: Sequence[Region], at_us: int, *, width: int, height: int) -> Cells:
    """Which cells of a picture of that size are covered at that time: true or false (rows, columns)."""
    rows, columns = -(-height // CELL_PX), -(-width // CELL_PX)
    cells = np.zeros((rows, columns), dtype=np.bool_)
    for region in at_time(regions, at_us):
        corners = place_at(region, at_us)
        if region.shape == BOX:
            (x0, y0), (x1, y1) = corners
            top, bottom = int(y0 // CELL_PX), int(-(-y1 // CELL_PX))
            cells[top:bottom, int(x0 // CELL_PX) : int(-(-x1 // CELL_PX))] = True
        else:
            cells |= _polygon(corners, rows, columns)
    return cells


def fill(planes: Planes, cells: Cells) -> None:
    """Cover these cells of a picture's three planes (4:2:0) in place."""
    for plane, value, side in zip(planes, FILL, (CELL_PX, CELL_PX // 2, CELL_PX // 2), strict=True):
        plane[spread(cells, side, plane.shape)] = value


def spread(cells: Cells, side: int, shape: tuple[int, ...]) -> Cells:
    """The cells as a mask of pixels of a plane of that shape, `side` pixels to a cell."""
    return np.repeat(np.repeat(cells, side, axis=0), side, axis=1)[: shape[0], : shape[1]]


def _around(keys: Sequence[Key], at_us: int) -> tuple[Key, Key]:
    if at_us <= keys[0].at_us:
        return keys[0], keys[0]
    for before, after in pairwise(keys):
        if at_us <= after.at_us:
            return before, after
    return keys[-1], keys[-1]


def _polygon(corners: Sequence[tuple[float, float]], rows: int, columns: int) -> Cells:
    """Every cell that the polygon touches: its pixels, one more around against rounding, then whole cells."""
    pixels = np.zeros(((rows + 2) * CELL_PX, (columns + 2) * CELL_PX), dtype=np.uint8)
    cv2.fillPoly(pixels, [np.rint(np.array(corners)).astype(np.int32) + CELL_PX], 1)
    grown = np.asarray(cv2.dilate(pixels, np.ones((3, 3), dtype=np.uint8)))[CELL_PX:-CELL_PX, CELL_PX:-CELL_PX]
    touched = grown.reshape(rows, CELL_PX, columns, CELL_PX).max(axis=(1, 3))
    return np.asarray(touched > 0, dtype=np.bool_)
