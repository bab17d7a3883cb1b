"""How far the whole picture moved since the last one, so that a shaken camera does not tear tracks apart.

Decided here: one shift for the whole picture, by phase correlation of two small grey copies; none where they do not
agree clearly. A shift is a hint: the tracker takes it only where it explains the plates better than no shift does.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

LONG_SIDE_PX = 160
LEAST_SIDE_PX = 16
LEAST_RESPONSE = 0.15
LEAST_SHIFT_PX = 1.0
LARGEST_SHIFT = 0.25
NO_SHIFT = (0.0, 0.0)

Luma = NDArray[np.uint8]
Shift = tuple[float, float]


class CameraMotion:
    """Compares each picture with the one before it."""

    def __init__(self) -> None:
        self._last: NDArray[np.float32] | None = None
        self._window: NDArray[np.float32] | None = None

    def shift(self, luma: Luma) -> Shift:
        """By how many pixels what stands still moved right and down since the last picture; (0, 0) if unknown."""
        small = _small(luma)
        last, self._last = self._last, small
        height, width = small.shape
        if last is None or last.shape != small.shape or min(small.shape) < LEAST_SIDE_PX:
            return NO_SHIFT
        if self._window is None or self._window.shape != small.shape:
            self._window = np.asarray(cv2.createHanningWindow((width, height), cv2.CV_32F), dtype=np.float32)
        (right, down), response = cv2.phaseCorrelate(last, small, self._window)
        near = abs(right) <= LARGEST_SHIFT * width and abs(down) <= LARGEST_SHIFT * height
        if not (near and response >= LEAST_RESPONSE):
            return NO_SHIFT
        shift = right * luma.shape[1] / width, down * luma.shape[0] / height
        return shift if max(map(abs, shift)) >= LEAST_SHIFT_PX else NO_SHIFT


def _small(luma: Luma) -> NDArray[np.float32]:
    """A copy whose longer side is `LONG_SIDE_PX`; every few rows and columns of a large picture are enough for it."""
    height, width = luma.shape
    step = max(1.0, max(height, width) / LONG_SIDE_PX)
    skip = max(1, int(step / 2))
    size = (max(1, round(width / step)), max(1, round(height / step)))
    return np.asarray(cv2.resize(luma[::skip, ::skip], size, interpolation=cv2.INTER_AREA), dtype=np.float32)
