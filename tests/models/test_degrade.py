"""Weather, lens, sensor and codec: sizes are kept, seeds are obeyed, labels stay true."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.random import Generator

from models.synth import codec, degrade
from models.synth.degrade import EFFECTS, SHUTTER_PX, Effect, Luma, camera

SHAPES = [(1, 1), (1, 40), (3, 200), (15, 16), (17, 8), (48, 160), (320, 320)]


def plate_like(height: int = 48, width: int = 160) -> Luma:
    """White paper with dark strokes of three pixels and a dark rim."""
    luma = np.full((height, width), 215, dtype=np.uint8)
    luma[height // 5 : -height // 5 or None, 9 : -9 or None : 8] = 40
    luma[height // 5 : -height // 5 or None, 10 : -9 or None : 8] = 40
    luma[:2], luma[-2:] = 60, 60
    return luma


def name_of(effect: Effect) -> str:
    return effect.__name__


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("effect", EFFECTS, ids=name_of)
def test_every_effect_keeps_size_and_kind(effect: Effect, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    luma = rng.integers(0, 256, shape, dtype=np.uint8)
    before = luma.copy()
    for harsh in (0.0, 0.3, 1.0) * 3:
        made = effect(luma, rng, harsh)
        assert made.shape == shape and made.dtype == np.uint8
    assert np.array_equal(luma, before), "the picture given is left as it was"


@pytest.mark.parametrize("shape", SHAPES)
def test_the_camera_keeps_size_and_kind(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(2)
    luma = rng.integers(0, 256, shape, dtype=np.uint8)
    for harsh in (0.0, 0.5, 1.0) * 20:
        made = camera(luma, rng, harsh=harsh)
        assert made.shape == shape and made.dtype == np.uint8


@pytest.mark.parametrize("effect", EFFECTS, ids=name_of)
def test_an_effect_gives_the_same_picture_when_the_seed_is_the_same(effect: Effect) -> None:
    first, second = (effect(plate_like(), np.random.default_rng(3), 0.8) for _ in range(2))
    assert np.array_equal(first, second)


def test_the_camera_gives_the_same_pictures_when_the_seed_is_the_same() -> None:
    def pictures(rng: Generator) -> list[Luma]:
        return [camera(plate_like(), rng, harsh=1.0) for _ in range(60)]

    first, second = pictures(np.random.default_rng(4)), pictures(np.random.default_rng(4))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(first[0], first[1])


def test_a_good_day_leaves_the_picture_nearly_alone() -> None:
    rng = np.random.default_rng(5)
    luma = plate_like()
    changes = [np.abs(camera(luma, rng, harsh=0.0).astype(int) - luma).mean() for _ in range(200)]
    assert max(changes) < 6.0
    assert np.mean(changes) < 3.0


def test_a_bad_day_changes_more_than_a_good_one() -> None:
    def change(harsh: float) -> float:
        rng = np.random.default_rng(6)
        luma = plate_like()
        return float(np.mean([np.abs(camera(luma, rng, harsh=harsh).astype(int) - luma).mean() for _ in range(150)]))

    assert change(0.0) < change(0.5) < change(1.0)


def test_strokes_stay_darker_than_paper_on_most_middling_days() -> None:
    rng = np.random.default_rng(7)
    luma = plate_like()
    ink, paper = luma == 40, luma == 215
    made = [camera(luma, rng, harsh=0.5).astype(float) for _ in range(300)]
    told_apart = [(p[paper].mean() - p[ink].mean()) / (0.5 * (p[paper].std() + p[ink].std()) + 1.0) > 1.0 for p in made]
    assert np.mean(told_apart) > 0.8


def test_the_rolling_shutter_moves_no_edge_by_more_than_its_limit() -> None:
    rng = np.random.default_rng(8)
    ramp = np.repeat(np.arange(0, 250, 2, dtype=np.uint8)[None], 60, axis=0)
    for _ in range(200):
        moved = np.abs(degrade.shutter(ramp, rng, 1.0).astype(int) - ramp) / 2
        assert moved.max() <= SHUTTER_PX + 0.5


@pytest.mark.parametrize("effect", [degrade.blur, degrade.defocus, degrade.motion, degrade.video, degrade.resample])
def test_what_smears_does_not_shift(effect: Effect) -> None:
    rng = np.random.default_rng(9)
    spot = np.zeros((49, 161), dtype=np.uint8)
    spot[20:29, 70:91] = 200
    for _ in range(60):
        weights = effect(spot, rng, 1.0).astype(float)
        weights[weights < 8] = 0
        assert abs((weights.sum(axis=0) @ np.arange(161)) / weights.sum() - 80) < 0.75
        assert abs((weights.sum(axis=1) @ np.arange(49)) / weights.sum() - 24) < 0.75


def test_waves_come_back_as_they_were() -> None:
    blocks = np.random.default_rng(10).random((16, 24), dtype=np.float32)
    waves = codec._waves(blocks, codec.DCT)
    assert waves[:8, :8] == pytest.approx(codec.DCT @ blocks[:8, :8] @ codec.DCT.T, abs=1e-5)
    assert codec._waves(waves, np.ascontiguousarray(codec.DCT.T)) == pytest.approx(blocks, abs=1e-5)
