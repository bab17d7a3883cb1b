"""A worker on another machine: what it is given, who cannot have one, and that it shares database, bucket and brokers
with its centre and nothing else."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sync.central import elsewhere
from sync.central.authority import Authority
from sync.central.database import ALONE
from sync.central.postgres import Postgres
from sync.central.store import Store
from vedette import cli
from vedette.clock import SystemClock
from vedette.config import load_central
from vedette.errors import Refused

FAR = (
    '[store]\nurl = "postgresql://vedette@db.police.example/vedette?sslmode=verify-full"\n'
    '[blobs]\nurl = "s3://vedette-evidence/police"\nendpoint = "https://s3.police.example"\n'
)
BATCH = 24


def configured(centre: Any, text: str = FAR, host: str = "broker.police.example") -> Path:
    path: Path = centre.folder / "central.toml"
    before = path.read_text().replace("port = 0", "port = 8883")
    path.write_text(before.replace('host = "127.0.0.1"', f'host = "{host}"') + text)
    return path


def test_folder_for_another_machine_holds_what_a_worker_needs_and_no_other_key(centre: Any, tmp_path: Path) -> None:
    """CS-16."""
    configured(centre)
    (centre.folder / "keys" / "pgpass").write_text("db.police.example:5432:vedette:vedette:secret\n")

    made = elsewhere.make(centre.folder, "w9", tmp_path / "away", SystemClock())

    kept = {str(path.relative_to(made.folder)) for path in made.folder.rglob("*") if path.is_file()}
    keys = {f"keys/{name}" for name in ("centre.pem", "pgpass", "authorities.pem", "w9.crt", "w9.key")}
    assert kept == {"central.toml", "worker.env", *keys}
    assert b"PRIVATE" not in (made.folder / "keys" / "authorities.pem").read_bytes()
    config = load_central(made.folder / "central.toml")
    assert (config.broker.embedded, config.broker.host) == (False, "broker.police.example")
    assert (config.store, config.blobs) == tuple(
        getattr(load_central(centre.folder / "central.toml"), name) for name in ("store", "blobs")
    )
    modes = {path.name: path.stat().st_mode & 0o777 for path in (made.folder / "keys").iterdir()}
    assert {mode for name, mode in modes.items() if name != "w9.crt"} == {0o600}
    assert (made.folder / "keys").stat().st_mode & 0o777 == 0o700


def test_command_makes_the_folder_and_says_what_to_do(
    far: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elsewhere, "_HERE", frozenset())
    words = ["central", "worker", str(far.folder), "w9", str(tmp_path / "away"), "--host", "broker.police.example"]

    assert cli.main(words) == 0

    said = capsys.readouterr().out
    assert "install.sh --role worker" in said and "broker.police.example:" in said
    assert (tmp_path / "away" / "worker.env").read_text() == "WORKER=w9\n"
    assert [(row.action, row.subject) for row in far.store.accesses()][:1] == [("worker.make", "w9")]
    assert cli.main(words) != 0  # never over what is there


@pytest.mark.parametrize(
    ("text", "host", "why"),
    [
        ("", "broker.police.example", r"\[store\] url is not set"),
        (FAR.partition("[blobs]")[0], "broker.police.example", r"\[blobs\] url is not set"),
        (FAR.replace("db.police.example", "localhost"), "broker.police.example", "names this machine"),
        (FAR.replace("vedette@db.police.example", ""), "broker.police.example", "names this machine"),
        (FAR.replace("?", "?host=/run/postgresql&"), "broker.police.example", "names this machine"),
        (FAR.replace("https://s3.police.example", "http://127.0.0.1:9000"), "broker.police.example", "this machine's"),
        (FAR, "127.0.0.1", "listens on 127.0.0.1 only"),
        (FAR + "[ingest]\nworkers = 9\n", "broker.police.example", "runs w9 itself"),
    ],
)
def test_centre_that_only_its_own_machine_reaches_has_no_worker_elsewhere(
    centre: Any, tmp_path: Path, text: str, host: str, why: str
) -> None:
    """CS-16."""
    configured(centre, text, host)

    with pytest.raises(Refused, match=why):
        elsewhere.make(centre.folder, "w9", tmp_path / "away", SystemClock())
    assert not (tmp_path / "away").exists()


def test_broker_without_shared_subscriptions_has_no_worker_elsewhere(centre: Any, tmp_path: Path) -> None:
    path = configured(centre)
    path.write_text(path.read_text().replace("[broker]\n", '[broker]\nmqtt = "3.1.1"\n'))

    with pytest.raises(Refused, match="shares no subscriptions"):
        elsewhere.make(centre.folder, "w9", tmp_path / "away", SystemClock())


HOLD = """
import sys, time
from sync.central.postgres import Postgres, LOG_LOCK
db = Postgres(sys.argv[1])
db.execute("BEGIN")
if sys.argv[2] == "between two statements":
    db.execute("SELECT pg_advisory_xact_lock(?)", [LOG_LOCK])
else:
    raw = db._connection.pgconn
    raw.enter_pipeline_mode()
    raw.send_query_params(b"SELECT pg_advisory_xact_lock($1)", [str(LOG_LOCK).encode()])
    raw.send_flush_request()
    raw.flush()
    while raw.is_busy():
        raw.consume_input()
print("held", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("where", ["between two statements", "within a row of them"])
def test_lock_is_given_back_when_the_cable_of_who_holds_it_is_pulled(
    cable: Any, database: Any, tmp_path: Path, where: str
) -> None:
    """CS-4. Whoever waits for the lock gets it before it would give up."""
    (tmp_path / "authority").mkdir()
    url = database(Authority.create(tmp_path / "authority", "police.test", SystemClock().utc_us()))
    words = cable.inside(sys.executable, "-c", HOLD, url, where)
    with subprocess.Popen(words, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
            cable.cut()
            with closing(Postgres(url)) as db:
                db.execute(ALONE)
        finally:
            holder.kill()


@pytest.mark.timeout(600)
def test_worker_of_another_machine_takes_uploads_and_its_end_costs_none(police: Any) -> None:
    """CS-14, CS-16, RC-1 to RC-3. In turn: both take uploads; the worker is killed; its cable is pulled; the centre is
    killed. Each time every item gets its receipt, and in the end the centre has each once, with its bytes."""
    police.start_centre()
    police.start_worker()
    police.start_device()
    police.put(BATCH)
    police.until(police.all_received)
    police.until(lambda: police.worker_says("items_stored") > 0)

    _midst(police)
    police.worker.kill()
    police.worker.wait()
    police.until(police.all_received)

    police.start_worker()
    _midst(police)
    police.cable.cut()
    police.until(police.all_received)
    police.cable.mend()
    police.until(lambda: police.worker_says("connected") is True)

    _midst(police)
    police.centre.send_signal(signal.SIGKILL)
    police.centre.wait()
    police.until(police.all_received)

    with closing(Store(police.folder)) as store:
        rows = {row.item: row for row in store.items(limit=500)}
        assert set(rows) == {item.id for item in police.made}
        assert store.log_size() == len(police.made)
        assert store.quarantine() == []
        blobs = {item.id: store.blobs.read(rows[item.id].sealed_sha256, max_bytes=1 << 20) for item in police.made}
        assert [item.id for item in police.made if blobs[item.id] != item.sealed_bytes] == []
    police.until(lambda: not any(path.is_file() for path in (police.there / "incoming").rglob("*")))


def _midst(police: Any) -> None:
    """Put a batch and go on until some of it has its receipt and the rest is under way."""
    before = police.receipts()
    police.put(BATCH)
    police.until(lambda: police.receipts() >= before + BATCH // 4)
    assert not police.all_received()
