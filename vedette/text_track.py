"""The samples of an MP4's text track (ISO/IEC 14496-12): those of every fragment, and those of the tables in `moov`.

Decided here: the first text track counts, for a recorder writes one; a file that was cut gives what is whole, and
anything else that points behind its end is an error. A recording has its samples in fragments, a redacted copy in
tables. What a sample says is not looked at here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from vedette.errors import Integrity, Refused
from vedette.mp4_boxes import Box, find, held, top_boxes, whole

MAX_SAMPLES = 1 << 20
MAX_SAMPLE_BYTES = 1024
_HANDLERS = (b"sbtl", b"text")
_HAS_BASE, _HAS_DESCRIPTION, _HAS_DURATION, _HAS_SIZE, _FROM_MOOF = 0x1, 0x2, 0x8, 0x10, 0x20000
_TABLES = (b"stsz", b"stsc", b"stco", b"co64")
_RUN_OFFSET, _RUN_FIRST, _RUN_SIZE, _RUN_COLUMNS = 0x1, 0x4, 0x200, (0x100, 0x200, 0x400, 0x800)


@dataclass(frozen=True, slots=True)
class TextSample:
    """A sample: at which byte of the file it begins, and its bytes (the first 1,024 at most)."""

    start: int
    content: bytes

    @property
    def text(self) -> str:
        """Its text (3GPP TS 26.245: length, UTF-8, boxes); what is no UTF-8 is replaced. Integrity where it is cut."""
        size = int.from_bytes(self.content[:2], "big")
        if 0 < len(self.content) < min(2 + size, MAX_SAMPLE_BYTES):
            raise Integrity(f"the text at byte {self.start} is to have {size} bytes and has less")
        return self.content[2 : 2 + size].decode("utf-8", "replace")


def text_samples(file: BinaryIO) -> Iterator[TextSample] | None:
    """Every sample of the text track of `file` (seekable), in the order in which they are shown; None where it has no
    text track.

    The samples raise Integrity where boxes contradict each other or a sample lies nowhere, Refused where a box is over
    64 MiB or the samples are more than 1,048,576; both name the byte.
    """
    boxes = top_boxes(file)
    moov = next((one for one in boxes if one.kind == b"moov"), None)
    movie = held(file, moov) if moov else b""
    found = _text_track(movie) if moov else None
    if moov is None or found is None:
        return None
    return _Samples(file, boxes, _Held(movie, moov.start), *found).all()


def _text_track(movie: bytes) -> tuple[int, Box] | None:
    """The number of the first text track and its box."""
    for trak in find(movie, whole(movie), b"trak"):
        handler = next(find(movie, trak, b"mdia", b"hdlr"), None)
        header = next(find(movie, trak, b"tkhd"), None)
        if handler and header and movie[handler.start + 16 : handler.start + 20] in _HANDLERS:
            inside = header.start + header.header
            return _number(movie, inside + (20 if movie[inside : inside + 1] == b"\1" else 12)), trak
    return None


@dataclass(frozen=True, slots=True)
class _Held:
    """The bytes of a `moov` or `moof`, and at which byte of the file they begin."""

    content: bytes
    start: int

    def find(self, parent: Box | None, *path: bytes) -> Iterator[Box]:
        """Every box at this path below `parent`, which is the whole where it is None."""
        return find(self.content, parent or whole(self.content), *path)

    def field(self, one: Box, at: int, *, width: int = 4) -> int:
        """The number at byte `at` of a box's content; Integrity where it ends before that."""
        place = one.start + one.header + at
        if place + width > one.end:
            raise Integrity(f"the MP4's box {one.kind.decode('latin-1')!r} at byte {self.start + one.start} is cut off")
        return _number(self.content, place, width)


class _Samples:
    """One pass over a file; counts what it gives."""

    def __init__(self, file: BinaryIO, boxes: list[Box], movie: _Held, track: int, trak: Box) -> None:
        self._file, self._boxes, self._movie = file, boxes, movie
        self._track, self._trak = track, trak
        self._end = file.seek(0, os.SEEK_END)
        self._count = 0

    def all(self) -> Iterator[TextSample]:
        """Those of the tables, then those of the fragments."""
        yield from self._of_tables()
        usual = self._usual_size()
        fragments = [one for one in self._boxes if one.kind == b"moof"]
        for one in fragments:
            is_last = one is fragments[-1] and one is self._boxes[-1]
            for start, size in self._of_fragment(one, usual):
                if is_last and start + size > self._end:
                    return  # Cut behind this fragment's head: its pictures are not there either.
                yield self._sample(start, size)

    def _sample(self, start: int, size: int) -> TextSample:
        self._count += 1
        if self._count > MAX_SAMPLES:
            raise Refused(f"the text track has more than {MAX_SAMPLES} samples")
        if not 0 <= start <= self._end - size:
            raise Integrity(f"a text of {size} bytes is to begin at byte {start}, and the file ends at {self._end}")
        self._file.seek(start)
        return TextSample(start, self._file.read(min(size, MAX_SAMPLE_BYTES)))

    def _usual_size(self) -> int:
        """The size of a sample where no fragment says one (`trex`)."""
        for one in self._movie.find(None, b"mvex", b"trex"):
            if self._movie.field(one, 4) == self._track:
                return self._movie.field(one, 16)
        return 0

    def _of_fragment(self, moof: Box, usual: int) -> Iterator[tuple[int, int]]:
        """Where each sample of this track in a fragment begins, and its size."""
        inside = _Held(held(self._file, moof), moof.start)
        for at, traf in enumerate(inside.find(None, b"traf")):
            header = next(inside.find(traf, b"tfhd"), None)
            if header is None or inside.field(header, 4) != self._track:
                continue
            flags, base, place = inside.field(header, 0), moof.start, 8
            if flags & _HAS_BASE:
                base, place = inside.field(header, 8, width=8), 16
            elif at and not flags & _FROM_MOOF:
                raise Refused(f"the fragment at byte {moof.start} does not say where its text lies")
            place += sum(4 for one in (_HAS_DESCRIPTION, _HAS_DURATION) if flags & one)
            size = inside.field(header, place) if flags & _HAS_SIZE else usual
            behind = base
            for run in inside.find(traf, b"trun"):
                for start, size_bytes in _run(inside, run, base, behind, size):
                    yield start, size_bytes
                    behind = start + size_bytes

    def _of_tables(self) -> Iterator[TextSample]:
        movie = self._movie
        table = next(movie.find(self._trak, b"mdia", b"minf", b"stbl"), None)
        boxes = {kind: next(movie.find(table, kind), None) for kind in _TABLES} if table else {}
        sizes, chunks, places = boxes.get(b"stsz"), boxes.get(b"stsc"), boxes.get(b"stco") or boxes.get(b"co64")
        if sizes is None or chunks is None or places is None:
            return
        width = 8 if places.kind == b"co64" else 4
        alike, left, at = movie.field(sizes, 4), movie.field(sizes, 8), 0
        counts = _counts(movie, chunks)
        for number in range(movie.field(places, 4)):
            place = movie.field(places, 8 + width * number, width=width)
            for _ in range(next(counts)):
                if at == left:
                    return
                size = alike or movie.field(sizes, 12 + 4 * at)
                yield self._sample(place, size)
                place, at = place + size, at + 1


def _counts(movie: _Held, chunks: Box) -> Iterator[int]:
    """How many samples each chunk has, without end (`stsc`)."""
    number, count = 1, 0
    for at in range(movie.field(chunks, 4)):
        first = movie.field(chunks, 8 + 12 * at)
        while number < first:
            yield count
            number += 1
        count = movie.field(chunks, 12 + 12 * at)
    while True:
        yield count


def _run(moof: _Held, run: Box, base: int, behind: int, usual: int) -> Iterator[tuple[int, int]]:
    """Where each sample of a run (`trun`) begins, and its size.

    It counts from `base` where it says so, and else goes on `behind` the run before.
    """
    flags, count, place = moof.field(run, 0), moof.field(run, 4), 8
    if flags & _RUN_OFFSET:
        offset = moof.field(run, 8)
        behind, place = base + offset - (1 << 32 if offset >> 31 else 0), 12
    place += 4 if flags & _RUN_FIRST else 0
    columns = [one for one in _RUN_COLUMNS if flags & one]
    column = columns.index(_RUN_SIZE) if _RUN_SIZE in columns else None
    for number in range(count):
        size = usual if column is None else moof.field(run, place + 4 * (len(columns) * number + column))
        yield behind, size
        behind += size


def _number(content: bytes, at: int, width: int = 4) -> int:
    return int.from_bytes(content[at : at + width], "big")
