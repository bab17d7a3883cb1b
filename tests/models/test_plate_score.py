"""What tells plates from things that are none: learned from a file's own integers; it needs PyTorch."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch trains")

from edge.reader.infer import Model, Source  # noqa: E402
from models import graft  # noqa: E402
from models.train import plate_score  # noqa: E402
from models.train.plate_score import Scorer, Seen, Tapped  # noqa: E402

CONTENT = (Path(str(resources.files("models"))) / "reader.tflite").read_bytes()
SCALES = [(0.01, -128), (0.01, -128)]


def told_apart_by_brightness(count: int) -> Seen:
    rng = np.random.default_rng(1)
    is_plate = np.arange(count) % 2 == 0
    level = np.where(is_plate, 40, -60)[:, None, None, None]
    places = [
        np.clip(level + rng.normal(0, 30, (count, *shape)), -128, 127).astype(np.int8)
        for shape in ((6, 40, 128), (3, 40, 160))
    ]
    return Seen(places=tuple(places), is_plate=is_plate.astype(np.float32))


def test_a_branch_learns_what_tells_the_crops_apart() -> None:
    seen = told_apart_by_brightness(160)
    net = plate_score.train(seen.part(slice(0, 128)), SCALES, epochs=6, seed=1)
    logits = plate_score.logits_of(net, seen.part(slice(128, None)), SCALES)
    assert np.array_equal(logits >= 0, seen.is_plate[128:] > 0)


def test_the_file_answers_as_the_branch_that_was_trained() -> None:
    torch.manual_seed(3)
    net, eye = Scorer().eval(), Tapped(CONTENT)
    crops = np.kron(np.random.default_rng(2).integers(0, 256, (6, 12, 40), dtype=np.uint8), np.ones((4, 4), np.uint8))
    seen = [np.stack(one) for one in zip(*(eye.see(luma) for luma in crops), strict=True)]
    wanted = plate_score.logits_of(net, Seen(places=tuple(seen), is_plate=np.zeros(6, np.float32)), eye.scales)
    model = Model.made(Source(content=graft.grafted(CONTENT, net.branch()), name="reader", threads=1))
    said = [model.run_real(luma[None, :, :, None])[1].item() for luma in crops]
    assert np.abs(np.array(said) - wanted).max() <= graft.SCORE_SCALE
