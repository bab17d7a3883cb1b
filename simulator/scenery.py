"""Road, house fronts and sky of the drawn street: textures made once, looked up per frame through fixed maps.

Decided here: the street is straight and repeats every 160 m, so that a frame costs four table look-ups instead of a
drawing. Far parts have their own coarse textures (no glitter) and fade into haze.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from simulator.world import CAMERA_HEIGHT_M, FOCAL_PX, PICTURE_WIDTH_PX

LOOP_M = 160.0
FAR_M = 150.0
LEFT_WALL_M, RIGHT_WALL_M, WALL_M = -8.6, 6.2, 13.0
HAZE_BGR = (226, 214, 200)
HORIZON = 0.44

_GROUND_NEAR_M, _WALL_NEAR_M, _HAZE_FROM_M = 28.0, 70.0, 55.0
_CARRIAGEWAY_M, _LANE_LINES_M = (-6.4, 3.5), (-1.15, -3.75)
_FRONTS = ((198, 214, 226), (176, 200, 222), (214, 222, 228), (160, 186, 214), (190, 206, 210), (206, 212, 232))

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Layer:
    """A texture that scrolls along `axis` with the distance driven, and the map that puts it into a part of a frame."""

    texture: Image
    per_m: float
    axis: int
    rows: slice
    columns: slice
    map_xy: NDArray[np.int16]
    map_fraction: NDArray[np.uint16]

    def draw(self, frame: Image, distance_m: float) -> None:
        start = int(distance_m % LOOP_M * self.per_m)
        source = self.texture[start:] if self.axis == 0 else self.texture[:, start:]
        part = frame[self.rows, self.columns]
        cv2.remap(
            source,
            self.map_xy,
            self.map_fraction,
            cv2.INTER_LINEAR,
            dst=part,
            borderMode=cv2.BORDER_TRANSPARENT,
        )


class Scenery:
    """Everything of a frame that is not a car, for pictures of one size (pixels)."""

    def __init__(self, width: int, height: int, seed: int) -> None:
        self.focal_px = FOCAL_PX * width / PICTURE_WIDTH_PX
        self.centre_x, self.horizon_y = width / 2, round(height * HORIZON)
        rng = np.random.default_rng(seed)
        self._sky = self._distance(_sky(width, height, self.horizon_y, rng))
        ground, wall_right, wall_left = _ground(rng), _wall(rng), _wall(rng)
        self._layers = [
            *self._ground_layers(ground, width, height),
            *self._wall_layers(wall_right, RIGHT_WALL_M, width, height),
            *self._wall_layers(wall_left, LEFT_WALL_M, width, height),
        ]
        self._haze_part, self._haze = self._haze_weights(width, height)

    def draw(self, frame: Image, distance_m: float) -> None:
        """Paint the whole frame (BGR, height x width x 3) as seen after `distance_m` metres."""
        np.copyto(frame, self._sky)
        for layer in self._layers:
            layer.draw(frame, distance_m)
        rows, columns = self._haze_part
        part = frame[rows, columns]
        hazed = cv2.blendLinear(part, np.full_like(part, HAZE_BGR), 1 - self._haze, self._haze)
        frame[rows, columns] = hazed

    def _distance(self, sky: Image) -> Image:
        """Paint what lies beyond the textures: the street's far end in haze, a minaret over it."""
        scale = self.focal_px / FAR_M
        x, y, unit = self.centre_x, self.horizon_y, self.focal_px / 400.0
        tower = [(x + (4 + side) * unit, y - up * unit) for side, up in ((-3, 0), (-3, 34), (3, 34), (3, 0))]
        lantern = [(x + (4 + side) * unit, y - up * unit) for side, up in ((-1, 34), (-1, 42), (1, 42), (1, 34))]
        for points in (tower, lantern):
            cv2.fillConvexPoly(sky, np.array(points).astype(np.int32), (206, 196, 190), cv2.LINE_AA)
        for wall_m in (LEFT_WALL_M, RIGHT_WALL_M):
            edge = x + wall_m * scale
            side = [(edge, y - (WALL_M - CAMERA_HEIGHT_M) * scale), (edge, y + CAMERA_HEIGHT_M * scale), (x, y)]
            cv2.fillConvexPoly(sky, np.array(side).astype(np.int32), (214, 206, 198), cv2.LINE_AA)
        return sky

    def _ground_layers(self, texture: Image, width: int, height: int) -> list[_Layer]:
        near_y = int(self.horizon_y + self.focal_px * CAMERA_HEIGHT_M / _GROUND_NEAR_M)
        far_y = int(self.horizon_y + self.focal_px * CAMERA_HEIGHT_M / FAR_M) + 1
        coarse = _shrunk(texture, 0.2)
        parts = ((texture, 50.0, 40.0, near_y, height), (coarse, 10.0, 8.0, far_y, near_y))
        layers = []
        for source, per_m, across_per_m, top, bottom in parts:
            y, x = np.mgrid[top:bottom, 0:width].astype(np.float32)
            z = self.focal_px * CAMERA_HEIGHT_M / (y - self.horizon_y)
            across = (x - self.centre_x) * z / self.focal_px
            inside = (across > LEFT_WALL_M) & (across < RIGHT_WALL_M)
            column = np.where(inside, (across - LEFT_WALL_M) * across_per_m, -9)
            layers.append(_layer(source, per_m, 0, slice(top, bottom), slice(0, width), column, z * per_m))
        return layers

    def _wall_layers(self, texture: Image, wall_m: float, width: int, height: int) -> list[_Layer]:
        near_x, far_x = (int(self.centre_x + self.focal_px * wall_m / z) for z in (_WALL_NEAR_M, FAR_M))
        bottom = int(self.horizon_y + self.focal_px * CAMERA_HEIGHT_M / 12.0)
        edges = ((near_x, width), (far_x, near_x)) if wall_m > 0 else ((0, near_x), (near_x, far_x))
        layers = []
        for (left, right), source, per_m in zip(edges, (texture, _shrunk(texture, 0.5)), (24.0, 12.0), strict=True):
            y, x = np.mgrid[0:bottom, left:right].astype(np.float32)
            z = self.focal_px * wall_m / (x + 0.5 - self.centre_x)
            up = CAMERA_HEIGHT_M - (y - self.horizon_y) * z / self.focal_px
            inside = (up > 0) & (up < WALL_M)
            row = np.where(inside, (WALL_M - up) * per_m, -9)
            layers.append(_layer(source, per_m, 1, slice(0, bottom), slice(left, right), z * per_m, row))
        return layers

    def _haze_weights(self, width: int, height: int) -> tuple[tuple[slice, slice], NDArray[np.float32]]:
        """How much haze lies before each pixel near the vanishing point (0 to 1)."""
        reach_x = int(self.focal_px * -LEFT_WALL_M / _HAZE_FROM_M)
        rows = slice(0, self.horizon_y + int(self.focal_px * CAMERA_HEIGHT_M / _HAZE_FROM_M))
        columns = slice(int(self.centre_x) - reach_x, int(self.centre_x) + reach_x)
        y, x = np.mgrid[rows, columns].astype(np.float32)
        across, below = x + 0.5 - self.centre_x, y - self.horizon_y
        wall_z = self.focal_px * np.where(across > 0, RIGHT_WALL_M, LEFT_WALL_M) / across
        ground_z = np.where(below > 0, self.focal_px * CAMERA_HEIGHT_M / np.maximum(below, 0.1), 1e6)
        z = np.minimum(wall_z, ground_z)
        is_sky = (below <= 0) & (CAMERA_HEIGHT_M - below * z / self.focal_px > WALL_M)
        weight = np.clip((z - _HAZE_FROM_M) / 130, 0, 0.85)
        return (rows, columns), np.where(is_sky | (z > FAR_M), 0, weight).astype(np.float32)


def _layer(
    texture: Image,
    per_m: float,
    axis: int,
    rows: slice,
    columns: slice,
    map_x: NDArray[np.float32],
    map_y: NDArray[np.float32],
) -> _Layer:
    xy, fraction = cv2.convertMaps(map_x.astype(np.float32), map_y.astype(np.float32), cv2.CV_16SC2)
    return _Layer(texture, per_m, axis, rows, columns, np.asarray(xy, np.int16), np.asarray(fraction, np.uint16))


def _shrunk(texture: Image, share: float) -> Image:
    return np.asarray(cv2.resize(texture, None, fx=share, fy=share, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _repeated(texture: Image, per_m: float, axis: int) -> Image:
    """The texture with what comes again after the loop's end, as far as one can see."""
    more = texture[: int(FAR_M * per_m)] if axis == 0 else texture[:, : int(FAR_M * per_m)]
    return np.ascontiguousarray(np.concatenate([texture, more], axis=axis))


def _sky(width: int, height: int, horizon_y: int, rng: np.random.Generator) -> Image:
    """A pale morning: blue above, haze at the horizon, a few soft clouds; below the horizon haze as well."""
    share = np.clip(np.arange(height) / horizon_y, 0, 1)[:, None] ** 1.6
    column = (1 - share) * np.array((222, 178, 128)) + share * np.array(HAZE_BGR)
    sky = np.repeat(column[:, None, :], width, axis=1)
    clouds = cv2.resize(rng.random((9, 12)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    veil = np.clip(clouds - 0.62, 0, 0.3)[:, :, None] * (1 - share[:, :, None]) * 1.6
    return np.asarray(sky * (1 - veil) + 244 * veil, dtype=np.uint8)


def _ground(rng: np.random.Generator) -> Image:
    """Asphalt, kerbs, pavements and lane lines from above; 50 px a metre along, 40 across."""
    length, across = int(LOOP_M * 50), int((RIGHT_WALL_M - LEFT_WALL_M) * 40)
    grain = rng.normal(0, 7, (length, across)).astype(np.float32)
    patches = cv2.resize(rng.normal(0, 5, (40, 6)).astype(np.float32), (across, length), interpolation=cv2.INTER_CUBIC)
    grey = np.clip(98 + cv2.blur(grain, (3, 5)) * 1.6 + patches, 0, 255).astype(np.uint8)
    ground = cv2.merge([grey, grey, grey])
    to_column = [int((x - LEFT_WALL_M) * 40) for x in _CARRIAGEWAY_M]
    for left, right, kerb in ((0, to_column[0], to_column[0]), (to_column[1], across, to_column[1])):
        ground[:, left:right] = ground[:, left:right] // 2 + 96
        ground[::80, left:right] = (140, 146, 150)
        cv2.rectangle(ground, (kerb - 5, 0), (kerb + 5, length), (188, 192, 194), -1)
    for line_m, on_m in zip(_LANE_LINES_M, (LOOP_M, 3.0), strict=True):
        column = int((line_m - LEFT_WALL_M) * 40)
        for start in np.arange(0, LOOP_M, 8.0 if on_m < LOOP_M else LOOP_M):
            cv2.rectangle(
                ground, (column - 3, int(start * 50)), (column + 3, int((start + on_m) * 50)), (206, 210, 210), -1
            )
    return _repeated(np.asarray(ground, dtype=np.uint8), 50.0, 0)


def _wall(rng: np.random.Generator) -> Image:
    """A row of house fronts: shops below, windows with shutters and balconies above; 24 px a metre."""
    length, height = int(LOOP_M * 24), int(WALL_M * 24)
    wall = np.empty((height, length, 3), dtype=np.uint8)
    left = 0
    while left < length:
        right = min(length, left + int(rng.uniform(8, 15) * 24))
        right = length if length - right < 120 else right
        _house(wall, left, right, rng)
        left = right
    shade = np.linspace(1.02, 0.86, height, dtype=np.float32)[:, None, None]
    noise = rng.normal(0, 2.5, (height, length, 1)).astype(np.float32)
    return _repeated(np.clip(wall * shade + noise, 0, 255).astype(np.uint8), 24.0, 1)


def _house(wall: Image, left: int, right: int, rng: np.random.Generator) -> None:
    front = np.array(_FRONTS[int(rng.integers(len(_FRONTS)))], dtype=np.int32) + rng.integers(-8, 9, 3)
    wall[:, left:right] = np.clip(front, 0, 255)
    dark = tuple(int(v) for v in front * 0.8)
    cv2.line(wall, (left, 0), (left, wall.shape[0]), dark, 3)
    paint = ((96, 120, 60), (120, 88, 52), (60, 84, 120), (130, 130, 118))[int(rng.integers(4))]
    # Dark windows on a pale front in even rows look like a row of characters to a plate detector.
    shutter, glass = (tuple(int(v) for v in front * 0.55 + np.array(tone) * 0.45) for tone in (paint, (110, 96, 80)))
    count = max(2, (right - left) // 70)
    pitch = (right - left) / count
    for column in range(count):
        x = int(left + pitch * (column + 0.5))
        for floor_y in (14, 92, 170):
            if rng.random() < 0.25:
                continue
            cv2.rectangle(wall, (x - 13, floor_y), (x + 13, floor_y + 42), glass, -1)
            cv2.rectangle(wall, (x - 22, floor_y), (x - 14, floor_y + 42), shutter, -1)
            cv2.rectangle(wall, (x + 14, floor_y), (x + 22, floor_y + 42), shutter, -1)
            cv2.rectangle(wall, (x - 24, floor_y + 44), (x + 24, floor_y + 48), dark, -1)
    _shops(wall, left, right, dark, rng)


def _shops(wall: Image, left: int, right: int, dark: tuple[int, ...], rng: np.random.Generator) -> None:
    bottom = wall.shape[0]
    cv2.rectangle(wall, (left, bottom - 84), (right, bottom - 78), dark, -1)
    x = left + 14
    while x + 66 < right:
        awning = tuple(int(v) for v in rng.integers(60, 200, 3))
        cv2.rectangle(wall, (x, bottom - 62), (x + 60, bottom - 6), (112, 106, 100), -1)
        cv2.rectangle(wall, (x + 4, bottom - 44), (x + 56, bottom - 16), (150, 142, 130), -1)
        cv2.rectangle(wall, (x - 4, bottom - 74), (x + 64, bottom - 56), awning, -1)
        x += int(rng.uniform(74, 110))
