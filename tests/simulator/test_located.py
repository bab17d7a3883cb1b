"""A report that is vague about where the damage is does not pass for one that is not."""

import hashlib
import json

import pytest

from simulator.located import Good, why_vague
from simulator.mutations import Mutant
from vedette.age_stream import SEALED_CHUNK_BYTES
from vedette.findings import Finding, Report
from vedette.sealed import HybridIdentity, seal

ITEM = "01a2076b-4bd0-7ae3-884e-e57b736fb95d"
SEALED, JOURNAL = f"{ITEM}.segment.age", "journal.jsonl"
CONTENT_BYTES, CHUNKS, TAG_BYTES = 256_000, 4, 16


def journal_of(*marks: int) -> bytes:
    details = [{}, *({"offset": mark} for mark in marks[:-1]), {"sealed_size": marks[-1]}]
    lines = [json.dumps({"device": "car-1", "item": ITEM, "detail": detail}) for detail in details]
    return "".join(f"{line}\n" for line in lines).encode()


@pytest.fixture(scope="module")
def good() -> Good:
    """A sealed file of four chunks with a checkpoint behind each."""
    sealed = seal(hashlib.sha256(b"x").digest() * (CONTENT_BYTES // 32), [HybridIdentity.generate().recipient])
    header = len(sealed) - CONTENT_BYTES - CHUNKS * TAG_BYTES
    marks = [header + count * SEALED_CHUNK_BYTES for count in range(1, CHUNKS)]
    files = {SEALED: sealed, JOURNAL: journal_of(*marks, len(sealed))}
    return Good.of(files, sealed_name=SEALED, journal_name=JOURNAL)


def report(*found: tuple[str, str, str]) -> Report:
    return Report(findings=tuple(Finding(what=a, where=b, ok=False, message=c, exit_code=10) for a, b, c in found))


def stretch(start: int, end: int) -> tuple[str, str, str]:
    said = f"the bytes are not those that were recorded between byte {start} and byte {end} (0.200 s to 0.400 s)"
    return ("checkpoints", SEALED, said)


def test_stretch_must_be_the_one_around_the_first_damaged_byte(good: Good) -> None:
    """CJ-21."""
    zero, first, second, _third, end = good.marks
    flip = Mutant("bit flipped", b"x", first)
    assert why_vague(report(stretch(first, second)), SEALED, flip, good, has_key=False) is None
    for start, stop in ((zero, first), (zero, end), (first, end), (zero, second), (second, end)):
        assert why_vague(report(stretch(start, stop)), SEALED, flip, good, has_key=False)
    vague = ("sealed file", SEALED, "its SHA-256 is not the one in the manifest: changed from byte 0 on")
    assert why_vague(report(vague), SEALED, flip, good, has_key=False)
    container = ("container", "b.zip", f"between byte {first} and byte {second} (x)")
    assert why_vague(report(container), SEALED, flip, good, has_key=False)


def test_end_must_be_named_when_bytes_were_added_behind_it(good: Good) -> None:
    """CJ-22."""
    size = len(good.sealed)
    added = Mutant("bytes behind", good.sealed + b"x", size)
    said = "bytes follow after the end that was recorded (byte {})"
    assert why_vague(report(("checkpoints", SEALED, said.format(size))), SEALED, added, good, has_key=False) is None
    assert why_vague(report(("checkpoints", SEALED, said.format(0))), SEALED, added, good, has_key=False)
    assert why_vague(report(stretch(*good.marks[-2:])), SEALED, added, good, has_key=False)


@pytest.mark.parametrize(("chunk", "is_right"), [(0, False), (1, True), (2, False)])
def test_chunk_must_be_named_when_a_key_is_at_hand(good: Good, chunk: int, is_right: bool) -> None:
    """SF-20."""
    flip = Mutant("bit flipped", b"x", good.marks[1] + 5)
    opening = ("opening", SEALED, f"chunk {chunk} is cut off, changed or out of its place; 7 bytes before it are whole")
    found = report(stretch(*good.marks[1:3]), opening)
    assert (why_vague(found, SEALED, flip, good, has_key=True) is None) == is_right
    assert why_vague(report(stretch(*good.marks[1:3])), SEALED, flip, good, has_key=True)


@pytest.mark.parametrize(
    ("said", "is_right"),
    [
        ("custody chain, line 3: the signature is not one of key x", True),
        ("custody chain, line 2: the signature is not one of key x", False),
        ("custody chain, line 33: the signature is not one of key x", False),
        ("it ends at seq 8, before this item was closed: its tail is missing", False),
        ("its SHA-256 is not the listed one", False),
    ],
)
def test_line_of_the_journal_must_be_the_damaged_one(good: Good, said: str, is_right: bool) -> None:
    """CJ-7."""
    first, second, *_rest = good.journal.splitlines(keepends=True)
    at = len(first) + len(second) + 3
    mutant = Mutant("byte set", good.journal[:at] + b"?" + good.journal[at + 1 :], at)
    found = report(("custody chain", JOURNAL, said))
    assert (why_vague(found, JOURNAL, mutant, good, has_key=False) is None) == is_right


def test_byte_between_the_files_of_a_zip_must_be_the_damaged_one(good: Good) -> None:
    """BU-16, BU-22."""
    mutant = Mutant("byte set", b"x", 6_403)
    said = "byte {} (central directory, its byte 3) is not what it must be"
    assert why_vague(report(("container", "b.zip", said.format(6_403))), None, mutant, good, has_key=False) is None
    assert why_vague(report(("container", "b.zip", said.format(640))), None, mutant, good, has_key=False)


def test_damaged_file_must_be_the_first_that_is_named(good: Good) -> None:
    """BU-22."""
    mutant, own = Mutant("byte set", b"x", 3), ("receipt", f"{ITEM}.receipt", "the record is not canonical")
    other = ("manifest", f"{ITEM}.manifest", "the record is not canonical")
    assert why_vague(report(own, other), own[1], mutant, good, has_key=False) is None
    assert why_vague(report(other, own), own[1], mutant, good, has_key=False)
    assert why_vague(report(other), own[1], mutant, good, has_key=False)


def test_specimen_is_refused_when_its_checkpoints_stand_too_far_apart(good: Good) -> None:
    """A stretch that is long enough always holds the damage."""
    files = {SEALED: good.sealed, JOURNAL: journal_of(good.marks[1], len(good.sealed))}
    with pytest.raises(ValueError, match="a stretch is longer than"):
        Good.of(files, sealed_name=SEALED, journal_name=JOURNAL)
