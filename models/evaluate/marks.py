"""Pictures for the gallery: the scene with what is labelled and what was found, and the plate cut straight."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.reader.straighten import evened
from models.evaluate.errors import Case
from models.evaluate.seen import Corners, Read

Picture = NDArray[np.uint8]
MAX_WIDTH_PX = 640
CLOSE_WIDTH_PX = 320
# How much around a plate is shown where the picture is large, in plate widths.
AROUND = 1.6
STRAIGHT_PX = (320, 96)
ROOM = 0.06
JPEG_QUALITY = 86
LABELLED, COUNTED, OTHER = (60, 200, 60), (40, 40, 235), (235, 160, 30)


def drawn(case: Case, luma: Picture, pixel: float) -> Picture:
    """The surroundings of a case in colour: the label green, the read that counts red, other boxes blue.

    `pixel` pixels of the file are one of `luma`.
    """
    canvas = cv2.cvtColor(luma, cv2.COLOR_GRAY2BGR)
    left, top, right, bottom = _window(case, luma.shape, pixel)
    scale = min(MAX_WIDTH_PX / (right - left), 4.0)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    canvas = cv2.resize(canvas[top:bottom, left:right], None, fx=scale, fy=scale, interpolation=how)

    def outline(corners: Corners, colour: tuple[int, int, int], width: int) -> None:
        points = (np.array(corners) / pixel - (left, top)) * scale
        cv2.polylines(canvas, [points.round().astype(np.int32)], True, colour, width, cv2.LINE_AA)

    if case.verdict.picture.kind == "scene":
        for read in case.verdict.seen.reads:
            quad = quad_of(read)
            if quad is not None and read != case.read:
                outline(quad, OTHER, 1)
        for label in case.verdict.picture.plates:
            quad = label.corners or (None if label.box is None else _corners(label.box))
            if quad is not None:
                is_it = case.plate is not None and label == case.plate.plate
                outline(quad, LABELLED, 2 if is_it else 1)
    counted = None if case.read is None else quad_of(case.read)
    if counted is not None:
        outline(counted, COUNTED, 2)
    return np.asarray(canvas, dtype=np.uint8)


def straight(case: Case, luma: Picture, pixel: float) -> Picture | None:
    """The plate as the reader got it: cut by the corners that were found, else by the label; None where neither is."""
    quad = None if case.read is None else quad_of(case.read)
    if quad is None and case.plate is not None:
        quad = case.plate.plate.quad
    if quad is None:
        return None
    corners = np.array(quad, dtype=np.float32) / np.float32(pixel)
    width, height = STRAIGHT_PX
    beside, above = width * ROOM, height * ROOM
    target = np.array(
        [[beside, above], [width - beside, above], [width - beside, height - above], [beside, height - above]],
        dtype=np.float32,
    )
    shape = cv2.getPerspectiveTransform(corners, target)
    cut = cv2.warpPerspective(luma, shape, STRAIGHT_PX, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return evened(np.asarray(cut, dtype=np.uint8))


def save(path: Path, picture: Picture) -> tuple[int, int]:
    """Writes a JPEG and returns its width and height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _, coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    path.write_bytes(coded.tobytes())
    return picture.shape[1], picture.shape[0]


def quad_of(read: Read) -> Corners | None:
    """The corners of a read, or those of its box."""
    if read.corners_px is not None or read.box_px is None:
        return read.corners_px
    return _corners(read.box_px)


def _corners(box: tuple[float, float, float, float]) -> Corners:
    x0, y0, x1, y1 = box
    return (x0, y0), (x1, y0), (x1, y1), (x0, y1)


def _window(case: Case, shape: tuple[int, ...], pixel: float) -> tuple[int, int, int, int]:
    """What of the picture is shown: left, top, right, bottom; the whole of it where it is small or a crop."""
    height, width = shape[:2]
    quad = None
    if case.plate is not None and case.plate.plate.box is not None:
        quad = _corners(case.plate.plate.box)
    elif case.read is not None:
        quad = quad_of(case.read)
    if quad is None or case.verdict.picture.kind == "crop" or width <= CLOSE_WIDTH_PX:
        return 0, 0, width, height
    points = np.array(quad) / pixel
    centre_x, centre_y = points.mean(axis=0)
    reach = max(CLOSE_WIDTH_PX / 2, (0.5 + AROUND) * float(np.ptp(points[:, 0])))
    half_x, half_y = min(reach, width / 2), min(0.75 * reach, height / 2)
    left = int(np.clip(centre_x - half_x, 0, width - 2 * half_x))
    top = int(np.clip(centre_y - half_y, 0, height - 2 * half_y))
    return left, top, left + int(2 * half_x), top + int(2 * half_y)
