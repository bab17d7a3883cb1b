"""What only a PostgreSQL can do to a case: go away, hang in a transaction, be somebody else's or an unsafe one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from waiting import until

from sync.central.database import ALONE, StoreAway
from sync.central.log import Log
from vedette.errors import Refused
from vedette.wire import Refuse, RefuseCode, Sealed

psycopg = pytest.importorskip("psycopg")
pytest.importorskip("botocore")

from sync.central import postgres as adapter  # noqa: E402


def test_store_goes_on_when_the_database_was_started_again(far: Any, postgres: Any) -> None:
    """CS-5."""
    far.store.note_access("chief", "before", "x")
    with pytest.raises(StoreAway), far.store.writing() as db:
        db.execute("INSERT INTO accesses (at_us, user, action, subject, reason) VALUES (1, 'a', 'lost', 'c', 'd')")
        postgres.stop()
        postgres.start()
        db.execute("INSERT INTO accesses (at_us, user, action, subject, reason) VALUES (1, 'a', 'lost', 'c', 'd')")

    assert [row.action for row in far.store.accesses()] == ["before"]
    with far.store.writing():
        far.store.note_access("chief", "after", "x")
    assert [row.action for row in far.store.accesses()] == ["after", "before"]


def test_device_is_told_to_try_later_when_the_database_is_away(far: Any, postgres: Any, make_worker: Any) -> None:
    """CS-5. Nothing is receipted, nothing falls over, nothing is asked for twice; then all is well."""
    from vedette.config import IngestSection

    device = far.device()
    worker = make_worker(IngestSection(credit_mib=1, part_kib=16, max_item_mib=4))
    item = device.item(b"video" * 9_000)
    worker.say(device.id, item.init())
    worker.say(device.id, *item.parts())

    postgres.stop()
    answers = worker.say(device.id, item.fin())
    postgres.start()

    assert [one.code for one in answers if isinstance(one, Refuse)] in ([RefuseCode.BUSY], [])
    assert not any(isinstance(one, Sealed) for one in answers)
    again = worker.say(device.id, item.init()) + worker.say(device.id, item.fin())
    assert any(isinstance(one, Sealed) for one in again)
    assert far.store.log_size() == 1


def test_append_only_tables_cannot_be_emptied_when_they_are_truncated(far: Any) -> None:
    """CS-6."""
    for table in ("items", "leaves", "subtrees", "checkpoints", "decisions", "custody_lines", "accesses"):
        with pytest.raises(psycopg.IntegrityError, match="append-only"):
            far.store.db.execute(f"TRUNCATE {table} CASCADE")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://vedette@db.example/case", "sslmode=verify-full"),
        ("postgresql://vedette@db.example/case?sslmode=require", "sslmode=verify-full"),
        ("postgresql://vedette:secret@127.0.0.1/case", "keys/pgpass"),
        ("mysql://db.example/case", "not one of PostgreSQL"),
    ],
)
def test_database_is_refused_when_its_address_is_not_safe(url: str, says: str) -> None:
    """CS-6."""
    with pytest.raises(Refused, match=says) as caught:
        adapter.settings_of(url)
    assert "secret" not in str(caught.value)


def test_database_of_another_machine_is_taken_when_it_is_known_and_encrypted(tmp_path: Path) -> None:
    """CS-6."""
    (tmp_path / "pgpass").write_text("*:*:*:*:secret")

    settings = adapter.settings_of("postgresql://v@db.example/case?sslmode=verify-full", tmp_path / "pgpass")

    assert settings["passfile"] == str(tmp_path / "pgpass")


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
def test_database_is_refused_when_a_power_cut_would_lose_commits(postgres: Any, setting: str) -> None:
    """CS-2."""
    url = postgres.database()
    postgres.sql(f"ALTER SYSTEM SET {setting} = off")
    try:
        postgres.sql("SELECT pg_reload_conf()")
        until(lambda: _refused(url), "the refusal")
    finally:
        postgres.sql(f"ALTER SYSTEM RESET {setting}")
        postgres.sql("SELECT pg_reload_conf()")
        until(lambda: not _refused(url), "the database to be as it was")


def test_database_is_refused_when_it_is_not_utf_8(postgres: Any) -> None:
    """CS-6."""
    with pytest.raises(Refused, match="UTF8"):
        adapter.Postgres(postgres.database("LATIN1"))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_lock_is_given_back_when_a_worker_vanishes_in_a_transaction(
    far: Any, postgres: Any, how: signal.Signals
) -> None:
    """CS-4. The process that holds the log's lock dies, or is heard of no more as if its cable had been cut; whoever
    waits for the lock gets it before it would give up."""
    url = far.store.db._settings["dbname"]
    code = (
        "import sys, time; from sync.central.postgres import Postgres\n"
        f"db = Postgres('postgresql://vedette@127.0.0.1:{postgres.port}/{url}'); db.execute('{ALONE}')\n"
        "print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        holder.send_signal(how)
        try:
            with far.store.writing() as db:
                assert db.execute("SELECT 1").fetchone() == (1,)
        finally:
            holder.kill()


def test_many_processes_keep_one_log_when_some_are_killed(far: Any) -> None:
    """CS-3 and CS-4. kill -9 of four workers at moments of their own; what was answered is there, once."""
    device = far.device()
    items = [device.item(os.urandom(30)) for _ in range(60)]
    folder = far.folder.parent / "items"
    folder.mkdir()
    for item in items:
        (folder / item.id).write_bytes(item.manifest_bytes)
    workers = [_accepting(far, folder, number) for number in range(4)]
    told: set[str] = set()
    for number, worker in enumerate(workers):
        assert worker.stdout is not None
        for _ in range(3 + 5 * number):
            told.add(worker.stdout.readline().decode().strip())
        worker.kill()
        told |= {line.decode().strip() for line in worker.stdout if line.endswith(b"\n")}
        worker.wait()

    log, rows = Log(far.store.db), far.store.items(limit=500)
    assert told <= {row.item for row in rows} and len(told) > 20
    assert sorted(row.log_index for row in rows) == list(range(len(rows))) and log.size == len(rows)
    assert len({far.store.receipt(row.item) for row in rows}) == len(rows)


def test_second_centre_process_waits_for_tables_when_both_make_them(postgres: Any) -> None:
    """CS-5."""
    from sync.central import schema

    url, errors = postgres.database(), []

    def make() -> None:
        try:
            db = adapter.Postgres(url)
            adapter.migrate(db, schema.migrations.steps)
            db.close()
        except Exception as error:
            errors.append(error)

    both = [threading.Thread(target=make) for _ in range(4)]
    for one in both:
        one.start()
    for one in both:
        one.join()

    assert errors == []


def _refused(url: str) -> bool:
    try:
        adapter.Postgres(url).close()
    except Refused as error:
        assert "power cut" in str(error)
        return True
    return False


def _accepting(centre: Any, folder: Path, number: int) -> subprocess.Popen[bytes]:
    """A process that stores all items in an order of its own and says each when it is receipted."""
    code = (
        "import random, sys; from pathlib import Path\n"
        "from sync.central.receipts import Signer, accept; from sync.central.store import Store\n"
        "from vedette.keys import SigningKey; from vedette.records import peek_manifest\n"
        f"centre, folder = Path({str(centre.folder)!r}), Path({str(folder)!r})\n"
        f"signer = Signer(origin={centre.signer.origin!r}, key=SigningKey.load(centre / 'keys' / 'centre.pem'))\n"
        "store, paths = Store(centre), sorted(folder.iterdir())\n"
        f"random.Random({number}).shuffle(paths)\n"
        "for path in paths:\n"
        "    record = path.read_bytes()\n"
        "    accept(store, signer, peek_manifest(record), record)\n"
        "    print(path.name, flush=True)\n"
    )
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
