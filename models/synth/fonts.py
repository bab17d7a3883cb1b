"""Glyphs as grey masks: finds the free typefaces on this machine and keeps each drawn glyph.

Decides which faces may stand for a plate's lettering.  Nothing here knows about countries.
"""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, features

from edge.reader.alphabet import WORDS
from models.synth import typefaces

FONT_ROOT = Path("/usr/share/fonts")
GLYPH_HEIGHT_PX = 72
# On the plate the letter heh stands in its initial form, which a joiner after it asks for.
SHAPES = {"ه": "ه\u200d"} | WORDS


class FontsMissing(RuntimeError):
    """None of the typefaces of a list is installed, or nothing here can join Arabic letters."""


@cache
def faces(kind: str) -> tuple[Path, ...]:
    """The files of one list that may be trained with: `plate`, `arabic` or `word`; FontsMissing when there is none."""
    found = tuple(face for face in _all_faces(kind) if not typefaces.is_held_out(face))
    if not found:
        raise FontsMissing(f"no {kind} typeface under {FONT_ROOT}: install the packages named in {typefaces.__file__}")
    return found


@cache
def held_out_faces(kind: str) -> tuple[Path, ...]:
    """The installed faces of a list that are never trained with; may be empty."""
    return tuple(face for face in _all_faces(kind) if typefaces.is_held_out(face))


@cache
def _all_faces(kind: str) -> tuple[Path, ...]:
    if kind == "arabic" and not (features.check("raqm") and features.check("fribidi")):
        raise FontsMissing(
            "Arabic letters would stand unjoined and in reverse order: Pillow finds no libfribidi; install libfribidi0"
        )
    wanted, families, subset = {
        "plate": (typefaces.DEBIAN_PLATE, typefaces.NPM_PLATE, "latin"),
        "arabic": (typefaces.DEBIAN_ARABIC, typefaces.NPM_ARABIC, "arabic"),
        "word": (typefaces.DEBIAN_WORD + typefaces.DEBIAN_PLATE, typefaces.NPM_PLATE, "latin"),
    }[kind]
    by_name = {path.name: path for path in sorted(FONT_ROOT.rglob("*.[ot]tf"))}
    return tuple(by_name[name] for name in wanted if name in by_name) + tuple(typefaces.fetched(families, subset))


@lru_cache(maxsize=256)
def _face(path: Path, cap_height_px: int) -> ImageFont.FreeTypeFont:
    probe = ImageFont.truetype(str(path), 100)
    # A face with Arabic letters only has no H; there the alef with its hamza is as high.
    letter = "أ" if "-arabic-" in path.name else "H"
    top, bottom = probe.getbbox(letter)[1], probe.getbbox(letter)[3]
    return ImageFont.truetype(str(path), max(4, round(100 * cap_height_px / max(20.0, bottom - top))))


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
