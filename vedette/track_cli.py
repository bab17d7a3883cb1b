"""`vedette evidence track`: the way that recordings were driven, as a GPX file for a map.

Decided here: where a recording lies (an opened MP4, or a bundle that holds it), that each is named once, and what is
said of the track. Nothing is checked: whoever doubts a recording verifies it first. Implements SG-29 to SG-31 of
docs/spec/segment.md.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from vedette import cli
from vedette.bundle import LISTING, Listing, file_names
from vedette.bundle_folder import bundles_in
from vedette.bundle_source import open_source
from vedette.errors import Integrity, NotFound, Refused
from vedette.gnss_track import MAX_POINTS, Track, in_order, track_of
from vedette.gpx import gpx, iso
from vedette.newfile import new_file
from vedette.stamp_line import NOT_TRUSTED, parse_line
from vedette.text_track import text_samples

_SEALED = b"age-encryption.org/"


def register(verbs: cli.Nouns) -> None:
    """Add the verb `track` to the noun `evidence`."""
    parser = verbs.add_parser("track", help="write where a recording was made, second by second, as GPX for a map")
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="RECORDING.mp4|BUNDLE",
        help="opened recordings or redacted copies, bundles that hold the opened recording, or folders of bundles",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", "--out", type=Path, metavar="TRACK.gpx",
        help="the file to write; it must not exist; without it, only what is there is said",
    )  # fmt: skip
    cli.add_json(parser)
    parser.set_defaults(run=_track)


def _track(args: argparse.Namespace) -> int:
    paths = [one for path in args.paths for one in bundles_in(path) or [path]]
    tracks = _read(paths)
    placed = [one for one in tracks if one.points]
    if not placed:
        raise NotFound(f"no position: {'; '.join(f'{one.name}: {_without(one)}' for one in tracks)}")
    if args.output is not None:
        with new_file(args.output) as file:
            for piece in gpx(placed):
                file.write(piece)
    value = {"output": str(args.output) if args.output else None, **_sums(tracks)}
    each = [{"recording": one.recording, "sequence": one.sequence, "path": one.name, **_sums([one])} for one in tracks]
    cli.show(args, {**value, "tracks": each}, _text(args.output, tracks))
    return 0


def _read(paths: Sequence[Path]) -> list[Track]:
    """The tracks, in order of time; Refused where a recording is named twice or they are too long together."""
    tracks: list[Track] = []
    seen: dict[tuple[str, str, int], Track] = {}
    for path in paths:
        with _recording(path) as file:
            try:
                samples = text_samples(file)
                texts = (one.text for one in samples or ())
                track = track_of(str(path), (parse_line(text) for text in texts if text))
            except (Integrity, Refused) as error:
                raise type(error)(f"{path}: {error}") from None
        if track.recording:
            same = seen.setdefault((track.device, track.recording, track.sequence), track)
            if same is not track:
                named = f"recording {track.recording}/{track.sequence}"
                raise Refused(f"{same.name} and {path} are both {named}; name one of them")
        tracks.append(track)
        if sum(one.points for one in tracks) > MAX_POINTS:
            raise Refused(f"more than {MAX_POINTS} positions are more than a file takes; name fewer recordings")
    return in_order(tracks)


@contextlib.contextmanager
def _recording(path: Path) -> Iterator[BinaryIO]:
    """The opened recording at `path`, which may be a bundle that holds it.

    Raises NotFound where there is none, Refused where it is sealed or no MP4.
    """
    if (path / LISTING).is_file() or path.suffix.lower() == ".zip":
        with open_source(path) as bundle:
            listing = Listing.peek(bundle.record)
            name = file_names(listing.item, listing.kind)["opened"]
            if listing.kind != "segment" or name not in {one.name for one in listing.files}:
                raise NotFound(f"{path} holds no opened recording; open it with vedette evidence open, name the MP4")
            with bundle.open(name) as file:
                yield file
        return
    if not path.is_file():
        raise NotFound(f"{path} is no recording and no bundle")
    with path.open("rb") as file:
        head = file.read(len(_SEALED))
        if head == _SEALED:
            raise Refused(f"{path} is sealed; open it with vedette evidence open")
        yield file


def _sums(tracks: Sequence[Track]) -> dict[str, Any]:
    """What is counted, over these tracks; times in microseconds since the epoch, UTC, as everywhere."""
    times = [point.at_s for one in tracks for stretch in one.stretches for point in stretch]
    names = ("points", "lines", "other_lines", "seconds", "unknown_s", "removed_s", "old_s", "distrusted_s")
    return {
        "from_us": min(times) * 1_000_000 if times else None,
        "to_us": max(times) * 1_000_000 if times else None,
        "stretches": sum(len(one.stretches) for one in tracks),
        **{name: sum(getattr(one, name) for one in tracks) for name in names},
    }


def _text(output: Path | None, tracks: Sequence[Track]) -> str:
    lines = [_said(str(output) if output else f"{len(tracks)} recordings", tracks)]
    if output is None and len(tracks) == 1:
        return _said(tracks[0].name, tracks)
    if len(tracks) > 1:
        lines += [_said(one.name, [one]) if one.points else f"{one.name}: no position: {_without(one)}"
                  for one in tracks]  # fmt: skip
    return "\n".join(lines)


def _said(name: str, tracks: Sequence[Track]) -> str:
    sums = _sums(tracks)
    begin, end = (iso(sums[key] // 1_000_000) for key in ("from_us", "to_us"))
    more = f"; {sums['other_lines']} lines of another form were left out" if sums["other_lines"] else ""
    removed = f" (removed in {sums['removed_s']})" if sums["removed_s"] else ""
    return (
        f"{name}: {sums['points']} points from {begin} to {end}; of {sums['seconds']} s, {sums['unknown_s']} without a "
        f"position{removed}, {sums['old_s']} with an old one, {sums['distrusted_s']} with {NOT_TRUSTED}{more}"
    )


def _without(track: Track) -> str:
    """Why a recording has none."""
    if not track.lines:
        return "it has no line of time and place"
    if track.removed_s:
        return f"it was removed from {track.removed_s} of {track.seconds} s, as in a redacted copy"
    if not track.seconds:
        return f"its {track.lines} lines of text are of another form"
    if track.old_s:
        return "its only one is the last of the recording before"
    return f"it is unknown in all {track.seconds} s"
