"""What a plate says: the reader model over the straightened plate, as many looks as it takes.

One look is enough where it is nearly certain of a text of a known shape, two where both are sure of the same.  Else
the plate is cut in other ways, every cut is read, and the texts of all of them are weighed with what is known about
plates (`weighing`, `grammar`).  A text that fills only a part of its cut is read again on a cut of its own size.  A
plate that is nearly square is also read as two lines.  Whether it is a plate at all, the first look says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge.reader import ctc, weighing
from edge.reader.alphabet import BLANK, SYMBOLS
from edge.reader.calibration import CERTAIN_PERMILLE, IDENTITY, Calibration
from edge.reader.infer import Model, ModelUnusable
from edge.reader.straighten import (
    FIRST_VIEW,
    MORE_VIEWS,
    SECOND_VIEW,
    TWO_ROWS,
    Quad,
    View,
    aspect,
    part_of,
    straightened,
)
from edge.reader.weighing import Alternative, Character, PlateText

__all__ = ["Alternative", "Character", "Glance", "PlateReader", "PlateText"]

ENOUGH_PERMILLE = 850
# So sure a first look is the only one.  Measured on photographs that were not trained on: of 3,109 such looks a second
# one said otherwise in none, and made one less sure than 800.
ALONE_PERMILLE = 970
# Below the first a plate may have two lines and is tried so where one line does not settle it; below the second always.
TWO_ROWS_BELOW_ASPECT = 2.6
SQUARE_BELOW_ASPECT = 1.8
# The room left beside a text that the plate is cut to, in its widths; how much of the plate must be empty for that.
FITTED_ROOM, LEAST_EMPTY, LEAST_SPOKEN = 0.1, 0.08, 3

Luma = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class Glance:
    """One look at a plate: what it says, and the reader's log-probabilities, with which a thorough read begins.

    `plate_permille` is how surely it is a plate, as in `PlateText`.
    """

    plate: PlateText | None
    rows: ctc.Rows
    plate_permille: int


class PlateReader:
    """Reads plates whose corners are known."""

    def __init__(self, model: Model, calibration: Calibration = IDENTITY) -> None:
        """Takes the loaded reader model and what its confidence is worth.

        Raises ModelUnusable where the model emits another set of symbols, or more beside them than one number that says
        whether it is a plate; one without that number takes everything for a plate.
        """
        self._model = model
        self._calibration = calibration
        (rows, *others) = model.run(np.full((1, model.height_px, model.width_px, 1), 128, dtype=np.uint8))
        if [one.size for one in others] not in ([], [1]) or rows.ndim != 3 or rows.shape[-1] != len(SYMBOLS) + 1:
            shapes = ", ".join(str(one.shape) for one in (rows, *others))
            raise ModelUnusable(f"a reader emits {len(SYMBOLS) + 1} symbols a step and one number, this model {shapes}")

    def read(
        self, luma: Luma, corners_px: Sequence[tuple[float, float]], glance: Glance | None = None
    ) -> PlateText | None:
        """The plate between four corners of a grey picture (height, width), or None where no text fits; goes on from
        `glance` where it was had of the same plate and picture.
        """
        corners = np.array(corners_px, dtype=np.float32)
        if glance is None:
            first, plate_permille = self._first(luma, corners)
        else:
            first, plate_permille = glance.rows, glance.plate_permille
        return self._finished(self._read(luma, corners, first), plate_permille)

    def _finished(self, plate: PlateText | None, plate_permille: int) -> PlateText | None:
        known = self._calibration.applied(plate)
        return None if known is None else replace(known, plate_permille=plate_permille)

    def _read(self, luma: Luma, corners: Quad, first: ctc.Rows) -> PlateText | None:
        shape = aspect(corners)
        best, weights = self._one_row(luma, corners, first)
        if not _enough(best):
            best = self._fitted(luma, corners, best, first)
        if shape >= TWO_ROWS_BELOW_ASPECT or (_enough(best) and shape >= SQUARE_BELOW_ASPECT):
            return best
        rows = weighing.weigh_two_rows(*([self._rows(luma, corners, view) for view in half] for half in TWO_ROWS))
        if best is not None and not weights:
            weights = weighing.weigh([ctc.condensed(first)])
        return weighing.decide(rows, weights) if rows else best

    def _fitted(self, luma: Luma, corners: Quad, best: PlateText | None, first: ctc.Rows) -> PlateText | None:
        """As `best`, or longer and surer: where the text leaves room at its ends, the plate is cut to it and read anew.

        On a cut with much room characters are narrow, and of two alike side by side one is lost; a shorter text may be
        one that the tighter cut has bitten off.
        """
        spoken = np.flatnonzero(first.argmax(axis=-1) != BLANK)
        if len(spoken) < LEAST_SPOKEN:
            return best
        begin, end = (_along(int(step), len(first)) for step in (spoken[0], spoken[-1]))
        room = FITTED_ROOM * (end - begin)
        left, right = max(0.0, begin - room), min(1.0, end + room)
        if right - left > 1.0 - LEAST_EMPTY:
            return best
        part = part_of(corners, left, right)
        again, _ = self._one_row(luma, part, self._first(luma, part)[0])
        if best is None or again is None or len(again.text) <= len(best.text):
            return best or again
        return max((best, again), key=lambda plate: plate.confidence_permille)

    def _one_row(self, luma: Luma, corners: Quad, first: ctc.Rows) -> tuple[PlateText | None, weighing.Weights]:
        """The likeliest text of one line, and what was weighed for it."""
        looks = [ctc.condensed(first)]
        alone = weighing.sure(looks[0])
        if alone is not None and alone.confidence_permille >= ALONE_PERMILLE:
            return alone, {}
        looks.append(self._rows(luma, corners, SECOND_VIEW))
        best = weighing.agreed(looks)
        weights = {} if best is not None else weighing.weigh(looks)
        for views in MORE_VIEWS:
            best = best or weighing.decide(weights)
            if _enough(best):
                break
            looks.extend(self._rows(luma, corners, view) for view in views)
            weights = weighing.weigh(looks)
            best = weighing.decide(weights)
        return best, weights

    def glance(self, luma: Luma, corners_px: Sequence[tuple[float, float]]) -> Glance:
        """As `read`, but with one look only: for a video, where the next frame is the second look."""
        first, plate_permille = self._first(luma, np.array(corners_px, dtype=np.float32))
        rows = ctc.condensed(first)
        plate = weighing.sure(rows) or weighing.decide(weighing.weigh([rows]))
        return Glance(plate=self._finished(plate, plate_permille), rows=first, plate_permille=plate_permille)

    def read_crop(self, luma_crop: Luma) -> PlateText | None:
        """A picture (height, width) that is the plate itself and nothing else."""
        height, width = luma_crop.shape
        return self.read(
            luma_crop, ((0.0, 0.0), (float(width), 0.0), (float(width), float(height)), (0.0, float(height)))
        )

    def _first(self, luma: Luma, corners: Quad) -> tuple[ctc.Rows, int]:
        """Log-probabilities of every step of the first view, and how surely it is of a plate, in permille."""
        logits, *plate = self._run(luma, corners, FIRST_VIEW)
        return ctc.log_softmax(logits[0]), _permille(float(plate[0].item())) if plate else CERTAIN_PERMILLE

    def _rows(self, luma: Luma, corners: Quad, view: View) -> ctc.Rows:
        return ctc.condensed(ctc.log_softmax(self._run(luma, corners, view)[0][0]))

    def _run(self, luma: Luma, corners: Quad, view: View) -> tuple[NDArray[np.float32], ...]:
        cut = straightened(luma, corners, view, width_px=self._model.width_px, height_px=self._model.height_px)
        return self._model.run_real(cut[None, :, :, None])


def _permille(logit: float) -> int:
    return round(CERTAIN_PERMILLE / (1.0 + math.exp(-logit)))


def _along(step: int, steps: int) -> float:
    """Where a step of the first view lies along the plate, 0 to 1."""
    return (step + 0.5) / steps * (1 + 2 * FIRST_VIEW.beside) - FIRST_VIEW.beside


def _enough(plate: PlateText | None) -> bool:
    return plate is not None and plate.confidence_permille >= ENOUGH_PERMILLE
