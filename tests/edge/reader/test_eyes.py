"""How much is read of a picture: a glance where that settles it, a thorough read where there is time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from edge.reader.detect import Detection
from edge.reader.eyes import (
    HOPELESS_PERMILLE,
    MAX_SAVED_READS,
    MAYBE_TWO_LINES_BELOW_ASPECT,
    READS_PER_PICTURE,
    SURE_PERMILLE,
    TWO_LINES_BELOW_ASPECT,
    UNCHECKED_TRUST,
    ModelEyes,
)
from edge.reader.ocr import Glance, PlateText
from edge.reader.weighing import PLATE_PERMILLE

LUMA = np.zeros((90, 160), np.uint8)
ROWS = np.zeros((40, 53), np.float32)


def text(confidence: int) -> PlateText:
    return PlateText(text="7A1", text_ascii="7A1", region="", confidence_permille=confidence, alternatives=())


def plate(aspect: float = 4.0) -> Detection:
    width = 20 * aspect
    corners = ((0.0, 0.0), (width, 0.0), (width, 20.0), (0.0, 20.0))
    return Detection(corners_px=corners, confidence_permille=900)


@dataclass
class Models:
    """Both models in one: a glance says what it was told to say, a thorough read is certain."""

    glanced: PlateText | None
    thorough: int = 0
    model_hashes: dict[str, str] = field(default_factory=dict)

    @property
    def detector(self) -> Models:
        return self

    @property
    def reader(self) -> Models:
        return self

    def detect(self, luma: Any) -> list[Detection]:
        return [plate()]

    def glance(self, luma: Any, corners_px: Any) -> Glance:
        return Glance(plate=self.glanced, rows=ROWS, plate_permille=1000)

    def read(self, luma: Any, corners_px: Any, glance: Glance) -> PlateText | None:
        assert glance.rows is ROWS
        self.thorough += 1
        return text(999)


def eyes(models: Models) -> ModelEyes:
    return ModelEyes(models)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("confidence", "thorough"),
    [(0, 0), (HOPELESS_PERMILLE - 1, 0), (HOPELESS_PERMILLE, 1), (SURE_PERMILLE - 1, 1), (SURE_PERMILLE, 0)],
)
def test_plate_is_read_thoroughly_when_a_glance_is_neither_sure_nor_hopeless(confidence: int, thorough: int) -> None:
    models = Models(text(confidence))
    found = eyes(models).read(LUMA, plate())
    assert models.thorough == thorough
    assert found == text(999 if thorough else confidence)


@pytest.mark.parametrize(("plate_permille", "thorough"), [(PLATE_PERMILLE, 1), (PLATE_PERMILLE - 1, 0)])
def test_what_a_glance_takes_for_no_plate_is_not_read_thoroughly(plate_permille: int, thorough: int) -> None:
    models = Models(replace(text(SURE_PERMILLE - 1), plate_permille=plate_permille))
    eyes(models).read(LUMA, plate(1.0))
    assert models.thorough == thorough


@pytest.mark.parametrize(
    ("aspect", "confidence", "thorough"),
    [
        (MAYBE_TWO_LINES_BELOW_ASPECT, None, 0),
        (MAYBE_TWO_LINES_BELOW_ASPECT - 0.1, None, 1),
        (TWO_LINES_BELOW_ASPECT, SURE_PERMILLE, 0),
        (TWO_LINES_BELOW_ASPECT - 0.1, SURE_PERMILLE, 1),
    ],
)
def test_plate_is_read_thoroughly_when_it_may_have_two_lines(
    aspect: float, confidence: int | None, thorough: int
) -> None:
    models = Models(text(confidence) if confidence is not None else None)
    eyes(models).read(LUMA, plate(aspect))
    assert models.thorough == thorough


def test_thorough_reads_are_rationed_over_the_pictures() -> None:
    models = Models(text(700))
    looking = eyes(models)
    pictures = 100
    for _ in range(pictures):
        (detection,) = looking.detect(LUMA)
        for _ in range(4):
            looking.read(LUMA, detection)
    assert models.thorough == int(MAX_SAVED_READS + READS_PER_PICTURE * (pictures - 1))


def test_doubtful_glance_counts_less_when_there_is_no_time_to_check_it() -> None:
    looking = eyes(Models(text(700)))
    found = [looking.read(LUMA, plate()) for _ in range(int(MAX_SAVED_READS) + 1)]
    assert found[-1] == text(int(700 * UNCHECKED_TRUST))
    assert found[:-1] == [text(999)] * int(MAX_SAVED_READS)


def test_nothing_is_nothing_when_there_is_no_time_to_check_it() -> None:
    looking = eyes(Models(None))
    assert [looking.read(LUMA, plate(1.0)) for _ in range(4)][-1] is None
