"""How long a fragmented MP4 (ISO/IEC 14496-12) plays, and the box that says so: `mehd` in `moov/mvex`.

Decided here: the end of a track is that of the last of its samples in the last fragments, where these say when they
begin (`tfdt`); edit lists are not looked at. Who writes while recording cannot say it beforehand, and a player that
does not look into every fragment (GStreamer's, and so WebKitGTK's) then shows less than there is. A file that says it
already, that is not fragmented or that does not tell gets no box; none of that is a fault.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from vedette.mp4_boxes import Box, box, children, find, full_box, held, whole

LAST_FRAGMENTS = 16
_DURATION, _SIZE, _FLAGS, _SHIFT = 0x100, 0x200, 0x400, 0x800


def with_duration(movie: bytes, file: BinaryIO, boxes: Sequence[Box]) -> bytes:
    """The `moov` with an `mehd`; as it is where nothing is to be said. `boxes` are those of the recording in `file`.

    Raises Integrity where boxes contradict each other, Refused where one is over 64 MiB.
    """
    moov = whole(movie)
    extends = [one for one in children(movie, moov) if one.kind == b"mvex"]
    if len(extends) != 1 or moov.header != 8 or extends[0].header != 8:
        return movie
    (mvex,) = extends
    if any(True for _one in find(movie, mvex, b"mehd")):
        return movie
    ticks = _ticks(movie, file, [one for one in boxes if one.kind == b"moof"][-LAST_FRAGMENTS:])
    if not 0 < ticks < 1 << 32:
        return movie
    grown = box(b"mvex", full_box(b"mehd", 0, struct.pack(">I", ticks)), movie[mvex.start + 8 : mvex.end])
    return box(b"moov", movie[8 : mvex.start], grown, movie[mvex.end :])


def _ticks(movie: bytes, file: BinaryIO, fragments: Sequence[Box]) -> int:
    """When the last sample ends, in the movie's ticks; 0 where that is not known."""
    moov = whole(movie)
    rate = next((_rate(movie, one) for one in find(movie, moov, b"mvhd")), 0)
    rates = dict(_track_rates(movie))
    usual = {_number(movie, at + 4, 4): _number(movie, at + 12, 4) for at in _contents(movie, moov, b"mvex", b"trex")}
    last = 0
    for fragment in fragments:
        content = held(file, fragment)
        for traf in find(content, whole(content), b"traf"):
            track, end = _end(content, traf, usual)
            if rates.get(track):
                last = max(last, -(-end * rate // rates[track]))
    return last


def _track_rates(movie: bytes) -> Iterator[tuple[int, int]]:
    """The number of each track and its ticks a second."""
    for trak in find(movie, whole(movie), b"trak"):
        header = next(_contents(movie, trak, b"tkhd"), None)
        media = next(find(movie, trak, b"mdia", b"mdhd"), None)
        if header is not None and media is not None:
            yield _number(movie, header + (20 if movie[header : header + 1] == b"\1" else 12), 4), _rate(movie, media)


def _end(content: bytes, traf: Box, usual: dict[int, int]) -> tuple[int, int]:
    """A track's number and the tick at which its samples in this fragment end; 0 where the fragment says no time."""
    header = next(_contents(content, traf, b"tfhd"), None)
    begins = next(_contents(content, traf, b"tfdt"), None)
    if header is None or begins is None:
        return 0, 0
    track, flags = _number(content, header + 4, 4), _number(content, header + 1, 3)
    each = usual.get(track, 0)
    if flags & 8:
        each = _number(content, header + 8 + (8 if flags & 1 else 0) + (4 if flags & 2 else 0), 4)
    end = _number(content, begins + 4, 8 if content[begins : begins + 1] == b"\1" else 4)
    for run in find(content, traf, b"trun"):
        end += _run_ticks(content, run, each)
    return track, end


def _run_ticks(content: bytes, run: Box, each: int) -> int:
    start = run.start + run.header
    flags, count = _number(content, start + 1, 3), _number(content, start + 4, 4)
    if not flags & _DURATION:
        return count * each
    step = 4 * sum(1 for one in (_DURATION, _SIZE, _FLAGS, _SHIFT) if flags & one)
    first = start + 8 + (4 if flags & 1 else 0) + (4 if flags & 4 else 0)
    return sum(_number(content, at, 4) for at in range(first, min(first + count * step, run.end), step))


def _rate(content: bytes, one: Box) -> int:
    """Ticks a second of an `mvhd` or `mdhd`."""
    start = one.start + one.header
    return _number(content, start + (20 if content[start : start + 1] == b"\1" else 12), 4)


def _contents(content: bytes, parent: Box, *path: bytes) -> Iterator[int]:
    """Where the content of every box at this path begins."""
    return (one.start + one.header for one in find(content, parent, *path))


def _number(content: bytes, at: int, width: int) -> int:
    return int.from_bytes(content[at : at + width], "big")
