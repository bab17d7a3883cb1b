"""The whole chain on real photographs that were not trained on."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.reader.detect import Detection, overlap
from edge.reader.look import Look, Looker, Luma, _better
from edge.reader.ocr import PlateText
from models.train import data

MINIMUM_OF_TEN = 8
MINIMUM_OF_SIX = 3


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


def test_a_picture_that_is_cut_to_its_plate_is_read_also_where_nobody_says_so(
    looker: Looker, held_out: list[data.Photo]
) -> None:
    photos = [photo for photo in held_out if photo.folder == "ma_crops"][:30]
    right = 0
    for photo in photos:
        looks = [look.plate for look in looker.look(data.luma_of(photo.path)) if look.plate is not None]
        right += any(plate.text == photo.text for plate in looks)
    assert right >= 0.7 * len(photos)


def test_a_plate_that_is_not_read_surely_is_looked_at_from_closer(looker: Looker, held_out: list[data.Photo]) -> None:
    """The corners are found anew, so a plate whose corners were off by a tenth of its height is read all the same."""
    photo = next(p for p in held_out if p.folder == "br_scenes")
    luma = data.luma_of(photo.path)
    look = max(looker.look(luma), key=lambda one: one.plate.confidence_permille if one.plate else 0)
    assert look.plate is not None
    tall = look.detection.corners_px[3][1] - look.detection.corners_px[0][1]
    off = Detection(
        corners_px=tuple((x, y + 0.3 * tall * (1 if x > look.detection.corners_px[0][0] + 1 else -1))
                         for x, y in look.detection.corners_px),
        confidence_permille=800,
    )  # fmt: skip
    worse = Look(detection=off, plate=None)
    closer = looker._closely(luma, worse)
    assert closer.plate is not None and closer.plate.text == look.plate.text
    assert overlap(closer.detection.box_px, look.detection.box_px) > 0.8


def test_the_same_picture_gives_the_same_answer(looker: Looker, held_out: list[data.Photo]) -> None:
    luma = data.luma_of(held_out[0].path)
    assert looker.look(luma) == looker.look(luma) == Looker.load(threads=1).look(luma)


def test_small_plates_in_a_large_picture_are_found_from_closer(looker: Looker, held_out: list[data.Photo]) -> None:
    photos = [photo for photo in held_out if photo.folder == "br_scenes"][:6]
    right = 0
    for photo in photos:
        small = cv2.resize(data.luma_of(photo.path), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        wide = np.full((1440, 2560), 110, dtype=np.uint8)
        wide[700 : 700 + small.shape[0], 300 : 300 + small.shape[1]] = small
        assert looker.detector.detect_closer(wide)
        right += any(_read(looker, wide, photo))
    assert right >= MINIMUM_OF_SIX


def _read(looker: Looker, luma: Luma, photo: data.Photo) -> list[bool]:
    return [look.plate is not None and look.plate.text == photo.text for look in looker.look(luma)]


def test_one_plate_is_shown_once_however_often_it_was_looked_at() -> None:
    def seen(text: str, confidence: int, left: float) -> Look:
        corners = ((left, 0.0), (left + 50, 0.0), (left + 50, 12.0), (left, 12.0))
        plate = PlateText(text=text, text_ascii=text, region="", confidence_permille=confidence, alternatives=())
        return Look(detection=Detection(corners_px=corners, confidence_permille=500), plate=plate)

    kept = _better([seen("A1", 300, 0.0), seen("AB1", 700, 4.0), seen("C2", 100, 200.0)])
    assert [look.plate.text for look in kept if look.plate] == ["AB1", "C2"]


def test_a_crop_of_nothing_gives_one_look_that_is_not_sure(looker: Looker) -> None:
    (look,) = looker.look_at_crop(np.full((40, 130), 90, dtype=np.uint8))
    assert look.plate is None or look.plate.confidence_permille < 400


def test_another_folder_of_models_is_used_whole(tmp_path: Path) -> None:
    from vedette.errors import NotFound

    with pytest.raises(NotFound, match=r"registry\.toml"):
        Looker.load(threads=1, folder=tmp_path)
