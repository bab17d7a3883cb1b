"""How honest confidences are, and the table that makes them honest.

Fitted is the monotone step function of least squares (pool adjacent violators; Ayer et al. 1955), then few knots: steps
of too few reads are joined, neighbours that differ least are joined until MAX_KNOTS is kept, and the line runs through
the middles of the steps.  No step claims more than its reads support: with n reads and no error among them the error
may still be 3/n (the rule of three), so no more than 1 - 3/n is claimed.  Measured is the expected calibration error:
reads in order of confidence, cut into bins of equally many; the mean of |confidence - share right| over the bins.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from edge.reader.calibration import CERTAIN_PERMILLE, Calibration, Knot

BINS = 12
MIN_READS_OF_STEP = 30
MAX_STEPS = 8
RULE_OF_THREE = 3.0
RESAMPLES = 1000

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditions:
    """Under which conditions a plate was read: width in the picture, tilt, and the light on it in grey levels."""

    width_px: float
    tilt_deg: float
    brightness: float
    contrast: float
    country: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One read of a labelled plate: the reader's own confidence and whether it was right.

    `plate` is the labelled text: all reads of one plate stay on one side of a split and in one draw of a bootstrap.
    `size` is that of the picture against the file, 1 for the file itself.
    """

    plate: str
    source: str
    raw_permille: int
    right: bool
    size: float
    conditions: Conditions


@dataclass(slots=True)
class _Step:
    """Neighbouring reads that are given one value."""

    reads: int
    right: int
    weight_of_raw: float

    @property
    def share(self) -> float:
        return self.right / self.reads

    @property
    def middle(self) -> float:
        return self.weight_of_raw / self.reads

    @property
    def supported(self) -> float:
        """The share that is claimed: never more than the reads support."""
        return min(self.share, max(0.0, 1.0 - RULE_OF_THREE / self.reads))

    def joined(self, other: _Step) -> _Step:
        """This step and the next as one."""
        return _Step(
            reads=self.reads + other.reads,
            right=self.right + other.right,
            weight_of_raw=self.weight_of_raw + other.weight_of_raw,
        )


def fitted(samples: Sequence[Sample]) -> Calibration:
    """The table for these reads; needs at least one read."""
    steps = _joined_to_few(_joined_to_supported(_monotone(samples)))
    knots = {0: 0}
    claimed = 0
    for step in steps:
        claimed = max(claimed, int(CERTAIN_PERMILLE * step.supported))
        knots[max(1, round(step.middle))] = claimed
    if len(knots) < 2:
        knots[CERTAIN_PERMILLE] = claimed
    return Calibration(knots=tuple(Knot(raw_permille=raw, right_permille=right) for raw, right in knots.items()))


def _monotone(samples: Sequence[Sample]) -> list[_Step]:
    """Pool adjacent violators: from left to right, a step that is not above its neighbour is joined with it."""
    by_raw: dict[int, list[bool]] = {}
    for one in samples:
        by_raw.setdefault(one.raw_permille, []).append(one.right)
    steps: list[_Step] = []
    for raw, mine in sorted(by_raw.items()):
        steps.append(_Step(reads=len(mine), right=sum(mine), weight_of_raw=raw * len(mine)))
        while len(steps) > 1 and steps[-2].share >= steps[-1].share:
            last = steps.pop()
            steps[-1] = steps[-1].joined(last)
    return steps


def _joined_to_supported(steps: list[_Step]) -> list[_Step]:
    """Steps of too few reads joined with the neighbour that is nearer in its share."""
    steps = list(steps)
    while len(steps) > 1:
        place = min(range(len(steps)), key=lambda index: steps[index].reads)
        if steps[place].reads >= MIN_READS_OF_STEP:
            break
        sides = [side for side in (place - 1, place + 1) if 0 <= side < len(steps)]
        nearest = min(sides, key=lambda side: abs(steps[side].share - steps[place].share))
        first = min(place, nearest)
        steps[first : first + 2] = [steps[first].joined(steps[first + 1])]
    return steps


def _joined_to_few(steps: list[_Step]) -> list[_Step]:
    """The two neighbours whose joining costs least joined until there are MAX_STEPS."""
    steps = list(steps)
    while len(steps) > MAX_STEPS:
        costs = [
            one.reads * other.reads / (one.reads + other.reads) * (one.share - other.share) ** 2
            for one, other in pairwise(steps)
        ]
        first = int(np.argmin(costs))
        steps[first : first + 2] = [steps[first].joined(steps[first + 1])]
    return steps


def is_first_half(plate: str) -> bool:
    """The two halves of a cross fit: a stable hash of the plate's text, another than that of the training split."""
    return hashlib.sha256(f"calibration:{plate}".encode()).digest()[0] < 128


def cross_fitted(samples: Sequence[Sample]) -> list[int]:
    """For each read the confidence from a table that was fitted without its plate, in permille."""
    tables = {
        side: fitted([one for one in samples if is_first_half(one.plate) != side] or samples) for side in (True, False)
    }
    return [tables[is_first_half(one.plate)].right_permille(one.raw_permille) for one in samples]


def bins_of(confidences: Floats, bins: int = BINS) -> list[NDArray[np.intp]]:
    """Which reads lie in each of the bins of equally many, in order of confidence; empty bins are left out."""
    order = np.argsort(confidences, kind="stable")
    return [part for part in np.array_split(order, bins) if part.size]


def calibration_error(confidences: Floats, right: Floats, bins: int = BINS) -> float:
    """The expected calibration error, 0 to 1; both arrays are (n,), n above 0."""
    gaps = [part.size * abs(confidences[part].mean() - right[part].mean()) for part in bins_of(confidences, bins)]
    return float(sum(gaps) / confidences.size)


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """An expected calibration error with its 95 % bootstrap interval (plates drawn with replacement).

    `by_chance` is what honest confidences like these would show on so few reads.
    """

    reads: int
    error: float
    low: float
    high: float
    by_chance: float


def measured(samples: Sequence[Sample], permille: Sequence[int], rng: Generator) -> Measured:
    """The error of `permille`, the confidences of the samples; (n,) each, n above 0.

    Drawing again puts noise into the bins a second time, so the interval is moved back by as much as that adds.
    """
    confidences = np.array(permille, dtype=np.float64) / CERTAIN_PERMILLE
    right = np.array([one.right for one in samples], dtype=np.float64)
    error = calibration_error(confidences, right)
    numbers: dict[str, int] = {}
    plate = np.array([numbers.setdefault(one.plate, len(numbers)) for one in samples])
    drawn = []
    for _ in range(RESAMPLES):
        times = np.bincount(rng.integers(len(numbers), size=len(numbers)), minlength=len(numbers))
        chosen = np.repeat(np.arange(right.size), times[plate])
        drawn.append(calibration_error(confidences[chosen], right[chosen]))
    chance = [
        calibration_error(confidences, (rng.random(right.size) < confidences).astype(np.float64))
        for _ in range(RESAMPLES // 4)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5]) - (np.mean(drawn) - error)
    return Measured(
        reads=right.size,
        error=error,
        low=max(0.0, min(error, float(low))),
        high=max(error, float(high)),
        by_chance=float(np.mean(chance)),
    )
