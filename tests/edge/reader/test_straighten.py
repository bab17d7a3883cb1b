"""Cutting a plate out by its corners."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.reader.straighten import FIRST_VIEW, TWO_ROWS, View, aspect, evened, straightened

SQUARE = np.array([[100, 60], [260, 60], [260, 108], [100, 108]], dtype=np.float32)
TIGHT = View(beside=0.0, above=0.0)


def striped() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 256, (20, 30), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (400, 200), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def test_a_level_plate_is_cut_as_it_is() -> None:
    luma = striped()
    cut = straightened(luma, SQUARE, TIGHT, width_px=160, height_px=48)
    assert cut.shape == (48, 160)
    assert np.abs(cut.astype(int) - evened(luma[60:108, 100:260]).astype(int)).mean() < 4


def test_a_turned_plate_comes_out_level() -> None:
    luma = striped()
    turn = cv2.getRotationMatrix2D((180, 84), 20, 1.0)
    turned = np.asarray(cv2.warpAffine(luma, turn, (400, 200)), dtype=np.uint8)
    corners = (SQUARE @ turn[:, :2].T + turn[:, 2]).astype(np.float32)
    level = straightened(luma, SQUARE, FIRST_VIEW, width_px=160, height_px=48).astype(int)
    cut = straightened(turned, corners, FIRST_VIEW, width_px=160, height_px=48).astype(int)
    assert np.abs(cut - level).mean() < 6


def test_two_rows_are_the_upper_and_the_lower_half() -> None:
    luma = np.full((200, 400), 60, dtype=np.uint8)
    luma[60:84] = np.tile(np.array([10, 250], dtype=np.uint8).repeat(4), 50)
    uppers, lowers = (
        [straightened(luma, SQUARE, view, width_px=160, height_px=48) for view in half] for half in TWO_ROWS
    )
    assert all(upper[10:30].std() > 30 for upper in uppers)
    assert all(lower[16:40].std() < 5 for lower in lowers)


def test_evened_pictures_do_not_depend_on_exposure() -> None:
    luma = striped()
    dim = (luma * 0.5 + 20).astype(np.uint8)
    assert np.abs(evened(dim).astype(int) - evened(luma).astype(int)).mean() < 8
    assert evened(np.full((48, 160), 7, dtype=np.uint8)).tolist() == np.full((48, 160), 128).tolist()


@pytest.mark.parametrize(("width", "height"), [(160, 48), (100, 50), (30, 60)])
def test_aspect_is_width_against_height(width: int, height: int) -> None:
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    assert aspect(corners) == pytest.approx(width / height)


def test_corners_outside_the_picture_still_give_a_crop() -> None:
    cut = straightened(striped(), SQUARE + np.float32(5000), FIRST_VIEW, width_px=160, height_px=48)
    assert cut.shape == (48, 160)
