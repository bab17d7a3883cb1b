"""Cars of the drawn street: shaded boxes with wheels, glass, lights and a plate, in right perspective.

Decided here: three shapes, their measures in metres, and what is left out when a car is far away. A car's own axes:
x to the right, y up, z away from the camera, with the origin on the ground under the middle of its near end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from simulator.plates import HEIGHT_M, WIDTH_M, sizes
from simulator.scenery import HAZE_BGR
from simulator.world import CAMERA_HEIGHT_M, CarPose

Image = NDArray[np.uint8]
Point = tuple[float, float, float]
Colour = tuple[int, int, int]

_SHIFT = 4
_LEAST_AHEAD_M = 0.7
_DETAIL_M = 45.0
_HALF, _NOSE_M = 0.9, 0.86
_GLASS, _TYRE, _SHADOW, _DARK = (70, 62, 54), (30, 30, 32), (62, 62, 64), (44, 44, 46)
_LAMP_FRONT, _LAMP_REAR = (172, 180, 186), (44, 40, 190)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shape:
    """Measures in metres: belt line and roof are heights, the glass pairs say where the cabin is, from the rear."""

    length: float
    belt: float
    roof: float
    glass_low: tuple[float, float]
    glass_high: tuple[float, float]
    plate_y: float


_SHAPES = {
    "hatch": _Shape(length=4.0, belt=0.98, roof=1.46, glass_low=(0.1, 3.0), glass_high=(0.55, 2.3), plate_y=0.72),
    "saloon": _Shape(length=4.5, belt=0.98, roof=1.43, glass_low=(0.75, 3.35), glass_high=(1.35, 2.6), plate_y=0.74),
    "van": _Shape(length=4.4, belt=1.08, roof=1.84, glass_low=(0.03, 3.6), glass_high=(0.14, 2.9), plate_y=0.66),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Lens:
    """How points before the camera become pixels."""

    focal_px: float
    centre_x: float
    horizon_y: float


class CarPainter:
    """Draws cars into one frame."""

    def __init__(self, frame: Image, lens: Lens) -> None:
        self._frame = frame
        self._lens = lens

    def draw(self, pose: CarPose) -> None:
        """Draw one car; cars farther away must have been drawn before."""
        shape = _SHAPES[pose.car.shape]
        if pose.ahead_m + shape.length < 1.5:
            return
        body = _Body(self._frame, self._lens, pose, shape)
        body.shadow()
        body.side()
        if pose.ahead_m > _LEAST_AHEAD_M:
            body.cabin()
            body.near_end()
            body.plate()


class _Body:
    def __init__(self, frame: Image, lens: Lens, pose: CarPose, shape: _Shape) -> None:
        self._frame, self._lens, self._pose, self._shape = frame, lens, pose, shape
        self._sin, self._cos = math.sin(pose.car.yaw), math.cos(pose.car.yaw)
        self._haze = min(0.75, max(0.0, (pose.ahead_m - 20) / 110))
        low, high = shape.glass_low, shape.glass_high
        if pose.car.faces_us:
            # Seen from the front the car is the same box turned round.
            low = (shape.length - low[1], shape.length - low[0])
            high = (shape.length - high[1], shape.length - high[0])
        self._low, self._high = low, high
        self._detailed = pose.ahead_m < _DETAIL_M

    def shadow(self) -> None:
        length = self._shape.length
        self._fill([(-1.0, 0, -0.12), (1.0, 0, -0.12), (1.0, 0, length), (-1.0, 0, length)], _SHADOW)
        for x in (-0.78, 0.56):
            self._fill([(x, 0, 0.1), (x + 0.22, 0, 0.1), (x + 0.22, 0.4, 0.1), (x, 0.4, 0.1)], _TYRE)

    def side(self) -> None:
        """The flank that the camera sees: body, windows, wheels."""
        shape, x = self._shape, -_HALF if self._pose.car.lateral_m > 0 else _HALF
        if abs(self._pose.car.lateral_m) < _HALF:
            return
        length, inner, belt = shape.length, x * 0.86, shape.belt
        edge = [(x, belt, 0.0), (x, belt, self._low[1]), (x, _NOSE_M, length)]
        if self._pose.car.faces_us:
            edge = [(x, _NOSE_M, 0.0), (x, belt, self._low[0]), (x, belt, length)]
        self._fill([(x, 0.3, 0), *edge, (x, 0.3, length)], self._paint(0.72))
        low, high = self._low, self._high
        roof = [(x, belt, low[0]), (inner, shape.roof, high[0]), (inner, shape.roof, high[1])]
        self._fill([*roof, (x, belt, low[1])], self._paint(0.66))
        if self._detailed:
            top = shape.roof - 0.09
            glass = [(x, belt + 0.03, low[0] + 0.3), (inner, top, high[0] + 0.22), (inner, top, high[1] - 0.1)]
            self._fill([*glass, (x, belt + 0.03, low[1] - 0.3)], self._hazed(_GLASS))
            self._wheel(x, 0.75)
            self._wheel(x, length - 0.8)

    def cabin(self) -> None:
        """Roof edge, rear window or windscreen, and the deck before it."""
        shape, low, high = self._shape, self._low, self._high
        inner = _HALF * 0.86
        near = [(-_HALF, shape.belt, low[0]), (-inner, shape.roof, high[0]), (inner, shape.roof, high[0])]
        self._fill([*near, (_HALF, shape.belt, low[0])], self._paint(0.8))
        rise = 0.12 * (shape.roof - shape.belt)
        depth = (high[0] - low[0]) * 0.12
        glass = [(-0.76, shape.belt + rise, low[0] + depth), (-0.68, shape.roof - rise, high[0] - depth)]
        mirrored = [(-px, py, pz) for px, py, pz in reversed(glass)]
        self._fill([*glass, *mirrored], self._hazed(_GLASS))
        if self._detailed:
            glint = [(-0.6, shape.belt + 2 * rise, low[0]), (-0.5, shape.roof - 1.5 * rise, high[0])]
            self._fill([*glint, (-0.2, shape.roof - 1.5 * rise, high[0]), (-0.36, shape.belt + 2 * rise, low[0])],
                       self._hazed((104, 96, 88)))  # fmt: skip
        edge = _NOSE_M if self._pose.car.faces_us else shape.belt - 0.02
        deck = [(-_HALF, edge, 0.03), (_HALF, edge, 0.03), (_HALF, shape.belt, low[0]), (-_HALF, shape.belt, low[0])]
        self._fill(deck, self._paint(1.06))

    def near_end(self) -> None:
        """The bumper end: panel, lamps, lower trim."""
        top = _NOSE_M if self._pose.car.faces_us else self._shape.belt
        self._face(-_HALF, _HALF, 0.28, top, self._paint(0.86))
        self._face(-_HALF, _HALF, top - 0.14, top, self._paint(0.97))
        self._face(-_HALF, _HALF, 0.42, 0.6, self._paint(0.92))
        self._face(-_HALF, _HALF, 0.26, 0.43, self._hazed(_DARK))
        lamp = self._hazed(_LAMP_FRONT if self._pose.car.faces_us else _LAMP_REAR)
        for left in (-0.86, 0.56):
            low, high = top - 0.26, top - 0.08
            corners = [(0.04, low), (0.26, low), (0.3, low + 0.07), (0.28, high), (0.02, high), (0.0, low + 0.07)]
            self._fill([(left + x, y, 0) for x, y in corners], lamp)
        if not self._detailed:
            return
        if self._pose.car.faces_us:
            self._face(-0.45, 0.45, top - 0.2, top - 0.1, self._hazed(_DARK))
        else:
            for left in (-0.86, 0.74):
                self._face(left, left + 0.12, top - 0.26, top - 0.19, self._hazed(_LAMP_FRONT))
            self._face(-0.86, 0.86, 0.595, 0.605, self._paint(0.66))
            self._face(-0.1, 0.1, top - 0.08, top - 0.05, self._hazed((150, 150, 152)))

    def plate(self) -> None:
        """The plate with its dark surround, warped into its place."""
        y = 0.5 if self._pose.car.faces_us else self._shape.plate_y
        half_w, half_h = WIDTH_M / 2, HEIGHT_M / 2
        self._face(-half_w - 0.02, half_w + 0.02, y - half_h - 0.02, y + half_h + 0.02, self._hazed(_DARK))
        corners = [(-half_w, y + half_h, -0.02), (half_w, y + half_h, -0.02)]
        corners += [(half_w, y - half_h, -0.02), (-half_w, y - half_h, -0.02)]
        quad = np.array([self._pixel(corner) for corner in corners], dtype=np.float32)
        width_px = float(quad[1, 0] - quad[0, 0])
        if width_px > 8:
            pictures = sizes(self._pose.car.plate, is_rear=not self._pose.car.faces_us)
            art = next((one for one in reversed(pictures) if one.shape[1] >= width_px), pictures[0])
            _warp_into(self._frame, art, quad, self._haze)

    def _wheel(self, x: float, z: float) -> None:
        for radius, colour in ((0.33, _TYRE), (0.2, (128, 128, 130))):
            angles = [math.tau * step / 12 for step in range(12)]
            rim = [(x * 1.005, 0.33 + radius * math.sin(a), z + radius * math.cos(a)) for a in angles]
            self._fill(rim, self._hazed(colour))

    def _face(self, left: float, right: float, low: float, high: float, colour: Colour) -> None:
        self._fill([(left, low, 0), (right, low, 0), (right, high, 0), (left, high, 0)], colour)

    def _fill(self, points: Sequence[Point], colour: Colour) -> None:
        pixels = np.array([self._pixel(point) for point in points]) * (1 << _SHIFT)
        cv2.fillConvexPoly(self._frame, np.rint(pixels).astype(np.int32), colour, cv2.LINE_AA, _SHIFT)

    def _pixel(self, point: Point) -> tuple[float, float]:
        x, y, z = point
        ahead = max(_LEAST_AHEAD_M, self._pose.ahead_m + z * self._cos - x * self._sin)
        scale = self._lens.focal_px / ahead
        across = self._pose.car.lateral_m + x * self._cos + z * self._sin
        return self._lens.centre_x + across * scale, self._lens.horizon_y + (CAMERA_HEIGHT_M - y) * scale

    def _paint(self, light: float) -> Colour:
        blue, green, red = self._pose.car.colour
        return self._hazed((min(255, int(blue * light)), min(255, int(green * light)), min(255, int(red * light))))

    def _hazed(self, colour: Colour) -> Colour:
        a, b, c = (int(one + (haze - one) * self._haze) for one, haze in zip(colour, HAZE_BGR, strict=True))
        return a, b, c


def _warp_into(frame: Image, art: Image, quad: NDArray[np.float32], haze: float) -> None:
    """Put the flat picture into the four corners (pixels, clockwise from top left), leaving the rest as it is."""
    height, width = frame.shape[:2]
    left, top = np.floor(quad.min(axis=0)).astype(int) - 1
    right, bottom = np.ceil(quad.max(axis=0)).astype(int) + 2
    left, top, right, bottom = max(0, left), max(0, top), min(width, right), min(height, bottom)
    if left >= right or top >= bottom:
        return
    art_h, art_w = art.shape[:2]
    flat = np.array([(-0.5, -0.5), (art_w - 0.5, -0.5), (art_w - 0.5, art_h - 0.5), (-0.5, art_h - 0.5)], np.float32)
    matrix = cv2.getPerspectiveTransform(flat, quad - np.array((left, top), np.float32))
    part = frame[top:bottom, left:right].copy()
    source = cv2.addWeighted(art, 1 - haze, np.full_like(art, HAZE_BGR), haze, 0) if haze > 0 else art
    size = (int(right - left), int(bottom - top))
    cv2.warpPerspective(source, matrix, size, dst=part, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT)
    frame[top:bottom, left:right] = part
