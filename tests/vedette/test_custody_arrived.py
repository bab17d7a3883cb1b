"""Rows that were checked when they came are the same still: what must be found of them, though few signatures are
checked again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from vedette import canonical
from vedette.clock import FakeClock
from vedette.custody import Journal
from vedette.custody_entry import Entry, parse_line, reread_line, sign_entry
from vedette.custody_tail import journal_files
from vedette.custody_verify import verify_arrived, verify_chain
from vedette.errors import Integrity, NotTrusted
from vedette.keys import SigningKey
from vedette.timeline_source import Lines

KEY = SigningKey.generate()


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Two runs of a recorder, of four lines each."""
    folder = tmp_path_factory.mktemp("journal")
    for _ in range(2):
        live(folder)
    return written(folder)


def live(folder: Path) -> None:
    journal = Journal.open(folder, service="recorder", device="car-1", key=KEY, clock=FakeClock())
    for second in range(3):
        journal.append("segment.checkpoint", detail={"media_us": second})
    journal.close()


def written(folder: Path) -> list[bytes]:
    return [line for path in journal_files(folder) for line in path.read_bytes().splitlines()]


def check(lines: list[bytes]) -> list[Entry]:
    entries = [reread_line(line) for line in lines]
    verify_arrived(entries, KEY.public)
    return entries


def changed(line: bytes, **others: object) -> bytes:
    return canonical.dumps({**json.loads(line), **others})


def test_rows_are_read_as_they_were_when_they_came(lines: list[bytes]) -> None:
    """TI-43: whole, and with a hole."""
    for some in (lines, lines[:2] + lines[4:], []):
        assert check(some) == [replace(parse_line(line), sig=b"") for line in some]


@pytest.mark.parametrize("place", range(8))
def test_a_changed_row_is_found_wherever_it_is(lines: list[bytes], place: int) -> None:
    """TI-43: the hash in the next line tells, and where there is none the signature does."""
    for other in ({"utc_us": 7}, {"event": "gap"}, {"detail": {}}, {"key": "0" * 32}, {"more": 1}, {"sig": "A" * 88}):
        damaged = [*lines]
        damaged[place] = changed(lines[place], **other)
        with pytest.raises((Integrity, NotTrusted), match=r"custody chain, seq \d+"):
            check(damaged)


@pytest.mark.parametrize("place", range(8))
def test_a_row_before_a_hole_must_be_signed(lines: list[bytes], place: int) -> None:
    """TI-43."""
    line = changed(lines[place], detail={"media_us": 5_000_000})
    with pytest.raises(NotTrusted, match=f"seq {place + 1}"):
        check([*lines[:place], line, *lines[place + 2 :]])


def test_what_nobody_signed_is_found_though_the_next_run_follows_it(tmp_path: Path) -> None:
    """TI-43, CJ-14: somebody without the key wrote on in the file, and the recorder went on behind it."""
    live(tmp_path)
    path = journal_files(tmp_path)[-1]
    last = parse_line(path.read_bytes().splitlines()[-1])
    forged = changed(last.line, seq=last.seq + 1, prev=last.sha256, utc_us=last.utc_us + 60_000_000)
    with path.open("ab") as file:
        file.write(forged + b"\n")
    live(tmp_path)
    lines = written(tmp_path)
    assert [reread_line(line).prev for line in lines][last.seq + 1] == reread_line(forged).sha256
    with pytest.raises(NotTrusted):
        verify_chain(lines, KEY.public)
    with pytest.raises(NotTrusted, match=f"seq {last.seq + 1}"):
        check(lines)


def test_rows_of_another_key_are_refused(lines: list[bytes]) -> None:
    """TI-43."""
    with pytest.raises(NotTrusted, match="the chain is checked against"):
        verify_arrived([reread_line(line) for line in lines], SigningKey.generate().public)


def test_every_signature_counts_where_lines_are_also_named_as_files(lines: list[bytes]) -> None:
    """TI-43: a line whose own signature is none and that the next one follows is not found by rows alone."""
    first, second = parse_line(lines[0]), changed(lines[1], sig="A" * 86 + "==")
    third = sign_entry(replace(parse_line(lines[2]), prev=hashlib.sha256(second).hexdigest()), KEY).line
    some, place = [first.line, second, third], ("car-1", "recorder")
    rows, before, behind = Lines(), Lines(), Lines()
    before.add("a file", some[:1])
    for one in (rows, before, behind):
        one.add_arrived("rows", *place, some)
    behind.add("a file", some[:1])
    assert [one.seq for one in rows.verified(*place, KEY.public)] == [1, 2, 3]
    for one in (before, behind):
        with pytest.raises(NotTrusted, match="seq 2"):
            one.verified(*place, KEY.public)


def test_a_row_of_another_journal_is_refused(lines: list[bytes]) -> None:
    """TI-43."""
    with pytest.raises(Integrity, match="a line of another journal"):
        Lines().add_arrived("rows", "car-2", "recorder", lines)


@pytest.mark.parametrize("line", [b"", b"[]", b"{}", b"\xff", b"[" * 9000, b'{"seq":1}', b"null"])
def test_what_is_no_line_is_refused(line: bytes, lines: list[bytes]) -> None:
    """TI-43."""
    with pytest.raises(Integrity, match="none that was taken"):
        reread_line(line)
    with pytest.raises(Integrity, match="none that was taken"):
        reread_line(changed(lines[0], seq="1"))
