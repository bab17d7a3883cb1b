"""Taking items in for good (row, log leaf, signed checkpoint, signed receipt, fsync): one at a time and fifty, and
PostgreSQL against SQLite. Where PostgreSQL is not installed its lines are missing.

The bytes of the items are not stored here; what that costs is the disk's or the network's business (bench sync).
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.harness import Fact, Row, pair
from simulator.freight import make_manifest
from sync.central import fleet
from sync.central.receipts import Signer, accept_all
from sync.central.schema import Sqlite
from sync.central.store import DATABASE, Store
from vedette.clock import SystemClock, uuid7
from vedette.keys import SigningKey
from vedette.records import MANIFEST, Manifest, sign_record

ORIGIN = "bench.test/log"
ITEMS = 50
GROWTH_ITEMS = 4000


def stores() -> list[Row]:
    """Items a second."""
    with tempfile.TemporaryDirectory() as folder:
        small = _Centre(Path(folder) / "small")
        rows = [
            pair(
                "store 50 items in one transaction",
                lambda: small.take(ITEMS, batch=ITEMS),
                "one at a time",
                lambda: small.take(ITEMS, batch=1),
                amount=ITEMS,
                unit="items",
                note="SQLite",
            )
        ]
        with _postgres() as url:
            if url:
                rows += _compared(small, _Centre(Path(folder) / "large", url))
        return rows


def growth() -> list[Fact]:
    """How much larger the database gets with an item: row, leaf, checkpoint, receipt, indexes."""
    with tempfile.TemporaryDirectory() as folder:
        found = [f"{_Centre(Path(folder) / 'small').grown_bytes() / 1000:.1f} kB in SQLite"]
        with _postgres() as url:
            if url:
                found.append(f"{_Centre(Path(folder) / 'large', url).grown_bytes() / 1000:.1f} kB in PostgreSQL")
    name = f"the database grows with an item, of {GROWTH_ITEMS:,}"
    return [Fact(name=name, figure=", ".join(found), bound="")]


def _compared(small: _Centre, large: _Centre) -> list[Row]:
    return [
        pair(
            f"store {ITEMS} items, {batch} a transaction",
            _taking(large, batch),
            "the same on SQLite",
            _taking(small, batch),
            amount=ITEMS,
            unit="items",
            note="PostgreSQL on this machine",
        )
        for batch in (1, ITEMS)
    ]


def _taking(centre: _Centre, batch: int) -> Callable[[], object]:
    return lambda: centre.take(ITEMS, batch=batch)


class _Centre:
    """A centre with one device whose items are taken in."""

    def __init__(self, folder: Path, url: str = "") -> None:
        clock = SystemClock()
        made = fleet.make_centre(folder, folder.with_name(f"{folder.name}-keys"), ORIGIN, clock=clock)
        if url:
            with made.config.open("a") as config:
                config.write(f'\n[store]\nurl = "{url}"\n')
        self._clock, self._key, self._store = clock, SigningKey.generate(), Store(folder, clock)
        self._signer = Signer(origin=ORIGIN, key=SigningKey.load(folder / "keys" / "centre.pem"))
        row = ["car-1", self._key.public.text, 1, b"", "1"]
        columns = "device, public_key, enrolled_us, enrolment, certificate_serial"
        self._store.db.execute(f"INSERT INTO devices ({columns}) VALUES (?, ?, ?, ?, ?)", row)

    def take(self, count: int, *, batch: int) -> None:
        """Take in `count` new hits, `batch` in a transaction."""
        for _ in range(count // batch):
            accept_all(self._store, self._signer, [self._hit() for _ in range(batch)])

    def grown_bytes(self) -> float:
        """What an item adds to the database's files, without its log of writes."""
        before = self._size_bytes()
        self.take(GROWTH_ITEMS, batch=ITEMS)
        return (self._size_bytes() - before) / GROWTH_ITEMS

    def _size_bytes(self) -> int:
        if isinstance(self._store.db, Sqlite):
            self._store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            return (self._store.folder / DATABASE).stat().st_size
        return int(self._store.db.execute("SELECT pg_database_size(current_database())").fetchone()[0])

    def _hit(self) -> tuple[Manifest, bytes]:
        manifest = make_manifest(os.urandom(32), item=uuid7(self._clock), kind="hit", device="car-1", at_us=1)
        return manifest, sign_record(MANIFEST, manifest.to_body(), self._key)


@contextmanager
def _postgres() -> Iterator[str]:
    """The address of a new database of a server of our own; "" where PostgreSQL is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        yield ""
        return
    folder = Path(tempfile.mkdtemp(prefix="vedette-bench-"))
    data, programs = folder / "data", found[-1].parent
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    control = [str(programs / "pg_ctl"), "-w", "-D", str(data)]
    options = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder}"
    try:
        _as_postgres(
            str(programs / "initdb"), "-U", "bench", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-D", str(data)
        )
        _as_postgres(*control, "-l", str(folder / "log"), "-o", options, "start")
        yield f"postgresql://bench@127.0.0.1:{port}/postgres"
        _as_postgres(*control, "-m", "fast", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _as_postgres(*command: str) -> None:
    """Run one of PostgreSQL's programs, which refuse to be run by root."""
    who = ("runuser", "-u", "postgres", "--") if os.geteuid() == 0 else ()
    subprocess.run([*who, *command], cwd="/", check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
