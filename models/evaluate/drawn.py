"""How well drawn plates are read that nobody trained on: by country, shape of the text, typeface and condition.

`python -m models.evaluate.drawn [--count N] [--seed N] [--face FILE ...]`.  The pictures come from another seed than
training's and are lettered with typefaces that only measure.  They show where the reader is weak; how well it does on
the street, photographs tell.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from edge.reader.look import Looker
from models.evaluate import failures
from models.evaluate.conditions import MIN_READS_OF_COUNTRY, by_condition
from models.evaluate.drawing import SEED, held_out_lettering, pictures
from models.evaluate.samples import DrawnRead, of_drawn
from models.evaluate.table import markdown, share
from vedette.errors import VedetteError

COUNT = 2000
MIN_READS_OF_SHAPE = 8
# Nineteen of twenty plates on the Moroccan and Brazilian photographs are wider; half of the drawn ones are not.
WIDE_PX = 100.0
OTHERS, NO_COUNTRY = "other countries", "no country"
WORST_SHAPES = 15


def grouped(reads: Sequence[DrawnRead], key: Callable[[DrawnRead], str]) -> dict[str, list[bool]]:
    """Outcomes by what `key` says of a read."""
    found: dict[str, list[bool]] = defaultdict(list)
    for one in reads:
        found[key(one)].append(one.sample.right)
    return dict(found)


def _country_of(reads: Sequence[DrawnRead]) -> Callable[[DrawnRead], str]:
    """Names the country of a read, those of few plates together."""
    often = Counter(one.picture.region for one in reads)

    def name(one: DrawnRead) -> str:
        region = one.picture.region
        return (region if often[region] >= MIN_READS_OF_COUNTRY else OTHERS) if region else NO_COUNTRY

    return name


def _share(outcomes: Sequence[bool]) -> float:
    return sum(outcomes) / len(outcomes)


def report(reads: Sequence[DrawnRead]) -> str:
    """The tables in Markdown: all, by country, the worst shapes, by typeface and lines, by condition."""
    country_of = _country_of(reads)
    countries, wide = (
        grouped(reads, country_of),
        grouped([one for one in reads if one.sample.conditions.width_px >= WIDE_PX], country_of),
    )
    shapes = grouped(reads, lambda one: f"{one.picture.region or 'none'} {one.picture.shape}")
    often = {name: outcomes for name, outcomes in shapes.items() if len(outcomes) >= MIN_READS_OF_SHAPE}
    worst = sorted(often, key=lambda name: (_share(often[name]), name))[:WORST_SHAPES]
    faces = grouped(reads, lambda one: one.picture.face)
    arabic = grouped([one for one in reads if one.picture.arabic_face], lambda one: one.picture.arabic_face)
    lines = grouped(reads, lambda one: f"{one.picture.rows} line{'s' if one.picture.rows > 1 else ''}")
    rows = [("all", *(share([right for outcomes in one.values() for right in outcomes]) for one in (countries, wide)))]
    order = sorted(countries, key=lambda name: (name in (OTHERS, NO_COUNTRY), -len(countries[name])))
    rows += [(name, share(countries[name]), share(wide.get(name, []))) for name in order]
    parts = [
        markdown(("country", "exact, % of drawn plates", f"of those {WIDE_PX:.0f} px wide or more"), rows),
        markdown(("country and shape, the worst", "exact, %"), [(name, share(often[name])) for name in worst]),
        markdown(("typeface", "exact, %"), [(name, share(faces[name])) for name in sorted(faces)]),
        markdown(("Arabic typeface", "exact, %"), [(name, share(arabic[name])) for name in sorted(arabic)]),
        markdown(("plate", "exact, %"), [(name, share(lines[name])) for name in sorted(lines)]),
        by_condition([one.sample for one in reads], [one.sample.raw_permille for one in reads]),
    ]
    return "\n".join(parts)


def run(args: argparse.Namespace) -> None:
    """Draws, reads, prints the tables and writes what else was asked for."""
    lettering = held_out_lettering(args.face)
    looker = Looker.load(threads=args.threads, folder=args.models)
    reads = list(of_drawn(looker, pictures(args.count, args.seed, lettering)))
    text = report(reads)
    print(text, end="")
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(text, encoding="utf-8")
    if args.sheet is not None:
        print(failures.write(args.sheet, reads), file=sys.stderr)


def main() -> int:
    """Reads the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m models.evaluate.drawn", description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT, metavar="N", help="drawn plates (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--face", type=Path, nargs="+", default=[], metavar="FILE", help="other Latin typefaces")
    parser.add_argument("--models", type=Path, metavar="FOLDER", help="another pair of models with its registry")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the tables to this file")
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="also draw a sheet of plates that were misread")
    try:
        run(parser.parse_args())
    except VedetteError as error:
        print(f"drawn: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
