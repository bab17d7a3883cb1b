"""Reads: what is counted, what comes out, and that nothing else is kept."""

from dataclasses import asdict

from edge.reader.reads import Reads
from edge.reader.vote import Rules

RULES = Rules(min_looks=2, confidence_permille=600)
SECOND = 1_000_000


def take(reads: Reads, frame, *looks):
    plates = {id(look.detection): look.plate for look in looks}
    return reads.take(frame, [look.detection for look in looks], lambda detection: plates[id(detection)])


def test_read_comes_out_of_each_picture_that_confirms_it(frame_at, look_at) -> None:
    """HT-20."""
    reads = Reads(RULES)
    found = [take(reads, frame_at(n, mono_us=n * 40_000), look_at("7|أ|1")) for n in (0, 1, 2, 14)]
    assert [[read.consensus.looks for read in one] for one in found] == [[], [2], [], [3]]
    assert (reads.counters.plates_read, reads.counters.detections, reads.counters.looks) == (1, 4, 3)


def test_counters_tell_looks_without_text_from_unsure_ones(frame_at, look_at) -> None:
    """HT-24, HT-27."""
    reads = Reads(RULES)
    take(reads, frame_at(0), look_at(None), look_at("7|أ|1", x=220, confidence=599))
    reads.end_all()
    counted = {name: value for name, value in asdict(reads.counters).items() if value}
    assert counted == {"frames": 1, "detections": 2, "looks": 2, "unread": 1, "unsure": 1}


def test_track_is_counted_as_rejected_when_it_ends_without_consensus(frame_at, look_at) -> None:
    """HT-24."""
    reads = Reads(RULES)
    take(reads, frame_at(0), look_at("7|أ|1"), look_at("8|أ|1", x=220))
    take(reads, frame_at(1, mono_us=40_000), look_at("7|أ|1"))
    assert take(reads, frame_at(2, mono_us=10 * SECOND)) == []
    assert (reads.counters.plates_read, reads.counters.rejected_no_consensus) == (1, 1)
    assert (reads._ballots, reads._counted, reads._attention._interests) == ({}, {}, {})


def test_two_plates_are_two_reads_when_one_takes_the_others_place(frame_at, look_at) -> None:
    """HT-23."""
    reads = Reads(RULES)
    texts = ["7|أ|1"] * 3 + ["8|أ|1"] * 20
    found = [take(reads, frame_at(n, mono_us=n * 40_000), look_at(text)) for n, text in enumerate(texts)]
    assert [read.consensus.text for one in found for read in one][-1] == "8|أ|1"
    assert reads.counters.plates_read == 2


def test_track_is_one_read_when_its_text_becomes_clearer(frame_at, look_at) -> None:
    """HT-24."""
    reads = Reads(RULES)
    looks = [look_at("7|أ|1", confidence=600)] * 2 + [look_at("17|أ|1", confidence=990)] * 2
    for number, look in enumerate(looks):
        take(reads, frame_at(number, mono_us=number * 600_000), look)
    assert reads.counters.plates_read == 1
