"""`python -m models.evaluate` and `… .calibrate` on a made-up folder with a made-up reader, and on the photographs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.reader.calibration import CALIBRATION, find_calibration
from edge.reader.detect import Detection
from edge.reader.look import Look
from edge.reader.ocr import PlateText
from edge.reader.registry import sign_registry
from models.evaluate import __main__ as command
from models.evaluate import calibrate, samples
from models.evaluate.manifest import pictures_of
from vedette.keys import SigningKey
from vedette.plates import to_ascii

TEXT = "12345|أ|6"
Run = Callable[..., int]


class MadeUpReader:
    """Sees a plate in the middle of every picture; how bright the picture is says what it reads and how surely."""

    def __init__(self) -> None:
        self.model_hashes = {"reader": "c" * 64}
        self.reader = self

    def read(self, luma: NDArray[np.uint8], corners_px: object) -> PlateText | None:
        confidence = 4 * int(luma[0, 0])
        text = TEXT if int(luma[1, 1]) > 128 else "12346|أ|6"
        if confidence == 0:
            return None
        return PlateText(
            text=text, text_ascii=to_ascii(text), region="MA", confidence_permille=confidence, alternatives=()
        )

    def look(self, luma: NDArray[np.uint8]) -> list[Look]:
        height, width = luma.shape
        left, top, right, bottom = 0.25 * width, 0.4 * height, 0.75 * width, 0.6 * height
        corners = ((left, top), (right, top), (right, bottom), (left, bottom))
        detection = Detection(corners_px=corners, confidence_permille=900)
        return [Look(detection=detection, plate=self.read(luma, corners))]

    look_at_crop = look


def shot(path: Path, *, confidence: int, right: bool) -> None:
    luma = np.full((100, 200), 90, dtype=np.uint8)
    luma[0, 0], luma[1, 1] = confidence // 4, 200 if right else 10
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), luma)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    plate = {"text": TEXT, "box": [50, 40, 150, 60], "corners": None, "lines": 1}
    rows: list[dict[str, Any]] = []
    for name, confidence, right in (("a", 900, True), ("b", 800, False), ("c", 100, True), ("d", 0, True)):
        file = f"street/{name}.png"
        shot(tmp_path / "plates" / file, confidence=confidence, right=right)
        rows.append({"file": file, "country": "MA", "kind": "scene", "plates": [plate]})
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "plates" / "manifest.jsonl").write_text(text, encoding="utf-8")
    return tmp_path / "plates"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run(module, *words)`: the exit code of a command with the made-up reader in place of the models."""

    def made(module: Any, *words: object) -> int:
        loader = SimpleNamespace(load=lambda **_: MadeUpReader(), load_uncalibrated=lambda **_: MadeUpReader())
        monkeypatch.setattr(command, "Looker", loader)
        monkeypatch.setattr(calibrate, "Looker", loader)
        monkeypatch.setattr(sys, "argv", ["x", *map(str, words)])
        return int(module.main())

    return made


def cells(text: str, row: int) -> dict[str, str]:
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    return dict(zip(lines[0], lines[2 + row], strict=True))


def test_one_table_for_any_folder(folder: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, "--folder", folder, "--misses") == 0
    out = capsys.readouterr().out
    found = cells(out, 0)
    assert (found["set"], found["pictures"]) == ("street", "4")
    assert found["found"].startswith("100.0 of 4")
    assert found["exact end to end"].startswith("50.0 of 4")
    assert found["exact on the labelled box or crop"].startswith("50.0 of 4")
    assert found["serial"].startswith("50.0 of 4") and found["letter"].startswith("75.0 of 4")
    assert found["shown"].startswith("50.0 of 4")
    assert found["right of the shown"].startswith("50.0 of 2")
    assert found["stood by"].startswith("50.0 of 4")
    assert found["right of those stood by"].startswith("50.0 of 2")
    assert found["strays per 100"] == "0.0 (0 in 4)"
    assert "street/b.png: 12345|أ|6 read as 12346|أ|6 (800)" in out
    assert "street/d.png: 12345|أ|6 read as nothing" in out


def test_what_was_exported_scores_as_we_do_beside_us(
    folder: Path, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export, out = tmp_path / "made" / "ours.jsonl", tmp_path / "made" / "table.md"
    assert run(command, "--folder", folder, "--export", export, "--out", out) == 0
    assert out.read_text(encoding="utf-8") == capsys.readouterr().out
    assert run(command, "--folder", folder, "--peer", f"again={export}") == 0
    text = capsys.readouterr().out
    ours, again = cells(text, 0), cells(text, 1)
    assert (ours.pop("program"), again.pop("program")) == ("vedette", "again")
    assert {key: value for key, value in ours.items() if key[:2] not in ("ms", "MB")} == {
        key: value for key, value in again.items() if key[:2] not in ("ms", "MB")
    }


def test_a_peer_that_covers_only_some_pictures_is_told(
    folder: Path, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peer = tmp_path / "peer.jsonl"
    peer.write_text(
        '{"file": "street/a.png", "plates": [{"text": "12345 A 6", "confidence": 0.9}]}\n{"file": "z", "plates": []}\n'
    )
    assert run(command, "--folder", folder, "--peer", f"other={peer}") == 0
    said = capsys.readouterr()
    assert "other: no line about 3 of 4 pictures; they count as not read" in said.err
    assert "other: 1 lines about other files, left out" in said.err
    assert cells(said.out, 1)["exact end to end"].startswith("25.0 of 4")


def test_the_gallery_is_written_only_where_asked_for(
    folder: Path, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert run(command, "--folder", folder) == 0
    assert sorted(tmp_path.rglob("*")) == before
    assert run(command, "--folder", folder, "--gallery", tmp_path / "pages") == 0
    assert (tmp_path / "pages" / "index.html").is_file()
    assert "real plates" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "fault"),
    [
        (["--set", "nowhere"], 2, "no set is called 'nowhere'; there are street"),
        (["--peer", "x"], 2, "write NAME=FILE"),
        (["--peer", "vedette=x"], 2, "a name of its own"),
        (["--peer", "x=missing.jsonl"], 3, "missing.jsonl: no such file"),
        (["--limit", "0"], 2, "give 1 or more"),
    ],
)
def test_a_wrong_call_is_told_in_one_line(
    folder: Path, run: Run, capsys: pytest.CaptureFixture[str], words: list[str], code: int, fault: str
) -> None:
    assert run(command, "--folder", folder, *words) == code
    said = capsys.readouterr().err
    assert said.startswith("evaluate: ") and fault in said and said.count("\n") == 1


def test_a_picture_that_is_not_there_is_named(folder: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "street" / "a.png").unlink()
    (folder / "street" / "b.png").write_bytes(b"no picture")
    coded = cv2.imencode(".jpg", np.full((100, 200), 90, dtype=np.uint8))[1].tobytes()
    (folder / "street" / "c.png").write_bytes(coded[:-2])
    assert run(command, "--folder", folder) == 1
    out, err = capsys.readouterr()
    bad = [line for line in err.splitlines() if line.startswith("evaluate: ")]
    said = ("a.png: No such file", "b.png: no picture of a kind", "c.png: the picture is cut off")
    assert all(words in line for words, line in zip(said, bad, strict=True))
    found = cells(out, 0)
    assert (len(bad), found["pictures"]) == (3, "4")
    assert found["found"].startswith("50.0 of 4")
    assert found["exact end to end"].startswith("0.0 of 4")
    assert found["exact on the labelled box or crop"].startswith("0.0 of 4")


def test_pictures_that_were_trained_on_count_only_when_asked_for(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = []
    for serial in range(1000, 1030):
        shot(tmp_path / "ma_crops" / f"{serial}.png", confidence=900, right=True)
        plates = [{"text": f"{serial}|أ|6", "box": None}]
        rows.append({"file": f"ma_crops/{serial}.png", "country": "MA", "kind": "crop", "plates": plates})
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert run(command, "--folder", tmp_path) == 0
    assert int(cells(capsys.readouterr().out, 0)["pictures"]) < 15
    assert run(command, "--folder", tmp_path, "--all") == 0
    text = capsys.readouterr().out
    assert cells(text, 0)["pictures"] == "30"
    assert "With pictures that were trained on" in text


def test_a_calibration_is_fitted_written_named_and_found(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str], models_key: SigningKey
) -> None:
    pytest.importorskip("PIL", reason="Pillow draws the diagram")
    rows = []
    for number in range(300):
        text = TEXT if number % 4 else f"{number + 1}|ب|7"
        file = f"street/{number}.png"
        shot(tmp_path / file, confidence=4 * (150 + number % 90), right=True)
        plates = [{"text": text, "box": [50, 40, 150, 60]}]
        rows.append({"file": file, "country": "MA", "kind": "scene", "plates": plates})
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    models = tmp_path / "models"
    models.mkdir()
    (models / "registry.toml").write_text("# nothing yet\n")
    words = ("--folder", tmp_path, "--models", models, "--drawn", 0, "--sizes", 1.0)
    files = ("--diagram", tmp_path / "r.png", "--out", tmp_path / "report.md")
    assert run(calibrate, *words, *files) == 0
    sign_registry(models, models_key).check_calibration()
    table = find_calibration("c" * 64, folder=models)
    assert table.right_permille(900) == pytest.approx(750, abs=80)
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert report == capsys.readouterr().out
    assert "| photographs " in report and "| calibrated " in report and "| width " in report
    assert (tmp_path / "r.png").is_file()


def test_a_check_writes_nothing(
    folder: Path, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrate, "FEWEST_READS", 3)
    before = sorted(folder.rglob("*"))
    assert run(calibrate, "--folder", folder, "--models", folder, "--drawn", 0, "--sizes", 1.0, "--check") == 0
    assert sorted(folder.rglob("*")) == before
    assert "as given out" in capsys.readouterr().out


@pytest.mark.parametrize("size", [0.0, 1.01, -0.5])
def test_a_picture_is_measured_at_its_size_or_smaller(
    folder: Path, run: Run, capsys: pytest.CaptureFixture[str], size: float
) -> None:
    assert run(calibrate, "--folder", folder, "--models", folder, "--sizes", size) == 2
    assert "--sizes" in capsys.readouterr().err


def test_a_photograph_is_read_once_at_each_size_and_measured_there(folder: Path) -> None:
    one = pictures_of(folder)[0]
    found = list(samples.of_photographs(MadeUpReader(), [one], (1.0, 0.5)))
    assert [(sample.size, sample.plate, sample.conditions.country) for sample in found] == [
        (1.0, "12345A6", "MA"),
        (0.5, "12345A6", "MA"),
    ]
    assert [round(sample.conditions.width_px) for sample in found] == [100, 50]
    assert (found[0].raw_permille, found[0].right) == (900, True)


def test_a_plate_that_is_masked_or_unknown_measures_no_confidence(folder: Path) -> None:
    path = folder / "manifest.jsonl"
    for text in ("12?45|أ|6", None):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for row in rows:
            row["plates"][0]["text"] = text
        path.write_text("\n".join(map(json.dumps, rows)))
        assert list(samples.of_photographs(MadeUpReader(), pictures_of(folder), (1.0,))) == []


def test_too_few_reads_make_no_calibration(folder: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(calibrate, "--folder", folder, "--models", folder, "--drawn", 0) == 1
    assert "a calibration needs 200 or more" in capsys.readouterr().err
    assert not (folder / CALIBRATION).exists()


def test_the_shipped_models_on_real_photographs(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (data / "plates" / "manifest.jsonl").is_file():
        pytest.skip(f"no photographs under {data}; set VEDETTE_DATA")
    words = ["--data", str(data), "--set", "ma_scenes", "ma_crops", "es_scenes", "--limit", "2"]
    monkeypatch.setattr(sys, "argv", ["x", *words])
    assert command.main() == 0
    text = capsys.readouterr().out
    assert [cells(text, row)["set"] for row in range(3)] == ["ma_scenes", "ma_crops", "es_scenes"]
    assert " of 2 (" in cells(text, 1)["exact on the labelled box or crop"]
