"""Several looks at one plate, weighed: which texts they could mean, how likely each is, and which one is put first.

Pure: rows of the reader's log-probabilities in, a `PlateText` out.  Which looks are taken is decided in `ocr`, which
texts are plates in `grammar`, how far a probability can be believed in `calibration`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge.reader import ctc, grammar
from edge.reader.alphabet import BAR, HIDDEN, INDEX_OF, WORDS
from vedette.plates import to_ascii

SURE_LOG = math.log(0.8)
# One path of a sure text has at least this much of its probability.
LIKELY_LOG = math.log(0.25)
BEAM_WIDTH = 8
SEARCHED_VIEWS = 3
TEXTS_PER_VIEW = 6
TEXTS_PER_ROW = 3
MAX_ALTERNATIVES = 5
# A symbol that no step of a look gives more than this is not searched for.
ABSENT_LOG, FAINT_LOG = math.log(0.002), math.log(0.1)
# How much the probability that went to texts no plate carries counts against the best text.
STRAY_PRIOR = -1.5
# A text of a shape that nobody issues may be part of a plate, or a sign, however clearly it is read.
STRANGE_TRUST = 0.6
# Below this the text stands on a price, a stamp or a sign. Of 2,060 texts that were read on photographed plates which
# were not trained on, one was below, and that was misread; of 92 that were shown on drawn things, 11 still are.
PLATE_PERMILLE = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Alternative:
    """Another text the plate may carry."""

    text: str
    region: str
    confidence_permille: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Character:
    """One character of a read without its bars, and what else may stand in its place, the likeliest first."""

    symbol: str
    confidence_permille: int
    alternatives: tuple[tuple[str, int], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class PlateText:
    """The text of one plate in one picture; `region` is an ISO code, empty where the text fits several countries.

    `plate_permille` is how surely the text stands on a plate and on nothing else, whatever it says.
    """

    text: str
    text_ascii: str
    region: str
    confidence_permille: int
    alternatives: tuple[Alternative, ...]
    characters: tuple[Character, ...] = ()
    plate_permille: int = 1000

    @property
    def is_plate(self) -> bool:
        """Whether it may be a plate, and does not rather look like something else with a text."""
        return self.plate_permille >= PLATE_PERMILLE


@dataclass(slots=True)
class Weight:
    """One text: how it is written, the symbols that say it, and the probability that the looks give it."""

    reading: grammar.Reading
    bare: str
    probability: float = 0.0


Weights = dict[str, Weight]


def sure(rows: ctc.Rows) -> PlateText | None:
    """The text of the best path where that alone is sure enough, over all its paths, and of a shape that is issued."""
    symbols, best = ctc.best_path(rows)
    reading = grammar.reading_of(symbols) if best > LIKELY_LOG else None
    if reading is None or reading.prior < grammar.ISSUED:
        return None
    total = min(0.0, float(ctc.log_probabilities(rows, [symbols])[0]))
    if total <= SURE_LOG:
        return None
    bare = symbols.replace(BAR, "")
    steps = [step for step in ctc.best_steps(rows) if step[0] != BAR]
    characters = tuple(
        Character(symbol=WORDS.get(symbol, symbol), confidence_permille=int(1000 * math.exp(log)), alternatives=())
        for symbol, log in steps
    )
    return _written(Weight(reading, bare), math.exp(total), (), characters)


def agreed(looks: Sequence[ctc.Rows]) -> PlateText | None:
    """The text that every look is sure of and says alike; None where they do not."""
    each = [sure(rows) for rows in looks]
    least = min(each, key=lambda plate: plate.confidence_permille if plate is not None else -1)
    return least if least is not None and all(p is not None and p.text == least.text for p in each) else None


def weigh(looks: Sequence[ctc.Rows]) -> Weights:
    """Every text worth weighing, with its probability averaged over the looks."""
    found: dict[str, None] = {}
    for rows in looks[:SEARCHED_VIEWS]:
        found.update(dict.fromkeys(_worth_weighing(rows)))
    readings = {symbols: reading for symbols in found if (reading := grammar.reading_of(symbols)) is not None}
    weights: Weights = {}
    if not readings:
        return weights
    for symbols, probability in zip(readings, _mean_probabilities(looks, list(readings)), strict=True):
        reading = readings[symbols]
        weight = weights.setdefault(reading.text, Weight(reading, symbols.replace(BAR, "")))
        weight.probability += probability
    return weights


def weigh_two_rows(uppers: Sequence[ctc.Rows], lowers: Sequence[ctc.Rows]) -> Weights:
    """The texts of a plate of two lines, of looks at its upper and its lower row; a Moroccan serial stands below."""
    weights: Weights = {}
    bottoms = _row_texts(lowers)
    for top, top_probability in _row_texts(uppers):
        for bottom, bottom_probability in bottoms:
            for symbols in (top + bottom, bottom + top):
                reading = grammar.reading_of(symbols)
                if reading is not None and (symbols == top + bottom or reading.region == "MA"):
                    weight = weights.setdefault(reading.text, Weight(reading, symbols.replace(BAR, "")))
                    weight.probability += top_probability * bottom_probability
                    break
    return weights


def _mean_probabilities(looks: Sequence[ctc.Rows], texts: list[str]) -> list[float]:
    return [float(p) for p in np.mean([np.exp(ctc.log_probabilities(rows, texts)) for rows in looks], axis=0)]


def _worth_weighing(rows: ctc.Rows) -> list[str]:
    peak = rows.max(axis=0)
    present = frozenset(symbol for symbol, index in INDEX_OF.items() if peak[index] > ABSENT_LOG)
    latin = ctc.beam(rows, grammar.LATIN_SYMBOLS & present, width=BEAM_WIDTH)[:TEXTS_PER_VIEW]
    found = [*latin, *_exchanged(latin[:2])]
    if any(peak[INDEX_OF[s]] > FAINT_LOG for s in present & (grammar.ARABIC_SYMBOLS - grammar.LATIN_SYMBOLS)):
        found.extend(ctc.beam(rows, grammar.ARABIC_SYMBOLS & present, width=BEAM_WIDTH))
        found.extend(ctc.beam(rows, (grammar.LATIN_SYMBOLS | {BAR}) & present, width=BEAM_WIDTH)[:2])
    if HIDDEN in present and peak[INDEX_OF[HIDDEN]] > FAINT_LOG:
        covered = [t for t in ctc.beam(rows, grammar.ALL_SYMBOLS & present, width=BEAM_WIDTH) if HIDDEN in t]
        found.extend([*covered[:TEXTS_PER_VIEW], *_exchanged(covered[:2])])
    return found


def _exchanged(texts: Iterable[str]) -> list[str]:
    return [variant for text in texts if BAR not in text for variant in grammar.variants(text)]


def _row_texts(looks: Sequence[ctc.Rows]) -> list[tuple[str, float]]:
    found: dict[str, None] = {}
    for rows in looks:
        peak = rows.max(axis=0)
        present = frozenset(symbol for symbol, index in INDEX_OF.items() if peak[index] > ABSENT_LOG)
        found.update(dict.fromkeys(ctc.beam(rows, present, width=BEAM_WIDTH)[:TEXTS_PER_ROW]))
    texts = [text for text in found if text]
    if not texts:
        return []
    ranked = sorted(zip(texts, _mean_probabilities(looks, texts), strict=True), key=lambda pair: -pair[1])
    return ranked[:TEXTS_PER_ROW]


def decide(*ways: Weights) -> PlateText | None:
    """The likeliest text; each of `ways` is one way to see the plate (as one line, as two) with all its texts."""
    weights: Weights = {}
    for way in ways:
        for text, weight in way.items():
            if text not in weights or weight.probability > weights[text].probability:
                weights[text] = weight
    if not weights:
        return None
    scored = {text: w.probability * math.exp(w.reading.prior) for text, w in weights.items()}
    explained = max(sum(weight.probability for weight in way.values()) for way in ways)
    total = sum(scored.values()) + max(0.0, 1.0 - explained) * math.exp(STRAY_PRIOR)
    order = sorted(scored, key=lambda text: (-scored[text], text))
    best = order[0]
    if scored[best] <= 0.0:
        return None
    shares = {text: scored[text] / total for text in order}
    others = tuple(
        Alternative(text=text, region=weights[text].reading.region, confidence_permille=int(1000 * shares[text]))
        for text in order[1 : 1 + MAX_ALTERNATIVES]
    )
    trust = STRANGE_TRUST if weights[best].reading.prior <= grammar.UNKNOWN else 1.0
    return _written(weights[best], trust * shares[best], others, _characters(weights, shares, best))


def merged(one: PlateText, other: PlateText) -> PlateText:
    """Of two reads of one plate the likelier text: agreeing reads keep the surer, others share their confidence.

    It is a plate as surely as the read that is surer of that says.
    """
    plate_permille = max(one.plate_permille, other.plate_permille)
    if one.text == other.text:
        surer = max(one, other, key=lambda plate: plate.confidence_permille)
        return replace(surer, plate_permille=plate_permille)
    shares: dict[str, int] = {}
    regions: dict[str, str] = {}
    for plate in (one, other):
        saying: tuple[PlateText | Alternative, ...] = (plate, *plate.alternatives)
        for said in saying:
            shares[said.text] = shares.get(said.text, 0) + said.confidence_permille
            regions.setdefault(said.text, said.region)
    first = max((one, other), key=lambda plate: shares[plate.text])
    others = sorted((text for text in shares if text != first.text), key=lambda text: (-shares[text], text))
    return replace(
        first,
        confidence_permille=shares[first.text] // 2,
        plate_permille=plate_permille,
        alternatives=tuple(
            Alternative(text=text, region=regions[text], confidence_permille=min(shares[text], shares[first.text]) // 2)
            for text in others[:MAX_ALTERNATIVES]
        ),
    )


def _characters(weights: Weights, shares: dict[str, float], best: str) -> tuple[Character, ...]:
    """Each place of the best text with what the texts of the same length have there."""
    bare = weights[best].bare
    places: list[dict[str, float]] = [{} for _ in bare]
    for text, share in shares.items():
        other = weights[text].bare
        if len(other) == len(bare):
            for place, symbol in zip(places, other, strict=True):
                place[symbol] = place.get(symbol, 0.0) + share
    return tuple(_character(symbol, place) for symbol, place in zip(bare, places, strict=True))


def _character(symbol: str, place: dict[str, float]) -> Character:
    others = sorted(((s, int(1000 * share)) for s, share in place.items() if s != symbol), key=lambda p: (-p[1], p[0]))
    return Character(
        symbol=WORDS.get(symbol, symbol),
        confidence_permille=int(1000 * place[symbol]),
        alternatives=tuple((WORDS.get(s, s), permille) for s, permille in others if permille > 0)[:MAX_ALTERNATIVES],
    )


def _written(
    weight: Weight, confidence: float, others: tuple[Alternative, ...], characters: tuple[Character, ...]
) -> PlateText:
    reading = weight.reading
    return PlateText(
        text=reading.text,
        text_ascii=to_ascii(reading.text),
        region=reading.region,
        confidence_permille=int(1000 * confidence),
        alternatives=others,
        characters=characters,
    )
