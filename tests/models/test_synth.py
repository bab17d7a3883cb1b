"""Drawn plates and scenes: what is drawn is what is labelled."""

from __future__ import annotations

from collections import Counter

import cv2
import numpy as np
import pytest

from edge.reader.alphabet import ARABIC, BAR, INDEX_OF
from edge.reader.grammar import reading_of
from models.synth import clutter, degrade, formats, mistaken
from models.synth.crops import CropSource, RealPlate, cut, jittered, normalised, swapped
from models.synth.mistaken import PlateOrNotSource
from models.synth.scenes import SIZE_PX, SceneSource, Street, bounds

QUAD = np.array([[220, 300], [420, 300], [420, 345], [220, 345]], dtype=np.float32)


def needs_fonts() -> None:
    pytest.importorskip("PIL", reason="Pillow draws the plates")
    from models.synth import fonts

    try:
        fonts.faces("plate"), fonts.faces("arabic"), fonts.faces("word")
    except fonts.FontsMissing as missing:
        pytest.skip(str(missing))


def street(seed: int = 0) -> Street:
    noise = np.random.default_rng(seed).integers(60, 120, (640, 640), dtype=np.uint8)
    noise[300:345, 220:420] = 230
    return Street(luma=noise, quad=QUAD, exact=True)


def test_every_invented_text_can_be_emitted() -> None:
    rng = np.random.default_rng(1)
    labels = [formats.any_label(rng) for _ in range(3000)]
    assert all(symbol in INDEX_OF for label in labels for symbol in label.symbols)
    assert all(1 <= len(label.symbols) <= 12 for label in labels)
    assert {"MA", "GB", "BR", "US", "DE", ""} <= {label.region for label in labels}


def test_whole_moroccan_texts_are_moroccan_readings() -> None:
    rng = np.random.default_rng(2)
    whole = [label.symbols for _ in range(800) if (label := formats.moroccan(rng)).symbols.count(BAR) == 2]
    readings = [reading_of(symbols) for symbols in whole]
    assert len(whole) > 500
    assert all(reading is not None and reading.region == "MA" for reading in readings)


def test_rare_moroccan_letters_and_prefectures_are_not_rare() -> None:
    rng = np.random.default_rng(2)
    fields = [label.symbols.split(BAR) for _ in range(6000) if (label := formats.moroccan(rng)).symbols.count(BAR) == 2]
    letters = Counter(formats.OF_LATIN.get(letter, letter) for _, letter, _ in fields)
    assert set(letters) == set(ARABIC)
    assert max(letters.values()) < 3 * min(letters.values())
    prefectures = Counter(int(prefecture) for _, _, prefecture in fields)
    assert set(prefectures) == set(range(1, 90))
    assert max(prefectures.values()) < 5 * np.median(list(prefectures.values()))


def test_every_special_moroccan_series_is_drawn_and_read() -> None:
    rng = np.random.default_rng(2)
    special = [label for _ in range(3000) if BAR not in (label := formats.moroccan(rng)).symbols]
    readings = [reading_of(label.symbols) for label in special]
    series = {reading.text.split(BAR)[1] for reading in readings if reading is not None and BAR in reading.text}
    assert series == {"WW", "W18", "ش", "م", "ج", "قس", "قمم"}
    assert {label.symbols.strip("0123456789") for label in special} >= {"CD", "CC", "OI", "ممق", "سق"}


def test_patterns_are_filled_by_their_classes() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        text = formats.fill("CNDZ-*", rng)
        assert text[0] in formats.CONSONANTS and text[1] in "123456789" and text[2].isdigit()
        assert text[3] in formats.PLAIN_LETTERS and text[4:] == "-*"


def test_the_same_seed_draws_the_same_crops() -> None:
    needs_fonts()
    first, second = (CropSource(rng=np.random.default_rng(4)) for _ in range(2))
    for _ in range(5):
        a, b = first.next(), second.next()
        assert a.symbols == b.symbols
        assert np.array_equal(a.luma, b.luma)
        assert a.luma.shape == (48, 160)


def test_what_is_no_plate_is_cut_like_one() -> None:
    needs_fonts()
    around = [np.full((96, 288), 90, dtype=np.uint8)]
    source = PlateOrNotSource(plates=CropSource(rng=np.random.default_rng(4), backgrounds=around))
    crops = [source.next() for _ in range(300)]
    things = [luma for luma, is_plate in crops if not is_plate]
    assert 0.3 * len(crops) < len(things) < 0.46 * len(crops)
    assert all(luma.shape == (48, 160) for luma in things)
    # An even street gives an even crop: what is more than noise is a thing that was laid on it.
    assert sum(cv2.GaussianBlur(luma, (0, 0), 2).std() > 20 for luma in things) > len(things) / 2


def test_the_same_seed_draws_the_same_plates_and_things() -> None:
    needs_fonts()
    around = [np.full((96, 288), 90, dtype=np.uint8)]
    first, second = (
        PlateOrNotSource(plates=CropSource(rng=np.random.default_rng(8), backgrounds=around)) for _ in range(2)
    )
    for _ in range(8):
        (a, one), (b, other) = first.next(), second.next()
        assert one is other
        assert np.array_equal(a, b)


def test_every_kind_of_clutter_is_mistaken_for_a_plate() -> None:
    assert {kind for kind, _ in mistaken.KINDS} == {kind for kind, _ in clutter.KINDS}


def test_the_same_seed_draws_the_same_scenes_and_plates_stay_inside() -> None:
    needs_fonts()
    first, second = (SceneSource(rng=np.random.default_rng(5), streets=[street()]) for _ in range(2))
    plates = 0
    for _ in range(12):
        a, b = first.next(), second.next()
        assert np.array_equal(a.luma, b.luma) and np.array_equal(a.quads, b.quads)
        assert a.luma.shape == (SIZE_PX, SIZE_PX)
        for quad in a.quads:
            x0, y0, x1, y1 = bounds(quad)
            assert x1 > 0 and y1 > 0 and x0 < SIZE_PX and y0 < SIZE_PX
            across, down = quad[1] - quad[0], quad[3] - quad[0]
            assert across[0] * down[1] - across[1] * down[0] > 0
        plates += len(a.quads)
    assert plates > 5


def test_exchanged_digits_carry_their_pixels_along() -> None:
    luma = np.zeros((20, 60), dtype=np.uint8)
    for place, shade in enumerate((50, 150, 250)):
        luma[:, 20 * place : 20 * place + 20] = shade
    boxes = tuple((digit, (20.0 * i, 0.0, 20.0 * i + 19, 19.0)) for i, digit in enumerate("159"))
    plate = RealPlate(luma=luma, quad=QUAD, symbols="1|5|9", boxes=boxes)
    rng = np.random.default_rng(6)
    seen = set()
    for _ in range(50):
        made = swapped(plate, rng)
        digits = made.symbols.replace(BAR, "")
        seen.add(digits)
        assert made.symbols == BAR.join(digits)
        for place, digit in enumerate(digits):
            assert made.luma[10, 20 * place + 10] == {"1": 50, "5": 150, "9": 250}[digit]
    assert len(seen) > 5


def test_training_and_device_even_out_brightness_alike() -> None:
    from edge.reader.straighten import evened

    luma = np.random.default_rng(7).integers(0, 256, (48, 160), dtype=np.uint8)
    assert np.array_equal(normalised(luma), evened(luma))


def test_a_cut_takes_what_lies_in_the_quad() -> None:
    made = cut(street().luma, QUAD, (160, 48))
    assert made.shape == (48, 160)
    assert (made[2:-2, 2:-2] == 230).all()


def test_jitter_stays_around_the_plate() -> None:
    rng = np.random.default_rng(8)
    moved = np.array([jittered(QUAD, rng) for _ in range(300)])
    assert np.abs(moved - QUAD).max() < 80
    assert np.abs(moved.mean(axis=0) - QUAD).max() < 8


@pytest.mark.parametrize("harsh", [0.0, 0.5, 1.0])
def test_the_camera_keeps_size_and_kind(harsh: float) -> None:
    rng = np.random.default_rng(9)
    luma = street().luma[:48, :160]
    for _ in range(30):
        made = degrade.camera(luma, rng, harsh=harsh)
        assert (made.shape, made.dtype) == (luma.shape, np.uint8)


def test_arabic_letters_are_not_drawn_where_nothing_can_join_them(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("PIL", reason="Pillow draws the plates")
    from models.synth import fonts

    monkeypatch.setattr(fonts.features, "check", lambda name: name != "fribidi")
    with pytest.raises(fonts.FontsMissing, match="libfribidi"):
        fonts._all_faces.__wrapped__("arabic")


def test_the_word_of_a_tunisian_plate_is_drawn_joined() -> None:
    needs_fonts()
    from models.synth import fonts

    (face,) = [one for one in fonts._all_faces("arabic") if one.name == "NotoSansArabic-Bold.ttf"]
    ink = fonts.glyph(face, "ت").max(axis=0) > 100
    # The second of its four letters joins the first and nobody after it: two pieces, where letters alone are four.
    assert np.count_nonzero(np.diff(ink.astype(int)) == 1) + int(ink[0]) == 2
