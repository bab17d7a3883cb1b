"""What a device makes of plates that the picture's edge cuts is counted on pictures that are cut so."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge.reader.detect import Detection
from models.evaluate import cut
from vedette.errors import NotFound

BOX = (100.0, 60.0, 200.0, 80.0)


def luma() -> Any:
    """A picture of 320 by 180 whose points say where they are."""
    return np.add.outer(np.arange(180), np.arange(320)).astype(np.uint8)


@pytest.mark.parametrize("side", cut.SIDES)
def test_a_tenth_to_a_half_of_the_plate_is_outside(side: str) -> None:
    for seed in range(20):
        left = cut.cut(luma(), BOX, side, np.random.default_rng(seed))
        height, width = left.shape
        outside = {
            "left": (320 - width - 100) / 100,
            "right": (200 - width) / 100,
            "top": (180 - height - 60) / 20,
            "bottom": (80 - height) / 20,
        }[side]
        assert 0.05 <= outside <= 0.51
        whole = luma()
        beginning = (0 if side != "top" else 180 - height, 0 if side != "left" else 320 - width)
        assert left[0, 0] == whole[beginning]


def plate(x0: float, y0: float, x1: float, y1: float) -> Detection:
    """A detection of that box."""
    return Detection(corners_px=((x0, y0), (x1, y0), (x1, y1), (x0, y1)), confidence_permille=900)


@pytest.mark.parametrize(
    ("side", "box", "at"),
    [
        ("left", (3, 60, 63, 80), True),
        ("left", (40, 60, 100, 80), False),
        ("right", (250, 60, 310, 80), True),
        ("right", (200, 60, 260, 80), False),
        ("top", (50, 2, 110, 22), True),
        ("top", (50, 30, 110, 50), False),
        ("bottom", (50, 155, 110, 175), True),
        ("bottom", (50, 100, 110, 120), False),
    ],
)
def test_only_what_is_near_the_cut_is_the_plate_that_was_cut(side: str, box: Any, at: bool) -> None:
    assert cut.is_at(plate(*box), side, (320, 180)) is at


class Looker:
    """Finds one plate where it is told, and reads the same everywhere."""

    def __init__(self, found: Detection, text: str) -> None:
        self.detector = SimpleNamespace(detect=lambda _luma: [found])
        plate_text = SimpleNamespace(text=text, confidence_permille=990, is_plate=True)
        self.reader = SimpleNamespace(read=lambda _luma, _corners: plate_text)


@pytest.mark.parametrize(
    ("box", "text", "row"),
    [
        ((3.0, 60.0, 103.0, 80.0), "345", ["left", "1", "1", "1", "0", "0"]),
        ((16.0, 60.0, 116.0, 80.0), "345", ["left", "1", "1", "0", "1", "1"]),
        ((16.0, 60.0, 116.0, 80.0), "12345", ["left", "1", "1", "0", "1", "0"]),
        ((120.0, 60.0, 220.0, 80.0), "345", ["left", "1", "0", "0", "0", "0"]),
    ],
)
def test_what_is_kept_back_stood_by_and_misread_is_counted(box: Any, text: str, row: list[str]) -> None:
    """HT-36: nearer to the edge than 0.15 of its own width it is kept back."""
    count = cut.Count()
    looker: Any = Looker(plate(*box), text)
    cut.count_in(looker, luma(), "left", "12345", count)
    assert count.row("left") == row


def test_no_photographs_are_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no photographs under"):
        cut.run(tmp_path, None)
