"""What the store answers, and what nobody may change in it."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sync.central.rows import HIT_STATES
from sync.central.store import MAX_ROWS, Store
from vedette.clock import uuid7
from vedette.errors import NotFound, Refused


def test_items_come_newest_first_when_listed_in_pages(centre: Any, device: Any, worker: Any) -> None:
    ids = [item.id for item in (device.item(bytes([n])) for n in range(5)) if worker.upload(item)]

    first = [row.item for row in centre.store.items(limit=2)]
    second = [row.item for row in centre.store.items(limit=2, after=first[-1])]

    assert first + second == ids[:0:-1]
    assert len(centre.store.items(limit=10 * MAX_ROWS)) == 5
    assert len(centre.store.items(limit=0)) == 1


def test_segments_are_summed_up_when_they_share_a_recording(centre: Any, device: Any, worker: Any) -> None:
    recording = uuid7(centre.clock)
    for sequence in (1, 0, 2):
        worker.upload(device.item(b"x", recording=recording, sequence=sequence, complete=sequence < 2))

    (row,) = centre.store.recordings()

    assert (row.recording, row.segments, row.complete) == (recording, 3, False)
    assert [segment.sequence for segment in centre.store.segments(recording)] == [0, 1, 2]
    assert len(centre.store.items(recording=recording)) == 3


@pytest.mark.parametrize("call", ["item", "hit", "device", "receipt", "manifest", "proof", "segments", "enrolment"])
def test_store_says_not_found_when_there_is_none(centre: Any, call: str) -> None:
    with pytest.raises(NotFound):
        getattr(centre.store, call)("01890000-0000-7000-8000-000000000001")


def test_checkpoint_is_not_found_when_the_log_is_empty(centre: Any) -> None:
    with pytest.raises(NotFound):
        centre.store.checkpoint()


def test_store_is_not_found_when_the_folder_is_another(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="central init"):
        Store(tmp_path)


def test_hit_keeps_every_step_when_people_decide(centre: Any, device: Any, worker: Any) -> None:
    worker.upload(device.hit())
    hit = centre.store.hits()[0].hit
    for state in HIT_STATES:
        centre.store.decide_hit(hit, state, "chief", f"now {state}")

    steps = centre.store.decisions(hit)

    assert [step.state for step in steps] == list(HIT_STATES)
    assert [step.previous for step in steps] == ["open", *HIT_STATES[:-1]]
    row = centre.store.hits(state="dismissed")[0]
    assert (row.state, row.decided_by) == ("dismissed", "chief")
    assert centre.store.hits(state="open") == []


@pytest.mark.parametrize(("state", "note"), [("sure", ""), ("confirmed", "x" * 2001)])
def test_decision_is_refused_when_it_is_not_one(centre: Any, device: Any, worker: Any, state: Any, note: str) -> None:
    worker.upload(device.hit())

    with pytest.raises(Refused):
        centre.store.decide_hit(centre.store.hits()[0].hit, state, "chief", note)


@pytest.mark.parametrize(
    "table", ["items", "leaves", "checkpoints", "custody_lines", "decisions", "accesses", "quarantine"]
)
def test_rows_cannot_be_changed_or_deleted_when_they_are_evidence(
    centre: Any, device: Any, worker: Any, table: str
) -> None:
    journal = device.journal()
    path = journal.roll()
    worker.upload(device.custody(path))
    worker.upload(device.hit())
    centre.store.decide_hit(centre.store.hits()[0].hit, "confirmed", "chief")
    centre.store.note_access("chief", "open", "item")
    worker.say(device.id, device.item(b"").init(size=99))
    db = centre.store.db
    column = db.execute(f"SELECT * FROM {table} LIMIT 1").description[0][0]
    assert db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] > 0

    for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET {column} = {column}"):
        with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError), match="append-only"):
            db.execute(statement)


def test_counts_change_their_revision_when_something_arrives(centre: Any, device: Any, worker: Any) -> None:
    before = centre.store.counts()
    worker.upload(device.hit())

    after = centre.store.counts()

    assert (after.items, after.hits, after.open_hits) == (1, 1, 1)
    assert before.revision != after.revision


def test_store_answers_every_thread_when_shared(centre: Any, device: Any, worker: Any) -> None:
    worker.upload(device.hit())
    seen: list[int] = []
    threads = [threading.Thread(target=lambda: seen.append(len(centre.store.hits()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen == [1] * 4


def test_accesses_are_listed_when_noted(centre: Any) -> None:
    centre.store.note_access("chief", "open", "item-1", "court order 7")
    centre.store.note_access("chief", "open", "item-2")

    (row,) = centre.store.accesses("item-1")

    assert (row.user, row.action, row.reason) == ("chief", "open", "court order 7")
    assert len(centre.store.accesses()) == 2
