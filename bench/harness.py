"""How a figure is taken: the thing and its reference in turn, A B A B …, medians and the ratio pair by pair.

The machine's speed drifts; a pair measured within the same second does not care. Nothing here judges.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROUNDS = 7
GIVEN_BACK_S = 2.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of the table: medians in seconds for `amount` of `unit` each, and A's time over B's, pair by pair."""

    name: str
    amount: float
    unit: str
    median_s: float
    reference: str
    reference_s: float
    ratio: float
    note: str = ""

    def cells(self) -> Sequence[str]:
        """The line as text."""
        return (
            self.name,
            f"{self.median_s * 1e3:.3f} ms",
            f"{self.amount / self.median_s:,.0f} {self.unit}/s",
            self.reference,
            f"{self.reference_s * 1e3:.3f} ms",
            f"{self.ratio:.2f}",
            self.note,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """A figure that has no reference but a bound that was promised."""

    name: str
    figure: str
    bound: str

    def cells(self) -> Sequence[str]:
        """The line as text."""
        return (self.name, self.figure, self.bound)


def pair(
    name: str,
    run: Callable[[], object],
    reference: str,
    run_reference: Callable[[], object],
    *,
    amount: float,
    unit: str,
    rounds: int = ROUNDS,
    note: str = "",
) -> Row:
    """Time `run` against `run_reference`, one warm-up each, then `rounds` pairs."""
    run()
    run_reference()
    times = [(_timed(run), _timed(run_reference)) for _ in range(rounds)]
    return Row(
        name=name,
        amount=amount,
        unit=unit,
        median_s=statistics.median(one for one, _ in times),
        reference=reference,
        reference_s=statistics.median(one for _, one in times),
        ratio=statistics.median(one / other for one, other in times),
        note=note,
    )


def _timed(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def warm_pages(folder: Path, size: int) -> None:
    """Write so many bytes in `folder` and delete them, untimed, so that the memory which is taken next was used before.

    A virtual machine's first use of a page is its host's work, ten times as long as the copy into it; which of several
    runs in turn would meet such pages is chance. Linux gives free pages back to the host two seconds after some were
    freed, which is waited for before the file is deleted, so that the next two seconds know nothing of it.
    """
    piece, path = os.urandom(1 << 20), folder / "warm"
    with path.open("wb", buffering=0) as file:
        for _ in range(size >> 20):
            file.write(piece)
        os.fsync(file.fileno())
    time.sleep(GIVEN_BACK_S)
    path.unlink()
