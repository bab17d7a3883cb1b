"""Brings a centre from SQLite and its folder to the PostgreSQL and the store of blobs that its central.toml names.

Decided here: blobs go first, each read back and hashed, so that no row ever names what is not there; all rows go in one
transaction, which is kept only when every table counts the same and the log has the same root; SQLite is then renamed
and the folder of blobs is left, for a person to put away. Run again after any crash it goes on. The centre is stopped
meanwhile (its lock is held). Implements CS-13 of docs/spec/case-store.md.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sync.central import schema
from sync.central.blobs import Blobs
from sync.central.children import take_lock
from sync.central.database import ALONE, COMMIT, Database
from sync.central.log import Log
from sync.central.places import CONFIG, DATABASE, MOVED, PASSFILE, far_blobs
from vedette import files
from vedette.clock import Clock
from vedette.config import CentralConfig, load_central
from vedette.errors import Integrity, NotFound, Refused

if TYPE_CHECKING:
    from sync.central.postgres import Postgres

_BATCH = 1000
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '%sqlite_%' ORDER BY rowid"


@dataclass(frozen=True, kw_only=True, slots=True)
class Moved:
    """What went: rows of all tables, leaves of the log, blobs that were not there yet."""

    rows: int
    leaves: int
    blobs: int


def move(folder: Path, clock: Clock) -> Moved:
    """Move the centre in `folder`, which does not run; `Refused` where there is nowhere to move to or it runs.

    Raises Integrity where what arrived is not what was there; then nothing was moved.
    """
    config = load_central(folder / CONFIG)
    if not (folder / DATABASE).is_file():
        raise NotFound(f"{folder / DATABASE} is not there: this centre was moved already")
    if not (config.store.url or config.blobs.url):
        raise Refused(f"{folder / CONFIG} names no [store] url and no [blobs] url: there is nowhere to move to")
    with take_lock(config.run):
        source = schema.connect(folder / DATABASE)
        try:
            schema.migrate(source)
            blobs = _move_blobs(source, config, clock) if config.blobs.url else 0
            rows, leaves = _move_rows(source, config) if config.store.url else (0, Log(source).size)
            source.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            source.close()
        if config.store.url:
            (folder / DATABASE).replace(folder / MOVED)
            files.fsync_dir(folder)
    return Moved(rows=rows, leaves=leaves, blobs=blobs)


def _move_blobs(source: Database, config: CentralConfig, clock: Clock) -> int:
    near, far, sent = Blobs(config.data / "blobs"), far_blobs(config.data, config.blobs, clock), 0
    far.check()
    sql = "SELECT sealed_sha256 FROM items UNION SELECT sealed_sha256 FROM lists ORDER BY 1"
    for (sha256,) in source.execute(sql).fetchall():
        if not far.has(sha256):
            with near.open(sha256):  # NotFound where it is not here either
                far.keep(near.path(sha256), sha256)
            sent += 1
    return sent


def _move_rows(source: schema.Sqlite, config: CentralConfig) -> tuple[int, int]:
    from sync.central import postgres

    target = postgres.Postgres(config.store.url, config.keys / PASSFILE)
    try:
        postgres.migrate(target, schema.migrations.steps)
        target.execute(ALONE)
        try:
            if Log(target).size or _count(target, "devices"):
                _check_same(source, target)  # a crash came between the commit and the renaming of SQLite
            else:
                _copy(source, target)
                _check_same(source, target)
            target.execute(COMMIT)
        except BaseException:
            target.rollback()
            raise
    finally:
        target.close()
    return sum(_count(source, table) for table in _tables(source)), Log(source).size


def _copy(source: schema.Sqlite, target: Postgres) -> None:
    for table in _tables(source):
        rows = source.execute(f"SELECT * FROM {table}")
        columns = [column[0] for column in rows.description]
        while batch := rows.fetchmany(_BATCH):
            target.copy_in(table, columns, batch)
    for table in _tables(source):
        if not _is_numbered(source, table):
            continue
        sequence = f"pg_get_serial_sequence('{table}', 'id')"
        target.execute(f"SELECT setval({sequence}, greatest((SELECT max(id) FROM {table}), 1))")


def _check_same(source: schema.Sqlite, target: Postgres) -> None:
    for table in _tables(source):
        here, there = _count(source, table), _count(target, table)
        if here != there:
            raise Integrity(
                f"{table} has {here} rows in SQLite and {there} in PostgreSQL, which was not empty or lost some"
            )
    if Log(source).size and Log(source).checkpoint() != Log(target).checkpoint():
        raise Integrity("the log in PostgreSQL is not this centre's: its newest checkpoint is another")


def _tables(source: schema.Sqlite) -> list[str]:
    """The tables in the order in which they were made, so that a row comes after those it refers to."""
    return [str(row[0]) for row in source.execute(_TABLES).fetchall()]


def _is_numbered(source: schema.Sqlite, table: str) -> bool:
    """Whether the database gives the rows of this table their ids."""
    columns = source.execute(f"PRAGMA table_info({table})").fetchall()
    return any((name, kind, key) == ("id", "INTEGER", 1) for _, name, kind, _, _, key in columns)


def _count(db: Database, table: str) -> int:
    try:
        return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    except sqlite3.OperationalError as error:
        raise Integrity(f"table {table} of SQLite cannot be read: {error}") from None
