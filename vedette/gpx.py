"""Tracks as GPX 1.1 (https://www.topografix.com/GPX/1/1/), the format that map programs read.

Decided here: one `trk` for each recording, with what a viewer shows (`time`, `fix`, `sat`, and in `cmt` what is
doubtful) in the schema's order; accuracy, age and distrust also as numbers in a namespace of our own. The same tracks
make the same bytes. Implements SG-30 of docs/spec/segment.md.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from vedette import __version__
from vedette.gnss_track import Point, Track
from vedette.stamp_line import NOT_TRUSTED, Located

NAMESPACE = "urn:vedette:gpx:1"
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_EAST_MOST = 180 * 100_000


def gpx(tracks: Sequence[Track]) -> Iterator[bytes]:
    """The file in pieces; the tracks come in this order."""
    yield (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<gpx xmlns="http://www.topografix.com/GPX/1/1" xmlns:v="{NAMESPACE}" version="1.1"'
        f' creator="Vedette {_text(__version__)}">\n'
    ).encode()
    for number, track in enumerate(tracks, start=1):
        yield f"<trk>{_head(track)}<src>{_text(track.name)}</src><number>{number}</number>\n".encode()
        for stretch in track.stretches:
            yield "".join(["<trkseg>\n", *map(_point, stretch), "</trkseg>\n"]).encode()
        yield b"</trk>\n"
    yield b"</gpx>\n"


def iso(at_s: int) -> str:
    """`2026-11-25T12:06:42Z`."""
    return datetime.datetime.fromtimestamp(at_s, datetime.timezone.utc).isoformat().replace("+00:00", "Z")


def _head(track: Track) -> str:
    title = f"{track.device} recording {track.recording}/{track.sequence}" if track.recording else track.device
    return f"<name>{_text(title)}</name>"


def _point(point: Point) -> str:
    one = point.located
    # GPX has no 180° east: its longitudes end below it.
    lon_e5 = -_EAST_MOST if one.lon_e5 == _EAST_MOST else one.lon_e5
    doubt = f"<cmt>{_text(_doubt(one))}</cmt>" if one.age_s or one.is_distrusted else ""
    mode = "" if one.mode is None else f"<fix>{one.mode}</fix>"
    satellites = "" if one.satellites is None else f"<sat>{one.satellites}</sat>"
    return (
        f'<trkpt lat="{_degrees(one.lat_e5)}" lon="{_degrees(lon_e5)}"><time>{iso(point.at_s)}</time>'
        f"{doubt}{mode}{satellites}{_more(one)}</trkpt>\n"
    )


def _more(one: Located) -> str:
    accuracy = "" if one.accuracy_m is None else f"<v:accuracy_m>{one.accuracy_m}</v:accuracy_m>"
    age = f"<v:age_s>{one.age_s}</v:age_s>" if one.age_s else ""
    distrust = "<v:time_trusted>false</v:time_trusted>" if one.is_distrusted else ""
    return f"<extensions>{accuracy}{age}{distrust}</extensions>" if accuracy or age or distrust else ""


def _doubt(one: Located) -> str:
    age = f"{abs(one.age_s)} s {'old' if one.age_s > 0 else 'later'} in the recording" if one.age_s else ""
    return ", ".join(part for part in (age, NOT_TRUSTED if one.is_distrusted else "") if part)


def _degrees(value_e5: int) -> str:
    whole, rest = divmod(abs(value_e5), 100_000)
    return f"{'-' if value_e5 < 0 else ''}{whole}.{rest:05d}"


def _text(text: str) -> str:
    """For XML, which cannot hold every character; what it cannot becomes a question mark."""
    return escape(_NO_XML.sub("?", text))
