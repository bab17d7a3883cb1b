"""Fits what the reader's confidence is worth, and says how honest it is before and after.

`python -m models.evaluate.calibrate [--data DIR | --folder DIR]` reads held-out photographs at several sizes and
held-out drawn plates with the reader's own confidence, fits the table and writes `calibration.toml` beside the models,
a reliability diagram and a report.  The figures are of a cross fit: each read is judged by a table that was fitted
without its plate.  `--check` writes nothing and measures the confidences as they are given out now.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from edge.reader.calibration import text_of
from edge.reader.look import Looker
from edge.reader.registry import CALIBRATION, record_calibration
from models.evaluate import reliability
from models.evaluate.calibration import Measured, Sample, cross_fitted, fitted, measured
from models.evaluate.conditions import by_condition
from models.evaluate.drawing import SEED, held_out_lettering, pictures
from models.evaluate.manifest import pictures_of
from models.evaluate.ours import Looks
from models.evaluate.samples import DRAWN, MODELS, PHOTOGRAPH, of_drawn, of_photographs
from models.evaluate.table import markdown
from models.train import data
from models.train.places import BUILD
from vedette.errors import Refused, Usage, VedetteError

SIZES = (1.0, 0.6, 0.4, 0.25)
DRAWN_COUNT = 1500
FEWEST_READS = 200
CARDS = MODELS / "cards"
HEADS = ("reads of", "reads", "confidence", "calibration error, % (95 % interval)", "by chance alone, %")


def collected(looker: Looks, args: argparse.Namespace) -> list[Sample]:
    """Every read to measure with, photographs first."""
    if not all(0.0 < size <= 1.0 for size in args.sizes):
        raise Usage("--sizes: give shares of the picture's size, above 0 and 1 at most")
    folder = args.folder if args.folder is not None else args.data / "plates"
    photographs = [one for one in pictures_of(folder) if one.held_out]
    samples = list(of_photographs(looker, photographs, args.sizes))
    print(f"{len(samples)} reads of photographs", file=sys.stderr, flush=True)
    if args.drawn:
        drawn = of_drawn(looker, pictures(args.drawn, args.seed, held_out_lettering(args.face)))
        samples += [one.sample for one in drawn if one.read is not None]
    return samples


def _row(name: str, confidence: str, one: Measured) -> tuple[str, ...]:
    interval = f"{100 * one.error:.1f} ({100 * one.low:.1f}–{100 * one.high:.1f})"
    return name, str(one.reads), confidence, interval, f"{100 * one.by_chance:.1f}"


GROUPS: dict[str, Callable[[Sample], bool]] = {
    "Photographs": lambda one: one.source == PHOTOGRAPH,
    "Drawn plates": lambda one: one.source == DRAWN,
    "Photographs at their own size": lambda one: one.source == PHOTOGRAPH and one.size == 1.0,
    "All": lambda one: True,
}


def panels(samples: Sequence[Sample], after: Sequence[int], seed: int) -> list[reliability.Panel]:
    """For each group of reads the errors of the reader's own confidences and of `after`."""
    found = []
    for title, belongs in GROUPS.items():
        inside = [i for i, one in enumerate(samples) if belongs(one)]
        if inside:
            mine = [samples[i] for i in inside]
            raw, new = [one.raw_permille for one in mine], [after[i] for i in inside]
            errors = [measured(mine, permille, np.random.default_rng(seed)) for permille in (raw, new)]
            found.append(
                reliability.Panel(
                    title=title, samples=mine, before=raw, after=new, error_before=errors[0], error_after=errors[1]
                )
            )
    return found


def report(found: Sequence[reliability.Panel]) -> str:
    """The errors before and after, and the conditions of the first group, in Markdown."""
    rows = []
    for panel in found:
        rows.append(_row(panel.title.lower(), "the reader's own", panel.error_before))
        rows.append(_row(panel.title.lower(), "calibrated", panel.error_after))
    return markdown(HEADS, rows) + "\n" + by_condition(found[0].samples, found[0].after)


def checked(samples: Sequence[Sample], seed: int) -> str:
    """The errors of confidences as they are given out, and the conditions, in Markdown."""
    found = panels(samples, [one.raw_permille for one in samples], seed)
    rows = [_row(panel.title.lower(), "as given out", panel.error_after) for panel in found]
    return markdown(HEADS, rows) + "\n" + by_condition(found[0].samples, found[0].after)


def run(args: argparse.Namespace) -> None:
    """Fits and writes, or only checks."""
    if args.check:
        samples = _enough(collected(Looker.load(threads=args.threads, folder=args.models), args))
        print(checked(samples, args.seed), end="")
        return
    looker = Looker.load_uncalibrated(threads=args.threads, folder=args.models)
    samples, reader = _enough(collected(looker, args)), looker.model_hashes["reader"]
    found = panels(samples, cross_fitted(samples), args.seed)
    text = report(found)
    print(text, end="")
    home = args.models if args.models is not None else MODELS
    table = text_of(fitted(samples), reader_sha256=reader, reads=len(samples))
    (home / CALIBRATION).write_text(table, encoding="utf-8")
    record_calibration(home)
    reliability.write(args.diagram, found[:2])
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(text, encoding="utf-8")
    written = f"{home / CALIBRATION}, {args.diagram}, {args.out}"
    print(f"\n{table}\nwritten: {written}; now sign: vedette model sign --key FILE", file=sys.stderr)


def _enough(samples: list[Sample]) -> list[Sample]:
    if len(samples) < FEWEST_READS:
        raise Refused(f"{len(samples)} reads; a calibration needs {FEWEST_READS} or more")
    return samples


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m models.evaluate.calibrate", description=__doc__)
    data.add_data_option(made)
    made.add_argument("--folder", type=Path, help="folder that itself holds manifest.jsonl, in place of --data")
    made.add_argument("--sizes", type=float, nargs="+", default=SIZES, help="photographs also at these sizes")
    made.add_argument("--drawn", type=int, default=DRAWN_COUNT, metavar="N", help="drawn plates (default: %(default)s)")
    made.add_argument("--seed", type=int, default=SEED, help="of the drawn plates and the bootstrap")
    made.add_argument("--face", type=Path, nargs="+", default=[], metavar="FILE", help="other Latin typefaces")
    made.add_argument("--models", type=Path, metavar="FOLDER", help="another pair of models with its registry")
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--check", action="store_true", help="measure what is given out now and write nothing")
    made.add_argument("--diagram", type=Path, default=CARDS / "reliability.png", metavar="PNG")
    made.add_argument("--out", type=Path, default=BUILD / "calibration.md", metavar="FILE")
    return made


def main() -> int:
    """Reads the command line; returns the exit code."""
    try:
        run(parser().parse_args())
    except VedetteError as error:
        print(f"calibrate: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
