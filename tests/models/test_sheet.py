"""The contact sheet: a labelled row for every series, grammar, condition and thing that is no plate."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from numpy.random import Generator

pytest.importorskip("PIL", reason="Pillow draws the plates")

from models.synth import clutter, conditions, degrade, fonts, formats, plate, series, sheet
from models.synth.formats import PlateLabel

SMALL = sheet.Size(columns=1, mixed=1, scenes=1)
WANTED = {
    "perspective", "very oblique", "very small", "lens blur", "motion blur", "rolling shutter", "dirt", "screws",
    "frames", "shadows", "glare", "night headlights", "infrared", "rain", "noise", "JPEG", "H.264",
}  # fmt: skip


@pytest.fixture(autouse=True)
def needs_fonts() -> None:
    try:
        fonts.faces("plate"), fonts.faces("arabic"), fonts.faces("word")
    except fonts.FontsMissing as missing:
        pytest.skip(str(missing))


def labels_of(title: str) -> list[str]:
    return [row.label for row in sheet.rows(1, [], SMALL) if row.title == title]


@pytest.mark.parametrize(
    ("draw", "names"),
    [(formats.moroccan, dict(series.MOROCCAN)), (formats.tunisian, dict(series.TUNISIAN))],
)
def test_every_text_that_is_drawn_belongs_to_a_series_that_has_its_row(
    draw: Callable[[Generator], PlateLabel], names: dict[str, str]
) -> None:
    rng = np.random.default_rng(1)
    found = {(label := draw(rng)).drawn: series.name_of(label) for _ in range(6000)}
    assert [drawn for drawn, name in found.items() if name is None] == []
    assert set(found.values()) == set(names) <= set(labels_of(sheet.SERIES))


def test_two_lines_and_motorcycles_have_rows_of_such_plates() -> None:
    assert {"MA two lines", "MA motorcycle: two lines, nearly square"} <= set(labels_of(sheet.SERIES))
    for one in series.every_series():
        assert (one.lines[0] == 2) == ("two lines" in one.name)


def test_every_foreign_grammar_has_its_row_and_every_pattern_its_plate() -> None:
    grammars = {**formats.EUROPE, **formats.AMERICA, "US": formats.US, "no country": formats.OTHER}
    rows = {row.label: row for row in sheet.rows(1, [], SMALL) if row.label in grammars}
    assert set(rows) == set(grammars)
    for region, patterns in grammars.items():
        captions = [cell.caption for cell in rows[region].cells]
        assert len(captions) == len(set(patterns))
        for pattern, caption in zip(dict.fromkeys(patterns), captions, strict=True):
            form = "".join(f"[{formats.CLASSES[c]}]" if c in formats.CLASSES else c for c in pattern if c not in " -*")
            assert re.fullmatch(form, caption), (region, pattern)


def test_every_condition_and_every_effect_has_its_row() -> None:
    labels = set(labels_of(sheet.CONDITIONS))
    assert labels >= WANTED
    assert labels == set(conditions.every_condition())
    assert set(conditions.EFFECTS.values()) == set(degrade.EFFECTS)


def test_every_thing_that_is_no_plate_has_its_row() -> None:
    assert labels_of(sheet.NO_PLATES) == [draw.__name__ for draw, _ in clutter.KINDS]


def test_every_row_has_pictures_that_show_something_and_a_label_that_fits() -> None:
    for row in sheet.rows(3, [], sheet.Size(columns=3, mixed=1, scenes=2)):
        assert len(row.cells) >= 3 or row.title == sheet.SCENES, row.label
        assert len({cell.luma.shape for cell in row.cells}) == 1, row.label
        assert all(cell.luma.std() > 1 for cell in row.cells), row.label
        assert sheet.label_width_px(row.label) < sheet.LABEL_PX - sheet.GAP_PX, row.label


def test_a_shadow_takes_light_and_a_reflection_adds_some() -> None:
    rng = np.random.default_rng(5)
    shadows = [degrade.shadow((48, 160), rng) for _ in range(40)]
    assert all(0.3 < one.min() <= one.max() <= 1 for one in shadows)
    assert sum(one.min() < 0.85 for one in shadows) > 20
    assert all(0.1 < degrade.reflection((48, 160), rng).max() <= 0.8 for _ in range(40))


def test_a_plate_that_is_turned_away_is_narrower() -> None:
    oblique = [conditions.turned(np.random.default_rng(seed), least_deg=conditions.OBLIQUE_DEG) for seed in range(60)]
    tilted = [conditions.turned(np.random.default_rng(seed), least_deg=0.0) for seed in range(60)]
    widths = [np.median([one.shape[1] / one.shape[0] for one in some]) for some in (oblique, tilted)]
    assert widths[0] < 0.9 * widths[1]


def test_crops_of_a_mixed_row_are_of_different_plates() -> None:
    captions = [cell.caption for cell in sheet.mixed_cells(np.random.default_rng(7), 9)]
    assert len(set(captions)) == 9


def test_a_sheet_has_the_same_pixels_when_the_seed_is_the_same() -> None:
    first, second = sheet.sheet(11, [], SMALL), sheet.sheet(11, [], SMALL)
    assert first.dtype == np.uint8 and np.array_equal(first, second)
    assert not np.array_equal(first, sheet.sheet(12, [], SMALL))


def test_a_row_stays_the_same_when_others_are_added(monkeypatch: pytest.MonkeyPatch) -> None:
    (before,) = [row for row in sheet.rows(4, [], SMALL) if row.label == "rain"]
    fewer = {"rain": conditions.every_condition()["rain"]}
    monkeypatch.setattr(conditions, "every_condition", lambda: fewer)
    (after,) = [row for row in sheet.rows(4, [], SMALL) if row.label == "rain"]
    assert np.array_equal(before.cells[0].luma, after.cells[0].luma)


def test_screws_are_put_on() -> None:
    rng = np.random.default_rng(6)
    changed = 0
    for _ in range(20):
        canvas = plate.Canvas(luma=np.full((80, 360), 200, dtype=np.float32), paper=200.0, ink=60.0)
        plate.screws(canvas, "MA", rng)
        changed += bool((canvas.luma != 200).any())
    assert 6 < changed < 20
