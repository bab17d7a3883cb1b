"""The whole chain on real photographs that were not trained on."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.reader.detect import Detection, overlap, shared
from edge.reader.drawn import draw
from edge.reader.look import LARGE_PX, Look, Looker, Luma, _better
from edge.reader.ocr import PlateText
from edge.reader.weighing import PLATE_PERMILLE
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


@pytest.mark.parametrize("threads", [1, 2])
def test_opencv_gets_no_more_threads_than_the_models(threads: int) -> None:
    before = cv2.getNumThreads()
    try:
        Looker.load(threads=threads)
        assert cv2.getNumThreads() == threads
    finally:
        cv2.setNumThreads(before)


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


def _street(far_px: int) -> tuple[Luma, tuple[float, float]]:
    """A drawn car near by and, low on the right, a second one whose plate is about `far_px` wide; where that is."""
    luma = draw(width_px=3264, height_px=2448, plates=1).luma.copy()
    wide = round(far_px / 0.085)
    far = draw(width_px=wide, height_px=3 * wide // 4, plates=2)
    corner = far.plates[1][0]
    left, top = round(corner[0]) - 2 * far_px, round(corner[1]) - 2 * far_px
    part = far.luma[top : top + 4 * far_px, left : left + 5 * far_px]
    luma[1900 : 1900 + part.shape[0], 2600 : 2600 + part.shape[1]] = part
    return luma, (2600 + corner[0] - left + far_px / 2, 1900 + corner[1] - top + far_px / 10)


@pytest.mark.parametrize("far_px", [42, 51, 60, 110])
def test_a_far_plate_in_a_large_picture_is_read_beside_a_near_one_and_each_once(looker: Looker, far_px: int) -> None:
    """HT-42."""
    luma, (x, y) = _street(far_px)
    looks = looker.look(luma)
    assert sorted(look.plate.text for look in looks if look.plate) == ["AB12CDE", "LS15EBC"]
    far = next(look.detection.box_px for look in looks if look.plate and look.plate.text == "AB12CDE")
    assert far[0] < x < far[2] and far[1] < y < far[3]
    assert shared(looks[0].detection.box_px, looks[1].detection.box_px) == 0


@pytest.mark.parametrize(("width", "is_closer"), [(LARGE_PX, False), (LARGE_PX + 1, True)])
def test_a_picture_with_a_sure_plate_is_looked_at_from_closer_only_above_a_size(
    looker: Looker, monkeypatch: pytest.MonkeyPatch, width: int, is_closer: bool
) -> None:
    """HT-42."""
    asked: list[tuple[int, ...]] = []
    for name in ("detect_closer", "detect_whole_closer"):
        monkeypatch.setattr(looker.detector, name, lambda luma: asked.append(luma.shape) or [])
    looks = looker.look(draw(width_px=width, height_px=1080, plates=1).luma)
    assert [look.plate.text for look in looks if look.plate] == ["LS15EBC"]
    assert bool(asked) is is_closer


def test_what_was_read_surely_stands_and_what_was_not_gives_way_to_a_surer_look(
    looker: Looker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HT-42: a part of a plate that is read is no plate; a misread one is read again where a closer look finds it."""
    luma, _ = _street(51)
    near, far = (Detection(corners_px=_box(*box), confidence_permille=800) for box in (NEAR, FAR))
    part = Detection(corners_px=_box(449, 1433, 560, 1490), confidence_permille=999)
    doubtful = Detection(corners_px=_box(2665, 1990, 2760, 2011), confidence_permille=320)
    monkeypatch.setattr(looker.detector, "detect", lambda _: [near, doubtful])
    monkeypatch.setattr(looker.detector, "detect_whole_closer", lambda _: [part, far])
    looks = looker.look(luma)
    assert [look.detection for look in looks if look.plate] == [near, far]


NEAR, FAR = (449, 1433, 724, 1505), (2701, 2003, 2753, 2015)


def _box(x0: int, y0: int, x1: int, y1: int) -> tuple[tuple[float, float], ...]:
    return ((x0, y0), (x1, y0), (x1, y1), (x0, y1))


def _read(looker: Looker, luma: Luma, photo: data.Photo) -> list[bool]:
    return [look.plate is not None and look.plate.text == photo.text for look in looker.look(luma)]


def test_one_plate_is_shown_once_however_often_it_was_looked_at() -> None:
    def seen(text: str, confidence: int, left: float) -> Look:
        corners = ((left, 0.0), (left + 50, 0.0), (left + 50, 12.0), (left, 12.0))
        plate = PlateText(text=text, text_ascii=text, region="", confidence_permille=confidence, alternatives=())
        return Look(detection=Detection(corners_px=corners, confidence_permille=500), plate=plate)

    kept = _better([seen("A1", 300, 0.0), seen("AB1", 700, 4.0), seen("C2", 100, 200.0)])
    assert [look.plate.text for look in kept if look.plate] == ["AB1", "C2"]


@pytest.mark.parametrize("plate_permille", [PLATE_PERMILLE - 1, PLATE_PERMILLE])
def test_a_text_on_no_plate_is_no_reason_not_to_look_closer(
    looker: Looker, monkeypatch: pytest.MonkeyPatch, plate_permille: int
) -> None:
    asked: list[int] = []
    found = Detection(corners_px=_box(20, 20, 80, 35), confidence_permille=900)
    price = PlateText(
        text="12990", text_ascii="12990", region="", confidence_permille=990, alternatives=(),
        plate_permille=plate_permille,
    )  # fmt: skip
    monkeypatch.setattr(looker.detector, "detect", lambda _: [found])
    monkeypatch.setattr(looker.detector, "detect_closer", lambda _: (asked.append(1), [])[1])
    monkeypatch.setattr(looker.reader, "read", lambda *_: price)
    looker.look(np.zeros((90, 160), np.uint8))
    assert bool(asked) is (plate_permille < PLATE_PERMILLE)


def test_a_crop_of_nothing_gives_one_look_that_is_not_sure(looker: Looker) -> None:
    (look,) = looker.look_at_crop(np.full((40, 130), 90, dtype=np.uint8))
    assert look.plate is None or look.plate.confidence_permille < 400


def test_another_folder_of_models_is_used_whole(tmp_path: Path) -> None:
    from vedette.errors import NotFound

    with pytest.raises(NotFound, match=r"registry\.toml"):
        Looker.load(threads=1, folder=tmp_path)
