"""Pictures of cars with plates drawn by OpenCV alone, for timing: what they cost matters, not how real they look.

Decided here: a car is drawn well enough for the detector to find its plate at the first look, as on a photograph of a
car that stands nearby; else a look would be timed that searches again from closer.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Luma = NDArray[np.uint8]
Corners = tuple[tuple[float, float], ...]

TEXTS = ("LS15 EBC", "AB12 CDE", "1234 FRG")
PLATE_PX = (520, 110)
# The first plate's width and height of the text, found by eye.
TEXT_SCALE, TEXT_WEIGHT, TEXT_AT = 2.8, 9, (30, 84)
# Of the picture's width: a plate, and the car around it (1.8 m to the plate's 0.52 m).
PLATE_SHARE, CAR_SHARE, CAR_STEP, CAR_LEFT = 0.085, 0.28, 0.32, 0.04
# Of the picture's height; of the car's width; of the car's height.
CAR_TOP, CAR_ASPECT, PLATE_TOP = 0.42, 0.8, 0.56
# The third plate is smeared as by motion, so that the reader has to look again.
SMEARED, SMEAR_PX = 2, (31, 5)
LEAN = 0.04
BLUR_OF_WIDTH = 1 / 1600
NOISE = 6
# A car from behind: left, top, right and bottom in shares of its own size, and how bright.
CAR = (
    (0.08, 0.0, 0.92, 0.42, 105),  # cabin
    (0.14, 0.06, 0.86, 0.36, 45),  # window
    (0.0, 0.38, 1.0, 0.95, 95),  # body
    (0.02, 0.44, 0.14, 0.58, 170),  # lights
    (0.86, 0.44, 0.98, 0.58, 170),
    (0.0, 0.78, 1.0, 0.95, 60),  # bumper
    (0.28, 0.53, 0.72, 0.72, 75),  # recess of the plate
    (0.3, 0.42, 0.7, 0.46, 160),  # bar above it
    (0.04, 0.95, 0.2, 1.1, 25),  # wheels
    (0.8, 0.95, 0.96, 1.1, 25),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawnPicture:
    """A grey picture (height, width) and the corners of each plate in it, in its pixels."""

    luma: Luma
    plates: tuple[Corners, ...]


def draw(*, width_px: int, height_px: int, plates: int) -> DrawnPicture:
    """A street-like picture with up to three cars side by side, each with its plate; the same picture each time."""
    sky = np.linspace(150, 60, height_px)[:, None]
    picture = np.asarray(np.broadcast_to(sky, (height_px, width_px)), dtype=np.uint8).copy()
    corners = []
    for number in range(plates):
        left, top, wide = (CAR_LEFT + CAR_STEP * number) * width_px, CAR_TOP * height_px, CAR_SHARE * width_px
        _car(picture, left, top, wide)
        corners.append(_corners(left + wide / 2, top + CAR_ASPECT * PLATE_TOP * wide, PLATE_SHARE * width_px))
        plate = _plate(TEXTS[number])
        if number == SMEARED:
            plate = np.asarray(cv2.blur(plate, SMEAR_PX), dtype=np.uint8)
        _put(picture, plate, corners[-1])
    picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), BLUR_OF_WIDTH * width_px), dtype=np.uint8)
    rng = np.random.default_rng(1)
    for row in picture:  # one at a time: the noise of a whole picture would be most of the memory that is measured
        row[:] = np.clip(row + rng.normal(0, NOISE, width_px), 0, 255)
    return DrawnPicture(luma=picture, plates=tuple(corners))


def _car(picture: Luma, left: float, top: float, wide: float) -> None:
    tall = CAR_ASPECT * wide
    for x0, y0, x1, y1, grey in CAR:
        start = round(left + x0 * wide), round(top + y0 * tall)
        end = round(left + x1 * wide), round(top + y1 * tall)
        cv2.rectangle(picture, start, end, grey, cv2.FILLED)


def _corners(middle: float, top: float, wide: float) -> Corners:
    tall, lean = wide * PLATE_PX[1] / PLATE_PX[0], LEAN * wide
    left, right = middle - wide / 2, middle + wide / 2
    return ((left, top), (right, top + lean), (right, top + lean + tall), (left, top + tall))


def _plate(text: str) -> Luma:
    plate = np.full((PLATE_PX[1], PLATE_PX[0]), 235, dtype=np.uint8)
    cv2.putText(plate, text, TEXT_AT, cv2.FONT_HERSHEY_SIMPLEX, TEXT_SCALE, 20, TEXT_WEIGHT, cv2.LINE_AA)
    return plate


def _put(picture: Luma, plate: Luma, corners: Corners) -> None:
    height, width = plate.shape
    source = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    shape = cv2.getPerspectiveTransform(source, np.array(corners, dtype=np.float32))
    size = (picture.shape[1], picture.shape[0])
    shown = cv2.warpPerspective(plate, shape, size, flags=cv2.INTER_AREA)
    inside = cv2.warpPerspective(np.full_like(plate, 255), shape, size, flags=cv2.INTER_NEAREST) > 0
    picture[inside] = shown[inside]
