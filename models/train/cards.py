"""Fills the measured table, hashes and versions into the model cards, so that no figure is copied by hand.

`python -m models.evaluate … > build/models/table.md`, then `python -m models.train.cards`.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from edge.reader.registry import ModelName, find_model
from models.train.loop import BUILD

CARDS = Path(__file__).resolve().parents[1] / "cards"
NAMES: tuple[ModelName, ...] = ("detector", "reader")


def filled(card: str, *, sha256: str, version: str, table: str) -> str:
    """The card with its hash, version and table replaced."""
    card = re.sub(r"\| sha256 \|.*\|", f"| sha256 | `{sha256}` |", card)
    card = re.sub(r"\| version \|.*\|", f"| version | {version} |", card)
    return re.sub(r"(@TABLE@|(?m:^\| set \|)(?:.*\n)+?(?=\n))", lambda _: table.strip() + "\n", card, count=1)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m models.train.cards", description=__doc__)
    parser.add_argument("--table", type=Path, default=BUILD / "table.md")
    args = parser.parse_args()
    table = args.table.read_text(encoding="utf-8")
    for name in NAMES:
        path, file = CARDS / f"{name}.md", find_model(name)
        card = filled(path.read_text(encoding="utf-8"), sha256=file.sha256, version=file.version, table=table)
        path.write_text(card, encoding="utf-8")
        print(f"{path.name}: {file.sha256[:12]}… version {file.version}")


if __name__ == "__main__":
    main()
