"""Reading a plate whose corners are known, with a drawn plate and with made-up evidence."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from edge.reader import ctc, weighing
from edge.reader.alphabet import BLANK, INDEX_OF, SYMBOLS
from edge.reader.infer import Model, ModelUnusable
from edge.reader.ocr import PlateReader
from edge.reader.registry import find_model

Luma = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


@pytest.fixture(scope="module")
def reader() -> PlateReader:
    return PlateReader(Model.load(find_model("reader").path, threads=1))


def lettered(text: str, *, width: int = 520, height: int = 110) -> Luma:
    """A white plate with black capitals of OpenCV's own plain face."""
    plate = np.full((height, width), 235, dtype=np.uint8)
    (wide, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 2.8, 9)
    cv2.putText(plate, text, ((width - wide) // 2, 84), cv2.FONT_HERSHEY_SIMPLEX, 2.8, 20, 9, cv2.LINE_AA)
    return plate


@pytest.mark.parametrize("text", ["LS15 EBC", "AB123CD", "4821 KLM"])
def test_a_plain_plate_is_read(reader: PlateReader, text: str) -> None:
    plate = reader.read_crop(lettered(text))
    assert plate is not None
    assert plate.text == plate.text_ascii == text.replace(" ", "")
    assert plate.confidence_permille >= 400


def test_a_turned_plate_is_read_by_its_corners(reader: PlateReader) -> None:
    scene = np.full((500, 700), 70, dtype=np.uint8)
    scene[190:300, 90:610] = lettered("LS15 EBC")
    turn = cv2.getRotationMatrix2D((350, 245), 17, 0.9)
    turned = np.asarray(cv2.warpAffine(scene, turn, (700, 500), borderValue=70), dtype=np.uint8)
    square = np.array([[90, 190], [610, 190], [610, 300], [90, 300]], dtype=np.float64)
    corners = tuple((float(x), float(y)) for x, y in square @ turn[:, :2].T + turn[:, 2])
    plate = reader.read(turned, corners)
    assert plate is not None and plate.text == "LS15EBC"


def test_a_glance_reads_a_plain_plate_with_one_run_of_the_model(
    reader: PlateReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[int] = []
    real = reader._model.run_real
    monkeypatch.setattr(reader._model, "run_real", lambda picture: (runs.append(1), real(picture))[1])
    plate = reader.glance(lettered("LS15 EBC"), ((0.0, 0.0), (520.0, 0.0), (520.0, 110.0), (0.0, 110.0))).plate
    assert plate is not None and plate.text == "LS15EBC"
    reader.glance(np.full((48, 160), 200, dtype=np.uint8), ((0.0, 0.0), (160.0, 0.0), (160.0, 48.0), (0.0, 48.0)))
    assert len(runs) == 2


@pytest.mark.parametrize("faded", [0.0, 0.75, 0.93])
def test_a_read_goes_on_from_a_glance(reader: PlateReader, monkeypatch: pytest.MonkeyPatch, faded: float) -> None:
    """The same answer with one run of the model less, where the glance settled it and where it did not."""
    luma = np.asarray(cv2.addWeighted(lettered("LS15 EBC"), 1 - faded, np.full((110, 520), 128, np.uint8), faded, 0))
    luma += np.random.default_rng(3).integers(0, 9, luma.shape, dtype=np.uint8)
    corners = ((0.0, 0.0), (520.0, 0.0), (520.0, 110.0), (0.0, 110.0))
    glance = reader.glance(luma, corners)
    runs: list[int] = []
    real = reader._model.run_real
    monkeypatch.setattr(reader._model, "run_real", lambda picture: (runs.append(1), real(picture))[1])
    alone = reader.read(luma, corners)
    whole = len(runs)
    assert reader.read(luma, corners, glance) == alone
    assert len(runs) - whole == whole - 1


def test_a_blank_plate_is_not_read_with_confidence(reader: PlateReader) -> None:
    plate = reader.read_crop(np.full((48, 160), 200, dtype=np.uint8))
    assert plate is None or plate.confidence_permille < 400


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2000, 3000)])
def test_crops_of_any_size_are_taken(reader: PlateReader, size: tuple[int, int]) -> None:
    plate = reader.read_crop(np.full(size, 90, dtype=np.uint8))
    assert plate is None or 0 <= plate.confidence_permille <= 1000


def test_a_detector_is_no_reader() -> None:
    with pytest.raises(ModelUnusable, match="symbols"):
        PlateReader(Model.load(find_model("detector").path, threads=1))


def rows_for(text: str, sure: float, rival: str = "") -> ctc.Rows:
    """Rows that spell a text, each symbol `sure`; what is left goes to the symbol of the rival or to the blank."""
    rows = np.full((2 * len(text) + 1, len(SYMBOLS) + 1), 1e-9, dtype=np.float32)
    rows[0::2, BLANK] = 1.0
    for place, symbol in enumerate(text):
        rows[2 * place + 1, INDEX_OF[symbol]] = sure
        other = INDEX_OF[rival[place]] if rival and rival[place] != symbol else BLANK
        rows[2 * place + 1, other] += 1 - sure
    return np.log(rows / rows.sum(axis=-1, keepdims=True)).astype(np.float32)


def test_a_sure_path_of_an_issued_shape_needs_no_second_look() -> None:
    plate = weighing.sure(rows_for("12345|أ|6", 0.999))
    assert plate is not None
    assert (plate.text, plate.text_ascii, plate.region) == ("12345|أ|6", "12345A6", "MA")
    assert plate.confidence_permille == pytest.approx(1000 * 0.999**9, abs=2)


def test_an_unsure_path_or_a_strange_shape_is_not_settled_at_once() -> None:
    assert weighing.sure(rows_for("12345|أ|6", 0.97)) is None
    assert weighing.sure(rows_for("1A1A1A1", 0.9999)) is None


def test_look_alikes_are_settled_by_what_countries_issue() -> None:
    plate = weighing.decide(weighing.weigh([rows_for("LSI5EBC", 0.6, rival="LS15EBC")]))
    assert plate is not None
    assert plate.text == "LS15EBC"
    assert "LSI5EBC" in [other.text for other in plate.alternatives]


def test_a_clear_character_is_not_bent_to_a_known_shape() -> None:
    plate = weighing.decide(weighing.weigh([rows_for("LSI5EBC", 0.9999, rival="LS15EBC")]))
    assert plate is not None and plate.text == "LSI5EBC"


def test_looks_are_averaged() -> None:
    agree = weighing.decide(weighing.weigh([rows_for("AB123CD", 0.9), rows_for("AB123CD", 0.9)]))
    differ = weighing.decide(weighing.weigh([rows_for("AB123CD", 0.9), rows_for("AB128CD", 0.9)]))
    assert agree is not None and differ is not None
    assert differ.confidence_permille < 550 < agree.confidence_permille


def test_a_moroccan_plate_of_two_lines_may_carry_its_serial_below() -> None:
    weights = weighing.weigh_two_rows([rows_for("أ|10", 0.98)], [rows_for("27069", 0.98)])
    plate = weighing.decide(weights)
    assert plate is not None and plate.text == "27069|أ|10"


def test_alternatives_are_limited_and_ordered() -> None:
    plate = weighing.decide(weighing.weigh([rows_for("0ZI5EBO", 0.5, rival="OZ15EB0")]))
    assert plate is not None
    shares = [other.confidence_permille for other in plate.alternatives]
    assert len(shares) == weighing.MAX_ALTERNATIVES
    assert shares == sorted(shares, reverse=True)
    assert plate.confidence_permille >= shares[0]
    assert math.fsum(shares) + plate.confidence_permille <= 1000


def test_a_latin_plate_of_two_lines_is_read_from_above_only() -> None:
    plate = weighing.decide(weighing.weigh_two_rows([rows_for("1234", 0.98)], [rows_for("BCD", 0.98)]))
    assert plate is not None
    assert plate.text == "1234BCD"
    assert "BCD1234" not in [other.text for other in plate.alternatives]


def test_the_way_a_plate_is_seen_that_fits_better_wins() -> None:
    one_line = weighing.weigh([rows_for("27069", 0.6, rival="37069")])
    two_lines = weighing.weigh_two_rows([rows_for("أ|10", 0.98)], [rows_for("27069", 0.98)])
    plate = weighing.decide(two_lines, one_line)
    assert plate is not None and plate.text == "27069|أ|10"


def test_every_character_carries_what_else_may_stand_there() -> None:
    plate = weighing.decide(weighing.weigh([rows_for("12845|أ|6", 0.8, rival="12345|أ|6")]))
    assert plate is not None and plate.text == "12845|أ|6"
    assert [character.symbol for character in plate.characters] == list("12845أ6")
    doubtful = plate.characters[2]
    assert doubtful.alternatives[0][0] == "3"
    assert doubtful.confidence_permille < min(c.confidence_permille for c in plate.characters if c is not doubtful)


def test_a_sure_read_has_its_characters_too() -> None:
    plate = weighing.sure(rows_for("123ت4567", 0.9999))
    assert plate is not None
    assert (plate.text, plate.text_ascii, plate.region) == ("123تونس4567", "123TU4567", "TN")
    assert [character.symbol for character in plate.characters] == ["1", "2", "3", "تونس", "4", "5", "6", "7"]


def test_a_covered_character_is_said_to_be_covered() -> None:
    plate = weighing.decide(weighing.weigh([rows_for("12?4BCD", 0.97)]))
    assert plate is not None and plate.text == "12?4BCD"


def test_a_doubt_between_covered_and_seen_goes_to_what_is_seen() -> None:
    plate = weighing.decide(weighing.weigh([rows_for("12?4BCD", 0.6, rival="1234BCD")]))
    assert plate is not None and plate.text == "1234BCD"


def said(text: str, confidence: int, *others: tuple[str, int]) -> weighing.PlateText:
    alternatives = tuple(weighing.Alternative(text=t, region="", confidence_permille=c) for t, c in others)
    return weighing.PlateText(
        text=text, text_ascii=text, region="", confidence_permille=confidence, alternatives=alternatives
    )


def test_two_reads_that_agree_keep_the_surer() -> None:
    assert weighing.merged(said("ABC123", 700), said("ABC123", 900)).confidence_permille == 900


@pytest.mark.parametrize("other", ["ABC123", "ABC128"])
def test_two_reads_are_of_a_plate_as_surely_as_the_surer_of_them_says(other: str) -> None:
    one = replace(said("ABC123", 700), plate_permille=200)
    assert weighing.merged(one, replace(said(other, 900), plate_permille=600)).plate_permille == 600
    assert weighing.merged(replace(said(other, 900), plate_permille=100), one).plate_permille == 200


def test_two_reads_that_differ_share_their_confidence() -> None:
    made = weighing.merged(said("ABC123", 800, ("ABC128", 100)), said("ABC128", 600, ("ABC123", 300)))
    assert (made.text, made.confidence_permille) == ("ABC123", 550)
    assert [(other.text, other.confidence_permille) for other in made.alternatives] == [("ABC128", 350)]


def test_a_text_that_both_reads_thought_of_can_win_over_the_surer_read() -> None:
    made = weighing.merged(said("ABC123", 500), said("ABC128", 450, ("ABC123", 0)))
    assert made.text == "ABC123"
    made = weighing.merged(said("ABC123", 500, ("ABC128", 400)), said("ABC128", 450))
    assert (made.text, made.confidence_permille) == ("ABC128", 425)


class NearSighted:
    """A model that tells two fours side by side only where the ink fills nine tenths of its input's width."""

    height_px, width_px, steps = 48, 160, 40

    def __init__(self) -> None:
        self.extents: list[float] = []

    def run(self, picture: Luma) -> tuple[np.ndarray, ...]:
        return (np.zeros((1, self.steps, len(SYMBOLS) + 1), dtype=np.int8),)

    def run_real(self, picture: Luma) -> tuple[np.ndarray, ...]:
        inked = np.flatnonzero(picture[0, :, :, 0].min(axis=0) < 60)
        self.extents.append((int(inked[-1]) - int(inked[0])) / self.width_px)
        text, sure = ("38444|أ|44", 5.0) if self.extents[-1] > 0.75 else ("38444|أ|4", 3.0)
        logits = np.zeros((1, self.steps, len(SYMBOLS) + 1), dtype=np.float32)
        logits[0, :, BLANK] = 9.0
        first, last = (int(inked[end]) * self.steps // self.width_px for end in (0, -1))
        for place, symbol in enumerate(text):
            step = first + place * (last - first) // (len(text) - 1)
            logits[0, step, INDEX_OF[symbol]] = 9.0 + sure
        return (logits,)


@pytest.mark.parametrize(("left", "right"), [(150, 370), (20, 500)])
def test_a_text_with_much_room_beside_it_is_read_again_on_a_cut_of_its_own_size(left: int, right: int) -> None:
    model = NearSighted()
    plate = np.full((110, 520), 230, dtype=np.uint8)
    plate[30:80, left:right:6] = 10
    found = PlateReader(model).read(plate, ((0.0, 0.0), (520.0, 0.0), (520.0, 110.0), (0.0, 110.0)))  # type: ignore[arg-type]
    assert found is not None and found.text == "38444|أ|44"
    assert (min(model.extents) < 0.5) is (left == 150)


def test_a_shorter_text_never_wins_by_a_cut_of_its_own_size() -> None:
    """What a tighter cut leaves out may have been bitten off."""

    class Biting(NearSighted):
        def run_real(self, picture: Luma) -> tuple[np.ndarray, ...]:
            (logits,) = super().run_real(picture)
            wide = self.extents[-1] > 0.75
            if wide:
                logits[0, -10:, :BLANK] = logits[0, -10:, BLANK + 1 :] = 0.0
                logits[0, -10:, BLANK] = 14.0
            return (logits,)

    plate = np.full((110, 520), 230, dtype=np.uint8)
    plate[30:80, 150:370:6] = 10
    model = Biting()
    found = PlateReader(model).read(plate, ((0.0, 0.0), (520.0, 0.0), (520.0, 110.0), (0.0, 110.0)))  # type: ignore[arg-type]
    assert found is not None and found.text == "38444|أ|4"
    assert max(model.extents) > 0.75


@pytest.mark.parametrize(("sure", "looks"), [(12.0, 1), (5.2, 2)])
def test_a_look_that_is_nearly_certain_is_the_only_one(sure: float, looks: int) -> None:
    class Sure(NearSighted):
        def run_real(self, picture: Luma) -> tuple[np.ndarray, ...]:
            self.extents.append(0.0)
            rows = rows_for("38444|أ|44", 1 - np.exp(-sure))
            logits = np.full((1, self.steps, len(SYMBOLS) + 1), -30.0, dtype=np.float32)
            logits[0, :, BLANK] = 0.0
            logits[0, : len(rows)] = rows
            return (logits,)

    model = Sure()
    corners = ((0.0, 0.0), (520.0, 0.0), (520.0, 110.0), (0.0, 110.0))
    found = PlateReader(model).read(np.full((110, 520), 230, dtype=np.uint8), corners)  # type: ignore[arg-type]
    assert found is not None and found.text == "38444|أ|44"
    assert len(model.extents) == looks
    assert (found.confidence_permille >= 990) is (looks == 1)
