"""Training that goes on from a shipped file (`--start-from models/reader.tflite`); it needs PyTorch."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.synth.crops import CropSource

torch = pytest.importorskip("torch", reason="PyTorch trains")

from models.train import reader, shipped  # noqa: E402
from models.train.nets import Detector, Reader  # noqa: E402

FILE = Path(str(resources.files("models"))) / "reader.tflite"


@pytest.fixture(scope="module")
def batch() -> Any:
    pytest.importorskip("PIL", reason="Pillow draws the plates")
    around = [np.full((96, 288), 90, dtype=np.uint8)]
    source = CropSource(rng=np.random.default_rng(1), backgrounds=around, harsh=0.4)
    return reader.collate([source.next() for _ in range(100)])


def texts_of_the_file(pictures: Any) -> list[str]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(FILE))
    interpreter.allocate_tensors()
    entry, end = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scale, zero = entry["quantization"]
    answers = []
    for picture in pictures.numpy():
        whole = np.clip(np.round(picture[0] / scale) + zero, -128, 127).astype(np.int8)
        interpreter.set_tensor(entry["index"], whole[None, :, :, None])
        interpreter.invoke()
        answers.append(interpreter.get_tensor(end["index"])[0].astype(np.float32))
    return reader.greedy(torch.from_numpy(np.stack(answers)))


def test_a_network_that_starts_from_the_shipped_file_answers_as_the_file_does(batch: Any) -> None:
    net = Reader()
    shipped.resume(net, FILE, batch[0][:32])
    with torch.no_grad():
        mine = reader.greedy(net.eval()(batch[0]))
    theirs = texts_of_the_file(batch[0])
    assert sum(a == b for a, b in zip(mine, theirs, strict=True)) >= 90
    assert len(set(theirs)) > 60


def test_a_file_of_another_network_is_refused() -> None:
    with pytest.raises(shipped.OtherNetwork):
        shipped.resume(Detector(), FILE, torch.zeros(1, 1, 64, 64))


def test_a_network_that_keeps_its_answers_loses_nothing_by_them(batch: Any) -> None:
    kept = reader.kept_from(FILE)
    alone, held = float(reader.loss_of(kept, batch)), float(reader.loss_of(kept, batch, kept))
    assert held == pytest.approx(alone, rel=1e-3)
    changed = reader.kept_from(FILE)
    with torch.no_grad():
        changed.head.bias[5] += 4
    assert float(reader.loss_of(changed, batch, kept)) > float(reader.loss_of(changed, batch)) + 0.01


def test_what_is_frozen_stays_as_it_is(batch: Any) -> None:
    net = Reader()
    net.freeze(9)
    before = {name: values.clone() for name, values in net.state_dict().items()}
    net.train()
    reader.loss_of(net, (batch[0][:8], batch[1][: int(batch[2][:8].sum())], batch[2][:8])).backward()
    torch.optim.SGD([one for one in net.parameters() if one.requires_grad], lr=0.1).step()
    moved = {name for name, values in net.state_dict().items() if not torch.equal(values, before[name])}
    assert moved
    assert not [name for name in moved if name.startswith("body.")]
