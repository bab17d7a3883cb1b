"""`vedette read`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from edge.reader import commands
from edge.reader.look import Looker
from models.train import data
from vedette.errors import NotFound, Refused, Usage

Luma = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
Run = Callable[..., tuple[int, list[dict[str, Any]]]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*words: object) -> tuple[int, list[dict[str, Any]]]:
        parser = argparse.ArgumentParser()
        commands.register(parser.add_subparsers())
        args = parser.parse_args(["read", "--threads", "1", *map(str, words)])
        capsys.readouterr()
        code = args.run(args)
        return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return call


@pytest.fixture(scope="module")
def street() -> tuple[Luma, str]:
    """A held-out photograph of a Moroccan car and its text."""
    root = data.default_data()
    if not (root / "plates" / "manifest.jsonl").is_file():
        pytest.skip(f"no photographs under {root}; set VEDETTE_DATA")
    looker = Looker.load(threads=1)
    for photo in data.photos(root):
        if photo.folder == "ma_scenes" and photo.held_out and photo.text:
            luma = data.luma_of(photo.path)
            if any(look.plate and look.plate.text == photo.text for look in looker.look(luma)):
                return luma, photo.text
    pytest.fail("no held-out Moroccan photograph is read at all")


def saved(folder: Path, name: str, luma: Luma) -> Path:
    path = folder / name
    assert cv2.imwrite(str(path), luma)
    return path


def test_a_photograph_gives_one_line_with_its_plate(run: Run, street: tuple[Luma, str], tmp_path: Path) -> None:
    path = saved(tmp_path, "car.png", street[0])
    code, (line,) = run(path)
    assert code == 0
    assert list(line) == ["file", "frame", "plates", "ms"]
    assert (line["file"], line["frame"]) == (str(path), 0)
    plate = next(plate for plate in line["plates"] if plate["text"] == street[1])
    assert list(plate) == ["text", "text_ascii", "region", "confidence_permille", "box_px", "corners_px"]
    assert plate["region"] == "MA"
    assert plate["text_ascii"].isascii() and "|" not in plate["text_ascii"]
    assert commands.GATE_PERMILLE <= plate["confidence_permille"] <= 1000
    xs, ys = zip(*plate["corners_px"], strict=True)
    assert plate["box_px"] == pytest.approx([min(xs), min(ys), max(xs), max(ys)], abs=1)


def test_grey_and_transparent_copies_read_the_same(run: Run, street: tuple[Luma, str], tmp_path: Path) -> None:
    saved(tmp_path, "a.png", street[0])
    saved(tmp_path, "b.png", np.asarray(cv2.cvtColor(street[0], cv2.COLOR_GRAY2BGRA), dtype=np.uint8))
    code, lines = run(tmp_path)
    assert code == 0
    assert [plate["text"] for plate in lines[0]["plates"]] == [plate["text"] for plate in lines[1]["plates"]]


def test_a_folder_is_read_through_in_order(run: Run, tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    grey = np.full((60, 80), 90, dtype=np.uint8)
    wanted = [saved(tmp_path, "b.png", grey), saved(tmp_path / "deep" / "er", "c.JPG", grey)]
    (tmp_path / "notes.txt").write_text("no picture")
    code, lines = run(tmp_path)
    assert code == 0
    assert [line["file"] for line in lines] == [str(path) for path in wanted]
    assert all(line["plates"] == [] for line in lines)


def test_a_file_that_is_no_picture_is_one_error_line_and_the_rest_is_read(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("I am a text")
    saved(tmp_path, "b.png", np.full((60, 80), 90, dtype=np.uint8))
    code, lines = run(tmp_path)
    assert code == 1
    assert list(lines[0]) == ["file", "error"] and lines[0]["error"]
    assert lines[1]["plates"] == []


def test_an_empty_folder_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no pictures or videos"):
        run(tmp_path)


def test_a_missing_path_is_not_found_before_anything_is_read(run: Run, tmp_path: Path) -> None:
    there = saved(tmp_path, "there.png", np.full((60, 80), 90, dtype=np.uint8))
    with pytest.raises(NotFound, match=r"gone\.jpg") as raised:
        run(there, tmp_path / "gone.jpg")
    assert raised.value.exit_code == 3


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (3000, 2)])
def test_odd_pictures_hold_no_plate(run: Run, tmp_path: Path, size: tuple[int, int]) -> None:
    code, (line,) = run(saved(tmp_path, "odd.png", np.full(size, 90, dtype=np.uint8)))
    assert (code, line["plates"]) == (0, [])


def clip(path: Path, frames: int) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for shade in range(frames):
            picture = np.full((96, 128, 3), 20 * shade, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("every", "numbers"), [(1, [0, 1, 2, 3, 4]), (2, [0, 2, 4]), (5, [0]), (9, [0])])
def test_every_nth_frame_of_a_video_is_a_line(run: Run, tmp_path: Path, every: int, numbers: list[int]) -> None:
    code, lines = run("--every", every, clip(tmp_path / "clip.mp4", 5))
    assert code == 0
    assert [line["frame"] for line in lines] == numbers


def test_a_damaged_video_is_an_error_line(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"\0" * 100)
    code, lines = run(path)
    assert code == 1 and list(lines[-1]) == ["file", "error"]


def test_every_zeroth_frame_is_a_usage_error(run: Run, tmp_path: Path) -> None:
    with pytest.raises(Usage, match="--every 0"):
        run("--every", 0, tmp_path)


@pytest.mark.parametrize("threads", [-1, 0, 65])
def test_threads_out_of_bounds_are_a_usage_error(run: Run, tmp_path: Path, threads: int) -> None:
    with pytest.raises(Usage, match=f"{threads} threads: give 1 to 64"):
        run("--threads", threads, saved(tmp_path, "plate.png", np.zeros((9, 9), np.uint8)))


def test_crop_gives_the_plate_of_the_whole_picture(run: Run, tmp_path: Path) -> None:
    plate = np.full((110, 520), 235, dtype=np.uint8)
    cv2.putText(plate, "LS15 EBC", (30, 84), cv2.FONT_HERSHEY_SIMPLEX, 2.8, 20, 9, cv2.LINE_AA)
    code, (line,) = run("--crop", saved(tmp_path, "plate.png", plate))
    assert code == 0
    assert [found["text"] for found in line["plates"]] == ["LS15EBC"]


def test_all_shows_what_the_gate_keeps_back(run: Run, tmp_path: Path) -> None:
    blank = saved(tmp_path, "blank.png", np.full((48, 160), 200, dtype=np.uint8))
    assert run("--crop", blank)[1][0]["plates"] == []
    (line,) = run("--crop", "--all", blank)[1]
    (plate,) = line["plates"]
    assert plate["confidence_permille"] < commands.GATE_PERMILLE
