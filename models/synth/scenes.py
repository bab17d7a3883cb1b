"""What the plate detector is trained on: street pictures of 320 x 320 with every plate's four corners.

Streets come from Moroccan photographs.  Their plate is kept, painted over by a drawn one of any country, or removed;
then the picture is zoomed, squeezed, tilted, often put together from several streets, and passed through a camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from models.synth import degrade, fonts, formats, plate

SIZE_PX = 320
SMALLEST_PLATE_PX = 13.0
LARGEST_PLATE_PX = 280.0
KEPT_SHARE = 0.45
REMOVED_SHARE = 0.13
POOL = 300
Luma = NDArray[np.uint8]
Quad = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Street:
    """A photograph and its one labelled plate; `exact` where the quad (4, 2) fits the plate itself."""

    luma: Luma
    quad: Quad
    exact: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One training picture (320, 320), the corners of its plates (n, 4, 2), and boxes not to be judged (m, 4)."""

    luma: Luma
    quads: NDArray[np.float32]
    ignored: NDArray[np.float32]


def bounds(quad: Quad) -> tuple[float, float, float, float]:
    """The upright box around a quad: x0, y0, x1, y1."""
    return float(quad[:, 0].min()), float(quad[:, 1].min()), float(quad[:, 0].max()), float(quad[:, 1].max())


def erased(street: Street, rng: Generator) -> Luma:
    """The photograph without its plate: what is above and below it, drawn together."""
    luma = street.luma.copy()
    x0, y0, x1, y1 = bounds(street.quad)
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
    fill = above * (1 - share) + below * share + rng.normal(0, 3, (bottom - top, right - left))
    luma[top:bottom, left:right] = np.clip(fill, 0, 255).astype(np.uint8)
    return luma


def repainted(street: Street, rng: Generator) -> tuple[Luma, Quad]:
    """The photograph with a drawn plate of any country where its own was."""
    drawn = plate.draw(formats.any_label(rng, moroccan_share=0.2), rng, rows=2 if rng.random() < 0.13 else 1)
    luma = erased(street, rng)
    x0, y0, x1, y1 = bounds(street.quad)
    aspect = drawn.luma.shape[1] / drawn.luma.shape[0] * rng.uniform(0.8, 1.1)
    width = (x1 - x0) * rng.uniform(0.8, 1.1) * (1.0 if aspect > 3.3 else rng.uniform(0.6, 0.95))
    quad = _tilted(((x0 + x1) / 2, (y0 + y1) / 2), width, width / aspect, rng)
    inside = street.luma[int(max(0, y0)) : int(y1) + 1, int(max(0, x0)) : int(x1) + 1]
    white = float(np.percentile(inside, 92)) if inside.size else 200.0
    lit = np.clip(drawn.luma * (white / 225.0 * rng.uniform(0.8, 1.2)) + rng.uniform(0, 18), 0, 255).astype(np.uint8)
    _lay(luma, _rimmed(lit, rng), quad, rng)
    return luma, quad


def _tilted(centre: tuple[float, float], width: float, height: float, rng: Generator) -> Quad:
    angle = np.deg2rad(rng.normal(0, 5) if rng.random() < 0.8 else rng.uniform(-18, 18))
    unit = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], dtype=np.float32) / 2
    unit[:, 0] *= 1 + unit[:, 1] * rng.normal(0, 0.05)
    unit[:, 1] *= 1 + unit[:, 0] * rng.normal(0, 0.12)
    flat = unit * np.array([width, height], dtype=np.float32)
    flat[:, 1] += flat[:, 0] * np.tan(np.deg2rad(rng.normal(0, 3)))
    flat[:, 0] += flat[:, 1] * rng.normal(0, 0.12)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], dtype=np.float32)
    return np.asarray(flat @ turn.T + np.array(centre, dtype=np.float32), dtype=np.float32)


def _rimmed(luma: Luma, rng: Generator) -> tuple[Luma, int]:
    rim = int(rng.integers(2, 12)) if rng.random() < 0.45 else 0
    grey = int(rng.uniform(5, 90)) if rng.random() < 0.75 else int(rng.uniform(120, 240))
    return np.asarray(
        cv2.copyMakeBorder(luma, rim, rim, rim, rim, cv2.BORDER_CONSTANT, value=grey), dtype=np.uint8
    ), rim


def _lay(luma: Luma, rimmed: tuple[Luma, int], quad: Quad, rng: Generator) -> None:
    picture, rim = rimmed
    height, width = picture.shape
    source = np.array(
        [[rim, rim], [width - rim, rim], [width - rim, height - rim], [rim, height - rim]], dtype=np.float32
    )
    shrink = max(1.0, (width - 2 * rim) / max(8.0, float(np.linalg.norm(quad[1] - quad[0]))))
    soft = cv2.GaussianBlur(picture, (0, 0), max(0.3, 0.45 * shrink) * rng.uniform(0.9, 1.6))
    x0, y0, x1, y1 = bounds(quad)
    rim_px = rim / shrink + 3
    left, top = max(0, int(x0 - rim_px)), max(0, int(y0 - rim_px))
    part = luma[top : int(y1 + rim_px) + 1, left : int(x1 + rim_px) + 1]
    if part.size == 0:
        return
    shape = cv2.getPerspectiveTransform(source, quad - np.array([left, top], dtype=np.float32))
    size = (part.shape[1], part.shape[0])
    warped = cv2.warpPerspective(soft, shape, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.warpPerspective(np.full(picture.shape, 255, dtype=np.uint8), shape, size, flags=cv2.INTER_LINEAR)
    part[:] = (part + (warped.astype(np.float32) - part) * (alpha / 255.0)).astype(np.uint8)


def _signs(luma: Luma, taken: Quad | None, rng: Generator) -> None:
    """Words on the street that are no plates."""
    for _ in range(int(rng.integers(1, 4))):
        faces = fonts.faces("word")
        text = plate.SMALL_PRINT[int(rng.integers(len(plate.SMALL_PRINT)))]
        mask = fonts.words(faces[int(rng.integers(len(faces)))], text, int(rng.integers(8, 26)))
        if mask.shape[1] >= luma.shape[1] or mask.shape[0] >= luma.shape[0]:
            continue
        x, y = int(rng.integers(luma.shape[1] - mask.shape[1])), int(rng.integers(luma.shape[0] - mask.shape[0]))
        if taken is not None:
            x0, y0, x1, y1 = bounds(taken)
            if x < x1 + 8 and x + mask.shape[1] > x0 - 8 and y < y1 + 8 and y + mask.shape[0] > y0 - 8:
                continue
        part = luma[y : y + mask.shape[0], x : x + mask.shape[1]]
        part[:] = (part + (rng.uniform(0, 255) - part.astype(np.float32)) * (mask / 255.0)).astype(np.uint8)


@dataclass(slots=True)
class SceneSource:
    """An endless stream of scenes from one seeded generator."""

    rng: Generator
    streets: Sequence[Street]
    pool: list[tuple[Luma, Quad, bool]] = field(default_factory=list)

    def next(self) -> Scene:
        """One scene, of one street or of up to sixteen."""
        rng = self.rng
        grid = int(rng.choice([1, 2, 3, 4], p=[0.62, 0.2, 0.12, 0.06]))
        canvas = np.empty((SIZE_PX, SIZE_PX), dtype=np.uint8)
        quads: list[Quad] = []
        ignored: list[NDArray[np.float32]] = []
        edges = np.linspace(0, SIZE_PX, grid + 1)
        if grid > 1:
            edges[1:-1] += rng.uniform(-0.2, 0.2, grid - 1) * SIZE_PX / grid
        marks = [int(v) for v in edges]
        for y0, y1 in pairwise(marks):
            for x0, x1 in pairwise(marks):
                view, quad = self._view(x1 - x0, y1 - y0)
                canvas[y0:y1, x0:x1] = view
                if quad is not None:
                    _judge(quad + np.array([x0, y0], dtype=np.float32), (x0, y0, x1, y1), quads, ignored)
        luma = degrade.camera(_coarsened(canvas, rng), rng, harsh=0.55)
        if rng.random() < 0.5:
            luma = np.ascontiguousarray(luma[:, ::-1])
            quads = [_mirrored(quad) for quad in quads]
            ignored = [np.array([SIZE_PX - b[2], b[1], SIZE_PX - b[0], b[3]], dtype=np.float32) for b in ignored]
        return Scene(
            luma=luma,
            quads=np.array(quads, dtype=np.float32).reshape(-1, 4, 2),
            ignored=np.array(ignored, dtype=np.float32).reshape(-1, 4),
        )

    def _pooled(self) -> tuple[Luma, Quad, bool]:
        """A treated street; each is used about four times, because drawing costs more than warping."""
        if len(self.pool) < POOL:
            self.pool.append(self._treated())
        elif self.rng.random() < 0.25:
            self.pool[int(self.rng.integers(POOL))] = self._treated()
        return self.pool[int(self.rng.integers(len(self.pool)))]

    def _treated(self) -> tuple[Luma, Quad, bool]:
        """A street's picture, its quad, and whether a plate is to be found there."""
        rng = self.rng
        street = self.streets[int(rng.integers(len(self.streets)))]
        fate = rng.random()
        if fate < REMOVED_SHARE:
            return erased(street, rng), street.quad, False
        if fate < REMOVED_SHARE + KEPT_SHARE and street.exact:
            return street.luma, street.quad, True
        luma, quad = repainted(street, rng)
        return luma, quad, True

    def _view(self, width: int, height: int) -> tuple[Luma, Quad | None]:
        """A region (height, width) filled with one street, and its plate there; None where it has none."""
        rng = self.rng
        luma, quad, present = self._pooled()
        if rng.random() < 0.2:
            luma = luma.copy()
            _signs(luma, quad, rng)
        largest = min(LARGEST_PLATE_PX, 0.92 * width)
        wanted = float(np.exp(rng.uniform(np.log(min(SMALLEST_PLATE_PX + 3, largest - 1)), np.log(largest))))
        if width > 200 and rng.random() < 0.7:
            wanted = max(wanted, 0.07 * width)
        scale = wanted / max(1.0, float(np.linalg.norm(quad[1] - quad[0])))
        squeeze = np.exp(rng.normal(0, 0.22))
        angle = np.deg2rad(rng.normal(0, 4))
        linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle) * squeeze, np.cos(angle) * squeeze]])
        linear[0, 1] += scale * rng.normal(0, 0.06)
        centre = linear @ quad.mean(axis=0)
        reach = np.ptp((linear @ quad.T).T, axis=0) / (2 * np.array([width, height]))
        margin = np.minimum(reach, 0.5) if rng.random() < 0.88 else np.zeros(2)
        target = np.array([width, height]) * rng.uniform(margin, 1 - margin)
        matrix = np.hstack([linear, (target - centre)[:, None]]).astype(np.float32)
        view = self._ground(width, height)
        cv2.warpAffine(
            luma, matrix, (width, height), dst=view, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT
        )
        placed = np.asarray(quad @ matrix[:, :2].T + matrix[:, 2], dtype=np.float32)
        return view, placed if present else None

    def _ground(self, width: int, height: int) -> Luma:
        """What shows where the street does not reach: mostly another street without its plate, else one grey."""
        rng = self.rng
        if rng.random() < 0.25:
            return np.full((height, width), int(rng.integers(256)), dtype=np.uint8)
        street = self.streets[int(rng.integers(len(self.streets)))]
        x0, y0, x1, y1 = bounds(street.quad)
        size, edge = int(rng.integers(90, 400)), street.luma.shape[0]
        x, y = int(rng.integers(edge - size)), int(rng.integers(edge - size))
        if x < x1 and x + size > x0 and y < y1 and y + size > y0:
            x, y = (0, y) if x0 > edge - x1 else (edge - size, y)
            y = 0 if y0 > edge - y1 else edge - size
            if x < x1 and x + size > x0 and y < y1 and y + size > y0:
                return np.full((height, width), int(rng.integers(256)), dtype=np.uint8)
        patch = street.luma[y : y + size, x : x + size]
        return np.asarray(cv2.resize(patch, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _coarsened(luma: Luma, rng: Generator) -> Luma:
    """Now and then the picture as if it had been smaller and was enlarged to fit."""
    if rng.random() > 0.2:
        return luma
    size = int(SIZE_PX * rng.uniform(0.4, 0.85))
    small = cv2.resize(luma, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def _mirrored(quad: Quad) -> Quad:
    other = quad[[1, 0, 3, 2]].copy()
    other[:, 0] = SIZE_PX - other[:, 0]
    return other


def _judge(quad: Quad, region: tuple[int, int, int, int], kept: list[Quad], ignored: list[NDArray[np.float32]]) -> None:
    """A plate that is cut off or too small is neither right nor wrong: its surroundings are ignored."""
    x0, y0, x1, y1 = bounds(quad)
    left, top, right, bottom = max(x0, region[0]), max(y0, region[1]), min(x1, region[2]), min(y1, region[3])
    if left >= right or top >= bottom:
        return
    inside = (right - left) * (bottom - top) / max(1.0, (x1 - x0) * (y1 - y0))
    if inside > 0.92 and x1 - x0 >= SMALLEST_PLATE_PX:
        kept.append(quad)
    else:
        ignored.append(np.array([left, top, right, bottom], dtype=np.float32))
