"""The lettering of a drawn plate: glyphs, bars, dashes and emblems on one line, and the canvas they are stamped on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from edge.reader import alphabet
from models.synth import fonts
from models.synth.openings import CLOSED, NEVER_CLOSING, holes
from models.synth.pressed import PRESSED, Pressed, pressed_glyph
from models.synth.strokes import STROKES, Hand, closed, open_glyph, stroke_glyph

ARABIC = frozenset(alphabet.ARABIC + alphabet.ARABIC_MORE + "".join(alphabet.WORDS))
# How often a plate has drawn strokes, or the typical pressed characters, instead of a typeface's.
STROKE_SHARE = 0.4
PRESSED_SHARE = 0.18
Place = tuple[str, tuple[float, float, float, float]]


@dataclass(slots=True)
class Canvas:
    """A plate being drawn: luma (height, width) and the grey values of its paper and ink."""

    luma: NDArray[np.float32]
    paper: float
    ink: float

    def stamp(self, mask: NDArray[np.uint8], x: int, y: int, value: float, strength: float = 1.0) -> None:
        """Lays ink of one grey value through a mask; what lies outside the canvas is cut off."""
        height, width = self.luma.shape
        x0, y0, x1, y1 = max(0, x), max(0, y), min(width, x + mask.shape[1]), min(height, y + mask.shape[0])
        if x0 >= x1 or y0 >= y1:
            return
        alpha = mask[y0 - y : y1 - y, x0 - x : x1 - x].astype(np.float32) * (strength / 255.0)
        part = self.luma[y0:y1, x0:x1]
        part += alpha * (value - part)


def pick(items: tuple[Path, ...], rng: Generator) -> Path:
    """One face at random."""
    return items[int(rng.integers(len(items)))]


@dataclass(slots=True)
class _Hand:
    """The lettering chosen for one line: faces, weight and spacing."""

    latin: Path
    arabic: Path
    weight_px: int
    stretch: float
    spacing: float
    rounding_px: float
    pressed: Pressed | None
    strokes: Hand | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Faces:
    """What may be lettered with: typefaces of both scripts, and whether strokes may be drawn instead."""

    latin: tuple[Path, ...]
    arabic: tuple[Path, ...]
    strokes: bool = True


@cache
def training_faces() -> Faces:
    """Everything that is trained with."""
    return Faces(latin=fonts.faces("plate"), arabic=fonts.faces("arabic"))


def _hand(rng: Generator, faces: Faces) -> _Hand:
    strokes = faces.strokes and rng.random() < STROKE_SHARE
    return _Hand(
        latin=pick(faces.latin, rng),
        arabic=pick(faces.arabic, rng),
        weight_px=int(rng.choice([-2, -1, 0, 0, 0, 1, 2, 3])),
        stretch=rng.uniform(0.8, 1.25),
        spacing=rng.uniform(0.06, 0.26),
        rounding_px=rng.uniform(1.5, 4.5) if rng.random() < 0.4 else 0.0,
        pressed=Pressed.random(rng) if not strokes and rng.random() < PRESSED_SHARE else None,
        strokes=Hand.random(rng) if strokes else None,
    )


def _rounded(mask: NDArray[np.uint8], radius_px: float) -> NDArray[np.uint8]:
    """The glyph with soft corners and stroke ends, as pressed metal has them."""
    if radius_px == 0.0:
        return mask
    padded = cv2.copyMakeBorder(mask, 4, 4, 4, 4, cv2.BORDER_CONSTANT, value=0).astype(np.float32)
    soft = cv2.GaussianBlur(padded, (0, 0), radius_px)
    return np.asarray(np.clip((soft - 105.0) * 5.0, 0, 255), dtype=np.uint8)[2:-2, 2:-2]


def _weighted(mask: NDArray[np.uint8], weight_px: int) -> NDArray[np.uint8]:
    if weight_px == 0:
        return mask
    kernel = np.ones((abs(weight_px) + 1,) * 2, dtype=np.uint8)
    if weight_px < 0:
        return np.asarray(cv2.erode(mask, kernel), dtype=np.uint8)
    padded = cv2.copyMakeBorder(mask, 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=0)
    return np.asarray(cv2.dilate(padded, kernel), dtype=np.uint8)


@cache
def _own_holes(face: Path, character: str) -> int:
    return holes(fonts.glyph(face, character))


def _inked(glyph: NDArray[np.uint8], weight_px: int, rounding_px: float, wanted: int) -> NDArray[np.uint8] | None:
    """The glyph with its corners rounded and its weight, or the next lesser weight that leaves the wanted holes."""
    soft = _rounded(glyph, rounding_px)
    for less in (*range(weight_px, 0, -1 if weight_px > 0 else 1), 0):
        mask = _weighted(soft, less)
        if holes(mask) == wanted:
            return mask
    return None


@cache
def _bound(face: Path, character: str, weight_px: int) -> int:
    """The weight with which a typeface's unrounded character keeps its holes: the one given, or one nearer to none."""
    glyph, step = fonts.glyph(face, character), -1 if weight_px > 0 else 1
    while weight_px and holes(_weighted(glyph, weight_px)) != _own_holes(face, character):
        weight_px += step
    return weight_px


def _typed(face: Path, character: str, weight_px: int, rounding_px: float = 0.0) -> NDArray[np.uint8]:
    """A typeface's character with rounded corners and a weight that keep its holes."""
    glyph = fonts.glyph(face, character)
    if rounding_px == 0.0:
        return _weighted(glyph, _bound(face, character, weight_px))
    mask = _inked(glyph, weight_px, rounding_px, _own_holes(face, character))
    return glyph if mask is None else mask


@dataclass(slots=True)
class _Piece:
    """One thing on the line: its mask (None is empty space), width and height in line heights, centre offset."""

    mask: NDArray[np.uint8] | None
    width: float
    height: float = 1.0
    drop: float = 0.0
    strength: float = 1.0
    grey_shift: float = 0.0
    symbol: str = ""


def _pieces(line: str, hand: _Hand, rng: Generator) -> list[_Piece]:
    pieces: list[_Piece] = []
    for position, character in enumerate(line):
        if position and character not in " |" and line[position - 1] not in " |":
            pieces.append(_Piece(mask=None, width=hand.spacing))
        pieces.extend(_piece(character, hand, rng))
    return pieces


def _piece(character: str, hand: _Hand, rng: Generator) -> list[_Piece]:
    if character == " ":
        return [_Piece(mask=None, width=rng.uniform(0.25, 0.7))]
    if character == "|":
        return _bar(rng)
    if character == "-":
        if rng.random() < 0.25:
            return [_Piece(mask=None, width=rng.uniform(0.1, 0.4))]
        solid = np.full((8, 8), 255, dtype=np.uint8)
        return [
            _Piece(
                mask=solid, width=rng.uniform(0.12, 0.28), height=rng.uniform(0.08, 0.16), drop=rng.uniform(-0.05, 0.1)
            )
        ]
    if character == "*":
        return [_Piece(mask=None, width=0.06), _emblem(rng), _Piece(mask=None, width=0.06)]
    if character in ARABIC:
        mask = _typed(hand.arabic, character, max(-1, hand.weight_px))
        alef = fonts.glyph(hand.arabic, "أ").shape[0]
        height = np.clip(mask.shape[0] / alef * rng.uniform(0.7, 1.0), 0.3, 0.95)
        width = height * mask.shape[1] / mask.shape[0] * rng.uniform(0.8, 1.25)
        return [_Piece(mask=mask, width=width, height=height, drop=rng.uniform(-0.12, 0.12), symbol=character)]
    mask = _latin(character, hand)
    return [_Piece(mask=mask, width=hand.stretch * mask.shape[1] / fonts.GLYPH_HEIGHT_PX, symbol=character)]


def _latin(character: str, hand: _Hand) -> NDArray[np.uint8]:
    """A digit or a capital letter as this hand draws it."""
    if hand.strokes is not None and character in STROKES:
        glyph = stroke_glyph(character, hand.strokes)
        if character in NEVER_CLOSING:
            return _weighted(_rounded(glyph, hand.rounding_px), hand.weight_px)
        mask = _inked(glyph, hand.weight_px, hand.rounding_px, closed(character, hand.strokes))
        return open_glyph(character, hand.strokes) if mask is None else mask
    if hand.pressed is not None and character in PRESSED:
        glyph = pressed_glyph(character, hand.pressed)
        mask = _inked(glyph, hand.weight_px, hand.rounding_px, CLOSED.get(character, 0))
        return glyph if mask is None else mask
    return _typed(hand.latin, character, hand.weight_px, hand.rounding_px)


def _bar(rng: Generator) -> list[_Piece]:
    gap = rng.uniform(0.08, 0.45)
    solid = np.full((8, 4), 255, dtype=np.uint8)
    bar = _Piece(
        mask=solid, width=rng.uniform(0.03, 0.085), height=rng.uniform(0.75, 1.3), drop=rng.uniform(-0.05, 0.05),
        strength=1.0 if rng.random() < 0.6 else rng.uniform(0.25, 1.0), symbol=alphabet.BAR,
    )  # fmt: skip
    return [_Piece(mask=None, width=gap), bar, _Piece(mask=None, width=max(0.05, gap * rng.uniform(0.5, 1.5)))]


def _emblem(rng: Generator) -> _Piece:
    mask = np.zeros((40, 40), dtype=np.uint8)
    kind = rng.integers(4)
    if kind == 0:
        cv2.circle(mask, (20, 20), 17, 255, -1 if rng.random() < 0.6 else 3)
    elif kind == 1:
        cv2.fillPoly(mask, [rng.uniform(2, 38, size=(int(rng.integers(3, 9)), 2)).astype(np.int32)], 255)
    elif kind == 2:
        mask[6:34, 8:32] = 255
    else:
        cv2.circle(mask, (20, 12), 10, 255, -1)
        cv2.circle(mask, (20, 30), 9, int(rng.integers(120, 256)), -1 if rng.random() < 0.5 else 2)
    size = rng.uniform(0.25, 0.75)
    return _Piece(
        mask=mask, width=size * rng.uniform(0.5, 1.0), height=size, drop=rng.uniform(-0.12, 0.12),
        strength=rng.uniform(0.4, 1.0), grey_shift=rng.uniform(-20, 130),
    )  # fmt: skip


def letter(
    canvas: Canvas, line: str, area: tuple[int, int, int, int], rng: Generator, faces: Faces | None = None
) -> list[Place]:
    """Letters one line into the area (left, top, right, bottom), squeezed or spread as plates are.

    Returns each symbol of the line with the box it was given, in the canvas's pixels.
    """
    left, top, right, bottom = area
    hand = _hand(rng, faces or training_faces())
    places: list[Place] = []
    pieces = _pieces(line, hand, rng)
    line_height = bottom - top
    natural = sum(piece.width for piece in pieces) * line_height
    room = right - left
    squeeze = min(1.0, room / max(1.0, natural))
    if natural < room and rng.random() < 0.6:
        squeeze = min(1.35, room / natural * rng.uniform(0.85, 1.0))
    x = left + max(0.0, room - natural * squeeze) * float(rng.choice([0.5, 0.5, 0.5, rng.random()]))
    relief = float(rng.choice([0, 0, 0, 1, 1]))
    for piece in pieces:
        width = piece.width * line_height * squeeze
        if piece.mask is not None:
            _place(canvas, piece, (x, width, top, line_height), relief)
        if piece.symbol:
            places.append((piece.symbol, (x, float(top), x + width, float(bottom))))
        x += width
    return places


def _place(canvas: Canvas, piece: _Piece, at: tuple[float, float, int, int], relief: float) -> None:
    x, width, top, line_height = at
    assert piece.mask is not None
    height = max(2, round(piece.height * line_height))
    mask = fonts.resized(piece.mask, width_px=max(2, round(width)), height_px=height)
    y = round(top + (line_height - height) / 2 + piece.drop * line_height)
    if relief:
        canvas.stamp(mask, round(x) + 1, y + 1, min(255.0, canvas.paper + 45), 0.5)
        canvas.stamp(mask, round(x) - 1, y - 1, canvas.paper * 0.75, 0.4)
    canvas.stamp(mask, round(x), y, canvas.ink + piece.grey_shift, piece.strength)
