"""What is done to a photograph before it is looked at: its plate kept, painted over or removed, clutter laid around it.

Decides the shares of each.  Clutter never lies on a plate; the camera's view of the street is decided in `scenes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.random import Generator

from models.synth import formats, plate
from models.synth.clutter import ClutterSource, Patch
from models.synth.placing import Box, Luma, Quad, bounds, erased, lay, overlaps, tilted

KEPT_SHARE = 0.42
REMOVED_SHARE = 0.17
REPLACED_SHARE = 0.35
TWO_LINE_SHARE = 0.2
SECOND_SHARE = 0.1
BESIDE_SHARE = 0.22
CLUTTERED_SHARE = 0.3
MOST_PIECES = 4
POOL = 300
REDRAW_SHARE = 0.08


@dataclass(frozen=True, kw_only=True, slots=True)
class Street:
    """A photograph and its one labelled plate; `exact` where the quad (4, 2) fits the plate itself."""

    luma: Luma
    quad: Quad
    exact: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Treated:
    """A street ready to be looked at.

    `anchor` is where its plate is or was, `quads` are the plates to be found, `doubtful` things that can be told from
    plates only where they are seen large.
    """

    luma: Luma
    anchor: Quad
    quads: tuple[Quad, ...]
    doubtful: tuple[Quad, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Laid:
    """A patch of clutter and where it was laid."""

    patch: Patch
    quad: Quad


def drawn_plate(rng: Generator) -> plate.DrawnPlate:
    """A plate of any country, two lines of text where wanted and possible."""
    two = rng.random() < TWO_LINE_SHARE
    drawn = plate.draw(formats.any_label(rng, moroccan_share=0.2), rng, rows=2 if two else 1)
    for _ in range(2 if two and drawn.rows == 1 else 0):
        drawn = plate.draw(formats.any_label(rng, moroccan_share=0.3), rng, rows=2)
        if drawn.rows == 2:
            break
    return drawn


def paint(luma: Luma, drawn: plate.DrawnPlate, quad: Quad, white: float, rng: Generator) -> None:
    """Lays a drawn plate, mostly with a rim, as bright as the street's own white."""
    gain = white / 225.0 * rng.uniform(0.8, 1.2)
    lit = np.clip(drawn.luma * gain + rng.uniform(0, 18), 0, 255).astype(np.uint8)
    rim = int(rng.integers(2, 12)) if rng.random() < 0.45 else 0
    grey = int(rng.uniform(5, 90)) if rng.random() < 0.75 else int(rng.uniform(120, 240))
    framed = np.asarray(cv2.copyMakeBorder(lit, rim, rim, rim, rim, cv2.BORDER_CONSTANT, value=(grey,)), dtype=np.uint8)
    lay(luma, framed, np.full_like(framed, 255), quad, rng, rim=rim)


def _white(street: Street) -> float:
    x0, y0, x1, y1 = bounds(street.quad)
    inside = street.luma[int(max(0, y0)) : int(y1) + 1, int(max(0, x0)) : int(x1) + 1]
    return float(np.percentile(inside, 92)) if inside.size else 200.0


def repainted(street: Street, rng: Generator) -> tuple[Luma, Quad]:
    """The photograph with a drawn plate of any country where its own was."""
    drawn = drawn_plate(rng)
    luma = erased(street.luma, street.quad, rng)
    x0, y0, x1, y1 = bounds(street.quad)
    aspect = drawn.luma.shape[1] / drawn.luma.shape[0] * rng.uniform(0.8, 1.1)
    narrow = 1.0 if aspect > 3.3 else rng.uniform(0.5, 0.95) if aspect > 1.9 else rng.uniform(0.3, 0.8)
    width = (x1 - x0) * rng.uniform(0.8, 1.1) * narrow
    quad = tilted(((x0 + x1) / 2, (y0 + y1) / 2), width, width / aspect, rng)
    paint(luma, drawn, quad, _white(street), rng)
    return luma, quad


def second_plate(luma: Luma, first: Quad, taken: list[Box], white: float, rng: Generator) -> Quad | None:
    """Paints another plate somewhere else and returns its quad; None where there was no room."""
    drawn = drawn_plate(rng)
    wide = float(np.ptp(first[:, 0])) * rng.uniform(0.4, 1.3)
    size = (wide, wide * drawn.luma.shape[0] / drawn.luma.shape[1])
    quad = _free(luma, size, first, taken, rng)
    if quad is not None:
        paint(luma, drawn, quad, white, rng)
    return quad


def _free(luma: Luma, size: tuple[float, float], near: Quad, taken: Sequence[Box], rng: Generator) -> Quad | None:
    """A quad of about that size, wholly inside the picture, mostly not far from `near`, on nothing that is taken."""
    edges = np.array([luma.shape[1], luma.shape[0]])
    around, spread = near.mean(axis=0), 1.8 * float(np.ptp(near[:, 0]))
    for _ in range(4):
        close = rng.random() < 0.65
        centre = around + rng.normal(0, spread, 2) * (1, 0.7) if close else rng.uniform(0, edges)
        quad = tilted((float(centre[0]), float(centre[1])), *size, rng)
        box = bounds(quad)
        inside = box[0] > 0 and box[1] > 0 and box[2] < edges[0] and box[3] < edges[1]
        if inside and not overlaps(box, taken):
            return quad
    return None


def strew(luma: Luma, clutter: ClutterSource, near: Quad, taken: list[Box], rng: Generator) -> list[Laid]:
    """Lays one to four pieces of clutter of about the size of `near`; what they cover is added to `taken`."""
    made = []
    for _ in range(int(rng.integers(1, MOST_PIECES + 1))):
        patch = clutter.next()
        height, width = patch.luma.shape
        wide = float(np.ptp(near[:, 0])) * float(np.exp(rng.uniform(np.log(0.35), np.log(1.8))))
        quad = _free(luma, (wide, wide * height / width), near, taken, rng)
        if quad is not None:
            lay(luma, patch.luma, patch.alpha, quad, rng)
            taken.append(bounds(quad))
            made.append(Laid(patch=patch, quad=quad))
    return made


def beside(luma: Luma, clutter: ClutterSource, first: Quad, taken: list[Box], rng: Generator) -> list[Laid]:
    """Lays one piece of clutter close to the plate: left, right, above or below."""
    patch = clutter.next()
    x0, y0, x1, y1 = bounds(first)
    wide = (x1 - x0) * rng.uniform(0.35, 1.2)
    tall = wide * patch.luma.shape[0] / patch.luma.shape[1]
    gap = (x1 - x0) * rng.uniform(0.03, 0.3) + 6
    side, slip = int(rng.integers(4)), rng.uniform(-0.3, 0.3)
    if side < 2:
        centre = (x0 - gap - wide / 2 if side else x1 + gap + wide / 2, (y0 + y1) / 2 + slip * (y1 - y0))
    else:
        centre = ((x0 + x1) / 2 + slip * (x1 - x0), y0 - gap - tall / 2 if side == 2 else y1 + gap + tall / 2)
    quad = tilted(centre, wide, tall, rng)
    if overlaps(bounds(quad), taken):
        return []
    lay(luma, patch.luma, patch.alpha, quad, rng)
    taken.append(bounds(quad))
    return [Laid(patch=patch, quad=quad)]


def replaced(luma: Luma, clutter: ClutterSource, was: Quad, rng: Generator) -> list[Laid]:
    """Lays a piece of clutter where the removed plate was."""
    patch = clutter.next()
    x0, y0, x1, y1 = bounds(was)
    aspect = patch.luma.shape[1] / patch.luma.shape[0]
    wide = min((x1 - x0) * rng.uniform(0.6, 1.15), 2.5 * (y1 - y0) * aspect)
    quad = tilted(((x0 + x1) / 2, (y0 + y1) / 2), wide, wide / aspect, rng)
    lay(luma, patch.luma, patch.alpha, quad, rng)
    return [Laid(patch=patch, quad=quad)]


@dataclass(slots=True)
class TreatedSource:
    """An endless stream of treated streets; each is used about twelve times, as drawing costs more than warping."""

    rng: Generator
    streets: Sequence[Street]
    clutter: ClutterSource
    pool: list[Treated] = field(default_factory=list)

    def next(self) -> Treated:
        """One street out of the pool."""
        if len(self.pool) < POOL:
            self.pool.append(self._treated())
        elif self.rng.random() < REDRAW_SHARE:
            self.pool[int(self.rng.integers(POOL))] = self._treated()
        return self.pool[int(self.rng.integers(len(self.pool)))]

    def _treated(self) -> Treated:
        rng = self.rng
        street = self.streets[int(rng.integers(len(self.streets)))]
        fate = rng.random()
        laid: list[Laid] = []
        if fate < REMOVED_SHARE:
            luma, anchor, quads = erased(street.luma, street.quad, rng), street.quad, []
            if rng.random() < REPLACED_SHARE:
                laid += replaced(luma, self.clutter, anchor, rng)
        elif fate < REMOVED_SHARE + KEPT_SHARE and street.exact:
            luma, anchor = street.luma.copy(), street.quad
            quads = [anchor]
        else:
            luma, anchor = repainted(street, rng)
            quads = [anchor]
        taken = [bounds(anchor)]
        if rng.random() < SECOND_SHARE:
            other = second_plate(luma, anchor, taken, _white(street), rng)
            quads += [] if other is None else [other]
            taken += [] if other is None else [bounds(other)]
        laid += self._around(luma, anchor, taken)
        doubtful = tuple(piece.quad for piece in laid if piece.patch.plate_like)
        return Treated(luma=luma, anchor=anchor, quads=tuple(quads), doubtful=doubtful)

    def _around(self, luma: Luma, anchor: Quad, taken: list[Box]) -> list[Laid]:
        laid = []
        if self.rng.random() < BESIDE_SHARE:
            laid += beside(luma, self.clutter, anchor, taken, self.rng)
        if self.rng.random() < CLUTTERED_SHARE:
            laid += strew(luma, self.clutter, anchor, taken, self.rng)
        return laid
