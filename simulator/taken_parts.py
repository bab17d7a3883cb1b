"""Takes bundles out of an exported recording and puts others in, as whoever hands them on could: each is genuine.

Decided here: the ways, and which parts a verifier must then name as missing or doubled.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vedette.findings import PARTS, Report


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """The bundles of a recording as an export leaves them, in order, and one of the same device's of another day."""

    recording: str
    wholes: Sequence[bytes]
    another_day: bytes

    @property
    def good(self) -> dict[str, bytes]:
        """The files of the folder."""
        return {f"{number:04d}.zip": whole for number, whole in enumerate(self.wholes, start=1)}


@dataclass(frozen=True, slots=True)
class Taken:
    """What was done: the files that lie in the folder then, the places (from 0) that are missing, and those that are
    there twice.
    """

    how: str
    files: dict[str, bytes]
    missing: frozenset[int] = frozenset()
    doubled: frozenset[int] = frozenset()


Way = Callable[[Exported, random.Random], Taken]


def take(exported: Exported, rng: random.Random) -> Taken:
    """The folder changed in one drawn way."""
    return rng.choice(WAYS)(exported, rng)


def _left_out(exported: Exported, rng: random.Random) -> Taken:
    gone = rng.randrange(len(exported.wholes))
    files = {name: whole for at, (name, whole) in enumerate(exported.good.items()) if at != gone}
    return Taken("bundle left out", files, missing=frozenset({gone}))


def _doubled(exported: Exported, rng: random.Random) -> Taken:
    again = rng.randrange(len(exported.wholes))
    name = rng.choice(("0000.zip", "0002-copy.zip", "zz.ZIP"))
    return Taken("bundle doubled", {**exported.good, name: exported.wholes[again]}, doubled=frozenset({again}))


def _for_another(exported: Exported, rng: random.Random) -> Taken:
    gone, again = rng.sample(range(len(exported.wholes)), 2)
    files = {**exported.good, f"{gone + 1:04d}.zip": exported.wholes[again]}
    return Taken("bundle in place of another", files, missing=frozenset({gone}), doubled=frozenset({again}))


def _of_another_day(exported: Exported, rng: random.Random) -> Taken:
    gone = rng.randrange(len(exported.wholes))
    files = {**exported.good, f"{gone + 1:04d}.zip": exported.another_day}
    return Taken("bundle of another day in place", files, missing=frozenset({gone}))


def why_not_told(report: Report | BaseException, taken: Taken, recording: str) -> str | None:
    """None where failed checks name each part that is missing and each that is here twice."""
    if not isinstance(report, Report):
        return f"CRASH {type(report).__name__}: {report}"
    failed = [one.message for one in report.findings if not one.ok and one.what == PARTS]
    if not failed or report.exit_code != 10:
        return "NOT CAUGHT"
    wanted = [f"part {at + 1} of recording {recording} is not here (" for at in taken.missing]
    wanted += [f"part {at + 1} of recording {recording} is here 2 times: " for at in taken.doubled]
    vague = [one for one in wanted if not any(said.startswith(one) for said in failed)]
    return f"{vague} not said: {'; '.join(failed)}" if vague else None


WAYS: tuple[Way, ...] = (_left_out, _doubled, _for_another, _of_another_day)
