"""The whole chain on real photographs that were not trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.reader.detect import overlap
from edge.reader.look import Looker
from models.train import data

MINIMUM_OF_TEN = 8


@pytest.fixture(scope="module")
def looker() -> Looker:
    return Looker.load(threads=2)


@pytest.fixture(scope="module")
def held_out() -> list[data.Photo]:
    root = data.default_data()
    if not (root / "plates" / "manifest.jsonl").is_file():
        pytest.skip(f"no photographs under {root}; set VEDETTE_DATA")
    return [photo for photo in data.photos(root) if photo.held_out and photo.text]


def test_the_hashes_of_both_models_are_known(looker: Looker) -> None:
    assert set(looker.model_hashes) == {"detector", "reader"}
    assert all(len(value) == 64 for value in looker.model_hashes.values())


@pytest.mark.parametrize("folder", ["ma_scenes", "br_scenes"])
def test_real_cars_are_found_and_read(looker: Looker, held_out: list[data.Photo], folder: str) -> None:
    photos = [photo for photo in held_out if photo.folder == folder][:10]
    right = 0
    for photo in photos:
        assert photo.box is not None
        looks = looker.look(data.luma_of(photo.path))
        right += any(
            look.plate is not None and look.plate.text == photo.text and overlap(look.detection.box_px, photo.box) > 0.4
            for look in looks
        )
    assert right >= MINIMUM_OF_TEN


def test_real_crops_are_read(looker: Looker, held_out: list[data.Photo]) -> None:
    photos = [photo for photo in held_out if photo.folder == "ma_crops" and photo.lines == 1][:10]
    texts = [
        look.plate.text if look.plate else "" for p in photos for look in looker.look_at_crop(data.luma_of(p.path))
    ]
    assert sum(text == photo.text for text, photo in zip(texts, photos, strict=True)) >= MINIMUM_OF_TEN


def test_the_same_picture_gives_the_same_answer(looker: Looker, held_out: list[data.Photo]) -> None:
    luma = data.luma_of(held_out[0].path)
    assert looker.look(luma) == looker.look(luma) == Looker.load(threads=1).look(luma)


def test_a_crop_of_nothing_gives_one_look_that_is_not_sure(looker: Looker) -> None:
    (look,) = looker.look_at_crop(np.full((40, 130), 90, dtype=np.uint8))
    assert look.plate is None or look.plate.confidence_permille < 400


def test_another_folder_of_models_is_used_whole(tmp_path: Path) -> None:
    from vedette.errors import NotFound

    with pytest.raises(NotFound, match=r"registry\.toml"):
        Looker.load(threads=1, folder=tmp_path)
