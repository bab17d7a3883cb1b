"""Glyphs as grey masks: finds the free typefaces on this machine and keeps each drawn glyph.

Decides which faces may stand for a plate's lettering.  Nothing here knows about countries.
"""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

FONT_ROOT = Path("/usr/share/fonts")
GLYPH_HEIGHT_PX = 72
# Debian packages: fonts-roadgeek, fonts-opendin, fonts-osifont, fonts-dejavu-core, fonts-dejavu-extra,
# fonts-liberation, fonts-noto-core, fonts-bebas-neue, fonts-inter, fonts-play, fonts-b612, fonts-roboto-unhinted,
# fonts-league-mono, fonts-dosis, fonts-comfortaa, fonts-lato, fonts-cantarell, fonts-open-sans,
# fonts-yanone-kaffeesatz, fonts-averia-sans-gwf, fonts-freefont-ttf, fonts-hosny-amiri, fonts-kacst, fonts-kacst-one.
PLATE_FACES = (
    "RG2014B.ttf", "RG2014C.ttf", "RG2014D.ttf", "RG2014E.ttf", "OSP-DIN.ttf", "osifont.ttf",
    "DejaVuSansCondensed-Bold.ttf", "DejaVuSansMono-Bold.ttf", "DejaVuSans-Bold.ttf", "DejaVuSansCondensed.ttf",
    "LiberationSansNarrow-Bold.ttf", "LiberationSansNarrow-Regular.ttf", "LiberationSans-Bold.ttf",
    "LiberationMono-Bold.ttf", "NotoSans-Bold.ttf", "NotoSansMono-Bold.ttf", "NotoSansDisplay-Bold.ttf",
    "NotoSans-Regular.ttf", "BebasNeue-Regular.otf", "BebasNeue.otf", "Inter-Bold.otf", "Inter-SemiBold.otf",
    "Play-Bold.ttf", "B612-Bold.ttf", "Roboto-Bold.ttf", "RobotoCondensed-Bold.ttf", "RobotoCondensed-Regular.ttf",
    "Roboto-Medium.ttf", "LeagueMono-Bold.otf", "LeagueMono-CondensedBold.otf",
    "Dosis-Bold.otf", "Dosis-SemiBold.otf", "Comfortaa-Bold.ttf", "Lato-Bold.ttf", "Cantarell-Bold.otf",
    "OpenSans-CondBold.ttf",
    "YanoneKaffeesatz-Bold.otf", "AveriaSansGWF-Bold.ttf", "FreeSansBold.ttf", "OpenSans-Semibold.ttf",
)  # fmt: skip
ARABIC_FACES = (
    "Amiri-Bold.ttf", "Amiri-Regular.ttf", "KacstOne-Bold.ttf", "KacstOne.ttf", "KacstBook.ttf", "KacstOffice.ttf",
    "KacstScreen.ttf", "KacstTitle.ttf", "KacstNaskh.ttf", "KacstPoster.ttf", "NotoNaskhArabic-Bold.ttf",
    "NotoNaskhArabic-Regular.ttf", "NotoSansArabic-Bold.ttf", "NotoSansArabic-Regular.ttf", "NotoKufiArabic-Bold.ttf",
    "DejaVuSans-Bold.ttf", "DejaVuSans.ttf",
)  # fmt: skip
WORD_FACES = ("LiberationSerif-Italic.ttf", "LiberationSans-BoldItalic.ttf", "DejaVuSerif.ttf", "DejaVuSans.ttf")
# On the plate the letter heh stands in its initial form, which a joiner after it asks for.
SHAPES = {"ه": "ه\u200d"}


class FontsMissing(RuntimeError):
    """None of the typefaces of a list is installed."""


@cache
def faces(kind: str) -> tuple[Path, ...]:
    """The installed files of one list: `plate`, `arabic` or `word`; raises FontsMissing when there is none."""
    wanted = {"plate": PLATE_FACES, "arabic": ARABIC_FACES, "word": WORD_FACES + PLATE_FACES}[kind]
    by_name = {path.name: path for path in sorted(FONT_ROOT.rglob("*.[ot]tf"))}
    found = tuple(by_name[name] for name in wanted if name in by_name)
    if not found:
        raise FontsMissing(f"no {kind} typeface under {FONT_ROOT}: install the packages named in {__file__}")
    return found


@lru_cache(maxsize=256)
def _face(path: Path, cap_height_px: int) -> ImageFont.FreeTypeFont:
    probe = ImageFont.truetype(str(path), 100)
    top, bottom = probe.getbbox("H")[1], probe.getbbox("H")[3]
    return ImageFont.truetype(str(path), max(4, round(100 * cap_height_px / max(1.0, bottom - top))))


@lru_cache(maxsize=8192)
def glyph(path: Path, character: str) -> NDArray[np.uint8]:
    """One character as a tight grey mask, capitals GLYPH_HEIGHT_PX high; (height, width), 255 is ink."""
    return _tight(_face(path, GLYPH_HEIGHT_PX), SHAPES.get(character, character))


@lru_cache(maxsize=4096)
def words(path: Path, text: str, height_px: int) -> NDArray[np.uint8]:
    """A line of small print as a tight grey mask (height, width)."""
    return _tight(_face(path, height_px), text)


def _tight(face: ImageFont.FreeTypeFont, text: str) -> NDArray[np.uint8]:
    left, top, right, bottom = (round(v) for v in face.getbbox(text))
    picture = Image.new("L", (max(1, right - left) + 8, max(1, bottom - top) + 8), 0)
    ImageDraw.Draw(picture).text((4 - left, 4 - top), text, font=face, fill=255)
    mask = np.asarray(picture, dtype=np.uint8)
    rows, columns = np.flatnonzero(mask.max(axis=1) > 40), np.flatnonzero(mask.max(axis=0) > 40)
    if rows.size == 0:
        return np.zeros((2, 2), dtype=np.uint8)
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()


def resized(mask: NDArray[np.uint8], *, width_px: int, height_px: int) -> NDArray[np.uint8]:
    """The mask at another size, averaged when it shrinks."""
    size = (max(1, width_px), max(1, height_px))
    how = cv2.INTER_AREA if size[1] < mask.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(mask, size, interpolation=how), dtype=np.uint8)
