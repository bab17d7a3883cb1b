"""Where a flat thing lies in a street picture: its pose, its four corners, and laying it there with soft edges.

Corners are in continuous pixels: the first pixel reaches from 0 to 1, so its centre is at 0.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

MOST_YAW_DEG = 60.0
MOST_ROLL_DEG = 20.0
MOST_PITCH_DEG = 35.0
MARGIN_PX = 3.0
Luma = NDArray[np.uint8]
Quad = NDArray[np.float32]
Matrix = NDArray[np.float64]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pose:
    """How a plane is turned away from the camera (degrees) and how far it is, in the unit of its coordinates."""

    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    distance: float

    def matrix(self) -> Matrix:
        """The homography (3, 3) of the plane; the origin stays where it is, at its own scale."""
        (a, b, c) = np.deg2rad([self.yaw_deg, self.pitch_deg, self.roll_deg])
        yaw = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
        pitch = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
        roll = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
        turn = roll @ yaw @ pitch
        return np.array([[*turn[0, :2], 0], [*turn[1, :2], 0], [*(turn[2, :2] / self.distance), 1]])


def bounds(quad: Quad) -> Box:
    """The upright box around a quad: x0, y0, x1, y1."""
    return float(quad[:, 0].min()), float(quad[:, 1].min()), float(quad[:, 0].max()), float(quad[:, 1].max())


def overlaps(box: Box, taken: Sequence[Box], margin_px: float = MARGIN_PX) -> bool:
    """Whether the box comes nearer than the margin to any of the others."""
    x0, y0, x1, y1 = (box[0] - margin_px, box[1] - margin_px, box[2] + margin_px, box[3] + margin_px)
    return any(x0 < b[2] and x1 > b[0] and y0 < b[3] and y1 > b[1] for b in taken)


def seen_through(matrix: Matrix, points: NDArray[np.float32] | NDArray[np.float64]) -> Quad:
    """The points (n, 2) under a homography."""
    flat = points @ matrix[:, :2].T + matrix[:, 2]
    return np.asarray(flat[:, :2] / flat[:, 2:], dtype=np.float32)


def moved(x: float, y: float) -> Matrix:
    """The homography that shifts by (x, y)."""
    return np.array([[1.0, 0, x], [0, 1.0, y], [0, 0, 1.0]])


def by_pixel_centres(matrix: Matrix) -> Matrix:
    """The same homography as OpenCV's warping wants it, with pixel centres at whole numbers."""
    return moved(-0.5, -0.5) @ matrix @ moved(0.5, 0.5)


def any_pose(rng: Generator, *, unit: float, reach: float = 0.0) -> Pose:
    """The pose of a whole street; `unit` is its plate's width and `reach` how far its corners are from the plate."""
    yaw = rng.uniform(-MOST_YAW_DEG, MOST_YAW_DEG) if rng.random() < 0.3 else rng.normal(0, 9)
    pitch = rng.uniform(-MOST_PITCH_DEG, MOST_PITCH_DEG) if rng.random() < 0.12 else rng.normal(0, 6)
    roll = rng.uniform(-MOST_ROLL_DEG, MOST_ROLL_DEG) if rng.random() < 0.25 else rng.normal(0, 4)
    lean = abs(np.sin(np.deg2rad(yaw))) + abs(np.sin(np.deg2rad(pitch)))
    # Nearer than this the street's far corner would lie behind the camera and show up mirrored.
    distance = max(unit * rng.uniform(4, 25), 1.4 * reach * lean)
    return Pose(yaw_deg=yaw, pitch_deg=pitch, roll_deg=roll, distance=distance)


def tilted(centre: tuple[float, float], width: float, height: float, rng: Generator) -> Quad:
    """The corners of a mounted plate or sign that nearly faces the camera."""
    pose = Pose(
        yaw_deg=rng.normal(0, 14),
        pitch_deg=rng.normal(0, 8),
        roll_deg=rng.normal(0, 5) if rng.random() < 0.85 else rng.uniform(-MOST_ROLL_DEG, MOST_ROLL_DEG),
        distance=width * rng.uniform(2.5, 12),
    )
    flat = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], dtype=np.float32) / 2
    flat *= np.array([width, height], dtype=np.float32)
    flat[:, 1] += flat[:, 0] * np.tan(np.deg2rad(rng.normal(0, 3)))
    flat[:, 0] += flat[:, 1] * rng.normal(0, 0.1)
    return seen_through(pose.matrix(), flat) + np.array(centre, dtype=np.float32)


def lay(luma: Luma, picture: Luma, alpha: Luma, quad: Quad, rng: Generator, *, rim: int = 0) -> None:
    """Lays a picture with its alpha into the luma so that what is inside its rim fills the quad exactly."""
    height, width = picture.shape
    inner = np.array([[rim, rim], [width - rim, rim], [width - rim, height - rim], [rim, height - rim]], np.float32)
    shrink = (width - 2 * rim) / max(6.0, float(np.linalg.norm(quad[1] - quad[0])))
    weighted = cv2.merge([cv2.multiply(picture, alpha, scale=1 / 255), alpha])
    if shrink > 1.5:
        size = max(4, round(1.2 * width / shrink)), max(4, round(1.2 * height / shrink))
        weighted = cv2.resize(weighted, size, interpolation=cv2.INTER_AREA)
        inner *= np.array([size[0] / width, size[1] / height], dtype=np.float32)
        shrink = 1.2
    sigma = max(0.3, 0.4 * shrink) * rng.uniform(0.9, 1.5)
    pad = int(2 * sigma) + 1
    soft = cv2.GaussianBlur(cv2.copyMakeBorder(weighted, pad, pad, pad, pad, cv2.BORDER_CONSTANT), (0, 0), sigma)
    shape = cv2.getPerspectiveTransform(inner + (pad - 0.5), quad - np.float32(0.5))
    edge = np.array([[0, 0], [soft.shape[1], 0], [soft.shape[1], soft.shape[0]], [0, soft.shape[0]]], np.float32)
    x0, y0, x1, y1 = bounds(seen_through(np.asarray(shape, dtype=np.float64), edge))
    left, top = max(0, int(x0 - 1)), max(0, int(y0 - 1))
    part = luma[top : max(0, int(y1 + 2)), left : max(0, int(x1 + 2))]
    if part.size == 0:
        return
    warped = cv2.warpPerspective(soft, moved(-left, -top) @ shape, (part.shape[1], part.shape[0]))
    clear = 1 - warped[:, :, 1].astype(np.float32) / 255
    part[:] = np.clip(part * clear + warped[:, :, 0], 0, 255).astype(np.uint8)


def erased(luma: Luma, quad: Quad, rng: Generator) -> Luma:
    """The photograph without its plate: what is above and below it, drawn together."""
    luma = luma.copy()
    x0, y0, x1, y1 = bounds(quad)
    room = 0.06 * (x1 - x0)
    left, right = max(0, int(x0 - room)), min(luma.shape[1], int(x1 + room) + 1)
    top, bottom = max(3, int(y0 - room)), min(luma.shape[0] - 3, int(y1 + room) + 1)
    if rng.random() < 0.25:
        region = luma[top:bottom, left:right]
        tiny = cv2.resize(region, (6, 3), interpolation=cv2.INTER_AREA)
        luma[top:bottom, left:right] = cv2.resize(tiny, (right - left, bottom - top), interpolation=cv2.INTER_CUBIC)
        return luma
    above = luma[top - 3 : top, left:right].astype(np.float32).mean(axis=0)
    below = luma[bottom : bottom + 3, left:right].astype(np.float32).mean(axis=0)
    above, below = (cv2.GaussianBlur(v[None], (0, 0), 3.0)[0] for v in (above, below))
    share = np.linspace(0, 1, bottom - top, dtype=np.float32)[:, None]
    grain = 3 * rng.standard_normal((bottom - top, right - left), dtype=np.float32)
    luma[top:bottom, left:right] = np.clip(above * (1 - share) + below * share + grain, 0, 255).astype(np.uint8)
    return luma
