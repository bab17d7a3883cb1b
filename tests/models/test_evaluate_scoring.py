"""The rules by which pictures are judged, and the table made of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from models.evaluate.manifest import Picture, Plate
from models.evaluate.scoring import Verdict, judge, tally
from models.evaluate.seen import Box, Read, Seen
from models.evaluate.table import share, table
from models.evaluate.texts import bare, fields_of, pieces, same, same_length
from vedette.config import ReaderSection

BOX: Box = (0.0, 0.0, 100.0, 30.0)
FAR: Box = (300.0, 200.0, 400.0, 230.0)
TEXT = "12345|أ|6"


def plate(text: str | None = TEXT, box: Box | None = BOX, *, tight: bool = True) -> Plate:
    return Plate(text=text, box=box, corners=None, tight=tight and box is not None)


def picture(*plates: Plate, kind: str = "scene", country: str = "MA", folder: str = "a") -> Picture:
    name = f"{folder}/x.jpg"
    return Picture(path=Path(name), name=name, set=folder, country=country, kind=kind, plates=plates)


def read(text: str = TEXT, box: Box | None = BOX, *, confidence: int = 900, shown: bool = True) -> Read:
    return Read(text=text, confidence_permille=confidence, shown=shown, box_px=box)


def judged(one: Picture, *reads: Read, **more: object) -> Verdict:
    return judge(one, dataclasses.replace(Seen(file=one.name, reads=reads), **more))


@pytest.mark.parametrize(("bottom", "found"), [(15.0, True), (14.9, False), (30.0, True), (60.0, True), (60.1, False)])
def test_a_plate_is_found_from_an_overlap_of_one_half(bottom: float, found: bool) -> None:
    (verdict,) = judged(picture(plate()), read(box=(0.0, 0.0, 100.0, bottom))).plates
    assert verdict.found is found


def test_being_found_needs_no_text() -> None:
    (verdict,) = judged(picture(plate()), read("", shown=False)).plates
    assert (verdict.found, verdict.read, verdict.exact) == (True, None, False)


@pytest.mark.parametrize("one", [plate(tight=False), plate(box=None)])
def test_found_is_not_judged_where_the_label_is_loose_or_missing(one: Plate) -> None:
    assert judged(picture(one), read()).plates[0].found is None


def test_a_crop_is_not_judged_for_finding() -> None:
    (verdict,) = judged(picture(plate(), kind="crop"), read(box=FAR)).plates
    assert (verdict.found, verdict.exact) == (None, True)


@pytest.mark.parametrize(("right_edge", "exact"), [(10.0, True), (9.9, False)])
def test_a_read_counts_for_a_plate_from_an_overlap_of_a_tenth(right_edge: float, exact: bool) -> None:
    (verdict,) = judged(picture(plate()), read(box=(0.0, 0.0, right_edge, 30.0))).plates
    assert verdict.exact is exact


def test_a_right_text_away_from_the_plate_is_not_exact() -> None:
    assert judged(picture(plate()), read(box=FAR)).plates[0].exact is False


def test_a_read_without_a_box_counts_for_the_plate() -> None:
    (verdict,) = judged(picture(plate()), read(box=None)).plates
    assert (verdict.exact, verdict.found) == (True, False)


def test_the_surest_read_counts_where_two_lie_on_a_plate() -> None:
    reads = (read("999", confidence=950), read(confidence=900))
    assert judged(picture(plate()), *reads).plates[0].exact is False
    assert judged(picture(plate()), *reversed(reads)).plates[0].exact is False


def test_a_shown_read_counts_before_a_surer_hidden_one() -> None:
    (verdict,) = judged(picture(plate()), read("999", confidence=950, shown=False), read(confidence=300)).plates
    assert (verdict.exact, verdict.shown) == (True, True)


def test_each_of_two_plates_gets_its_own_read() -> None:
    verdict = judged(picture(plate(), plate("7|ب|1", FAR)), read("7|ب|1", FAR), read())
    assert [one.exact for one in verdict.plates] == [True, True]
    assert verdict.strays == ()


def test_an_unknown_text_is_neither_right_nor_wrong() -> None:
    (verdict,) = judged(picture(plate(None)), read()).plates
    assert (verdict.exact, verdict.strictly, verdict.found, verdict.fields) == (None, None, True, {})


def test_a_stray_is_a_shown_read_away_from_every_plate() -> None:
    reads = (read(box=FAR), read(box=FAR, shown=False), read("", box=FAR), read(), read(box=None))
    assert judged(picture(plate()), *reads).strays == (reads[0],)


def test_a_stray_on_a_plate_that_was_seen_since_is_not_on_no_plate() -> None:
    sign: Box = (500.0, 200.0, 600.0, 230.0)
    known = dataclasses.replace(picture(plate()), further=(FAR,))
    verdict = judged(known, read(), read("ZZ9", FAR), read("EXIT9", sign))
    assert (len(verdict.strays or ()), verdict.on_no_plate) == (2, (read("EXIT9", sign),))
    counts = tally("a", "ours", [verdict])
    assert (counts.strays, counts.on_no_plate) == (2, 1)
    assert "100.0 (1)" in table([counts])


def test_strays_are_counted_where_no_plate_is_labelled_and_not_where_a_box_is_missing() -> None:
    assert judged(picture(), read(box=FAR)).strays == (read(box=FAR),)
    assert judged(picture(plate(box=None)), read(box=FAR)).strays is None
    assert judged(picture(plate(), kind="crop"), read(box=FAR)).strays is None


def test_what_is_read_on_the_labelled_box_is_judged_by_itself() -> None:
    one = picture(plate(), plate("7|ب|1", FAR))
    verdict = judged(one, on_box=(read(box=None), None))
    assert [each.on_box for each in verdict.plates] == [True, False]
    assert [each.on_box for each in judged(one).plates] == [None, None]
    assert judged(picture(plate(tight=False)), on_box=(read(),)).plates[0].on_box is None


@pytest.mark.parametrize(
    ("said", "fields"),
    [
        (TEXT, {"serial": True, "letter": True, "prefecture": True}),
        ("12345A6", {"serial": True, "letter": True, "prefecture": True}),
        ("12346|ب|6", {"serial": False, "letter": False, "prefecture": True}),
        ("1234516", {"serial": False, "letter": False, "prefecture": False}),
        ("12345|أ", {"serial": True, "letter": True, "prefecture": False}),
        (None, {"serial": False, "letter": False, "prefecture": False}),
    ],
)
def test_moroccan_fields_are_judged_one_by_one(said: str | None, fields: dict[str, bool]) -> None:
    assert judged(picture(plate()), *([] if said is None else [read(said)])).plates[0].fields == fields


def test_a_temporary_plate_has_no_prefecture_to_judge() -> None:
    assert judged(picture(plate("609008|WW")), read("609008WW")).plates[0].fields == {"serial": True, "letter": True}


def test_plates_of_other_countries_have_no_fields() -> None:
    assert judged(picture(plate("AB12CDE"), country="GB"), read("AB12CDE")).plates[0].fields == {}


@pytest.mark.parametrize(
    ("said", "either", "one_each"),
    [("1234", True, True), ("12X4", True, True), ("124", True, False), ("12?4", True, True), ("12XX4", False, False)],
)
def test_a_masked_character_is_one_or_none_in_one_reading_and_exactly_one_in_the_other(
    said: str, either: bool, one_each: bool
) -> None:
    assert (same(said, "12?4"), same_length(said, "12?4")) == (either, one_each)
    (verdict,) = judged(picture(plate("12?4", None), kind="crop", country="ES"), read(said)).plates
    assert (verdict.exact, verdict.strictly) == (either, one_each)


@pytest.mark.parametrize(
    "written", ["12345|أ|6", "12345 أ 6", "12345-A-6", "12345a6", "١٢٣٤٥ ا ٦", "12345 | آ | 6", "１２３４５Ａ６"]
)
def test_bars_gaps_and_the_script_of_the_letter_do_not_matter(written: str) -> None:
    assert bare(written) == "12345A6"
    assert same(written, TEXT)


def test_letters_of_no_known_series_are_kept() -> None:
    assert same("123 تونس 4567", "123تونس4567")
    assert not same("1234567", "123تونس4567")
    assert bare("ü-é 12") == "UE12"


def test_an_arabic_word_stays_in_one_piece() -> None:
    assert pieces("70تونس3") == ["70", "تونس", "3"]
    assert pieces("12|أ|6") == ["12|", "أ", "|6"]
    assert pieces("") == []


@pytest.mark.parametrize("text", ["A6", "12345", "", "A12345", "1A2B3"])
def test_a_text_of_another_build_has_no_moroccan_fields(text: str) -> None:
    assert fields_of(text) is None


def test_a_tally_counts_scenes_end_to_end_and_crops_by_themselves() -> None:
    scene, crop = picture(plate()), picture(plate("12?4"), kind="crop")
    verdicts = [
        judged(scene, read(), read("1", FAR), on_box=(None,), ms=10.0, memory_mb=50.0),
        judged(scene, read(shown=False), ms=30.0, memory_mb=80.0),
        judged(scene, read("1"), ms=20.0),
        judged(crop, read("124")),
    ]
    counts = tally("a", "x", verdicts)
    assert (counts.pictures, counts.exact, counts.on_box_or_crop) == (4, [True, True, False], [False, True])
    assert (counts.strictly, counts.shown, counts.shown_right) == (
        [False],
        [True, False, True, True],
        [True, False, True],
    )
    assert (counts.strays, counts.judged_for_strays, counts.memory_mb) == (1, 3, 80.0)
    assert counts.fields["serial"] == [True, True, False]


def test_stood_by_is_what_a_device_by_default_would_count_as_a_look() -> None:
    gate = ReaderSection().confidence_permille
    covered = dataclasses.replace(read("12?4"), reason="covered")
    kept = (read(confidence=gate), read("1", confidence=gate), read(confidence=gate - 1), read(shown=False), covered)
    counts = tally("a", "x", [judged(picture(plate()), one) for one in kept])
    assert (counts.stood_by, counts.stood_by_right) == ([True, True, False, False, False], [True, False])
    assert counts.shown == [True, True, True, False, True]


def test_the_table_leaves_out_what_no_row_fills_and_gives_every_share_its_count() -> None:
    text = table([tally("a", "x", [judged(picture(plate("AB1", None), country="GB"), read("AB1"), ms=2.0)])])
    head, _, row = (line.split("|") for line in text.splitlines()[:3])
    cells = {name.strip(): value.strip() for name, value in zip(head, row, strict=True)}
    assert cells["exact end to end"] == "100.0 of 1 (20.7–100.0)"
    assert cells["ms, median / p95"] == "2.0 / 2.0"
    assert not {"program", "serial", "found", "MB", "exact, `?` one character", "strays per 100"} & set(cells)


def test_a_corrected_label_counts_in_a_column_of_its_own() -> None:
    wrong = dataclasses.replace(plate("5BC123"), corrected="SBC123")
    verdicts = [judged(picture(wrong), read("SBC123")), judged(picture(plate("AB12")), read("AB12"))]
    counts = tally("a", "x", verdicts)
    assert (counts.exact, counts.corrected, counts.corrections) == ([False, True], [True, True], 1)
    said = table([counts])
    assert "exact, labels corrected" in said and "| 100.0 of 2" in said
    assert "exact, labels corrected" not in table([tally("a", "x", verdicts[1:])]).splitlines()[0]


def test_loose_labels_count_for_finding_in_a_column_of_their_own() -> None:
    loose = picture(plate(tight=False))
    counts = tally("a", "x", [judged(picture(plate()), read()), judged(loose, read()), judged(loose, read("1", FAR))])
    assert (counts.found, counts.found_loosely) == ([True], [True, True, False])
    assert "| 66.7 of 3" in table([counts])
    head = table([tally("a", "x", [judged(picture(plate()), read())])]).splitlines()[0]
    assert "found" in head and "loose" not in head


def test_programs_are_named_where_there_are_several() -> None:
    verdicts = [judged(picture(plate()), read())]
    assert "| other" in table([tally("a", "vedette", verdicts), tally("a", "other", verdicts)])


def test_a_share_of_nothing_is_no_share() -> None:
    assert share([]) == "–"
