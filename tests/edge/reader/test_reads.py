"""Reads: what is counted, what comes out, and that nothing else is kept."""

from dataclasses import asdict, replace

import cv2
import numpy as np
import pytest

from edge.camera.port import SmallFrame
from edge.reader.gate import Reason, Verdict
from edge.reader.reads import Fate, Passage, Reads, fate_of
from edge.reader.vote import Rules

RULES = Rules(min_looks=2, confidence_permille=600)
SECOND = 1_000_000
FRAME_US = 40_000


def take(reads: Reads, frame, *looks):
    plates = {id(look.detection): look.plate for look in looks}
    return reads.take(frame, [look.detection for look in looks], lambda detection: plates[id(detection)])


def counted(reads: Reads) -> dict[str, int]:
    return {name: value for name, value in asdict(reads.counters).items() if value}


def test_read_comes_out_of_each_picture_that_confirms_it(frame_at, look_at) -> None:
    """HT-20."""
    reads = Reads(RULES)
    taken = [take(reads, frame_at(n, mono_us=n * 40_000), look_at("7|أ|1")) for n in (0, 1, 2, 14)]
    assert [[read.consensus.looks for read in one.reads] for one in taken] == [[], [2], [], [3]]
    assert (reads.counters.plates_read, reads.counters.detections, reads.counters.looks) == (1, 4, 3)


def test_counters_tell_looks_without_text_from_unsure_ones(frame_at, look_at) -> None:
    """HT-24, HT-27, HT-37."""
    reads = Reads(RULES)
    take(reads, frame_at(0), look_at(None), look_at("7|أ|1", x=220, confidence=599))
    assert counted(reads) == {"frames": 1, "detections": 2, "looks": 2, "unread": 1, "unsure": 1}
    reads.end_all()
    assert (reads.counters.rejected_unsure, reads.counters.rejected_no_text) == (1, 1)


def test_track_is_counted_as_rejected_when_it_ends_without_consensus(frame_at, look_at) -> None:
    """HT-24, HT-41."""
    reads = Reads(RULES)
    take(reads, frame_at(0), look_at("7|أ|1"), look_at("8|أ|1", x=220))
    take(reads, frame_at(1, mono_us=40_000), look_at("7|أ|1"))
    taken = take(reads, frame_at(2, mono_us=10 * SECOND))
    assert taken.reads == []
    assert {one.passage.track: one.fate for one in taken.gone} == {1: Fate.READ, 2: Fate.NO_CONSENSUS}
    assert (reads.counters.plates_read, reads.counters.rejected_no_consensus) == (1, 1)
    assert (reads._followed, reads._attention._interests) == ({}, {})


def test_plate_is_not_read_when_it_is_too_small(frame_at, small_look) -> None:
    """HT-36, HT-41."""
    reads = Reads(RULES)
    for number in range(5):
        taken = take(reads, frame_at(number, mono_us=number * FRAME_US), small_look)
        assert [(one.judged.verdict, one.plate) for one in taken.seen] == [(Verdict.TOO_SMALL, None)]
    assert counted(reads) == {"frames": 5, "detections": 5, "too_small": 5}
    (gone,) = reads.end_all()
    assert (gone.fate, gone.passage.pictures, gone.passage.too_small) == (Fate.TOO_SMALL, 5, 5)
    assert reads.counters.rejected_too_small == 1


@pytest.fixture
def small_look(look_at):
    """A plate of 80 pixels by 8, which is lower than a line of text must be."""
    look = look_at("7|أ|1")
    corners = tuple((x, y if y < 110 else 108.0) for x, y in look.detection.corners_px)
    return replace(look, detection=replace(look.detection, corners_px=corners))


@pytest.mark.parametrize(
    ("numbers", "fate"),
    [
        ({"votes": 1, "unsure": 3, "unread": 2, "too_small": 1}, Fate.NO_CONSENSUS),
        ({"unsure": 3, "unread": 2, "too_small": 1}, Fate.UNSURE),
        ({"unread": 2, "too_small": 1}, Fate.NO_TEXT),
        ({"too_small": 1}, Fate.TOO_SMALL),
    ],
)
def test_a_plate_is_counted_by_how_far_its_looks_came(numbers: dict[str, int], fate: Fate) -> None:
    """HT-41."""
    assert fate_of(Passage(track=1, first_seen_us=0, last_seen_us=0, **numbers)) is fate


def test_each_plate_is_counted_once_whatever_becomes_of_it(frame_at, look_at, small_look) -> None:
    """HT-41."""
    reads = Reads(RULES)
    for number in range(3):
        looks = [
            small_look,
            look_at(None, x=220),
            look_at("9|أ|1", y=160, confidence=300),
            look_at(f"{number + 1}|ب|1", x=220, y=180),
        ]
        take(reads, frame_at(number, mono_us=number * FRAME_US), *looks, look_at("7|أ|1", y=20))
    assert len(reads.end_all()) == 5
    rejected = {name: value for name, value in counted(reads).items() if name.startswith(("rejected", "plates"))}
    assert rejected == {
        "plates_read": 1,
        "rejected_too_small": 1,
        "rejected_unsure": 1,
        "rejected_no_text": 1,
        "rejected_no_consensus": 1,
    }


def test_two_plates_are_two_reads_when_one_takes_the_others_place(frame_at, look_at) -> None:
    """HT-23."""
    reads = Reads(RULES)
    texts = ["7|أ|1"] * 3 + ["8|أ|1"] * 20
    taken = [take(reads, frame_at(n, mono_us=n * 40_000), look_at(text)) for n, text in enumerate(texts)]
    assert [read.consensus.text for one in taken for read in one.reads][-1] == "8|أ|1"
    assert reads.counters.plates_read == 2
    gone = [one for each in taken for one in each.gone] + reads.end_all()
    assert [one.consensus and one.consensus.text for one in gone] == ["7|أ|1", "8|أ|1"]
    assert all(one.passage.votes >= one.consensus.looks for one in gone)


def test_track_is_one_read_when_its_text_becomes_clearer(frame_at, look_at) -> None:
    """HT-24."""
    reads = Reads(RULES)
    looks = [look_at("7|أ|1", confidence=600)] * 2 + [look_at("17|أ|1", confidence=990)] * 2
    for number, look in enumerate(looks):
        take(reads, frame_at(number, mono_us=number * 600_000), look)
    assert reads.counters.plates_read == 1


def test_plate_is_the_same_track_when_it_comes_back_elsewhere_and_says_the_same(frame_at, look_at) -> None:
    """HT-40: lost behind a lorry for half a second, back 180 pixels further, too far to tell by its place alone."""
    reads = Reads(RULES)
    take(reads, frame_at(0), look_at("7|أ|1", x=20))
    take(reads, frame_at(1, mono_us=SECOND // 2))
    (back,) = take(reads, frame_at(2, mono_us=SECOND // 2 + FRAME_US), look_at("7|أ|1", x=200)).reads
    assert (back.track, back.consensus.looks) == (1, 2)
    (gone,) = reads.end_all()
    assert (gone.passage.pictures, gone.passage.votes) == (2, 2)


@pytest.mark.parametrize("text", ["8|أ|1", "17|أ|1"])
def test_plate_is_another_track_when_it_comes_elsewhere_and_says_something_else(frame_at, look_at, text) -> None:
    """HT-40, HT-22."""
    reads = Reads(RULES)
    take(reads, frame_at(0), look_at("7|أ|1", x=20))
    take(reads, frame_at(1, mono_us=SECOND // 2))
    assert take(reads, frame_at(2, mono_us=SECOND // 2 + FRAME_US), look_at(text, x=200)).reads == []
    assert len(reads.end_all()) == 2


def test_text_with_a_covered_character_is_no_vote_however_sure_it_is(frame_at, look_at) -> None:
    """HT-36."""
    reads = Reads(RULES)
    taken = [take(reads, frame_at(n, mono_us=n * FRAME_US), look_at("?|أ|1", confidence=990)) for n in range(4)]
    assert [one.reads for one in taken] == [[]] * 4
    assert [one.fate for one in reads.end_all()] == [Fate.UNSURE]


def test_unsure_look_never_brings_a_lost_plate_back(frame_at, look_at) -> None:
    """HT-40."""
    reads = Reads(RULES)
    take(reads, frame_at(0), look_at("7|أ|1", x=20))
    take(reads, frame_at(1, mono_us=SECOND // 2))
    take(reads, frame_at(2, mono_us=SECOND // 2 + FRAME_US), look_at("7|أ|1", x=200, confidence=599))
    assert len(reads.end_all()) == 2


def test_every_plate_of_a_picture_is_told_with_what_is_known_of_it(frame_at, look_at) -> None:
    """HT-37."""
    reads = Reads(RULES)
    pictures = [
        take(reads, frame_at(n, mono_us=n * FRAME_US), look_at("7|أ|1"), look_at(None, x=220)) for n in range(4)
    ]
    first, second = pictures[-1].seen
    assert (first.plate and first.plate.text, first.judged.verdict, first.looks) == ("7|أ|1", Verdict.READ, 2)
    assert (second.plate, second.judged.reason, second.looks) == (None, Reason.TEXT, 0)


def test_tracks_hold_when_the_camera_is_shaken(look_at) -> None:
    """HT-20: two plates 45 pixels wide and 70 apart, in pictures that jump by up to 60 pixels."""
    random = np.random.default_rng(4)
    coarse = random.integers(0, 256, (24, 40), dtype=np.uint8)
    scene = cv2.resize(coarse, (1480, 920), interpolation=cv2.INTER_NEAREST)
    reads = Reads(RULES)
    for number, (right, down) in enumerate(
        [(30, -30), (-30, 30), (28, 14), (-30, -30), (0, 30), (30, 0), (-30, 30)] * 3
    ):
        picture = np.full((1080, 1280), 128, np.uint8)
        picture[:720] = scene[100 - down : 820 - down, 100 - right : 1380 - right]
        frame = SmallFrame(i420=picture, index=number, utc_us=number * FRAME_US, mono_us=number * FRAME_US, media_us=0)
        looks = [narrow(look_at(text, x=x + right, y=300 + down)) for text, x in (("7|أ|1", 300), ("8|ب|2", 370))]
        take(reads, frame, *looks)
    assert [gone.consensus.text for gone in reads.end_all()] == ["7|أ|1", "8|ب|2"]
    assert reads.counters.plates_read == 2


def narrow(look):
    """The same look at a plate 45 pixels wide and 12 high."""
    x, y = look.detection.corners_px[0]
    corners = ((x, y), (x + 45.0, y), (x + 45.0, y + 12.0), (x, y + 12.0))
    return replace(look, detection=replace(look.detection, corners_px=corners))
