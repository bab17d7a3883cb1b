"""The copy with ONVIF boxes: FFmpeg plays the same pictures, the boxes read back, and no other byte may differ."""

import datetime
import io
import math
import shutil
import struct
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from edge.board.position import Fix
from edge.recorder import mp4, stamp
from edge.recorder.surroundings import Moment
from vedette import mp4_boxes, onvif_boxes, onvif_place
from vedette.clock import TimeQuality
from vedette.errors import Integrity, Refused
from vedette.hitfile import Position
from vedette.onvif_boxes import Export, Place

FORMS = {
    "recorder": {"movflags": "frag_keyframe+empty_moov+default_base_moof"},
    "plain": {},
    "faststart": {"movflags": "faststart"},
    "old-fragments": {"movflags": "frag_keyframe"},
}
STARTED_US = 1_795_420_800_123_456
CASABLANCA = Place(lat_e7=335_731_000, lon_e7=-75_898_000)


def export(place: Place | None = None) -> Export:
    return Export(
        unit="vedette.example/log",
        operator="amina العربية",
        exported_s=1_795_420_900,
        source="car-1",
        started_us=STARTED_US,
        place=place,
    )


def film(path: Path, options: dict[str, str]) -> bytes:
    """Two seconds of noise in H.264 with sound, as FFmpeg writes them in this form."""
    noise = np.random.default_rng(7)
    with av.open(str(path), "w", format="mp4", options=options) as container:
        video = container.add_stream("libx264", rate=10, options={"preset": "ultrafast", "g": "5"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("aac", rate=16_000, layout="mono")
        for index in range(20):
            picture = av.VideoFrame.from_ndarray(noise.integers(0, 255, (48, 64, 3), np.uint8), format="rgb24")
            container.mux(video.encode(picture))
            samples = av.AudioFrame.from_ndarray(
                noise.random((1, 1600), np.float32) - 0.5, format="fltp", layout="mono"
            )
            samples.rate, samples.pts, samples.time_base = 16_000, index * 1600, Fraction(1, 16_000)
            container.mux(sound.encode(samples))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))
    return path.read_bytes()


@pytest.fixture(scope="module", params=FORMS)
def original(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return film(tmp_path_factory.mktemp("film") / "film.mp4", FORMS[request.param])


def made(original: bytes, said: Export) -> bytes:
    return b"".join(onvif_boxes.copy(io.BytesIO(original), said))


def packets(content: bytes) -> list[tuple[int, int | None, int | None, bytes]]:
    """Every packet of every track, with its times."""
    with av.open(io.BytesIO(content)) as container:
        return [(one.stream.index, one.pts, one.dts, bytes(one)) for one in container.demux() if one.size]


@pytest.mark.parametrize("place", [None, CASABLANCA], ids=["nowhere", "place"])
def test_copy_holds_the_same_packets_and_reads_back(original: bytes, place: Place | None) -> None:
    """BU-27, BU-28."""
    copied = made(original, export(place))
    assert packets(copied) == packets(original)
    found = onvif_boxes.check(io.BytesIO(copied), io.BytesIO(original))
    assert (found.unit, found.operator, found.exported_s) == (
        "vedette.example/log", "amina العربية", 1_795_420_900,
    )  # fmt: skip
    assert (found.source, found.started_us) == ("car-1", STARTED_US)
    assert (found.place is None) == (place is None)


def test_copy_says_where_to_within_a_few_metres(original: bytes) -> None:
    """BU-27: 16.16 fixed point is 1.5e-5 degree, and FFmpeg reads it as the place."""
    copied = made(original, export(CASABLANCA))
    found = onvif_boxes.read(io.BytesIO(copied)).place
    assert found is not None
    assert abs(found.lat_e7 - CASABLANCA.lat_e7) < 160
    assert abs(found.lon_e7 - CASABLANCA.lon_e7) < 160
    with av.open(io.BytesIO(copied)) as container:
        assert container.metadata["location"].startswith("+33.5731-007.5898")


def duration_ms(content: bytes) -> int | None:
    """What `mehd` says, where there is one: FFmpeg writes movies in thousandths of a second."""
    moov = mp4_boxes.held(io.BytesIO(content), next(one for one in boxes_of(content) if one.kind == b"moov"))
    found = list(mp4_boxes.find(moov, mp4_boxes.whole(moov), b"mvex", b"mehd"))
    assert len(found) <= 1
    return struct.unpack_from(">I", moov, found[0].start + 12)[0] if found else None


def boxes_of(content: bytes) -> list[mp4_boxes.Box]:
    return mp4_boxes.top_boxes(io.BytesIO(content))


def last_ms(content: bytes) -> int:
    """When the last packet ends, by FFmpeg."""
    with av.open(io.BytesIO(content)) as container:
        ends = [(one.dts + one.duration) * one.time_base for one in container.demux() if one.size]
    return math.ceil(max(ends) * 1000)


def test_copy_says_how_long_it_plays_where_the_recording_could_not(original: bytes) -> None:
    """BU-27: only fragments keep that from who writes them."""
    said, is_fragmented = duration_ms(made(original, export())), b"mvex" in original
    assert said == (last_ms(original) if is_fragmented else None)


def test_copy_of_a_cut_recording_says_how_long_what_is_left_plays(original: bytes) -> None:
    """BU-27."""
    fragments = [one for one in boxes_of(original) if one.kind == b"moof"]
    cut = original[: fragments[-1].start + 8] if len(fragments) > 1 else original
    said = duration_ms(made(cut, export()))
    assert said == (last_ms(cut) if fragments else None)
    assert not fragments or said < last_ms(original)


def test_copy_leaves_the_length_that_the_recording_says(tmp_path: Path) -> None:
    """BU-27."""
    plain = film(tmp_path / "film.mp4", FORMS["recorder"])
    movie = mp4_boxes.held(io.BytesIO(plain), next(one for one in boxes_of(plain) if one.kind == b"moov"))
    (mvex,) = mp4_boxes.find(movie, mp4_boxes.whole(movie), b"mvex")
    said = mp4_boxes.full_box(b"mehd", 0, struct.pack(">I", 77)) + movie[mvex.start + 8 : mvex.end]
    grown = movie[8 : mvex.start] + mp4_boxes.box(b"mvex", said) + movie[mvex.end :]
    assert duration_ms(made(plain.replace(movie, mp4_boxes.box(b"moov", grown)), export())) == 77


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed (apt install ffmpeg)")
def test_ffprobe_reads_the_copy_without_a_word(original: bytes, tmp_path: Path) -> None:
    """BU-27."""
    (tmp_path / "copy.mp4").write_bytes(made(original, export(CASABLANCA)))
    command = ["ffprobe", "-v", "warning", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"]
    ended = subprocess.run([*command, str(tmp_path / "copy.mp4")], capture_output=True, text=True, check=True)
    assert ended.stderr == ""
    assert ended.stdout.split()[0] == "20"


def test_boxes_lie_where_the_format_wants_them(original: bytes) -> None:
    """BU-27: byte for byte, written down here anew from the format's text."""
    copied = made(original, export())
    start = original.index(b"ftyp") - 4
    after = start + struct.unpack(">I", original[start : start + 4])[0]
    assert copied[:after] == original[:after]
    assert copied[after + 4 : after + 8] == b"meta"
    assert copied.count(b"suep") == copied.count(b"cstb") == 1
    cstb = copied.index(b"cstb")
    count, track, ticks = struct.unpack(">IIQ", copied[cstb + 4 : cstb + 20])
    assert (count, track) == (2, 1)
    assert ticks == 116_444_736_000_000_000 + STARTED_US * 10
    suep = copied.index(b"suep")
    assert copied[suep + 4 : suep + 8] == b"\1\0\0\0"
    unit, rest = copied[suep + 8 :].split(b"\0", 1)
    assert unit == b"vedette.example/log"
    assert struct.unpack(">Q", rest[2:10])[0] == 1_795_420_900 + 2_082_844_800
    operator, rest = rest[10:].split(b"\0", 1)
    assert operator.decode() == "amina العربية"
    assert rest[:13] == b"\0\0\0\2" + b"\0\1" + b"car-1\0" + b"\0"


def test_copy_of_a_cut_recording_keeps_the_torn_end(original: bytes) -> None:
    """BU-27: what no box holds is copied as it is."""
    boxes = mp4_boxes.top_boxes(io.BytesIO(original))
    moov = next(one for one in boxes if one.kind == b"moov")
    cut = original[: max(moov.end, len(original) - 100)]
    copied = made(cut, export())
    assert copied.endswith(cut[-50:])
    assert onvif_boxes.check(io.BytesIO(copied), io.BytesIO(cut)).source == "car-1"


def test_every_flipped_byte_of_a_copy_is_found(original: bytes) -> None:
    """BU-28: a flip in the boxes' own values says other values, which the listing's hash covers; others are found."""
    copied = made(original, export())
    start = copied.index(b"meta") - 4
    own = range(start, start + struct.unpack(">I", copied[start : start + 4])[0])
    missed = []
    for place in range(0, len(copied), max(1, len(copied) // 300)):
        changed = copied[:place] + bytes([copied[place] ^ 1]) + copied[place + 1 :]
        try:
            found = onvif_boxes.check(io.BytesIO(changed), io.BytesIO(original))
        except (Integrity, Refused):
            continue
        missed += [] if place in own and found != export() else [place]
    assert missed == []


@pytest.mark.parametrize("kind", [b"suep", b"cstb"])
def test_a_copy_without_its_box_or_with_two_is_refused(original: bytes, kind: bytes) -> None:
    """BU-27."""
    copied = made(original, export())
    start = copied.index(kind) - 4
    size = struct.unpack(">I", copied[start : start + 4])[0]
    without = copied.replace(kind, b"free", 1)
    with pytest.raises(Integrity, match=f"0 boxes {kind.decode()}"):
        onvif_boxes.read(io.BytesIO(without))
    meta = copied.index(b"meta") - 4
    grown = struct.unpack(">I", copied[meta : meta + 4])[0] + size
    twice = copied[:meta] + struct.pack(">I", grown) + copied[meta + 4 : start + size] + copied[start : start + size]
    with pytest.raises(Integrity, match=f"2 boxes {kind.decode()}"):
        onvif_boxes.read(io.BytesIO(twice + copied[start + size :]))


@pytest.mark.parametrize("content", [b"", b"not really an MP4", b"\0\0\0\x10ftypiso5\0\0\0\0", bytes(64)])
def test_no_copy_is_made_of_what_is_no_mp4(content: bytes) -> None:
    """BU-29: a defined refusal that the export takes as an answer."""
    with pytest.raises(Refused):
        made(content, export())


def test_no_copy_is_made_of_a_copy(original: bytes) -> None:
    """BU-27: exactly one suep."""
    with pytest.raises(Refused, match="meta box of its own"):
        made(made(original, export()), export())


def test_no_place_is_found_where_there_is_no_text_track(original: bytes) -> None:
    """BU-27."""
    assert onvif_place.place_of(io.BytesIO(original)) is None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("2026-11-25 23:06:42 UTC+01:00  car-1  33.57310 N 7.58980 W ±5 m", CASABLANCA),
        ("x 1.00000 S 120.00001 E", Place(lat_e7=-10_000_000, lon_e7=1_200_000_100)),
        ("2026-11-25 23:06:42 UTC+01:00  car-1  position unknown", None),
    ],
)
def test_place_is_the_one_in_the_text_track(line: str, expected: Place | None) -> None:
    """BU-27: built by hand, as docs/spec/segment.md has it."""
    assert onvif_place.place_of(io.BytesIO(with_text(line))) == expected


def with_text(line: str) -> bytes:
    """An MP4 of one text track and one fragment with one sample."""
    box, full = mp4_boxes.box, mp4_boxes.full_box
    header = full(b"tkhd", 0, bytes(8), struct.pack(">I", 3), bytes(68))
    handler = full(b"hdlr", 0, struct.pack(">I4s12x", 0, b"sbtl"), b"\0")
    moov = box(b"moov", box(b"trak", header, box(b"mdia", handler)))
    text = line.encode()
    sample = struct.pack(">H", len(text)) + text
    tfhd = full(b"tfhd", 0, struct.pack(">I", 3))
    run = struct.pack(">III", 0x01000F01, 1, 0) + struct.pack(">IIII", 9, len(sample), 0, 0)
    size = 8 + 8 + len(tfhd) + 8 + len(run)
    run = run[:8] + struct.pack(">I", size + 8) + run[12:]
    moof = box(b"moof", box(b"traf", tfhd, box(b"trun", run)))
    assert len(moof) == size
    return box(b"ftyp", b"iso5", bytes(4)) + moov + moof + box(b"mdat", sample)


def test_place_is_found_in_what_the_recorder_writes() -> None:
    """BU-27: the recorder's own boxes and its own line; the copy of them carries the place."""
    position = Position(
        lat_e7=CASABLANCA.lat_e7, lon_e7=CASABLANCA.lon_e7, accuracy_cm=480, fixed_us=STARTED_US - 100_000
    )
    place = stamp.Place(device="car-1", recording="01a2076b", sequence=0, zone=datetime.timezone.utc)
    quality = TimeQuality(source="gps", error_us=900)
    track = mp4.text_track(2, width=64, height=48)
    video = mp4.video_track(1, width=64, height=48, sps=b"\x67\x42\0\x1e", pps=b"\x68\xce")
    written = mp4.beginning([video, track], utc_us=STARTED_US)
    for number, known in enumerate([None, position], start=1):
        moment = Moment(quality=quality, fix=known and Fix(position=known, mode="3d", satellites=9))
        line = stamp.stamp(place, moment, at_us=STARTED_US)
        shown = mp4.Sample(data=mp4.text_sample(line), at=90_000 * number, duration=90_000)
        picture = mp4.Sample(data=mp4.picture_sample([b"\x65\x88"]), at=90_000 * number, duration=90_000)
        written += mp4.fragment(number, [(video, [picture]), (track, [shown])])
    found = onvif_place.place_of(io.BytesIO(written))
    assert found == CASABLANCA
    copied = made(written, export(found))
    assert onvif_boxes.check(io.BytesIO(copied), io.BytesIO(written)).place is not None
