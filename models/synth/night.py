"""Night in a street picture: darkness in which the plate throws the light back, and lamps that blind."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from models.synth.placing import Luma, Quad, bounds


def darkened(luma: Luma, bright: Sequence[Quad], rng: Generator) -> Luma:
    """The picture at night; the quads in it keep most of their light."""
    lit = np.zeros(luma.shape, dtype=np.uint8)
    for quad in bright:
        corners = np.round((quad - 0.5) * 16).astype(np.int32)
        cv2.fillConvexPoly(lit, corners, int(rng.uniform(120, 255)), cv2.LINE_AA, 4)
    dark, clear = rng.uniform(0.08, 0.4), rng.uniform(0.8, 1.5)
    gain = dark + (clear - dark) * (lit.astype(np.float32) / 255)
    return np.asarray(np.clip(luma * gain, 0, 255), dtype=np.uint8)


def lamps(luma: Luma, beside: Quad, rng: Generator) -> Luma:
    """One or two lit lamps left and right of the quad; their glow may reach over it but hides little of it."""
    x0, y0, x1, y1 = bounds(beside)
    width = max(8.0, x1 - x0)
    away, size = width * rng.uniform(0.9, 2.2), width * rng.uniform(0.1, 0.4)
    level = (y0 + y1) / 2 - width * rng.uniform(-0.1, 0.7)
    sides = (-1, 1) if rng.random() < 0.7 else (int(rng.choice([-1, 1])),)
    glow = np.zeros(luma.shape, dtype=np.float32)
    for side in sides:
        x, y = (x0 + x1) / 2 + side * away, level + side * width * rng.normal(0, 0.05)
        glow += 400 * _spot(luma.shape, (x, y), size)
        glow += rng.uniform(20, 90) * _spot(luma.shape, (x, y), 2.5 * size)
    return np.asarray(np.clip(luma + glow, 0, 255), dtype=np.uint8)


def _spot(shape: tuple[int, ...], centre: tuple[float, float], sigma: float) -> NDArray[np.float32]:
    across = np.exp(-0.5 * ((np.arange(shape[1], dtype=np.float32) - centre[0]) / sigma) ** 2)
    down = np.exp(-0.5 * ((np.arange(shape[0], dtype=np.float32) - centre[1]) / sigma) ** 2)
    return np.asarray(down[:, None] * across[None, :], dtype=np.float32)
