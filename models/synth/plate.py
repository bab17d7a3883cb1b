"""Draws one plate, flat and clean, in grey.

Decides layout and looks: shape, bands, border, screws, stickers and small print; the letters are in `lettering`.
Only brightness matters, because the models see luma; colours are chosen as grey values.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from models.synth import fonts
from models.synth.formats import PlateLabel
from models.synth.lettering import Canvas, Faces, Place, letter, pick

HEIGHT_PX = 80
# Police, state, local government, auxiliary forces and army: white on black.
DARK_SERIES = "شغمجسق"
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
    """A flat plate: luma (height, width), its label, and its rows of symbols, each with the box it takes."""

    luma: NDArray[np.uint8]
    label: PlateLabel
    lines: tuple[tuple[Place, ...], ...]

    @property
    def rows(self) -> int:
        """How many rows of text there are."""
        return len(self.lines)


def draw(label: PlateLabel, rng: Generator, *, rows: int = 1, faces: Faces | None = None) -> DrawnPlate:
    """One plate of the label's country; with rows=2 the text is broken over two lines."""
    two = rows == 2 and len(_break(label)) == 2
    shape = _shape(label.region, rng, two=two)
    canvas = _blank(shape, label, rng)
    _background(canvas, label.region, rng)
    left, right = _bands(canvas, label.region, rng, two=two)
    lines = _break(label) if two else [label.drawn]
    pitch = (shape.letters_bottom - shape.letters_top) / len(lines)
    places = []
    for row, line in enumerate(lines):
        top = int(HEIGHT_PX * (shape.letters_top + row * pitch))
        bottom = int(HEIGHT_PX * (shape.letters_top + (row + (0.88 if two else 1.0)) * pitch))
        places.append(tuple(letter(canvas, line, (left, top, right, bottom), rng, faces)))
    if two and label.region == "MA":
        _grid(canvas, rng)
    _furniture(canvas, shape, label.region, rng)
    return DrawnPlate(luma=np.clip(canvas.luma, 0, 255).astype(np.uint8), label=label, lines=tuple(places))


def _grid(canvas: Canvas, rng: Generator) -> None:
    """The line between the two rows of a square Moroccan plate."""
    height = canvas.luma.shape[0]
    middle = int(height * rng.uniform(0.47, 0.55))
    if rng.random() < 0.7:
        canvas.luma[middle : middle + int(rng.integers(1, 4))] = canvas.ink + rng.uniform(0, 60)


def _break(label: PlateLabel) -> list[str]:
    drawn = label.drawn
    if label.region == "MA" and drawn.count("|") == 2:
        serial, rest = drawn.split("|", 1)
        return [rest, serial]
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


def _blank(shape: Shape, label: PlateLabel, rng: Generator) -> Canvas:
    paper, ink = rng.uniform(170, 250), rng.uniform(5, 90)
    dark_share = {"US": 0.08, "BR": 0.12, "MA": 0.04, "GB": 0.06, "TN": 0.85}.get(label.region, 0.03)
    if rng.random() < dark_share or (label.region == "MA" and label.symbols[-1] in DARK_SERIES and rng.random() < 0.7):
        paper, ink = rng.uniform(15, 110), rng.uniform(190, 250)
    elif rng.random() < 0.2:
        paper = rng.uniform(115, 180)
    luma = np.full((HEIGHT_PX, int(HEIGHT_PX * shape.aspect)), paper, dtype=np.float32)
    return Canvas(luma=luma, paper=paper, ink=ink)


def _background(canvas: Canvas, region: str, rng: Generator) -> None:
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


def _bands(canvas: Canvas, region: str, rng: Generator, *, two: bool) -> tuple[int, int]:
    """Draws the coloured strips at the ends and tells where the lettering may lie (left, right in pixels)."""
    height, width = canvas.luma.shape
    left, right = int(rng.uniform(0.02, 0.06) * width), int(width * (1 - rng.uniform(0.02, 0.06)))
    if region in ("US", "BR", "AR", "MX", "") or (two and region in ("MA", "TN")):
        if region == "BR" and rng.random() < 0.35:
            canvas.luma[: int(0.2 * height)] = rng.uniform(40, 90)
        return left, right
    chance = {"MA": 0.1, "GB": 0.45, "TN": 0.02}.get(region, 0.75)
    strip = int(rng.uniform(0.06, 0.11) * width)
    if rng.random() < chance:
        _strip(canvas, region, strip, rng)
        left = strip + int(rng.uniform(0.01, 0.03) * width)
    if region in ("FR", "IT", "PT") and rng.random() < 0.5:
        canvas.luma[:, width - strip :] = rng.uniform(35, 110) if region != "PT" else 200.0
        right = width - strip - int(rng.uniform(0.01, 0.03) * width)
        small = fonts.words(pick(fonts.faces("plate"), rng), str(int(rng.integers(1, 96))), 14)
        canvas.stamp(small, width - (strip + small.shape[1]) // 2, int(height * rng.uniform(0.6, 0.75)), 240)
    return left, right


def _strip(canvas: Canvas, region: str, width_px: int, rng: Generator) -> None:
    """The strip with the country's letters, often a ring or a dozen of stars, in any brightness a colour can have."""
    height = canvas.luma.shape[0]
    ground = rng.uniform(20, 120) if rng.random() < 0.65 else rng.uniform(120, 225)
    ink = rng.uniform(200, 250) if ground < 170 else rng.uniform(10, 120)
    canvas.luma[:, :width_px] = ground
    code = (region or "EU")[: 2 if rng.random() < 0.5 else 1]
    small = fonts.words(pick(fonts.faces("plate"), rng), code, int(rng.integers(12, 26)))
    top = rng.uniform(0.5, 0.7) * (1.0 if rng.random() < 0.85 else 0.3)
    canvas.stamp(small, (width_px - small.shape[1]) // 2, int(height * top), ink)
    kind = rng.random()
    if kind < 0.25:
        return
    middle, radius = (width_px // 2, int(height * rng.uniform(0.22, 0.34))), width_px * rng.uniform(0.25, 0.4)
    if kind < 0.5:
        cv2.circle(canvas.luma, middle, round(radius), ink, 1 + int(rng.integers(2)))
        return
    for angle in np.arange(12) * (np.pi / 6):
        star = (round(middle[0] + radius * float(np.cos(angle))), round(middle[1] + radius * float(np.sin(angle))))
        cv2.circle(canvas.luma, star, 1, ink, -1)


def _furniture(canvas: Canvas, shape: Shape, region: str, rng: Generator) -> None:
    """Border line, screws, stickers and small print."""
    height, width = canvas.luma.shape
    if rng.random() < 0.55:
        inset = int(rng.integers(0, 4))
        line = canvas.ink if rng.random() < 0.7 else canvas.paper * 0.7
        cv2.rectangle(
            canvas.luma, (inset, inset), (width - 1 - inset, height - 1 - inset), line, int(rng.integers(1, 4))
        )
    screws(canvas, region, rng)
    if shape.letters_top > 0.18:
        _print(canvas, (0.02, shape.letters_top - 0.03), rng)
        if rng.random() < 0.6:
            _print(canvas, (min(0.9, shape.letters_bottom + 0.02), 0.99), rng)
    if region == "US":
        for _ in range(int(rng.integers(0, 3))):
            x, y = int(rng.choice([0.02, 0.85]) * width), int(rng.choice([0.03, 0.03, 0.78]) * height)
            canvas.luma[y : y + int(0.16 * height), x : x + int(0.12 * width)] = rng.uniform(30, 250)


def screws(canvas: Canvas, region: str, rng: Generator) -> None:
    """None, two or four screws where the country has them."""
    height, width = canvas.luma.shape
    for _ in range(int(rng.choice([0, 0, 2, 2, 4]))):
        x = int(rng.choice([rng.uniform(0.01, 0.08), rng.uniform(0.15, 0.85), rng.uniform(0.92, 0.99)]) * width)
        y = int(rng.uniform(0.35, 0.6) * height) if region == "MA" else int(rng.uniform(0.05, 0.2) * height)
        cv2.circle(canvas.luma, (x, y), int(rng.integers(1, 4)), canvas.ink * rng.uniform(0.5, 2.0), -1)


def _print(canvas: Canvas, rows: tuple[float, float], rng: Generator) -> None:
    height, width = canvas.luma.shape
    size = int((rows[1] - rows[0]) * height * rng.uniform(0.5, 0.95))
    if size < 5:
        return
    text = SMALL_PRINT[int(rng.integers(len(SMALL_PRINT)))]
    mask = fonts.words(pick(fonts.faces("word"), rng), text, size)
    if mask.shape[1] > 0.9 * width:
        mask = fonts.resized(mask, width_px=int(0.9 * width), height_px=mask.shape[0])
    x = int((width - mask.shape[1]) * rng.uniform(0.3, 0.7))
    canvas.stamp(mask, x, int(rows[0] * height + 1), canvas.ink + rng.uniform(-20, 80), rng.uniform(0.5, 1.0))
