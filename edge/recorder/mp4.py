"""The boxes of a fragmented MP4 (ISO/IEC 14496-12) with a video, a sound and a text track: bytes from values.

Decided here: the form of the beginning (`ftyp`, `moov`), of a fragment (`moof`, `mdat`; any track may be missing in it,
each run says itself when it begins) and of the ending (`mfra`, where the key pictures are). H.264 as in ISO/IEC
14496-15 with its parameter sets also in the samples, AAC as in 14496-14, Opus as in "Encapsulation of Opus in ISO Base
Media File Format", text as in 3GPP TS 26.245 (`tx3g`). The requirements are docs/spec/segment.md.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from edge.camera.port import AAC, OPUS, SoundInfo

VIDEO_TICKS_PER_S = 90_000
MAX_TEXT_BYTES = 512
_SECONDS_1904_TO_1970 = 2_082_844_800
_UNITY = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_UNDETERMINED = 0x55C4
_HEADER_BYTES = 8
_HIGH_PROFILE = 100
_KEY, _NO_KEY, _ALONE = 0x02000000, 0x01010000, 0x02000000


@dataclass(frozen=True, kw_only=True, slots=True)
class Track:
    """One track as the beginning describes it; `entry` is its sample entry, sizes in pixels."""

    number: int
    handler: bytes
    name: str
    ticks_per_s: int
    entry: bytes
    media_header: bytes
    width: int = 0
    height: int = 0

    @property
    def is_video(self) -> bool:
        """True for the track of pictures."""
        return self.handler == b"vide"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One picture, piece of sound or text; `at`, `duration` and `shift` (from decoding to showing) in track ticks."""

    data: bytes
    at: int
    duration: int
    shift: int = 0
    is_key: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyPlace:
    """Where a fragment begins whose first picture is a key picture: its time in ticks and its byte in the file."""

    at: int
    offset: int


def video_track(number: int, *, width: int, height: int, sps: bytes, pps: bytes) -> Track:
    """An H.264 track; `sps` and `pps` are NAL units without start codes."""
    config = bytes((1, *sps[1:4], 0xFF, 0xE1)) + _sized(sps) + b"\x01" + _sized(pps)
    if sps[1] == _HIGH_PROFILE:
        config += b"\xfd\xf8\xf8\x00"  # 4:2:0, 8 bit, 8 bit, no extension
    picture = struct.pack(">16xHHIIIH32sHh", width, height, 0x480000, 0x480000, 0, 1, b"", 24, -1)
    return Track(
        number=number,
        handler=b"vide",
        name="VideoHandler",
        ticks_per_s=VIDEO_TICKS_PER_S,
        entry=_box(b"avc1", _REFERENCE, picture, _box(b"avcC", config)),
        media_header=_full(b"vmhd", 0, 1, bytes(8)),
        width=width,
        height=height,
    )


def sound_track(number: int, sound: SoundInfo) -> Track:
    """An AAC or Opus track whose ticks are samples; raises KeyError for another codec."""
    kind, config = {AAC: (b"mp4a", _esds), OPUS: (b"Opus", _dops)}[sound.codec]
    rate = sound.rate << 16 if sound.rate < 1 << 16 else 0
    entry = struct.pack(">8xHHIHH", sound.channels, 16, 0, rate >> 16, rate & 0xFFFF)
    return Track(
        number=number,
        handler=b"soun",
        name="SoundHandler",
        ticks_per_s=sound.rate,
        entry=_box(kind, _REFERENCE, entry, config(sound)),
        media_header=_full(b"smhd", 0, 0, bytes(4)),
    )


def text_track(number: int, *, width: int, height: int) -> Track:
    """A timed text track: white on half-transparent black, at the lower edge of a picture of this size."""
    style = struct.pack(">HHHBB4B", 0, 0, 1, 0, max(8, height // 30), 255, 255, 255, 255)
    place = struct.pack(">I2b4B4h", 0, 1, -1, 0, 0, 0, 128, 0, 0, height, width)
    fonts = _box(b"ftab", struct.pack(">HHB", 1, 1, 4), b"Sans")
    return Track(
        number=number,
        handler=b"sbtl",
        name="SubtitleHandler",
        ticks_per_s=VIDEO_TICKS_PER_S,
        entry=_box(b"tx3g", _REFERENCE, place, style, fonts),
        media_header=_full(b"nmhd", 0, 0),
        width=width,
        height=height,
    )


def text_sample(line: str) -> bytes:
    """A text track's sample that shows `line`; cut to whole characters within 512 bytes."""
    text = line.encode("utf-8")[:MAX_TEXT_BYTES].decode("utf-8", "ignore").encode("utf-8")
    return _sized(text)


def picture_sample(nals: Sequence[bytes]) -> bytes:
    """A video track's sample: NAL units, each behind its length."""
    return b"".join(len(nal).to_bytes(4, "big") + nal for nal in nals)


def beginning(tracks: Sequence[Track], *, utc_us: int) -> bytes:
    """`ftyp` and `moov`; `utc_us` is when the first picture was taken."""
    created = utc_us // 1_000_000 + _SECONDS_1904_TO_1970
    created = created if 0 <= created < 1 << 32 else 0
    movie = struct.pack(">IIII", created, created, 1000, 0) + struct.pack(">IH10x", 0x10000, 0x100) + _UNITY
    extends = b"".join(_full(b"trex", 0, 0, struct.pack(">5I", one.number, 1, 0, 0, 0)) for one in tracks)
    moov = _box(
        b"moov",
        _full(b"mvhd", 0, 0, movie, bytes(24), (max(one.number for one in tracks) + 1).to_bytes(4, "big")),
        *(_trak(one, created) for one in tracks),
        _box(b"mvex", extends),
    )
    return _box(b"ftyp", b"iso5", (512).to_bytes(4, "big"), b"iso5iso6mp41") + moov


def fragment(number: int, runs: Sequence[tuple[Track, Sequence[Sample]]]) -> bytes:
    """`moof` and `mdat` with one run of samples for each track that has some; `number` rises from 1."""
    runs = [(track, samples) for track, samples in runs if samples]
    head = 8 + 16 + sum(_traf_bytes(len(samples)) for _, samples in runs)
    trafs, offset = [], head + 8
    for track, samples in runs:
        trafs.append(_traf(track, samples, offset))
        offset += sum(len(one.data) for one in samples)
    moof = _box(b"moof", _full(b"mfhd", 0, 0, number.to_bytes(4, "big")), *trafs)
    return moof + _box(b"mdat", *(one.data for _, samples in runs for one in samples))


def room_before(made: bytes, *, at: int, edge: int) -> bytes:
    """What goes before a fragment at byte `at`, so that its `moof` lies across no multiple of `edge`; mostly nothing.

    A file cut there ends in pictures or in a box that means nothing: FFmpeg refuses a file that ends within a `moof`.
    """
    left = edge - at % edge
    if int.from_bytes(made[:4], "big") + _HEADER_BYTES <= left:
        return b""
    return _box(b"free", bytes(left - _HEADER_BYTES if left >= _HEADER_BYTES else left))


def room_to(edge: int, *, at: int) -> bytes:
    """What means nothing and reaches from byte `at` past the next multiple of `edge`; all before is in whole chunks."""
    return _box(b"free", bytes(-at % edge))


def ending(track: Track, places: Sequence[KeyPlace]) -> bytes:
    """`mfra`: where the fragments that begin with a key picture of `track` are."""
    table = b"".join(struct.pack(">QQBBB", one.at, one.offset, 1, 1, 1) for one in places)
    random = _full(b"tfra", 1, 0, struct.pack(">III", track.number, 0, len(places)), table)
    return _box(b"mfra", random, _full(b"mfro", 0, 0, (8 + len(random) + 16).to_bytes(4, "big")))


_REFERENCE = bytes(6) + b"\x00\x01"


def _trak(track: Track, created: int) -> bytes:
    volume = 0x100 if track.handler == b"soun" else 0
    place = struct.pack(">8xhhHH", 0, 0, volume, 0) + _UNITY
    header = struct.pack(">IIIII", created, created, track.number, 0, 0) + place
    size = struct.pack(">II", track.width << 16, track.height << 16)
    media = struct.pack(">IIIIHH", created, created, track.ticks_per_s, 0, _UNDETERMINED, 0)
    handler = struct.pack(">I4s12x", 0, track.handler) + track.name.encode("ascii") + b"\x00"
    here = _full(b"dref", 0, 0, (1).to_bytes(4, "big"), _full(b"url ", 0, 1))
    none = (0).to_bytes(4, "big")
    table = _box(
        b"stbl",
        _full(b"stsd", 0, 0, (1).to_bytes(4, "big"), track.entry),
        _full(b"stts", 0, 0, none),
        _full(b"stsc", 0, 0, none),
        _full(b"stsz", 0, 0, none, none),
        _full(b"stco", 0, 0, none),
    )
    return _box(
        b"trak",
        _full(b"tkhd", 0, 3, header, size),
        _box(
            b"mdia",
            _full(b"mdhd", 0, 0, media),
            _full(b"hdlr", 0, 0, handler),
            _box(b"minf", track.media_header, _box(b"dinf", here), table),
        ),
    )


def _traf(track: Track, samples: Sequence[Sample], offset: int) -> bytes:
    rows = b"".join(struct.pack(">IIIi", one.duration, len(one.data), _flags(track, one), one.shift) for one in samples)
    return _box(
        b"traf",
        _full(b"tfhd", 0, 0x020000, track.number.to_bytes(4, "big")),
        _full(b"tfdt", 1, 0, samples[0].at.to_bytes(8, "big")),
        _full(b"trun", 1, 0x000F01, struct.pack(">Ii", len(samples), offset), rows),
    )


def _traf_bytes(samples: int) -> int:
    return 8 + 16 + 20 + 20 + 16 * samples


def _flags(track: Track, sample: Sample) -> int:
    if not track.is_video:
        return _ALONE
    return _KEY if sample.is_key else _NO_KEY


def _esds(sound: SoundInfo) -> bytes:
    decoder = _descriptor(4, b"\x40\x15" + bytes(3) + struct.pack(">II", 0, 0) + _descriptor(5, sound.config))
    return _full(b"esds", 0, 0, _descriptor(3, bytes(3) + decoder + _descriptor(6, b"\x02")))


def _dops(sound: SoundInfo) -> bytes:
    """`dOps` from an Ogg `OpusHead`: the same fields, the other byte order."""
    channels, skip, rate, gain, family = struct.unpack_from("<BHIhB", sound.config, 9)
    return _box(b"dOps", struct.pack(">BBHIhB", 0, channels, skip, rate, gain, family))


def _descriptor(tag: int, content: bytes) -> bytes:
    return bytes((tag, 0x80, 0x80, 0x80, len(content))) + content


def _sized(content: bytes) -> bytes:
    return len(content).to_bytes(2, "big") + content


def _box(kind: bytes, *parts: bytes) -> bytes:
    return (8 + sum(map(len, parts))).to_bytes(4, "big") + kind + b"".join(parts)


def _full(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    return _box(kind, (version << 24 | flags).to_bytes(4, "big"), *parts)
