"""What both trainings share: batches from a seeded worker, a learning rate over time, averaged weights, checkpoints."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.random import Generator
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

BUILD = Path(__file__).resolve().parents[2] / "build" / "models"
Source = Callable[[Generator], Callable[[], Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How long and how hard to train."""

    minutes: float
    batch: int
    peak_rate: float
    seed: int
    threads: int
    workers: int = 1
    start_from: Path | None = None


class Endless(IterableDataset[Any]):  # type: ignore[misc]
    """An endless data set: each worker makes its own source from its own seed."""

    def __init__(self, source: Source, seed: int) -> None:
        super().__init__()
        self.source = source
        self.seed = seed

    def __iter__(self) -> Iterator[Any]:
        """Items without end."""
        torch.set_num_threads(1)
        cv2.setNumThreads(0)
        info = torch.utils.data.get_worker_info()
        draw = self.source(np.random.default_rng([self.seed, 0 if info is None else info.id]))
        while True:
            yield draw()


class Average:
    """Weights averaged over the last few hundred steps; these are the ones that are kept."""

    def __init__(self, net: nn.Module, keep: float = 0.998) -> None:
        self.net = copy.deepcopy(net).eval()
        self.keep = keep
        self.steps = 0

    def update(self, net: nn.Module) -> None:
        """Moves the average a little towards the present weights."""
        self.steps += 1
        keep = min(self.keep, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            for mine, theirs in zip(self.net.state_dict().values(), net.state_dict().values(), strict=True):
                if mine.dtype.is_floating_point:
                    mine.mul_(keep).add_(theirs.to(mine.dtype), alpha=1 - keep)
                else:
                    mine.copy_(theirs)


def rate_at(done: float, peak: float) -> float:
    """Learning rate when the fraction `done` of the time has passed: a short rise, then a cosine to almost nothing."""
    if done < 0.04:
        return peak * (0.1 + 0.9 * done / 0.04)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (done - 0.04) / 0.96)))


def train(
    net: nn.Module,
    source: Source,
    collate: Callable[[list[Any]], Any],
    loss_of: Callable[[nn.Module, Any], torch.Tensor],
    report: Callable[[nn.Module], str],
    plan: Plan,
    out: Path,
) -> nn.Module:
    """Trains for plan.minutes and writes the averaged weights to `out` now and then; returns the averaged network."""
    torch.manual_seed(plan.seed)
    torch.set_num_threads(plan.threads)
    net = net.to(memory_format=torch.channels_last)
    if plan.start_from is not None:
        net.load_state_dict(torch.load(plan.start_from, weights_only=True))
    average = Average(net)
    optimiser = torch.optim.AdamW(net.parameters(), lr=plan.peak_rate, weight_decay=0.02)
    loader = DataLoader(
        Endless(source, plan.seed),
        batch_size=plan.batch,
        num_workers=plan.workers,
        collate_fn=collate,
        prefetch_factor=6,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    began = said = time.monotonic()
    losses: list[float] = []
    for step, batch in enumerate(loader):
        done = (time.monotonic() - began) / (60 * plan.minutes)
        if done >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = rate_at(done, plan.peak_rate)
        net.train()
        loss = loss_of(net, batch)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        average.update(net)
        losses.append(float(loss.detach()))
        if time.monotonic() - said > 90:
            said = time.monotonic()
            rate = step * plan.batch / (said - began)
            print(
                f"{done:4.0%} step {step} {rate:.0f}/s loss {np.mean(losses[-100:]):.4f} {report(average.net)}",
                flush=True,
            )
            torch.save(average.net.state_dict(), out)
    torch.save(average.net.state_dict(), out)
    print(f"done {report(average.net)}; weights in {out}", flush=True)
    return average.net
