"""Running a model."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.reader import infer
from edge.reader.infer import Model, ModelUnusable, RuntimeMissing, Scale
from edge.reader.registry import find_model
from vedette.errors import NotFound, Usage


@pytest.fixture(scope="module")
def reader() -> Model:
    return Model.load(find_model("reader").path, threads=1)


def test_outputs_are_integers_with_their_scales(reader: Model) -> None:
    grey = np.full((1, reader.height_px, reader.width_px, 1), 90, dtype=np.uint8)
    outputs = reader.run(grey)
    assert len(outputs) == 2
    for integers, real, known in zip(outputs, reader.run_real(grey), reader.scales, strict=True):
        assert integers.dtype == np.int8
        assert real == pytest.approx((integers.astype(float) - known.zero_point) * known.scale, abs=1e-4)


def test_brightness_and_the_models_own_integers_agree(reader: Model) -> None:
    rng = np.random.default_rng(5)
    luma = rng.integers(0, 256, (1, reader.height_px, reader.width_px, 1), dtype=np.uint8)
    as_integers = reader.run(infer._levels(reader_input_scale(reader))[luma])
    assert all(np.array_equal(a, b) for a, b in zip(reader.run(luma), as_integers, strict=True))


def reader_input_scale(model: Model) -> Scale:
    return infer._scale(model._input)


def test_levels_rise_with_brightness_and_keep_within_eight_bits() -> None:
    levels = infer._levels(Scale(scale=1 / 128, zero_point=0))
    assert levels.tolist() == list(range(-128, 128))
    narrow = infer._levels(Scale(scale=1 / 256, zero_point=10))
    assert (narrow.min(), narrow.max()) == (-128, 127)
    assert (np.diff(narrow.astype(int)) >= 0).all()


def test_a_picture_of_another_size_is_a_programmers_mistake(reader: Model) -> None:
    with pytest.raises(ValueError, match="shape"):
        reader.run(np.zeros((1, 5, 5, 1), dtype=np.uint8))


def test_the_answer_does_not_depend_on_the_number_of_threads(reader: Model) -> None:
    luma = np.random.default_rng(1).integers(0, 256, (1, reader.height_px, reader.width_px, 1), dtype=np.uint8)
    two = Model.load(find_model("reader").path, threads=2)
    assert np.array_equal(reader.run(luma)[0], two.run(luma)[0])


@pytest.mark.parametrize("threads", [0, -1, infer.MAX_THREADS + 1])
def test_a_silly_number_of_threads_is_refused(threads: int) -> None:
    with pytest.raises(Usage, match="threads"):
        Model.load(find_model("reader").path, threads=threads)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"gone\.tflite"):
        Model.load(tmp_path / "gone.tflite", threads=1)


@pytest.mark.parametrize("content", [b"", b"not a model at all", b"\0" * 4096])
def test_a_file_that_is_no_model_is_unusable(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.tflite"
    path.write_bytes(content)
    with pytest.raises(ModelUnusable, match=r"bad\.tflite"):
        Model.load(path, threads=1)


def test_without_a_runtime_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith(("ai_edge_litert", "tflite_runtime")):
            raise ImportError(f"No module named {name!r}")
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(RuntimeMissing, match="install ai-edge-litert"):
        Model.load(find_model("reader").path, threads=1)
