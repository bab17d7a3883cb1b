"""A folder's manifest: what it says, and that every fault is told by file, line and field."""

from __future__ import annotations

import configparser
import json
from pathlib import Path
from typing import Any

import pytest

from models.evaluate import jsonlines, manifest
from models.evaluate.jsonlines import BadLine
from models.evaluate.manifest import pictures_of, set_names
from vedette.errors import NotFound

LINE: dict[str, Any] = {
    "file": "us/a.jpg",
    "country": "US",
    "kind": "scene",
    "plates": [{"text": "ABC123", "box": [1, 2, 30, 12], "corners": None, "lines": 1}],
    "note": None,
}


def folder(place: Path, *lines: dict[str, Any] | str) -> Path:
    text = [one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for one in lines]
    (place / "manifest.jsonl").write_text("\n".join(text) + "\n", encoding="utf-8")
    return place


def plate(**changes: object) -> dict[str, Any]:
    return LINE | {"plates": [LINE["plates"][0] | changes]}


def test_a_line_becomes_a_picture(tmp_path: Path) -> None:
    (one,) = pictures_of(folder(tmp_path, LINE))
    assert (one.name, one.set, one.kind, one.path) == ("us/a.jpg", "us", "scene", tmp_path / "us/a.jpg")
    (label,) = one.plates
    assert (label.text, label.box, label.tight) == ("ABC123", (1.0, 2.0, 30.0, 12.0), True)
    assert label.quad == ((1.0, 2.0), (30.0, 2.0), (30.0, 12.0), (1.0, 12.0))


def test_a_rotated_picture_has_loose_boxes_unless_its_corners_are_known(tmp_path: Path) -> None:
    loose = LINE | {"note": "rotated by up to 15 degrees"}
    corners = [[0, 5], [40, 1], [41, 11], [1, 15]]
    known = plate(box=None, corners=corners) | {"note": "rotated", "file": "us/b.jpg"}
    first, second = pictures_of(folder(tmp_path, loose, known))
    assert (first.plates[0].tight, first.plates[0].quad) == (False, None)
    assert (second.plates[0].tight, second.plates[0].box) == (True, (0.0, 1.0, 41.0, 15.0))


def test_a_scene_may_show_no_plate_or_several(tmp_path: Path) -> None:
    none, two = LINE | {"plates": []}, LINE | {"file": "us/b.jpg", "plates": LINE["plates"] * 2}
    assert [len(one.plates) for one in pictures_of(folder(tmp_path, none, "", two))] == [0, 2]


def test_plates_that_a_person_saw_since_stand_beside_the_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = tmp_path / "further.jsonl"
    more.write_text('{"file": "us/a.jpg", "box": [50, 2, 80, 12]}\n')
    monkeypatch.setattr(manifest, "FURTHER", more)
    first, second = pictures_of(folder(tmp_path, LINE, LINE | {"file": "us/b.jpg"}))
    assert (first.further, second.further) == (((50.0, 2.0, 80.0, 12.0),), ())


@pytest.mark.parametrize(
    ("correction", "corrected"),
    [
        ({"file": "us/a.jpg", "at": 1, "labelled": "B1", "seen": "81"}, "A81"),
        ({"file": "us/a.jpg", "at": 0, "labelled": "AB1", "seen": "AB12"}, "AB12"),
        ({"file": "us/a.jpg", "at": 0, "labelled": "B", "seen": "8"}, None),
        ({"file": "us/b.jpg", "at": 0, "labelled": "A", "seen": "4"}, None),
    ],
)
def test_a_label_is_corrected_only_where_it_says_what_was_seen_to_be_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, correction: dict[str, Any], corrected: str | None
) -> None:
    path = tmp_path / "corrections.jsonl"
    path.write_text(json.dumps(correction))
    monkeypatch.setattr(manifest, "CORRECTIONS", path)
    line = LINE | {"file": "us/a.jpg", "plates": [LINE["plates"][0] | {"text": "AB1"}]}
    (one,) = pictures_of(folder(tmp_path, line))
    assert (one.plates[0].text, one.plates[0].corrected) == ("AB1", corrected)
    unknown = LINE | {"file": "us/a.jpg", "plates": [LINE["plates"][0] | {"text": None}]}
    (one,) = pictures_of(folder(tmp_path, unknown))
    assert one.plates[0].corrected is None


def test_what_a_person_saw_is_installed_with_the_code_that_reads_it() -> None:
    setup = configparser.ConfigParser()
    setup.read(manifest.FURTHER.parents[2] / "setup.cfg", encoding="utf-8")
    installed = {one.strip() for one in setup["options.package_data"]["models.evaluate"].split(",")}
    assert installed == {path.name for path in manifest.FURTHER.parent.glob("*.jsonl")}


def test_a_set_is_the_folder_of_a_picture_or_that_of_the_manifest(tmp_path: Path) -> None:
    home = tmp_path / "mine"
    home.mkdir()
    lines = [LINE, LINE | {"file": "c.jpg"}, LINE | {"file": "ma/d.jpg", "country": "MA"}]
    assert set_names(pictures_of(folder(home, *lines))) == ["ma", "us", "mine"]


def test_only_the_sets_for_training_have_pictures_that_were_trained_on(tmp_path: Path) -> None:
    lines = [
        LINE | {"file": f"{name}/{serial}.jpg", "plates": [{"text": f"{serial}|أ|6", "box": None}]}
        for name in ("ma_scenes", "elsewhere")
        for serial in range(1000, 1200)
    ]
    found = pictures_of(folder(tmp_path, *lines))
    held = [one for one in found if one.set == "ma_scenes" and one.held_out]
    assert 10 < len(held) < 60
    assert all(one.held_out for one in found if one.set == "elsewhere")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{", "not JSON"),
        ("[]", "expected an object"),
        ({"file": "a.jpg"}, "kind: is missing"),
        (LINE | {"file": 5}, "file: expected text"),
        (LINE | {"file": "/etc/passwd"}, "file: '/etc/passwd' is not a path inside"),
        (LINE | {"file": "../a.jpg"}, "file: '../a.jpg' is not a path inside"),
        (LINE | {"kind": "video"}, "kind: expected scene or crop, found 'video'"),
        (LINE | {"plates": {}}, "plates: expected a list"),
        (LINE | {"plates": [None]}, "plates: an entry is null"),
        (LINE | {"plates": ["x"]}, "plates[0]: expected an object"),
        (LINE | {"kind": "crop", "plates": []}, "plates: a crop shows one plate, this line has 0"),
        (plate(text=""), "plates[0].text: empty; write null"),
        (plate(text=7), "plates[0].text: expected text"),
        (plate(box=[1, 2, 3]), "plates[0].box: expected four numbers [x0, y0, x1, y1], found [1, 2, 3]"),
        (plate(box=[1, 2, "3", 4]), "plates[0].box: expected four numbers"),
        (plate(box=[1, 2, True, 4]), "plates[0].box: expected four numbers"),
        (plate(box=[30, 2, 1, 12]), "plates[0].box: expected x0 < x1 and y0 < y1"),
        (plate(corners=[[1, 2], [3, 4]]), "plates[0].corners: expected four points"),
        (LINE, "file: us/a.jpg stands in an earlier line already"),
    ],
)
def test_a_fault_is_told_by_file_line_and_field(tmp_path: Path, line: dict[str, Any] | str, fault: str) -> None:
    folder(tmp_path, LINE, line)
    with pytest.raises(BadLine) as caught:
        pictures_of(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'manifest.jsonl'}, line 2: ")
    assert fault in str(caught.value)


def test_a_number_that_is_none_is_no_number(tmp_path: Path) -> None:
    with pytest.raises(BadLine, match=r"plates\[0\]\.box: expected four numbers"):
        pictures_of(folder(tmp_path, json.dumps(plate()).replace("30", "NaN")))


def test_a_folder_without_a_manifest_or_with_an_empty_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such file"):
        pictures_of(tmp_path)
    with pytest.raises(BadLine, match="no pictures"):
        pictures_of(folder(tmp_path))


def test_a_line_may_be_as_long_as_the_limit_and_no_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path, LINE)
    length = len((tmp_path / "manifest.jsonl").read_bytes())
    monkeypatch.setattr(jsonlines, "MAX_LINE_BYTES", length)
    assert len(pictures_of(tmp_path)) == 1
    monkeypatch.setattr(jsonlines, "MAX_LINE_BYTES", length - 1)
    with pytest.raises(BadLine, match="line 1"):
        pictures_of(tmp_path)


def test_there_may_be_as_many_lines_as_the_limit_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path, LINE, LINE | {"file": "us/b.jpg"})
    nothing = tmp_path / "further.jsonl"
    nothing.touch()
    for name in ("FURTHER", "CORRECTIONS"):
        monkeypatch.setattr(manifest, name, nothing)
    monkeypatch.setattr(jsonlines, "MAX_LINES", 2)
    assert len(pictures_of(tmp_path)) == 2
    monkeypatch.setattr(jsonlines, "MAX_LINES", 1)
    with pytest.raises(BadLine, match="line 2"):
        pictures_of(tmp_path)
