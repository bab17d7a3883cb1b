"""The command line of a report that is one table: which photographs, which pair of models, where the table is kept."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from models.train import data
from vedette.errors import NotFound, VedetteError


def parser_of(name: str, about: str | None) -> argparse.ArgumentParser:
    """The options `--data`, `--models` and `--out` of `python -m models.evaluate.NAME`."""
    parser = argparse.ArgumentParser(prog=f"python -m models.evaluate.{name}", description=about)
    data.add_data_option(parser)
    parser.add_argument("--models", type=Path, metavar="FOLDER", help="another pair of models with its registry")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the table to this file")
    return parser


def tell(name: str, out: Path | None, table: Callable[[], str]) -> int:
    """Print the table, and write it to `out`; returns the exit code, and says in a line what was wrong."""
    try:
        made = table()
    except VedetteError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code
    print(made)
    if out is not None:
        out.write_text(made, encoding="utf-8")
    return 0


def held_out_scenes(root: Path) -> list[data.Photo]:
    """The scenes with a plate that were not trained on; NotFound where there are no photographs."""
    if not (root / "plates" / "manifest.jsonl").is_file():
        raise NotFound(f"no photographs under {root}; name their folder with --data")
    kept = [one for one in data.photos(root) if one.folder.endswith("_scenes")]
    return [one for one in kept if one.held_out and one.box is not None]
