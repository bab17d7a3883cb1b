"""What a chain of lines proves, by vectors, and which seconds of a sealed file it proves."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from vedette import canonical
from vedette.clock import FakeClock, uuid7
from vedette.custody_entry import Entry, sign_entry
from vedette.custody_verify import check_segment, marks_of, verify_chain
from vedette.errors import Integrity, NotTrusted
from vedette.keys import PublicKey, SigningKey

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "custody" / "cases.json").read_text(encoding="utf-8"))
PUBLIC = PublicKey.from_text(VECTORS["key"])
ERRORS = {"integrity": Integrity, "not trusted": NotTrusted}
ACCEPTS = [case for case in VECTORS["cases"] if case["expect"] == "ok"]
REJECTS = [case for case in VECTORS["cases"] if case["expect"] != "ok"]

KEY = SigningKey.generate()
ITEM = uuid7(FakeClock())
SEALED = bytes(range(256)) * 16
SECOND = 1_000_000


def lines_of(case: dict[str, Any]) -> list[bytes]:
    return [line.encode() for line in case["lines"]]


def start_of(case: dict[str, Any]) -> tuple[int, str] | None:
    return tuple(case["start"] or ()) or None  # type: ignore[return-value]


@pytest.mark.parametrize("case", ACCEPTS, ids=lambda case: case["name"])
def test_chain_is_accepted_when_the_vector_says_so(case: dict[str, Any]) -> None:
    """CJ-1, CJ-2, CJ-3, CJ-7, CJ-8."""
    entries = verify_chain(lines_of(case), PUBLIC, start=start_of(case))
    assert [entry.line for entry in entries] == lines_of(case)


@pytest.mark.parametrize("case", REJECTS, ids=lambda case: case["name"])
def test_chain_is_refused_when_the_vector_says_so(case: dict[str, Any]) -> None:
    """CJ-1, CJ-2, CJ-3, CJ-5, CJ-6, CJ-7, CJ-8: and the line is named."""
    with pytest.raises(ERRORS[case["expect"]], match=r"custody chain, line \d+"):
        verify_chain(lines_of(case), PUBLIC, start=start_of(case))


def test_vectors_are_at_least_half_rejects() -> None:
    assert len(REJECTS) >= len(ACCEPTS)


def test_no_changed_byte_of_a_line_is_accepted_when_each_is_tried() -> None:
    """CJ-3, CJ-7."""
    line = lines_of(ACCEPTS[0])[3]
    refused = 0
    for place in range(len(line)):
        with pytest.raises((Integrity, NotTrusted)):
            verify_chain([line[:place] + bytes([line[place] ^ 1]) + line[place + 1 :]], PUBLIC)
        refused += 1
    assert refused == len(line)


def entry(event: str, detail: dict[str, Any], seq: int = 1, item: str = ITEM) -> Entry:
    unsigned = Entry(
        seq=seq,
        prev="0" * 64,
        utc_us=1,
        mono_us=1,
        time_source="ntp",
        time_error_us=None,
        boot=ITEM,
        device="car-1",
        service="recorder",
        event=event,
        item=item,
        detail=detail,
    )
    return sign_entry(unsigned, KEY)


def checkpoint(offset: int, second: int) -> Entry:
    digest = hashlib.sha256(SEALED[:offset]).hexdigest()
    return entry("segment.checkpoint", {"offset": offset, "sha256": digest, "media_us": second * SECOND, "frames": 25})


def ending(event: str, size: int, second: int) -> Entry:
    digest = hashlib.sha256(SEALED[:size]).hexdigest()
    return entry(event, {"sealed_size": size, "sealed_sha256": digest, "media_us": second * SECOND})


WHOLE = [checkpoint(1000, 1), checkpoint(2000, 2), checkpoint(3000, 3), ending("segment.closed", len(SEALED), 4)]


def test_file_is_proven_to_its_end_when_every_mark_holds() -> None:
    """CJ-19, CJ-20, CJ-21."""
    found = check_segment(WHOLE, ITEM, io.BytesIO(SEALED))
    assert (found.marks, found.proven_bytes, found.proven_us) == (4, len(SEALED), 4 * SECOND)
    assert found.is_closed
    assert found.fault is None


@pytest.mark.parametrize(
    ("size", "proven", "second"),
    [(0, 0, 0), (999, 0, 0), (1000, 1000, 1), (1001, 1000, 1), (2999, 2000, 2), (3000, 3000, 3), (4095, 3000, 3)],
)
def test_prefix_is_proven_when_the_file_was_cut(size: int, proven: int, second: int) -> None:
    """CJ-21: at a mark, one before and one behind it."""
    found = check_segment(WHOLE, ITEM, io.BytesIO(SEALED[:size]))
    assert (found.proven_bytes, found.proven_us) == (proven, second * SECOND)
    assert f"the file ends at byte {size}" in str(found.fault)


@pytest.mark.parametrize(
    ("place", "bad_from", "bad_to"),
    [(0, 0, 1000), (999, 0, 1000), (1000, 1000, 2000), (2500, 2000, 3000), (4095, 3000, 4096)],
)
def test_bad_second_is_named_when_one_byte_was_changed(place: int, bad_from: int, bad_to: int) -> None:
    """CJ-21."""
    changed = SEALED[:place] + bytes([SEALED[place] ^ 0x40]) + SEALED[place + 1 :]
    found = check_segment(WHOLE, ITEM, io.BytesIO(changed))
    assert (found.proven_bytes, found.bad_from, found.bad_to) == (bad_from, bad_from, bad_to)
    assert f"between byte {bad_from} and byte {bad_to}" in str(found.fault)


def test_extra_bytes_are_named_when_they_follow_the_recorded_end() -> None:
    """CJ-22."""
    found = check_segment(WHOLE, ITEM, io.BytesIO(SEALED + b"\0"))
    assert found.fault == "bytes follow after the end that was recorded (byte 4096)"


def test_file_without_an_end_is_proven_up_to_its_last_mark_when_power_was_lost() -> None:
    """CJ-21: what follows the last mark is no fault, and not proven."""
    found = check_segment(WHOLE[:2], ITEM, io.BytesIO(SEALED))
    assert (found.fault, found.is_closed, found.proven_bytes) == (None, False, 2000)


def test_recovery_moves_the_end_when_a_checkpoint_lay_behind_it() -> None:
    """CJ-20."""
    found = check_segment([*WHOLE[:3], ending("segment.recovered", 2500, 2)], ITEM, io.BytesIO(SEALED[:2500]))
    assert (found.fault, found.is_closed, found.marks, found.proven_bytes) == (None, True, 3, 2500)


def test_marks_of_another_item_do_not_count_when_they_are_in_the_chain() -> None:
    """CJ-19."""
    other = entry("segment.checkpoint", {"offset": 5, "sha256": "0" * 64, "media_us": 1}, item=uuid7(FakeClock()))
    assert len(marks_of([WHOLE[0], other, WHOLE[1]], ITEM)) == 2


def test_marks_are_refused_when_they_go_back() -> None:
    """CJ-21."""
    with pytest.raises(Integrity, match="goes back to byte 1000"):
        marks_of([WHOLE[1], WHOLE[0]], ITEM)


@pytest.mark.parametrize(
    "detail", [{}, {"offset": -1, "sha256": "0" * 64, "media_us": 1}, {"offset": 1, "sha256": "0"}]
)
def test_marks_are_refused_when_a_field_is_missing_or_wrong(detail: dict[str, Any]) -> None:
    """CJ-19."""
    with pytest.raises(Integrity, match="custody seq 1"):
        marks_of([entry("segment.checkpoint", detail)], ITEM)


def test_signed_body_is_the_line_without_its_signature() -> None:
    """CJ-3."""
    body = canonical.loads(WHOLE[0].line)
    del body["sig"]
    assert WHOLE[0].to_body() == body
