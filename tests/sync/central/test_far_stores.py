"""What only a PostgreSQL and an S3 store can do to a case: go away, give back other bytes, be somebody else's."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sync.central import fleet, moving
from sync.central.adopting import Adopting
from sync.central.children import take_lock
from sync.central.database import ALONE, StoreAway
from sync.central.log import Log
from sync.central.places import DATABASE, MOVED
from sync.central.store import Store
from sync.receiver import Seal
from vedette import cli
from vedette.errors import Integrity, NotFound, Refused
from vedette.wire import Refuse, RefuseCode, Sealed

psycopg = pytest.importorskip("psycopg")
pytest.importorskip("botocore")

from sync.central import postgres as adapter  # noqa: E402
from sync.central.s3_blobs import PART_BYTES, S3Blobs, place_of  # noqa: E402
from vedette.config import BlobsSection  # noqa: E402


@pytest.fixture
def scaled(postgres: Any, make_bucket: Callable[..., Any]) -> str:
    return f'[store]\nurl = "{postgres.database()}"\n\n{make_bucket().toml}'


@pytest.fixture
def far(centre: Any, scaled: str) -> Any:
    """The test's centre on PostgreSQL and S3."""
    with (centre.folder / fleet.CONFIG).open("a") as config:
        config.write(f"\n{scaled}")
    centre.store.close()
    centre.store = Store(centre.folder, centre.clock)
    return centre


def s3(bucket: Any, centre: Any, **section: Any) -> S3Blobs:
    made = {"url": f"s3://{bucket.name}/x", "endpoint": bucket.endpoint, **section}
    return S3Blobs(place_of(BlobsSection(**made)), centre.clock)


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
        until(lambda: _refused(url))
    finally:
        postgres.sql(f"ALTER SYSTEM RESET {setting}")
        postgres.sql("SELECT pg_reload_conf()")
        until(lambda: not _refused(url))


def test_database_is_refused_when_it_is_not_utf_8(postgres: Any) -> None:
    """CS-6."""
    with pytest.raises(Refused, match="UTF8"):
        adapter.Postgres(postgres.database("LATIN1"))


def test_lock_is_given_back_when_a_worker_vanishes_in_a_transaction(far: Any, postgres: Any) -> None:
    """CS-4. kill -9 of a process that holds the log's lock."""
    url = far.store.db._settings["dbname"]
    code = (
        "import sys, time; from sync.central.postgres import Postgres\n"
        f"db = Postgres('postgresql://vedette@127.0.0.1:{postgres.port}/{url}'); db.execute('{ALONE}')\n"
        "print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        holder.kill()

    with far.store.writing() as db:
        assert db.execute("SELECT 1").fetchone() == (1,)


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


def test_object_keeps_its_bytes_when_it_is_there_with_others(centre: Any, make_bucket: Any) -> None:
    """CS-8. Never overwritten, never signed for."""
    bucket = make_bucket()
    blobs = s3(bucket, centre)
    sha256 = hashlib.sha256(b"evidence").hexdigest()
    key = f"x/{sha256[:2]}/{sha256}"
    bucket.client.put_object(Bucket=bucket.name, Key=key, Body=b"something else")

    with pytest.raises(StoreAway, match="other bytes"):
        blobs.put(b"evidence")

    assert bucket.client.get_object(Bucket=bucket.name, Key=key)["Body"].read() == b"something else"
    with pytest.raises(Integrity):
        blobs.read(sha256, max_bytes=100)
    with pytest.raises(Integrity), blobs.local(sha256):
        pass


class Liar(BaseHTTPRequestHandler):
    """Stands before the S3 server and changes one byte of each object on its way in, while `lies` is set."""

    server: Any

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.server.lies and body:
            body = bytes([body[0] ^ 1]) + body[1:]
        if self.server.cuts and "partNumber=2" in self.path:
            self.close_connection = True
            return
        self._pass(body)

    def do_POST(self) -> None:
        self._pass(self.rfile.read(int(self.headers.get("content-length") or 0)))

    def do_GET(self) -> None:
        self._pass(b"")

    do_HEAD = do_DELETE = do_GET  # noqa: N815

    def _pass(self, body: bytes) -> None:
        connection = http.client.HTTPConnection(self.server.behind)
        connection.request(self.command, self.path, body, dict(self.headers))
        answer = connection.getresponse()
        data = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def liar(s3_server: str) -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Liar)
    server.behind, server.lies, server.cuts = s3_server.removeprefix("http://"), False, False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_nothing_is_kept_when_the_store_of_blobs_has_other_bytes(centre: Any, make_bucket: Any, liar: Any) -> None:
    """CS-10. What was read back is not what was sent: no blob, no receipt; the next try makes it anew."""
    bucket = make_bucket()
    blobs = s3(bucket, centre, endpoint=f"http://127.0.0.1:{liar.server_address[1]}")
    liar.lies = True
    with pytest.raises(StoreAway, match="other bytes"):
        blobs.put(b"evidence")

    liar.lies = False
    sha256 = blobs.put(b"evidence")

    assert blobs.read(sha256, max_bytes=100) == b"evidence"


def test_nothing_is_seen_when_an_upload_in_parts_breaks_off(
    centre: Any, make_bucket: Any, liar: Any, tmp_path: Path
) -> None:
    """CS-8."""
    bucket = make_bucket()
    blobs = s3(bucket, centre, endpoint=f"http://127.0.0.1:{liar.server_address[1]}")
    source = tmp_path / "source"
    source.write_bytes(os.urandom(2 * PART_BYTES + 1))
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    liar.cuts = True

    with pytest.raises(StoreAway):
        blobs.adopt(source, sha256)

    assert source.exists() and not blobs.has(sha256)
    assert bucket.client.list_objects_v2(Bucket=bucket.name)["KeyCount"] == 0
    assert "Uploads" not in bucket.client.list_multipart_uploads(Bucket=bucket.name)
    liar.cuts = False
    blobs.adopt(source, sha256)
    assert blobs.holds(sha256, 2 * PART_BYTES + 1)


@pytest.mark.parametrize("size", [10, 2 * PART_BYTES + 1])
def test_object_is_locked_when_a_retention_is_configured(
    centre: Any, make_bucket: Any, tmp_path: Path, size: int
) -> None:
    """CS-11. From the day it was stored, small or in parts."""
    bucket = make_bucket(ObjectLockEnabledForBucket=True)
    blobs = s3(bucket, centre, lock_days=30, lock_mode="compliance")
    blobs.check()
    source = tmp_path / "source"
    source.write_bytes(os.urandom(size))
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()

    blobs.adopt(source, sha256)

    held = bucket.client.head_object(Bucket=bucket.name, Key=f"x/{sha256[:2]}/{sha256}")
    until_us = datetime.fromtimestamp(centre.clock.utc_us() // 1_000_000, timezone.utc) + timedelta(days=30)
    assert (held["ObjectLockMode"], held["ObjectLockRetainUntilDate"]) == ("COMPLIANCE", until_us)


def test_bucket_is_refused_when_it_cannot_lock(centre: Any, make_bucket: Any) -> None:
    """CS-11."""
    bucket = make_bucket()
    s3(bucket, centre).check()

    with pytest.raises(Refused, match="object lock"):
        s3(bucket, centre, lock_days=30).check()


def test_store_of_blobs_is_away_when_its_bucket_or_server_is_not_there(centre: Any, make_bucket: Any) -> None:
    """CS-5."""
    bucket = make_bucket()
    for away in (s3(bucket, centre, url="s3://not-there"), s3(bucket, centre, endpoint="http://127.0.0.1:1")):
        for ask in (away.check, partial(away.put, b"x")):
            with pytest.raises((StoreAway, NotFound)):
                ask()


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"url": "https://bucket/x"}, "s3://bucket/prefix"),
        ({"url": "s3://B_AD/x"}, "s3://bucket/prefix"),
        ({"url": "s3://bucket", "endpoint": "http://s3.example"}, "must be https"),
        ({"url": "s3://bucket", "endpoint": "http://localhost.example"}, "must be https"),
    ],
)
def test_store_of_blobs_is_refused_when_its_address_is_not_safe(section: dict[str, str], says: str) -> None:
    """CS-6."""
    with pytest.raises(Refused, match=says):
        place_of(BlobsSection(**section))


def test_a_hit_is_kept_when_recordings_fill_the_way(device: Any) -> None:
    """CS-11. Its bytes have threads of their own."""

    class Far:
        is_far = True

    adopting, gate, kept = Adopting(Far()), threading.Event(), threading.Event()  # type: ignore[arg-type]
    recordings = [device.item(b"video") for _ in range(20)]
    for one in recordings:
        adopting.begin(Seal(device=device.id, init=one.init()), partial(_wait, gate))
    adopting.begin(Seal(device=device.id, init=device.hit().init()), kept.set)

    assert kept.wait(60)
    until(lambda: adopting.done(50) != [])
    gate.set()
    until(lambda: not adopting.done(50) and not len(adopting))


def test_centre_goes_on_with_everything_when_it_is_moved(
    centre: Any, device: Any, worker: Any, scaled: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """CS-13."""
    for item in (device.item(b"video" * 5_000), device.hit(), device.custody(device.journal().roll())):
        worker.upload(item)
    centre.store.decide_hit(centre.store.hits()[0].hit, "confirmed", "chief", "ü ? %")
    centre.store.add_user("chief", "correct horse", "admin")
    worker.say(device.id, device.item(b"").init(size=99))
    before = _everything(centre.store)
    centre.store.close()
    with (centre.folder / fleet.CONFIG).open("a") as config:
        config.write(f"\n{scaled}")
    with pytest.raises(Refused, match="central move"):
        Store(centre.folder, centre.clock)

    assert cli.main(["central", "move", str(centre.folder), "--json"]) == 0

    moved = json.loads(capsys.readouterr().out)
    assert (moved["leaves"], moved["blobs"]) == (3, 3)
    assert not (centre.folder / DATABASE).exists() and (centre.folder / MOVED).is_file()
    centre.store = Store(centre.folder, centre.clock)
    assert _everything(centre.store) == before
    worker.restart()
    worker.upload(device.hit())
    centre.store.note_access("chief", "open", "x")
    assert centre.store.log_size() == 4 and len(centre.store.hits()) == 2


def test_move_goes_on_when_it_was_killed_before_the_old_rows_were_put_away(
    centre: Any, device: Any, worker: Any, scaled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CS-13."""
    worker.upload(device.item(b"video"))
    with (centre.folder / fleet.CONFIG).open("a") as config:
        config.write(f"\n{scaled}")
    with monkeypatch.context() as killed:
        killed.setattr(Path, "replace", _die)
        with pytest.raises(KeyboardInterrupt):
            moving.move(centre.folder, centre.clock)

    moved = moving.move(centre.folder, centre.clock)

    assert (moved.leaves, moved.blobs) == (1, 0)
    assert Store(centre.folder, centre.clock).log_size() == 1


def test_move_is_refused_when_the_centre_runs_or_has_nowhere_to_go(centre: Any, scaled: str) -> None:
    """CS-13."""
    with pytest.raises(Refused, match="nowhere to move to"):
        moving.move(centre.folder, centre.clock)
    with (centre.folder / fleet.CONFIG).open("a") as config:
        config.write(f"\n{scaled}")

    with take_lock(centre.folder / "run"), pytest.raises(Refused, match="running"):
        moving.move(centre.folder, centre.clock)
    moving.move(centre.folder, centre.clock)
    with pytest.raises(NotFound, match="moved already"):
        moving.move(centre.folder, centre.clock)


def test_move_is_refused_when_the_database_is_another_centre_s(far: Any, tmp_path: Path) -> None:
    """CS-13."""
    far.device("car-2")
    other = fleet.make_centre(tmp_path / "other", tmp_path / "other-keys", "other/log", clock=far.clock)
    text = (far.folder / fleet.CONFIG).read_text()
    with other.config.open("a") as config:
        config.write(text[text.index("\n[store]") :])

    with pytest.raises(Integrity, match="PostgreSQL"):
        moving.move(other.folder, far.clock)

    assert (other.folder / DATABASE).is_file()


def test_embedded_centre_needs_no_package_of_the_larger_parts(centre: Any) -> None:
    """CS-12."""
    code = (
        "import sys; from pathlib import Path; from sync.central.store import Store\n"
        f"Store(Path({str(centre.folder)!r})).devices(); import sync.central.commands, sync.central.service\n"
        "print(sorted({'psycopg', 'botocore', 'boto3'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)

    assert done.stdout.strip() == "[]"


def test_package_and_extra_are_named_when_they_are_not_installed(centre: Any, scaled: str) -> None:
    """CS-12."""
    with (centre.folder / fleet.CONFIG).open("a") as config:
        config.write(f"\n{scaled}")
    code = (
        "import sys; sys.modules['psycopg'] = None; from vedette.cli import main\n"
        f"raise SystemExit(main(['central', 'status', {str(centre.folder)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == NotFound.exit_code, done.stderr
    assert "vedette[central-scale]" in done.stderr and "Traceback" not in done.stderr


def until(fact: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not fact():
        assert time.monotonic() < end
        time.sleep(0.02)


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


def _everything(store: Store) -> list[object]:
    log = Log(store.db)
    return [
        store.items(),
        store.hits(),
        store.devices(),
        store.counts(),
        store.chains(),
        store.quarantine(),
        store.users(),
        store.decisions(store.hits()[0].hit),
        store.checkpoint(),
        [store.receipt(row.item) for row in store.items()],
        [store.proof(row.item) for row in store.items()],
        [store.blobs.read(row.sealed_sha256, max_bytes=1 << 20) for row in store.items()],
        list(log.leaves(0, log.size)),
        [bytes(line) for line in store.custody_lines("car-1", "recorder")],
        store.check_password("chief", "correct horse"),
    ]


def _wait(gate: threading.Event) -> None:
    gate.wait(60)


def _die(*_: object) -> None:
    raise KeyboardInterrupt
