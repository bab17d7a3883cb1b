"""Where a recording says that it was made: the first position in its own text track.

Decided here: only the recording is asked (docs/spec/segment.md: its text track has date, time and position), never a
record beside it, so that an exported copy holds nothing that the recording does not. No text track, no position yet or
another form of line: no place, which is no fault.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import BinaryIO

from vedette.errors import Integrity
from vedette.mp4_boxes import Box, find, held, top_boxes, whole
from vedette.onvif_boxes import Place

MAX_FRAGMENTS = 64
MAX_SAMPLE_BYTES = 1024
_POSITION = re.compile(r"\b(\d{1,2})\.(\d{5}) ([NS]) (\d{1,3})\.(\d{5}) ([EW])\b")
_HANDLERS = (b"sbtl", b"text")


def place_of(file: BinaryIO) -> Place | None:
    """The first position in the text track of the recording in `file` (seekable), looked for in 64 fragments, or None.
    Raises Integrity where the file's boxes contradict each other.
    """
    boxes = top_boxes(file)
    moov = next((one for one in boxes if one.kind == b"moov"), None)
    track = _text_track(held(file, moov)) if moov else None
    if track is None:
        return None
    for one in [box for box in boxes if box.kind == b"moof"][:MAX_FRAGMENTS]:
        for sample in _samples(file, one, track):
            found = _POSITION.search(sample.decode("utf-8", "replace"))
            if found:
                return _place(found)
    return None


def _text_track(movie: bytes) -> int | None:
    for trak in find(movie, whole(movie), b"trak"):
        handler = next(find(movie, trak, b"mdia", b"hdlr"), None)
        header = next(find(movie, trak, b"tkhd"), None)
        if handler and header and movie[handler.start + 16 : handler.start + 20] in _HANDLERS:
            inside = header.start + header.header
            place = inside + (20 if movie[inside : inside + 1] == b"\1" else 12)
            return int.from_bytes(movie[place : place + 4], "big")
    return None


def _samples(file: BinaryIO, moof: Box, track: int) -> Iterator[bytes]:
    """The first samples of this track's runs in a fragment whose runs count from the fragment's own start."""
    content = held(file, moof)
    for traf in find(content, whole(content), b"traf"):
        header = next(find(content, traf, b"tfhd"), None)
        run = next(find(content, traf, b"trun"), None)
        if not header or not run or int.from_bytes(content[header.start + 12 : header.start + 16], "big") != track:
            continue
        flags = int.from_bytes(content[run.start + 9 : run.start + 12], "big")
        if flags & 0x201 != 0x201:
            return
        if run.size < 24:
            raise Integrity("the MP4's box 'trun' is cut off")
        (offset,) = struct.unpack_from(">i", content, run.start + 16)
        place = run.start + 20 + (4 if flags & 4 else 0) + (4 if flags & 0x100 else 0)
        size = int.from_bytes(content[place : place + 4], "big")
        file.seek(max(0, moof.start + offset))
        yield file.read(min(size, MAX_SAMPLE_BYTES))


def _place(found: re.Match[str]) -> Place:
    lat, lon = (int(found[at]) * 10_000_000 + int(found[at + 1]) * 100 for at in (1, 4))
    return Place(lat_e7=-lat if found[3] == "S" else lat, lon_e7=-lon if found[6] == "W" else lon)
