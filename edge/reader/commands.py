"""`vedette read`: what the models see on pictures and videos, one JSON line for each picture or frame.

Decides which reads are shown: below GATE_PERMILLE a text is more often wrong than worth showing, and is left out unless
everything is asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.reader.look import Look, Looker, Luma
from edge.reader.pictures import PICTURES, VIDEOS, Unreadable, read_frames, read_picture
from vedette.errors import NotFound, Refused, Usage

GATE_PERMILLE = 250
MAX_FILES = 1_000_000
MAX_DEFAULT_THREADS = 4

Nouns = Any  # argparse's own class for sub-parsers is private and generic only for type checkers


def register(nouns: Nouns) -> None:
    """Adds the command to `vedette`."""
    text = "read the plates on pictures and videos"
    parser = nouns.add_parser("read", help=text, description=f"{text}; prints one JSON line for each picture or frame")
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="picture, video or folder of them")
    parser.add_argument("--crop", action="store_true", help="the pictures are already cut to the plate")
    parser.add_argument(
        "--all", action="store_true", help="also show plates that were found but not read with confidence"
    )
    parser.add_argument(
        "--every", type=int, default=1, metavar="N", help="look at every N-th frame of a video (default 1)"
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=min(MAX_DEFAULT_THREADS, os.cpu_count() or 1),
        metavar="N",
        help="default %(default)s",
    )
    parser.add_argument(
        "--models", type=Path, default=None, metavar="FOLDER", help="another pair of models with its registry"
    )
    parser.set_defaults(run=run)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How pictures are looked at in this call."""

    look: Callable[[Luma], list[Look]]
    gate_permille: int
    every: int


def run(args: argparse.Namespace) -> int:
    """Reads every file and returns 1 where at least one could not be read, else 0."""
    if args.every < 1:
        raise Usage(f"--every {args.every}: give 1 or more")
    files = list(_files(args.paths))
    looker = Looker.load(threads=args.threads, folder=args.models)
    reading = Reading(
        look=looker.look_at_crop if args.crop else looker.look,
        gate_permille=-1 if args.all else GATE_PERMILLE,
        every=args.every,
    )
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    failed = 0
    for path in files:
        try:
            for line in _lines(path, reading):
                print(json.dumps(line, ensure_ascii=False), flush=True)
        except Unreadable as error:
            failed += 1
            print(json.dumps({"file": str(path), "error": str(error)}, ensure_ascii=False), flush=True)
    return 1 if failed else 0


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.exists():
            raise NotFound(f"{path}: no such file or folder")
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in PICTURES | VIDEOS and p.is_file())
        if not inside:
            raise Refused(f"{path}: no pictures or videos in this folder")
        if len(inside) > MAX_FILES:
            raise Refused(f"{path}: {len(inside)} files; {MAX_FILES} is the most for one call")
        yield from inside


def _lines(path: Path, reading: Reading) -> Iterator[dict[str, object]]:
    if path.suffix.lower() in VIDEOS:
        for number, luma in read_frames(path, every=reading.every):
            yield _line(path, number, luma, 1, reading)
    else:
        picture = read_picture(path)
        yield _line(path, 0, picture.luma, picture.reduction, reading)


def _line(path: Path, number: int, luma: Luma, reduction: int, reading: Reading) -> dict[str, object]:
    began = time.perf_counter()
    looks = reading.look(luma)
    ms = round(1000 * (time.perf_counter() - began), 1)
    shown = [look for look in looks if _confidence(look) >= reading.gate_permille]
    return {"file": str(path), "frame": number, "plates": [_plate(look, reduction) for look in shown], "ms": ms}


def _confidence(look: Look) -> int:
    return look.plate.confidence_permille if look.plate is not None else 0


def _plate(look: Look, reduction: int) -> dict[str, object]:
    plate = look.plate
    return {
        "text": plate.text if plate is not None else "",
        "text_ascii": plate.text_ascii if plate is not None else "",
        "region": plate.region if plate is not None else "",
        "confidence_permille": _confidence(look),
        "box_px": [side * reduction for side in look.detection.box_px],
        "corners_px": [[round(x * reduction, 1), round(y * reduction, 1)] for x, y in look.detection.corners_px],
    }
