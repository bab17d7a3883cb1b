"""Fitting what a confidence is worth, and measuring how honest confidences are."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from models.evaluate.calibration import (
    BINS,
    MAX_STEPS,
    Conditions,
    Sample,
    calibration_error,
    cross_fitted,
    fitted,
    is_first_half,
    measured,
)
from models.evaluate.conditions import by_condition, measure

SOMEWHERE = Conditions(width_px=100.0, tilt_deg=0.0, brightness=120.0, contrast=50.0, country="MA")


def sample(raw: int, right: bool, plate: str = "x", conditions: Conditions = SOMEWHERE) -> Sample:
    return Sample(plate=plate, source="photographs", raw_permille=raw, right=right, size=1.0, conditions=conditions)


def invented(count: int, seed: int, *, power: float = 1.0) -> list[Sample]:
    """Reads whose true probability is the confidence to some power; 1 is an honest reader."""
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, 1000, count)
    right = rng.random(count) < (raw / 1000) ** power
    return [
        sample(int(one), bool(is_right), f"plate {i}") for i, (one, is_right) in enumerate(zip(raw, right, strict=True))
    ]


def raw_of(samples: Sequence[Sample]) -> list[int]:
    return [one.raw_permille for one in samples]


def error(pairs: Sequence[tuple[float, float]], bins: int) -> float:
    confidences, right = (np.array(column, dtype=np.float64) for column in zip(*pairs, strict=True))
    return calibration_error(confidences, right, bins)


def test_the_error_of_known_reads() -> None:
    assert error([(0.5, 1.0), (0.5, 0.0)], 1) == pytest.approx(0.0)
    assert error([(0.8, 1.0), (0.8, 0.0)], 1) == pytest.approx(0.3)
    assert error([(0.1, 0.0), (0.2, 0.0), (0.9, 1.0), (1.0, 0.0)], 2) == pytest.approx((0.15 + 0.45) / 2)
    assert error([(0.2, 0.0), (0.8, 1.0)], BINS) == pytest.approx(0.2)


def test_every_bin_holds_equally_many_reads_whatever_their_order() -> None:
    pairs = [(one / 100, float(one % 3 == 0)) for one in range(99)]
    assert error(pairs, 12) == pytest.approx(error(pairs[::-1], 12))


def test_a_fit_rises_has_few_knots_and_begins_at_nothing() -> None:
    table = fitted(invented(3000, 1, power=2.0))
    assert (table.knots[0].raw_permille, table.knots[0].right_permille) == (0, 0)
    assert 4 <= len(table.knots) <= MAX_STEPS + 1
    values = [table.right_permille(raw) for raw in range(1001)]
    assert all(one <= other for one, other in pairwise(values))


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_a_fit_finds_the_true_probability(power: float) -> None:
    table = fitted(invented(20_000, 2, power=power))
    for raw in (200, 400, 600, 800):
        assert table.right_permille(raw) == pytest.approx(1000 * (raw / 1000) ** power, abs=60)


@pytest.mark.parametrize(("reads", "most"), [(30, 900), (100, 970), (3000, 999)])
def test_no_more_is_claimed_than_so_many_reads_without_an_error_support(reads: int, most: int) -> None:
    assert fitted([sample(990, True)] * reads).right_permille(1000) == most


def test_reads_that_are_never_right_are_worth_nothing() -> None:
    table = fitted([sample(900, False)] * 50)
    assert table.right_permille(1000) == 0


def test_a_few_lucky_reads_at_the_top_do_not_make_certainty() -> None:
    unsure = [sample(500 + i % 400, i % 2 == 0) for i in range(400)]
    lucky = [sample(999, True)] * 10
    assert fitted(unsure + lucky).right_permille(1000) < 700


def test_a_fit_makes_a_boasting_reader_honest() -> None:
    samples = invented(6000, 3, power=3.0)
    before = measured(samples, raw_of(samples), np.random.default_rng(0))
    after = measured(samples, cross_fitted(samples), np.random.default_rng(0))
    assert before.error > 0.2 > 0.03 > after.error
    assert before.low <= before.error <= before.high
    assert after.error < 2 * after.by_chance


def test_an_honest_reader_shows_what_chance_alone_would() -> None:
    samples = invented(3000, 4)
    found = measured(samples, raw_of(samples), np.random.default_rng(0))
    assert found.error == pytest.approx(found.by_chance, abs=0.015)


def test_the_same_seed_measures_the_same() -> None:
    samples = invented(300, 5)
    first, second = (measured(samples, raw_of(samples), np.random.default_rng(7)) for _ in range(2))
    assert first == second


def test_no_plate_is_judged_by_a_table_that_knew_it() -> None:
    plates = [f"plate {number}" for number in range(200)]
    assert 60 < sum(map(is_first_half, plates)) < 140
    # In one half every read is right, in the other none: crossed, each half is given the other's worth.
    samples = [sample(800, is_first_half(plate), plate) for plate in plates for _ in range(3)]
    crossed = cross_fitted(samples)
    assert all(permille == 0 for one, permille in zip(samples, crossed, strict=True) if one.right)
    assert all(permille > 900 for one, permille in zip(samples, crossed, strict=True) if not one.right)


def test_reads_of_one_plate_are_drawn_together() -> None:
    alone = [sample(900, i % 2 == 0, f"plate {i}") for i in range(200)]
    together = [sample(900, i % 2 == 0, f"plate {i % 2}") for i in range(200)]
    narrow, wide = (measured(one, raw_of(one), np.random.default_rng(0)) for one in (alone, together))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_conditions_are_measured_on_the_plate() -> None:
    luma = np.full((100, 200), 40, dtype=np.uint8)
    luma[20:40, 50:150] = 200
    level = ((50.0, 20.0), (149.0, 20.0), (149.0, 39.0), (50.0, 39.0))
    found = measure(luma, level, "MA")
    assert found.width_px == pytest.approx(99)
    assert (found.tilt_deg, found.country) == (0.0, "MA")
    assert found.brightness == pytest.approx(200, abs=1) and found.contrast == pytest.approx(0, abs=1)
    tilted = measure(luma, ((50.0, 20.0), (150.0, 30.0), (148.0, 50.0), (48.0, 40.0)), "MA")
    assert tilted.tilt_deg == pytest.approx(5.71, abs=0.01)


def test_the_table_of_conditions_tells_where_too_much_is_claimed() -> None:
    narrow = Conditions(width_px=49.9, tilt_deg=-8.0, brightness=10.0, contrast=10.0, country="ES")
    samples = [sample(900, i < 5, conditions=narrow) for i in range(10)] + [sample(900, True)] * 30
    text = by_condition(samples, raw_of(samples))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    assert ["width", "below 50 px", "50.0 of 10 (23.7–76.3)", "90.0", "+40.0"] in rows
    assert ["tilt", "7 ° and more", "50.0 of 10 (23.7–76.3)", "90.0", "+40.0"] in rows
    assert ["country", "MA", "100.0 of 30 (88.6–100.0)", "90.0", "-10.0"] in rows
    assert not any(row[1] == "ES" for row in rows)


def test_the_diagram_is_a_picture_of_one_panel_for_each_source(tmp_path: Path) -> None:
    pytest.importorskip("PIL", reason="Pillow draws the diagram")
    from PIL import Image

    from models.evaluate import reliability
    from models.evaluate.calibrate import panels

    samples = invented(400, 6)
    found = panels(samples, cross_fitted(samples), seed=1)
    assert [panel.title for panel in found] == ["Photographs", "Photographs at their own size", "All"]
    reliability.write(tmp_path / "made" / "r.png", found[:2])
    with Image.open(tmp_path / "made" / "r.png") as picture:
        assert picture.size == (2 * reliability.PANEL_PX[0], reliability.PANEL_PX[1])
        assert len(picture.convert("RGB").getcolors(1 << 16) or []) > 8
