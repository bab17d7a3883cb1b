"""Teaches a reader's file to say how likely what it looks at is a plate at all, and leaves all else of it as it is.

`python -m models.train.plate_score` draws crops of plates and of things that are none, asks the file what its layers
see there, trains a small branch on that, and grafts it on (`models.graft`). The characters cannot suffer: trained into
the whole reader, the same lesson cost zeros side by side and first digits (models/cards/reader.md). It may be run again
on a file that has a branch; that one is replaced.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edge.reader.infer import Model, Source
from models import graft
from models.registering import HOME, registered
from models.synth.crops import CropSource, RealPlate
from models.synth.mistaken import PlateOrNotSource
from models.train import data, reader
from models.train.loop import halves
from models.train.places import BUILD

CROPS = 66_000
PART = 1_000
EPOCHS = 6
BATCH = 256
PEAK_RATE = 1.5e-3
WIDTH = 32
DROPPED = 0.3
HELD_OUT_SHARE = 0.05
Integers = NDArray[np.int8]


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What the layers see of some crops: for each place (n, height, width, channels) as integers; 1 where a plate."""

    places: tuple[Integers, ...]
    is_plate: NDArray[np.float32]

    def part(self, chosen: slice) -> Seen:
        """Some of the crops."""
        return Seen(places=tuple(one[chosen] for one in self.places), is_plate=self.is_plate[chosen])


class Tapped:
    """A reader's file that tells what its layers see; `scales` are the steps and zeros of those integers."""

    def __init__(self, content: bytes) -> None:
        self._model = Model.made(Source(content=graft.tapped(content), name="reader", threads=1))
        self.scales = [(one.scale, one.zero_point) for one in self._model.scales[1:]]

    def see(self, luma: NDArray[np.uint8]) -> list[Integers]:
        """What the layers see of one crop (48, 160)."""
        return [place[0] for place in self._model.run(luma[None, :, :, None])[1:]]


class Scorer(nn.Module):  # type: ignore[misc]
    """The branch: what two places of the reader see (n, 6, 40, 128) and (n, 3, 40, 160) to one logit each crop."""

    def __init__(self) -> None:
        super().__init__()
        self.early = nn.ModuleList([nn.Conv2d(128, WIDTH, 4, 2), nn.Conv2d(WIDTH, WIDTH, (2, 5), (1, 2))])
        self.late = nn.ModuleList([nn.Conv2d(160, WIDTH, (3, 4), (1, 2)), nn.Conv2d(WIDTH, WIDTH, (1, 5), (1, 2))])
        self.last = nn.Conv2d(2 * WIDTH, 1, (1, 8))
        self.drop = nn.Dropout(DROPPED)

    def forward(self, early: torch.Tensor, late: torch.Tensor) -> torch.Tensor:
        """Logits (n)."""
        ends = []
        for at, arm in ((early, self.early), (late, self.late)):
            for place, convolution in enumerate(arm):
                at = nn.functional.relu6(convolution(self.drop(at) if place else at))
            ends.append(at)
        return self.last(self.drop(torch.cat(ends, dim=1))).flatten()

    def branch(self) -> graft.Branch:
        """The same as it is grafted on."""
        arms = tuple(tuple(_plain(one) for one in arm) for arm in (self.early, self.late))
        return graft.Branch(arms=arms, last=_plain(self.last))


def _plain(one: nn.Conv2d) -> graft.Convolution:
    assert one.bias is not None
    down, across = (int(step) for step in one.stride)
    return graft.Convolution(
        kernel=one.weight.detach().float().numpy(), bias=one.bias.detach().float().numpy(), stride=(down, across)
    )


def _source(data_root: Path, labels: Path, seed: int) -> PlateOrNotSource:
    training = [p for p in data.photos(data_root) if not p.held_out]
    real = reader.real_plates(training) + (reader.relabelled(training, labels) if labels.is_file() else [])
    rng = np.random.default_rng([seed, 11])
    around = reader.backgrounds([p for p in training if p.folder == "ma_scenes"], np.random.default_rng(0))
    two = [
        RealPlate(luma=data.luma_of(p.path), quad=reader.quad_around(p), symbols="")
        for p in training
        if p.lines == 2 and p.characters
    ]
    return PlateOrNotSource(plates=CropSource(rng=rng, real=real, backgrounds=around), two_lines=two)


def drawn(content: bytes, data_root: Path, labels: Path, seed: int, count: int) -> Seen:
    """What the file sees of `count` crops; reproducible by seed."""
    cv2.setNumThreads(0)
    source, eye = _source(data_root, labels, seed), Tapped(content)
    crops = [source.next() for _ in range(count)]
    seen = [eye.see(luma) for luma, _ in crops]
    return Seen(
        places=tuple(np.stack(one) for one in zip(*seen, strict=True)),
        is_plate=np.array([is_plate for _, is_plate in crops], dtype=np.float32),
    )


def material(content: bytes, data_root: Path, labels: Path, seed: int, count: int, workers: int) -> Seen:
    """As `drawn`, by several processes."""
    sizes = [min(PART, count - begin) for begin in range(0, count, PART)]
    seeds = [seed + place for place in range(len(sizes))]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        parts = list(pool.map(partial(drawn, content, data_root, labels), seeds, sizes))
    return Seen(
        places=tuple(np.concatenate(one) for one in zip(*(part.places for part in parts), strict=True)),
        is_plate=np.concatenate([part.is_plate for part in parts]),
    )


def real(place: torch.Tensor, scale: tuple[float, int]) -> torch.Tensor:
    """Integers (n, height, width, channels) to numbers (n, channels, height, width)."""
    return (place.float() - scale[1]).mul_(scale[0]).permute(0, 3, 1, 2)


def train(seen: Seen, scales: list[tuple[float, int]], epochs: int, seed: int) -> Scorer:
    """A branch that tells the plates among these crops from the rest."""
    torch.manual_seed(seed)
    net = Scorer()
    places, wanted = [torch.from_numpy(one) for one in seen.places], torch.from_numpy(seen.is_plate)
    optimiser = torch.optim.AdamW(net.parameters(), lr=PEAK_RATE, weight_decay=0.1)
    steps = epochs * -(-len(wanted) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for epoch in range(epochs):
        losses = []
        for chosen in torch.randperm(len(wanted)).split(BATCH):
            with halves():
                logits = net(*(real(one[chosen], scale) for one, scale in zip(places, scales, strict=True)))
            loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), wanted[chosen])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(float(loss.detach()))
        print(f"turn {epoch + 1} of {epochs}: loss {np.mean(losses):.4f}", flush=True)
    net.eval()
    return net


def logits_of(net: Scorer, seen: Seen, scales: list[tuple[float, int]]) -> NDArray[np.float32]:
    """The branch's answers."""

    def answers() -> Iterator[NDArray[np.float32]]:
        with torch.no_grad():
            for begin in range(0, len(seen.is_plate), BATCH):
                part = seen.part(slice(begin, begin + BATCH))
                given = (torch.from_numpy(one) for one in part.places)
                yield net(*(real(one, scale) for one, scale in zip(given, scales, strict=True))).numpy()

    return np.concatenate(list(answers()))


def run(file: Path, args: Any) -> None:
    """Draws, trains, grafts onto `file`, and registers it."""
    content = file.read_bytes()
    seen = material(content, args.data, args.labels, args.seed, args.crops, args.workers)
    scales = Tapped(content).scales
    held = round(HELD_OUT_SHARE * len(seen.is_plate))
    net = train(seen.part(slice(held, None)), scales, args.epochs, args.seed)
    kept = seen.part(slice(0, held))
    logits, is_plate = logits_of(net, kept, scales), kept.is_plate > 0
    told = {
        "plates taken for none": round(float(np.mean(logits[is_plate] < 0)), 4),
        "things taken for plates": round(float(np.mean(logits[~is_plate] >= 0)), 4),
        "of crops": held,
    }
    print(json.dumps(told))
    beside = file.with_name(f"{file.name}.part")
    beside.write_bytes(graft.grafted(content, net.branch()))
    beside.replace(file)
    registered(file.parent, "reader", args.version)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m models.train.plate_score", description=__doc__)
    data.add_data_option(parser)
    parser.add_argument("--home", type=Path, default=HOME, help="folder of registry.toml and the files")
    parser.add_argument("--labels", type=Path, default=BUILD / "labels.json")
    parser.add_argument("--crops", type=int, default=CROPS)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2, help="processes that draw")
    parser.add_argument("--version", default="1")
    args = parser.parse_args()
    run(args.home / "reader.tflite", args)


if __name__ == "__main__":
    main()
