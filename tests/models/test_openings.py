"""A drawn character has the closed spaces that its label says, however heavy it is drawn."""

from __future__ import annotations

import string
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.synth.openings import CLOSED, holes

CHARACTERS = string.digits + string.ascii_uppercase
# Pixels of a mask. A smaller space is a pinhole where two strokes meet, one as large is seen; between it may be either.
PINHOLE_PX, SEEN_PX = 6, 20


def spaces(mask: NDArray[np.uint8]) -> range:
    """How many closed spaces one may see in a whole mask, counted otherwise than the drawing counts them."""
    ground = np.pad((mask < 128).astype(np.uint8), 1, constant_values=1)
    sizes = cv2.connectedComponentsWithStats(ground, connectivity=4)[2][1:, cv2.CC_STAT_AREA]
    return range(int(np.count_nonzero(sizes >= SEEN_PX)) - 1, int(np.count_nonzero(sizes >= PINHOLE_PX)))


def test_a_space_too_small_to_see_and_a_gap_too_narrow_do_not_count() -> None:
    ring = np.zeros((72, 40), dtype=np.uint8)
    cv2.rectangle(ring, (4, 4), (35, 67), 255, 8)
    assert holes(ring) == 1
    assert spaces(ring) == range(1, 2)
    ring[36, 28:] = 0
    assert holes(ring) == 1
    ring[30:42, 28:] = 0
    assert holes(ring) == 0
    solid = np.full((72, 40), 255, dtype=np.uint8)
    solid[36, 20] = 0
    assert holes(solid) == 0


def test_no_weight_closes_or_opens_a_stroke_or_pressed_character() -> None:
    pytest.importorskip("PIL", reason="Pillow draws the plates")
    from models.synth import lettering

    rng = np.random.default_rng(0)
    wrong = []
    for _ in range(150):
        alphabet, tools = lettering.Hand.random(rng), lettering.Pressed.random(rng)
        for weight_px, rounding_px in ((3, 0.0), (-2, 0.0), (int(rng.integers(-2, 4)), rng.uniform(1.5, 4.5))):
            for strokes, pressed, characters in ((alphabet, None, CHARACTERS), (None, tools, "1I0OQD")):
                hand = lettering._Hand(
                    latin=Path(), arabic=Path(), weight_px=weight_px, stretch=1.0, spacing=0.1,
                    rounding_px=rounding_px, pressed=pressed, strokes=strokes,
                )  # fmt: skip
                for character in characters:
                    wanted = 0 if strokes and strokes.open_four and character == "4" else CLOSED.get(character, 0)
                    if wanted not in spaces(lettering._latin(character, hand)):
                        wrong.append((character, weight_px, rounding_px, strokes or pressed))
    assert not wrong


def test_no_weight_closes_or_opens_a_typefaces_character() -> None:
    pytest.importorskip("PIL", reason="Pillow draws the plates")
    from models.synth import fonts, lettering

    try:
        latin, arabic = fonts.faces("plate"), fonts.faces("arabic")
    except fonts.FontsMissing as missing:
        pytest.skip(str(missing))
    rng = np.random.default_rng(1)
    wrong = []
    lettered = [(face, "0456789ABCGQRS") for face in latin] + [(face, "أتجشطغقموه") for face in arabic]
    for face, character in [(face, one) for face, characters in lettered for one in characters]:
        own = fonts.glyph(face, character)
        for rounding_px in (0.0, rng.uniform(1.5, 4.5)) if face in latin else (0.0,):
            drawn = lettering._typed(face, character, 3, rounding_px)
            if spaces(own) == range(holes(own), holes(own) + 1) and holes(own) not in spaces(drawn):
                wrong.append((face.name, character, rounding_px))
    assert not wrong
