"""`vedette read`: what the models see on pictures and videos, one JSON line for each picture or frame, or a table.

Decides which reads are shown: only what passes the gates, of which one is GATE_PERMILLE, below which a text is more
likely wrong than right; everything with its verdict where everything is asked for.  A device asks for more (CONSENSUS).
A video is looked at as the service looks at a camera: every picture for plates, each plate read until its looks agree
and now and then afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from edge.reader.clips import read_frames
from edge.reader.eyes import ModelEyes
from edge.reader.gate import Gates, judge
from edge.reader.look import Look, Looker, Luma
from edge.reader.pictures import PICTURES, VIDEOS, Unreadable, read_picture
from edge.reader.reads import Gone, Reads, Seen
from edge.reader.shown import Shown, counted_json, gone_json, gone_row, heading, row
from edge.reader.video import look_through
from edge.reader.vote import Rules
from vedette.config import ReaderSection
from vedette.errors import NotFound, Refused, Usage

GATE_PERMILLE = 500
GATES = Gates(confidence_permille=GATE_PERMILLE)
# What a device does where its configuration says nothing else.
DEVICE = ReaderSection()
CONSENSUS = Rules(min_looks=DEVICE.min_looks, confidence_permille=DEVICE.confidence_permille)
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
        "--all", action="store_true", help="also show plates that are too small or not read with confidence"
    )
    parser.add_argument("--table", action="store_true", help="a table for people in place of JSON")
    parser.add_argument(
        "--tracks", action="store_true", help="of a video one line for each plate, not for each frame, and the counts"
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
    """How pictures are looked at in this call, and what is shown of them."""

    looker: Looker
    is_crop: bool
    shows_all: bool
    is_table: bool
    by_track: bool
    every: int


def run(args: argparse.Namespace) -> int:
    """Reads every file and returns 1 where at least one could not be read, else 0."""
    if args.every < 1:
        raise Usage(f"--every {args.every}: give 1 or more")
    files = list(_files(args.paths))
    # What is wrong with a picture is said below, in one line with its name.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    reading = Reading(
        looker=Looker.load(threads=args.threads, folder=args.models),
        is_crop=args.crop,
        shows_all=args.all,
        is_table=args.table,
        by_track=args.tracks,
        every=args.every,
    )
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    if reading.is_table:
        print(heading())
    failed = 0
    for path in files:
        try:
            for line in _lines(path, reading):
                print(line, flush=True)
        except Unreadable as error:
            failed += 1
            print(_trouble(path, error, reading), flush=True)
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


def _lines(path: Path, reading: Reading) -> Iterator[str]:
    if path.suffix.lower() not in VIDEOS:
        picture = read_picture(path)
        yield from _picture(path, 0, picture.luma, picture.reduction, reading)
        if picture.trouble:
            raise Unreadable(picture.trouble)
    elif reading.is_crop:
        for frame in read_frames(path, every=reading.every):
            yield from _picture(path, frame.number, frame.luma, 1, reading)
    else:
        yield from _video(path, reading)


def _picture(path: Path, number: int, luma: Luma, reduction: int, reading: Reading) -> Iterator[str]:
    """A picture by itself, as thoroughly as it can be read."""
    began = time.perf_counter()
    looks = reading.looker.look_at_crop(luma) if reading.is_crop else reading.looker.look(luma)
    ms = 1000 * (time.perf_counter() - began)
    plates = [
        Shown(detection=look.detection, plate=look.plate, judged=judge(look, GATES), reduction=reduction)
        for look in looks
    ]
    yield from _shown(path, number, plates, ms, reading)


def _video(path: Path, reading: Reading) -> Iterator[str]:
    """A video, also where it turns out to be damaged: what was seen until then comes first."""
    reads, trouble, ms = Reads(CONSENSUS), None, 0.0
    try:
        for looked in look_through(read_frames(path, every=reading.every), ModelEyes(reading.looker), reads):
            ms += looked.ms
            if reading.by_track:
                yield from _gone(path, looked.taken.gone, reading)
            else:
                yield from _shown(path, looked.number, [_seen(one) for one in looked.taken.seen], looked.ms, reading)
    except Unreadable as error:
        trouble = error
    if reading.by_track and reads.counters.frames:
        yield from _gone(path, reads.end_all(), reading)
        yield _counted(path, reads, ms, reading)
    if trouble is not None:
        raise trouble


def _seen(seen: Seen) -> Shown:
    judged = seen.judged
    if seen.plate is not None:
        judged = judge(Look(detection=seen.detection, plate=seen.plate), GATES)
    return Shown(detection=seen.detection, plate=seen.plate, judged=judged, track=seen.track, looks=seen.looks)


def _shown(path: Path, number: int, plates: Sequence[Shown], ms: float, reading: Reading) -> Iterator[str]:
    shown = [plate for plate in plates if reading.shows_all or plate.is_worth_showing]
    if not reading.is_table:
        found = [plate.to_json() for plate in shown]
        yield _json({"file": str(path), "frame": number, "plates": found, "ms": round(ms, 1)})
        return
    name = f"{path} {number}" if path.suffix.lower() in VIDEOS else str(path)
    yield from (plate.to_row(name) for plate in shown)
    if not shown and path.suffix.lower() not in VIDEOS:
        yield row(name, None, "no plate" if not plates else "nothing sure")


def _gone(path: Path, plates: Sequence[Gone], reading: Reading) -> Iterator[str]:
    for plate in plates:
        if reading.shows_all or plate.consensus is not None:
            yield gone_row(str(path), plate) if reading.is_table else _json(gone_json(path, plate))


def _counted(path: Path, reads: Reads, ms: float, reading: Reading) -> str:
    if not reading.is_table:
        return _json(counted_json(path, reads.counters, ms))
    counted = reads.counters
    return (
        f"{path}: {counted.frames} frames, {counted.plates_read} plates read; not read: "
        f"{counted.rejected_too_small} too small, {counted.rejected_unsure} unsure, "
        f"{counted.rejected_no_text} without a text, {counted.rejected_no_consensus} without agreement"
    )


def _trouble(path: Path, error: Unreadable, reading: Reading) -> str:
    return f"{path}: {error}" if reading.is_table else _json({"file": str(path), "error": str(error)})


def _json(line: dict[str, object]) -> str:
    return json.dumps(line, ensure_ascii=False)
