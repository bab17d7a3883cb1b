"""What the plate reader is trained on: crops of 48 x 160, drawn or cut from a photograph, each with its symbols.

A crop is the plate straightened by its corners with a little room around, stretched to the reader's input; here the
corners are jittered as a detector would, and the crop passes through a camera at the plate's own small size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from edge.reader.alphabet import BAR, HIDDEN
from models.synth import degrade, formats, plate
from models.synth.lettering import Faces, Place

CROP_HEIGHT_PX = 48
CROP_WIDTH_PX = 160
POOL = 3000
REDRAW_SHARE = 0.2
EMPTY_SHARE = 0.025
TWO_ROW_SHARE = 0.07
HIDDEN_SHARE = 0.13
# Of plates with hidden characters: two hidden, those side by side, and hidden on the photograph, not on the plate.
PAIR_SHARE, BESIDE_SHARE, PAINTED_SHARE = 0.65, 0.4, 0.5
# A crop whose corners were guessed badly.
TILTED_SHARE, TILTED = 0.12, 2.2
# A row of a two-line plate as the device cuts it, in fractions of the plate's height.
ROWS = ((0.0, 0.53), (0.47, 1.0))
Luma = NDArray[np.uint8]
Quad = NDArray[np.float32]
# A rectangle that hides a character: x0, y0, x1, y1.
Cover = tuple[float, float, float, float]


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


def seen(luma: Luma, quad: Quad, rng: Generator, *, harsh: float, covers: Sequence[Cover] = ()) -> Luma:
    """The quad photographed from some distance and stretched to the reader's input, brightness evened out.

    `covers` are painted over the photograph, as who publishes one hides characters: sharp on a blurred plate.
    """
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
    _paint(small, quad, covers)
    how = cv2.INTER_AREA if width > CROP_WIDTH_PX else cv2.INTER_LINEAR
    return normalised(np.asarray(cv2.resize(small, (CROP_WIDTH_PX, CROP_HEIGHT_PX), interpolation=how), dtype=np.uint8))


def _paint(small: Luma, quad: Quad, covers: Sequence[Cover]) -> None:
    height, width = small.shape
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    shape = cv2.getPerspectiveTransform(quad.astype(np.float32), target)
    for x0, y0, x1, y1 in covers:
        corners = np.array([[[x0, y0], [x1, y0], [x1, y1], [x0, y1]]], dtype=np.float32)
        placed = cv2.perspectiveTransform(corners, shape)[0].mean(axis=0)
        half = np.abs(cv2.perspectiveTransform(corners, shape)[0] - placed).mean(axis=0)
        left, top = (max(0, int(v)) for v in placed - half)
        right, bottom = (max(0, int(v)) for v in placed + half + 1)
        part = small[top:bottom, left:right]
        if part.size:
            part[:] = int(part.mean())


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


def hidden(places: Sequence[Place], rng: Generator) -> tuple[list[Cover], list[str]]:
    """One or two characters to be covered: the rectangles that do it, and the symbols with those as hidden."""
    symbols = [symbol for symbol, _ in places]
    choice = [i for i, symbol in enumerate(symbols) if symbol != BAR]
    first = int(rng.integers(max(1, len(choice))))
    beside = rng.random() < BESIDE_SHARE
    pair = choice[first : first + 2] if beside else [choice[int(i)] for i in rng.permutation(len(choice))]
    covers = []
    for place in pair[: 2 if rng.random() < PAIR_SHARE else 1]:
        x0, y0, x1, y1 = places[int(place)][1]
        room = 0.1 * (y1 - y0)
        left, right, top, bottom = rng.uniform((0, 0, -0.1, -0.1), 1.0) * room
        covers.append((x0 - left, y0 - top, x1 + right, y1 + bottom))
        symbols[int(place)] = HIDDEN
    return covers, symbols


def covered(luma: Luma, covers: Sequence[Cover], rng: Generator) -> Luma:
    """The plate with each rectangle filled with one grey, as by a sticker or dirt."""
    luma = luma.copy()
    for x0, y0, x1, y1 in covers:
        part = luma[max(0, int(y0)) : int(y1) + 1, max(0, int(x0)) : int(x1) + 1]
        if part.size:
            grey = float(part.mean()) if rng.random() < 0.7 else rng.uniform(20, 235)
            part[:] = np.clip(grey + rng.normal(0, 2, part.shape), 0, 255).astype(np.uint8)
    return luma


def row_of(quad: Quad, row: int, rng: Generator) -> Quad:
    """The quad (4, 2) of one row of a two-line plate's quad."""
    top, bottom = (edge + rng.normal(0, 0.02) for edge in ROWS[row])
    down_left, down_right = quad[3] - quad[0], quad[2] - quad[1]
    return np.array(
        [quad[0] + top * down_left, quad[1] + top * down_right, quad[1] + bottom * down_right,
         quad[0] + bottom * down_left], dtype=np.float32,
    )  # fmt: skip


@dataclass(slots=True)
class CropSource:
    """An endless stream of crops, drawn and real in a fixed proportion, from one seeded generator."""

    rng: Generator
    real: Sequence[RealPlate] = ()
    backgrounds: Sequence[Luma] = ()
    real_share: float = 0.32
    label: Callable[[Generator], formats.PlateLabel] = formats.any_label
    faces: Faces | None = None
    harsh: float = 0.9
    pool: list[plate.DrawnPlate] = field(default_factory=list)

    def next(self) -> Crop:
        """One crop."""
        if self.backgrounds and self.rng.random() < EMPTY_SHARE:
            return self.empty()
        return self.plate()

    def plate(self) -> Crop:
        """One crop of a plate, or of one row of a plate of two lines."""
        if self.real and self.rng.random() < self.real_share:
            return self._real()
        return self._drawn()

    def empty(self) -> Crop:
        """A piece of street."""
        rng = self.rng
        around = self.backgrounds[int(rng.integers(len(self.backgrounds)))]
        corners = np.array([[0, 0], [around.shape[1], 0], around.shape[::-1], [0, around.shape[0]]], dtype=np.float32)
        return Crop(luma=seen(around, corners, rng, harsh=self.harsh), symbols="")

    def seen(self, luma: Luma, quad: Quad, loose: float | None = None) -> Luma:
        """What lies in the quad (4, 2), cut as by a detector and through a camera."""
        cut_so = jittered(quad, self.rng, loose=self._loose() if loose is None else loose)
        return seen(luma, cut_so, self.rng, harsh=self.harsh)

    def whole_of_two_lines(self) -> tuple[Luma, Quad]:
        """A picture with a drawn plate of two lines, and the plate's quad (4, 2)."""
        return mounted(
            plate.draw(self.label(self.rng), self.rng, rows=2, faces=self.faces).luma, self.rng, self._around()
        )

    def _real(self) -> Crop:
        rng = self.rng
        chosen = self.real[int(rng.integers(len(self.real)))]
        if chosen.boxes and rng.random() < 0.75:
            chosen = swapped(chosen, rng)
        luma, symbols = chosen.luma, chosen.symbols
        covers: list[Cover] = []
        if chosen.boxes and rng.random() < HIDDEN_SHARE / 2:
            covers, left = hidden(chosen.boxes, rng)
            kept = iter(left)
            symbols = "".join(c if c == BAR else next(kept) for c in symbols)
            if rng.random() > PAINTED_SHARE:
                luma, covers = covered(luma, covers, rng), []
        quad = jittered(chosen.quad, rng, loose=self._loose())
        return Crop(luma=seen(luma, quad, rng, harsh=0.45, covers=covers), symbols=symbols)

    def _loose(self) -> float:
        return TILTED if self.rng.random() < TILTED_SHARE else 1.0

    def _drawn(self) -> Crop:
        rng = self.rng
        if len(self.pool) < POOL or rng.random() < REDRAW_SHARE:
            self._redraw()
        drawn = self.pool[int(rng.integers(len(self.pool)))]
        row = int(rng.integers(drawn.rows))
        luma, symbols = drawn.luma, [symbol for symbol, _ in drawn.lines[row]]
        covers: list[Cover] = []
        if rng.random() < HIDDEN_SHARE:
            covers, symbols = hidden(drawn.lines[row], rng)
            if rng.random() > PAINTED_SHARE:
                luma, covers = covered(luma, covers, rng), []
        luma, quad = mounted(luma, rng, self._around())
        pad = float(quad[0, 0])
        covers = [(x0 + pad, y0 + pad, x1 + pad, y1 + pad) for x0, y0, x1, y1 in covers]
        if drawn.rows == 2:
            quad = jittered(row_of(quad, row, rng), rng, loose=0.5)
        else:
            quad = jittered(quad, rng, loose=self._loose())
        return Crop(luma=seen(luma, quad, rng, harsh=self.harsh, covers=covers), symbols="".join(symbols))

    def _around(self) -> Luma | None:
        return self.backgrounds[int(self.rng.integers(len(self.backgrounds)))] if self.backgrounds else None

    def _redraw(self) -> None:
        rng = self.rng
        rows = 2 if rng.random() < TWO_ROW_SHARE else 1
        fresh = plate.draw(self.label(rng), rng, rows=rows, faces=self.faces)
        if len(self.pool) < POOL:
            self.pool.append(fresh)
        else:
            self.pool[int(rng.integers(POOL))] = fresh
