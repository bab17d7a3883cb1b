"""What a camera, the weather and a codec do to a plate: blur, noise, shadow, dirt, glare, compression.

Every function takes and returns a grey picture (height, width) uint8 of the same size.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Luma = NDArray[np.uint8]


def camera(luma: Luma, rng: Generator, *, harsh: float = 1.0) -> Luma:
    """A random mixture of everything; `harsh` 0 leaves the picture nearly alone, 1 is a bad day."""
    picture = light(luma, rng) if rng.random() < 0.7 else luma
    if rng.random() < 0.12 * harsh:
        picture = dirt(picture, rng)
    if rng.random() < 0.75:
        picture = blur(picture, rng, sigma_px=rng.uniform(0.2, 0.3 + 1.1 * harsh))
    if rng.random() < 0.2 * harsh:
        picture = motion(picture, rng)
    if rng.random() < 0.7:
        picture = noise(picture, rng, sigma=rng.uniform(1, 3 + 12 * harsh))
    if rng.random() < 0.6:
        picture = compress(picture, int(rng.integers(25, 95)))
    return picture


def light(luma: Luma, rng: Generator) -> Luma:
    """Exposure, gamma, a shadow edge and glare."""
    height, width = luma.shape
    curve = (np.arange(256, dtype=np.float32) / 255.0) ** rng.uniform(0.6, 1.5)
    picture = (curve * rng.uniform(0.4, 1.2) + rng.uniform(-0.06, 0.2)).astype(np.float32)[luma]
    if rng.random() < 0.3:
        slope, offset = rng.uniform(-1.5, 1.5), rng.uniform(0.1, 0.9)
        x = np.linspace(0, 1, width, dtype=np.float32)[None, :]
        y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
        edge = np.clip((x + slope * (y - 0.5) - offset) * rng.uniform(2, 15) + 0.5, 0, 1)
        picture *= 1 - edge * rng.uniform(0.2, 0.65)
    if rng.random() < 0.12:
        x = (np.arange(width, dtype=np.float32)[None, :] / width - rng.random()) / rng.uniform(0.08, 0.4)
        y = (np.arange(height, dtype=np.float32)[:, None] / height - rng.random()) / rng.uniform(0.2, 0.8)
        picture = picture + np.exp(-(x * x + y * y)) * rng.uniform(0.2, 0.8)
    return np.asarray(np.clip(picture * 255.0, 0, 255), dtype=np.uint8)


def dirt(luma: Luma, rng: Generator) -> Luma:
    """Smears and specks of one grey, and now and then a thin thing in front of the plate."""
    height, width = luma.shape
    picture = luma.astype(np.float32)
    coarse = rng.random((max(2, height // 8), max(2, width // 8))).astype(np.float32)
    veil = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    alpha = np.clip((veil - rng.uniform(0.55, 0.8)) * 3, 0, rng.uniform(0.3, 0.85))
    picture += alpha * (rng.uniform(40, 200) - picture)
    if rng.random() < 0.3:
        ends = rng.uniform((0, 0), (width, height), size=(2, 2)).astype(int)
        cv2.line(picture, tuple(map(int, ends[0])), tuple(map(int, ends[1])), float(rng.uniform(0, 255)), 1)
    return np.asarray(np.clip(picture, 0, 255), dtype=np.uint8)


def blur(luma: Luma, rng: Generator, *, sigma_px: float) -> Luma:
    """Defocus, now and then followed by the sharpening that telephones do."""
    soft = cv2.GaussianBlur(luma, (0, 0), sigma_px)
    if rng.random() < 0.2:
        return np.asarray(cv2.addWeighted(luma, 1.6, soft, -0.6, 0), dtype=np.uint8)
    return np.asarray(soft, dtype=np.uint8)


def motion(luma: Luma, rng: Generator) -> Luma:
    """A straight smear of a few pixels in any direction, mostly sideways."""
    length = int(rng.integers(3, 8))
    kernel = np.zeros((length, length), dtype=np.float32)
    kernel[length // 2] = 1.0 / length
    angle = rng.normal(0, 15) if rng.random() < 0.7 else rng.uniform(0, 180)
    turn = cv2.getRotationMatrix2D(((length - 1) / 2, (length - 1) / 2), angle, 1.0)
    turned = np.asarray(cv2.warpAffine(kernel, turn, (length, length)), dtype=np.float32)
    return np.asarray(cv2.filter2D(luma, -1, turned / max(1e-6, float(turned.sum()))), dtype=np.uint8)


def noise(luma: Luma, rng: Generator, *, sigma: float) -> Luma:
    """Sensor noise, sometimes in coarser grains."""
    height, width = luma.shape
    if rng.random() < 0.3:
        grain = rng.standard_normal((height // 2 + 1, width // 2 + 1), dtype=np.float32)
        grain = np.asarray(cv2.resize(grain, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)
    else:
        grain = rng.standard_normal((height, width), dtype=np.float32)
    return np.asarray(np.clip(luma + grain * sigma, 0, 255), dtype=np.uint8)


def compress(luma: Luma, quality: int) -> Luma:
    """Through JPEG and back."""
    ok, coded = cv2.imencode(".jpg", luma, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        return luma
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)
