"""How far journals have come: what a record of heads may hold, and which line is durable for who did not write it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vedette import custody_heads
from vedette.clock import FakeClock
from vedette.custody import Journal
from vedette.custody_heads import HEADS, MAX_HEADS, MAX_HEADS_BYTES, Head, Heads, JournalWatch, open_heads
from vedette.custody_tail import HEAD_NAME, keep_head
from vedette.errors import Integrity, NotTrusted
from vedette.keys import SigningKey
from vedette.records import sign_record

KEY = SigningKey.generate()
BOOT = "01890000-0000-7000-8000-000000000001"
HEAD: dict[str, Any] = {"service": "recorder", "boot": BOOT, "seq": 7, "head": "ab" * 32}
BODY: dict[str, Any] = {
    "device": "car-1", "told_us": 5, "time": {"source": "ntp", "error_us": None}, "heads": [HEAD]
}  # fmt: skip


def told(*heads: Head) -> Heads:
    return Heads(device="car-1", told_us=5, time_source="ntp", time_error_us=None, heads=heads)


def of(service: str) -> Head:
    return Head(**{**HEAD, "service": service})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def begin(root: Path, service: str = "recorder") -> Journal:
    return Journal.open(root / service, service=service, device="car-1", key=KEY, clock=FakeClock())


@pytest.fixture
def journal(root: Path) -> Iterator[Journal]:
    journal = begin(root)
    yield journal
    journal.close()


def seqs(watch: JournalWatch) -> list[int]:
    return [one.seq for one in watch.look()]


@pytest.mark.parametrize("count", [0, 1, MAX_HEADS])
def test_heads_come_back_when_their_device_signed_them(count: int) -> None:
    """CJ-26."""
    heads = told(*(of(f"service-{number:02d}") for number in range(count)))
    record = heads.sign(KEY)
    assert open_heads(record, "car-1", KEY.public) == heads
    assert len(record) <= MAX_HEADS_BYTES


@pytest.mark.parametrize(
    "change",
    [
        {"heads": [{**HEAD, "service": f"service-{number:02d}"} for number in range(MAX_HEADS + 1)]},
        {"heads": [HEAD, HEAD]},
        {"heads": [{**HEAD, "service": "uplink"}, HEAD]},
        {"heads": [{**HEAD, "seq": 0}]},
        {"heads": [{**HEAD, "seq": -1}]},
        {"heads": [{**HEAD, "head": "AB" * 32}]},
        {"heads": [{**HEAD, "boot": "x"}]},
        {"heads": [{**HEAD, "service": "../x"}]},
        {"heads": [{**HEAD, "plate": "AB123CD"}]},
        {"heads": [{name: value for name, value in HEAD.items() if name != "boot"}]},
        {"heads": {"recorder": 7}},
        {"time": {"source": "ntp"}},
        {"time": {"source": "ntp", "error_us": None, "more": 1}},
        {"position": [1, 2]},
        {"device": "car-2"},
        {"told_us": -1},
    ],
    ids=str,
)
def test_heads_are_refused_whole_when_anything_is_wrong(change: dict[str, Any]) -> None:
    """CJ-26."""
    with pytest.raises(Integrity):
        open_heads(sign_record(HEADS, {**BODY, **change}, KEY), "car-1", KEY.public)


def test_heads_are_refused_when_another_key_or_kind_signed_them() -> None:
    """CJ-26."""
    record = sign_record(HEADS, BODY, KEY)
    assert open_heads(record, "car-1", KEY.public).heads == (Head(**HEAD),)
    with pytest.raises(NotTrusted):
        open_heads(record, "car-1", SigningKey.generate().public)
    with pytest.raises(Integrity):
        open_heads(sign_record("vedette/heads/2", BODY, KEY), "car-1", KEY.public)
    with pytest.raises(Integrity):
        open_heads(record[:-1], "car-1", KEY.public)
    with pytest.raises(NotTrusted):
        open_heads(record.replace(b'"seq":7', b'"seq":8'), "car-1", KEY.public)


def test_line_is_told_once_another_follows_it_or_it_stood(root: Path, journal: Journal) -> None:
    """CJ-27: the last line may not be on the disk yet."""
    watch = JournalWatch(root=root)
    assert seqs(watch) == []
    journal.append("camera.fault")
    assert seqs(watch) == [1]
    assert seqs(watch) == [2]
    last = [journal.append("camera.fault") for _ in range(3)][-1]
    assert seqs(watch) == [4]
    assert watch.look() == (Head(service="recorder", boot=last.boot, seq=5, head=last.sha256),)


def test_half_a_line_is_never_told(root: Path, journal: Journal) -> None:
    """CJ-27."""
    journal.append("camera.fault")
    path = journal.roll()
    assert path is not None
    with path.open("ab") as file:
        file.write(b'{"seq":3')
    watch = JournalWatch(root=root)
    assert [seqs(watch), seqs(watch)] == [[1], [2]]


def test_line_of_a_new_file_is_told_once_it_stood(root: Path, journal: Journal) -> None:
    """CJ-27. CJ-28: and meanwhile what was told stays."""
    watch = JournalWatch(root=root)
    journal.append("camera.fault")
    assert [seqs(watch), seqs(watch)] == [[1], [2]]
    journal.roll()
    journal.append("camera.fault")
    assert [seqs(watch), seqs(watch)] == [[2], [3]]


@pytest.mark.parametrize("size", [4096, 1])
def test_long_lines_are_read_from_the_end_of_the_file(root: Path, journal: Journal, size: int) -> None:
    """CJ-28."""
    for _ in range(30):
        entry = journal.append("camera.fault", detail={f"n{number}": "x" * size for number in range(3)})
    watch = JournalWatch(root=root)
    watch.look()
    assert [(one.seq, one.head) for one in watch.look()] == [(31, entry.sha256)]


def test_journal_stays_where_it_was_when_the_keeper_deletes_its_files(root: Path, journal: Journal) -> None:
    """CJ-28. CJ-18: the last line is in head.jsonl then, also where an older file is left."""
    journal.append("camera.fault")
    old = journal.roll()
    journal.append("camera.fault")
    new = journal.roll()
    assert old is not None and new is not None
    keep_head(new)
    new.unlink()
    assert seqs(JournalWatch(root=root)) == [3]
    old.unlink()
    assert seqs(JournalWatch(root=root)) == [3]
    begin_again = journal.append("camera.fault")
    watch = JournalWatch(root=root)
    watch.look()
    assert [one.seq for one in watch.look()] == [begin_again.seq] == [4]


def test_journal_that_was_cut_is_told_as_it_is(root: Path, journal: Journal) -> None:
    """CJ-28: whoever looks tells what is there, not what was there."""
    for _ in range(4):
        journal.append("camera.fault")
    watch = JournalWatch(root=root)
    assert [seqs(watch), seqs(watch)] == [[4], [5]]
    path = journal.roll()
    assert path is not None
    os.truncate(path, sum(len(line) + 1 for line in path.read_bytes().split(b"\n")[:2]))
    assert seqs(watch)[-1] == 1
    assert seqs(watch) == [2]


@pytest.mark.parametrize("damage", ["last line", "folder", "other name", "head"])
def test_journal_that_cannot_be_read_keeps_no_other_from_being_told(root: Path, journal: Journal, damage: str) -> None:
    """CJ-28."""
    journal.append("camera.fault")
    (root / "keeper").mkdir()
    if damage == "last line":
        (root / "keeper" / "000000000001.jsonl").write_bytes(b"no line\n" * 3)
    elif damage == "head":
        (root / "keeper" / HEAD_NAME).write_bytes(bytes(1 << 20))
    elif damage == "other name":
        (root / "keeper" / "000000000001.jsonl").write_bytes((root / "recorder" / "000000000001.jsonl").read_bytes())
    else:
        (root / "keeper").rmdir()
        (root / "keeper").write_bytes(b"")
        (root / "NO SERVICE").mkdir()
    watch = JournalWatch(root=root)
    watch.look()
    assert [(one.service, one.seq) for one in watch.look()] == [("recorder", 2)]


def test_nothing_is_read_again_while_no_line_was_written(
    root: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CJ-28: a look every ten seconds costs the card nothing."""
    watch = JournalWatch(root=root)
    watch.look()
    before = watch.look()

    def read(path: Path) -> list[bytes]:
        raise AssertionError(f"{path} was read again")

    monkeypatch.setattr(custody_heads, "_last_lines", read)
    assert watch.look() == before != ()
    assert watch.look() == before


@pytest.mark.parametrize("count", [MAX_HEADS, MAX_HEADS + 1])
def test_heads_are_bounded(root: Path, count: int) -> None:
    """CJ-26."""
    for number in range(count):
        begin(root, f"service-{number:02d}").close()
    watch = JournalWatch(root=root)
    watch.look()
    heads = watch.look()
    assert [one.service for one in heads] == [f"service-{number:02d}" for number in range(MAX_HEADS)]
    record = replace(told(), heads=heads).sign(KEY)
    assert len(open_heads(record, "car-1", KEY.public).heads) == MAX_HEADS


def test_there_is_nothing_to_tell_where_no_journal_is(root: Path) -> None:
    """CJ-28."""
    assert JournalWatch(root=root).look() == ()
