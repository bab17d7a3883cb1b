"""What the plate reader is trained on: crops of 48 x 160, drawn or cut from a photograph, each with its symbols.

A crop is the plate straightened by its corners with a little room around, stretched to the reader's input; here the
corners are jittered as a detector would, and the crop passes through a camera at the plate's own small size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from edge.reader.alphabet import BAR
from models.synth import degrade, formats, plate

CROP_HEIGHT_PX = 48
CROP_WIDTH_PX = 160
POOL = 3000
REDRAW_SHARE = 0.3
Luma = NDArray[np.uint8]
Quad = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Crop:
    """One training picture (48, 160) and the symbols the reader should emit for it."""

    luma: Luma
    symbols: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RealPlate:
    """A plate on a photograph: the picture, the quad (4, 2) of its plate, its symbols, the boxes of its characters."""

    luma: Luma
    quad: Quad
    symbols: str
    boxes: tuple[tuple[str, tuple[float, float, float, float]], ...] = ()


def normalised(luma: Luma) -> Luma:
    """The crop with its brightness evened out; the device does exactly the same before it reads."""
    values = luma.astype(np.float32)
    return np.asarray(np.clip((values - values.mean()) / (values.std() + 6.0) * 52.0 + 128.0, 0, 255), dtype=np.uint8)


def cut(luma: Luma, quad: Quad, size: tuple[int, int]) -> Luma:
    """What lies in the quad (4, 2), stretched to `size` (width, height)."""
    width, height = size
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    shape = cv2.getPerspectiveTransform(quad.astype(np.float32), target)
    return np.asarray(
        cv2.warpPerspective(luma, shape, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), dtype=np.uint8
    )


def jittered(quad: Quad, rng: Generator, *, loose: float = 1.0) -> Quad:
    """The quad as a detector might give it: other margins, a leftover tilt and shear, each corner a little off."""
    origin, across, down = quad[0], quad[1] - quad[0], quad[3] - quad[0]
    width, height = float(np.linalg.norm(across)), float(np.linalg.norm(down))
    left, right = rng.normal(0.022, 0.028 * loose, 2)
    top, bottom = rng.normal(0.065, 0.075 * loose, 2)
    unit = np.array([[-left, -top], [1 + right, -top], [1 + right, 1 + bottom], [-left, 1 + bottom]], dtype=np.float32)
    unit += rng.normal(0, 1, (4, 2)).astype(np.float32) * np.array([0.006, 0.025], dtype=np.float32) * loose
    tilt = np.tan(np.deg2rad(rng.normal(0, 2.2 * loose))) * width / max(1.0, float(height))
    unit[:, 1] += (unit[:, 0] - 0.5) * tilt
    unit[:, 0] += (unit[:, 1] - 0.5) * rng.normal(0, 0.025 * loose)
    affine = origin + unit[:, :1] * across + unit[:, 1:] * down
    bend = (quad[2] - quad[1] - quad[3] + quad[0]) * (unit[:, :1] * unit[:, 1:])
    return np.asarray(affine + bend, dtype=np.float32)


def seen(luma: Luma, quad: Quad, rng: Generator, *, harsh: float) -> Luma:
    """The quad photographed from some distance and stretched to the reader's input, brightness evened out."""
    width = int(np.exp(rng.uniform(np.log(50), np.log(230))))
    tall = float(np.linalg.norm(quad[3] - quad[0])) / max(1.0, float(np.linalg.norm(quad[1] - quad[0])))
    height = int(np.clip(width * tall, 10, 120))
    if width < 60 and height < 14:
        width, height = int(width * 1.3), int(height * 1.3)
    oversize = 2 if np.linalg.norm(quad[1] - quad[0]) > 1.5 * width else 1
    small = cut(luma, quad, (width * oversize, height * oversize))
    if oversize == 2:
        small = np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    small = degrade.camera(small, rng, harsh=harsh * float(np.clip(width / 140, 0.3, 1.0)))
    how = cv2.INTER_AREA if width > CROP_WIDTH_PX else cv2.INTER_LINEAR
    return normalised(np.asarray(cv2.resize(small, (CROP_WIDTH_PX, CROP_HEIGHT_PX), interpolation=how), dtype=np.uint8))


def mounted(drawn: Luma, rng: Generator, around: Luma | None) -> tuple[Luma, Quad]:
    """The drawn plate in a holder on some background; returns the picture and the plate's quad in it."""
    height, width = drawn.shape
    pad = int(height * 0.45)
    if around is None:
        back = np.full((height + 2 * pad, width + 2 * pad), rng.uniform(5, 230), dtype=np.uint8)
    else:
        back = np.asarray(cv2.resize(around, (width + 2 * pad, height + 2 * pad)), dtype=np.uint8).copy()
    if rng.random() < 0.5:
        rim = int(rng.integers(2, 14))
        lower = rim + int(rng.integers(0, 14)) if rng.random() < 0.5 else rim
        back[pad - rim : pad + height + lower, pad - rim : pad + width + rim] = int(
            rng.uniform(5, 90) if rng.random() < 0.75 else rng.uniform(90, 250)
        )
    back[pad : pad + height, pad : pad + width] = drawn
    quad = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32) + pad
    return back, np.asarray(quad, dtype=np.float32)


def swapped(real: RealPlate, rng: Generator) -> RealPlate:
    """The same photograph with its digits exchanged between their boxes, which makes a new text."""
    digits = [i for i, (symbol, _) in enumerate(real.boxes) if symbol.isdigit()]
    if len(digits) < 2:
        return real
    luma, boxes = real.luma.copy(), list(real.boxes)
    for place in digits:
        source = digits[int(rng.integers(len(digits)))] if rng.random() < 0.75 else place
        _copy(real.luma, luma, real.boxes[source][1], real.boxes[place][1])
        boxes[place] = (real.boxes[source][0], real.boxes[place][1])
    kept = iter(symbol for symbol, _ in boxes)
    symbols = "".join(c if c == BAR else next(kept) for c in real.symbols)
    return RealPlate(luma=luma, quad=real.quad, symbols=symbols, boxes=tuple(boxes))


def _copy(
    source: Luma, target: Luma, origin: tuple[float, float, float, float], place: tuple[float, float, float, float]
) -> None:
    a, b = [round(v) for v in origin], [round(v) for v in place]
    patch = source[max(0, a[1]) : a[3] + 1, max(0, a[0]) : a[2] + 1]
    x0, y0, x1, y1 = max(0, b[0]), max(0, b[1]), min(target.shape[1], b[2] + 1), min(target.shape[0], b[3] + 1)
    if patch.size == 0 or x1 - x0 < 2 or y1 - y0 < 2:
        return
    target[y0:y1, x0:x1] = cv2.resize(patch, (x1 - x0, y1 - y0))


@dataclass(slots=True)
class CropSource:
    """An endless stream of crops, drawn and real in a fixed proportion, from one seeded generator."""

    rng: Generator
    real: Sequence[RealPlate] = ()
    backgrounds: Sequence[Luma] = ()
    real_share: float = 0.32
    pool: list[plate.DrawnPlate] = field(default_factory=list)

    def next(self) -> Crop:
        """One crop."""
        if self.real and self.rng.random() < self.real_share:
            return self._real()
        return self._drawn()

    def _real(self) -> Crop:
        rng = self.rng
        chosen = self.real[int(rng.integers(len(self.real)))]
        if chosen.boxes and rng.random() < 0.75:
            chosen = swapped(chosen, rng)
        return Crop(luma=seen(chosen.luma, jittered(chosen.quad, rng), rng, harsh=0.45), symbols=chosen.symbols)

    def _drawn(self) -> Crop:
        rng = self.rng
        if len(self.pool) < POOL or rng.random() < REDRAW_SHARE:
            fresh = plate.draw(formats.any_label(rng), rng)
            if len(self.pool) < POOL:
                self.pool.append(fresh)
            else:
                self.pool[int(rng.integers(POOL))] = fresh
        drawn = self.pool[int(rng.integers(len(self.pool)))]
        around = self.backgrounds[int(rng.integers(len(self.backgrounds)))] if self.backgrounds else None
        luma, quad = mounted(drawn.luma, rng, around)
        return Crop(luma=seen(luma, jittered(quad, rng), rng, harsh=0.9), symbols=drawn.label.symbols)
