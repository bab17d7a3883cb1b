"""Frames of the drawn street: what the camera of the own car sees at one moment of a drive.

Decided here: a frame is a pure function of drive, size and time. 1280x720 costs under 12 ms on one core.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from simulator.cars import CarPainter, Lens
from simulator.scenery import Scenery
from simulator.world import Drive
from vedette.errors import Refused

MIN_WIDTH, MAX_WIDTH = 320, 1920


class Renderer:
    """Draws one drive at one size."""

    def __init__(self, drive: Drive, *, width: int = 1280, height: int = 720) -> None:
        """`Refused` for sizes that are odd, smaller than 320x180 or larger than 1920x1080."""
        if width % 2 or height % 2 or not (MIN_WIDTH <= width <= MAX_WIDTH and 180 <= height <= 1080):
            raise Refused(f"the street cannot be drawn at {width}x{height}: even sizes from 320x180 to 1920x1080 only")
        self._drive = drive
        self._scenery = Scenery(width, height, drive.seed)
        self._lens = Lens(
            focal_px=self._scenery.focal_px, centre_x=self._scenery.centre_x, horizon_y=self._scenery.horizon_y
        )
        self._frame = np.empty((height, width, 3), dtype=np.uint8)

    def bgr(self, at_us: int) -> NDArray[np.uint8]:
        """The picture at that time, BGR uint8 (height, width, 3); the next call draws into the same array."""
        self._scenery.draw(self._frame, self._drive.distance_m(at_us))
        painter = CarPainter(self._frame, self._lens)
        for pose in self._drive.poses(at_us):
            painter.draw(pose)
        return self._frame

    def i420(self, at_us: int) -> NDArray[np.uint8]:
        """The picture as I420 (BT.601, limited range), uint8 (height * 3 // 2, width), a new array each time."""
        return np.asarray(cv2.cvtColor(self.bgr(at_us), cv2.COLOR_BGR2YUV_I420), dtype=np.uint8)
