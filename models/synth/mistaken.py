"""Crops of plates and of things that a detector took for one, from which the reader learns which is which.

Decides which things these are and how often, what lies around them, and how they are cut: whole, or one row or a part
of them, as the device cuts what it takes for a plate of two lines or for a text that leaves room.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.random import Generator

from models.synth import clutter
from models.synth.crops import CropSource, RealPlate, jittered, seen
from models.synth.placing import Luma, Quad, lay, tilted

# Prices, stamps, discs and lettering are what a reader that was never told takes for plates.
KINDS: tuple[tuple[Callable[[Generator], clutter.Patch], float], ...] = (
    (clutter.price, 0.2), (clutter.stamp, 0.16), (clutter.lettering, 0.18), (clutter.board, 0.18), (clutter.disc, 0.1),
    (clutter.number, 0.25), (clutter.badge, 0.1), (clutter.panel, 0.06), (clutter.code, 0.06), (clutter.grille, 0.06),
    (clutter.lamp, 0.06),
)  # fmt: skip
SHARES = np.cumsum([share for _, share in KINDS]) / sum(share for _, share in KINDS)
POOL = 400
REDRAW_SHARE = 0.35
# The part of a thing that is cut: all of it, half of its rows, or a piece of its width.
ROW_SHARE, PIECE_SHARE = 0.2, 0.2
SHORTEST_PIECE = 0.5
ROOM = 0.8
PLATE_SHARE, EMPTY_SHARE = 0.62, 0.04
# Of plates: whole ones of two lines, drawn and photographed. Such a plate is seen whole before its rows are cut.
TWO_LINES_SHARE, TWO_LINES_PHOTO_SHARE = 0.05, 0.02


@dataclass(slots=True)
class MistakenSource:
    """An endless stream of pictures with a thing on some background, and the quad (4, 2) that is cut for a plate."""

    rng: Generator
    backgrounds: Sequence[Luma]
    pool: list[clutter.Patch] = field(default_factory=list)

    def next(self) -> tuple[Luma, Quad]:
        """One picture and what a detector takes for a plate in it, exactly."""
        rng, patch = self.rng, self._patch()
        height, width = patch.luma.shape
        around = self.backgrounds[int(rng.integers(len(self.backgrounds)))]
        size = (round(width + 2 * ROOM * height), round(height * (1 + 2 * ROOM)))
        picture = np.asarray(cv2.resize(around, size), dtype=np.uint8).copy()
        quad = tilted((size[0] / 2, size[1] / 2), width, height, rng)
        lay(picture, patch.luma, patch.alpha, quad, rng)
        return picture, self._cut(quad)

    def _patch(self) -> clutter.Patch:
        rng = self.rng
        if len(self.pool) == POOL and rng.random() > REDRAW_SHARE:
            return self.pool[int(rng.integers(POOL))]
        draw, _ = KINDS[min(int(np.searchsorted(SHARES, rng.random())), len(KINDS) - 1)]
        fresh = draw(rng)
        if len(self.pool) < POOL:
            self.pool.append(fresh)
        else:
            self.pool[int(rng.integers(POOL))] = fresh
        return fresh

    def _cut(self, quad: Quad) -> Quad:
        rng, fate = self.rng, self.rng.random()
        across, down = (0.0, 1.0), (0.0, 1.0)
        if fate < ROW_SHARE:
            down = (0.0, rng.uniform(0.48, 0.6)) if rng.random() < 0.5 else (rng.uniform(0.42, 0.53), 1.0)
        elif fate < ROW_SHARE + PIECE_SHARE:
            wide = rng.uniform(SHORTEST_PIECE, 1.0)
            left = rng.uniform(0, 1 - wide)
            across = (left, left + wide)
        corners = [(across[0], down[0]), (across[1], down[0]), (across[1], down[1]), (across[0], down[1])]
        return np.array([_inside(quad, x, y) for x, y in corners], dtype=np.float32)


@dataclass(slots=True)
class PlateOrNotSource:
    """An endless stream of crops (48, 160), each with whether it shows a plate."""

    plates: CropSource
    two_lines: Sequence[RealPlate] = ()
    things: MistakenSource = field(init=False)

    def __post_init__(self) -> None:
        """Sets up what is no plate, from the same generator and on the same streets."""
        self.things = MistakenSource(rng=self.plates.rng, backgrounds=self.plates.backgrounds)

    def next(self) -> tuple[Luma, bool]:
        """One crop."""
        fate = self.plates.rng.random()
        if fate < PLATE_SHARE:
            return self._plate(), True
        if fate < PLATE_SHARE + EMPTY_SHARE:
            return self.plates.empty().luma, False
        luma, quad = self.things.next()
        return self.plates.seen(luma, quad), False

    def _plate(self) -> Luma:
        rng, fate = self.plates.rng, self.plates.rng.random()
        if fate < TWO_LINES_SHARE:
            return self.plates.seen(*self.plates.whole_of_two_lines(), loose=0.6)
        if self.two_lines and fate < TWO_LINES_SHARE + TWO_LINES_PHOTO_SHARE:
            real = self.two_lines[int(rng.integers(len(self.two_lines)))]
            return seen(real.luma, jittered(real.quad, rng, loose=0.6), rng, harsh=0.45)
        return self.plates.plate().luma


def _inside(quad: Quad, x: float, y: float) -> Quad:
    upper, lower = quad[0] + x * (quad[1] - quad[0]), quad[3] + x * (quad[2] - quad[3])
    return np.asarray(upper + y * (lower - upper), dtype=np.float32)
