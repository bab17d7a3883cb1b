"""Drawn plates that nobody trained on: another seed and typefaces that only measure, seen as a camera would see them.

Decides the share of countries (as training has them, so that the reader is asked what it was made for), the distance,
the tilt and how bad the day is.  How plates look is in `models.synth`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from edge.reader.grammar import reading_of
from models.evaluate.seen import Corners
from models.evaluate.texts import bare
from models.synth import crops, degrade, fonts, formats, plate
from models.synth.lettering import Faces
from vedette.errors import NotFound

SEED = 90_001
MIN_CHARACTERS = 5
TWO_ROWS_SHARE = 0.06
NARROWEST_PX, WIDEST_PX = 44.0, 240.0
TILT_DEG = 5.0
# Room around the plate in plate widths.
ROOM = 0.3

Luma = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawnPicture:
    """A grey picture (height, width) of one plate, its corners in pixels, its text and what it was drawn with.

    `shape` is its text with letters as A and digits as 9; `face` and `arabic_face` name its typefaces, the latter is
    empty where nothing Arabic stands on it.
    """

    luma: Luma
    corners: Corners
    text: str
    region: str
    shape: str
    face: str
    arabic_face: str
    rows: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Lettering:
    """The typefaces to draw with, one of each list for a plate."""

    latin: tuple[Path, ...]
    arabic: tuple[Path, ...]


def held_out_lettering(named: Sequence[Path] = ()) -> Lettering:
    """The faces that are never trained with; `named` files take the place of the Latin ones.

    Raises NotFound where a script has none on this machine.
    """
    latin = tuple(named) or fonts.held_out_faces("plate")
    arabic = fonts.held_out_faces("arabic")
    missing = [str(path) for path in latin if not path.is_file()]
    if missing:
        raise NotFound(f"{missing[0]}: no such typeface")
    if not latin or not arabic:
        raise NotFound("none of the typefaces that only measure is installed; see models/synth/typefaces.py")
    return Lettering(latin=latin, arabic=arabic)


def pictures(count: int, seed: int, lettering: Lettering) -> Iterator[DrawnPicture]:
    """So many drawn plates; the same seed and typefaces give the same pictures."""
    rng = np.random.default_rng(seed)
    made = 0
    while made < count:
        label = formats.any_label(rng)
        reading = reading_of(label.symbols)
        if (
            reading is None
            or len(bare(reading.text)) < MIN_CHARACTERS
            or (label.region == "MA") != (reading.region == "MA")
        ):
            continue
        made += 1
        yield _picture(label, reading.text, lettering, rng)


def _picture(label: formats.PlateLabel, text: str, lettering: Lettering, rng: Generator) -> DrawnPicture:
    latin = lettering.latin[int(rng.integers(len(lettering.latin)))]
    arabic = lettering.arabic[int(rng.integers(len(lettering.arabic)))]
    rows = 2 if rng.random() < TWO_ROWS_SHARE else 1
    drawn = plate.draw(label, rng, rows=rows, faces=Faces(latin=(latin,), arabic=(arabic,), strokes=False))
    luma, quad = photographed(drawn.luma, rng)
    return DrawnPicture(
        luma=luma,
        corners=tuple((float(x), float(y)) for x, y in quad),
        text=text,
        region=label.region,
        shape="".join("9" if c.isdigit() else "A" for c in bare(text)),
        face=_family(latin),
        arabic_face=_family(arabic) if any("\u0600" <= c <= "\u06ff" for c in text) else "",
        rows=drawn.rows,
    )


def _family(face: Path) -> str:
    """The name without what says script and weight in a file's name."""
    return re.sub(r"-(latin|arabic)-\d+-normal$", "", face.stem)


def photographed(flat: Luma, rng: Generator) -> tuple[Luma, NDArray[np.float32]]:
    """A flat plate in its holder before some background, from some distance and side; and its corners (4, 2)."""
    holder, quad = crops.mounted(flat, rng, None)
    width = float(np.exp(rng.uniform(np.log(NARROWEST_PX), np.log(WIDEST_PX))))
    height = width * flat.shape[0] / flat.shape[1]
    placed = _placed(width, height, rng)
    placed += np.float32(ROOM * width) - placed.min(axis=0)
    size = tuple(int(side) for side in np.ceil(placed.max(axis=0) + ROOM * width))
    shrink = min(1.0, 1.6 * width / flat.shape[1])
    small = np.asarray(cv2.resize(holder, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    shape = cv2.getPerspectiveTransform((quad * shrink).astype(np.float32), placed)
    canvas = _background(size[1], size[0], rng)
    warped = cv2.warpPerspective(small, shape, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    cover = cv2.warpPerspective(np.full(small.shape, 255, dtype=np.uint8), shape, size, flags=cv2.INTER_LINEAR)
    mixed = canvas + (warped.astype(np.float32) - canvas) * (cover / 255.0)
    return degrade.camera(mixed.astype(np.uint8), rng, harsh=float(rng.random())), placed


def _placed(width: float, height: float, rng: Generator) -> NDArray[np.float32]:
    unit = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], dtype=np.float64) / 2
    unit[:, 1] *= 1 + unit[:, 0] * rng.normal(0, 0.05)
    unit[:, 0] += unit[:, 1] * rng.normal(0, 0.06)
    angle = np.deg2rad(np.clip(rng.normal(0, TILT_DEG), -15, 15))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray(unit * (width, height) @ turn.T, dtype=np.float32)


def _background(height: int, width: int, rng: Generator) -> NDArray[np.float32]:
    coarse = (rng.uniform(20, 200) + rng.normal(0, 25, (4, 6))).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.float32).clip(0, 255)
