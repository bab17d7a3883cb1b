"""What a plate says: the reader model over the straightened plate, and the likeliest text that a plate can carry.

Two looks are enough where both are sure of the same text of a known shape.  Else the plate is cut in other ways, every
cut is read, and the texts of all of them are weighed with what is known about plates (`grammar`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.reader import ctc, grammar
from edge.reader.alphabet import SYMBOLS
from edge.reader.infer import Model, ModelUnusable
from edge.reader.straighten import FIRST_VIEW, MORE_VIEWS, SECOND_VIEW, TWO_ROWS, Quad, View, aspect, straightened
from vedette.plates import to_ascii

SURE_LOG = math.log(0.9)
ENOUGH_PERMILLE = 850
BEAM_WIDTH = 8
SEARCHED_VIEWS = 3
TEXTS_PER_VIEW = 4
TEXTS_PER_ROW = 3
MAX_ALTERNATIVES = 5
TWO_ROWS_BELOW_ASPECT = 2.6
# How much the probability that went to texts no plate carries counts against the best text.
STRAY_PRIOR = -1.5
# A text of a shape that nobody issues may be part of a plate, or a sign, however clearly it is read.
STRANGE_TRUST = 0.6

Luma = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class Alternative:
    """Another text the plate may carry."""

    text: str
    region: str
    confidence_permille: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PlateText:
    """The text of one plate in one picture; `region` is an ISO code, empty where the text fits several countries."""

    text: str
    text_ascii: str
    region: str
    confidence_permille: int
    alternatives: tuple[Alternative, ...]


class PlateReader:
    """Reads plates whose corners are known."""

    def __init__(self, model: Model) -> None:
        """Takes the loaded reader model; raises ModelUnusable where it emits another set of symbols."""
        self._model = model
        (rows, *others) = model.run(np.full((1, model.height_px, model.width_px, 1), 128, dtype=np.uint8))
        if others or rows.ndim != 3 or rows.shape[-1] != len(SYMBOLS) + 1:
            raise ModelUnusable(f"a reader emits {len(SYMBOLS) + 1} symbols a step, this model {rows.shape}")

    def read(self, luma: Luma, corners_px: Sequence[tuple[float, float]]) -> PlateText | None:
        """The plate between four corners of a grey picture (height, width), or None where no text fits."""
        corners = np.array(corners_px, dtype=np.float32)
        looks = [self._rows(luma, corners, view) for view in (FIRST_VIEW, SECOND_VIEW)]
        best = _settled(looks)
        weights: dict[str, _Weight] = {}
        for views in MORE_VIEWS:
            if _enough(best):
                return best
            looks.extend(self._rows(luma, corners, view) for view in views)
            weights = _weigh(looks)
            best = _decide(weights)
        if _enough(best) or aspect(corners) >= TWO_ROWS_BELOW_ASPECT:
            return best
        upper, lower = (self._rows(luma, corners, view) for view in TWO_ROWS)
        _add_two_rows(weights, upper, lower)
        return _decide(weights)

    def glance(self, luma: Luma, corners_px: Sequence[tuple[float, float]]) -> PlateText | None:
        """As `read`, but with one look only: for a video, where the next frame is the second look."""
        return _settled([self._rows(luma, np.array(corners_px, dtype=np.float32), FIRST_VIEW)])

    def read_crop(self, luma_crop: Luma) -> PlateText | None:
        """A picture (height, width) that is the plate itself and nothing else."""
        height, width = luma_crop.shape
        return self.read(
            luma_crop, ((0.0, 0.0), (float(width), 0.0), (float(width), float(height)), (0.0, float(height)))
        )

    def _rows(self, luma: Luma, corners: Quad, view: View) -> ctc.Rows:
        cut = straightened(luma, corners, view, width_px=self._model.width_px, height_px=self._model.height_px)
        return ctc.condensed(ctc.log_softmax(self._model.run_real(cut[None, :, :, None])[0][0]))


@dataclass(slots=True)
class _Weight:
    reading: grammar.Reading
    probability: float = 0.0


def _enough(plate: PlateText | None) -> bool:
    return plate is not None and plate.confidence_permille >= ENOUGH_PERMILLE


def _settled(looks: Sequence[ctc.Rows]) -> PlateText | None:
    """The text that every look is sure of and agrees on, else the likeliest of all of them."""
    sure = [_sure(rows) for rows in looks]
    first = min(sure, key=lambda plate: plate.confidence_permille if plate is not None else -1)
    if first is not None and all(plate is not None and plate.text == first.text for plate in sure):
        return first
    return _decide(_weigh(looks))


def _sure(rows: ctc.Rows) -> PlateText | None:
    """The best path where it alone is sure enough and of a shape that is issued."""
    symbols, total = ctc.best_path(rows)
    reading = grammar.reading_of(symbols) if total > SURE_LOG else None
    if reading is None or reading.prior < grammar.ISSUED:
        return None
    return _plate_text(reading, math.exp(total), ())


def _weigh(looks: Sequence[ctc.Rows]) -> dict[str, _Weight]:
    """Every text worth weighing, with its probability averaged over the looks."""
    found: dict[str, None] = {}
    for rows in looks[:SEARCHED_VIEWS]:
        found.update(dict.fromkeys(_symbols_worth_weighing(rows)))
    readings = {symbols: reading for symbols in found if (reading := grammar.reading_of(symbols)) is not None}
    weights: dict[str, _Weight] = {}
    if not readings:
        return weights
    texts = list(readings)
    mean = np.mean([np.exp(ctc.log_probabilities(rows, texts)) for rows in looks], axis=0)
    for symbols, probability in zip(texts, mean, strict=True):
        reading = readings[symbols]
        weights.setdefault(reading.text, _Weight(reading)).probability += float(probability)
    return weights


def _symbols_worth_weighing(rows: ctc.Rows) -> list[str]:
    moroccan = ctc.beam(rows, grammar.MOROCCAN_SYMBOLS, width=BEAM_WIDTH)
    latin = ctc.beam(rows, grammar.LATIN_SYMBOLS, width=BEAM_WIDTH)
    exchanged = [variant for text in latin[:2] for variant in grammar.variants(text)]
    return [*moroccan, *latin[:TEXTS_PER_VIEW], *exchanged]


def _add_two_rows(weights: dict[str, _Weight], upper: ctc.Rows, lower: ctc.Rows) -> None:
    """Adds the texts of a plate of two lines; a Moroccan one may carry its serial below."""
    allowed = grammar.MOROCCAN_SYMBOLS | grammar.LATIN_SYMBOLS
    tops = _row_texts(upper, allowed)
    bottoms = _row_texts(lower, allowed)
    for top, top_probability in tops:
        for bottom, bottom_probability in bottoms:
            reading = grammar.reading_of(top + bottom) or grammar.reading_of(bottom + top)
            if reading is not None:
                weight = weights.setdefault(reading.text, _Weight(reading))
                weight.probability += top_probability * bottom_probability


def _row_texts(rows: ctc.Rows, allowed: frozenset[str]) -> list[tuple[str, float]]:
    texts = [text for text in ctc.beam(rows, allowed, width=BEAM_WIDTH)[:TEXTS_PER_ROW] if text]
    return list(zip(texts, np.exp(ctc.log_probabilities(rows, texts)).tolist(), strict=True)) if texts else []


def _decide(weights: dict[str, _Weight]) -> PlateText | None:
    if not weights:
        return None
    scored = {text: w.probability * math.exp(w.reading.prior) for text, w in weights.items()}
    stray = max(0.0, 1.0 - sum(w.probability for w in weights.values())) * math.exp(STRAY_PRIOR)
    total = sum(scored.values()) + stray
    order = sorted(scored, key=lambda text: (-scored[text], text))
    best = order[0]
    if scored[best] <= 0.0:
        return None
    others = tuple(
        Alternative(
            text=text, region=weights[text].reading.region, confidence_permille=int(1000 * scored[text] / total)
        )
        for text in order[1 : 1 + MAX_ALTERNATIVES]
    )
    reading = weights[best].reading
    trust = STRANGE_TRUST if reading.prior <= grammar.UNKNOWN else 1.0
    return _plate_text(reading, trust * scored[best] / total, others)


def _plate_text(reading: grammar.Reading, confidence: float, others: tuple[Alternative, ...]) -> PlateText:
    return PlateText(
        text=reading.text,
        text_ascii=to_ascii(reading.text),
        region=reading.region,
        confidence_permille=int(1000 * confidence),
        alternatives=others,
    )
