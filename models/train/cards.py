"""Fills what was measured into the model cards, so that no figure is copied by hand.

`python -m models.evaluate --out build/models/table.md`, `python -m models.evaluate.calibrate`,
`python -m models.evaluate.things --out build/models/things.md`,
`python -m models.evaluate.cut --out build/models/cut.md` and
`python -m models.evaluate.drawn --out build/models/drawn.md --sheet models/cards/failures.png` measure; then
`python -m models.train.cards` puts hashes, versions and tables into the cards.  A card marks where each belongs with a
line `<!-- begin table -->` and a line `<!-- end table -->`; what was not measured anew stays as it is.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from edge.reader.registry import ModelName, find_model
from models.evaluate.table import markdown
from models.train.places import BUILD
from vedette.errors import Refused, VedetteError

CARDS = Path(__file__).resolve().parents[1] / "cards"
NAMES: tuple[ModelName, ...] = ("detector", "reader")
REPORTS = ("table", "calibration", "things", "cut", "drawn")
# Which columns of the table each card shows, by the first words of their heads.
COLUMNS = {
    "detector": ("set", "pictures", "found", "strays", "on no plate", "ms", "MB"),
    "reader": ("set", "exact", "serial", "letter", "prefecture", "shown", "stood", "right"),
}
# Which tables of the report on drawn plates a card shows, by the first words of their heads.
DRAWN_TABLES = ("country", "country and shape", "typeface", "condition")


def named(card: str, *, sha256: str, version: str) -> str:
    """The card with its hash and version."""
    card = re.sub(r"\| sha256 \|.*\|", f"| sha256 | `{sha256}` |", card)
    return re.sub(r"\| version \|.*\|", f"| version | {version} |", card)


def filled(card: str, region: str, content: str) -> str:
    """The card with what lies between the two marks of a region replaced; a card without them is left alone."""
    begin, end = f"<!-- begin {region} -->", f"<!-- end {region} -->"
    head, found, rest = card.partition(begin)
    if not found:
        return card
    _, closed, tail = rest.partition(end)
    if not closed or begin in tail:
        raise Refused(f"a card marks `{begin}` and not one `{end}` after it")
    return f"{head}{begin}\n{content.strip()}\n{end}{tail}"


def tables_of(report: str) -> list[list[list[str]]]:
    """Every Markdown table of a report as rows of cells, the heads first."""
    tables: list[list[list[str]]] = [[]]
    for line in report.splitlines():
        if line.startswith("|"):
            tables[-1].append([cell.strip() for cell in line.strip().strip("|").split("|")])
        elif tables[-1]:
            tables.append([])
    return [[rows[0], *rows[2:]] for rows in tables if len(rows) > 2]


def picked(table: list[list[str]], beginnings: Sequence[str]) -> str:
    """The columns whose heads begin with one of these words."""
    kept = [place for place, head in enumerate(table[0]) if head.startswith(tuple(beginnings))]
    heads, *rows = [[row[place] for place in kept] for row in table]
    return markdown(heads, rows)


def contents(name: str, reports: dict[str, str]) -> dict[str, str]:
    """What stands in each region of one card."""
    found = {}
    if "table" in reports:
        found["table"] = picked(tables_of(reports["table"])[0], COLUMNS[name])
    for report in {"calibration", "things", "cut"}.intersection(reports):
        found[report] = reports[report]
    if "drawn" in reports:
        kept = [one for one in tables_of(reports["drawn"]) if one[0][0].startswith(DRAWN_TABLES)]
        found["drawn"] = "\n".join(markdown(heads, rows) for heads, *rows in kept)
    return found


def run(folder: Path, cards: Path) -> None:
    """Fills every card from the reports in `folder`."""
    reports = {
        name: (folder / f"{name}.md").read_text(encoding="utf-8")
        for name in REPORTS
        if (folder / f"{name}.md").is_file()
    }
    for name in NAMES:
        path, file = cards / f"{name}.md", find_model(name)
        card = named(path.read_text(encoding="utf-8"), sha256=file.sha256, version=file.version)
        for region, content in contents(name, reports).items():
            card = filled(card, region, content)
        path.write_text(card, encoding="utf-8")
        print(
            f"{path.name}: {file.sha256[:12]}… version {file.version}; measured anew: {', '.join(reports) or 'nothing'}"
        )


def main() -> int:
    """Reads the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m models.train.cards", description=__doc__)
    parser.add_argument("--reports", type=Path, default=BUILD, help="folder of the reports (default: %(default)s)")
    try:
        run(parser.parse_args().reports, CARDS)
    except VedetteError as error:
        print(f"cards: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
