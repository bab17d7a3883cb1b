"""One segment: an ordinary MP4 inside an ordinary sealed file, and true about how much of it is safe."""

import hashlib
import hmac
import io
import subprocess
from contextlib import suppress
from pathlib import Path

import av
import pytest

from edge.camera import open_camera
from edge.camera.port import EncodedUnit, StreamInfo
from edge.recorder.fragments import StreamFault
from edge.recorder.segments import Finished, PartFile, SegmentWriter
from vedette.config import CameraSection
from vedette.sealed import HybridIdentity, SealedReader, fragments_key_of, open_sealed, recover

IDENTITY = HybridIdentity.generate()
INFO = StreamInfo(width=320, height=240, rate_num=10, rate_den=1)


def units(coded: list[tuple[bytes, bool]], start_us: int = 0) -> list[EncodedUnit]:
    times = [start_us + n * INFO.frame_us for n in range(len(coded))]
    return [
        EncodedUnit(data=data, pts_us=at_us, is_key=is_key, utc_us=at_us, mono_us=at_us)
        for at_us, (data, is_key) in zip(times, coded, strict=True)
    ]


def written(path: Path, stream: list[EncodedUnit], info: StreamInfo = INFO) -> Finished:
    writer = SegmentWriter(path, recipients=[IDENTITY.recipient], info=info, first=stream[0])
    for one in stream:
        writer.write(one)
    return writer.finish()


def opened(path: Path) -> bytes:
    with path.open("rb") as file:
        return SealedReader(file, [IDENTITY]).readall()


def probe(path: Path, *wanted: str) -> str:
    command = [
        "ffprobe",
        "-v",
        "error",
        "-count_frames",
        "-select_streams",
        "v",
        "-show_entries",
        *wanted,
        "-of",
        "csv=p=0",
    ]
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.strip()


def test_segment_opens_to_an_mp4_that_ffprobe_reads_when_it_is_finished(tmp_path: Path, coded):
    """SF-1: an ordinary MP4 inside an age file."""
    finished = written(tmp_path / "s.age.part", units(coded(50), start_us=77_000_000))
    (tmp_path / "s.mp4").write_bytes(opened(tmp_path / "s.age.part"))
    assert probe(tmp_path / "s.mp4", "stream=codec_name,width,height,nb_read_frames") == "h264,320,240,50"
    assert probe(tmp_path / "s.mp4", "format=duration,start_time") == "0.000000,5.000000"
    assert (finished.frames, finished.media_us) == (50, 5_000_000)


def test_segment_names_the_hashes_and_sizes_of_both_forms_when_it_is_finished(tmp_path: Path, coded):
    finished = written(tmp_path / "s.age.part", units(coded(30)))
    sealed, plain = (tmp_path / "s.age.part").read_bytes(), opened(tmp_path / "s.age.part")
    assert (finished.sealed_size, finished.sealed_sha256) == (len(sealed), hashlib.sha256(sealed).hexdigest())
    assert (finished.plain_size, finished.plain_sha256) == (len(plain), hashlib.sha256(plain).hexdigest())


def test_segment_holds_every_picture_bit_for_bit_when_it_is_copied(tmp_path: Path, coded):
    stream = units(coded(30))
    written(tmp_path / "s.age.part", stream)
    with av.open(io.BytesIO(opened(tmp_path / "s.age.part"))) as mp4:
        to_annexb = av.BitStreamFilterContext("h264_mp4toannexb", mp4.streams.video[0])
        packets = [
            bytes(out) for packet in mp4.demux(video=0) for out in to_annexb.filter(packet if packet.size else None)
        ]
    slices = [one.data[-200:] for one in stream]
    assert [packet[-200:] for packet in packets] == slices


def test_segment_keeps_the_order_of_pictures_when_the_stream_has_b_frames(tmp_path: Path, b_frames: Path):
    camera = open_camera(CameraSection(source=str(b_frames), pace="fast"))
    info, stream = camera.open(), []
    while not camera.ended:
        stream += [one for one in camera.read(0) if isinstance(one, EncodedUnit)]
    assert any(one.dts_us is not None for one in stream)
    finished = written(tmp_path / "s.age.part", stream, info)
    with av.open(str(b_frames)) as before, av.open(io.BytesIO(opened(tmp_path / "s.age.part"))) as after:
        pictures = [[frame.to_ndarray().tobytes() for frame in one.decode(video=0)] for one in (before, after)]
    assert pictures[0] == pictures[1]
    assert finished.frames == len(pictures[0])


@pytest.mark.parametrize("key", [0, 20])
def test_segment_opens_alone_when_it_begins_at_any_key_picture(tmp_path: Path, coded, key: int):
    stream = units(coded(60))
    first = next(n for n, one in enumerate(stream) if one.is_key and n >= key)
    written(tmp_path / "s.age.part", stream[first:])
    with av.open(io.BytesIO(opened(tmp_path / "s.age.part"))) as mp4:
        assert len(list(mp4.decode(video=0))) == 60 - first


def test_progress_promises_no_more_than_a_cut_file_gives_when_the_power_goes(tmp_path: Path, coded):
    stream = units(coded(60))
    writer = SegmentWriter(tmp_path / "s", recipients=[IDENTITY.recipient], info=INFO, first=stream[0])
    promised = []
    for one in stream:
        writer.write(one)
        promised.append(writer.sync())
    writer.abandon()
    sealed = (tmp_path / "s").read_bytes()
    for progress in promised[::6]:
        cut = sealed[: progress.offset]
        assert hashlib.sha256(cut).hexdigest() == progress.sha256
        frames = decodable(b"".join(recover(io.BytesIO(cut), [IDENTITY])))
        assert frames >= progress.frames
    assert promised[-1].frames > 40
    assert [one.media_us for one in promised] == sorted(one.media_us for one in promised)


def decodable(plain: bytes) -> int:
    frames = 0
    with suppress(av.FFmpegError), av.open(io.BytesIO(plain)) as mp4:
        for _ in mp4.decode(video=0):
            frames += 1
    return frames


def test_nothing_readable_is_on_the_disk_when_a_segment_is_written(tmp_path: Path, coded):
    """SP-5."""
    stream = units(coded(30))
    writer = SegmentWriter(tmp_path / "s.part", recipients=[IDENTITY.recipient], info=INFO, first=stream[0])
    for one in stream:
        writer.write(one)
        assert [path.name for path in tmp_path.iterdir()] == ["s.part"]
    writer.finish()
    sealed = (tmp_path / "s.part").read_bytes()
    plain = open_sealed(sealed, [IDENTITY])
    # Long enough that ciphertext does not hold one by chance.
    marks = (b"ftypiso5", b"moov\x00\x00\x00lmvhd", b"\x00\x00\x00\x10mfhd", b"VideoHandler", stream[1].data[8:72])
    assert [mark in plain for mark in marks] == [True] * len(marks)
    assert [mark in sealed for mark in marks] == [False] * len(marks)


def test_decoding_times_rise_when_the_camera_repeats_one(tmp_path: Path, coded):
    stream = units(coded(5))
    twice = [one for one in stream for _ in range(1)]
    twice[3] = EncodedUnit(data=stream[3].data, pts_us=stream[2].pts_us, is_key=False, utc_us=0, mono_us=0)
    assert written(tmp_path / "s", twice).frames == 5
    with av.open(io.BytesIO(opened(tmp_path / "s"))) as mp4:
        times = [packet.dts for packet in mp4.demux(video=0) if packet.dts is not None]
    assert times == sorted(set(times))


def test_segment_names_the_picture_when_it_is_none(tmp_path: Path, coded):
    stream = units(coded(2))
    writer = SegmentWriter(tmp_path / "s", recipients=[IDENTITY.recipient], info=INFO, first=stream[0])
    junk = EncodedUnit(data=b"no start code", pts_us=100_000, is_key=False, utc_us=0, mono_us=0)
    with pytest.raises(StreamFault, match="the picture at 100000 us does not go into an MP4"):
        writer.write(junk)
    writer.abandon()


def test_no_file_is_begun_when_the_first_unit_begins_no_stream(tmp_path: Path):
    junk = EncodedUnit(data=b"\x00\x00\x00\x01\x67junk", pts_us=0, is_key=True, utc_us=0, mono_us=0)
    with pytest.raises(StreamFault, match="begins no H"):
        SegmentWriter(tmp_path / "s", recipients=[IDENTITY.recipient], info=INFO, first=junk)
    assert list(tmp_path.iterdir()) == []


def test_part_file_is_never_written_over(tmp_path: Path):
    """SP-3."""
    PartFile(tmp_path / "s").close()
    with pytest.raises(FileExistsError):
        PartFile(tmp_path / "s")


def test_marks_cover_what_a_cut_file_gives_when_the_power_goes(tmp_path: Path, coded):
    """CJ-34, CJ-35, SF-21: at each checkpoint the fragments within it, as they are when the cut file is opened."""
    stream = units(coded(60))
    writer = SegmentWriter(tmp_path / "s", recipients=[IDENTITY.recipient], info=INFO, first=stream[0])
    marked, promised = [], []
    for one in stream:
        writer.write(one)
        promised.append(writer.sync())
        marked += promised[-1].fragments.split(",") if promised[-1].fragments else []
        whole_us = [int(mark.split(":")[1]) for mark in marked]
        assert (whole_us or [0])[-1] == promised[-1].media_us
    sealed, last = (tmp_path / "s").read_bytes(), promised[-1]
    key = fragments_key_of(io.BytesIO(sealed), [IDENTITY])
    plain = io.BytesIO(b"".join(recover(io.BytesIO(sealed[: last.offset]), [IDENTITY])))
    for one in marked:
        size, _media_us, mark = one.split(":")
        piece = plain.read(int(size))
        assert len(piece) == int(size)
        assert hmac.digest(key, piece, "sha256").hex()[:32] == mark
    assert last.fragments_key == hashlib.sha256(key).hexdigest()[:32]
    assert len(marked) > 10
    rest = [one.split(":") for one in writer.finish().fragments.split(",")]
    assert int(rest[-1][1]) == 6_000_000
    assert sum(int(one.split(":")[0]) for one in marked) + sum(int(one[0]) for one in rest) == len(
        opened(tmp_path / "s")
    )
