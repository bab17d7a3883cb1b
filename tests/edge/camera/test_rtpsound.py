"""The packets of a network camera's sound: what is taken, and that nothing in them does harm."""

import itertools
import random

import av
import numpy as np
import pytest

from edge.camera.gdp import GdpBuffer
from edge.camera.port import SoundUnit
from edge.camera.rtpsound import RtpForm, RtpSound, access_units, parse_form, payload_of
from vedette.config import SoundSection

CAPS = (
    "application/x-rtp, media=(string)audio, payload=(int)97, clock-rate=(int)8000, encoding-name=(string)PCMU,"
    " encoding-params=(string)1, a-ts-refclk=(string)local, ssrc=(uint)1"
)
AAC = (
    "application/x-rtp, media=(string)audio, clock-rate=(int)48000, encoding-name=(string)MPEG4-GENERIC,"
    " encoding-params=(string)2, streamtype=(string)5, mode=(string)AAC-hbr, config=(string)1190,"
    " sizelength=(string)13, indexlength=(string)3, indexdeltalength=(string)3"
)
OPUS = "application/x-rtp, clock-rate=(int)48000, encoding-name=(string)OPUS, encoding-params=(string)2"
PACKET_US = 20_000


def packet(number: int, payload: bytes, first: int = 0x80, more: bytes = b"") -> GdpBuffer:
    header = bytes([first, 97]) + number.to_bytes(2, "big") + (number * 160).to_bytes(4, "big") + bytes(4)
    return GdpBuffer(header + more + payload, number * PACKET_US, False)


def units(caps: str, packets: list[GdpBuffer], base_us: int = 5_000_000) -> list[SoundUnit]:
    one = RtpSound(SoundSection())
    one.caps(caps)
    return one.take(packets, base_us=base_us, utc_us=1_000_000_000)


def loud(found: list[SoundUnit]) -> bool:
    one = RtpSound(SoundSection())
    decoder = av.CodecContext.create("aac", "r")
    decoder.extradata, decoder.sample_rate = one._encoder.info.config, 48_000
    pieces = [frame.to_ndarray() for unit in found for frame in decoder.decode(av.Packet(unit.data))]
    return bool(np.abs(np.concatenate(pieces, axis=1)).max() > 0.5)


@pytest.mark.parametrize(
    ("caps", "form"),
    [
        (CAPS, RtpForm(codec="pcm_mulaw", rate=8000, channels=1)),
        (CAPS.replace("PCMU", "PCMA"), RtpForm(codec="pcm_alaw", rate=8000, channels=1)),
        (CAPS.replace(" encoding-params=(string)1,", ""), RtpForm(codec="pcm_mulaw", rate=8000, channels=1)),
        (AAC, RtpForm(codec="aac", rate=48_000, channels=2, config=b"\x11\x90")),
        (OPUS, RtpForm(codec="libopus", rate=48_000, channels=2)),
        (CAPS.replace("PCMU", "G723"), None),
        (CAPS.replace("params=(string)1", "params=(string)3"), None),
        (CAPS.replace("params=(string)1", "params=(string)x"), None),
        (CAPS.replace("clock-rate=(int)8000, ", ""), None),
        (AAC.replace("sizelength=(string)13", "sizelength=(string)6"), None),
        (AAC.replace("config=(string)1190", "config=(string)119"), None),
        (AAC.replace("config=(string)1190, ", ""), None),
        ("", None),
    ],
)
def test_form_is_what_the_caps_name_or_none(caps: str, form: RtpForm | None) -> None:
    """SG-32."""
    assert parse_form(caps) == form


def test_payload_is_what_stands_behind_the_header_and_before_the_padding() -> None:
    """SG-32, by RFC 3550: sources that contributed, an extension, padding."""
    assert payload_of(packet(1, b"abc").payload) == b"abc"
    assert payload_of(packet(1, b"abc", 0x82, bytes(8)).payload) == b"abc"
    assert payload_of(packet(1, b"abc", 0x90, b"\xbe\xde\x00\x02" + bytes(8)).payload) == b"abc"
    assert payload_of(packet(1, b"abc\x00\x00\x03", 0xA0).payload) == b"abc"
    assert [payload_of(one) for one in (b"", bytes(11), bytes(12), packet(1, b"abc", 0x40).payload)] == [b""] * 4


@pytest.mark.parametrize(
    ("payload", "found"),
    [
        (b"\x00\x10" + (3 << 3).to_bytes(2, "big") + b"abc", [b"abc"]),
        (b"\x00\x20" + (3 << 3).to_bytes(2, "big") + (1 << 3).to_bytes(2, "big") + b"abcd", [b"abc", b"d"]),
        (b"\x00\x20" + (3 << 3).to_bytes(2, "big") + (9 << 3).to_bytes(2, "big") + b"abcd", [b"abc"]),
        (b"\x00\x10" + (9 << 3).to_bytes(2, "big") + b"abc", []),
        (b"\xff\xff", []),
        (b"\x00", []),
        (b"", []),
    ],
)
def test_pieces_of_aac_are_taken_whole_or_not(payload: bytes, found: list[bytes]) -> None:
    """SG-32, by RFC 3640."""
    assert access_units(payload) == found


def test_sound_stands_at_the_times_of_its_packets() -> None:
    """SG-6, SG-32: two seconds of a loud tone as a telephone has it."""
    found = units(CAPS, [packet(n, bytes([0x00, 0x80] * 80)) for n in range(100)])
    assert len(found) == pytest.approx(2_000_000 / 21_333, abs=4)
    assert abs(found[0].pts_us) <= 25_000
    assert found[0].mono_us - found[0].pts_us == 5_000_000
    assert found[0].utc_us - found[0].mono_us == 1_000_000_000
    assert found[-1].end_us == pytest.approx(2_000_000, abs=60_000)
    assert loud(found)


def test_packets_that_are_missing_are_a_hole_and_those_whose_times_go_back_are_placed_anew() -> None:
    """SG-18, SG-32."""
    tone = bytes([0x00, 0x80] * 80)
    found = units(CAPS, [packet(n, tone) for n in (*range(50), *range(100, 150))])
    holes = [b.pts_us - a.end_us for a, b in itertools.pairwise(found) if b.pts_us - a.end_us > 30_000]
    assert holes == [pytest.approx(1_000_000, abs=60_000)]
    one = RtpSound(SoundSection())
    one.caps(CAPS)
    one.take([packet(n, tone) for n in range(400, 450)], base_us=0, utc_us=0)
    assert one.take([packet(n, tone) for n in range(2)], base_us=0, utc_us=0) == []
    again = one.take([packet(n, tone) for n in range(2, 60)], base_us=0, utc_us=0)
    assert again[-1].end_us == pytest.approx(60 * PACKET_US, abs=60_000)


def test_sound_of_an_unknown_form_is_none() -> None:
    """SG-32."""
    one = RtpSound(SoundSection())
    one.caps(CAPS.replace("PCMU", "G723"))
    assert one.info is None
    assert one.take([packet(n, bytes(160)) for n in range(50)], base_us=0, utc_us=0) == []
    one.caps(CAPS)
    assert one.info is not None


@pytest.mark.parametrize("caps", [CAPS, AAC, OPUS])
def test_nothing_in_a_packet_does_harm(caps: str) -> None:
    """SG-32: noise of any length, with the header of a packet and without; by whole seconds of it."""
    chance = random.Random(7)
    packets = [packet(n, chance.randbytes(chance.randrange(400)), chance.randrange(256)) for n in range(300)]
    packets += [GdpBuffer(chance.randbytes(chance.randrange(40)), n * PACKET_US, False) for n in range(300, 400)]
    packets += [GdpBuffer(packet(400, bytes(160)).payload, None, False)]
    assert isinstance(units(caps, packets), list)
