"""One network's weights for pictures of several sizes: the file's bytes with other shapes in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge.reader.detect import SHAPES, Detector, overlap
from edge.reader.drawn import draw
from edge.reader.infer import Model
from edge.reader.registry import find_model
from edge.reader.tflite_file import read_network
from edge.reader.tflite_resize import resized
from vedette.errors import Integrity

Tiny = Callable[..., bytes]
OWN = SHAPES[0]


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.load(find_model("detector").path, threads=1)


@pytest.fixture(scope="module")
def content() -> bytes:
    return find_model("detector").path.read_bytes()


def test_network_of_its_own_size_is_the_same_file(content: bytes, model: Model) -> None:
    assert (model.height_px, model.width_px) == OWN
    assert resized(content, height_px=OWN[0], width_px=OWN[1]) == content


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_written_are_those_that_the_runtime_finds(
    shape: tuple[int, int], content: bytes, model: Model, tmp_path: Path
) -> None:
    height, width = shape
    path = tmp_path / "sized.tflite"
    path.write_bytes(resized(content, height_px=height, width_px=width))
    sized = model.sized(height_px=height, width_px=width)
    own = [one for one in sized._interpreter._get_ops_details() if one["op_name"] != "DELEGATE"]
    shapes = {detail["index"]: tuple(detail["shape"].tolist()) for detail in sized._interpreter.get_tensor_details()}
    assert [[tensor.shape for tensor in one.outputs] for one in read_network(path).operations] == [
        [shapes[int(index)] for index in one["outputs"]] for one in own
    ]
    assert [one.shape[1:3] for one in sized.run(np.full((1, height, width, 1), 90, dtype=np.uint8))] == [
        (height // 8, width // 8)
    ] * 2
    assert sized.placement().outside == ()
    assert sized.scales == model.scales


@pytest.mark.parametrize("size", [(512, 288), (768, 1024), (480, 288), (300, 180)])
def test_plate_is_found_at_one_place_in_whatever_input(
    size: tuple[int, int], model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The picture as it is against the same picture in the file's own input, which has more grey around it."""
    drawn = draw(width_px=size[0], height_px=size[1], plates=1)
    (found,) = Detector(model).detect(drawn.luma)
    monkeypatch.setattr("edge.reader.detect.SHAPES", (OWN,))
    (before,) = Detector(model).detect(drawn.luma)
    assert overlap(found.box_px, before.box_px) > 0.7


def test_network_is_made_once_for_each_shape_and_when_it_is_wanted(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[int, int]] = []
    plain = Model.sized

    def noted(self: Model, *, height_px: int, width_px: int) -> Model:
        made.append((height_px, width_px))
        return plain(self, height_px=height_px, width_px=width_px)

    monkeypatch.setattr(Model, "sized", noted)
    detector = Detector(model)
    for height, width in ((720, 1280), (480, 640), (1080, 1920), (720, 1280), (4000, 3000)):
        detector.detect(np.full((height, width), 90, dtype=np.uint8))
    assert made == [(320, 576), (512, 384)]


def test_network_whose_rows_do_not_come_out_even_is_refused(content: bytes) -> None:
    with pytest.raises(Integrity, match="500 x 300"):
        resized(content, height_px=300, width_px=500)


def test_reader_is_made_for_one_size_only() -> None:
    content = find_model("reader").path.read_bytes()
    with pytest.raises(Integrity, match="TRANSPOSE depends on the size"):
        resized(content, height_px=96, width_px=200)


def test_operation_that_may_depend_on_the_size_is_refused(tiny: Tiny) -> None:
    content = tiny(("RESIZE_NEAREST_NEIGHBOR", (1, 16, 16, 2)), takes=(1, 8, 8, 2))
    with pytest.raises(Integrity, match="RESIZE_NEAREST_NEIGHBOR depends on the size"):
        resized(content, height_px=16, width_px=16)


def test_tiny_network_answers_for_a_larger_picture_as_it_is_defined(tiny: Tiny, tmp_path: Path) -> None:
    """Each place of a network of one 1 x 1 convolution is its own, so that a larger picture's are known."""
    path = tmp_path / "tiny.tflite"
    path.write_bytes(tiny(("CONV_2D", (1, 8, 8, 1), (1, 1, 1, 1)), takes=(1, 8, 8, 1)))
    small = Model.load(path, threads=1)
    large = small.sized(height_px=16, width_px=24)
    luma = np.random.default_rng(5).integers(0, 256, (16, 24), dtype=np.uint8)
    whole = large.run(luma[None, :, :, None])[0][0, :, :, 0]
    for top in (0, 8):
        for left in (0, 8, 16):
            part = luma[top : top + 8, left : left + 8]
            assert np.array_equal(
                small.run(part[None, :, :, None])[0][0, :, :, 0], whole[top : top + 8, left : left + 8]
            )


@pytest.mark.parametrize("kept", [0, 3, 8, 40, 200, 5_000])
def test_file_cut_short_is_refused(kept: int, content: bytes) -> None:
    with pytest.raises(Integrity, match="cannot be made"):
        resized(content[:kept], height_px=320, width_px=576)
