"""From rows of log-probabilities to texts."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from edge.reader import ctc
from edge.reader.alphabet import BLANK, INDEX_OF, SYMBOLS


def rows_of(*steps: dict[str, float]) -> ctc.Rows:
    """Rows in which the named symbols (`_` is the blank) have these probabilities and all others next to none."""
    rows = np.full((len(steps), len(SYMBOLS) + 1), 1e-9, dtype=np.float32)
    for row, step in zip(rows, steps, strict=True):
        for symbol, probability in step.items():
            row[BLANK if symbol == "_" else INDEX_OF[symbol]] = probability
    return np.log(rows / rows.sum(axis=-1, keepdims=True)).astype(np.float32)


def test_best_path_drops_blanks_and_repeats_but_keeps_doubled_symbols() -> None:
    text, total = ctc.best_path(rows_of({"1": 1}, {"1": 1}, {"_": 1}, {"1": 1}, {"A": 1}, {"_": 1}))
    assert text == "11A"
    assert total == pytest.approx(0.0, abs=1e-5)


def test_log_probabilities_sum_over_every_path() -> None:
    rows = rows_of({"1": 0.5, "_": 0.3, "2": 0.2}, {"1": 0.4, "_": 0.5, "2": 0.1}, {"1": 0.1, "_": 0.6, "2": 0.3})
    wanted: dict[str, float] = {}
    for path in itertools.product("_12", repeat=3):
        text = "".join(key for key, _ in itertools.groupby(path) if key != "_")
        columns = [BLANK if symbol == "_" else INDEX_OF[symbol] for symbol in path]
        wanted[text] = wanted.get(text, 0.0) + math.exp(sum(float(rows[i, c]) for i, c in enumerate(columns)))
    texts = sorted(wanted)
    found = np.exp(ctc.log_probabilities(rows, texts))
    assert found == pytest.approx([wanted[text] for text in texts], abs=1e-5)
    assert sum(found) == pytest.approx(1.0, abs=1e-4)


def test_beam_finds_the_likeliest_text_where_the_best_path_does_not() -> None:
    rows = rows_of({"_": 0.4, "1": 0.35, "7": 0.25}, {"_": 0.4, "1": 0.35, "7": 0.25})
    assert ctc.best_path(rows)[0] == ""
    assert ctc.beam(rows, frozenset("17"), width=8)[0] == "1"


def test_beam_uses_allowed_symbols_only() -> None:
    rows = rows_of({"O": 0.9, "0": 0.1}, {"_": 1.0})
    assert ctc.beam(rows, frozenset("0123456789"), width=4)[0] == "0"


def test_log_softmax_rows_add_up_to_one() -> None:
    rows = ctc.log_softmax(np.array([[1000.0, 999.0, -1000.0], [0.0, 0.0, 0.0]], dtype=np.float32))
    assert np.exp(rows).sum(axis=-1) == pytest.approx([1.0, 1.0])
    assert rows[0, 0] - rows[0, 1] == pytest.approx(1.0, abs=1e-4)


def test_leaving_out_repeated_certain_blanks_changes_no_probability() -> None:
    rows = rows_of({"_": 1}, {"_": 1}, {"1": 0.9, "_": 0.1}, {"_": 1}, {"_": 1}, {"_": 1}, {"1": 0.6, "7": 0.4})
    short = ctc.condensed(rows)
    assert len(short) == 4
    texts = ["11", "17", "1", "7", ""]
    assert ctc.log_probabilities(short, texts)[:2] == pytest.approx(ctc.log_probabilities(rows, texts)[:2], abs=1e-3)
    assert ctc.best_path(short)[0] == ctc.best_path(rows)[0] == "11"
