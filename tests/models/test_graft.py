"""A second output grown on the reader's file: what it says, and that nothing else of the file changes."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("flatbuffers", reason="files are written with flatbuffers")

from edge.reader.infer import Model, Source
from edge.reader.ocr import PlateReader
from models import graft

HOME = Path(str(resources.files("models")))
FILE = HOME / "reader.tflite"


def model_of(content: bytes) -> Model:
    return Model.made(Source(content=content, name="reader", threads=1))


def pictures(count: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(4)
    blocks = rng.integers(0, 256, (count, 12, 40), dtype=np.uint8)
    return np.kron(blocks, np.ones((1, 4, 4), dtype=np.uint8))[..., None]


def branch(seed: int = 2) -> graft.Branch:
    rng = np.random.default_rng(seed)

    def convolution(inputs: int, outputs: int, size: tuple[int, int], stride: tuple[int, int]) -> graft.Convolution:
        spread = (inputs * size[0] * size[1]) ** -0.5
        kernel = rng.normal(0, spread, (outputs, inputs, *size)).astype(np.float32)
        return graft.Convolution(kernel=kernel, bias=rng.normal(0, 0.3, outputs).astype(np.float32), stride=stride)

    early = (convolution(128, 8, (4, 4), (2, 2)), convolution(8, 8, (2, 5), (1, 2)))
    late = (convolution(160, 8, (3, 4), (1, 2)), convolution(8, 8, (1, 5), (1, 2)))
    last = convolution(16, 1, (1, 8), (1, 1))
    return graft.Branch(arms=(early, late), last=graft.Convolution(kernel=8 * last.kernel, bias=last.bias))


def convolved(at: NDArray[np.float32], one: graft.Convolution) -> NDArray[np.float32]:
    """The sum as it is defined: (in, height, width) to (out, height, width)."""
    _, _, tall, broad = one.kernel.shape
    down, across = one.stride
    windows = np.lib.stride_tricks.sliding_window_view(at, (tall, broad), axis=(1, 2))[:, ::down, ::across]
    return np.asarray(np.einsum("ihwkl,oikl->ohw", windows, one.kernel) + one.bias[:, None, None], dtype=np.float32)


def expected(seen: list[NDArray[np.float32]], grown: graft.Branch) -> float:
    ends = []
    for at, arm in zip(seen, grown.arms, strict=True):
        channels = at[0].transpose(2, 0, 1)
        for convolution in arm:
            channels = np.clip(convolved(channels, convolution), 0, 6)
        ends.append(channels)
    return convolved(np.concatenate(ends), grown.last).item()


def test_the_new_output_is_that_of_the_branch() -> None:
    content = FILE.read_bytes()
    grown, tapped = model_of(graft.grafted(content, branch())), model_of(graft.tapped(content))
    said, wanted = [], []
    for picture in pictures(12):
        said.append(grown.run_real(picture[None])[1].item())
        wanted.append(expected(list(tapped.run_real(picture[None])[1:]), branch()))
    assert np.ptp(wanted) > 1
    assert np.abs(np.array(said) - wanted).max() < 0.25


def test_every_other_integer_stays_the_same_and_all_runs_in_one_piece() -> None:
    content = FILE.read_bytes()
    before, after = model_of(graft.ungrafted(content)), model_of(graft.grafted(content, branch()))
    for picture in pictures(8):
        assert np.array_equal(before.run(picture[None])[0], after.run(picture[None])[0])
    assert (after.placement().pieces, after.placement().outside) == (1, ())


def test_a_branch_takes_the_place_of_the_one_before() -> None:
    once = graft.grafted(FILE.read_bytes(), branch())
    assert graft.grafted(graft.grafted(FILE.read_bytes(), branch(seed=9)), branch()) == once
    assert len(model_of(graft.ungrafted(once)).scales) == 1


def test_a_file_without_a_branch_is_left_as_it_is() -> None:
    detector = (HOME / "detector.tflite").read_bytes()
    assert graft.ungrafted(detector) == detector


def test_a_file_of_another_network_is_refused() -> None:
    with pytest.raises(graft.NoPlace):
        graft.grafted((HOME / "detector.tflite").read_bytes(), branch())


def test_a_reader_without_the_output_takes_everything_for_a_plate() -> None:
    reader = PlateReader(model_of(graft.ungrafted(FILE.read_bytes())))
    assert reader.glance(pictures(1)[0, :, :, 0], ((0, 0), (160, 0), (160, 48), (0, 48))).plate_permille == 1000
