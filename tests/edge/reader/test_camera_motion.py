"""How far a shaken camera moved the picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.reader.camera_motion import LARGEST_SHIFT, NO_SHIFT, CameraMotion

Luma = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
SIZES = [(720, 1280), (1080, 1920), (640, 360)]


def street(height: int, width: int) -> Luma:
    """Something with large and small things in it, larger than a picture by 100 pixels on each side."""
    random = np.random.default_rng(4)
    coarse = random.integers(0, 256, ((height + 200) // 40 + 1, (width + 200) // 40 + 1), dtype=np.uint8)
    drawn = cv2.resize(coarse, (width + 200, height + 200), interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.GaussianBlur(drawn, (9, 9), 0), dtype=np.uint8)


def view(scene: Luma, size: tuple[int, int], right: int, down: int) -> Luma:
    """The scene as a camera sees it that moves everything by so much."""
    height, width = size
    return scene[100 - down : 100 - down + height, 100 - right : 100 - right + width]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("right", "down"), [(0, 0), (30, 0), (-30, 30), (17, -23), (1, 2)])
def test_shift_is_found_to_a_few_pixels_when_the_camera_is_shaken(size: tuple[int, int], right: int, down: int) -> None:
    motion, scene = CameraMotion(), street(*size)
    assert motion.shift(view(scene, size, 0, 0)) == NO_SHIFT
    assert motion.shift(view(scene, size, right, down)) == pytest.approx((right, down), abs=4)
    assert motion.shift(view(scene, size, 0, 0)) == pytest.approx((-right, -down), abs=4)


def test_there_is_no_shift_when_the_scene_is_another() -> None:
    random = np.random.default_rng(1)
    motion = CameraMotion()
    found = [motion.shift(random.integers(0, 256, (720, 1280), dtype=np.uint8)) for _ in range(5)]
    assert found == [NO_SHIFT] * 5


@pytest.mark.parametrize("size", [(720, 1280), (1, 1), (1, 5000), (17, 31)])
def test_there_is_no_shift_and_no_crash_when_nothing_is_to_be_seen(size: tuple[int, int]) -> None:
    motion = CameraMotion()
    assert [motion.shift(np.full(size, 90, dtype=np.uint8)) for _ in range(3)] == [NO_SHIFT] * 3


def test_there_is_no_shift_when_the_size_changes() -> None:
    motion, scene = CameraMotion(), street(720, 1280)
    motion.shift(view(scene, (720, 1280), 0, 0))
    assert motion.shift(view(scene, (640, 360), 20, 0)) == NO_SHIFT


def test_a_moving_car_is_no_moving_camera() -> None:
    motion, scene = CameraMotion(), street(720, 1280)
    for x in (100, 140, 180):
        picture = view(scene, (720, 1280), 0, 0).copy()
        picture[300:600, x : x + 400] = 20
        shift = motion.shift(picture)
    assert shift == pytest.approx(NO_SHIFT, abs=2)


def test_a_shift_is_never_larger_than_a_quarter_of_the_picture() -> None:
    motion, random = CameraMotion(), np.random.default_rng(9)
    tile = cv2.resize(random.integers(0, 256, (9, 16), dtype=np.uint8), (640, 360), interpolation=cv2.INTER_NEAREST)
    motion.shift(np.tile(tile, (2, 2)))
    right, down = motion.shift(np.roll(np.tile(tile, (2, 2)), 300, axis=1))
    assert abs(right) <= LARGEST_SHIFT * 1280 and abs(down) <= LARGEST_SHIFT * 720
