"""Which database and which store of blobs a centre has: its own folder's, or those that its central.toml names.

Decided here: that nothing else in the centre knows which they are, that what larger parts need is imported only where
they are configured, and that a centre whose rows lie in SQLite is never opened on an empty PostgreSQL beside it, which
would begin a second log. Implements CS-12 of docs/spec/case-store.md.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sync.central import schema
from sync.central.blobs import Blobs, BlobStore
from sync.central.database import Database
from vedette.clock import Clock
from vedette.config import BlobsSection, StoreSection, load_central
from vedette.errors import NotFound, Refused

if TYPE_CHECKING:
    from sync.central.s3_blobs import S3Blobs

CONFIG = "central.toml"
DATABASE = "store.db"
MOVED = "store.db.moved"
PASSFILE = "pgpass"
CREDENTIALS = "s3.credentials"


@dataclass(frozen=True, slots=True)
class Places:
    """How a store reaches its rows and its blobs; `migrate` brings the tables of one connection up to date."""

    connect: Callable[[], Database]
    migrate: Callable[[Any], None]
    blobs: BlobStore


def places_of(folder: Path, clock: Clock) -> Places:
    """The places of the centre in `folder`; `NotFound` where there is none, `Refused` for a wrong configuration."""
    store, blobs = StoreSection(), BlobsSection()
    if (folder / CONFIG).is_file():
        config = load_central(folder / CONFIG)
        store, blobs = config.store, config.blobs
    connect, migrate = _embedded(folder) if not store.url else _postgres(folder, store.url)
    return Places(connect, migrate, _blobs(folder, blobs, clock))


def rows_left_behind(database: Path) -> bool:
    """Whether a centre lives in this SQLite file."""
    if not database.is_file():
        return False
    db = schema.connect(database)
    try:
        return bool(db.execute("SELECT count(*) FROM devices").fetchone()[0])
    except sqlite3.OperationalError:  # no tables yet
        return False
    finally:
        db.close()


@contextmanager
def _extra(key: str) -> Generator[None, None, None]:
    """What larger parts need is not installed with the rest."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise NotFound(f"{key} needs the Python package {error.name}; install vedette[central-scale]") from None


def _embedded(folder: Path) -> tuple[Callable[[], Database], Callable[[Any], None]]:
    if not (folder / DATABASE).is_file():
        raise NotFound(f"{folder} holds no central store; `vedette central init {folder}` makes one")
    return (lambda: schema.connect(folder / DATABASE)), schema.migrate


def _postgres(folder: Path, url: str) -> tuple[Callable[[], Database], Callable[[Any], None]]:
    with _extra("[store] url"):
        from sync.central import postgres
    if rows_left_behind(folder / DATABASE):
        raise Refused(
            f"{folder / DATABASE} holds this centre's rows, and [store] url names PostgreSQL:"
            f" `vedette central move {folder}` brings them there"
        )
    passfile = folder / "keys" / PASSFILE
    return (
        lambda: postgres.Postgres(url, passfile),
        lambda db: postgres.migrate(db, schema.migrations.steps),
    )


def _blobs(folder: Path, section: BlobsSection, clock: Clock) -> BlobStore:
    return far_blobs(folder, section, clock) if section.url else Blobs(folder / "blobs")


def far_blobs(folder: Path, section: BlobsSection, clock: Clock) -> S3Blobs:
    """The store of blobs that `[blobs] url` names."""
    with _extra("[blobs] url"):
        from sync.central import s3_blobs
    return s3_blobs.S3Blobs(s3_blobs.place_of(section), clock, folder / "keys" / CREDENTIALS)
