"""A video looked at as the service looks at a camera: every picture for plates, tracks, reading where it is worth it.

Decides how a file's pictures and times become those of a camera. What is worth reading is decided in `attention`, what
counts in `reads`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from edge.camera.port import SmallFrame
from edge.reader.clips import ClipFrame
from edge.reader.eyes import Eyes
from edge.reader.reads import Reads, Taken

NO_COLOUR = 128


@dataclass(frozen=True, kw_only=True, slots=True)
class Looked:
    """What one picture of a video brought, and how long that took, without its decoding."""

    number: int
    taken: Taken
    ms: float


def look_through(frames: Iterable[ClipFrame], eyes: Eyes, reads: Reads) -> Iterator[Looked]:
    """Each picture of `frames` in turn; whoever calls ends the tracks of `reads` afterwards."""
    for one in frames:
        began = time.perf_counter()
        frame = small_frame(one)
        taken = reads.take(frame, eyes.detect(frame.luma), partial(eyes.read, frame.luma))
        yield Looked(number=one.number, taken=taken, ms=1000 * (time.perf_counter() - began))


def small_frame(one: ClipFrame) -> SmallFrame:
    """A picture as a camera gives it: even sides (a last row or column is doubled) and no colour."""
    luma = one.luma
    height, width = luma.shape
    if height % 2 or width % 2:
        luma = np.asarray(cv2.copyMakeBorder(luma, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE), dtype=np.uint8)
        height, width = luma.shape
    i420 = np.empty((height * 3 // 2, width), dtype=np.uint8)
    i420[:height] = luma
    i420[height:] = NO_COLOUR
    return SmallFrame(i420=i420, index=one.number, utc_us=one.at_us, mono_us=one.at_us, media_us=one.at_us)
