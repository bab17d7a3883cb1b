"""Invented plates of the drawn street: their texts, and their art as flat pictures.

Decided here: which countries drive past and how their plates look. The written form (`text`) is that of
`vedette.plates`; nothing here is a real vehicle's plate on purpose, yet any drawn number may exist somewhere.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from vedette.errors import NotFound
from vedette.plates import normalise

WIDTH_PX, HEIGHT_PX = 520, 110
WIDTH_M, HEIGHT_M = 0.52, 0.11
FONT_FOLDERS = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"))
LATIN_FACES = ("NotoSans-Bold.ttf", "DejaVuSans-Bold.ttf")
ARABIC_FACES = ("NotoNaskhArabic-Bold.ttf", "NotoSansArabic-Bold.ttf", "DejaVuSans-Bold.ttf")
# On the plate heh stands in its initial form.
SHAPES = {"ه": "\ufeeb"}

_BLACK, _WHITE, _YELLOW, _BLUE = (18, 18, 20), (238, 238, 234), (236, 198, 40), (20, 50, 150)
_LETTERS = "أأأأببببدهوط"
_PREFECTURES = (1, 1, 1, 6, 6, 40, 40, 8, 13, 15, 26, 33, 48, 59, 67, 72)
_LATIN = "ABCDEFGHJKLMNPRSTVWXYZ"
_PATTERNS = {"FR": "LL-DDD-LL", "ES": "DDDD CCC", "GB": "LLDD LLL", "DE": "LL LL DDD", "PT": "LL-DD-LL"}
_CONSONANTS = "BCDFGHJKLMNPRSTVWXYZ"


@dataclass(frozen=True, kw_only=True, slots=True)
class StreetPlate:
    """A plate on a car: as it is drawn (with gaps and dashes), its written form, its country."""

    drawn: str
    text: str
    region: str


def invent(rng: random.Random) -> StreetPlate:
    """A plate such as Rabat sees: seven in ten Moroccan, the rest visitors."""
    region = "MA" if rng.random() < 0.7 else rng.choice(sorted(_PATTERNS))
    if region == "MA":
        drawn = f"{rng.randint(1000, 99_999)}|{rng.choice(_LETTERS)}|{rng.choice(_PREFECTURES)}"
    else:
        choices = {"L": _LATIN, "C": _CONSONANTS, "D": "0123456789"}
        drawn = "".join(rng.choice(choices[c]) if c in choices else c for c in _PATTERNS[region])
    return StreetPlate(drawn=drawn, text=normalise(drawn, region).text, region=region)


@lru_cache(maxsize=256)
def art(plate: StreetPlate, *, is_rear: bool) -> NDArray[np.uint8]:
    """The plate's picture, BGR uint8 of shape (110, 520, 3)."""
    paper = _YELLOW if plate.region == "GB" and is_rear else _WHITE
    picture = Image.new("RGB", (WIDTH_PX, HEIGHT_PX), paper)
    pen = ImageDraw.Draw(picture)
    pen.rounded_rectangle((2, 2, WIDTH_PX - 3, HEIGHT_PX - 3), radius=9, outline=_BLACK, width=3)
    if plate.region == "MA":
        _write_moroccan(picture, pen, plate.drawn)
    else:
        _write_european(picture, pen, plate)
    return np.ascontiguousarray(np.asarray(picture, dtype=np.uint8)[:, :, ::-1])


@lru_cache(maxsize=256)
def sizes(plate: StreetPlate, *, is_rear: bool) -> tuple[NDArray[np.uint8], ...]:
    """The art at 520, 260, 130 and 65 pixels width, averaged, so that a small plate does not glitter."""
    full = art(plate, is_rear=is_rear)
    widths = (WIDTH_PX // 2, WIDTH_PX // 4, WIDTH_PX // 8)
    smaller = [cv2.resize(full, (w, w * HEIGHT_PX // WIDTH_PX), interpolation=cv2.INTER_AREA) for w in widths]
    return (full, *(np.asarray(one, dtype=np.uint8) for one in smaller))


def _write_moroccan(picture: Image.Image, pen: ImageDraw.ImageDraw, drawn: str) -> None:
    """Serial, bar, letter, bar, prefecture: the bars run from edge to edge as on the real plate."""
    serial, letter, prefecture = drawn.split("|")
    for x in (314, 400):
        pen.rectangle((x, 3, x + 4, HEIGHT_PX - 4), fill=_BLACK)
    _write(picture, serial, (18, 308), gap_px=10)
    _write(picture, letter, (324, 396), gap_px=0)
    _write(picture, prefecture, (410, 508), gap_px=7)


def _write_european(picture: Image.Image, pen: ImageDraw.ImageDraw, plate: StreetPlate) -> None:
    pen.rounded_rectangle((4, 4, 46, HEIGHT_PX - 5), radius=6, fill=_BLUE)
    face = _face(LATIN_FACES, 30)
    label = {"GB": "UK", "DE": "D", "FR": "F", "ES": "E", "PT": "P"}[plate.region]
    pen.text((25, HEIGHT_PX - 26), label, font=face, fill=_WHITE, anchor="mm")
    _write(picture, plate.drawn, (60, 502), gap_px=8)


def _write(picture: Image.Image, text: str, between: tuple[int, int], *, gap_px: int) -> None:
    """Set `text` centred between two columns, capitals 76 px high, squeezed where it would not fit."""
    glyphs = [_glyph(character) for character in text]
    room = between[1] - between[0] - gap_px * (len(glyphs) - 1)
    squeeze = min(1.0, room / max(1, sum(glyph.width for glyph in glyphs)))
    widths = [max(1, int(glyph.width * squeeze)) for glyph in glyphs]
    x = (between[0] + between[1] - sum(widths) - gap_px * (len(glyphs) - 1)) // 2
    for glyph, width in zip(glyphs, widths, strict=True):
        mask = glyph.resize((width, glyph.height), Image.Resampling.BILINEAR)
        picture.paste(_BLACK, (x, (HEIGHT_PX - glyph.height) // 2), mask)
        x += width + gap_px


@lru_cache(maxsize=128)
def _glyph(character: str) -> Image.Image:
    """A character as a mask: digits and capitals 50 by 76 px, as a plate has them, whatever the typeface."""
    if character == " ":
        return Image.new("L", (22, 76), 0)
    arabic = "\u0600" <= character <= "\u06ff"
    face = _face(ARABIC_FACES if arabic else LATIN_FACES, 150)
    text = SHAPES.get(character, character)
    left, top, right, bottom = (int(edge) for edge in face.getbbox(text))
    mask = Image.new("L", (right - left, bottom - top), 0)
    ImageDraw.Draw(mask).text((-left, -top), text, font=face, fill=255)
    if character == "-":
        small = mask.resize((22, 10), Image.Resampling.LANCZOS)
        dash = Image.new("L", (22, 76), 0)
        dash.paste(small, (0, 33))
        return dash
    if arabic:
        scale = min(80 / mask.height, 66 / mask.width)
        return mask.resize((max(26, int(mask.width * scale)), int(mask.height * scale)), Image.Resampling.LANCZOS)
    width = {"1": 30, "M": 58, "W": 64}.get(character, 48)
    return mask.resize((width, 76), Image.Resampling.LANCZOS)


@lru_cache(maxsize=16)
def _face(names: tuple[str, ...], size_px: int) -> ImageFont.FreeTypeFont:
    for name in names:
        for folder in FONT_FOLDERS:
            for path in sorted(folder.rglob(name)):
                return ImageFont.truetype(str(path), size_px, layout_engine=ImageFont.Layout.BASIC)
    raise NotFound(f"no typeface to draw plates with ({', '.join(names)}): apt install fonts-noto-core")
