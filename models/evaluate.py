"""One table: how well the shipped models find and read plates on photographs they were not trained on.

`python -m models.evaluate [--data DIR] [--set ma_scenes ...]`.  Of the Moroccan sets only the validation split counts.
Exactness is counted on the plates whose text is known; `?` in it stands for a character painted over.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edge.reader.commands import GATE_PERMILLE
from edge.reader.detect import overlap
from edge.reader.look import Look, Looker
from models.train import data
from models.train.data import Photo

SETS = ("ma_scenes", "ma_crops", "br_scenes", "us_scenes", "es_scenes", "es_crops")
MIN_IOU = 0.5
Z_95 = 1.959964
HEAD = (
    "| set | found | exact end to end | exact on the labelled box or crop | exact and shown | strays per 100 | ms |",
    "|---|---|---|---|---|---|---|",
)


@dataclass(slots=True)
class Tally:
    """Counts of one set."""

    found: list[bool] = field(default_factory=list)
    exact: list[bool] = field(default_factory=list)
    exact_on_box: list[bool] = field(default_factory=list)
    shown: list[bool] = field(default_factory=list)
    strays: int = 0
    pictures: int = 0
    ms: list[float] = field(default_factory=list)
    misses: list[str] = field(default_factory=list)


def wilson(right: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    if of == 0:
        return 0.0, 1.0
    share, z2 = right / of, Z_95 * Z_95
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = Z_95 * np.sqrt(share * (1 - share) / of + z2 / (4 * of * of)) / (1 + z2 / of)
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))


def same(read: str | None, known: str) -> bool:
    """True where the text read is the known one; a `?` matches any one character or none."""
    return read is not None and re.fullmatch(re.escape(known).replace(r"\?", ".?"), read) is not None


def _best(looks: Sequence[Look]) -> Look | None:
    read = [look for look in looks if look.plate is not None]
    return max(read, key=lambda look: look.plate.confidence_permille if look.plate else 0, default=None)


def scene(looker: Looker, photo: Photo, tally: Tally) -> None:
    """Counts one picture of a vehicle in its surroundings."""
    luma = data.luma_of(photo.path)
    began = time.perf_counter()
    looks = looker.look(luma)
    tally.ms.append(1000 * (time.perf_counter() - began))
    tally.pictures += 1
    assert photo.box is not None
    there = [look for look in looks if overlap(look.detection.box_px, photo.box) >= MIN_IOU]
    shown = [look for look in looks if look.plate is not None and look.plate.confidence_permille >= GATE_PERMILLE]
    tally.strays += sum(overlap(look.detection.box_px, photo.box) < 0.1 for look in shown)
    if not photo.loose:
        tally.found.append(bool(there))
    if photo.text is None:
        return
    right = [look for look in looks if look.plate is not None and same(look.plate.text, photo.text)]
    tally.exact.append(bool(right))
    tally.shown.append(any(look in shown for look in right))
    x0, y0, x1, y1 = photo.box
    boxed = looker.reader.read(luma, ((x0, y0), (x1, y0), (x1, y1), (x0, y1)))
    tally.exact_on_box.append(boxed is not None and same(boxed.text, photo.text))
    if not right:
        best = _best(there or looks)
        read = f"{best.plate.text} ({best.plate.confidence_permille})" if best and best.plate else "nothing"
        tally.misses.append(f"{photo.name}: {photo.text} read as {read}{'' if there else ', not found'}")


def crop(looker: Looker, photo: Photo, tally: Tally) -> None:
    """Counts one picture that is only the plate."""
    luma = data.luma_of(photo.path)
    began = time.perf_counter()
    (look,) = looker.look_at_crop(luma)
    tally.ms.append(1000 * (time.perf_counter() - began))
    tally.pictures += 1
    assert photo.text is not None
    right = look.plate is not None and same(look.plate.text, photo.text)
    tally.exact_on_box.append(right)
    tally.shown.append(right and look.plate is not None and look.plate.confidence_permille >= GATE_PERMILLE)
    if not right:
        read = f"{look.plate.text} ({look.plate.confidence_permille})" if look.plate else "nothing"
        tally.misses.append(f"{photo.name}: {photo.text} read as {read}")


def share(outcomes: Sequence[bool]) -> str:
    """A share with its count and interval, as the table shows it."""
    if not outcomes:
        return "–"
    low, high = wilson(sum(outcomes), len(outcomes))
    return f"{100 * np.mean(outcomes):.1f} % of {len(outcomes)} ({100 * low:.1f}–{100 * high:.1f})"


def row(name: str, tally: Tally) -> str:
    """One line of the table."""
    strays = f"{100 * tally.strays / max(1, tally.pictures):.1f}"
    cells = (
        name, share(tally.found), share(tally.exact), share(tally.exact_on_box), share(tally.shown), strays,
        f"{np.median(tally.ms):.1f}",
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Reads the command line and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m models.evaluate", description=__doc__)
    data.add_data_option(parser)
    parser.add_argument("--set", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--models", type=Path, default=None, help="folder of another pair of models")
    parser.add_argument("--limit", type=int, default=10_000, help="pictures of a set at most")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=None, help="also write the table to this file")
    parser.add_argument("--misses", action="store_true", help="also list what was read wrong")
    args = parser.parse_args()
    looker = Looker.load(threads=args.threads, folder=args.models)
    photos = [p for p in data.photos(args.data) if p.held_out]
    table = list(HEAD)
    print("\n".join(table))
    for name in args.set:
        tally = Tally()
        for photo in [p for p in photos if p.folder == name][: args.limit]:
            (scene if photo.kind == "scene" else crop)(looker, photo, tally)
        table.append(row(name, tally))
        print(table[-1], flush=True)
        if args.misses:
            print("\n".join(f"  {miss}" for miss in tally.misses))
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text("\n".join(table) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
