"""`vedette model bench`: what is timed, how it is summed up and shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.reader import model_bench
from edge.reader.drawn import draw
from edge.reader.model_bench import PLATES, SIZES, Bench, Chain, Spread, bench, machine_name, measure, spread
from edge.reader.registry import NAMES, find_model
from vedette import cli
from vedette.errors import Usage

STAGES = ["fit", "detector", "decode", "straighten", "reader", "text", "picture", "glances", "look"]


@pytest.fixture(scope="module", autouse=True)
def few_pictures() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_bench, "MIN_PICTURES", 2)
        patch.setattr(model_bench, "WARM_UP", 1)
        yield


@pytest.fixture(scope="module")
def chain() -> Chain:
    return Chain.load(threads=1, folder=None)


@pytest.fixture(scope="module")
def done(few_pictures: None) -> Bench:
    return bench(threads=1, seconds=0.001)


@pytest.mark.parametrize("plates", [0, 1, 3])
def test_drawn_picture_has_its_plates_inside_and_is_the_same_each_time(plates: int) -> None:
    first, second = (draw(width_px=640, height_px=480, plates=plates) for _ in range(2))
    assert (first.luma.shape, first.luma.dtype, len(first.plates)) == ((480, 640), np.uint8, plates)
    assert np.array_equal(first.luma, second.luma)
    for corners in first.plates:
        assert all(0 <= x < 640 and 0 <= y < 480 for x, y in corners)
        (left, top), (right, bottom) = corners[0], corners[2]
        assert first.luma[int(top) + 3 : int(bottom) - 3, int(left) + 2 : int(right) - 2].max() > 200


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_every_drawn_plate_is_found_at_the_first_look(chain: Chain, width: int, height: int) -> None:
    drawn = draw(width_px=width, height_px=height, plates=max(PLATES))
    assert measure(chain, drawn, seconds=0.0).found == max(PLATES)
    assert measure(chain, draw(width_px=width, height_px=height, plates=0), seconds=0.0).found == 0


def test_drawn_plate_is_read(chain: Chain) -> None:
    drawn = draw(width_px=1280, height_px=720, plates=2)
    plates = [chain.reader.read(drawn.luma, corners) for corners in drawn.plates]
    assert [plate.text for plate in plates if plate is not None] == ["LS15EBC", "AB12CDE"]


def test_stages_make_up_the_picture_and_none_is_less_than_nothing(chain: Chain) -> None:
    stages, runs = chain.stages(draw(width_px=640, height_px=480, plates=3))
    parts = [getattr(stages, name) for name in STAGES[:6]]
    assert all(part > 0 for part in parts)
    assert stages.picture == pytest.approx(sum(parts))
    assert stages.detector < stages.glances < stages.picture
    assert runs >= 3


def test_nothing_is_read_when_there_is_no_plate(chain: Chain) -> None:
    case = measure(chain, draw(width_px=640, height_px=480, plates=0), seconds=0.0)
    assert (case.pictures, case.reader_runs) == (2, 0)
    assert case.stages["reader"] == case.stages["text"] == Spread(median_ms=0, p95_ms=0)
    assert case.frames_per_second == pytest.approx(1000 / case.stages["picture"].p95_ms)


@pytest.mark.parametrize(
    ("times", "median", "p95"),
    [([7.0], 7.0, 7.0), ([2.0, 1.0], 1.5, 2.0), (list(range(1, 21)), 10.5, 19), (list(range(100, 0, -1)), 50.5, 95)],
)
def test_spread_is_median_and_the_time_within_which_nineteen_of_twenty_are_done(
    times: list[float], median: float, p95: float
) -> None:
    assert spread(times) == Spread(median_ms=median, p95_ms=p95)


def test_bench_covers_every_size_and_number_of_plates(done: Bench) -> None:
    assert [(one.width_px, one.height_px, one.plates) for one in done.cases] == [
        (width, height, plates) for width, height in ((640, 480), (1280, 720), (1920, 1080)) for plates in (0, 1, 3)
    ]
    assert done.versions == {name: find_model(name).version for name in NAMES}
    assert all(list(one.stages) == STAGES for one in done.cases)
    assert all(value > 0 for value in done.load_ms.values())
    memory = done.memory
    assert 10 < memory.without_models_mib < memory.peak_mib < 4000
    assert 5 < memory.own_mib < memory.peak_mib and 5 < memory.files_mib < memory.peak_mib
    assert done.machine.runtime.startswith(("ai_edge_litert ", "tflite_runtime "))


@pytest.mark.parametrize("seconds", [0.0, -1.0, 3601.0, float("nan"), float("inf")])
def test_time_out_of_bounds_is_a_usage_error(seconds: float) -> None:
    with pytest.raises(Usage, match="--seconds"):
        bench(threads=1, seconds=seconds)


def test_command_prints_aligned_columns_and_the_same_figures_as_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, done: Bench
) -> None:
    monkeypatch.setattr(model_bench, "bench", lambda **options: done)
    assert cli.main(["model", "bench", "--seconds", "0.001"]) == 0
    text = capsys.readouterr().out
    heads = next(line for line in text.splitlines() if line.split()[:2] == ["size", "plates"])
    rows = [line for line in text.splitlines() if line.split()[:1] in (["640x480"], ["1280x720"], ["1920x1080"])]
    assert (len(rows), {len(row) for row in rows}) == (9, {len(heads)})
    assert heads.split()[4:] == [*STAGES, "frames/s"]
    assert cli.main(["model", "bench", "--seconds", "0.001", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"machine", "threads", "versions", "load_ms", "memory", "cases"}
    assert all(case["frames_per_second"] > 0 for case in found["cases"])


@pytest.mark.parametrize("words", [("--threads", "0"), ("--threads", "65"), ("--seconds", "0"), ("--seconds", "nan")])
def test_command_refuses_silly_options(capsys: pytest.CaptureFixture[str], words: tuple[str, str]) -> None:
    assert cli.main(["model", "bench", *words]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("vedette: ")) == ("", 1)


def test_machine_is_named_by_its_board_else_its_processor(tmp_path: Path) -> None:
    board, cpu, nothing = tmp_path / "model", tmp_path / "cpuinfo", tmp_path / "nothing"
    board.write_text("Raspberry Pi 4 Model B Rev 1.4\0")
    cpu.write_text("processor\t: 0\nmodel name\t: A processor @ 2 GHz\nmodel name\t: A processor @ 2 GHz\n")
    assert machine_name(board, cpu) == "Raspberry Pi 4 Model B Rev 1.4"
    assert machine_name(nothing, cpu) == "A processor @ 2 GHz"
    assert machine_name(nothing, nothing)
