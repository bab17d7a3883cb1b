"""`vedette sim mutate`: damage evidence in thousands of ways and see that every one is found and placed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vedette import cli
from vedette.cli import Nouns
from vedette.errors import Integrity

if TYPE_CHECKING:
    from simulator.mutation_trial import Tally


def register(nouns: Nouns) -> None:
    """Add the verb `mutate` to the noun `sim`."""
    verbs = cli.noun(nouns, "sim", help="a desk standing in for the street")
    parser = verbs.add_parser("mutate", help="damage evidence in thousands of ways and see that the verifier finds it")
    parser.add_argument("--seed", type=int, default=1, help="which ways, in which order (1)")
    parser.add_argument("--count", type=int, help="how many (without it and --seconds: 2000)")
    parser.add_argument("--seconds", type=float, help="how long")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep what was missed in this folder")
    cli.add_json(parser)
    parser.set_defaults(run=_mutate)


def _mutate(args: argparse.Namespace) -> int:
    from simulator.mutation_trial import run

    count = 2000 if args.count is None and args.seconds is None else args.count
    tally = run(seed=args.seed, count=count, seconds=args.seconds)
    if args.keep is not None:
        args.keep.mkdir(parents=True, exist_ok=True)
        for number, one in enumerate(tally.missed):
            (args.keep / f"{number:04d}.{one.form}.{one.file or 'zip'}").write_bytes(one.data)
    cli.show(args, _value(tally), _text(tally))
    return Integrity.exit_code if tally.missed else 0


def _value(tally: Tally) -> dict[str, object]:
    return {
        "tried": tally.count,
        "missed": [
            {"form": one.form, "file": one.file, "how": one.how, "first": one.first, "why": one.why}
            for one in tally.missed
        ],
        "seconds": round(tally.seconds, 1),
        "grown_bytes": tally.grown_bytes,
    }


def _text(tally: Tally) -> str:
    from simulator.mutation_trial import FORMS

    ways = sorted({how for _form, how in tally.tried})
    rows = [(how, *(str(tally.tried[form, how]) for form in FORMS)) for how in ways]
    places = ("item", "bundle folder", "bundle listed anew", "bundle zip", "exported recording", "copy alone")
    lines = [
        cli.table(rows, heads=("damage", *places)),
        "",
    ]
    lines += [f"MISSED  {one.form} {one.file} {one.how} at byte {one.first}: {one.why[:200]}" for one in tally.missed]
    lines.append(
        f"{tally.count} mutations in {tally.seconds:.0f} s: {tally.count - len(tally.missed)} found and placed,"
        f" {len(tally.missed)} not; memory grew by {tally.grown_bytes / (1 << 20):.1f} MiB"
    )
    return "\n".join(lines)
