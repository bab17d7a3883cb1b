"""The reliability diagram: how often reads of a confidence are right, before and after calibration, as a PNG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from edge.reader.calibration import CERTAIN_PERMILLE
from models.evaluate.calibration import Measured, Sample, bins_of
from models.evaluate.table import wilson

PANEL_PX, MARGIN_PX, PLOT_PX = (560, 640), (64, 112), 420
SCALE = 2
PAPER, INK, SOFT, LINE = (255, 255, 255), (28, 35, 48), (107, 116, 130), (217, 222, 230)
BEFORE, AFTER = (190, 120, 40), (31, 79, 163)


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """One plot: reads of one source with both confidences and their errors."""

    title: str
    samples: Sequence[Sample]
    before: Sequence[int]
    after: Sequence[int]
    error_before: Measured
    error_after: Measured


def write(path: Path, panels: Sequence[Panel]) -> None:
    """Draws the panels side by side."""
    big = Image.new("RGB", (PANEL_PX[0] * len(panels) * SCALE, PANEL_PX[1] * SCALE), PAPER)
    for place, panel in enumerate(panels):
        _Plot(ImageDraw.Draw(big), place * PANEL_PX[0]).draw(panel)
    path.parent.mkdir(parents=True, exist_ok=True)
    small = big.resize((big.width // SCALE, big.height // SCALE), Image.Resampling.LANCZOS)
    small.quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)


class _Plot:
    """Draws one panel; coordinates are shares from 0 to 1."""

    def __init__(self, pen: ImageDraw.ImageDraw, left_px: int) -> None:
        self._pen = pen
        self._left_px = left_px

    def draw(self, panel: Panel) -> None:
        self._frame(panel)
        for permille, colour, shift in ((panel.before, BEFORE, -1.5), (panel.after, AFTER, 1.5)):
            self._series(panel.samples, permille, colour, shift)
        for row, (name, error, colour) in enumerate(
            (("reader's own", panel.error_before, BEFORE), ("calibrated", panel.error_after, AFTER))
        ):
            y = MARGIN_PX[1] + 14 + 22 * row
            x = self._left_px + MARGIN_PX[0] + 14
            self._dot((x + 5, y + 8), colour)
            words = f"{name}: error {100 * error.error:.1f} % ({100 * error.low:.1f} to {100 * error.high:.1f})"
            self._words((x + 18, y), words, 13, INK)

    def _frame(self, panel: Panel) -> None:
        self._words((self._left_px + MARGIN_PX[0], 24), panel.title, 19, INK)
        reads = f"{len(panel.samples)} reads; bins of equally many, Wilson 95 % intervals"
        self._words((self._left_px + MARGIN_PX[0], 52), reads, 12, SOFT)
        for step in range(0, 11, 2):
            share = step / 10
            self._line(self._at(0, share), self._at(1, share), LINE)
            self._line(self._at(share, 0), self._at(share, 1), LINE)
            x, y = self._at(share, 0)
            self._words((x - 10, y + 8), f"{100 * share:.0f}", 12, SOFT)
            x, y = self._at(0, share)
            self._words((x - 34, y - 8), f"{100 * share:.0f}", 12, SOFT)
        self._line(self._at(0, 0), self._at(1, 1), SOFT)
        x, y = self._at(0.5, 0)
        self._words((x - 70, y + 32), "confidence, per cent", 13, INK)
        x, y = self._at(0, 1)
        self._words((x - 34, y - 32), "right, per cent", 13, INK)

    def _series(
        self, samples: Sequence[Sample], permille: Sequence[int], colour: tuple[int, int, int], shift: float
    ) -> None:
        confidences = np.array(permille, dtype=np.float64) / CERTAIN_PERMILLE
        points = []
        for inside in bins_of(confidences):
            right = sum(samples[int(i)].right for i in inside)
            low, high = wilson(right, inside.size)
            x, y = self._at(float(confidences[inside].mean()), right / inside.size)
            points.append((x + shift, y))
            self._line((x + shift, self._at(0, low)[1]), (x + shift, self._at(0, high)[1]), colour, 1.2)
        for one, other in pairwise(points):
            self._line(one, other, colour, 1.6)
        for point in points:
            self._dot(point, colour)

    def _at(self, x: float, y: float) -> tuple[float, float]:
        return self._left_px + MARGIN_PX[0] + x * PLOT_PX, MARGIN_PX[1] + (1 - y) * PLOT_PX

    def _line(
        self, start: tuple[float, float], end: tuple[float, float], colour: tuple[int, int, int], width: float = 1.0
    ) -> None:
        ends = [(x * SCALE, y * SCALE) for x, y in (start, end)]
        self._pen.line(ends, fill=colour, width=round(width * SCALE))

    def _dot(self, at: tuple[float, float], colour: tuple[int, int, int]) -> None:
        x, y, radius = at[0] * SCALE, at[1] * SCALE, 4 * SCALE
        self._pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)

    def _words(self, at: tuple[float, float], text: str, size: int, colour: tuple[int, int, int]) -> None:
        self._pen.text((at[0] * SCALE, at[1] * SCALE), text, font=ImageFont.load_default(size * SCALE), fill=colour)
