"""Draws one plate, flat and clean, in grey.

Decides layout and looks: bands, frames, emblems, stickers, small print, weight and spacing of the lettering.
Only brightness matters, because the models see luma; colours are chosen as grey values.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from models.synth import fonts
from models.synth.formats import PlateLabel, readable

HEIGHT_PX = 80
ARABIC = set("أبدهوشطجم")
SMALL_PRINT = (
    "TEXAS", "California", "MISSOURI", "OHIO", "New York", "ALASKA", "FLORIDA", "The Lone Star State", "SUNSHINE STATE",
    "SHOW ME STATE", "www.visit.com", "AUTOHAUS", "SP - SAO PAULO", "RJ - RIO DE JANEIRO", "MG - BELO HORIZONTE",
    "BRASIL", "CURITIBA", "JAN", "DEC 09", "2016", "DUBLIN", "MAROC", "GARAGE CENTRAL", "COLLECTOR", "dealer.com",
    "BA - SALVADOR", "PR - LONDRINA", "GRAND CANYON STATE", "Famous Potatoes", "Virginia", "ILLINOIS",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """How wide the plate is against its height, and where on it the lettering lies (fractions of the height)."""

    aspect: float
    letters_top: float
    letters_bottom: float


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawnPlate:
    """A flat plate: luma (height, width), its label and how many rows of text it has."""

    luma: NDArray[np.uint8]
    label: PlateLabel
    rows: int


@dataclass(slots=True)
class _Canvas:
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


def draw(label: PlateLabel, rng: Generator, *, rows: int = 1) -> DrawnPlate:
    """One plate of the label's country; with rows=2 the text is broken over two lines."""
    two = rows == 2 and len(_break(label)) == 2
    shape = _shape(label.region, rng, two=two)
    canvas = _blank(shape, label, rng)
    _background(canvas, label.region, rng)
    left, right = _bands(canvas, label.region, rng, two=two)
    lines = _break(label) if two else [label.drawn]
    pitch = (shape.letters_bottom - shape.letters_top) / len(lines)
    for row, line in enumerate(lines):
        top = int(HEIGHT_PX * (shape.letters_top + row * pitch))
        bottom = int(HEIGHT_PX * (shape.letters_top + (row + (0.88 if two else 1.0)) * pitch))
        _letter(canvas, line, (left, top, right, bottom), label.region, rng)
    _furniture(canvas, shape, label.region, rng)
    return DrawnPlate(luma=np.clip(canvas.luma, 0, 255).astype(np.uint8), label=label, rows=len(lines))


def _break(label: PlateLabel) -> list[str]:
    drawn = label.drawn
    if label.region == "MA" and drawn.count("|") == 2:
        serial, rest = drawn.split("|", 1)
        return [serial, rest]
    parts = [part for part in drawn.replace("-", " ").replace("*", " ").split() if part]
    if len(parts) < 2:
        return [drawn]
    middle = 1 if len(parts) == 2 or len(parts[0]) > 1 else 2
    return ["".join(parts[:middle]), "".join(parts[middle:])]


def _shape(region: str, rng: Generator, *, two: bool) -> Shape:
    if two:
        return Shape(
            aspect=rng.uniform(1.15, 1.75), letters_top=rng.uniform(0.06, 0.14), letters_bottom=rng.uniform(0.92, 1.0)
        )
    if region == "US" or (region == "MX"):
        top = rng.uniform(0.2, 0.32)
        return Shape(aspect=rng.uniform(1.9, 2.15), letters_top=top, letters_bottom=top + rng.uniform(0.42, 0.56))
    if region in ("BR", "AR"):
        top = rng.uniform(0.24, 0.34)
        return Shape(
            aspect=rng.uniform(2.5, 3.3), letters_top=top, letters_bottom=min(0.95, top + rng.uniform(0.5, 0.64))
        )
    margin = rng.uniform(0.08, 0.2)
    aspect = rng.uniform(3.4, 4.0) if rng.random() < 0.15 else rng.uniform(4.2, 5.0)
    lift = rng.uniform(-0.04, 0.04)
    return Shape(aspect=aspect, letters_top=margin + lift, letters_bottom=1 - margin + lift)


def _blank(shape: Shape, label: PlateLabel, rng: Generator) -> _Canvas:
    paper, ink = rng.uniform(170, 250), rng.uniform(5, 90)
    dark_share = {"US": 0.08, "BR": 0.12, "MA": 0.04, "GB": 0.06}.get(label.region, 0.03)
    if rng.random() < dark_share or (label.region == "MA" and label.symbols.endswith("ش") and rng.random() < 0.7):
        paper, ink = rng.uniform(15, 110), rng.uniform(190, 250)
    elif rng.random() < 0.2:
        paper = rng.uniform(115, 180)
    luma = np.full((HEIGHT_PX, int(HEIGHT_PX * shape.aspect)), paper, dtype=np.float32)
    return _Canvas(luma=luma, paper=paper, ink=ink)


def _background(canvas: _Canvas, region: str, rng: Generator) -> None:
    height, width = canvas.luma.shape
    if rng.random() < 0.5:
        across = np.linspace(rng.uniform(-25, 25), rng.uniform(-25, 25), width, dtype=np.float32)
        down = np.linspace(rng.uniform(-25, 25), rng.uniform(-25, 25), height, dtype=np.float32)
        canvas.luma += across[None, :] + down[:, None]
    if region == "US" and rng.random() < 0.6:
        for _ in range(int(rng.integers(1, 4))):
            points = rng.uniform((0, 0), (width, height), size=(int(rng.integers(3, 8)), 2)).astype(np.int32)
            mask = np.zeros((height, width), dtype=np.uint8)
            cv2.fillPoly(mask, [points], int(rng.integers(20, 110)))
            soft = np.asarray(cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.5, 5)), dtype=np.uint8)
            canvas.stamp(soft, 0, 0, rng.uniform(60, 255))


def _bands(canvas: _Canvas, region: str, rng: Generator, *, two: bool) -> tuple[int, int]:
    """Draws the coloured strips at the ends and tells where the lettering may lie (left, right in pixels)."""
    height, width = canvas.luma.shape
    left, right = int(rng.uniform(0.02, 0.06) * width), int(width * (1 - rng.uniform(0.02, 0.06)))
    if region in ("US", "BR", "AR", "MX", "") or two:
        if region == "BR" and rng.random() < 0.35:
            canvas.luma[: int(0.2 * height)] = rng.uniform(40, 90)
        return left, right
    chance = {"MA": 0.04, "GB": 0.45}.get(region, 0.75)
    strip = int(rng.uniform(0.07, 0.1) * width)
    if rng.random() < chance:
        canvas.luma[:, :strip] = rng.uniform(35, 110)
        face = _pick(fonts.faces("plate"), rng)
        code = (region or "EU")[: 2 if rng.random() < 0.5 else 1]
        small = fonts.words(face, code, int(rng.integers(12, 24)))
        canvas.stamp(small, (strip - small.shape[1]) // 2, int(height * rng.uniform(0.5, 0.65)), 240)
        if rng.random() < 0.7:
            cv2.circle(canvas.luma, (strip // 2, int(height * 0.28)), strip // 3, 225.0, 1 + int(rng.integers(2)))
        left = strip + int(rng.uniform(0.01, 0.03) * width)
    if region in ("FR", "IT", "PT") and rng.random() < 0.5:
        canvas.luma[:, width - strip :] = rng.uniform(35, 110) if region != "PT" else 200.0
        right = width - strip - int(rng.uniform(0.01, 0.03) * width)
        small = fonts.words(_pick(fonts.faces("plate"), rng), str(int(rng.integers(1, 96))), 14)
        canvas.stamp(small, width - (strip + small.shape[1]) // 2, int(height * rng.uniform(0.6, 0.75)), 240)
    return left, right


def _pick(items: tuple[Path, ...], rng: Generator) -> Path:
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


def _hand(rng: Generator) -> _Hand:
    return _Hand(
        latin=_pick(fonts.faces("plate"), rng),
        arabic=_pick(fonts.faces("arabic"), rng),
        weight_px=int(rng.choice([-2, -1, 0, 0, 0, 1, 2, 3])),
        stretch=rng.uniform(0.8, 1.25),
        spacing=rng.uniform(0.06, 0.26),
        rounding_px=rng.uniform(1.5, 4.5) if rng.random() < 0.4 else 0.0,
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


@dataclass(slots=True)
class _Piece:
    """One thing on the line: its mask (None is empty space), width and height in line heights, centre offset."""

    mask: NDArray[np.uint8] | None
    width: float
    height: float = 1.0
    drop: float = 0.0
    strength: float = 1.0
    grey_shift: float = 0.0


def _pieces(line: str, hand: _Hand, region: str, rng: Generator) -> list[_Piece]:
    pieces: list[_Piece] = []
    for position, character in enumerate(line):
        if position and character not in " |" and line[position - 1] not in " |":
            pieces.append(_Piece(mask=None, width=hand.spacing))
        pieces.extend(_piece(character, hand, region, rng))
    return pieces


def _piece(character: str, hand: _Hand, region: str, rng: Generator) -> list[_Piece]:
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
        mask = _weighted(fonts.glyph(hand.arabic, character), max(-1, hand.weight_px))
        alef = fonts.glyph(hand.arabic, "أ").shape[0]
        height = np.clip(mask.shape[0] / alef * rng.uniform(0.7, 1.0), 0.3, 0.95)
        width = height * mask.shape[1] / mask.shape[0] * rng.uniform(0.8, 1.25)
        return [_Piece(mask=mask, width=width, height=height, drop=rng.uniform(-0.12, 0.12))]
    mask = _weighted(_rounded(fonts.glyph(hand.latin, character), hand.rounding_px), hand.weight_px)
    return [_Piece(mask=mask, width=hand.stretch * mask.shape[1] / fonts.GLYPH_HEIGHT_PX)]


def _bar(rng: Generator) -> list[_Piece]:
    gap = rng.uniform(0.08, 0.45)
    solid = np.full((8, 4), 255, dtype=np.uint8)
    bar = _Piece(
        mask=solid, width=rng.uniform(0.03, 0.085), height=rng.uniform(0.75, 1.3), drop=rng.uniform(-0.05, 0.05),
        strength=1.0 if rng.random() < 0.6 else rng.uniform(0.25, 1.0),
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


def _letter(canvas: _Canvas, line: str, area: tuple[int, int, int, int], region: str, rng: Generator) -> None:
    left, top, right, bottom = area
    hand = _hand(rng)
    pieces = _pieces(line, hand, region, rng)
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
        x += width


def _place(canvas: _Canvas, piece: _Piece, at: tuple[float, float, int, int], relief: float) -> None:
    x, width, top, line_height = at
    assert piece.mask is not None
    height = max(2, round(piece.height * line_height))
    mask = fonts.resized(piece.mask, width_px=max(2, round(width)), height_px=height)
    y = round(top + (line_height - height) / 2 + piece.drop * line_height)
    if relief:
        canvas.stamp(mask, round(x) + 1, y + 1, min(255.0, canvas.paper + 45), 0.5)
        canvas.stamp(mask, round(x) - 1, y - 1, canvas.paper * 0.75, 0.4)
    canvas.stamp(mask, round(x), y, canvas.ink + piece.grey_shift, piece.strength)


def _furniture(canvas: _Canvas, shape: Shape, region: str, rng: Generator) -> None:
    """Border line, screws, stickers and small print."""
    height, width = canvas.luma.shape
    if rng.random() < 0.55:
        inset = int(rng.integers(0, 4))
        line = canvas.ink if rng.random() < 0.7 else canvas.paper * 0.7
        cv2.rectangle(
            canvas.luma, (inset, inset), (width - 1 - inset, height - 1 - inset), line, int(rng.integers(1, 4))
        )
    for _ in range(int(rng.choice([0, 0, 2, 2, 4]))):
        x = int(rng.choice([rng.uniform(0.01, 0.08), rng.uniform(0.15, 0.85), rng.uniform(0.92, 0.99)]) * width)
        y = int(rng.uniform(0.35, 0.6) * height) if region == "MA" else int(rng.uniform(0.05, 0.2) * height)
        cv2.circle(canvas.luma, (x, y), int(rng.integers(1, 4)), canvas.ink * rng.uniform(0.5, 2.0), -1)
    if shape.letters_top > 0.18:
        _print(canvas, (0.02, shape.letters_top - 0.03), rng)
        if rng.random() < 0.6:
            _print(canvas, (min(0.9, shape.letters_bottom + 0.02), 0.99), rng)
    if region == "US":
        for _ in range(int(rng.integers(0, 3))):
            x, y = int(rng.choice([0.02, 0.85]) * width), int(rng.choice([0.03, 0.03, 0.78]) * height)
            canvas.luma[y : y + int(0.16 * height), x : x + int(0.12 * width)] = rng.uniform(30, 250)


def _print(canvas: _Canvas, rows: tuple[float, float], rng: Generator) -> None:
    height, width = canvas.luma.shape
    size = int((rows[1] - rows[0]) * height * rng.uniform(0.5, 0.95))
    if size < 5:
        return
    text = SMALL_PRINT[int(rng.integers(len(SMALL_PRINT)))]
    mask = fonts.words(_pick(fonts.faces("word"), rng), text, size)
    if mask.shape[1] > 0.9 * width:
        mask = fonts.resized(mask, width_px=int(0.9 * width), height_px=mask.shape[0])
    x = int((width - mask.shape[1]) * rng.uniform(0.3, 0.7))
    canvas.stamp(mask, x, int(rows[0] * height + 1), canvas.ink + rng.uniform(-20, 80), rng.uniform(0.5, 1.0))


def text_of(plate: DrawnPlate) -> str:
    """What the reader should emit for the whole plate."""
    return plate.label.symbols or readable(plate.label.drawn)
