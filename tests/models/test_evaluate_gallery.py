"""The pages with every error: which cases there are, why, and that a page is safe to open and hard to publish."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.reader.commands import GATE_PERMILLE
from models.evaluate import gallery, page
from models.evaluate.errors import cases_of, percent
from models.evaluate.manifest import Picture, Plate
from models.evaluate.page import marked
from models.evaluate.scoring import Verdict, judge
from models.evaluate.seen import Box, Guess, Read, Seen
from vedette.errors import Refused

BOX: Box = (60.0, 50.0, 160.0, 80.0)
FAR: Box = (10.0, 100.0, 50.0, 115.0)
EVIL = '<script>alert("x")</script>&'


@pytest.fixture
def shot(tmp_path: Path) -> Path:
    path = tmp_path / "plates" / "x" / "a.png"
    path.parent.mkdir(parents=True)
    cv2.imwrite(str(path), np.random.default_rng(1).integers(0, 255, (120, 200), dtype=np.uint8))
    return path


def picture(path: Path, *, text: str | None = "AB1", kind: str = "scene", name: str = "x/a.png") -> Picture:
    label = Plate(text=text, box=BOX, corners=None, tight=True)
    return Picture(path=path, name=name, set=name.split("/")[0], country="GB", kind=kind, plates=(label,))


def read(text: str, box: Box | None = BOX, *, confidence: int = 900) -> Read:
    return Read(text=text, confidence_permille=confidence, shown=confidence >= GATE_PERMILLE, box_px=box)


def verdict(one: Picture, *reads: Read) -> Verdict:
    return judge(one, Seen(file=one.name, reads=reads))


def test_every_kind_of_error_becomes_a_case_with_its_reason(shot: Path) -> None:
    reads = {
        "misread": [read("AB7")],
        "hidden": [read("AB1", confidence=GATE_PERMILLE - 1)],
        "unread": [read("", confidence=0)],
        "missed": [],
        "loose": [read("AB1", (60.0, 50.0, 100.0, 80.0))],
        "stray": [read("AB1"), read("ZZ9", FAR)],
    }
    for kind, seen in reads.items():
        (case,) = cases_of([verdict(picture(shot), *seen)])
        assert case.kind == kind
        assert case.why.endswith(".")
    assert cases_of([verdict(picture(shot), read("AB1"))]) == []


def test_a_wrong_read_says_whether_it_was_shown(shot: Path) -> None:
    gate = percent(GATE_PERMILLE)
    shown, hidden = (cases_of([verdict(picture(shot), read("AB7", confidence=one))])[0] for one in (900, 100))
    assert shown.why == f"Shown: 90.0 % passes the gate of {gate}, and no other gate kept it back."
    assert hidden.why == f"Not shown: 10.0 % is below the gate of {gate}."


@pytest.mark.parametrize(
    ("reason", "words"),
    [("height", "lower than"), ("width", "narrower than"), ("detector", "not sure"), ("shape", "shape"), ("x", "x.")],
)
def test_the_gate_that_kept_a_read_back_is_named(shot: Path, reason: str, words: str) -> None:
    kept = dataclasses.replace(read("AB1"), shown=False, reason=reason)
    (case,) = cases_of([verdict(picture(shot), kept)])
    assert case.kind == "hidden" and words in case.why


def test_a_plate_of_unknown_text_is_an_error_only_where_it_was_not_found(shot: Path) -> None:
    assert cases_of([verdict(picture(shot, text=None), read("AB7"))]) == []
    assert [case.kind for case in cases_of([verdict(picture(shot, text=None))])] == ["missed"]


def test_the_pages_show_picture_cut_plate_truth_read_and_reason(tmp_path: Path, shot: Path) -> None:
    seen = Read(
        text="AB7",
        confidence_permille=870,
        shown=True,
        box_px=BOX,
        corners_px=((60.0, 50.0), (160.0, 52.0), (160.0, 82.0), (60.0, 80.0)),
        alternatives=(Guess(text="AB1", confidence_permille=90), Guess(text="AB2", confidence_permille=0)),
    )
    said = gallery.write(tmp_path / "out", [verdict(picture(shot), seen)])
    assert "real plates" in said
    text = (tmp_path / "out" / "1-x.html").read_text(encoding="utf-8")
    assert "AB<mark>7</mark>" in text and "87.0 %" in text and "x/a.png" in text
    assert "AB1</bdo>" in text and "AB2" not in text
    named = re.findall(r'<img[^>]* src="([^"]+)"', text)
    assert [cv2.imread(str(tmp_path / "out" / one)).shape[1] for one in named] == [640, 320]


def test_the_pages_need_nothing_but_the_folder(tmp_path: Path, shot: Path) -> None:
    gallery.write(tmp_path / "out", [verdict(picture(shot), read("AB7"))])
    for path in (tmp_path / "out").glob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"<script|https?://|//cdn|@import|url\(", text)
        links = re.findall(r'(?:href|src)="([^"]+)"', text)
        assert all((tmp_path / "out" / one).is_file() for one in links)


def test_what_a_manifest_or_a_program_says_is_text_and_never_markup(tmp_path: Path, shot: Path) -> None:
    one = picture(shot, text=EVIL, name=f"{EVIL.replace('/', '')}/{EVIL.replace('/', '')}")
    gallery.write(tmp_path / "out", [verdict(one, read(EVIL + "7"), read(EVIL, FAR))])
    pages = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "out").glob("*.html"))
    assert "<script" not in pages and "<mark>7</mark>" in pages
    assert pages.count("&lt;script&gt;") >= 5


def test_the_folder_warns_and_stays_out_of_git(tmp_path: Path, shot: Path) -> None:
    gallery.write(tmp_path / "out", [verdict(picture(shot), read("AB7"))])
    assert (tmp_path / "out" / ".gitignore").read_text() == "*\n"
    for path in (tmp_path / "out").glob("*.html"):
        assert page.NOTE in path.read_text(encoding="utf-8")


def test_an_older_gallery_is_replaced_and_other_files_are_not(tmp_path: Path, shot: Path) -> None:
    first = [verdict(picture(shot), read("AB7"), read("Z", FAR)), verdict(picture(shot, name="y/a.png"), read("Q"))]
    gallery.write(tmp_path / "out", first)
    gallery.write(tmp_path / "out", [verdict(picture(shot), read("AB7"))])
    assert {path.name for path in (tmp_path / "out").glob("*.html")} == {"index.html", "1-x.html"}
    assert len(list((tmp_path / "out" / "pictures").rglob("*.jpg"))) == 2
    with pytest.raises(Refused, match="holds other files"):
        gallery.write(shot.parent, [])
    assert shot.is_file()


def test_a_crop_is_shown_whole(tmp_path: Path, shot: Path) -> None:
    gallery.write(tmp_path / "out", [verdict(picture(shot, kind="crop"), read("AB7", None))])
    made = sorted((tmp_path / "out" / "pictures").rglob("*.jpg"))
    assert [cv2.imread(str(one)).shape[:2] for one in made] == [(96, 320), (384, 640)]


def test_a_plate_stands_from_left_to_right_and_an_arabic_word_on_it_from_right_to_left() -> None:
    assert page.plate("12|أ|6") == '<bdo dir="ltr">12|<bdo dir="rtl">أ</bdo>|6</bdo>'
    assert page.plate("70تونس3") == '<bdo dir="ltr">70<bdo dir="rtl">تونس</bdo>3</bdo>'
    assert page.plate("<b>") == '<bdo dir="ltr">&lt;b&gt;</bdo>'


@pytest.mark.parametrize(
    ("read", "truth", "shown"),
    [
        ("AB1", "AB1", "AB1"),
        ("AX1", "AB1", "A<mark>X</mark>1"),
        ("A1", "AB1", "A<mark>·</mark>1"),
        ("ABC1", "AB1", "AB<mark>C</mark>1"),
        ("12X4", "12?4", "12X4"),
        ("124", "12?4", "124"),
    ],
)
def test_what_differs_from_the_label_is_marked(read: str, truth: str, shown: str) -> None:
    assert marked(read, truth) == f'<bdo dir="ltr">{shown}</bdo>'
