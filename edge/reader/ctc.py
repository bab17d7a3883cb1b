"""From the reader's output to texts: the best paths through it, and the probability of a given text.

Rows of log-probabilities (steps, symbols + 1), index 0 the blank, as in Graves et al., "Connectionist Temporal
Classification" (2006).  Which texts make sense is decided in `grammar`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.reader.alphabet import BLANK, INDEX_OF, SYMBOLS

Rows = NDArray[np.float32]
IMPOSSIBLE = -1e30
MIN_STEP_LOG = -8.0
MAX_BRANCHES = 6
CERTAIN_LOG = -0.0005


def log_softmax(logits: Rows) -> Rows:
    """Log-probabilities of each row."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)), dtype=np.float32)


def condensed(rows: Rows) -> Rows:
    """The rows without those that only repeat a certain blank, which no text's probability depends on."""
    certain = rows[:, BLANK] > CERTAIN_LOG
    repeats = np.concatenate([[False], certain[1:] & certain[:-1]])
    return np.asarray(rows[~repeats], dtype=np.float32)


def best_path(rows: Rows) -> tuple[str, float]:
    """The text of the most likely path and the logarithm of that path's probability."""
    path = rows.argmax(axis=-1)
    total = float(rows[np.arange(len(rows)), path].sum())
    before = np.concatenate([[BLANK], path[:-1]])
    kept = path[(path != BLANK) & (path != before)]
    return "".join(SYMBOLS[index - 1] for index in kept), total


def best_steps(rows: Rows) -> list[tuple[str, float]]:
    """Each symbol of the best path with the logarithm of the highest probability that a step gives it."""
    path = rows.argmax(axis=-1)
    found: list[tuple[str, float]] = []
    before = BLANK
    for now, log in zip(path.tolist(), rows.max(axis=-1).tolist(), strict=True):
        if now != BLANK and now == before:
            found[-1] = (found[-1][0], max(found[-1][1], log))
        elif now != BLANK:
            found.append((SYMBOLS[now - 1], log))
        before = now
    return found


def beam(rows: Rows, allowed: frozenset[str], *, width: int) -> list[str]:
    """The likeliest texts made of the allowed symbols, best first (prefix beam search)."""
    columns = np.array([BLANK, *sorted(INDEX_OF[symbol] for symbol in allowed)])
    beams: dict[str, tuple[float, float]] = {"": (0.0, IMPOSSIBLE)}
    for row in rows:
        scores = row[columns]
        order = np.argsort(-scores)[:MAX_BRANCHES]
        branches = [(int(columns[i]), float(scores[i])) for i in order if scores[i] > MIN_STEP_LOG or i == order[0]]
        grown = _grown(beams, branches, float(row[BLANK]))
        ranked = sorted(grown.items(), key=lambda item: -_sum(*item[1]))
        beams = dict(ranked[:width])
    return list(beams)


def _grown(
    beams: dict[str, tuple[float, float]], branches: list[tuple[int, float]], blank: float
) -> dict[str, tuple[float, float]]:
    """Each prefix with (log-probability ending in a blank, ending in its last symbol), one step further."""
    grown: dict[str, tuple[float, float]] = {}

    def add(prefix: str, ending_blank: float, ending_symbol: float) -> None:
        a, b = grown.get(prefix, (IMPOSSIBLE, IMPOSSIBLE))
        grown[prefix] = (_sum(a, ending_blank), _sum(b, ending_symbol))

    for prefix, (in_blank, in_symbol) in beams.items():
        add(prefix, _sum(in_blank, in_symbol) + blank, IMPOSSIBLE)
        for index, score in branches:
            if index == BLANK:
                continue
            symbol = SYMBOLS[index - 1]
            if prefix and prefix[-1] == symbol:
                add(prefix, IMPOSSIBLE, in_symbol + score)
                add(prefix + symbol, IMPOSSIBLE, in_blank + score)
            else:
                add(prefix + symbol, IMPOSSIBLE, _sum(in_blank, in_symbol) + score)
    return grown


def _sum(a: float, b: float) -> float:
    """log(exp(a) + exp(b))."""
    if a < b:
        a, b = b, a
    return a if b <= IMPOSSIBLE / 2 else a + math.log1p(math.exp(b - a))


def log_probabilities(rows: Rows, texts: Sequence[str]) -> NDArray[np.float64]:
    """The logarithm of each text's probability, over all its paths (the forward sum), for all texts at once."""
    longest = max((len(text) for text in texts), default=0)
    states = 2 * longest + 1
    labels = np.zeros((len(texts), states), dtype=np.int64)
    for place, text in enumerate(texts):
        labels[place, 1 : 2 * len(text) : 2] = [INDEX_OF[symbol] for symbol in text]
    skip = np.zeros((len(texts), states), dtype=bool)
    skip[:, 2:] = (labels[:, 2:] != BLANK) & (labels[:, 2:] != labels[:, :-2])
    forward = np.full((len(texts), states + 2), IMPOSSIBLE)
    forward[:, 2] = rows[0, BLANK]
    if longest:
        forward[:, 3] = rows[0, labels[:, 1]]
    for row in rows[1:]:
        stay, step = forward[:, 2:], forward[:, 1:-1]
        jump = np.where(skip, forward[:, :-2], IMPOSSIBLE)
        forward[:, 2:] = np.logaddexp(np.logaddexp(stay, step), jump) + row[labels]
    ends = np.array([2 * len(text) + 2 for text in texts])
    lines = np.arange(len(texts))
    last = np.where(ends > 2, forward[lines, ends - 1], IMPOSSIBLE)
    return np.asarray(np.logaddexp(forward[lines, ends], last))
