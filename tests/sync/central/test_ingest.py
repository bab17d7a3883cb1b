"""What comes in: quarantine, durability of parts, revocation and bounds (docs/spec/receipt.md, RC-7 to RC-10)."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from sync.central import fleet
from sync.central.incoming import MAX_AT_REST_PER_DEVICE
from sync.central.presence import EVERY_US
from sync.central.quarantine import MAX_PER_DEVICE, quarantine
from sync.link import Message
from vedette.config import IngestSection
from vedette.wire import Ack, Birth, Grant, Part, Refuse, RefuseCode, Sealed, Status

BOOT = "01890000-0000-7000-8000-000000000001"


def test_message_is_quarantined_once_when_it_is_malformed(centre: Any, device: Any, worker: Any) -> None:
    """RC-7."""
    for _ in range(3):
        worker.link.waiting.append(Message(topic=f"devices/{device.id}/init", payload=b'{"v":1}'))
    worker.step()

    (row,) = centre.store.quarantine()

    assert (row.device, row.code) == (device.id, "invalid")


def test_quarantine_stops_when_one_device_has_filled_its_share(centre: Any, device: Any) -> None:
    """RC-7. At the limit the row is kept, past it not; another device is not touched by it."""
    for number in range(MAX_PER_DEVICE + 1):
        quarantine(centre.store, device.id, None, RefuseCode.INVALID, f"complaint {number}", b"x" * 70_000)
    quarantine(centre.store, "car-2", None, RefuseCode.INVALID, "complaint")

    counts = centre.store.db.execute(
        "SELECT device, count(*), max(length(evidence)) FROM quarantine GROUP BY 1 ORDER BY 1"
    ).fetchall()

    assert counts == [("car-1", MAX_PER_DEVICE, 65536), ("car-2", 1, None)]
    assert centre.store.counts().quarantine_dropped == 1


@pytest.mark.embedded
def test_parts_are_synced_and_committed_when_they_are_acknowledged(
    centre: Any, device: Any, worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RC-8. fdatasync first, then the row, then the ack."""
    order: list[str] = []
    real, connect = os.fdatasync, centre.store._connect

    def fdatasync(descriptor: int) -> None:
        order.append("data")
        real(descriptor)

    def statement(sql: str) -> None:
        order.extend(word for word in ("INSERT INTO transfers", "COMMIT") if sql.startswith(word))

    def connect_traced() -> Any:  # rows of bulk are written over a connection of their own
        database = connect()
        database.conn.set_trace_callback(statement)
        return database

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    monkeypatch.setattr(centre.store, "_connect", connect_traced)
    item = device.item(b"video" * 9_000)
    worker.say(device.id, item.init())

    (answer,) = worker.say(device.id, *item.parts())

    assert isinstance(answer, Ack) and answer.ranges == ((0, len(item.parts()) - 1),)
    assert order == ["data", "INSERT INTO transfers", "COMMIT"]


def test_connection_for_bulk_carries_parts_and_nothing_else(centre: Any, device: Any, worker: Any) -> None:
    """WI-59. RC-7: what it says besides is refused as no topic of this protocol, its parts are its device's."""
    item = device.item(b"video" * 20_000)
    for message in (item.init(), item.fin(), Birth(online=True, boot=BOOT, software="x", list_version=0, utc_us=1)):
        ending = "/centre" if message.name == "fin" else ""
        topic = f"devices/{device.id}.bulk/{message.name}{ending}"
        worker.link.waiting.append(Message(topic=topic, payload=message.encode()))
    worker.step()
    assert worker.link.take() == []
    worker.say(device.id, item.init())
    for part in item.parts():
        topic = f"devices/{device.id}.bulk/part/centre"
        worker.link.waiting.append(Message(topic=topic, payload=part.encode()))
    worker.step()
    assert [type(answer) for answer in worker.link.take()] == [Ack]

    (answer,) = worker.say(device.id, item.fin())

    assert isinstance(answer, Sealed)
    assert centre.store.quarantine() == []


def test_upload_goes_on_where_it_was_when_the_worker_is_killed(centre: Any, device: Any, worker: Any) -> None:
    """RC-8. What was acknowledged is granted as had, nothing else."""
    item = device.item(b"video" * 20_000)
    parts = item.parts()
    worker.say(device.id, item.init())
    worker.say(device.id, parts[0], parts[1], parts[3])
    worker.restart()

    (grant,) = worker.say(device.id, item.init())

    assert isinstance(grant, Grant) and grant.have == ((0, 1), (3, 3))
    worker.say(device.id, *(part for part in parts if part.index not in (0, 1, 3)))
    assert isinstance(worker.say(device.id, item.fin())[0], Sealed)


def test_upload_begins_anew_when_its_bytes_are_gone(centre: Any, device: Any, worker: Any) -> None:
    """RC-8. The row alone is no promise."""
    item = device.item(b"video" * 9_000)
    worker.say(device.id, item.init())
    worker.say(device.id, *item.parts())
    worker.restart()
    (centre.folder / "incoming" / fleet.CENTRE_ID / f"{item.id}.part").unlink()

    (grant,) = worker.say(device.id, item.init())

    assert isinstance(grant, Grant) and grant.have == ()


def test_duplicates_change_nothing_when_parts_and_fin_come_twice(centre: Any, device: Any, worker: Any) -> None:
    """RC-3, RC-8."""
    item = device.item(b"video" * 9_000)
    worker.say(device.id, item.init(), item.init())
    worker.say(device.id, *item.parts(), *item.parts())

    answers = worker.say(device.id, item.fin(), item.fin())

    assert isinstance(answers[0], Sealed)
    assert centre.store.log_size() == 1


@pytest.mark.embedded
def test_hit_waits_behind_no_crowd_of_uploads_that_begin(centre: Any, worker: Any) -> None:
    """WI-68: of those only a few are opened at a time, after what is urgent was receipted; all are in the end."""
    crowd = [centre.device(f"car-{number:02d}") for number in range(20)]
    segments = [(one, one.item(b"video" * 9_000)) for one in crowd]
    hit = crowd[0].hit()
    for one, segment in segments:
        worker.link.hear(one.id, segment.init())
    worker.link.hear(crowd[0].id, hit.init(), *hit.parts(), hit.fin())

    worker.ingest.step(centre.clock.mono_us())

    said = worker.link.take()
    kinds = [type(one).__name__ for one in said if not (isinstance(one, Grant) and one.item == hit.id)]
    assert kinds.index("Sealed") == 0
    assert 0 < kinds.count("Grant") < 10
    worker.step()
    granted = {one.item for one in [*said, *worker.link.take()] if isinstance(one, Grant)}
    assert granted >= {segment.id for _, segment in segments}


def test_upload_that_was_not_begun_is_forgotten_with_its_revoked_device(centre: Any, worker: Any) -> None:
    """RC-9, WI-68."""
    crowd = [centre.device(f"car-{number:02d}") for number in range(8)]
    for one in crowd:
        worker.link.hear(one.id, one.item(b"video" * 9_000).init())
    worker.ingest.step(centre.clock.mono_us())
    waiting = worker.ingest.counters["asked"]
    worker.link.take()
    fleet.revoke(centre.store, crowd[-1].id)

    worker.step()

    assert waiting > 1
    assert len([one for one in worker.link.take() if isinstance(one, Grant)]) == waiting - 1


def test_nothing_is_taken_when_the_device_is_not_enrolled(centre: Any, worker: Any) -> None:
    """RC-9."""
    stranger = centre.stranger()
    item = stranger.item(b"video")

    (answer,) = worker.say(stranger.id, item.init())

    assert isinstance(answer, Refuse) and answer.code is RefuseCode.REVOKED
    assert centre.store.items() == []


def test_upload_is_let_go_when_the_device_is_revoked(centre: Any, device: Any, worker: Any) -> None:
    """RC-9. Within two seconds, in the middle of an upload, and its certificate is on the list."""
    item = device.item(b"video" * 9_000)
    worker.say(device.id, item.init())
    worker.say(device.id, item.parts()[0])
    fleet.revoke(centre.store, device.id)
    centre.clock.advance(2_000_000)
    worker.step()
    (told,) = worker.link.take()
    assert isinstance(told, Refuse) and (told.item, told.code) == (item.id, RefuseCode.REVOKED)

    answers = worker.say(device.id, *item.parts()[1:], item.fin(), item.init())

    assert [answer.code for answer in answers] == [RefuseCode.REVOKED]
    assert centre.store.items() == []
    assert worker.ingest.counters["uploads"] == 0


def test_seal_is_refused_when_the_device_was_revoked_a_moment_before(centre: Any, device: Any, worker: Any) -> None:
    """RC-9. The key is looked up again before anything is signed."""
    item = device.item(b"video")
    worker.say(device.id, item.init())
    worker.say(device.id, *item.parts())
    fleet.revoke(centre.store, device.id)

    (answer,) = worker.say(device.id, item.fin())

    assert isinstance(answer, Refuse) and answer.code is RefuseCode.REVOKED


@pytest.mark.parametrize(("size", "taken"), [(1 << 20, True), ((1 << 20) + 1, False)])
def test_item_is_refused_when_it_is_above_the_limit(
    device: Any, make_worker: Callable[[IngestSection], Any], size: int, taken: bool
) -> None:
    """RC-10. At the limit it is granted."""
    worker = make_worker(IngestSection(credit_mib=1, part_kib=16, max_item_mib=1))
    item = device.item(b"", sealed_size=size)

    (answer,) = worker.say(device.id, item.init())

    assert isinstance(answer, Grant) == taken
    assert taken or answer.code is RefuseCode.INVALID


def test_upload_is_refused_for_now_when_the_disk_is_full(
    centre: Any, device: Any, worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RC-10. Busy, nothing in quarantine, and it goes on when there is room again."""
    item = device.item(b"video")
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=1000))
        (answer,) = worker.say(device.id, item.init())
    assert isinstance(answer, Refuse) and answer.code is RefuseCode.BUSY
    assert centre.store.quarantine() == []

    assert isinstance(worker.upload(item)[0], Sealed)


@pytest.mark.parametrize("call", ["pwrite", "fdatasync"])
def test_upload_waits_when_a_write_fails(
    centre: Any, device: Any, worker: Any, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """RC-10. ENOSPC in the middle: busy, and the upload is taken up again later."""
    item = device.item(b"video" * 9_000)
    worker.say(device.id, item.init())
    with monkeypatch.context() as full:
        full.setattr(os, call, _no_space)
        answers = worker.say(device.id, *item.parts())
    assert isinstance(answers[0], Refuse) and answers[0].code is RefuseCode.BUSY

    assert isinstance(worker.upload(item)[0], Sealed)


def test_seal_waits_when_the_database_cannot_write(
    centre: Any, device: Any, worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RC-10. The blob is there already; asked again, the item is stored."""
    item = device.item(b"video" * 9_000)
    worker.say(device.id, item.init())
    worker.say(device.id, *item.parts())
    with monkeypatch.context() as full:
        full.setattr("sync.central.log.Log.append_all", _database_full)
        (answer,) = worker.say(device.id, item.fin())
    assert isinstance(answer, Refuse) and answer.code is RefuseCode.BUSY
    assert centre.store.log_size() == 0

    assert isinstance(worker.say(device.id, item.init())[0], Sealed)


@pytest.mark.embedded
def test_worker_goes_on_when_the_database_is_full(centre: Any, device: Any, worker: Any) -> None:
    """RC-10. SQLite's own SQLITE_FULL: nothing is receipted, nothing falls over, and all is well when there is room."""
    item, hit = device.item(b"video" * 9_000), device.hit()
    db = centre.store.db
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {pages}")
    filler = [None, centre.clock.utc_us(), "x", "x", "x"]
    while _fits(lambda: db.execute("INSERT INTO accesses VALUES (?, ?, ?, ?, ?, 'x')", filler)):
        pass
    answers = [*worker.upload(item), *worker.upload(hit)]
    worker.say(device.id, Birth(online=True, boot=BOOT, software="test", list_version=1, utc_us=1))
    assert not any(isinstance(answer, Sealed) for answer in answers)
    assert centre.store.items() == []

    db.execute("PRAGMA max_page_count = 1000000")

    for one in (item, hit):
        assert any(isinstance(answer, Sealed) for answer in [*worker.say(device.id, one.init()), *worker.upload(one)])
    worker.step()
    assert len(centre.store.hits()) == 1


def test_oldest_unfinished_upload_goes_when_a_device_has_too_many(centre: Any, device: Any, worker: Any) -> None:
    """RC-10."""
    items = [device.item(b"video") for _ in range(MAX_AT_REST_PER_DEVICE + 1)]
    for item in items:
        worker.restart()
        worker.say(device.id, item.init())
        worker.say(device.id, item.parts()[0])

    left = {path.stem for path in (centre.folder / "incoming" / fleet.CENTRE_ID).iterdir()}

    assert left == {item.id for item in items[1:]}


def test_device_is_shown_online_when_its_birth_arrives(centre: Any, device: Any, worker: Any) -> None:
    birth = Birth(online=True, boot=BOOT, software="test", list_version=3, utc_us=1)
    worker.say(device.id, birth, Status(utc_us=2, counters={"waiting": 4, "network": "lte"}))

    row = centre.store.device(device.id)

    assert (row.online, row.list_version, row.status) == (True, 3, {"waiting": 4, "network": "lte"})
    worker.say(device.id, Birth(online=False, boot=BOOT, software="test", list_version=3, utc_us=1))
    assert not centre.store.device(device.id).online


def test_counters_of_devices_are_written_a_few_times_a_second(centre: Any, device: Any, worker: Any) -> None:
    """Each commit holds up the hits that come behind it; what a device counts is no hurry."""
    shown: list[object] = []
    for waiting in range(8):
        worker.say(device.id, Status(utc_us=2, counters={"waiting": waiting}))
        shown.append(centre.store.device(device.id).status["waiting"])
    assert EVERY_US == 250_000  # and a step of this worker is 50 ms
    assert shown == [0, 0, 0, 0, 0, 5, 5, 5]


def test_part_of_an_unknown_item_is_answered_when_the_worker_was_restarted(device: Any, worker: Any) -> None:
    part = Part(item=BOOT, index=0, payload=b"x")

    (answer,) = worker.say(device.id, part)

    assert isinstance(answer, Refuse) and answer.code is RefuseCode.UNKNOWN_ITEM


def _fits(insert: Callable[[], object]) -> bool:
    try:
        insert()
    except sqlite3.OperationalError:
        return False
    return True


def _no_space(*_: Any) -> None:
    raise OSError(28, "No space left on device")


def _database_full(*_: Any) -> None:
    raise sqlite3.OperationalError("database or disk is full")
