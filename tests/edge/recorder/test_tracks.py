"""Three tracks in one MP4: what players read, where sound stands, and that no track waits for another."""

import io
import itertools
import json
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.camera.encode import X264Encoder
from edge.camera.port import EncodedUnit, SoundUnit, StreamInfo
from edge.camera.sound import RATE, SoundEncoder
from edge.recorder import mp4
from edge.recorder.fragments import FRAGMENT_US, Fragmenter
from vedette.age_stream import CHUNK_BYTES
from vedette.config import SoundSection

PIECE_US = 20_000


def encoded_tone(codec: str, seconds: float, *, channels: int = 1) -> tuple[SoundEncoder, list[SoundUnit]]:
    encoder = SoundEncoder(SoundSection(codec=codec, channels=channels))
    times = np.arange(int(RATE * seconds)) / RATE
    tone = np.repeat((np.sin(2 * np.pi * 1000 * times) * 20_000).astype(np.int16)[:, None], channels, axis=1)
    step = RATE // 50
    units = [
        unit
        for first in range(0, len(tone), step)
        for unit in encoder.encode(tone[first : first + step], first * 1_000_000 // RATE, utc_us=0, mono_us=0)
    ]
    return encoder, units


def pictures(coded, *, start_us: int = 0) -> list[EncodedUnit]:
    times = [start_us + n * 100_000 for n in range(len(coded))]
    return [
        EncodedUnit(data=data, pts_us=at, is_key=is_key, utc_us=at, mono_us=at)
        for at, (data, is_key) in zip(times, coded, strict=True)
    ]


def stream(sound: SoundEncoder | None) -> StreamInfo:
    return StreamInfo(width=320, height=240, rate_num=10, rate_den=1, sound=sound.info if sound else None)


def coded_pictures(count: int) -> list[tuple[bytes, bool]]:
    encoder = X264Encoder(320, 240, 10)
    grey = np.full((360, 320), 128, np.uint8)
    return [(one.data, one.is_key) for n in range(count) for one in encoder.encode(grey, n * 100_000)]


def in_order(video: list[EncodedUnit], sound: list[SoundUnit], late_us: int = 50_000) -> list[EncodedUnit | SoundUnit]:
    """As a camera gives them: sound a little later than the pictures of its moment."""
    timed = [(one.pts_us, 0, one) for one in video] + [(one.end_us + late_us, 1, one) for one in sound]
    return [one for *_, one in sorted(timed, key=lambda row: row[:2])]


def whole(maker: Fragmenter, given: list[EncodedUnit | SoundUnit], line: str = "line") -> list[bytes]:
    parts = [maker.beginning()]
    for one in given:
        done = (
            maker.sound(one) if isinstance(one, SoundUnit) else maker.picture(one, f"{line} {one.pts_us // 1000_000}")
        )
        parts += [done] if done else []
    return [*parts, maker.ending()]


def probed(path: Path, data: bytes) -> dict[str, dict[str, str]]:
    path.write_bytes(data)
    command = ["ffprobe", "-v", "warning", "-count_packets", "-show_streams", "-show_format", "-of", "json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    found = json.loads(done.stdout)
    return {one["codec_type"]: one for one in found["streams"]} | {"format": found["format"]}


@pytest.mark.parametrize(("codec", "channels"), [("aac", 1), ("aac", 2), ("opus", 1), ("opus", 2)])
def test_ffprobe_reads_pictures_sound_and_text(tmp_path: Path, coded, codec: str, channels: int):
    """SG-1. SG-2. SG-3."""
    encoder, sound = encoded_tone(codec, 5, channels=channels)
    video = pictures(coded(50))
    data = b"".join(whole(Fragmenter(stream(encoder), video[0]), in_order(video, sound)))
    found = probed(tmp_path / "s.mp4", data)
    assert {kind: one.get("codec_name") for kind, one in found.items()} == {
        "video": "h264", "audio": codec, "subtitle": "mov_text", "format": None,
    }  # fmt: skip
    assert (found["audio"]["sample_rate"], found["audio"]["channels"]) == (str(RATE), channels)
    assert found["video"]["nb_read_packets"] == "50"
    assert float(found["format"]["duration"]) == pytest.approx(5.0, abs=0.03)
    with av.open(io.BytesIO(data)) as container:
        samples = np.concatenate([one.to_ndarray()[0] for one in container.decode(audio=0)])
    assert len(samples) == pytest.approx(5 * RATE, rel=0.02)


def test_file_holds_every_picture_bit_for_bit(coded):
    video = pictures(coded(50))
    data = b"".join(whole(Fragmenter(stream(None), video[0]), video))
    with av.open(io.BytesIO(b"".join(one.data for one in video)), format="h264") as before:
        expected = [one.to_ndarray() for one in before.decode(video=0)]
    with av.open(io.BytesIO(data)) as after:
        got = [one.to_ndarray() for one in after.decode(video=0)]
    assert len(got) == 50
    assert all(np.array_equal(a, b) for a, b in zip(expected, got, strict=True))


def texts(data: bytes) -> list[tuple[float, float, str]]:
    with av.open(io.BytesIO(data)) as container:
        return [
            (float(one.pts * one.time_base), float(one.duration * one.time_base), bytes(one)[2:].decode())
            for one in container.demux(subtitles=0)
            if one.size
        ]


def test_every_picture_has_the_line_of_its_second(coded):
    """SG-10."""
    video = pictures(coded(45))
    found = texts(b"".join(whole(Fragmenter(stream(None), video[0]), video)))
    for picture in video:
        at_s = picture.pts_us / 1e6
        (shown,) = [text for begins, lasts, text in found if begins - 1e-6 <= at_s < begins + lasts - 1e-6]
        assert shown == f"line {int(at_s)}"
    assert found[-1][0] + found[-1][1] == pytest.approx(4.5, abs=1e-4)


@pytest.mark.parametrize("size", [0, mp4.MAX_TEXT_BYTES - 1, mp4.MAX_TEXT_BYTES, mp4.MAX_TEXT_BYTES + 1])
def test_line_is_cut_to_whole_characters_at_its_limit(size: int):
    sample = mp4.text_sample("é" * (size // 2) + "x" * (size % 2))
    (length,) = struct.unpack_from(">H", sample)
    assert length == len(sample) - 2 == min(size, mp4.MAX_TEXT_BYTES) - (size > mp4.MAX_TEXT_BYTES) * (size % 2 == 0)
    sample[2:].decode()


def packets(data: bytes) -> list[tuple[int, bytes]]:
    with av.open(io.BytesIO(data)) as container:
        found = [(one.pts * one.time_base, bytes(one)) for one in container.demux(audio=0) if one.size]
    return [(round(float(at) * 1e6), piece) for at, piece in found]


def packet_times(data: bytes, *but: bytes) -> list[int]:
    return [at for at, piece in packets(data) if piece not in but]


@pytest.mark.parametrize("codec", ["aac", "opus"])
@pytest.mark.parametrize("muted", [(1_500_000, 3_200_000), (0, 2_000_000), (4_000_000, 5_000_000), (0, 5_000_000)])
def test_muted_stretch_is_silence_and_moves_no_sound(coded, codec: str, muted: tuple[int, int]):
    """SG-7: sound after the muted stretch stands where it was heard, and players find no hole to close."""
    encoder, sound = encoded_tone(codec, 5)
    heard = [one for one in sound if not muted[0] <= one.pts_us < muted[1] and one.pts_us >= 0]
    video = pictures(coded(50))
    data = b"".join(whole(Fragmenter(stream(encoder), video[0]), in_order(video, heard)))
    times = packet_times(data, encoder.info.silence)
    assert len(times) == len(heard)
    assert all(abs(at - one.pts_us) < 11_000 for at, one in zip(times, heard, strict=True))
    every = packet_times(data)
    piece_us = encoder.info.piece * 1_000_000 / RATE
    assert every[0] < piece_us
    assert all(abs(b - a - piece_us) < 2 for a, b in itertools.pairwise(every))
    assert every[-1] == pytest.approx(5_000_000, abs=2 * piece_us)


def test_hole_stays_where_the_silence_of_a_codec_is_not_known(coded):
    encoder, sound = encoded_tone("aac", 5)
    info = replace(stream(encoder), sound=replace(encoder.info, silence=b""))
    heard = [one for one in sound if not 1_500_000 <= one.pts_us < 3_200_000 and one.pts_us >= 0]
    video = pictures(coded(50))
    times = packet_times(b"".join(whole(Fragmenter(info, video[0]), in_order(video, heard))))
    assert max(abs(a - b.pts_us) for a, b in zip(times, heard, strict=True)) < 1_000


@pytest.mark.parametrize("codec", ["aac", "opus"])
def test_silence_decodes_to_nothing_after_any_sound(codec: str):
    encoder, sound = encoded_tone(codec, 1)
    decoder = av.CodecContext.create(codec, "r")
    decoder.extradata, decoder.sample_rate = encoder.info.config, RATE
    pieces = [one.data for one in sound] + [encoder.info.silence] * 20
    decoded = [frame.to_ndarray() for piece in pieces for frame in decoder.decode(av.Packet(piece))]
    assert np.abs(decoded[-22]).max() > 0.3
    assert np.abs(decoded[-1]).max() < 0.01


def fragments_of(parts: list[bytes]) -> list[bytes]:
    return [one for one in parts if one[4:8] == b"moof"]


@pytest.mark.parametrize("with_sound", [True, False], ids=["sound", "silence"])
def test_fragments_come_each_200_ms_whether_or_not_there_is_sound(coded, with_sound: bool):
    """SG-4: a track without samples holds nothing back."""
    encoder, sound = encoded_tone("aac", 5)
    video = pictures(coded(50))
    maker = Fragmenter(stream(encoder), video[0])
    maker.beginning()
    for one in in_order(video, sound if with_sound else []):
        if isinstance(one, SoundUnit):
            maker.sound(one)
            continue
        maker.picture(one, "line")
        assert one.pts_us - maker.whole_us <= FRAGMENT_US
    assert maker.whole_frames >= 48


def test_sound_alone_is_given_out_when_pictures_stall(coded):
    encoder, sound = encoded_tone("aac", 5)
    video = pictures(coded(1))
    maker = Fragmenter(stream(encoder), video[0])
    parts = [maker.beginning(), maker.picture(video[0], "line")]
    parts += [maker.sound(one) for one in sound]
    assert 3 <= len(fragments_of(parts)) <= 5
    assert maker.whole_frames == 0


def test_sound_of_another_codec_or_before_the_first_picture_or_heard_twice_is_left_out(coded):
    """SG-8."""
    encoder, sound = encoded_tone("aac", 2)
    video = pictures(coded(20), start_us=1_000_000)
    maker = Fragmenter(stream(encoder), video[0])
    other = SoundUnit(codec="opus", data=b"x", pts_us=1_000_000, duration_us=PIECE_US, utc_us=0, mono_us=0)
    given = [other, *sound, *sound[60:62]]
    times = packet_times(b"".join(whole(maker, in_order(video, given))), encoder.info.silence)
    assert times == sorted(times)
    assert len(times) == sum(one.pts_us >= 1_000_000 for one in sound)


ONE_ENCODER = SoundEncoder(SoundSection())


@given(st.lists(st.integers(-15_000, 15_000), min_size=1, max_size=60), st.integers(-200, 200))
@settings(max_examples=40, deadline=None)
def test_sound_is_never_further_off_than_40_ms_when_the_microphones_clock_drifts_and_trembles(jitter, drift_ppm):
    """SG-6."""
    encoder = ONE_ENCODER
    video = pictures(coded_pictures(1))
    maker = Fragmenter(stream(encoder), video[0])
    maker.beginning()
    maker.picture(video[0], "")
    for n in range(3000):
        true_us = round(n * 21_333 * (1 + drift_ppm / 1e6)) + 20_000
        unit = SoundUnit(codec="aac", data=b"x", pts_us=true_us + jitter[n % len(jitter)], duration_us=21_333,
                         utc_us=0, mono_us=0)  # fmt: skip
        count = len(maker._sounds)
        given_out = maker.sound(unit)
        if given_out or len(maker._sounds) <= count:
            continue
        assert abs(maker._sounds[-1].at * 1_000_000 // RATE - true_us) <= 40_000


def test_file_says_where_its_key_pictures_are(coded):
    """SG-5: `mfra` names the fragments that a reader may begin at."""
    video = pictures(coded(50))
    data = b"".join(whole(Fragmenter(stream(None), video[0]), video))
    (size,) = struct.unpack(">I", data[-4:])
    table = data[-size:]
    assert table[4:8] == b"mfra"
    (count,) = struct.unpack_from(">I", table, 8 + 20)
    rows = [struct.unpack_from(">QQ", table, 8 + 24 + 19 * n) for n in range(count)]
    assert [at for at, _ in rows] == [n * 90_000 for n in range(5)]
    assert all(data[offset + 4 : offset + 8] == b"moof" for _, offset in rows)


def test_cut_file_gives_sound_and_text_up_to_the_cut(coded):
    """SG-9: a file that ends anywhere gives what is before."""
    encoder, sound = encoded_tone("aac", 5)
    video = pictures(coded(50))
    parts = whole(Fragmenter(stream(encoder), video[0]), in_order(video, sound))
    moof = int.from_bytes(parts[16][:4], "big")
    cut = b"".join(parts)[: sum(map(len, parts[:16])) + moof + 2_000]
    assert packet_times(cut)[-1] > 2_300_000
    assert texts(cut)[-1][0] > 2_300_000 / 1e6


def boxes(data: bytes) -> list[tuple[int, int, bytes]]:
    """(begin, end, kind) of each box at the top."""
    found, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        found.append((at, at + size, data[at + 4 : at + 8]))
        at += size
    return found


def test_file_cut_at_any_chunk_edge_opens_as_no_moof_lies_across_one(coded):
    """SG-9."""
    encoder, sound = encoded_tone("aac", 10)
    video = pictures(coded(100))
    given = in_order(video, sound)
    edges_met = 0
    for more in range(30):
        data = b"".join(whole(Fragmenter(stream(encoder), video[0]), given, line="x" * (5 * more)))
        found = boxes(data)
        assert found[-1][1] == len(data)
        assert [
            one for one in found if one[2] == b"moof" and one[0] // CHUNK_BYTES != (one[1] - 1) // CHUNK_BYTES
        ] == []
        for begin, end, _ in [one for one in found if one[2] == b"free"]:
            edges_met += 1
            edge = -(-begin // CHUNK_BYTES) * CHUNK_BYTES
            assert begin <= edge <= end <= edge + 8
            with av.open(io.BytesIO(data[:edge])) as container:
                assert sum(1 for packet in container.demux(video=0) if packet.size) > 0
    assert edges_met >= 3


@pytest.mark.parametrize("left", [1, 7, 8, 9, 107, 108, 109])
def test_room_is_made_only_where_a_moof_would_lie_across_an_edge(left: int):
    made = (100).to_bytes(4, "big") + b"moof" + bytes(92) + bytes(50)
    room = mp4.room_before(made, at=1_000_000 - left, edge=1_000_000)
    assert len(room) == {1: 9, 7: 15, 8: 8, 9: 9, 107: 107}.get(left, 0)
