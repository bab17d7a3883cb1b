"""Gates: what keeps a look from counting, and at which measure."""

import pytest

from edge.reader.detect import Detection
from edge.reader.gate import (
    DETECTOR_PERMILLE,
    HEIGHT_PX,
    NARROWEST_ASPECT,
    STEEPEST,
    WIDEST_ASPECT,
    WIDTH_PX,
    Gates,
    Reason,
    Verdict,
    judge,
    judge_detection,
    measures,
)
from edge.reader.look import Look
from edge.reader.ocr import PlateText
from edge.reader.weighing import PLATE_PERMILLE

GATES = Gates(confidence_permille=600)


def plate(width: float, height: float, *, confidence: int = 900, lean: float = 0.0) -> Detection:
    """An upright plate, its right end `lean` pixels lower than its left one."""
    corners = ((0.0, 0.0), (width, lean), (width, lean + height), (0.0, height))
    return Detection(corners_px=corners, confidence_permille=confidence)


def look(detection: Detection, confidence: int | None) -> Look:
    text = PlateText(text="7A1", text_ascii="7A1", region="", confidence_permille=confidence or 0, alternatives=())
    return Look(detection=detection, plate=text if confidence is not None else None)


def verdict(detection: Detection, confidence: int | None = 900) -> tuple[Verdict, Reason | None]:
    judged = judge(look(detection, confidence), GATES)
    return judged.verdict, judged.reason


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (60, HEIGHT_PX, (Verdict.READ, None)),
        (60, HEIGHT_PX - 0.1, (Verdict.TOO_SMALL, Reason.HEIGHT)),
        (WIDTH_PX, 12, (Verdict.READ, None)),
        (WIDTH_PX - 0.1, 12, (Verdict.TOO_SMALL, Reason.WIDTH)),
    ],
)
def test_plate_is_too_small_when_it_is_below_a_measure(width: float, height: float, expected: object) -> None:
    """HT-36, HT-37."""
    assert verdict(plate(width, height)) == expected


@pytest.mark.parametrize(("height", "expected"), [(34.0, Verdict.READ), (36.0, Verdict.READ), (24.0, Verdict.READ)])
def test_each_of_two_lines_needs_the_height_of_one(height: float, expected: Verdict) -> None:
    """HT-36: 36 wide and 24 high is two lines of 12."""
    assert verdict(plate(36.0, height))[0] is expected
    assert measures(plate(36.0, height).corners_px).height_px == pytest.approx(height / 2)
    assert measures(plate(60.0, 30.0).corners_px).height_px == pytest.approx(30.0)


def test_two_lines_are_too_small_when_one_line_of_that_height_would_not_be() -> None:
    """HT-36."""
    gates = Gates(confidence_permille=600, width_px=10.0)
    judged = [judge(look(plate(width, 16.0), 900), gates).reason for width in (24.0, 26.0)]
    assert judged == [Reason.HEIGHT, None]


@pytest.mark.parametrize(
    ("width", "height", "reason"),
    [
        (40, 40 / NARROWEST_ASPECT, None),
        (40, 40 / NARROWEST_ASPECT + 1, Reason.SHAPE),
        (WIDEST_ASPECT * 20, 20, None),
        (WIDEST_ASPECT * 20 + 2, 20, Reason.SHAPE),
    ],
)
def test_look_is_unsure_when_no_plate_has_that_shape(width: float, height: float, reason: Reason | None) -> None:
    """HT-36, HT-37."""
    assert verdict(plate(width, height))[1] is reason


@pytest.mark.parametrize(("ratio", "reason"), [(STEEPEST - 0.01, None), (STEEPEST + 0.01, Reason.SHAPE)])
def test_look_is_unsure_when_one_edge_is_much_longer_than_the_opposite_one(ratio: float, reason: Reason | None) -> None:
    """HT-36."""
    corners = ((0.0, 0.0), (100.0, 0.0), (100.0, 20.0 * ratio), (0.0, 20.0))
    assert verdict(Detection(corners_px=corners, confidence_permille=900))[1] is reason


def test_a_tilted_plate_is_as_high_as_its_edges_are_apart() -> None:
    """HT-36."""
    assert measures(plate(100, 20, lean=100).corners_px).height_px == pytest.approx(20 / 2**0.5)


@pytest.mark.parametrize(
    ("confidence", "reason"), [(DETECTOR_PERMILLE, None), (DETECTOR_PERMILLE - 1, Reason.DETECTOR)]
)
def test_look_is_unsure_when_the_detector_is(confidence: int, reason: Reason | None) -> None:
    """HT-36."""
    assert verdict(plate(100, 20, confidence=confidence))[1] is reason


@pytest.mark.parametrize(
    ("confidence", "expected"),
    [
        (600, (Verdict.READ, None)),
        (599, (Verdict.UNSURE, Reason.CONFIDENCE)),
        (None, (Verdict.NO_TEXT, Reason.TEXT)),
    ],
)
def test_text_counts_from_its_confidence(confidence: int | None, expected: object) -> None:
    """HT-36, HT-37."""
    assert verdict(plate(100, 20), confidence) == expected


def test_text_with_a_covered_character_is_unsure_however_clear_the_others_are() -> None:
    """HT-36."""
    covered = PlateText(text="7?1", text_ascii="7?1", region="", confidence_permille=999, alternatives=())
    judged = judge(Look(detection=plate(100, 20), plate=covered), GATES)
    assert (judged.verdict, judged.reason) == (Verdict.UNSURE, Reason.COVERED)


@pytest.mark.parametrize(
    ("text", "confidence", "reason"),
    [("EXIT", 899, Reason.WORD), ("EXIT", 900, None), ("EX1T", 899, None), ("EXIT", 599, Reason.CONFIDENCE)],
)
def test_text_without_a_digit_has_to_be_read_more_surely(text: str, confidence: int, reason: Reason | None) -> None:
    """HT-36: signs say words."""
    word = PlateText(text=text, text_ascii=text, region="", confidence_permille=confidence, alternatives=())
    assert judge(Look(detection=plate(100, 20), plate=word), GATES).reason is reason


@pytest.mark.parametrize(
    ("plate_permille", "confidence", "reason"),
    [
        (PLATE_PERMILLE, 999, None),
        (PLATE_PERMILLE - 1, 999, Reason.NO_PLATE),
        (PLATE_PERMILLE - 1, 100, Reason.NO_PLATE),
        (PLATE_PERMILLE, 100, Reason.CONFIDENCE),
    ],
)
def test_text_that_stands_on_no_plate_is_unsure_however_clear_it_is(
    plate_permille: int, confidence: int, reason: Reason | None
) -> None:
    """HT-36: a price, a stamp or a sign has a text too."""
    price = PlateText(
        text="12990", text_ascii="12990", region="", confidence_permille=confidence, alternatives=(),
        plate_permille=plate_permille,
    )  # fmt: skip
    judged = judge(Look(detection=plate(100, 20), plate=price), GATES)
    assert (judged.verdict, judged.reason) == (Verdict.READ if reason is None else Verdict.UNSURE, reason)


def test_plate_is_worth_reading_when_its_detection_passes() -> None:
    """HT-36."""
    assert judge_detection(plate(100, 20), GATES) is None
    assert judge_detection(plate(100, 5), GATES) is not None


@pytest.mark.parametrize(
    ("right", "down", "whole"),
    [(8, 2, True), (7, 9, False), (9, 1, False), (22, 9, True), (23, 9, False), (9, 33, True), (9, 34, False)],
)
def test_plate_is_unsure_when_a_part_of_it_may_be_outside_the_picture(right: int, down: int, whole: bool) -> None:
    """HT-36: a picture of 80 by 45 pixels and a plate of 50 by 10, of which 0.15 are 7.5 and 1.5."""
    corners = tuple((x + right, y + down) for x, y in plate(50, 10).corners_px)
    judged = judge_detection(Detection(corners_px=corners, confidence_permille=900), GATES, (80, 45))
    assert (judged is None) is whole
    assert judged is None or judged.reason is Reason.EDGE


def test_corners_on_one_point_are_too_small_and_no_crash() -> None:
    """HT-36."""
    nothing = Detection(corners_px=((1.0, 1.0),) * 4, confidence_permille=900)
    assert verdict(nothing) == (Verdict.TOO_SMALL, Reason.HEIGHT)
