"""Drawn plates that nobody trained on: what is drawn, what is told, and the sheet of misreads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL", reason="Pillow draws the plates")

from models.evaluate import failures
from models.evaluate.calibration import Conditions, Sample
from models.evaluate.drawing import DrawnPicture, held_out_lettering, pictures
from models.evaluate.drawn import report
from models.evaluate.samples import DrawnRead
from models.evaluate.seen import Read
from models.synth import fonts
from vedette.errors import NotFound


@pytest.fixture(scope="module")
def drawn() -> list[DrawnPicture]:
    try:
        return list(pictures(60, 5, held_out_lettering()))
    except (NotFound, fonts.FontsMissing) as missing:
        pytest.skip(str(missing))


def test_drawn_plates_carry_their_text_corners_and_typefaces(drawn: list[DrawnPicture]) -> None:
    held_out = {path.name for kind in ("plate", "arabic") for path in fonts.held_out_faces(kind)}
    for one in drawn:
        height, width = one.luma.shape
        assert all(0 <= x < width and 0 <= y < height for x, y in one.corners)
        assert any(name.startswith(one.face) for name in held_out)
        assert len(one.shape) >= 5 and one.rows in (1, 2)
        assert bool(one.arabic_face) == any("\u0600" <= c <= "\u06ff" for c in one.text)
    assert {"MA", "US", "BR"} <= {one.region for one in drawn}


def test_the_same_seed_draws_the_same_and_another_does_not(drawn: list[DrawnPicture]) -> None:
    again = list(pictures(3, 5, held_out_lettering()))
    assert all(np.array_equal(one.luma, other.luma) for one, other in zip(drawn, again, strict=False))
    (other,) = pictures(1, 6, held_out_lettering())
    assert other.luma.shape != drawn[0].luma.shape or not np.array_equal(other.luma, drawn[0].luma)


def test_a_typeface_that_is_not_there_is_named() -> None:
    with pytest.raises(NotFound, match=r"nowhere\.ttf: no such typeface"):
        held_out_lettering([Path("nowhere.ttf")])


def made_up(region: str, text: str, read: str | None, confidence: int = 900, width_px: float = 100.0) -> DrawnRead:
    corners = ((20.0, 20.0), (120.0, 20.0), (120.0, 45.0), (20.0, 45.0))
    picture = DrawnPicture(
        luma=np.full((70, 140), 100, dtype=np.uint8),
        corners=corners,
        text=text,
        region=region,
        shape="9A",
        face="Face",
        arabic_face="",
        rows=1,
    )
    conditions = Conditions(width_px=width_px, tilt_deg=0.0, brightness=100.0, contrast=30.0, country=region)
    sample = Sample(
        plate=text, source="drawn plates", raw_permille=confidence, right=read == text, size=1.0, conditions=conditions
    )
    seen = None if read is None else Read(text=read, confidence_permille=confidence, shown=True, box_px=None)
    return DrawnRead(picture=picture, read=seen, sample=sample)


@pytest.fixture
def reads() -> Iterator[list[DrawnRead]]:
    yield (
        [made_up("MA", "1|أ|6", "1|أ|6")] * 20
        + [made_up("MA", "1|أ|6", "7|أ|6", 800)] * 5
        + [made_up("GB", "AB1", "AB7", 600, width_px=99.0)] * 3
        + [made_up("", "XX1", None, 0)] * 2
    )


def test_the_report_tells_country_shape_typeface_and_condition(reads: list[DrawnRead]) -> None:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in report(reads).splitlines()]
    assert ["all", "66.7 of 30 (48.8–80.8)", "74.1 of 27 (55.3–86.8)"] in rows
    assert ["MA", "80.0 of 25 (60.9–91.1)", "80.0 of 25 (60.9–91.1)"] in rows
    assert ["other countries", "0.0 of 3 (0.0–56.1)", "–"] in rows
    assert ["no country", "0.0 of 2 (0.0–65.8)", "0.0 of 2 (0.0–65.8)"] in rows
    assert ["MA 9A", "80.0 of 25 (60.9–91.1)"] in rows
    assert ["Face", "66.7 of 30 (48.8–80.8)"] in rows
    assert any(row[:2] == ["width", "80 to 120 px"] for row in rows)


def test_the_sheet_shows_misreads_of_each_country_the_surest_first(tmp_path: Path, reads: list[DrawnRead]) -> None:
    from PIL import Image

    surest = made_up("GB", "AB1", "AB8", 700)
    picked = failures.chosen([*reads, surest])
    assert [one.picture.region for one in picked[:4]] == ["MA", "GB", "MA", "GB"]
    assert picked[1] is surest
    assert len(picked) == 9 and all(one.read is not None and not one.sample.right for one in picked)
    assert failures.write(tmp_path / "made" / "f.png", reads).endswith("8 of 10 misread drawn plates")
    with Image.open(tmp_path / "made" / "f.png") as sheet:
        assert sheet.size == (4 * 314 + 14, 2 * 190 + 14)


def test_a_sheet_without_misreads_can_be_drawn(tmp_path: Path) -> None:
    assert failures.write(tmp_path / "f.png", [made_up("MA", "1", "1")]).endswith("0 of 0 misread drawn plates")
