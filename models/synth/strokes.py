"""Characters drawn as strokes: an endless family of plain alphabets such as stamping tools and stencils have.

No free typeface looks like the dies that press number plates, and every country has its own.  Here a character is a
few lines and arcs; width, weight, roundness, the height of bars and the depth of M and W vary from plate to plate, so
that a reader learns what makes an M an M rather than one foundry's M.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from models.synth.fonts import GLYPH_HEIGHT_PX
from models.synth.openings import CLOSED, thinned

Line = list[tuple[float, float]]
FINER = 2
ARC_POINTS = 7
# What a stroke may thin to where its character would close, in pixels of the finer drawing.
THINNEST = 5


@dataclass(frozen=True, slots=True)
class Hand:
    """One alphabet: proportions in fractions of the character's box, weight in fractions of its height."""

    width: float
    weight: float
    radius: float
    middle: float
    dip_m: float
    dip_w: float
    vee: float
    fork: float
    flag: float
    foot: bool
    flat_three: bool
    straight_six: bool
    open_four: bool
    bent_seven: bool
    spur: bool
    serif_i: bool
    tail: float
    peak: float
    narrow_one: float
    wide_m: float
    clipped: bool

    @staticmethod
    def random(rng: Generator) -> Hand:
        """One alphabet at random."""
        width = rng.uniform(0.4, 0.78)
        return Hand(
            width=width,
            weight=rng.uniform(0.09, min(0.17, 0.28 * width)),
            radius=float(rng.choice([rng.uniform(0.4, 0.6), rng.uniform(0.6, 1.0), 1.0])),
            middle=rng.uniform(0.43, 0.56),
            dip_m=float(rng.choice([rng.uniform(0.35, 0.7), rng.uniform(0.7, 1.0)])),
            dip_w=float(rng.choice([rng.uniform(0.3, 0.65), rng.uniform(0.0, 0.3)])),
            vee=float(rng.choice([0.0, rng.uniform(0.0, 0.12), rng.uniform(0.1, 0.22)])),
            fork=rng.uniform(0.4, 0.6),
            flag=rng.uniform(0.15, 0.45),
            foot=bool(rng.random() < 0.25),
            flat_three=bool(rng.random() < 0.25),
            straight_six=bool(rng.random() < 0.35),
            open_four=bool(rng.random() < 0.2),
            bent_seven=bool(rng.random() < 0.35),
            spur=bool(rng.random() < 0.5),
            serif_i=bool(rng.random() < 0.35),
            tail=rng.uniform(0.12, 0.35),
            peak=float(rng.choice([0.0, 0.0, rng.uniform(0.05, 0.2)])),
            narrow_one=rng.uniform(0.3, 0.7),
            wide_m=float(rng.choice([1.05, rng.uniform(1.0, 1.35)])),
            clipped=bool(rng.random() < 0.6),
        )


def _arc(centre: tuple[float, float], radii: tuple[float, float], start: float, end: float) -> Line:
    angles = np.deg2rad(np.linspace(start, end, ARC_POINTS))
    return [(centre[0] + radii[0] * float(np.cos(a)), centre[1] + radii[1] * float(np.sin(a))) for a in angles]


def _ending(arc: Line, y: float) -> Line:
    """The line that ends at the height y, from an arc that ends upright: drawn on to there, or cut where it passes."""
    (x, last), falls = arc[-1], arc[-1][1] > arc[-2][1]
    if last == y or (last < y) == falls:
        return [*arc, (x, y)]
    kept = [point for point in arc if (point[1] < y) == falls]
    (x0, y0), (x1, y1) = kept[-1], arc[len(kept)]
    return [*kept, (x0 + (x1 - x0) * (y - y0) / (y1 - y0), y)]


@dataclass(frozen=True, slots=True)
class _Box:
    """A part of the character with rounded corners; its sides are walked clockwise on the screen, from the top left."""

    hand: Hand
    top: float = 0.0
    bottom: float = 1.0
    left: float = 0.0
    right: float = 1.0

    def _radii(self) -> tuple[float, float]:
        rx = 0.5 * self.hand.radius * (self.right - self.left)
        return rx, min(rx * self.hand.width * 1.15, 0.5 * (self.bottom - self.top))

    def corner(self, which: str, *, back: bool = False) -> Line:
        """The arc of one corner: `tl`, `tr`, `br`, `bl`, clockwise, or `back`."""
        rx, ry = self._radii()
        x = self.left + rx if which[1] == "l" else self.right - rx
        y = self.top + ry if which[0] == "t" else self.bottom - ry
        start = {"tl": 180.0, "tr": 270.0, "br": 0.0, "bl": 90.0}[which]
        arc = _arc((x, y), (rx, ry), start, start + 90.0)
        return arc[::-1] if back else arc

    def ring(self) -> Line:
        """The whole outline, closed."""
        around = [*self.corner("tl"), *self.corner("tr"), *self.corner("br"), *self.corner("bl")]
        return [*around, around[0]]

    def bow(self) -> Line:
        """A closed shape, straight on the left: the bow of D, B, P, R."""
        return [(self.left, self.top), *self.corner("tr"), *self.corner("br"), (self.left, self.bottom),
                (self.left, self.top)]  # fmt: skip


def _zero(h: Hand) -> list[Line]:
    return [_Box(h).ring()]


def _one(h: Hand) -> list[Line]:
    stem: Line = [(0.5, 0.0), (0.5, 1.0)]
    lines = [stem]
    if h.flag > 0.17:
        lines.append([(0.5, 0.0), (0.5 - 1.3 * h.flag, h.flag * 0.65)])
    if h.foot:
        lines.append([(0.1, 1.0), (0.9, 1.0)])
    return lines


def _two(h: Hand) -> list[Line]:
    box = _Box(h, bottom=max(0.45, h.middle))
    return [[*_ending(box.corner("tl", back=True), 0.27)[::-1], *box.corner("tr"), (1.0, 0.36), (0.0, 1.0), (1.0, 1.0)]]


def _three(h: Hand) -> list[Line]:
    lower = _Box(h, top=h.middle * 0.92)
    end: Line = [*lower.corner("tr"), *lower.corner("br"), *_ending(lower.corner("bl"), 0.76)]
    if h.flat_three:
        return [[(0.0, 0.0), (1.0, 0.0), (0.42, lower.top), *end]]
    upper = _Box(h, bottom=h.middle, left=0.03, right=0.97)
    return [[*_ending(upper.corner("tl", back=True), 0.24)[::-1], *upper.corner("tr"), *upper.corner("br"),
             (0.3, h.middle), *end]]  # fmt: skip


def _four(h: Hand) -> list[Line]:
    bar = 0.62 + 0.25 * (h.middle - 0.43)
    if h.open_four:
        return [[(0.12, 0.0), (0.0, bar), (1.0, bar)], [(0.75, 0.25), (0.75, 1.0)]]
    return [[(0.74, 1.0), (0.74, 0.0), (0.0, bar), (1.0, bar)]]


def _five(h: Hand) -> list[Line]:
    bowl = _Box(h, top=h.middle * 0.85)
    return [[(0.93, 0.0), (0.07, 0.0), (0.02, bowl.top + 0.06), (0.3, bowl.top), *bowl.corner("tr"), *bowl.corner("br"),
             *_ending(bowl.corner("bl"), 0.77)]]  # fmt: skip


def _six(h: Hand) -> list[Line]:
    bowl = _Box(h, top=h.middle * 0.9)
    if h.straight_six:
        return [bowl.ring(), [(0.72, 0.0), (0.05, bowl.top + 0.16)]]
    box = _Box(h)
    return [bowl.ring(), [(0.0, 0.7), *box.corner("tl"), *_ending(box.corner("tr"), 0.21)]]


def _seven(h: Hand) -> list[Line]:
    if h.bent_seven:
        return [[(0.0, 0.0), (1.0, 0.0), (1.0, 0.13), (0.45, 0.58), (0.4, 1.0)]]
    return [[(0.0, 0.0), (1.0, 0.0), (0.3, 1.0)]]


def _eight(h: Hand) -> list[Line]:
    return [_Box(h, bottom=h.middle, left=0.04, right=0.96).ring(), _Box(h, top=h.middle).ring()]


def _turned(lines: list[Line]) -> list[Line]:
    return [[(1.0 - x, 1.0 - y) for x, y in line] for line in lines]


def _a(h: Hand) -> list[Line]:
    bar, slope = 0.7, 0.5 - h.peak
    inset = slope * (1 - bar)
    return [[(0.0, 1.0), (0.5 - h.peak, 0.0), (0.5 + h.peak, 0.0), (1.0, 1.0)], [(inset, bar), (1 - inset, bar)]]


def _c(h: Hand) -> list[Line]:
    box = _Box(h)
    return [[*_ending(box.corner("tr"), 0.27)[::-1], *box.corner("tl", back=True), *box.corner("bl", back=True),
             *_ending(box.corner("br", back=True), 0.73)]]  # fmt: skip


def _g(h: Hand) -> list[Line]:
    lines = _c(h)
    lines[0].extend([(1.0, h.middle + 0.06), (0.5, h.middle + 0.06)])
    if h.spur:
        lines.append([(1.0, 0.7), (1.0, 1.0)])
    return lines


def _i(h: Hand) -> list[Line]:
    stem: Line = [(0.5, 0.0), (0.5, 1.0)]
    return [stem, [(0.0, 0.0), (1.0, 0.0)], [(0.0, 1.0), (1.0, 1.0)]] if h.serif_i else [stem]


def _j(h: Hand) -> list[Line]:
    box = _Box(h)
    hook: Line = [(1.0, 0.0), *box.corner("br"), *box.corner("bl"), (0.0, 0.72)]
    return [hook, [(0.45, 0.0), (1.0, 0.0)]] if h.serif_i else [hook]


def _q(h: Hand) -> list[Line]:
    return [*_zero(h), [(1.0 - 1.4 * h.tail, 1.0 - h.tail), (1.0, 1.0)]]


def _r(h: Hand) -> list[Line]:
    bow = _Box(h, bottom=h.middle + 0.04).bow()
    return [bow, [(0.0, 0.0), (0.0, 1.0)], [(0.45, h.middle + 0.04), (1.0, 1.0)]]


def _s(h: Hand) -> list[Line]:
    upper, lower = _Box(h, bottom=h.middle), _Box(h, top=h.middle)
    return [[*_ending(upper.corner("tr"), 0.24)[::-1], *upper.corner("tl", back=True),
             *upper.corner("bl", back=True), *lower.corner("tr"), *lower.corner("br"),
             *_ending(lower.corner("bl"), 0.76)]]  # fmt: skip


def _u(h: Hand) -> list[Line]:
    box = _Box(h)
    return [[(1.0, 0.0), *box.corner("br"), *box.corner("bl"), (0.0, 0.0)]]


def _bowed(*bows: tuple[float, float]) -> Callable[[Hand], list[Line]]:
    def lines(h: Hand) -> list[Line]:
        at = {0.0: 0.0, 0.5: h.middle, 1.0: 1.0}
        return [[(0.0, 0.0), (0.0, 1.0)], *(_Box(h, top=at[a], bottom=at[b]).bow() for a, b in bows)]

    return lines


def _straight(*lines: Line) -> Callable[[Hand], list[Line]]:
    return lambda _h: [list(line) for line in lines]


STROKES: dict[str, Callable[[Hand], list[Line]]] = {
    "0": _zero, "1": _one, "2": _two, "3": _three, "4": _four, "5": _five, "6": _six, "7": _seven, "8": _eight,
    "9": lambda h: _turned(_six(h)),
    "A": _a, "B": _bowed((0.0, 0.5), (0.5, 1.0)), "C": _c, "D": _bowed((0.0, 1.0)),
    "E": lambda h: [[(1, 0), (0, 0), (0, 1), (1, 1)], [(0, h.middle), (0.85, h.middle)]],
    "F": lambda h: [[(1, 0), (0, 0), (0, 1)], [(0, h.middle), (0.85, h.middle)]],
    "G": _g, "H": lambda h: [[(0, 0), (0, 1)], [(1, 0), (1, 1)], [(0, h.middle), (1, h.middle)]], "I": _i, "J": _j,
    "K": lambda h: [[(0, 0), (0, 1)], [(1, 0), (0, h.fork + 0.1)], [(0.3, h.fork - 0.08), (1, 1)]],
    "L": _straight([(0, 0), (0, 1), (1, 1)]),
    "M": lambda h: [[(h.vee / 2, 1), (h.vee / 4, 0), (0.5, h.dip_m), (1 - h.vee / 4, 0), (1 - h.vee / 2, 1)]],
    "N": _straight([(0, 1), (0, 0), (1, 1), (1, 0)]), "O": _zero, "P": _bowed((0.0, 0.5)), "Q": _q, "R": _r, "S": _s,
    "T": _straight([(0, 0), (1, 0)], [(0.5, 0), (0.5, 1)]), "U": _u,
    "V": lambda h: [[(0, 0), (0.5 - h.peak / 2, 1), (0.5 + h.peak / 2, 1), (1, 0)]],
    "W": lambda h: [[(0, 0), (0.25 - h.vee / 2, 1), (0.5, h.dip_w), (0.75 + h.vee / 2, 1), (1, 0)]],
    "X": _straight([(0, 0), (1, 1)], [(1, 0), (0, 1)]),
    "Y": lambda h: [[(0, 0), (0.5, h.fork), (1, 0)], [(0.5, h.fork), (0.5, 1)]],
    "Z": _straight([(0, 0), (1, 0), (0, 1), (1, 1)]),
}  # fmt: skip


def closed(character: str, hand: Hand) -> int:
    """How many closed spaces the character has in this alphabet."""
    return 0 if character == "4" and hand.open_four else CLOSED.get(character, 0)


def stroke_glyph(character: str, hand: Hand) -> NDArray[np.uint8]:
    """One digit or capital letter as a tight grey mask (GLYPH_HEIGHT_PX, width); 255 is ink."""
    return _drawn(character, hand, _thick(hand))


def open_glyph(character: str, hand: Hand) -> NDArray[np.uint8]:
    """The same, with a stroke so much thinner that what is open stays open and what is closed stays closed."""
    return thinned(lambda thick: _drawn(character, hand, thick), _thick(hand), THINNEST, closed(character, hand))


def _thick(hand: Hand) -> int:
    return max(3, round(hand.weight * GLYPH_HEIGHT_PX * FINER))


def _drawn(character: str, hand: Hand, thick: int) -> NDArray[np.uint8]:
    height = GLYPH_HEIGHT_PX * FINER
    share = hand.narrow_one if character in "1I" else hand.wide_m if character in "MW" else 1.0
    if character == "I" and not hand.serif_i:
        share = 0.05
    width = max(thick + 2, round(hand.width * share * height))
    pad = thick // 2 if not hand.clipped else round(thick * 0.3)
    mask = np.zeros((height, width), dtype=np.uint8)
    size = np.array([width - 1 - 2 * pad, height - 1 - 2 * pad], dtype=np.float32)
    for line in STROKES[character](hand):
        points = np.rint((np.array(line, dtype=np.float32) * size + pad) * 8).astype(np.int32)
        cv2.polylines(mask, [points], False, 255, thick, cv2.LINE_AA, 3)
    small = cv2.resize(mask, (max(2, width // FINER), GLYPH_HEIGHT_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8)
