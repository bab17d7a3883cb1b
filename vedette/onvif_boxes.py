"""A copy of a recording with the boxes of the ONVIF Export File Format: `suep`, `cstb` and `loci`.

Decided here: the pictures and the sound are the recording's own bytes, nothing is encoded again; `suep` (who exported
what, when) and `cstb` (start in 100 ns since 1601, UTC) lie in a `meta` box right behind `ftyp`, `loci` in `moov/udta`
where the recording says a position, and `mehd` says how long it plays where the recording could not; every place in
the file that a box names is moved along. The copy follows from the recording and the values alone, so a checker makes
it again and compares all of it (BU-26 to BU-28 of docs/spec/bundle.md). The format's own RSA seal is not written: the
bundle's signatures cover the copy.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, TypeVar

from vedette.errors import Integrity, Refused
from vedette.mp4_boxes import Box, box, children, find, full_box, held, moved, top_boxes, whole
from vedette.mp4_duration import with_duration

MAX_TEXT_BYTES = 512
_PIECE_BYTES = 1 << 20
_SECONDS_1904_TO_1970 = 2_082_844_800
_SECONDS_1601_TO_1970 = 11_644_473_600
_UNDETERMINED = 0x55C4
_REAL_PLACE = 1
_DEGREE_E7 = 10_000_000
T = TypeVar("T")
_MOVED = (b"moov", b"moof", b"mfra")


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where the camera was: 1e-7 degrees, rounded to the 16.16 fixed point of `loci`."""

    lat_e7: int
    lon_e7: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """What the boxes say: the exporting unit, its operator, when it exported (UTC seconds), the camera's name, when the
    media timeline begins (UTC microseconds), and where, if the recording says so.
    """

    unit: str
    operator: str
    exported_s: int
    source: str
    started_us: int
    place: Place | None = None


def copy(file: BinaryIO, export: Export) -> Iterator[bytes]:
    """The bytes of the copy of the recording in `file` (seekable, an MP4); a pure function of both.

    Raises Refused where it is no MP4 that can take the boxes, Integrity where its boxes contradict each other.
    """
    boxes = top_boxes(file)
    moov = next((one for one in boxes if one.kind == b"moov"), None)
    if not boxes or boxes[0].kind != b"ftyp" or moov is None:
        raise Refused("the recording is no MP4 with ftyp and moov; no ONVIF copy can be made of it")
    if any(one.kind == b"meta" for one in boxes):
        raise Refused("the recording has a meta box of its own; no ONVIF copy can be made of it")
    movie = held(file, moov)
    front = _meta(export, _track_ids(movie))
    grown = with_duration(movie, file, boxes)
    grown = _with_place(grown, export.place) if export.place else grown
    behind = len(front) + len(grown) - len(movie)

    def shift(place: int) -> int:
        return place + (behind if place > moov.start else len(front))

    for one in boxes:
        if one is moov:
            yield moved(grown, shift)
        elif one.kind in _MOVED:
            yield moved(held(file, one), shift)
        else:
            yield from _between(file, one.start, one.end)
        if one is boxes[0]:
            yield front
    yield from _between(file, boxes[-1].end, file.seek(0, os.SEEK_END))


def read(file: BinaryIO) -> Export:
    """What the boxes of a copy say; Integrity where one is missing, there twice, or of another form."""
    boxes = top_boxes(file)
    meta, movie = (_only([one for one in boxes if one.kind == kind], kind) for kind in (b"meta", b"moov"))
    content, moov = held(file, meta), held(file, movie)
    inside = list(children(content, Box(b"meta", 0, len(content), meta.header + 4)))
    suep, cstb = (_only([one for one in inside if one.kind == kind], kind) for kind in (b"suep", b"cstb"))
    unit, operator, exported_s, sources = _read_suep(_content(content, suep))
    started_us = _read_cstb(_content(content, cstb))
    places = [_content(moov, one) for one in find(moov, whole(moov), b"udta", b"loci")]
    return Export(
        unit=unit,
        operator=operator,
        exported_s=exported_s,
        source=sources[0],
        started_us=started_us,
        place=_read_loci(_only(places, b"loci")) if places else None,
    )


def check(copied: BinaryIO, original: BinaryIO) -> Export:
    """What the boxes of `copied` say, when its other bytes are those of the recording `original`; else Integrity."""
    export = read(copied)
    expected = hashlib.sha256()
    for piece in copy(original, export):
        expected.update(piece)
    found = hashlib.sha256()
    for piece in _between(copied, 0, copied.seek(0, os.SEEK_END)):
        found.update(piece)
    if found.digest() != expected.digest():
        raise Integrity("it is not the opened file with the ONVIF boxes: its media or its structure was changed")
    return export


def _meta(export: Export, tracks: Sequence[int]) -> bytes:
    handler = full_box(b"hdlr", 0, struct.pack(">I4s12x", 0, b"null"), b"\0")
    entries = b"".join(struct.pack(">H", track) + _text(export.source) + bytes(3) for track in tracks)
    suep = full_box(
        b"suep",
        1,
        _text(export.unit) + bytes(2) + struct.pack(">Q", export.exported_s + _SECONDS_1904_TO_1970),
        _text(export.operator) + struct.pack(">I", len(tracks)) + entries,
    )
    start = (export.started_us + _SECONDS_1601_TO_1970 * 1_000_000) * 10
    cstb = box(b"cstb", struct.pack(">I", len(tracks)), *(struct.pack(">IQ", track, start) for track in tracks))
    return full_box(b"meta", 0, handler, suep, cstb)


def _with_place(movie: bytes, place: Place) -> bytes:
    """The `moov` with a `loci` in its `udta`, as the last box in both."""
    moov = whole(movie)
    udta = [one for one in children(movie, moov) if one.kind == b"udta"]
    if any(True for one in udta for _found in find(movie, one, b"loci")):
        raise Refused("the recording has a loci box of its own; no ONVIF copy can be made of it")
    if moov.header != 8 or (udta and udta[0].header != 8):
        raise Refused("the recording's moov or udta has a 64-bit size; no ONVIF copy can be made of it")
    fixed = struct.pack(">BiiI", _REAL_PLACE, _fixed(place.lon_e7), _fixed(place.lat_e7), 0)
    loci = full_box(b"loci", 0, struct.pack(">H", _UNDETERMINED) + b"\0" + fixed + b"earth\0" + b"\0")
    if not udta:
        return box(b"moov", movie[8:], box(b"udta", loci))
    one = udta[0]
    grown = box(b"udta", movie[one.start + 8 : one.end], loci)
    return box(b"moov", movie[8 : one.start], grown, movie[one.end :])


def _track_ids(movie: bytes) -> list[int]:
    found = []
    for one in find(movie, whole(movie), b"trak", b"tkhd"):
        content = _content(movie, one)
        place = 20 if content[:1] == b"\1" else 12
        found.append(int.from_bytes(content[place : place + 4], "big"))
    if not found or not all(0 < track < 1 << 16 for track in found):
        raise Refused("the recording has no track, or one with a number over 65535; no ONVIF copy can be made of it")
    return found


def _read_suep(content: bytes) -> tuple[str, str, int, list[str]]:
    if content[:4] != b"\1\0\0\0":
        raise Integrity("the box suep is not of version 1")
    reader = _Reader(content[4:], "suep")
    unit, _url, _mac = reader.text(), reader.text(), reader.text()
    exported_s = reader.number(8) - _SECONDS_1904_TO_1970
    operator, count = reader.text(), reader.number(4)
    sources = []
    for _entry in range(min(count, 1 << 16)):
        reader.number(2)
        sources.append(reader.text())
        for _rest in range(3):
            reader.text()
    reader.close()
    if not sources or exported_s < 0:
        raise Integrity("the box suep names no track or no time")
    return unit, operator, exported_s, sources


def _read_cstb(content: bytes) -> int:
    reader = _Reader(content, "cstb")
    starts = [(reader.number(4), reader.number(8))[1] for _entry in range(min(reader.number(4), 1 << 16))]
    reader.close()
    if not starts:
        raise Integrity("the box cstb names no track")
    return starts[0] // 10 - _SECONDS_1601_TO_1970 * 1_000_000


def _read_loci(content: bytes) -> Place:
    reader = _Reader(content, "loci")
    reader.number(6)
    reader.text()
    reader.number(1)
    lon, lat = reader.number(4), reader.number(4)
    reader.number(4)
    reader.text(), reader.text()
    reader.close()
    return Place(lat_e7=_degrees(lat), lon_e7=_degrees(lon))


class _Reader:
    """Fields of a box in order; Integrity where it ends early or goes on after."""

    def __init__(self, content: bytes, name: str) -> None:
        self._content, self._name = content, name

    def number(self, width: int) -> int:
        if len(self._content) < width:
            raise Integrity(f"the box {self._name} is cut off")
        value, self._content = int.from_bytes(self._content[:width], "big"), self._content[width:]
        return value

    def text(self) -> str:
        raw, zero, self._content = self._content.partition(b"\0")
        if not zero or len(raw) > MAX_TEXT_BYTES:
            raise Integrity(f"the box {self._name} has a text without an end, or one over {MAX_TEXT_BYTES} bytes")
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise Integrity(f"the box {self._name} has a text that is not UTF-8") from None

    def close(self) -> None:
        if self._content:
            raise Integrity(f"the box {self._name} goes on after its last field")


def _only(found: Sequence[T], kind: bytes) -> T:
    if len(found) != 1:
        raise Integrity(f"the file has {len(found)} boxes {kind.decode()} where there must be one")
    return found[0]


def _content(content: bytes, one: Box) -> bytes:
    return content[one.start + one.header : one.end]


def _text(text: str) -> bytes:
    """Null-terminated UTF-8, cut to whole characters within 512 bytes; a null within is left out."""
    return text.replace("\0", "").encode("utf-8")[:MAX_TEXT_BYTES].decode("utf-8", "ignore").encode("utf-8") + b"\0"


def _fixed(degrees_e7: int) -> int:
    return (degrees_e7 * 65536 + _DEGREE_E7 // 2) // _DEGREE_E7


def _degrees(fixed: int) -> int:
    """1e-7 degrees that `_fixed` turns into this again."""
    signed = fixed - (1 << 32) if fixed >= 1 << 31 else fixed
    return (signed * _DEGREE_E7 + 32768) // 65536


def _between(file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    while start < end:
        file.seek(start)
        piece = file.read(min(_PIECE_BYTES, end - start))
        if not piece:
            return
        start += len(piece)
        yield piece
