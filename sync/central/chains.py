"""How far each service's custody chain is read at the centre: its row, and the journals that wait for their turn.

Decided here: that a chain which was marked as broken stays so, with the first reason. What breaks one is triage.py
(lines that do not follow) and heads.py (lines that are gone). Implements RC-12 and RC-13 of docs/spec/receipt.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sync.central.database import Database
from vedette.custody_entry import FIRST_PREV


@dataclass(frozen=True, slots=True)
class Chain:
    """The last line's seq and hash and when it was written, and what is wrong with the chain."""

    seq: int = 0
    head: str = FIRST_PREV
    utc_us: int = 0
    problem: str | None = None

    def broken(self, problem: str) -> Chain:
        """The chain marked with this, where nothing was wrong with it before."""
        return replace(self, problem=self.problem or problem)


def read(db: Database, device: str, service: str) -> Chain:
    """The chain as it is known; one that nothing came of yet has seq 0."""
    sql = "SELECT seq, head, utc_us, problem FROM chains WHERE device = ? AND service = ?"
    row = db.execute(sql, [device, service]).fetchone()
    return Chain() if row is None else Chain(*row)


def save(db: Database, device: str, service: str, chain: Chain) -> None:
    """Write the chain's row."""
    db.execute(
        "INSERT INTO chains (device, service, seq, head, utc_us, problem) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (device, service) DO UPDATE SET seq = excluded.seq, head = excluded.head,"
        " utc_us = excluded.utc_us, problem = excluded.problem",
        [device, service, chain.seq, chain.head, chain.utc_us, chain.problem],
    )


def call_waiting(db: Database, device: str, service: str, chain: Chain) -> None:
    """Put the waiting journals whose turn has come back in the queue (all of them where the chain is broken anyway)."""
    turn = chain.seq + 1 if chain.problem is None else 1 << 53
    where = "FROM custody_waiting WHERE device = ? AND service = ? AND first_seq <= ?"
    db.execute(f"INSERT INTO to_open (item) SELECT item {where}", [device, service, turn])
    db.execute(f"DELETE {where}", [device, service, turn])
