"""What a codec does to a picture: JPEG for real, and H.264 as its blocks, its rounding and its smoothing.

The effects are like those of `degrade`: a grey picture, a generator and `harsh` in, a picture of the same size out.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Luma = NDArray[np.uint8]
Field = NDArray[np.float32]

FULL_CONTRAST = 40.0  # standard deviation, in grey levels, of a well lit picture
_N = np.arange(8, dtype=np.float32)
DCT = np.asarray(np.cos((2 * _N[None, :] + 1) * _N[:, None] * np.pi / 16) / 2, dtype=np.float32)
DCT[0] /= np.sqrt(2.0)


def compress(luma: Luma, rng: Generator, harsh: float) -> Luma:
    """Through JPEG and back."""
    quality = int(rng.integers(int(85 - 60 * min(1.0, 1.6 * harsh)), 95))
    ok, coded = cv2.imencode(".jpg", luma, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), dtype=np.uint8) if ok else luma


def video(luma: Luma, rng: Generator, harsh: float) -> Luma:
    """As H.264 or H.265 leave it: what a soft prediction lacks, cut to 8 x 8 waves, rounded, and its seams smoothed.

    The step follows H.264's 0.625 * 2 ** (QP / 6), with the wider dead zone of frames that are predicted.
    """
    height, width = luma.shape
    step = 0.625 * 2 ** (rng.uniform(20, 26 + 12 * min(1.0, harsh)) / 6)
    left, top = (int(v) for v in rng.integers(0, 8, 2))
    sides = (top, -(height + top) % 8, left, -(width + left) % 8)
    whole = np.asarray(cv2.copyMakeBorder(luma, *sides, cv2.BORDER_REPLICATE), dtype=np.float32)
    inter = rng.random() < 0.6
    guess = cv2.blur(whole, (3, 3)) if inter else np.full_like(whole, 128)
    levels = _waves(whole - guess, DCT) * np.float32(1 / step)
    dead = np.float32(1 / 6 if inter else 1 / 3)
    kept = np.trunc(levels + np.copysign(dead, levels)) * np.float32(step)
    coded = guess + _waves(kept.astype(np.float32), np.ascontiguousarray(DCT.T))
    limit = 0.18 * step
    _deblock(coded, limit)
    _deblock(coded.T, limit)
    inside = coded[top : top + height, left : left + width]
    return np.asarray(np.clip(inside, 0, 255), dtype=np.uint8)


def _waves(picture: Field, base: Field) -> Field:
    """Each 8 x 8 block B of the picture as base @ B @ base.T; plain DCT with DCT, and back with its transpose."""
    height, width = picture.shape
    across = np.ascontiguousarray(base.T)
    rows = cv2.gemm(picture.reshape(-1, 8), across, 1.0, np.empty(0, np.float32), 0.0)
    turned = np.asarray(cv2.transpose(rows.reshape(height, width)))
    columns = cv2.gemm(turned.reshape(-1, 8), across, 1.0, np.empty(0, np.float32), 0.0)
    return np.asarray(cv2.transpose(columns.reshape(width, height)), dtype=np.float32)


def _deblock(picture: Field, limit: float) -> None:
    """Draws the columns either side of each block's seam together, in place, by no more than `limit`."""
    if picture.shape[1] < 16:
        return
    before, after = picture[:, 7:-1:8], picture[:, 8::8]
    shift = np.clip((after - before) * np.float32(0.35), -limit, limit)
    before += shift
    after -= shift
