"""What the case store asks of a database, whichever it is: one statement at a time, in the SQL that all of them read.

Decided here: the form of a connection. SQLite's is sqlite-utils' own, PostgreSQL's is postgres.py. Statements are
written once, with `?` for values, in what SQLite 3.37 and PostgreSQL 15 both mean the same by (a test reads them all).
`BEGIN IMMEDIATE` begins a transaction that no other writer runs beside; `BEGIN` one that only adds rows of its own.
Implements CS-1 to CS-4 of docs/spec/case-store.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

ALONE = "BEGIN IMMEDIATE"
BESIDE_OTHERS = "BEGIN"
COMMIT = "COMMIT"


class Rows(Protocol):
    """The answer to one statement."""

    @property
    def rowcount(self) -> int:
        """How many rows a statement that writes has written."""
        ...

    def fetchone(self) -> Any:
        """The next row as a tuple; None when there is no more."""
        ...

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Database(Protocol):
    """One connection; one thread uses it at a time."""

    def execute(self, sql: str, parameters: Sequence[Any] | None = None) -> Rows:
        """Run one statement, durable on return outside a transaction; OSError or sqlite3.Error where it is not."""
        ...

    def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one writing statement for each row, inside a transaction, in one go."""
        ...

    def rollback(self) -> None:
        """Undo the transaction that is open; nothing where none is."""
        ...

    def close(self) -> None:
        """End the connection."""
        ...


class StoreAway(ConnectionError):
    """The database or the store of blobs does not answer or does not take a write; as a full disk is, it is no loss."""
