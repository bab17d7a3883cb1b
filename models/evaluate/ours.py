"""What our own models see, in the form in which every program is scored.

It is the path of `vedette read`, and beside it the reader alone on each labelled plate.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.reader import pictures
from edge.reader.commands import GATES
from edge.reader.gate import Reason, Verdict, judge
from edge.reader.look import Look
from edge.reader.ocr import PlateText
from edge.reader.pictures import Unreadable, read_picture
from models.evaluate.manifest import Picture, Plate
from models.evaluate.seen import Guess, Read, Seen
from vedette.errors import Refused

Luma = NDArray[np.uint8]


class Reads(Protocol):
    """The second stage alone; see `edge.reader.ocr.PlateReader`."""

    def read(self, luma: Luma, corners_px: Sequence[tuple[float, float]], /) -> PlateText | None:
        """The plate between four corners."""


class Looks(Protocol):
    """What is measured; see `edge.reader.look.Looker`."""

    @property
    def reader(self) -> Reads:
        """The second stage."""

    def look(self, luma: Luma, /) -> list[Look]:
        """Every plate of a picture."""

    def look_at_crop(self, luma: Luma, /) -> list[Look]:
        """The one plate of a crop."""


def opened(picture: Picture) -> pictures.Picture:
    """The picture in grey, as `read_picture` gives it; `Refused` names the file and what is wrong."""
    try:
        return read_picture(picture.path)
    except Unreadable as error:
        raise Refused(f"{picture.path}: {error}") from error


def luma_of(picture: Picture) -> tuple[Luma, float]:
    """The picture in grey, and how many pixels of the file one of its pixels spans; errors as in `opened`."""
    read = opened(picture)
    return read.luma, float(read.reduction)


def see(looker: Looks, picture: Picture) -> tuple[Seen, str]:
    """One picture through our models, and what is wrong with its file; the time is that of the look, without decoding.

    Of a file that cannot be read nothing is seen.
    """
    try:
        read = opened(picture)
    except Refused as error:
        return Seen(file=picture.name, reads=(), on_box=(None,) * len(picture.plates)), str(error)
    seen = see_luma(looker, picture, read.luma, float(read.reduction))
    return seen, f"{picture.path}: {read.trouble}" if read.trouble else ""


def see_luma(looker: Looks, picture: Picture, luma: Luma, pixel: float) -> Seen:
    """As `see`, for a picture that is in memory: `pixel` pixels of the file are one of `luma`."""
    began = time.perf_counter()
    looks = looker.look(luma) if picture.kind == "scene" else looker.look_at_crop(luma)
    ms = 1000 * (time.perf_counter() - began)
    on_box = None
    if picture.kind == "scene" and any(plate.text is not None for plate in picture.plates):
        on_box = tuple(_on_box(looker, luma, plate, pixel) for plate in picture.plates)
    return Seen(
        file=picture.name,
        reads=tuple(read_of(look, pixel) for look in looks),
        on_box=on_box,
        ms=ms,
        memory_mb=peak_memory_mb(),
    )


def _on_box(looker: Looks, luma: Luma, plate: Plate, pixel: float) -> Read | None:
    if plate.text is None or plate.quad is None:
        return None
    read = looker.reader.read(luma, tuple((x / pixel, y / pixel) for x, y in plate.quad))
    if read is None:
        return None
    return Read(text=read.text, confidence_permille=read.confidence_permille, shown=True, box_px=None)


def read_of(look: Look, pixel: float = 1.0) -> Read:
    """One look in the form that is scored, in pixels of the file; shown is what `vedette read` shows."""
    x0, y0, x1, y1 = look.detection.box_px
    plate, judged = look.plate, judge(look, GATES)
    return Read(
        text=plate.text if plate is not None else "",
        confidence_permille=plate.confidence_permille if plate is not None else 0,
        shown=judged.verdict is Verdict.READ or judged.reason is Reason.COVERED,
        box_px=(x0 * pixel, y0 * pixel, x1 * pixel, y1 * pixel),
        corners_px=tuple((x * pixel, y * pixel) for x, y in look.detection.corners_px),
        alternatives=tuple(
            Guess(text=one.text, confidence_permille=one.confidence_permille)
            for one in (plate.alternatives if plate is not None else ())
        ),
        reason=judged.reason.value if judged.reason is not None else None,
    )


def smaller(luma: Luma, size: float) -> Luma:
    """The picture at a fraction of its size, as from further away."""
    if size >= 1.0:
        return luma
    height, width = luma.shape
    target = (max(8, round(width * size)), max(8, round(height * size)))
    return np.asarray(cv2.resize(luma, target, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def peak_memory_mb() -> float:
    """The most memory that this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
