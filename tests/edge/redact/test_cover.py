"""Covered is covered: whole cells, one constant, nothing of the picture left in it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.redact.cover import FILL, at_time, cells_at, fill, spread
from edge.redact.plan import Key, Region


def region(shape: str, *keys: Key, from_us: int = 0, to_us: int = 100) -> Region:
    return Region(name="a", reason="r", found_by="person", shape=shape, from_us=from_us, to_us=to_us, keys=keys)


def still(*places: int, shape: str = "box") -> Region:
    return region(shape, Key(at_us=0, places=places))


def planes_of(seed: int, height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    rng = np.random.default_rng(seed)
    luma, blue, red = (rng.integers(0, 256, shape, dtype=np.uint8) for shape in
                       ((height, width), (height // 2, width // 2), (height // 2, width // 2)))  # fmt: skip
    return luma, blue, red


@pytest.mark.parametrize(
    ("places", "cells"),
    [
        ((0, 0, 8, 8), {(0, 0)}),
        ((0, 0, 9, 8), {(0, 0), (0, 1)}),
        ((7, 7, 9, 9), {(0, 0), (0, 1), (1, 0), (1, 1)}),
        ((15, 8, 16, 16), {(1, 1)}),
        ((16, 16, 24, 20), {(2, 2)}),
    ],
)
def test_a_cell_that_a_box_touches_is_covered_whole(places: tuple[int, ...], cells: set[tuple[int, int]]) -> None:
    """RD-10"""
    found = cells_at([still(*places)], 0, width=24, height=20)
    assert {(int(row), int(column)) for row, column in np.argwhere(found)} == cells


@given(st.lists(st.tuples(st.integers(0, 64), st.integers(0, 48)), min_size=3, max_size=8))
def test_every_pixel_within_a_polygon_is_covered(corners: list[tuple[int, int]]) -> None:
    """RD-10: also the corners themselves, which lie on the edge of a pixel"""
    shape = still(*(one for corner in corners for one in corner), shape="polygon")
    mask = spread(cells_at([shape], 0, width=64, height=48), 8, (48, 64))
    for x, y in corners:
        assert mask[min(y, 47), min(x, 63)]
    (x0, y0), (x1, y1), (x2, y2) = corners[:3]
    if len(corners) == 3:
        assert mask[min(47, (y0 + y1 + y2) // 3), min(63, (x0 + x1 + x2) // 3)]


@given(at_us=st.integers(0, 100))
def test_a_region_moves_evenly_between_its_keys_and_stands_still_outside(at_us: int) -> None:
    """RD-3"""
    moving = region("box", Key(at_us=20, places=(0, 0, 8, 8)), Key(at_us=60, places=(400, 0, 408, 8)))
    columns = np.nonzero(cells_at([moving], at_us, width=480, height=8)[0])[0]
    x = min(400, max(0, (at_us - 20) * 10))
    assert columns[0] == x // 8
    assert columns[-1] == -(-(x + 8) // 8) - 1


@pytest.mark.parametrize(("at_us", "count"), [(9, 0), (10, 1), (20, 1), (21, 0)])
def test_a_region_covers_from_its_first_to_its_last_time(at_us: int, count: int) -> None:
    """RD-3"""
    assert len(at_time([region("box", Key(at_us=0, places=(0, 0, 9, 9)), from_us=10, to_us=20)], at_us)) == count


@given(seed=st.integers(0, 1 << 30), x=st.integers(0, 50), y=st.integers(0, 30), w=st.integers(1, 20))
def test_what_is_covered_tells_nothing_of_the_picture(seed: int, x: int, y: int, w: int) -> None:
    """RD-11, RD-12: two pictures that differ everywhere are the same there, in all three planes"""
    cells = cells_at([still(x, y, min(66, x + w), min(38, y + w))], 0, width=66, height=38)
    pictures = planes_of(seed, 38, 66), planes_of(seed + 1, 38, 66)
    before = [plane.copy() for plane in pictures[0]]
    for planes in pictures:
        fill(planes, cells)
    for one, other, old, value, side in zip(*pictures, before, FILL, (8, 4, 4), strict=True):
        mask = spread(cells, side, one.shape)
        assert np.array_equal(one[mask], other[mask])
        assert (one[mask] == value).all()
        assert np.array_equal(one[~mask], old[~mask])
