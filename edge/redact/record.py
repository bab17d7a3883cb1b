"""Which pictures a plan changes, as the record of a redacted copy lists them.

Decided here: neighbours with the same regions are one run (RD-24). The record itself is `vedette.redaction`.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge.redact.cover import at_time
from edge.redact.plan import Plan
from vedette.errors import Integrity
from vedette.redaction import MAX_RUNS, Run


def runs(plan: Plan, times_us: Sequence[int]) -> tuple[Run, ...]:
    """Which of the pictures at these times the plan changes, neighbours with the same regions as one run."""
    found: list[Run] = []
    for number, at_us in enumerate(times_us):
        names = tuple(sorted(one.name for one in at_time(plan.regions, at_us)))
        if not names:
            continue
        last = found[-1] if found else None
        if last is not None and last.last == number - 1 and last.regions == names:
            found[-1] = Run(first=last.first, last=number, from_us=last.from_us, to_us=at_us, regions=names)
        else:
            found.append(Run(first=number, last=number, from_us=at_us, to_us=at_us, regions=names))
    if len(found) > MAX_RUNS:
        raise Integrity(f"the plan changes the pictures in {len(found)} runs; {MAX_RUNS} is the most")
    return tuple(found)
