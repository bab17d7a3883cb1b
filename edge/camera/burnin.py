"""The stamp drawn into pictures that are encoded here anyway.

Decided here: where and how it is drawn; in the recorded picture only, never in the reader's. Where pictures come coded
they are left as they are: the line beside them (docs/spec/segment.md) says the same and more. A line of it is rendered
when its words change, once a second at most; into each picture it is only copied. Letters are white with a dark edge on
a ground that lets half of the picture through, so they can be read in snow and at night.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.camera.drawnstamp import StampFacts, drawn_lines
from vedette.errors import Usage

OPTION, WITHOUT_TEXT = "stamp", "true"
_TEXT = re.compile(r"^[A-Za-z0-9_.-]{0,32}$")
_FONT = cv2.FONT_HERSHEY_SIMPLEX
# Of the font's letters, which are 22 rows high at 1; smaller ones cannot be read.
_SCALE_AT_1080, _LEAST_SCALE = 0.75, 0.45
_MARGIN = 4
_WHITE = 235


def stamp_text(options: Mapping[str, str]) -> str | None:
    """What is drawn beside the stamp, None where nothing is drawn.

    Letters, digits, dot, dash, underline, at most 32; else Usage.
    """
    text = options.get(OPTION, "")
    if not _TEXT.match(text):
        raise Usage(f"[camera] options: stamp is {text[:60]!r}; use at most 32 letters, digits, dots and dashes")
    return "" if text == WITHOUT_TEXT else text or None


class BurntStamp:
    """Draws the stamp into the pictures of one camera; one thread draws, any may set `facts`.

    Until it has some, nothing is drawn.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self.facts: StampFacts | None = None
        self._of: tuple[StampFacts, int, tuple[int, ...]] | None = None
        self._strips: dict[str, NDArray[np.uint8]] = {}

    def burnt(self, i420: NDArray[np.uint8], utc_us: int) -> NDArray[np.uint8]:
        """A copy of an I420 picture with the stamp in it, for the picture is the reader's too."""
        if self.facts is None:
            return i420
        picture = i420.copy()
        self.draw(picture[: picture.shape[0] * 2 // 3], utc_us)
        return picture

    def draw(self, luma: NDArray[np.uint8], utc_us: int) -> None:
        """Draw into a grey picture, uint8 of shape (height, width), where it lies; it was taken at `utc_us`."""
        facts = self.facts
        if facts is None:
            return
        now = facts, utc_us // 1_000_000, luma.shape
        if now != self._of:
            self._render(facts, utc_us, *luma.shape)
            self._of = now
        top = 0
        for strip in self._strips.values():
            ground = luma[top : top + strip.shape[0], : strip.shape[1]]
            np.right_shift(ground, 1, out=ground)
            cut = strip[: ground.shape[0]]
            np.copyto(ground, cut, where=cut > 0)
            top += strip.shape[0]

    def _render(self, facts: StampFacts, utc_us: int, height: int, width: int) -> None:
        """The strips for a picture; lines that say what they said are not drawn again."""
        scale = max(_LEAST_SCALE, _SCALE_AT_1080 * height / 1080)
        room = width - 2 * _MARGIN
        lines = drawn_lines(facts, self._text, utc_us=utc_us, fits=lambda line: _across(line, scale) <= room)
        before = self._strips if self._of is not None and self._of[2] == (height, width) else {}
        self._strips = {line: _strip(line, scale, room) if line not in before else before[line] for line in lines}


def _across(line: str, scale: float) -> int:
    (across, _), _ = cv2.getTextSize(line, _FONT, scale, _thick(scale))
    return across


def _thick(scale: float) -> int:
    return max(1, round(2 * scale))


def _strip(line: str, scale: float, room: int) -> NDArray[np.uint8]:
    """The letters and their edge, 0 where there are none; a line that is wider than the picture is made smaller."""
    scale *= min(1.0, room / max(1, _across(line, scale)))
    thick = _thick(scale)
    (across, up), down = cv2.getTextSize(line, _FONT, scale, thick)
    letters = np.zeros((up + down + _MARGIN, across + 2 * _MARGIN), np.uint8)
    cv2.putText(letters, line, (_MARGIN, up + _MARGIN // 2), _FONT, scale, (_WHITE,), thick, cv2.LINE_AA)
    edge = cv2.dilate((letters > 0).astype(np.uint8), np.ones((3, 3), np.uint8))
    return np.maximum(letters, np.asarray(edge, np.uint8))
