"""`vedette watchlist check FILE.csv`: tells whether the centre would take a CSV file over; offline."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from vedette import cli, files
from vedette.clock import SystemClock, iso
from vedette.watchlist import WatchEntry
from vedette.watchlist_csv import MAX_CSV_BYTES, read_csv


def register(nouns: cli.Nouns) -> None:
    """Add `watchlist check`."""
    verbs = cli.noun(nouns, "watchlist", help="the list of wanted plates: check, import, publish")
    check = verbs.add_parser("check", help="check a CSV file; every bad row is named")
    check.add_argument("file", type=Path, metavar="FILE.csv")
    cli.add_json(check)
    check.set_defaults(run=run_check)


def run_check(args: argparse.Namespace) -> int:
    """Print what the file holds; `BadRows` (exit code 1) when it would be refused."""
    entries = read_csv(files.read(args.file, max_bytes=MAX_CSV_BYTES))
    found = summary(entries, now_us=SystemClock().utc_us())
    text = f"{args.file}: {found['entries']} entries are good"
    if found["expired"]:
        text += f"; {found['expired']} of them have ended already and will match nothing"
    if found["last_end"]:
        text += f"; the last one ends {found['last_end']}"
    cli.show(args, {"file": str(args.file), **found}, text)
    return 0


def summary(entries: list[WatchEntry], *, now_us: int) -> dict[str, Any]:
    """What a list of entries holds, in numbers; never a plate."""
    return {
        "entries": len(entries),
        "expired": sum(entry.valid_to_us <= now_us for entry in entries),
        "not_yet_valid": sum(entry.valid_from_us > now_us for entry in entries),
        "sources": sorted({entry.source for entry in entries}),
        "last_end": iso(max(entry.valid_to_us for entry in entries)) if entries else None,
    }
