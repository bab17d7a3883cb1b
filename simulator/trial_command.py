"""What the commands of long trials share: where it all lies, how far it is, and how many faults are shown."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

SHOWN = 20


def add_folder(parser: argparse.ArgumentParser) -> None:
    """Give a trial its `--folder`."""
    parser.add_argument("--folder", type=Path, help="where it all lies and stays (without it: a temporary folder)")


@contextmanager
def place(args: argparse.Namespace, name: str) -> Iterator[Path]:
    """The folder that was asked for, which stays, or one that goes with the trial `name`."""
    if args.folder is not None:
        yield args.folder.resolve()
        return
    with tempfile.TemporaryDirectory(prefix=f"vedette-{name}-") as folder:
        yield Path(folder) / "stage"


def progress() -> Callable[[str], None]:
    """Where a trial says how far it is: one line of a terminal, written over; nowhere else."""
    return _line if sys.stderr.isatty() else _silent


def faults(found: Sequence[str]) -> list[str]:
    """The first faults, a line each."""
    return [f"FAULT  {one}" for one in found[:SHOWN]]


def _line(text: str) -> None:
    print(f"\r{text:<78}", end="", file=sys.stderr, flush=True)


def _silent(_text: str) -> None:
    return
