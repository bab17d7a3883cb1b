"""Pictures with plates drawn by OpenCV alone, for timing: what they cost matters, not how real they look."""

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
SHARE_OF_WIDTH = 0.16
# The third plate is smeared as by motion, so that the reader has to look again.
SMEARED, SMEAR_PX = 2, (61, 5)
LEAN = 0.06


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawnPicture:
    """A grey picture (height, width) and the corners of each plate in it, in its pixels."""

    luma: Luma
    plates: tuple[Corners, ...]


def draw(*, width_px: int, height_px: int, plates: int) -> DrawnPicture:
    """A dark street-like picture with up to three plates side by side, the same picture each time."""
    rng = np.random.default_rng(1)
    luma = np.linspace(150, 60, height_px)[:, None] + rng.normal(0, 6, (height_px, width_px))
    picture = np.asarray(np.clip(luma, 0, 255), dtype=np.uint8)
    corners = tuple(_corners(number, width_px, height_px) for number in range(plates))
    for number, quad in enumerate(corners):
        plate = _plate(TEXTS[number])
        if number == SMEARED:
            plate = np.asarray(cv2.blur(plate, SMEAR_PX), dtype=np.uint8)
        _put(picture, plate, quad)
    return DrawnPicture(luma=picture, plates=corners)


def _corners(number: int, width_px: int, height_px: int) -> Corners:
    wide = SHARE_OF_WIDTH * width_px
    tall = wide * PLATE_PX[1] / PLATE_PX[0]
    left, top, lean = (0.08 + 0.3 * number) * width_px, 0.6 * height_px, LEAN * wide
    return ((left, top), (left + wide, top + lean), (left + wide, top + lean + tall), (left, top + tall))


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
