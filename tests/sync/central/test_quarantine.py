"""What did not verify is kept or counted, never lost silently: docs/spec/case-store.md, CS-18, CS-19 and CS-21."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sync.central import fleet, quarantine, schema
from sync.central.database import StoreAway
from sync.central.depot_desk import Desk
from sync.central.medium import take_in
from sync.central.places import places_of
from sync.central.rows import QuarantineCount
from sync.central.store import Store
from sync.central.tally import EVERY_US, MAX_WAITING, Tally
from sync.central.worker import Worker
from sync.link import Message
from sync.medium import FOLDER
from vedette import canonical
from vedette.clock import SystemClock
from vedette.errors import Integrity, NotFound
from vedette.wire import RefuseCode, Sealed

CAP = quarantine.MAX_PER_DEVICE
OLD_ROW = (5, "car-1", None, "invalid", "said 'x' 100 % ?", b"\x00kept")


def totals(store: Store, device: str | None = None) -> tuple[int, int, int]:
    """(rows, repeated, dropped) as they are in the database."""
    counted = quarantine.all_counts(store, device)
    repeated, dropped = (
        sum(one.times for one in counted if one.outcome == outcome) for outcome in ("repeated", "dropped")
    )
    return quarantine.kept_rows(store, device), repeated, dropped


def complain(store: Store, text: str, device: str = "car-1", **changed: Any) -> None:
    evidence = changed.get("evidence", b"sent")
    quarantine.quarantine(store, device, changed.get("item"), changed.get("code", RefuseCode.INVALID), text, evidence)


def test_flood_of_a_hostile_device_is_counted_to_the_last_message(centre: Any, device: Any, worker: Any) -> None:
    """RC-7, CS-18. Its rows are bounded, others have theirs, and nothing it sent is missing from the sums."""
    other, fields = centre.device("car-2"), canonical.loads(device.item(b"video").init().encode())
    said = [canonical.dumps({**fields, f"x{number}": 1}) for number in range(CAP + 50)]
    for payload in [*said, *said[:30], *said[:30]]:
        worker.link.waiting.append(Message(topic=f"devices/{device.id}/init", payload=payload))
    worker.step()
    worker.say(other.id, other.item(b"").init(size=99))
    began_us = centre.clock.utc_us()
    centre.clock.advance(EVERY_US)
    worker.step()

    assert totals(centre.store, device.id) == (CAP, 60, 50)
    assert totals(centre.store, other.id) == (1, 0, 0)
    assert totals(centre.store) == (CAP + 1, 60, 50)
    found = [(one.code, one.outcome, one.times) for one in quarantine.counts(centre.store)]
    assert found == [("invalid", "dropped", 50), ("invalid", "repeated", 60)]
    assert all(one.first_us <= one.last_us <= began_us for one in quarantine.counts(centre.store))
    assert isinstance(worker.upload(device.hit())[0], Sealed)


def test_rows_and_counts_add_up_when_workers_share_the_store(centre: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """CS-18. No complaint twice, no row above the share, each of them in the sums once."""
    monkeypatch.setattr(quarantine, "MAX_PER_DEVICE", 20)

    def flood(worker: int) -> None:
        store = Store(centre.folder, centre.clock)
        for number in range(60):
            complain(store, f"complaint {(number + worker * 5) % 30}")
        quarantine.write_counts(store)
        store.close()

    with ThreadPoolExecutor(4) as workers:
        list(workers.map(flood, range(4)))  # raises what any of them met

    kept, repeated, dropped = totals(centre.store)
    assert kept == len({row.text for row in centre.store.quarantine()}) == 20
    assert kept + repeated + dropped == 4 * 60
    assert repeated >= 20 and dropped >= 4 * 20


@pytest.mark.parametrize("kept", [CAP - 1, CAP])
def test_share_is_full_at_its_last_row(centre: Any, kept: int) -> None:
    """RC-7, CS-18."""
    with centre.store.writing() as db:
        sql = "INSERT INTO quarantine (received_us, device, code, text) VALUES (1, 'car-1', 'invalid', ?)"
        db.execute_many(sql, [[f"old {number}"] for number in range(kept)])

    complain(centre.store, "one more")

    assert totals(centre.store) == (CAP, 0, kept + 1 - CAP)


@pytest.mark.parametrize(
    "changed",
    [{"device": "car-2"}, {"item": "01890000-0000-7000-8000-000000000001"}, {"code": RefuseCode.MISMATCH}, {}],
)
def test_complaint_is_the_same_when_device_item_code_and_words_are(centre: Any, changed: dict[str, Any]) -> None:
    """CS-18. Other bytes with it make no other complaint; words beyond 1,000 characters neither."""
    complain(centre.store, "é" * quarantine.MAX_TEXT_CHARACTERS)
    complain(centre.store, "é" * quarantine.MAX_TEXT_CHARACTERS + "!", **{"evidence": b"other", **changed})

    assert totals(centre.store) == ((2, 0, 0) if changed else (1, 1, 0))
    assert len(centre.store.quarantine()[0].text) == quarantine.MAX_TEXT_CHARACTERS


@pytest.mark.parametrize("length", [1, quarantine.INDEXED_CHARACTERS - 1, quarantine.INDEXED_CHARACTERS, 999])
def test_complaint_is_another_when_its_last_character_is(centre: Any, length: int) -> None:
    """CS-18. However long its words are, and with a zero character in them, which not every database holds."""
    for ending in ("a", "b", "\0", "a", "\0"):
        complain(centre.store, "é" * length + ending)
    quarantine.write_counts(centre.store)

    assert totals(centre.store) == (3, 2, 0)


def test_count_is_written_at_once_and_then_once_a_second(centre: Any, worker: Any) -> None:
    """CS-18. A worker that ends, too, writes what it counted."""
    store, clock, seen = centre.store, centre.clock, []
    clock.advance(EVERY_US)
    for _ in range(6):
        complain(store, "again")
        seen.append(totals(store)[1])
    clock.advance(EVERY_US - 1)
    quarantine.settle(store)
    seen.append(totals(store)[1])
    clock.advance(1)
    quarantine.settle(store)
    complain(store, "again")

    assert (seen, totals(store)[1]) == ([0, 1, 1, 1, 1, 1, 1], 5)
    worker.ingest.close()
    assert totals(store)[1] == 6


def test_further_worker_writes_its_counts_when_a_second_passed_or_it_ends(
    centre: Any, device: Any, worker: Any
) -> None:
    """CS-18."""
    link = worker.link.__class__()
    further = Worker(centre.store, link, centre.signer, worker.limits, "w2")
    said = [Message(topic=f"devices/{device.id}/init", payload=b"{}")] * 4
    link.waiting += said
    further.step(centre.clock.mono_us())
    assert totals(centre.store) == (1, 1, 0)
    centre.clock.advance(EVERY_US)
    further.step(centre.clock.mono_us())
    assert totals(centre.store) == (1, 3, 0)
    link.waiting += said
    further.step(centre.clock.mono_us())

    further.close()

    assert totals(centre.store) == (1, 7, 0)


def test_depot_s_desk_writes_its_counts_when_it_ends(centre: Any, device: Any, worker: Any) -> None:
    """CS-18."""
    init = centre.stranger().item(b"video").init()
    desk = Desk(centre.store, centre.signer, worker.limits, SystemClock())

    async def knock() -> None:
        desk.start()
        for _ in range(4):
            async with desk.talk("car-9", init.item) as talk:
                await talk.ask(init)
        desk.stop()

    asyncio.run(knock())

    assert totals(centre.store) == (1, 3, 0)


def test_import_of_a_medium_writes_its_counts_when_it_ends(centre: Any, tmp_path: Path) -> None:
    """CS-18."""
    for number in range(3):
        (tmp_path / "stick" / FOLDER / f"car-{number}").mkdir(parents=True)
    for _ in range(4):
        take_in(centre.store, centre.signer, tmp_path / "stick", max_item_bytes=1 << 20)

    assert totals(centre.store) == (3, 9, 0)


def test_counts_wait_when_the_database_does_not_take_them(centre: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """CS-18. None is lost, and none is written twice."""
    complain(centre.store, "again")
    with monkeypatch.context() as away:
        away.setattr(centre.store, "adding", _away)
        for _ in range(3):
            centre.clock.advance(EVERY_US)
            with pytest.raises(StoreAway):
                complain(centre.store, "again")
    assert totals(centre.store) == (1, 0, 0)

    centre.clock.advance(EVERY_US)
    quarantine.settle(centre.store)
    quarantine.settle(centre.store)

    assert totals(centre.store) == (1, 3, 0)


def test_times_are_the_first_and_the_last_when_clocks_differ(centre: Any) -> None:
    """CS-18. Two workers, the one whose clock is behind writes last."""
    times = [1_000, 5_000, 2_000]
    for at_us in times:
        centre.store.tally.add(count_of("car-1", at_us))
        quarantine.write_counts(centre.store)

    (found,) = quarantine.counts(centre.store)

    assert (found.times, found.first_us, found.last_us) == (3, 1_000, 5_000)


def test_count_cannot_be_deleted(centre: Any) -> None:
    """CS-18."""
    complain(centre.store, "again")
    complain(centre.store, "again")

    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError), match="append-only"):
        centre.store.db.execute("DELETE FROM quarantine_counts")
    assert totals(centre.store) == (1, 1, 0)


@pytest.mark.parametrize(("sums", "given"), [(MAX_WAITING - 1, 0), (MAX_WAITING, MAX_WAITING)])
def test_tally_gives_all_out_when_many_sums_wait(sums: int, given: int) -> None:
    """CS-18. Its memory has a bound: at the last sum, none waits for the second to pass."""
    tally = Tally()
    tally.add(count_of("car-1", 1))
    assert len(tally.due(10)) == 1

    for number in range(sums):
        tally.add(count_of(f"car-{number}", 1))
        tally.add(count_of(f"car-{number}", 2))

    found = tally.due(11)
    assert len(found) == given and all(one.times == 2 for one in found)
    assert found == sorted(found, key=lambda one: one.device)


SHARE = quarantine.MAX_EVIDENCE_BYTES


@pytest.mark.parametrize("size", [0, 1, SHARE - 1, SHARE, SHARE + 1, 2 * SHARE])
def test_row_says_how_much_was_sent_when_not_all_is_kept(centre: Any, size: int) -> None:
    """RC-7, CS-19."""
    sent = bytes(number % 251 for number in range(size))
    complain(centre.store, "what is this", evidence=sent)

    (row,) = centre.store.quarantine()

    assert (row.sent_bytes, row.kept_bytes) == (size, min(size, SHARE))
    assert row.sha256 == hashlib.sha256(sent[:SHARE]).hexdigest()
    assert quarantine.kept_bytes(centre.store, row.id) == sent[:SHARE]


def test_bytes_are_refused_when_they_are_not_those_that_were_kept(centre: Any) -> None:
    """CS-20. A row without bytes has none; a row that is not there is not found."""
    complain(centre.store, "nothing sent", evidence=None)
    sql = (
        "INSERT INTO quarantine (received_us, device, code, text, sha256, evidence) VALUES (1, 'car-1', 'x', 'x', ?, ?)"
    )
    centre.store.db.execute(sql, ["ab" * 32, b"others"])
    changed, without = centre.store.quarantine()

    with pytest.raises(Integrity, match="not those that were kept"):
        quarantine.kept_bytes(centre.store, changed.id)
    assert quarantine.kept_bytes(centre.store, without.id) is None
    assert (without.sent_bytes, without.kept_bytes, without.sha256) == (None, None, None)
    with pytest.raises(NotFound):
        quarantine.kept_bytes(centre.store, changed.id + 1)


def test_rows_come_in_pages_when_they_are_many(centre: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """CS-19. All of them, of one device or of all, each once."""
    monkeypatch.setattr(quarantine, "MAX_ROWS", 3)
    for number in range(8):
        complain(centre.store, f"complaint {number}", device=f"car-{number % 2 + 1}")
    ids = [row.id for row in centre.store.quarantine()]

    pages = [quarantine.complaints(centre.store, limit=5), quarantine.complaints(centre.store, limit=5, after=ids[4])]

    assert [row.id for page in pages for row in page] == ids == sorted(ids, reverse=True)
    assert {row.device for row in quarantine.complaints(centre.store, device="car-2")} == {"car-2"}
    assert len(quarantine.complaints(centre.store, device="car-2")) == 4


def test_older_store_keeps_every_row_when_it_is_opened(tmp_path: Path, stores: str, clock_of: Any) -> None:
    """CS-21. Tables as the version before made them, with rows that it wrote."""
    folder = older_store(tmp_path, stores, clock_of)

    store = Store(folder, clock_of)

    (row,) = store.quarantine()
    assert (row.received_us, row.device, row.item, row.code, row.text) == OLD_ROW[:5]
    assert (row.sha256, row.sent_bytes, row.kept_bytes) == (None, None, 5)
    assert quarantine.kept_bytes(store, row.id) == OLD_ROW[5]
    assert totals(store) == (1, 0, 0)
    complain(store, OLD_ROW[4])
    complain(store, "another")
    assert totals(store) == (2, 1, 0)
    store.close()
    again = Store(folder, clock_of)
    assert totals(again) == (2, 1, 0)
    again.close()


@pytest.fixture
def clock_of(centre: Any) -> Any:
    return centre.clock


def older_store(folder: Path, stores: str, clock: Any) -> Path:
    """A centre whose tables are those of the version before counts, with one row in quarantine."""
    made = fleet.make_centre(folder / "older", folder / "older-keys", "older/log", clock=clock)
    (made.folder / "store.db").unlink()
    (made.folder / "store.db").touch()
    if stores:
        url = stores.split('url = "', 1)[1].split('"', 1)[0]
        with made.config.open("a") as config:
            config.write(f'\n[store]\nurl = "{fresh_database(url)}"\n')
    db: Any = places_of(made.folder, clock).connect()
    if stores:
        from sync.central import postgres

        names = [step.__name__ for step in schema.migrations.steps]
        postgres.migrate(db, schema.migrations.steps[: names.index("quarantine_counts")])
    else:
        schema.migrations.apply(db, stop_before="quarantine_counts")
    columns = "(received_us, device, item, code, text, evidence)"
    db.execute(f"INSERT INTO quarantine {columns} VALUES (?, ?, ?, ?, ?, ?)", list(OLD_ROW))
    db.close()
    return made.folder


def fresh_database(url: str) -> str:
    """An empty database on the same PostgreSQL."""
    server, _, name = url.rpartition("/")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name}_older".encode())
        connection.execute(f"CREATE DATABASE {name}_older TEMPLATE template0 ENCODING 'UTF8'".encode())
    return f"{server}/{name}_older"


def count_of(device: str, at_us: int) -> QuarantineCount:
    return QuarantineCount(device=device, code="invalid", outcome="repeated", times=1, first_us=at_us, last_us=at_us)


def _away(*_: object) -> Callable[[], None]:
    raise StoreAway("the database is away")
