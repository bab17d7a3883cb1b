"""What both trainings share: batches from seeded workers, a learning rate over time, averaged weights, checkpoints.

A checkpoint holds everything that training needs to go on as if it had not been stopped, but the drawing: workers begin
anew from another seed.  On a machine with a graphics processor that is used.
"""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.random import Generator
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from models.train import shipped
from models.train.places import BUILD as BUILD

Source = Callable[[Generator], Callable[[], Any]]
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
DRAWING = 1 if DEVICE == "cpu" else max(1, (os.cpu_count() or 1) - 1)
SAVE_EVERY_S = 90
CPU_INFO = Path("/proc/cpuinfo")
# Processors without these make 16-bit products up in software: twelve times slower than 32-bit ones, measured.
HALF_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
SETTING_UP_BATCHES = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How long and how hard to train: `minutes` on the clock, or until so many `pictures` (0: by the clock) were seen,
    which makes the same network on a busy machine as on a quiet one. Each batch is learned from `again` times, the
    later ones varied; it counts once. The first `frozen` layers stay as they are, which saves time.
    """

    minutes: float
    pictures: int = 0
    batch: int
    peak_rate: float
    seed: int
    threads: int
    workers: int = 0
    again: int = 1
    start_from: Path | None = None
    resume: bool = False
    frozen: int = 0


@cache
def _multiplies_halves(cpu_info: Path = CPU_INFO) -> bool:
    lines = cpu_info.read_text(encoding="utf-8", errors="replace").splitlines() if cpu_info.is_file() else []
    flags = {flag for line in lines if line.startswith(("flags", "Features")) for flag in line.split()}
    return DEVICE != "cpu" or bool(flags & HALF_FLAGS)


def halves() -> torch.autocast:
    """Within it, products are of 16-bit numbers where the machine is quick at them."""
    return torch.autocast(DEVICE, dtype=torch.bfloat16, enabled=_multiplies_halves())


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
        # A trainer whose threads are bound to processors would bind its workers to the first of them.
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
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


def relit(pictures: torch.Tensor) -> torch.Tensor:
    """Pictures (n, 1, height, width) with more or less contrast and a little noise, each its own."""
    each = (len(pictures), 1, 1, 1)
    gain, sigma = 1 + 0.12 * torch.randn(each), 0.04 * torch.rand(each)
    noise = torch.randn(pictures.shape, device=pictures.device)
    return (pictures * gain.to(pictures.device) + noise * sigma.to(pictures.device)).clamp(-1, 1)


def rate_at(done: float, peak: float) -> float:
    """Learning rate when the fraction `done` of the time has passed: a short rise, then a cosine to almost nothing."""
    if done < 0.04:
        return peak * (0.1 + 0.9 * done / 0.04)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (done - 0.04) / 0.96)))


@dataclass(kw_only=True, slots=True)
class _State:
    """A training under way: `spent_s` is the time that it has taken so far, over all its sittings."""

    net: nn.Module
    average: Average
    optimiser: torch.optim.Optimizer
    step: int = 0
    spent_s: float = 0.0

    def save(self, out: Path) -> None:
        """Writes the averaged weights to `out` and everything beside it, each by rename."""
        kept = {
            "net": self.net.state_dict(), "average": self.average.net.state_dict(), "averaged": self.average.steps,
            "optimiser": self.optimiser.state_dict(), "step": self.step, "spent_s": self.spent_s,
        }  # fmt: skip
        for path, content in ((out, self.average.net.state_dict()), (_checkpoint(out), kept)):
            beside = path.with_name(f"{path.name}.part")
            torch.save(content, beside)
            beside.replace(path)

    def load(self, out: Path) -> None:
        """Takes up the checkpoint beside `out`; FileNotFoundError where there is none."""
        kept = torch.load(_checkpoint(out), weights_only=True, map_location=DEVICE)
        self.net.load_state_dict(kept["net"])
        self.average.net.load_state_dict(kept["average"])
        self.optimiser.load_state_dict(kept["optimiser"])
        self.average.steps, self.step, self.spent_s = kept["averaged"], kept["step"], kept["spent_s"]


def _checkpoint(out: Path) -> Path:
    return out.with_suffix(".checkpoint")


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """What is trained on, how a batch is made and judged, and what is said of the averaged network now and then.

    `vary` makes another of the same batch, as a second look at the same plates would be.
    """

    source: Source
    collate: Callable[[list[Any]], Any]
    pictures: Callable[[Any], torch.Tensor]
    loss: Callable[[nn.Module, Any], torch.Tensor]
    vary: Callable[[Any], Any]
    report: Callable[[nn.Module], str]


def train(net: nn.Module, course: Course, plan: Plan, out: Path) -> nn.Module:
    """Trains as the plan says, writes the averaged weights to `out` now and then, and returns the averaged network."""
    torch.manual_seed(plan.seed)
    torch.set_num_threads(plan.threads)
    state = _begin(net, course, plan, out)
    began = time.monotonic() - state.spent_s
    said, losses = state.spent_s, [0.0]
    for batch in _loader(course, plan, state.step):
        state.spent_s = time.monotonic() - began
        done = _done(state, plan)
        if done >= 1:
            break
        for turn in range(plan.again):
            seen = course.vary(batch) if turn else batch
            losses.append(_step(state, course, seen, rate_at(done, plan.peak_rate)))
        state.step += 1
        if state.spent_s - said > SAVE_EVERY_S:
            said = state.spent_s
            speed = state.step * plan.batch / said
            _say(f"{done:4.0%} step {state.step} {speed:.0f}/s loss {np.mean(losses[-100:]):.4f}", course, state)
            state.save(out)
    state.save(out)
    _say(f"done; weights in {out}", course, state)
    return state.average.net


def _done(state: _State, plan: Plan) -> float:
    """The part of the training that is behind us; 1 and more is its end."""
    return state.step * plan.batch / plan.pictures if plan.pictures else state.spent_s / (60 * plan.minutes)


def _begin(net: nn.Module, course: Course, plan: Plan, out: Path) -> _State:
    if plan.start_from is not None and plan.start_from.suffix == ".tflite":
        batches = iter(_loader(course, plan, 0))
        seen = torch.cat([course.pictures(next(batches)) for _ in range(SETTING_UP_BATCHES)])
        shipped.resume(net, plan.start_from, seen)
    elif plan.start_from is not None:
        net.load_state_dict(torch.load(plan.start_from, weights_only=True, map_location="cpu"))
    net = net.to(DEVICE, memory_format=torch.channels_last)
    learned = [weights for weights in net.parameters() if weights.requires_grad]
    optimiser = torch.optim.AdamW(learned, lr=plan.peak_rate, weight_decay=0.02)
    state = _State(net=net, average=Average(net), optimiser=optimiser)
    out.parent.mkdir(parents=True, exist_ok=True)
    if plan.resume and _checkpoint(out).is_file():
        state.load(out)
        print(f"going on from step {state.step}, {state.spent_s / 60:.1f} minutes in", flush=True)
    return state


def _loader(course: Course, plan: Plan, steps_before: int) -> DataLoader[Any]:
    """Batches; a training that goes on draws from another seed than it began with."""
    return DataLoader(
        Endless(course.source, plan.seed + steps_before), batch_size=plan.batch, num_workers=plan.workers or DRAWING,
        collate_fn=course.collate, prefetch_factor=6,
        pin_memory=DEVICE != "cpu",
    )  # fmt: skip


def _step(state: _State, course: Course, batch: Any, rate: float) -> float:
    for group in state.optimiser.param_groups:
        group["lr"] = rate
    state.net.train()
    loss = course.loss(state.net, batch)
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(state.net.parameters(), 5.0)
    state.optimiser.step()
    state.average.update(state.net)
    return float(loss.detach())


def _say(text: str, course: Course, state: _State) -> None:
    print(f"{text} {course.report(state.average.net)}", flush=True)
