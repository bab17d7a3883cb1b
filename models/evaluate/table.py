"""The table: one row for each set and program, each share with its count and 95 % interval.

Columns that no row fills are left out, and so is the program's name where there is only one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from models.evaluate.scoring import FIELDS, Tally

Z_95 = 1.959964
NOTHING = "–"
LEGEND = (
    "Shares in per cent, of how many, Wilson 95 % interval. Found: IoU of 0.5 or more, where the label is tight, and "
    "in a column of its own also where it is loose. Exact: every character; a `?` of the label matches one character "
    "or none, or exactly one in the column that says so. Labels corrected: against what a person saw on the picture "
    "where the label says something else. Shown: plates whose read passes the gates of `vedette read`, right or "
    "wrong. Stood by: those that also reach the confidence that a device asks for by default. Strays: shown reads "
    "away from labelled plates; on no plate: of these, what does not lie on a plate that nobody labelled and that was "
    "looked at since."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One column: its head and what it says of a tally."""

    head: str
    cell: Callable[[Tally], str]


def wilson(right: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    if of == 0:
        return 0.0, 1.0
    share, z2 = right / of, Z_95 * Z_95
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = Z_95 * np.sqrt(share * (1 - share) / of + z2 / (4 * of * of)) / (1 + z2 / of)
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))


def share(outcomes: Sequence[bool]) -> str:
    """A share with its count and interval."""
    if not outcomes:
        return NOTHING
    low, high = wilson(sum(outcomes), len(outcomes))
    return f"{100 * np.mean(outcomes):.1f} of {len(outcomes)} ({100 * low:.1f}–{100 * high:.1f})"


def _field(name: str) -> Callable[[Tally], str]:
    return lambda one: share(one.fields[name])


def _found_loosely(one: Tally) -> str:
    return share(one.found_loosely) if len(one.found_loosely) > len(one.found) else NOTHING


def _strays(one: Tally) -> str:
    if one.judged_for_strays == 0:
        return NOTHING
    return f"{100 * one.strays / one.judged_for_strays:.1f} ({one.strays} in {one.judged_for_strays})"


def _on_no_plate(one: Tally) -> str:
    if one.judged_for_strays == 0:
        return NOTHING
    return f"{100 * one.on_no_plate / one.judged_for_strays:.1f} ({one.on_no_plate})"


def _ms(one: Tally) -> str:
    if not one.ms:
        return NOTHING
    return f"{np.median(one.ms):.1f} / {np.percentile(one.ms, 95):.1f}"


COLUMNS = (
    Column(head="set", cell=lambda one: one.set),
    Column(head="program", cell=lambda one: one.program),
    Column(head="pictures", cell=lambda one: str(one.pictures)),
    Column(head="found", cell=lambda one: share(one.found)),
    Column(head="found, loose labels too", cell=_found_loosely),
    Column(head="exact end to end", cell=lambda one: share(one.exact)),
    Column(head="exact, labels corrected", cell=lambda one: share(one.corrected) if one.corrections else NOTHING),
    Column(head="exact on the labelled box or crop", cell=lambda one: share(one.on_box_or_crop)),
    Column(head="exact, `?` one character", cell=lambda one: share(one.strictly)),
    *(Column(head=name, cell=_field(name)) for name in FIELDS),
    Column(head="shown", cell=lambda one: share(one.shown)),
    Column(head="right of the shown", cell=lambda one: share(one.shown_right)),
    Column(head="stood by", cell=lambda one: share(one.stood_by)),
    Column(head="right of those stood by", cell=lambda one: share(one.stood_by_right)),
    Column(head="strays per 100", cell=_strays),
    Column(head="on no plate", cell=_on_no_plate),
    Column(head="ms, median / p95", cell=_ms),
    Column(head="MB", cell=lambda one: NOTHING if one.memory_mb is None else f"{one.memory_mb:.0f}"),
)


def table(tallies: Sequence[Tally]) -> str:
    """The whole table in Markdown, columns aligned, with a line that explains it."""
    filled = [[column.cell(one) for one in tallies] for column in COLUMNS]
    kept = [
        (column.head, cells)
        for column, cells in zip(COLUMNS, filled, strict=True)
        if any(cell != NOTHING for cell in cells)
    ]
    if len({one.program for one in tallies}) < 2:
        kept = [(head, cells) for head, cells in kept if head != "program"]
    return markdown([head for head, _ in kept], list(zip(*(cells for _, cells in kept), strict=True))) + f"\n{LEGEND}\n"


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with its columns aligned, a newline at the end."""
    widths = [max(len(head), *(len(row[place]) for row in rows), 1) for place, head in enumerate(heads)]
    lines = [heads, ["-" * width for width in widths], *rows]
    return "".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |\n"
        for line in lines
    )
