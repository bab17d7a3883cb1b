"""A sheet of drawn plates that were misread, each with what stands there and what was read.

Only drawn plates: the sheet goes into the model cards, and real plates of real people do not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from models.evaluate.errors import percent
from models.evaluate.samples import DrawnRead
from models.evaluate.texts import pieces
from models.synth import fonts

COLUMNS, ROWS = 4, 4
TILE_PX, PICTURE_PX, GAP_PX = (300, 176), (300, 110), 14
PAPER, CARD, INK, SOFT, BAD = (244, 246, 249), (255, 255, 255), (28, 35, 48), (91, 100, 114), (179, 38, 30)
GREYS, FADE_STEPS = 60, 8
# A face that has both scripts.
CAPTION_FACE = "DejaVuSans.ttf"


def chosen(reads: Sequence[DrawnRead]) -> list[DrawnRead]:
    """Misread plates for the sheet: in turn one of each country, the most confident mistakes first."""
    by_country: dict[str, list[DrawnRead]] = defaultdict(list)
    for one in sorted(reads, key=lambda one: -one.sample.raw_permille):
        if not one.sample.right and one.read is not None:
            by_country[one.picture.region].append(one)
    queues = sorted(by_country.values(), key=lambda queue: (queue[0].picture.region != "MA", -len(queue)))
    found: list[DrawnRead] = []
    while any(queues) and len(found) < COLUMNS * ROWS:
        found += [queue.pop(0) for queue in queues if queue]
    return found[: COLUMNS * ROWS]


def write(path: Path, reads: Sequence[DrawnRead]) -> str:
    """Draws the sheet and returns a sentence about it."""
    picked = chosen(reads)
    rows = max(1, -(-len(picked) // COLUMNS))
    size = (COLUMNS * (TILE_PX[0] + GAP_PX) + GAP_PX, rows * (TILE_PX[1] + GAP_PX) + GAP_PX)
    sheet = Image.new("RGB", size, PAPER)
    for place, one in enumerate(picked):
        row, column = divmod(place, COLUMNS)
        sheet.paste(_tile(one), (GAP_PX + column * (TILE_PX[0] + GAP_PX), GAP_PX + row * (TILE_PX[1] + GAP_PX)))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.quantize(palette=_palette(), dither=Image.Dither.NONE).save(path, optimize=True)
    return f"{path}: {len(picked)} of {sum(not one.sample.right for one in reads)} misread drawn plates"


def _palette() -> Image.Image:
    """Few greys, and what the words need between their colour and the card's: a small file."""
    greys = [(step * 255 // GREYS,) * 3 for step in range(GREYS + 1)]
    fades = [
        tuple(round(ink + (card - ink) * step / FADE_STEPS) for ink, card in zip(colour, CARD, strict=True))
        for colour in (BAD, SOFT)
        for step in range(FADE_STEPS)
    ]
    palette = Image.new("P", (1, 1))
    palette.putpalette([value for colour in (*greys, *fades, PAPER) for value in colour])
    return palette


def _tile(one: DrawnRead) -> Image.Image:
    tile = Image.new("RGB", TILE_PX, CARD)
    luma = _close(one)
    scale = min(PICTURE_PX[0] / luma.shape[1], PICTURE_PX[1] / luma.shape[0])
    size = (max(1, round(luma.shape[1] * scale)), max(1, round(luma.shape[0] * scale)))
    how = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    shown = Image.fromarray(np.asarray(cv2.resize(luma, size, interpolation=how), dtype=np.uint8))
    backdrop = Image.new("RGB", PICTURE_PX, (30, 34, 40))
    backdrop.paste(shown, ((PICTURE_PX[0] - size[0]) // 2, (PICTURE_PX[1] - size[1]) // 2))
    tile.paste(backdrop, (0, 0))
    pen = ImageDraw.Draw(tile)
    small, large = _font(12), _font(17)
    country = one.picture.region or "–"
    _left_to_right(pen, (12, 117), f"{country}  ", small, SOFT)
    _left_to_right(pen, (48, 113), one.picture.text, large, INK)
    _left_to_right(pen, (12, 147), "read", small, SOFT)
    assert one.read is not None
    end = _left_to_right(pen, (48, 143), one.read.text, large, BAD)
    _left_to_right(pen, (end + 10, 147), percent(one.read.confidence_permille), small, SOFT)
    return tile


def _close(one: DrawnRead) -> NDArray[np.uint8]:
    """The picture cut to its plate and some room around, in the shape of a tile."""
    luma, points = one.picture.luma, np.array(one.picture.corners)
    low, high = points.min(axis=0), points.max(axis=0)
    half_x = max(0.6 * (high[0] - low[0]), 0.6 * (high[1] - low[1]) * PICTURE_PX[0] / PICTURE_PX[1])
    half = np.array([half_x, half_x * PICTURE_PX[1] / PICTURE_PX[0]])
    left, top = np.maximum(0, (low + high) / 2 - half).astype(int)
    right, bottom = np.ceil((low + high) / 2 + half).astype(int)
    return luma[top:bottom, left:right]


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    found = next(fonts.FONT_ROOT.rglob(CAPTION_FACE), None)
    return ImageFont.load_default(size) if found is None else ImageFont.truetype(str(found), size)


def _left_to_right(
    pen: ImageDraw.ImageDraw,
    at: tuple[int, int],
    text: str,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    colour: tuple[int, int, int],
) -> int:
    """Writes part by part, since the order on a plate is not that of Arabic prose; returns where it ends."""
    x = float(at[0])
    for part in pieces(text):
        pen.text((x, at[1]), part, font=font, fill=colour)
        x += font.getlength(part)
    return round(x)
