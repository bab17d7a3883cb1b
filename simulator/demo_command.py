"""`vedette sim demo`: what a person sees of the demo, or a script as JSON."""

from __future__ import annotations

import argparse
import dataclasses
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vedette import cli
from vedette.cli import Nouns
from vedette.errors import Usage

if TYPE_CHECKING:  # what the demo needs takes half a second to import, and every `vedette` command would pay for it
    from simulator.report import Progress
    from simulator.stage import Stage

USER = "demo"


def register(nouns: Nouns) -> None:
    """Add the verb `demo` to the noun `sim`."""
    verbs = cli.noun(nouns, "sim", help="a desk standing in for the street")
    parser = verbs.add_parser("demo", help="one patrol car end to end on this machine")
    parser.add_argument("--folder", type=Path, default=Path("demo-data"), help="where it all lies (default: demo-data)")
    parser.add_argument("--seconds", type=int, help="length of the drive (default: 66; a clip: once through)")
    parser.add_argument("--seed", type=int, default=1, help="which drawn street")
    parser.add_argument("--video", type=Path, metavar="PATH", help="use this clip as the camera")
    parser.add_argument(
        "--plate", action="append", default=[], metavar="TEXT[:REGION]", help="put a plate on the watchlist (repeat)"
    )
    parser.add_argument("--watchlist", type=Path, metavar="CSV", help="use this list instead")
    parser.add_argument("--headless", action="store_true", help="no live line; stop everything at the end")
    cli.add_json(parser)
    parser.set_defaults(run=_demo)


def _demo(args: argparse.Namespace) -> int:
    from simulator import demo

    if args.seconds is not None and not 5 <= args.seconds <= 3600:
        raise Usage(f"--seconds is {args.seconds}; it must be from 5 to 3600")
    screen = _Screen(quiet=args.headless or args.json)
    options = demo.Options(
        folder=args.folder.resolve(),
        seconds=args.seconds,
        seed=args.seed,
        video=args.video,
        plates=tuple(_plate(text) for text in args.plate),
        watchlist=args.watchlist,
    )
    access: list[str] = []
    stays = sys.stdin.isatty() and not (args.headless or args.json)

    def leave(stage: Stage) -> None:
        screen.end()
        access.append(stage.password)
        if stays:
            print(f"\nThe centre's page: {stage.page}  user {USER}, password {stage.password}")
            print(f"Recordings play with the key {stage.escrow / 'evidence.identity'}")
            input("Press Enter to stop the centre. ")

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # or the children and the memory folder would stay
    figures = demo.run(options, screen.tell, leave)
    shown = figures.table() + "\n\n" + _where(args.folder, access[0])
    cli.show(args, dataclasses.asdict(figures), shown)
    return 0


def _where(folder: Path, password: str) -> str:
    name = Path(sys.argv[0]).name
    command = os.path.relpath(sys.argv[0]) if name == "vedette" else "vedette"
    return (
        f"Everything lies in {folder}. To look at it:\n"
        f"  {command} central run --config {folder}/central/central.toml\n"
        f"      the centre and its page (its address is in {folder}/central/run/ports.json;\n"
        f"      user {USER}, password {password}, key {folder}/escrow/evidence.identity)\n"
        f"  {command} evidence list {folder}/central\n"
        f"  {command} evidence export {folder}/central ITEM -o case.zip --identity {folder}/escrow/evidence.identity\n"
        f"  {command} evidence verify case.zip"
    )


def _plate(text: str) -> tuple[str, str]:
    plate, _, region = text.rpartition(":")
    return (plate, region) if plate else (region, "GB")


class _Screen:
    """One line that renews itself in a terminal, a line every ten seconds elsewhere, nothing when quiet."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._live = sys.stderr.isatty()
        self._stage = ""
        self._ticks = 0

    def tell(self, progress: Progress) -> None:
        """Show how far the demo is."""
        self._ticks = 0 if progress.stage != self._stage else self._ticks + 1
        if self._quiet or (not self._live and self._ticks % 20):
            self._stage = progress.stage
            return
        changed = progress.stage != self._stage and self._stage
        self._stage = progress.stage
        if self._live:
            sys.stderr.write(("\n" if changed else "") + "\r\x1b[2K" + progress.line())
        else:
            sys.stderr.write(progress.line() + "\n")
        sys.stderr.flush()

    def end(self) -> None:
        """Leave the live line."""
        if self._live and not self._quiet and self._stage:
            sys.stderr.write("\n")
            self._stage = ""
