"""The vectors of fragments' marks, by both programs that check them; and how marks are written."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.clock import FakeClock, uuid7
from vedette.custody_entry import Entry
from vedette.errors import Integrity
from vedette.fragment_check import check_fragments, signed_fragments
from vedette.fragment_marks import MAX_FRAGMENTS, FragmentMarks, fragments_key, from_key_file, key_id, to_key_file
from vedette.sealed import HybridIdentity, SealedWriter, fragments_key_of
from vedette.verifier import fragments as theirs
from vedette.verifier.records import Bad

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "fragments" / "cases.json").read_text())
ITEM = uuid7(FakeClock())


def entry(seq: int, event: str, detail: dict[str, Any]) -> Entry:
    named = {"device": "car-1", "service": "recorder", "event": event, "item": ITEM, "detail": detail}
    return Entry(
        seq=seq, prev="", utc_us=1, mono_us=1, time_source="ntp", time_error_us=1, boot=uuid7(FakeClock()), **named
    )


def by_vedette(case: dict[str, Any], content: bytes) -> str:
    entries = [entry(seq, one["event"], one["detail"]) for seq, one in enumerate(case["details"], start=1)]
    signed = signed_fragments(entries, ITEM)
    assert signed is not None
    key = from_key_file(to_key_file(ITEM, bytes.fromhex(case["key"])), ITEM, signed.key_id)
    return check_fragments(signed, key, io.BytesIO(content), size=case["size"], is_whole=case["complete"])


def by_script(case: dict[str, Any], content: bytes) -> str:
    entries = [{"item": ITEM, "seq": seq, **one} for seq, one in enumerate(case["details"], start=1)]
    signed = theirs.signed_fragments(entries, ITEM)
    assert signed is not None
    bundle = SimpleNamespace(
        manifest={"plain_size": case["size"], "complete": case["complete"]},
        hashes={"x": (len(content), "")},
        source=SimpleNamespace(part=lambda _name, at, size: content[at : at + size]),
    )
    key = theirs.key_of_marks(to_key_file(ITEM, bytes.fromhex(case["key"])), ITEM, signed[1])
    return theirs.fragments_hold(bundle, "x", signed[0], key)


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
def test_fragments_are_judged_as_the_vector_says(case: dict[str, Any]) -> None:
    """CJ-34, CJ-37, BU-55, BU-56, BU-57"""
    content, said = bytes.fromhex(case["content"]), []
    for check in (by_vedette, by_script):
        try:
            said.append((True, check(case, content)))
        except (Integrity, Bad) as error:
            said.append((False, str(error)))
    assert said[0] == said[1]
    assert said[0][0] == case["ok"]
    assert case["said"] in said[0][1]


def test_key_of_the_marks_follows_from_the_files_own() -> None:
    """SF-21, CJ-36: by HKDF as RFC 5869 has it, and whoever opens the file has it too."""
    file_key, nonce, key = (bytes.fromhex(VECTORS[name]) for name in ("file_key", "nonce", "key"))
    extracted = hmac.digest(nonce, file_key, "sha256")
    assert fragments_key(file_key, nonce) == hmac.digest(extracted, b"vedette/fragments/1\x01", "sha256") == key
    assert key_id(key) == hashlib.sha256(key).hexdigest()[:32] == VECTORS["key_id"]
    identity, sink = HybridIdentity.generate(), io.BytesIO()
    with SealedWriter(sink, [identity.recipient]) as writer:
        writer.write(b"something")
    assert fragments_key_of(io.BytesIO(sink.getvalue()), [identity]) == writer.fragments_key


def test_marks_confirm_no_guess_to_who_has_no_key() -> None:
    """CJ-36: the same fragment in another file has another mark, and none is a hash of the fragment."""
    texts = []
    for nonce in (bytes(16), bytes([1] * 16)):
        marks = FragmentMarks(fragments_key(bytes(16), nonce))
        marks.write(b"33.57310 N 7.58981 W")
        marks.end(1)
        texts.append(marks.take())
    assert texts[0] != texts[1]
    assert hashlib.sha256(b"33.57310 N 7.58981 W").hexdigest()[:32] not in "".join(texts)


@pytest.mark.parametrize("count", [1, MAX_FRAGMENTS - 1, MAX_FRAGMENTS, MAX_FRAGMENTS + 1, 5 * MAX_FRAGMENTS])
def test_line_holds_its_marks_when_nothing_was_durable_for_long(count: int) -> None:
    """CJ-35: they are marked together then, none is left out, and a line takes them all."""
    key, content = bytes(32), b""
    marks = FragmentMarks(key)
    for number in range(count):
        piece = bytes([number % 256]) * 99_999
        content += piece
        marks.write(piece)
        marks.end(3_600_000_000 + number, is_last=number == count - 1)
    text = marks.take()
    assert len(text) <= 4096
    assert text.count(",") + 1 == min(count, MAX_FRAGMENTS)
    detail = {"sealed_size": 1, "fragments": text, "fragments_key": marks.key_id}
    signed = signed_fragments([entry(1, "segment.closed", detail)], ITEM)
    assert signed is not None
    assert check_fragments(signed, key, io.BytesIO(content), size=len(content), is_whole=True)


def test_work_is_bounded_when_a_file_is_made_to_be_searched() -> None:
    """BU-56: what was not looked for is said."""
    key, size = bytes(32), 1 << 20
    marks = FragmentMarks(key)
    for number in range(400):
        marks.write(bytes(size // 400 + number))
        marks.end(number)
        detail = {"sealed_size": 1, "fragments": "", "fragments_key": marks.key_id}
    entries = [entry(1, "segment.closed", {**detail, "fragments": marks.take()})]
    signed = signed_fragments(entries, ITEM)
    assert signed is not None
    evil = b"free" * (size // 4)
    with pytest.raises(Integrity, match="not everything that stands elsewhere was looked for"):
        check_fragments(signed, key, io.BytesIO(evil), size=signed.size, is_whole=True)


_ONE = "200:1000:" + "ab" * 16
_WORDS = [_ONE, ",", ":", "0", "1", "-1", "01", " ", "200", "9" * 13, "9" * 14, "ab" * 16, "AB" * 16, "é", "\n"]
_TEXTS = st.lists(st.sampled_from(_WORDS), max_size=6)
_DETAILS = st.fixed_dictionaries(
    {},
    optional={
        "fragments": st.one_of(_TEXTS.map("".join), st.just(",".join([_ONE] * 65)), st.integers(), st.none()),
        "fragments_key": st.sampled_from(["ab" * 16, "cd" * 16, "AB" * 16, "", 1, None]),
        "offset": st.sampled_from([0, 5, 9, -1, "5", None, True]),
        "sealed_size": st.sampled_from([0, 5, 9, -1, "5", None, True]),
    },
)


@given(st.lists(st.tuples(st.sampled_from(["checkpoint", "closed", "recovered", "opened"]), _DETAILS), max_size=4))
def test_both_read_the_same_marks_or_refuse_them_for_the_same_reason(lines: list[tuple[str, dict[str, Any]]]) -> None:
    """CJ-37, BU-25: lines of any form that a journal may hold."""
    named = [(f"segment.{event}", detail) for event, detail in lines]
    read: list[object] = []
    try:
        found = signed_fragments([entry(seq, *one) for seq, one in enumerate(named, start=1)], ITEM)
        read.append(found and [(one.first, one.end, one.from_us, one.to_us, one.mark) for one in found.fragments])
    except Integrity as error:
        read.append(str(error))
    try:
        entries = [
            {"item": ITEM, "seq": seq, "event": one[0], "detail": one[1]} for seq, one in enumerate(named, start=1)
        ]
        also = theirs.signed_fragments(entries, ITEM)
        read.append(also and also[0])
    except Bad as error:
        read.append(str(error))
    assert read[0] == read[1]
