"""From the line over the pictures to a track: what is read of a line, which fixes are points, and what GPX gets."""

import datetime
import zoneinfo
from collections.abc import Iterable
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.board.position import Fix
from edge.recorder import stamp
from edge.recorder.surroundings import Moment
from edge.redact.stamp import without_place
from vedette import gnss_track
from vedette.clock import TimeQuality
from vedette.errors import Refused
from vedette.gnss_track import Track, track_of
from vedette.gpx import NAMESPACE, gpx
from vedette.hitfile import Position
from vedette.stamp_line import Line, Located, parse_line

NOON_S = 1_795_608_402  # 2026-11-25 12:06:42 UTC
UTC = datetime.timezone.utc
# wptType and trkType of https://www.topografix.com/GPX/1/1/gpx.xsd: a sequence each.
POINT_ORDER = [
    "ele", "time", "magvar", "geoidheight", "name", "cmt", "desc", "src", "link", "sym", "type", "fix", "sat", "hdop",
    "vdop", "pdop", "ageofdgpsdata", "dgpsid", "extensions",
]  # fmt: skip
TRACK_ORDER = ["name", "cmt", "desc", "src", "link", "number", "type", "extensions", "trkseg"]
GPX = "{http://www.topografix.com/GPX/1/1}"


def line(second: int, fix: Fix | None, *, zone: datetime.tzinfo = UTC, part_us: int = 0) -> str:
    """What the recorder writes over a picture of this second after noon."""
    place = stamp.Place(device="car-1", recording="01a2", sequence=3, zone=zone)
    moment = Moment(quality=TimeQuality(source="ntp", error_us=20_000), fix=fix)
    return stamp.stamp(place, moment, at_us=(NOON_S + second) * 1_000_000 + part_us)


def fix(second: int, north: int = 0, *, trusted: bool | None = None) -> Fix:
    """A fix of this second after noon, `north` hundred-thousandths of a degree further."""
    where = Position(
        lat_e7=335_731_000 + 100 * north, lon_e7=-75_898_000, accuracy_cm=450, fixed_us=(NOON_S + second) * 1_000_000
    )
    return Fix(position=where, mode="3d", satellites=9, satellite_time_trusted=trusted)


def track(texts: Iterable[str]) -> Track:
    return track_of("film.mp4", map(parse_line, texts))


def times(found: Track) -> list[list[int]]:
    return [[point.at_s - NOON_S for point in stretch] for stretch in found.stretches]


def checked(*tracks: Track) -> ElementTree.Element:
    """The file, its elements in the schema's order and of its types."""
    root = ElementTree.fromstring(b"".join(gpx(tracks)))
    assert (root.tag, root.get("version")) == (f"{GPX}gpx", "1.1")
    assert root.get("creator")
    assert {one.tag for one in root} == {f"{GPX}trk"}
    for trk in root:
        in_order([one.tag for one in trk], TRACK_ORDER)
        assert {one.tag for one in trk.iter(f"{GPX}trkseg") for one in one} <= {f"{GPX}trkpt"}
    for point in root.iter(f"{GPX}trkpt"):
        in_order([one.tag for one in point], POINT_ORDER)
        assert -90 <= float(point.attrib["lat"]) <= 90
        assert -180 <= float(point.attrib["lon"]) < 180
        assert point.findtext(f"{GPX}fix") in (None, "2d", "3d")
        assert int(point.findtext(f"{GPX}sat") or 0) >= 0
        assert (point.findtext(f"{GPX}time") or "").endswith("Z")
        more = point.find(f"{GPX}extensions")
        assert more is None or {one.tag.partition("}")[0] for one in more} == {f"{{{NAMESPACE}"}
    return root


def in_order(tags: list[str], order: list[str]) -> None:
    """The schema's sequence, each but `trkseg` once at most."""
    places = [order.index(tag.removeprefix(GPX)) for tag in tags]
    assert places == sorted(places)
    assert len([one for one in tags if one != f"{GPX}trkseg"]) == len({one for one in tags if one != f"{GPX}trkseg"})


FIXES = st.builds(
    Fix,
    position=st.builds(
        Position,
        lat_e7=st.integers(-900_000_000, 900_000_000),
        lon_e7=st.integers(-1_800_000_000, 1_800_000_000),
        accuracy_cm=st.none() | st.integers(0, 10_000_000),
        fixed_us=st.integers(NOON_S * 1_000_000 - 60_000_000, NOON_S * 1_000_000 + 60_000_000),
    ),
    mode=st.sampled_from((None, "2d", "3d")),
    satellites=st.none() | st.integers(0, 60),
    satellite_time_trusted=st.sampled_from((None, True, False)),
)
ZONES = st.sampled_from(("UTC", "Africa/Casablanca", "America/St_Johns", "Asia/Kathmandu")).map(zoneinfo.ZoneInfo)


@settings(max_examples=200, deadline=None)
@given(FIXES, ZONES, st.integers(0, 999_999))
def test_line_is_read_as_it_was_written(known: Fix, zone: datetime.tzinfo, part_us: int) -> None:
    """SG-28: whatever the recorder knows, in any zone."""
    found = parse_line(line(0, known, zone=zone, part_us=part_us))
    assert found is not None
    assert found.located is not None
    where, apart_us = known.position, NOON_S * 1_000_000 + part_us - known.position.fixed_us
    assert (found.at_s, found.device, found.recording, found.sequence) == (NOON_S, "car-1", "01a2", 3)
    assert abs(found.located.lat_e5 * 100 - where.lat_e7) <= 50
    assert abs(found.located.lon_e5 * 100 - where.lon_e7) <= 50
    assert found.located.accuracy_m == (None if where.accuracy_cm is None else -(-where.accuracy_cm // 100))
    assert (found.located.mode, found.located.satellites) == (known.mode, known.satellites)
    age_s = abs(apart_us) // 1_000_000 if abs(apart_us) > 2_000_000 else 0
    assert found.located.age_s == (age_s if apart_us > 0 else -age_s)
    assert found.located.is_distrusted == (known.satellite_time_trusted is False)
    checked(track_of("film.mp4", [found]))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "33.57310 N 7.58980 W",
        "2026-13-25 12:06:42 UTC+00:00  car-1  33.57310 N 7.58980 W",
        "2026-11-25 12:06:42 UTC+24:00  car-1  33.57310 N 7.58980 W",
        "0000-11-25 12:06:42 UTC+00:00  car-1  33.57310 N 7.58980 W",
        "1969-12-31 23:59:59 UTC+00:00  car-1  33.57310 N 7.58980 W",
        "9999-12-31 23:59:59 UTC-01:00  car-1  33.57310 N 7.58980 W (999999 s later)",
        "2026-11-25 12:06:42 UTC+00:00  car-1  90.00001 N 7.58980 W",
        "2026-11-25 12:06:42 UTC+00:00  car-1  33.57310 N 180.00001 W",
        "2026-11-25 12:06:42 UTC+00:00  car-1  33.57310 N 7.58980 W ±5 m 3D 9 sat and more",
        "2026-11-25 12:06:42 UTC+00:00  car-1  ٣٣.57310 N 7.58980 W",
        "2026-11-25 12:06:42 UTC+00:00  <car>  33.57310 N 7.58980 W",
        "2026-11-25 12:06:42 UTC+00:00  car-1  somewhere",
    ],
)
def test_line_of_another_form_is_left_out_and_counted(text: str) -> None:
    """SG-28: nothing is guessed from a line that the recorder does not write."""
    found = track([text, line(0, fix(0))])
    assert (found.lines, found.other_lines, found.seconds, times(found)) == (2, 1, 1, [[0]])


def test_each_second_is_a_point_however_often_its_line_stands_there() -> None:
    """SG-29: a fragment each 200 ms repeats the line; a car that stands is there in every second."""
    found = track(line(second, fix(second)) for second in range(4) for _fragment in range(5))
    assert (times(found), found.seconds, found.old_s) == ([[0, 1, 2, 3]], 4, 0)


def test_stretch_ends_where_there_is_no_position_and_an_old_fix_is_no_new_point() -> None:
    """SG-29: fixes of seconds 0 to 2, an outage in which the last one grows old and goes, and fixes from 70 on."""
    known = {second: fix(second, second) for second in range(3)}
    known |= {second: fix(2, 2) for second in range(3, 63)}
    texts = [line(second, known.get(second), part_us=500_000) for second in range(70)]
    found = track([*texts, *(line(second, fix(second, second)) for second in (70, 71))])
    # For two seconds the line does not say that the fix is not of its own second.
    assert times(found) == [[0, 1, 2, 3], [70, 71]]
    assert (found.seconds, found.unknown_s, found.old_s) == (72, 7, 59)


def test_stretch_ends_at_one_second_with_an_old_fix() -> None:
    """SG-29: a receiver that says something every three seconds only."""
    found = track(line(second, fix(second // 3 * 3, second // 3 * 3), part_us=500_000) for second in range(6))
    assert (times(found), found.old_s) == ([[0, 1], [3, 4]], 2)


@pytest.mark.parametrize("part_us", [0, 300_000, 999_999])
def test_old_fix_that_is_no_point_yet_is_one_at_its_own_time(part_us: int) -> None:
    """SG-29: where a recording begins under ground; the line's second and the age are rounded each."""
    found = track(line(second, fix(-12), part_us=one) for second in range(9) for one in (part_us, 999_999))
    assert [len(one) for one in times(found)] == [1]
    assert abs(times(found)[0][0] + 12) <= 1
    root = checked(found)
    assert root.findtext(f".//{GPX}cmt") == "12 s old in the recording"
    assert root.findtext(f".//{{{NAMESPACE}}}age_s") == "12"


def test_picture_that_comes_late_has_the_time_of_its_fix() -> None:
    """SG-29: a network camera that is 4 s behind: each position is later than its picture, and none goes back."""
    found = track(line(second, fix(second + 4, second), part_us=300_000) for second in range(20))
    assert len(times(found)) == 1
    assert times(found)[0] == [second + 3 for second in range(20)]
    assert found.old_s == 20


def test_old_fix_of_the_recording_before_is_no_second_point() -> None:
    """SG-29: an outage over three segments, the second of which lies within it; named in any order."""
    texts = [line(second, fix(min(second, 3), min(second, 3)), part_us=500_000) for second in range(12)]
    texts += [line(12, fix(12, 12))]
    parts = [track(texts[begin:end]) for begin, end in ((9, 13), (6, 9), (0, 6))]
    assert [times(one) for one in gnss_track.in_order(parts)] == [[[0, 1, 2, 3, 4]], [], [[12]]]


@pytest.mark.parametrize(("by_s", "stretches"), [(3, 1), (4, 2), (-1, 2), (-3600, 2)])
def test_stretch_ends_where_time_leaps(by_s: int, stretches: int) -> None:
    """SG-29: seconds without a picture, and a clock that was put back."""
    found = track([line(0, fix(0)), line(by_s, fix(by_s, 7))])
    assert len(found.stretches) == stretches


@pytest.mark.parametrize(
    ("month", "day", "hour"), [(10, 25, 1), (3, 29, 1)], ids=["summer time ends", "summer time begins"]
)
def test_time_is_utc_when_summer_time_begins_or_ends(month: int, day: int, hour: int) -> None:
    """SG-28: the hour that is there twice, and the one that is not there."""
    at = int(datetime.datetime(2026, month, day, hour, tzinfo=UTC).timestamp()) - NOON_S - 3
    texts = [line(at + second, fix(at + second), zone=zoneinfo.ZoneInfo("Europe/Paris")) for second in range(6)]
    assert len({text[20:29] for text in texts}) == 2
    assert times(track(texts)) == [[at + second for second in range(6)]]


def test_gpx_has_quality_and_doubt_of_each_point() -> None:
    """SG-30: as numbers, and in words where a viewer shows them."""
    root = checked(track([line(0, fix(0, trusted=False)), line(1, fix(1, trusted=True)), line(2, None)]))
    first, second = root.iter(f"{GPX}trkpt")
    assert first.attrib == {"lat": "33.57310", "lon": "-7.58980"}
    assert [(one.tag.partition("}")[2], one.text) for one in first] == [
        ("time", "2026-11-25T12:06:42Z"), ("cmt", "GNSS time not trusted"), ("fix", "3d"), ("sat", "9"),
        ("extensions", None),
    ]  # fmt: skip
    assert [(one.tag.partition("}")[2], one.text) for one in first[-1]] == [
        ("accuracy_m", "5"), ("time_trusted", "false"),
    ]  # fmt: skip
    assert second.find(f"{GPX}cmt") is None
    assert root.findtext(f".//{GPX}name") == "car-1 recording 01a2/3"


def test_gpx_is_valid_at_the_edges_of_the_world_and_of_xml() -> None:
    """SG-30: GPX has no 180° east; a file's name may have what XML cannot."""
    edge = Line(at_s=NOON_S, device="car-1", recording="", sequence=0, located=Located(lat_e5=-1, lon_e5=18_000_000))
    root = checked(track_of("<a>&\x07\ud800.mp4", [edge]))
    assert next(root.iter(f"{GPX}trkpt")).attrib == {"lat": "-0.00001", "lon": "-180.00000"}
    assert root.findtext(f".//{GPX}src") == "<a>&??.mp4"


def test_position_that_was_removed_is_counted_so() -> None:
    """SG-29: the words are those of the redacted copy."""
    said = line(0, fix(0, trusted=False)).encode()
    cleared = without_place(len(said).to_bytes(2, "big") + said)[2:].decode()
    found = track([cleared, line(1, None)])
    assert (found.points, found.seconds, found.unknown_s, found.removed_s, found.other_lines) == (0, 2, 2, 1, 0)


@pytest.mark.parametrize("over", [0, 1])
def test_track_is_refused_when_it_has_too_many_points(over: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """SG-31."""
    monkeypatch.setattr(gnss_track, "MAX_POINTS", 50)
    texts = [line(second, fix(second, second)) for second in range(50 + over)]
    if over:
        with pytest.raises(Refused, match="more than 50 positions"):
            track(texts)
    else:
        assert track(texts).points == 50
