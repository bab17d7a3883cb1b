"""Every sample of a text track: in runs of any form, in tables, of a file that was cut, and what points nowhere."""

import io
import struct

import pytest

from vedette import text_track
from vedette.errors import Integrity, Refused
from vedette.mp4_boxes import box, full_box
from vedette.text_track import text_samples

TEXTS = ["one", "", "drei", "4"]


def sample(text: str) -> bytes:
    return len(text.encode()).to_bytes(2, "big") + text.encode()


SAMPLES = [sample(text) for text in TEXTS]


def trak(number: int = 3, handler: bytes = b"sbtl", table: bytes = b"") -> bytes:
    header = full_box(b"tkhd", 0, bytes(8), struct.pack(">I", number), bytes(68))
    kind = full_box(b"hdlr", 0, struct.pack(">I4s12x", 0, handler), b"\0")
    return box(b"trak", header, box(b"mdia", kind, box(b"minf", table)))


def flagged(kind: bytes, flags: int, *parts: bytes) -> bytes:
    return box(kind, struct.pack(">I", flags), *parts)


def numbers(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *(one & 0xFFFFFFFF for one in values))


def fragment(head: bytes, *runs: bytes, others: bytes = b"") -> bytes:
    return box(b"moof", others, box(b"traf", head, *runs))


def read(data: bytes) -> list[str]:
    return [one.text for one in text_samples(io.BytesIO(data)) or ()]


MOOV = box(b"moov", trak(1, b"vide"), trak())
SIZES = [len(one) for one in SAMPLES]
HEAD = flagged(b"tfhd", 0x20000, numbers(3))
ROWS = b"".join(numbers(9, size, 0, 0) for size in SIZES)


def placed(head: bytes, *runs: tuple[int, bytes, bytes], others: bytes = b"") -> bytes:
    """A recording of one fragment; each run's flags, what stands before its rows (`@` its place), and the rows."""
    count = len(SAMPLES) // len(runs)

    def made(first: int) -> bytes:
        boxes = []
        for at, (flags, before, rows) in enumerate(runs):
            place = first + sum(SIZES[: at * count])
            boxes.append(flagged(b"trun", flags, numbers(count), before.replace(b"@", numbers(place)), rows))
        return fragment(head, *boxes, others=others)

    moof = made(len(made(0)) + 8)
    return MOOV + moof + box(b"mdat", *SAMPLES)


OTHER = box(b"traf", flagged(b"tfhd", 0x20000, numbers(1)), flagged(b"trun", 0, numbers(0)))


@pytest.mark.parametrize(
    "data",
    [
        placed(HEAD, (0xF01, b"@", ROWS)),
        placed(HEAD, (0x201, b"@", numbers(*SIZES)), others=OTHER),
        placed(HEAD, (0x205, b"@" + numbers(0), numbers(*SIZES))),
        placed(HEAD, (0x201, b"@", numbers(*SIZES[:2])), (0x201, b"@", numbers(*SIZES[2:]))),
        placed(HEAD, (0x201, b"@", numbers(*SIZES[:2])), (0x200, b"", numbers(*SIZES[2:]))),
        placed(flagged(b"tfhd", 0, numbers(3)), (0xF01, b"@", ROWS)),
        placed(flagged(b"tfhd", 0x2000A, numbers(3, 1, 9)), (0xF01, b"@", ROWS)),
    ],
    ids=[
        "as recorded",
        "sizes alone",
        "a first flag",
        "two runs",
        "run behind run",
        "no base said",
        "more in the head",
    ],
)
def test_every_sample_of_a_run_is_read(data: bytes) -> None:
    """SG-31: in each form of ISO/IEC 14496-12."""
    assert read(data) == TEXTS
    assert [one.content for one in text_samples(io.BytesIO(data)) or ()] == SAMPLES


@pytest.mark.parametrize("is_in_moov", [False, True], ids=["in the fragment", "in the beginning"])
def test_size_that_no_run_says_is_the_usual_one(is_in_moov: bool) -> None:
    """SG-31: `tfhd`, else `trex`; a place from the file's begin (`tfhd`)."""
    extends = box(b"mvex", full_box(b"trex", 0, numbers(3, 1, 0, 5, 0)))
    moov = box(b"moov", trak(), extends if is_in_moov else b"")
    said = box(b"mdat", *map(sample, ("abc", "def", "ghi")))
    head = flagged(
        b"tfhd", 1 if is_in_moov else 0x11, numbers(3), struct.pack(">Q", 8), numbers(*[5] * (not is_in_moov))
    )
    assert read(said + moov + fragment(head, flagged(b"trun", 0, numbers(3)))) == ["abc", "def", "ghi"]


@pytest.mark.parametrize("width", [4, 8])
@pytest.mark.parametrize("alike", [False, True])
def test_samples_of_tables_are_read(width: int, alike: bool) -> None:
    """SG-31: three chunks of two, one and one; a redacted copy is such a file."""
    said = [sample("same")] * 4 if alike else SAMPLES
    sizes = [len(one) for one in said]
    places = [8, 8 + sum(sizes[:2]), 8 + sum(sizes[:3])]
    table = box(
        b"stbl",
        full_box(b"stsz", 0, numbers(sizes[0], 4) if alike else numbers(0, 4, *sizes)),
        full_box(b"stsc", 0, numbers(2, 1, 2, 1, 2, 1, 1)),
        full_box(
            b"stco" if width == 4 else b"co64", 0, numbers(3), struct.pack(f">3{'I' if width == 4 else 'Q'}", *places)
        ),
    )
    data = box(b"mdat", *said) + box(b"moov", trak(table=table))
    assert read(data) == (["same"] * 4 if alike else TEXTS)


def test_nothing_is_read_where_there_is_no_text_track() -> None:
    """SG-31: none, and a file that is none, is no fault here."""
    assert text_samples(io.BytesIO(box(b"moov", trak(1, b"vide")))) is None
    assert text_samples(io.BytesIO(b"not an MP4")) is None


def test_file_that_was_cut_gives_what_is_whole() -> None:
    """SG-9, SG-31: at every byte of its last fragment's content."""
    data = placed(HEAD, (0xF01, b"@", ROWS))
    begin = len(data) - sum(SIZES)
    ends = [begin + sum(SIZES[: at + 1]) for at in range(len(SIZES))]
    for cut in range(begin, len(data)):
        assert read(data[:cut]) == [text for text, end in zip(TEXTS, ends, strict=True) if end <= cut]
    assert read(data[: begin - 9]) == []


@pytest.mark.parametrize(
    ("moof", "error", "says"),
    [
        (fragment(HEAD, flagged(b"trun", 0x201, numbers(1, 1 << 20, 5))), Integrity, r"at byte \d+, and the file ends"),
        (fragment(HEAD, flagged(b"trun", 0x201, numbers(1, -4096, 5))), Integrity, "begin at byte -"),
        (fragment(HEAD, flagged(b"trun", 0x201, numbers(2, 0, 5))), Integrity, rf"'trun' at byte {len(MOOV) + 32} is"),
        (fragment(HEAD, flagged(b"trun", 0x200)), Integrity, "'trun' at byte"),
        (fragment(flagged(b"tfhd", 0)), Integrity, "'tfhd' at byte"),
        (
            fragment(flagged(b"tfhd", 0, numbers(3)), flagged(b"trun", 0, numbers(1)), others=OTHER),
            Refused,
            f"fragment at byte {len(MOOV)} does not say",
        ),
    ],
)
def test_samples_that_lie_nowhere_are_an_error_that_names_the_byte(
    moof: bytes, error: type[Exception], says: str
) -> None:
    """SG-31."""
    with pytest.raises(error, match=says):
        read(MOOV + moof + box(b"mdat", bytes(40)))


def test_text_that_is_shorter_than_it_says_is_an_error() -> None:
    """SG-31."""
    data = placed(HEAD, (0xF01, b"@", ROWS))
    with pytest.raises(Integrity, match=f"text at byte {len(data) - SIZES[-1]} is to have 2 bytes"):
        read(data[: -SIZES[-1]] + b"\0\2x")


@pytest.mark.parametrize("over", [0, 1])
def test_more_samples_than_any_recording_has_are_refused(over: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """SG-31: a run may say four thousand million of no bytes."""
    monkeypatch.setattr(text_track, "MAX_SAMPLES", 100)
    data = MOOV + fragment(HEAD, flagged(b"trun", 0, numbers(100 + over))) + box(b"mdat")
    if over:
        with pytest.raises(Refused, match="more than 100 samples"):
            read(data)
    else:
        assert read(data) == [""] * 100


def test_sample_that_is_large_is_read_in_part() -> None:
    """SG-31: bounded, whatever the file says."""
    data = MOOV + fragment(HEAD, flagged(b"trun", 0x201, numbers(1, 0, 1 << 20))) + box(b"mdat", bytes(1 << 20))
    (one,) = text_samples(io.BytesIO(data)) or ()
    assert len(one.content) == text_track.MAX_SAMPLE_BYTES
