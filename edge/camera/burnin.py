"""Date, time and a text drawn into pictures that are encoded here anyway.

Decided here: where and how it is drawn; in the recorded picture only, never in the reader's. Where pictures come coded
they are left as they are: the line beside them (docs/spec/segment.md) says the same and more.
"""

from __future__ import annotations

import re

import cv2
import numpy as np
from numpy.typing import NDArray

from vedette.clock import iso
from vedette.errors import Usage

_TEXT = re.compile(r"^[A-Za-z0-9_.-]{0,32}$")
_ROWS_PER_LETTER = 24
_FONT_ROWS = 22


def check_text(text: str) -> str:
    """`text` where it can be drawn: letters, digits, dot, dash, underline, at most 32; else Usage."""
    if not _TEXT.match(text):
        raise Usage(f"[camera] options: stamp is {text[:60]!r}; use at most 32 letters, digits, dots and dashes")
    return text


def burn_in(i420: NDArray[np.uint8], text: str, utc_us: int) -> NDArray[np.uint8]:
    """A copy of an I420 picture with `2026-11-25 22:06:42Z TEXT` at its top left; the picture itself without a text."""
    if not text:
        return i420
    picture = i420.copy()
    draw(picture[: picture.shape[0] * 2 // 3], text, utc_us)
    return picture


def draw(luma: NDArray[np.uint8], text: str, utc_us: int) -> None:
    """Draw the line into a grey picture where it lies; `text` must not be empty."""
    height, width = luma.shape
    scale = max(1.0, height / _ROWS_PER_LETTER / _FONT_ROWS)
    line = f"{iso(utc_us)[:19].replace('T', ' ')}Z {text}"
    (across, up), down = cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, scale, round(scale))
    scale *= min(1.0, (width - 8) / across)
    (across, up), down = cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, scale, max(1, round(scale)))
    luma[: up + down + 8, : across + 8] //= 2
    cv2.putText(luma, line, (4, up + 4), cv2.FONT_HERSHEY_SIMPLEX, scale, (235,), max(1, round(scale)), cv2.LINE_AA)
