"""Which devices are there: what their births, wills and status messages say, as columns of their rows.

Decided here: what was said since the last `settle` is one transaction, so that thousands of devices cost a commit a
round and not one each.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from sync.central.store import Store
from vedette.wire import Birth, Status

MAX_WAITING = 20_000
EVERY_US = 250_000


class Presence:
    """Writes the passing state of devices; losing it loses nothing."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: list[tuple[str, Sequence[object]]] = []
        self._due_us = 0

    def birth(self, device: str, birth: Birth) -> None:
        """The device came, or its will says that it went."""
        sql = "UPDATE devices SET online = ?, last_seen_us = ?, list_version = ? WHERE device = ?"
        self._wait(sql, [int(birth.online), self._store.clock.utc_us(), birth.list_version, device])
        self._due_us = 0

    def status(self, device: str, status: Status) -> None:
        """The device's counters, as it last told them."""
        sql = "UPDATE devices SET online = 1, last_seen_us = ?, status = ? WHERE device = ?"
        counters = json.dumps(dict(status.counters), ensure_ascii=False)
        self._wait(sql, [self._store.clock.utc_us(), counters, device])

    def nobody(self) -> None:
        """The broker is new or gone: a device counts as there again when its birth arrives."""
        self._wait("UPDATE devices SET online = 0 WHERE online = 1", [])
        self._due_us = 0

    def settle_when_due(self, now_us: int) -> None:
        """Write who came and went at once, counters a few times a second: a commit for each look would hold hits up."""
        if self._waiting and now_us >= self._due_us:
            self._due_us = now_us + EVERY_US
            self.settle()

    def settle(self) -> None:
        """Write what was said since; what the store does not take now is let go."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        with self._store.adding() as db:
            for sql, values in waiting:
                db.execute(sql, values)

    def online(self) -> list[str]:
        """The devices that are there and not revoked."""
        self.settle()
        rows = self._store.db.execute("SELECT device FROM devices WHERE online = 1 AND revoked_us IS NULL").fetchall()
        return [row[0] for row in rows]

    def _wait(self, sql: str, values: Sequence[object]) -> None:
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append((sql, values))
