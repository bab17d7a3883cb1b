"""Characters as stamping tools press them, which no free typeface has.

The ones of Brazilian, British and older plates: a `1` that is a bare bar with a hint of a flag, an `I` without feet, an
`O` and `0` that are rectangles with cut corners, and a `D` that differs from them by its square left side only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from models.synth.fonts import GLYPH_HEIGHT_PX
from models.synth.openings import CLOSED, thinned

PRESSED = frozenset("1I0OQD")
# What a stroke may thin to where its character would close.
THINNEST_PX = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Pressed:
    """The tools of one plate: stroke and widths in pixels of a glyph's height, cut of the corners, flag of the one."""

    stroke_px: int
    width_px: int
    zero_width_px: int
    cut_px: int
    flag_px: int

    @classmethod
    def random(cls, rng: Generator) -> Pressed:
        """Tools as they may come."""
        width = int(rng.integers(36, 54))
        return cls(
            stroke_px=int(rng.integers(8, 14)),
            width_px=width,
            zero_width_px=width if rng.random() < 0.5 else int(width * rng.uniform(0.8, 1.0)),
            cut_px=int(rng.integers(7, 18)),
            flag_px=int(rng.integers(0, 16)),
        )


def pressed_glyph(character: str, tools: Pressed) -> NDArray[np.uint8]:
    """One of PRESSED as a grey mask (GLYPH_HEIGHT_PX, width); its stroke is thinner where it would close."""
    if character in "1I":
        return _bar(tools, flag_px=tools.flag_px if character == "1" else 0)
    return thinned(
        lambda stroke_px: _round(character, replace(tools, stroke_px=stroke_px)),
        tools.stroke_px, THINNEST_PX, CLOSED[character],
    )  # fmt: skip


def _round(character: str, tools: Pressed) -> NDArray[np.uint8]:
    width = tools.zero_width_px if character == "0" else tools.width_px
    mask = _ring(width, tools, square_left=character == "D")
    if character == "Q":
        start, end = (width // 2, GLYPH_HEIGHT_PX - 22), (width - 1, GLYPH_HEIGHT_PX - 2)
        cv2.line(mask, start, end, 255, max(3, tools.stroke_px * 3 // 4), cv2.LINE_AA)
    return mask


def _bar(tools: Pressed, *, flag_px: int) -> NDArray[np.uint8]:
    mask = np.zeros((GLYPH_HEIGHT_PX, tools.stroke_px + flag_px), dtype=np.uint8)
    mask[:, flag_px:] = 255
    if flag_px:
        flag = np.array([[flag_px, 0], [0, flag_px], [0, flag_px + tools.stroke_px // 2], [flag_px, tools.stroke_px]])
        cv2.fillPoly(mask, [flag.astype(np.int32)], 255, cv2.LINE_AA)
    return mask


def _ring(width: int, tools: Pressed, *, square_left: bool) -> NDArray[np.uint8]:
    mask = np.zeros((GLYPH_HEIGHT_PX, width), dtype=np.uint8)
    inner_cut = max(1, tools.cut_px - tools.stroke_px // 2)
    for inset, cut, value in ((0, tools.cut_px, 255), (tools.stroke_px, inner_cut, 0)):
        left, top, right, bottom = inset, inset, width - 1 - inset, GLYPH_HEIGHT_PX - 1 - inset
        near = 0 if square_left else cut
        outline = [
            (left + near, top), (right - cut, top), (right, top + cut), (right, bottom - cut),
            (right - cut, bottom), (left + near, bottom), (left, bottom - near), (left, top + near),
        ]  # fmt: skip
        cv2.fillPoly(mask, [np.array(outline, dtype=np.int32)], value, cv2.LINE_AA)
    return mask
