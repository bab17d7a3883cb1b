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
from edge.reader.drawn import draw
from edge.reader.look import Looker
from edge.reader.ocr import PlateText
from edge.reader.shown import row
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
    assert list(plate)[:5] == ["text", "text_ascii", "region", "regions", "confidence_permille"]
    assert list(plate)[5:] == ["box_px", "corners_px", "verdict", "reason", "fields", "alternatives", "characters"]
    assert (plate["verdict"], plate["reason"]) == ("read", None)
    serial, letter, prefecture = street[1].split("|")
    assert plate["fields"] == {"serial": serial, "letter": letter, "prefecture": prefecture}
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


@pytest.mark.parametrize("how", ["--all", "--crop"])
def test_a_cut_picture_is_looked_at_and_then_named_as_cut(run: Run, tmp_path: Path, how: str) -> None:
    content = cv2.imencode(".jpg", np.random.default_rng(1).integers(0, 256, (90, 300), dtype=np.uint8))[1].tobytes()
    (tmp_path / "cut.jpg").write_bytes(content[: len(content) // 2])
    (tmp_path / "whole.jpg").write_bytes(content)
    code, lines = run(how, tmp_path)
    assert code == 1
    assert [(Path(str(line["file"])).name, "plates" in line) for line in lines] == [
        ("cut.jpg", True), ("cut.jpg", False), ("whole.jpg", True),
    ]  # fmt: skip
    assert "cut off" in lines[1]["error"]


@pytest.mark.parametrize("suffix", [".webp", ".bmp", ".tiff", ".png", ".pgm"])
def test_a_cut_picture_of_another_kind_is_one_line(run: Run, tmp_path: Path, suffix: str) -> None:
    """HT-46."""
    noise = np.random.default_rng(1).integers(0, 256, (90, 300), dtype=np.uint8)
    content = cv2.imencode(suffix, noise)[1].tobytes()
    (tmp_path / f"cut{suffix}").write_bytes(content[: len(content) // 2])
    code, (line,) = run(tmp_path)
    assert (code, list(line)) == (1, ["file", "error"])
    assert f"cut off: the file has {len(content) // 2} of at least " in str(line["error"])
    assert "copy the file again" in str(line["error"])


def test_a_picture_damaged_within_is_looked_at_and_named(run: Run, tmp_path: Path) -> None:
    """HT-43."""
    luma = draw(width_px=1280, height_px=720, plates=1).luma
    content = bytearray(cv2.imencode(".jpg", luma)[1].tobytes())
    content[-2000:-1900] = bytes(range(100))
    (tmp_path / "damaged.jpg").write_bytes(content)
    saved(tmp_path, "whole.jpg", luma)
    code, lines = run(tmp_path)
    assert code == 1
    assert [[plate["text"] for plate in line.get("plates", ["-"])] for line in (lines[0], lines[2])] == [
        ["LS15EBC"]
    ] * 2
    assert lines[1]["file"].endswith("damaged.jpg")
    assert "damaged within (Corrupt JPEG data" in lines[1]["error"]


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
    assert plate["verdict"] == "unsure"


def test_all_shows_a_plate_that_is_too_small_and_why(run: Run, street: tuple[Luma, str], tmp_path: Path) -> None:
    """HT-37: the photograph made smaller until its plate is less than nine pixels high."""
    small = cv2.resize(street[0], None, fx=0.125, fy=0.125, interpolation=cv2.INTER_AREA)
    path = saved(tmp_path, "car.png", np.asarray(small, dtype=np.uint8))
    assert run(path)[1][0]["plates"] == []
    verdicts = {(plate["verdict"], plate["reason"]) for plate in run("--all", path)[1][0]["plates"]}
    assert verdicts and verdicts <= {("too_small", "height"), ("too_small", "width")}


def test_table_is_for_people(street: tuple[Luma, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved(tmp_path, "car.png", street[0])
    saved(tmp_path, "grey.png", np.full((60, 80), 90, dtype=np.uint8))
    (tmp_path / "text.jpg").write_text("I am a text")
    parser = argparse.ArgumentParser()
    commands.register(parser.add_subparsers())
    args = parser.parse_args(["read", "--threads", "1", "--table", str(tmp_path)])
    assert args.run(args) == 1
    head, car, grey, text = capsys.readouterr().out.splitlines()
    assert head.split() == ["picture", "plate", "country", "sure", "verdict"]
    assert car.split()[1:3] == [street[1], "MA"] and car.split()[-2:] == ["%", "read"]
    assert grey.endswith("no plate")
    assert "no picture of a kind" in text


@pytest.fixture(scope="module")
def drive(street: tuple[Luma, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of video in which the car moves on by 4 pixels a frame, well inside the picture."""
    path = tmp_path_factory.mktemp("drive") / "drive.mp4"
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 640, 640, "yuv420p", 20_000_000
        for number in range(25):
            picture = np.roll(street[0], 4 * number - 26, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR), "bgr24")))
        container.mux(stream.encode(None))
    return path


def test_a_plate_of_a_video_is_in_each_frame_though_it_is_not_read_in_each(
    run: Run, street: tuple[Luma, str], drive: Path
) -> None:
    code, lines = run(drive)
    assert code == 0
    assert [line["frame"] for line in lines] == list(range(25))
    found = [plate for line in lines for plate in line["plates"] if plate["text"] == street[1]]
    assert len(found) >= 20
    assert {plate["verdict"] for plate in found} == {"read"}
    assert found[0]["looks"] == 0 < 2 <= found[-1]["looks"] < 12
    assert len({plate["track"] for plate in found}) == 1


def test_tracks_gives_one_line_for_each_plate_and_the_counts(run: Run, street: tuple[Luma, str], drive: Path) -> None:
    """HT-39, HT-41."""
    code, lines = run("--tracks", drive)
    assert code == 0
    (plate,) = [line for line in lines[:-1] if line["text"] == street[1]]
    assert plate["verdict"] == "read" and plate["looks"] >= 2
    assert plate["first_ms"] < 200 and plate["last_ms"] > 800
    assert "".join(one["text"] for one in plate["characters"]) == street[1]
    assert set(plate["rejected"]) == {"too_small", "unsure", "no_text", "other_text"}
    counts = lines[-1]
    assert (counts["frames"], counts["plates_read"]) == (25, len(lines) - 1)
    assert set(counts["rejected"]) == {"too_small", "unsure", "no_text", "no_consensus"}
    everything = run("--tracks", "--all", drive)[1]
    assert len(everything) - 1 == counts["plates_read"] + sum(counts["rejected"].values())


def test_tracks_are_told_before_the_error_when_the_video_was_cut(run: Run, drive: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(drive.read_bytes()[: drive.stat().st_size // 2])
    code, lines = run("--tracks", path)
    assert code == 1
    assert "frames could be decoded" in lines[-1]["error"]
    assert 0 < lines[-2]["frames"] < 25


def test_tracks_make_a_table_too(street: tuple[Luma, str], drive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    commands.register(parser.add_subparsers())
    args = parser.parse_args(["read", "--threads", "1", "--table", "--tracks", "--all", str(drive)])
    assert args.run(args) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(street[1] in line and "looks agree" in line for line in lines)
    assert "25 frames" in lines[-1] and "too small" in lines[-1]


@pytest.mark.parametrize(("permille", "shown"), [(1000, "99 %"), (996, "99 %"), (989, "98 %"), (9, "0 %")])
def test_no_read_is_shown_as_certain(permille: int, shown: str) -> None:
    plate = PlateText(text="AB1", text_ascii="AB1", region="", confidence_permille=permille, alternatives=())
    assert row("photo.jpg", plate, "read").split()[-3:] == [*shown.split(), "read"]
