"""`vedette central move`: from SQLite and a folder to PostgreSQL and S3."""

from __future__ import annotations

import argparse
from pathlib import Path

from sync.central.moving import move
from vedette import cli
from vedette.clock import SystemClock


def register(nouns: cli.Nouns) -> None:
    """Add the verb `move` to `central`."""
    verbs = cli.noun(nouns, "central", help="the central store: make it, run it, enrol devices")
    verb = verbs.add_parser("move", help="bring a stopped centre to the PostgreSQL and S3 that its central.toml names")
    verb.add_argument("central", type=Path, metavar="CENTRAL", help="the centre's folder")
    cli.add_json(verb)
    verb.set_defaults(run=_move)


def _move(args: argparse.Namespace) -> int:
    moved = move(args.central, SystemClock())
    value = {"rows": moved.rows, "leaves": moved.leaves, "blobs": moved.blobs}
    text = f"moved {moved.rows} rows (log of {moved.leaves} leaves) and {moved.blobs} blobs"
    cli.show(args, value, text)
    return 0
