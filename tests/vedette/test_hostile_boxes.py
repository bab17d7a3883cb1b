"""The readers of MP4 boxes, fed with recordings whose bytes or whose structure is hostile: their own error or a value.

Bytes are damaged blindly; beside that the tree of boxes is taken apart, changed and put together again with sizes that
fit, so that what reads inside a box is reached. A bounded number of examples; `make fuzz` tries many more.
"""

from __future__ import annotations

import io
import resource
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.camera.annexb import ParameterSets, nal_units
from edge.camera.port import SoundInfo
from edge.recorder import mp4
from edge.redact.stamp import sample_text, without_place
from vedette import mp4_boxes, onvif_boxes, onvif_place
from vedette.errors import Integrity, VedetteError
from vedette.gnss_track import track_of
from vedette.gpx import gpx
from vedette.stamp_line import parse_line
from vedette.text_track import text_samples


def film() -> bytes:
    """A recording as the recorder's own boxes make it: pictures, sound and a line with a place, in two fragments."""
    sps, pps = bytes.fromhex("6742c00bd90a0a1f90"), bytes.fromhex("68cb83cb20")
    video = mp4.video_track(1, width=64, height=48, sps=sps, pps=pps)
    sound = mp4.sound_track(2, SoundInfo(codec="aac", rate=48_000, channels=1, config=b"\x11\x88"))
    line = mp4.text_track(3, width=64, height=48)
    said = mp4.text_sample("2026-11-25 12:06:42 UTC+00:00  car-1  33.57310 N 7.58981 W ±5 m")
    parts = [mp4.beginning([video, sound, line], utc_us=1_795_420_800_000_000)]
    places = []
    for number in range(2):
        at = number * 18_000
        places.append(mp4.KeyPlace(at=at, offset=sum(map(len, parts))))
        pictures = [mp4.Sample(data=bytes(40), at=at + n * 3600, duration=3600, is_key=n == 0) for n in range(3)]
        heard = [mp4.Sample(data=bytes(20), at=number * 9600 + n * 1024, duration=1024) for n in range(3)]
        text = [mp4.Sample(data=said, at=at, duration=18_000)]
        parts.append(mp4.fragment(number + 1, [(video, pictures), (sound, heard), (line, text)]))
    return b"".join([*parts, mp4.ending(video, places)])


def tabled() -> bytes:
    """The line as a redacted copy has it: its samples in the tables of the beginning, two in a chunk."""
    full, box = mp4_boxes.full_box, mp4_boxes.box
    said = [mp4.text_sample(f"2026-11-25 12:06:4{n} UTC+00:00  car-1  33.57310 N 7.58981 W ±5 m") for n in range(4)]
    start, size = 8, len(said[0])
    table = box(
        b"stbl",
        full(b"stsz", 0, struct.pack(">II4I", 0, 4, *map(len, said))),
        full(b"stsc", 0, struct.pack(">I3I", 1, 1, 2, 1)),
        full(b"stco", 0, struct.pack(">III", 2, start, start + 2 * size)),
    )
    header = full(b"tkhd", 0, bytes(8), struct.pack(">I", 3), bytes(68))
    handler = full(b"hdlr", 0, struct.pack(">I4s12x", 0, b"sbtl"), b"\0")
    trak = box(b"trak", header, box(b"mdia", handler, box(b"minf", table)))
    return box(b"mdat", *said) + box(b"moov", trak)


EXAMPLES = settings().max_examples if settings().max_examples > 100 else 150
MOST_GROWTH_KIB = 64 << 10
DEEP = 3000
CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf", b"mfra", b"mvex", b"udta", b"dinf")
OTHERS = "ftyp mdat free meta suep cstb loci hdlr tkhd tfhd trun tfra stco co64 stsz stsc trex"
KINDS = (*CONTAINERS, *(one.encode() for one in OTHERS.split()))
FILM = film()
EXPORT = onvif_boxes.Export(
    unit="u",
    operator="o",
    exported_s=1_795_420_900,
    source="car-1",
    started_us=1_795_420_800_000_000,
    place=onvif_place.place_of(io.BytesIO(FILM)),
)
COPY = b"".join(onvif_boxes.copy(io.BytesIO(FILM), EXPORT))


def walked(data: bytes) -> object:
    """Every reader of the box structure over these bytes."""
    source = io.BytesIO(data)
    boxes = mp4_boxes.top_boxes(source)
    held = [mp4_boxes.held(source, one) for one in boxes if one.kind in (b"moov", b"moof", b"mfra")]
    return [mp4_boxes.moved(one, lambda place: place + 8) for one in held]


def tracked(data: bytes) -> bytes:
    """The way that a recording was driven, up to the bytes of the file for a map."""
    lines = (parse_line(one.text) for one in text_samples(io.BytesIO(data)) or ())
    return b"".join(gpx([track_of("film.mp4", lines)]))


READERS: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "boxes of a recording": (FILM, walked),
    "place in a recording": (FILM, lambda data: onvif_place.place_of(io.BytesIO(data))),
    "track of a recording": (FILM, tracked),
    "track of a recording in tables": (tabled(), tracked),
    "recording to be copied": (FILM, lambda data: sum(map(len, onvif_boxes.copy(io.BytesIO(data), EXPORT)))),
    "ONVIF boxes": (COPY, lambda data: onvif_boxes.read(io.BytesIO(data))),
    "ONVIF copy": (COPY, lambda data: onvif_boxes.check(io.BytesIO(data), io.BytesIO(FILM))),
}
PLAIN: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    **READERS,
    "line of a recording": (mp4.text_sample("33.57310 N 7.58981 W"), lambda data: sample_text(without_place(data))),
    "coded picture": (b"\0\0\0\1\x67\x42\xc0\0\0\1\x68\xcb\0\0\1\x65\x88", nal_units),
    "key picture": (b"\0\0\0\1\x67\x42\xc0\0\0\1\x68\xcb\0\0\1\x65\x88", lambda data: ParameterSets().complete(data)),
}
Node = tuple[bytes, Any]


def tree(data: bytes) -> list[Node]:
    """The boxes in `data`: kind, and content or boxes."""
    found: list[Node] = []
    place = 0
    while place < len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        content = data[place + 8 : place + size]
        found.append((kind, tree(content) if kind in CONTAINERS else content))
        place += size
    return found


def bytes_of(nodes: list[Node]) -> bytes:
    return b"".join(
        mp4_boxes.box(kind, bytes_of(inside) if isinstance(inside, list) else inside) for kind, inside in nodes
    )


def lists_of(nodes: list[Node]) -> list[list[Node]]:
    """Every list of boxes in the tree."""
    return [nodes, *(one for _kind, inside in nodes if isinstance(inside, list) for one in lists_of(inside))]


@st.composite
def rebuilt(draw: st.DrawFn, good: bytes) -> bytes:
    """The recording with boxes cut, filled, renamed, doubled, left out or put into each other; all sizes fit."""
    nodes = tree(good)
    for _ in range(draw(st.integers(1, 4))):
        among = draw(st.sampled_from([one for one in lists_of(nodes) if one] or [[(b"free", b"")]]))
        at = draw(st.integers(0, len(among) - 1))
        kind, inside = among[at]
        how = draw(st.sampled_from(("cut", "fill", "rename", "double", "leave out", "put into", "deep", "number")))
        if how == "cut" and isinstance(inside, bytes):
            among[at] = (kind, inside[: draw(st.integers(0, min(40, len(inside))))])
        elif how == "fill":
            among[at] = (kind, draw(st.binary(max_size=60)))
        elif how == "number" and isinstance(inside, bytes) and len(inside) >= 4:
            place = draw(st.integers(0, min(60, len(inside) - 4)))
            value = draw(st.sampled_from((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x80\0\0\0", b"\0\xff\xff\xff")))
            among[at] = (kind, inside[:place] + value + inside[place + 4 :])
        elif how == "rename":
            among[at] = (draw(st.sampled_from(KINDS)), inside)
        elif how == "double":
            among.insert(at, (kind, inside))
        elif how == "leave out":
            del among[at]
        elif how == "put into":
            among[at] = (draw(st.sampled_from(CONTAINERS)), [(kind, inside)])
        elif how == "deep":
            shell = b""
            for _level in range(DEEP):
                shell = mp4_boxes.box(b"traf", shell)
            among[at] = (kind, shell)
    return bytes_of(nodes)


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    """A few bytes cut, doubled or replaced anywhere."""
    data = good
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 60)))
        piece = draw(st.one_of(st.just(b""), st.binary(max_size=40), st.just(data[start:end] * 2)))
        data = data[:start] + piece + data[end:]
    return data


def check(strategy: st.SearchStrategy[bytes], read: Callable[[bytes], object]) -> None:
    """Nothing but a value or an error of ours comes out, and memory does not grow."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(strategy)
    def trial(data: bytes) -> None:
        try:
            read(data)
        except VedetteError as error:
            assert 0 < len(str(error)) < 2000

    trial()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_GROWTH_KIB


def test_boxes_in_boxes_are_refused_when_they_are_deeper_than_any_recordings() -> None:
    """BU-29: found by the test below; the readers went as deep as the file said."""

    def nested(levels: int) -> bytes:
        shell = b""
        for _level in range(levels):
            shell = mp4_boxes.box(b"traf", shell)
        return mp4_boxes.box(b"moov", shell)

    assert mp4_boxes.moved(nested(mp4_boxes.MAX_DEPTH - 1), lambda place: place) == nested(mp4_boxes.MAX_DEPTH - 1)
    for levels in (mp4_boxes.MAX_DEPTH, DEEP):
        with pytest.raises(Integrity, match="16 boxes deep"):
            mp4_boxes.moved(nested(levels), lambda place: place)


@pytest.mark.parametrize("size", [4, 7, 8, 15])
def test_place_is_refused_when_the_run_of_the_line_is_cut(size: int) -> None:
    """The run was unpacked where there was none; the file's last box, so nothing lies behind it."""
    nodes = tree(FILM)
    moof = next(inside for kind, inside in nodes if kind == b"moof")
    line = moof[-1][1]
    assert line[-1][0] == b"trun"
    line[-1] = (b"trun", line[-1][1][:size])
    with pytest.raises(Integrity, match="trun"):
        onvif_place.place_of(io.BytesIO(bytes_of(nodes)))


@pytest.mark.parametrize("name", PLAIN)
def test_reader_says_its_own_error_or_a_value_when_bytes_are_hostile(name: str) -> None:
    """BU-27, BU-28, SG-11, SG-31, RD-14."""
    good, read = PLAIN[name]
    read(good)
    check(damaged(good), read)


@pytest.mark.parametrize("name", READERS)
def test_reader_says_its_own_error_or_a_value_when_the_boxes_are_hostile(name: str) -> None:
    """BU-27, BU-28, SG-31: every size fits, so the readers go into the boxes."""
    good, read = READERS[name]
    assert bytes_of(tree(good)) == good
    check(rebuilt(good), read)
