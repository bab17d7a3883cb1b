"""Tables of the central store, as ordered migrations of sqlite-utils.

Decided here: what is a row at all. Pictures and video are never rows; they stay sealed blobs (blobs.py). A plate text
is a row only because it matched the watchlist (law 5 of DESIGN.md). Items, log leaves, decisions, custody lines and
accesses are only ever added; triggers refuse to change or delete them, so that a mistaken statement cannot rewrite
history.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from sqlite_utils import Database
from sqlite_utils.db import Table
from sqlite_utils.migrations import Migrations

AnyStep = TypeVar("AnyStep", bound=Callable[..., None])


class Steps(Migrations):
    """sqlite-utils' ordered migrations, in a list that PostgreSQL works off too (postgres.migrate)."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.steps: list[Callable[..., None]] = []

    def __call__(self, *, name: str | None = None, transactional: bool = True) -> Callable[[AnyStep], AnyStep]:
        """Register the decorated step."""
        register = super().__call__(name=name, transactional=transactional)

        def add(step: AnyStep) -> AnyStep:
            self.steps.append(step)
            return register(step)

        return add


migrations = Steps("vedette.central")

BUSY_TIMEOUT_S = 20.0

_FIRST = """
CREATE TABLE devices (
  device TEXT PRIMARY KEY, public_key TEXT NOT NULL, enrolled_us INTEGER NOT NULL, enrolment BLOB NOT NULL,
  certificate_serial TEXT NOT NULL, revoked_us INTEGER, last_seen_us INTEGER, online INTEGER NOT NULL DEFAULT 0,
  status TEXT NOT NULL DEFAULT '{}', list_version INTEGER) WITHOUT ROWID;
CREATE TABLE items (
  item TEXT PRIMARY KEY, kind TEXT NOT NULL, device TEXT NOT NULL REFERENCES devices(device), recording TEXT,
  sequence INTEGER NOT NULL, priority INTEGER NOT NULL, sealed_sha256 TEXT NOT NULL, sealed_size INTEGER NOT NULL,
  manifest BLOB NOT NULL, manifest_sha256 TEXT NOT NULL, created_us INTEGER NOT NULL, started_us INTEGER NOT NULL,
  ended_us INTEGER NOT NULL, complete INTEGER NOT NULL, stored_us INTEGER NOT NULL, log_index INTEGER NOT NULL UNIQUE,
  receipt BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX items_kind ON items(kind, item);
CREATE INDEX items_recording ON items(recording, sequence) WHERE recording IS NOT NULL;
CREATE INDEX items_device ON items(device, item);
CREATE TABLE opened (
  item TEXT PRIMARY KEY REFERENCES items(item), opened_us INTEGER NOT NULL, problem TEXT) WITHOUT ROWID;
CREATE TABLE to_open (item TEXT PRIMARY KEY REFERENCES items(item)) WITHOUT ROWID;
CREATE TABLE leaves (idx INTEGER PRIMARY KEY, leaf BLOB NOT NULL);
CREATE TABLE subtrees (
  level INTEGER NOT NULL, idx INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (level, idx)) WITHOUT ROWID;
CREATE TABLE checkpoints (size INTEGER PRIMARY KEY, note TEXT NOT NULL);
CREATE TABLE transfers (
  item TEXT PRIMARY KEY, device TEXT NOT NULL, part_size INTEGER NOT NULL, have BLOB NOT NULL,
  updated_us INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE quarantine (
  id INTEGER PRIMARY KEY, received_us INTEGER NOT NULL, device TEXT NOT NULL, item TEXT, code TEXT NOT NULL,
  text TEXT NOT NULL, sha256 TEXT, evidence BLOB);
CREATE INDEX quarantine_device ON quarantine(device, item);
CREATE TABLE hits (
  hit TEXT PRIMARY KEY, item TEXT NOT NULL UNIQUE REFERENCES items(item), device TEXT NOT NULL,
  raised_us INTEGER NOT NULL, text_ascii TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'open', body BLOB NOT NULL,
  pictures TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX hits_state ON hits(state, hit);
CREATE INDEX hits_plate ON hits(text_ascii, hit);
CREATE TABLE decisions (
  id INTEGER PRIMARY KEY, hit TEXT NOT NULL REFERENCES hits(hit), decided_us INTEGER NOT NULL, user TEXT NOT NULL,
  previous TEXT NOT NULL, state TEXT NOT NULL, note TEXT NOT NULL);
CREATE INDEX decisions_hit ON decisions(hit, id);
CREATE TABLE custody_lines (
  device TEXT NOT NULL, service TEXT NOT NULL, seq INTEGER NOT NULL, line BLOB NOT NULL,
  item TEXT NOT NULL REFERENCES items(item), subject TEXT, PRIMARY KEY (device, service, seq)) WITHOUT ROWID;
CREATE INDEX custody_subject ON custody_lines(subject) WHERE subject IS NOT NULL;
CREATE TABLE custody_waiting (
  item TEXT PRIMARY KEY REFERENCES items(item), device TEXT NOT NULL, service TEXT NOT NULL,
  first_seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE chains (
  device TEXT NOT NULL, service TEXT NOT NULL, seq INTEGER NOT NULL, head TEXT NOT NULL, utc_us INTEGER NOT NULL,
  problem TEXT, PRIMARY KEY (device, service)) WITHOUT ROWID;
CREATE TABLE gaps (
  device TEXT NOT NULL, service TEXT NOT NULL, seq INTEGER NOT NULL, from_us INTEGER NOT NULL,
  to_us INTEGER NOT NULL, why TEXT NOT NULL, PRIMARY KEY (device, service, seq)) WITHOUT ROWID;
CREATE TABLE lists (
  version INTEGER PRIMARY KEY, issued_us INTEGER NOT NULL, entries INTEGER NOT NULL, imported_by TEXT NOT NULL,
  sha256 TEXT NOT NULL, sealed_sha256 TEXT NOT NULL, published_us INTEGER);
CREATE TABLE users (
  name TEXT PRIMARY KEY, password TEXT NOT NULL, role TEXT NOT NULL, created_us INTEGER NOT NULL,
  failures INTEGER NOT NULL DEFAULT 0, locked_until_us INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE accesses (
  id INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, user TEXT NOT NULL, action TEXT NOT NULL, subject TEXT NOT NULL,
  reason TEXT NOT NULL);
"""

_APPEND_ONLY = ("items", "leaves", "checkpoints", "decisions", "custody_lines", "accesses", "quarantine")


@migrations()
def first_tables(db: Database) -> None:
    """Everything of the first frame."""
    for statement in _FIRST.split(";"):
        if statement.strip():
            db.execute(statement)


@migrations()
def append_only(db: Database) -> None:
    """Rows that are evidence or a record of a person's act stay as they were written."""
    for table in _APPEND_ONLY:
        for verb in ("UPDATE", "DELETE"):
            db.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )


@migrations()
def witnesses(db: Database) -> None:
    """What witnesses signed; it and the log's hashes are only ever added."""
    db.execute(
        "CREATE TABLE cosignatures (size INTEGER NOT NULL REFERENCES checkpoints(size), witness TEXT NOT NULL,"
        " time_s INTEGER NOT NULL, line TEXT NOT NULL, PRIMARY KEY (size, witness)) WITHOUT ROWID"
    )
    for table in ("cosignatures", "subtrees"):
        for verb in ("UPDATE", "DELETE"):
            db.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )


@migrations()
def certificates(db: Database) -> None:
    """Every certificate a device was given, so that all of them are revoked with it."""
    db.execute(
        "CREATE TABLE certificates (serial TEXT PRIMARY KEY, device TEXT NOT NULL REFERENCES devices(device),"
        " name TEXT NOT NULL, issued_us INTEGER NOT NULL, key_sha256 TEXT NOT NULL, certificate BLOB NOT NULL)"
        " WITHOUT ROWID"
    )
    db.execute("CREATE INDEX certificates_device ON certificates(device, issued_us)")


@migrations()
def transfers_of_workers(db: Database) -> None:
    """Each worker has its own folder of unfinished uploads and tells of no other's; what was under way begins anew."""
    db.execute("DROP TABLE transfers")
    db.execute(
        "CREATE TABLE transfers (worker TEXT NOT NULL, item TEXT NOT NULL, device TEXT NOT NULL,"
        " part_size INTEGER NOT NULL, have BLOB NOT NULL, updated_us INTEGER NOT NULL, PRIMARY KEY (worker, item))"
        " WITHOUT ROWID"
    )


@migrations()
def commands_and_peers(db: Database) -> None:
    """Commands to devices with what became of them, and the groups and signed lists of peers; none is ever deleted."""
    for statement in (
        "CREATE TABLE remote_commands (id TEXT PRIMARY KEY, device TEXT NOT NULL REFERENCES devices(device),"
        " command TEXT NOT NULL, reason TEXT NOT NULL, asked_by TEXT NOT NULL, asked_us INTEGER NOT NULL,"
        " expires_us INTEGER NOT NULL, from_us INTEGER, to_us INTEGER, sent_us INTEGER, record BLOB,"
        " outcome TEXT, why TEXT, answered_us INTEGER,"
        " custody_seq INTEGER) WITHOUT ROWID",
        "CREATE INDEX remote_commands_expires ON remote_commands(expires_us)",
        "CREATE INDEX remote_commands_device ON remote_commands(device, id)",
        "CREATE TABLE device_groups (device TEXT PRIMARY KEY REFERENCES devices(device), name TEXT NOT NULL)"
        " WITHOUT ROWID",
        "CREATE TABLE group_moves (id INTEGER PRIMARY KEY, device TEXT NOT NULL, name TEXT NOT NULL,"
        " moved_by TEXT NOT NULL, moved_us INTEGER NOT NULL)",
        "CREATE TABLE peer_lists (version INTEGER PRIMARY KEY, name TEXT NOT NULL, issued_us INTEGER NOT NULL,"
        " members_sha256 TEXT NOT NULL, record BLOB NOT NULL)",
        "CREATE INDEX peer_lists_name ON peer_lists(name, version)",
    ):
        db.execute(statement)
    for table, verbs in (
        ("remote_commands", ("DELETE",)),
        ("group_moves", ("UPDATE", "DELETE")),
        ("peer_lists", ("UPDATE", "DELETE")),
    ):
        for verb in verbs:
            db.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )


@migrations()
def totals(db: Database) -> None:
    """What each device has stored, kept with its items, so that a page need not count millions of rows."""
    db.execute(
        "CREATE TABLE totals (device TEXT PRIMARY KEY REFERENCES devices(device), items INTEGER NOT NULL,"
        " stored_bytes INTEGER NOT NULL, last_stored_us INTEGER NOT NULL) WITHOUT ROWID"
    )
    db.execute(
        "INSERT INTO totals (device, items, stored_bytes, last_stored_us)"
        " SELECT device, count(*), sum(sealed_size), max(stored_us) FROM items GROUP BY device"
    )


@migrations()
def quarantine_counts(db: Database) -> None:
    """What quarantine does not keep is counted, one row for a device, reason and outcome; and how much was sent."""
    db.execute("ALTER TABLE quarantine ADD COLUMN sent_bytes INTEGER")
    db.execute("CREATE INDEX quarantine_words ON quarantine(device, code, substr(text, 1, 200))")
    db.execute(
        "CREATE TABLE quarantine_counts (device TEXT NOT NULL, code TEXT NOT NULL, outcome TEXT NOT NULL,"
        " times INTEGER NOT NULL, first_us INTEGER NOT NULL, last_us INTEGER NOT NULL,"
        " PRIMARY KEY (device, code, outcome)) WITHOUT ROWID"
    )
    db.execute(
        "CREATE TRIGGER quarantine_counts_no_delete BEFORE DELETE ON quarantine_counts "
        "BEGIN SELECT RAISE(ABORT, 'quarantine_counts is append-only'); END"
    )


@migrations()
def journal_heads(db: Database) -> None:
    """Up to which line devices have signed for their journals: one row for each start of a service, till it is here."""
    db.execute(
        "CREATE TABLE journal_heads (device TEXT NOT NULL REFERENCES devices(device), service TEXT NOT NULL,"
        " boot TEXT NOT NULL, seq INTEGER NOT NULL, head TEXT NOT NULL, told_us INTEGER NOT NULL,"
        " heard_us INTEGER NOT NULL, first_us INTEGER NOT NULL, record BLOB NOT NULL, problem TEXT,"
        " PRIMARY KEY (device, service, boot)) WITHOUT ROWID"
    )


@migrations()
def told_heads(db: Database) -> None:
    """The newest record of heads of each device, also once its lines are here: it leaves with bundles."""
    db.execute(
        "CREATE TABLE told_heads (device TEXT PRIMARY KEY REFERENCES devices(device), told_us INTEGER NOT NULL,"
        " heard_us INTEGER NOT NULL, record BLOB NOT NULL) WITHOUT ROWID"
    )


@migrations()
def journal_files(db: Database) -> None:
    """A journal's files in the order of their lines, with when they began and came: for an account of one day."""
    db.execute(
        "CREATE INDEX items_journal ON items(device, sequence, item, started_us, stored_us) WHERE kind = 'custody'"
    )


class Sqlite(Database):
    """sqlite-utils' database with a way to write many rows at once."""

    def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one writing statement for each row, inside a transaction."""
        self.conn.executemany(sql, rows)


def connect(path: Path) -> Sqlite:
    """Open the store's database in WAL with synchronous=FULL: a commit that returned survives a power cut."""
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    return Sqlite(connection)


def migrate(db: Database) -> None:
    """Bring an older store up to these tables; a store that is up to date is not written to."""
    if migrations.pending(db):
        migrations.apply(db)


def table(db: Database, name: str) -> Table:
    """The named table (sqlite-utils' own subscript may also return a view)."""
    return cast(Table, db[name])
