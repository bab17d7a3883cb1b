"""Frames of the drawn street."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import av
import numpy as np
import pytest

from simulator import commands
from simulator.render import Renderer
from simulator.world import FOCAL_PX, plan
from vedette.errors import NotFound, Refused, Usage

DRIVE = plan(1, 60)
RENDERER = Renderer(DRIVE)
# The budget is 12 ms on a quiet core; a test machine shares its cores.
MOST_MS_HERE = 30.0


def test_renderer_draws_the_same_picture_when_asked_twice() -> None:
    one = RENDERER.bgr(5_000_000).copy()
    RENDERER.bgr(9_000_000)

    assert np.array_equal(one, RENDERER.bgr(5_000_000))
    assert np.array_equal(one, Renderer(plan(1, 30)).bgr(5_000_000))


def test_renderer_moves_the_street_when_time_passes() -> None:
    one, next_one = RENDERER.bgr(5_000_000).astype(int), RENDERER.bgr(5_040_000).astype(int)
    changed = np.abs(one - next_one).max(axis=2) > 12

    assert 0.01 < changed.mean() < 0.6


@pytest.mark.parametrize("index", range(len(DRIVE.plates)))
def test_plate_is_bright_and_wide_in_its_place_when_it_is_legible(index: int) -> None:
    sighting = DRIVE.plates[index]
    at_us = sighting.visible_to_us
    [pose] = [pose for pose in DRIVE.poses(at_us) if pose.car.plate.text == sighting.text]
    scale = FOCAL_PX / pose.ahead_m
    x, half = 640 + pose.car.lateral_m * scale, 0.26 * scale

    rows = RENDERER.bgr(at_us)[330:700, max(0, int(x - half)) : int(x + half)].max(axis=2)

    brightest = np.sort(np.mean(rows > 180, axis=1))[-int(0.09 * scale) :]
    assert brightest.mean() > 0.4


@pytest.mark.parametrize("size", [(320, 180), (640, 360), (1920, 1080)])
def test_renderer_fills_the_picture_when_the_size_is_another(size: tuple[int, int]) -> None:
    width, height = size

    i420 = Renderer(DRIVE, width=width, height=height).i420(15_000_000)

    assert i420.shape == (height * 3 // 2, width)
    assert i420[:height].std() > 20


@pytest.mark.parametrize("size", [(318, 180), (1281, 720), (1280, 719), (1922, 1080), (640, 1082)])
def test_renderer_refuses_when_the_size_cannot_be_drawn(size: tuple[int, int]) -> None:
    with pytest.raises(Refused, match=f"{size[0]}x{size[1]}"):
        Renderer(DRIVE, width=size[0], height=size[1])


def test_renderer_keeps_pace_when_every_stretch_of_the_drive_is_drawn() -> None:
    RENDERER.i420(0)
    started = time.thread_time()

    for at_us in range(0, 60_000_000, 500_000):
        RENDERER.i420(at_us)

    assert 1000 * (time.thread_time() - started) / 120 < MOST_MS_HERE


def run(*arguments: str | int | Path) -> int:
    parser = argparse.ArgumentParser()
    commands.register(parser.add_subparsers())
    args = parser.parse_args(["sim", *map(str, arguments)])
    return int(args.run(args))


def test_sim_render_writes_a_video_and_its_truth_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, truth = tmp_path / "street.mp4", tmp_path / "street.jsonl"

    code = run("render", out, "--seconds", 3, "--width", 640, "--height", 360, "--rate", 10, "--truth", truth, "--json")

    with av.open(str(out)) as container:
        frames = sum(1 for _ in container.decode(video=0))
        codec = container.streams.video[0].codec_context.name
    lines = [json.loads(line) for line in truth.read_text().splitlines()]
    assert (code, frames, codec) == (0, 30, "h264")
    assert json.loads(capsys.readouterr().out)["plates"] == lines
    assert [line["text"] for line in lines] == [plate.text for plate in plan(1, 3).plates]


def test_sim_render_refuses_when_the_file_is_there(tmp_path: Path) -> None:
    (tmp_path / "street.mp4").write_bytes(b"mine")

    with pytest.raises(Refused, match="not overwritten"):
        run("render", tmp_path / "street.mp4", "--seconds", 1)


def test_sim_render_names_the_folder_when_it_is_missing(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="missing"):
        run("render", tmp_path / "missing" / "street.mp4", "--seconds", 1)


@pytest.mark.parametrize("option", [("--seconds", 0), ("--seconds", 3601), ("--rate", 0), ("--rate", 61)])
def test_sim_render_says_the_bounds_when_an_option_is_out_of_them(tmp_path: Path, option: tuple[str, int]) -> None:
    with pytest.raises(Usage, match="1 to 3600"):
        run("render", tmp_path / "street.mp4", *map(str, option))
