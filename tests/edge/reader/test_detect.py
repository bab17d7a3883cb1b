"""Finding plates: fitting a picture into the model, and from heat map to corners."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.reader import detect
from edge.reader.detect import Detection, Detector, decode, fit, is_convex, overlap, shared
from edge.reader.infer import Model, ModelUnusable
from edge.reader.registry import find_model

ROWS, COLUMNS = 12, 16
Maps = tuple[NDArray[np.float32], NDArray[np.float32]]


def maps(*plates: tuple[int, int, float, float, float]) -> Maps:
    """Heat and corner maps with one plate for each (row, column, logit, half width, half height)."""
    heat = np.full((ROWS, COLUMNS), -9.0, dtype=np.float32)
    corners = np.zeros((ROWS, COLUMNS, 8), dtype=np.float32)
    for row, column, logit, wide, tall in plates:
        heat[row, column] = logit
        offsets = np.array([-wide, -tall, wide, -tall, wide, tall, -wide, tall])
        corners[row, column] = np.arcsinh(offsets / detect.CORNER_SCALE_PX)
    return heat, corners


def test_a_peak_becomes_a_plate_around_the_centre_of_its_cell() -> None:
    (found,) = decode(*maps((3, 5, 2.0, 30, 8)))
    assert found.box_px == (44 - 30, 28 - 8, 44 + 30, 28 + 8)
    assert found.confidence_permille == int(1000 / (1 + np.exp(-2.0)))


def test_the_surest_plate_comes_first() -> None:
    found = decode(*maps((2, 3, 0.0, 20, 6), (9, 12, 4.0, 20, 6)))
    assert [one.confidence_permille for one in found] == [982, 500]


def test_a_weak_peak_is_no_plate() -> None:
    just_below = float(np.log(0.299 / 0.701))
    just_above = float(np.log(0.301 / 0.699))
    assert decode(*maps((3, 5, just_below, 30, 8))) == []
    assert len(decode(*maps((3, 5, just_above, 30, 8)))) == 1


def test_two_peaks_of_one_plate_give_the_surer_one() -> None:
    (found,) = decode(*maps((3, 5, 2.0, 40, 10), (3, 7, 1.0, 40, 10)))
    assert found.confidence_permille == int(1000 / (1 + np.exp(-2.0)))


def test_neighbouring_cells_steady_the_corners() -> None:
    heat, corners = maps((3, 5, 3.0, 32, 8), (3, 6, 2.9, 24, 8))
    (found,) = decode(heat, corners)
    alone = decode(*maps((3, 5, 3.0, 32, 8)))[0]
    assert found.corners_px != alone.corners_px


def test_corners_that_cross_are_no_plate() -> None:
    heat, corners = maps((3, 5, 3.0, 30, 8))
    corners[3, 5] = corners[3, 5][[2, 3, 0, 1, 4, 5, 6, 7]]
    assert decode(heat, corners) == []


def test_no_more_plates_than_the_maximum(monkeypatch: pytest.MonkeyPatch) -> None:
    plates = [(row, column, 2.0, 6.0, 3.0) for row in (1, 4, 7) for column in (1, 4, 7)]
    monkeypatch.setattr(detect, "MAX_DETECTIONS", 9)
    assert len(decode(*maps(*plates))) == 9
    monkeypatch.setattr(detect, "MAX_DETECTIONS", 8)
    assert len(decode(*maps(*plates))) == 8


@pytest.mark.parametrize("size", [(1, 1), (2, 700), (700, 2), (48, 160), (720, 1280), (4000, 3000)])
def test_any_picture_fits_into_the_model(size: tuple[int, int]) -> None:
    fitted, scale = fit(np.full(size, 200, dtype=np.uint8), width_px=512, height_px=384)
    assert fitted.shape == (384, 512)
    assert fitted[0, 0] == 200
    assert 0 < scale <= detect.MAX_ENLARGEMENT


@pytest.mark.parametrize(
    ("picture", "shape"),
    [
        ((720, 1280), (320, 576)),
        ((1080, 1920), (320, 576)),
        ((480, 640), (384, 512)),
        ((640, 640), (384, 512)),
        ((4032, 3024), (512, 384)),
        ((1920, 1080), (512, 384)),
        ((90, 150), (192, 320)),
        ((1, 1), (192, 320)),
        ((1, 9000), (320, 576)),
        ((9000, 1), (512, 384)),
    ],
)
def test_a_picture_gets_the_input_in_which_it_is_largest(picture: tuple[int, int], shape: tuple[int, int]) -> None:
    assert detect.shape_for(*picture) == shape


def test_fit_keeps_the_shape_and_pads_with_grey() -> None:
    fitted, scale = fit(np.full((720, 1280), 200, dtype=np.uint8), width_px=512, height_px=384)
    assert scale == 0.4
    assert (fitted[:288] == 200).all()
    assert (fitted[288:] == detect.PADDING_GREY).all()


def test_overlap_is_intersection_over_union() -> None:
    assert overlap((0, 0, 10, 10), (0, 0, 10, 10)) == 1.0
    assert overlap((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 10, 10), (10, 10, 20, 20)) == 0.0
    assert overlap((0, 0, 0, 0), (0, 0, 0, 0)) == 0.0


def test_a_box_is_upright_around_the_corners() -> None:
    found = Detection(corners_px=((10.4, 5.0), (50.0, 8.6), (49.0, 20.2), (9.0, 17.0)), confidence_permille=900)
    assert found.box_px == (9, 5, 50, 20)
    assert is_convex(found.corners_px)


def test_a_reader_is_no_detector() -> None:
    reader = Model.load(find_model("reader").path, threads=1)
    with pytest.raises(ModelUnusable, match="heat map"):
        Detector(reader)


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (384, 512), (1080, 1920)])
def test_a_grey_picture_holds_no_plate(size: tuple[int, int]) -> None:
    detector = Detector(Model.load(find_model("detector").path, threads=1))
    assert detector.detect(np.full(size, 128, dtype=np.uint8)) == []


def test_a_picture_no_larger_than_the_input_is_not_looked_at_closer() -> None:
    detector = Detector(Model.load(find_model("detector").path, threads=1))
    assert detector.detect_closer(np.full((384, 512), 128, dtype=np.uint8)) == []


def test_closer_looks_cover_the_whole_picture_and_put_plates_back_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = Detector(Model.load(find_model("detector").path, threads=1))
    seen = np.zeros((1000, 1600), dtype=int)
    marks = np.arange(1_600_000, dtype=np.uint32).reshape(1000, 1600)

    def one_plate(part: NDArray[np.uint32]) -> list[Detection]:
        top, left = divmod(int(part[0, 0]), 1600)
        seen[top : top + part.shape[0], left : left + part.shape[1]] += 1
        corners = ((10.0, 20.0), (60.0, 20.0), (60.0, 32.0), (10.0, 32.0))
        return [Detection(corners_px=corners, confidence_permille=600 - top - left // 4)]

    monkeypatch.setattr(detector, "detect", one_plate)
    found = detector.detect_closer(marks)  # type: ignore[arg-type]
    assert (seen > 0).all() and seen.max() == 4
    assert [one.box_px[:2] for one in found] == [(10, 20), (650, 20), (10, 420), (650, 420)]


@pytest.mark.parametrize(
    ("quarter_at", "left", "is_whole"),
    [
        (0, 0, True),
        (0, 849, True),
        (0, 850, False),
        (0, 870, False),
        (640, 650, False),
        (640, 651, True),
        (640, 1500, True),
    ],
)
def test_a_plate_that_a_quarters_edge_may_cut_is_left_to_the_quarter_that_holds_it_whole(
    monkeypatch: pytest.MonkeyPatch, quarter_at: int, left: int, is_whole: bool
) -> None:
    """HT-42: of 1600 px one quarter ends at 960, the other begins at 640; the picture's own edges cut nothing."""
    detector = Detector(Model.load(find_model("detector").path, threads=1))
    marks = np.arange(1_600_000, dtype=np.uint32).reshape(1000, 1600)

    def one_plate(part: NDArray[np.uint32]) -> list[Detection]:
        if part[0, 0] != quarter_at:
            return []
        x = float(left - quarter_at)
        corners = ((x, 20.0), (x + 100, 20.0), (x + 100, 45.0), (x, 45.0))
        return [Detection(corners_px=corners, confidence_permille=600)]

    monkeypatch.setattr(detector, "detect", one_plate)
    assert len(detector.detect_closer(marks)) == 1  # type: ignore[arg-type]
    found = detector.detect_whole_closer(marks)  # type: ignore[arg-type]
    assert bool(found) is is_whole


def test_what_two_boxes_share_is_measured_by_the_smaller_one() -> None:
    assert shared((0, 0, 100, 40), (10, 10, 30, 20)) == 1.0
    assert shared((0, 0, 10, 10), (5, 0, 25, 10)) == 0.5
    assert shared((0, 0, 10, 10), (10, 0, 20, 10)) == shared((0, 0, 0, 0), (0, 0, 5, 5)) == 0.0
