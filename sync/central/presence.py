"""Which devices are there: what their births, wills and status messages say, as columns of their rows."""

from __future__ import annotations

import json

from sync.central.store import Store
from vedette.wire import Birth, Status


class Presence:
    """Writes the passing state of devices; losing it loses nothing."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def birth(self, device: str, birth: Birth) -> None:
        """The device came, or its will says that it went."""
        sql = "UPDATE devices SET online = ?, last_seen_us = ?, list_version = ? WHERE device = ?"
        self._store.db.execute(sql, [int(birth.online), self._store.clock.utc_us(), birth.list_version, device])

    def status(self, device: str, status: Status) -> None:
        """The device's counters, as it last told them."""
        sql = "UPDATE devices SET online = 1, last_seen_us = ?, status = ? WHERE device = ?"
        counters = json.dumps(dict(status.counters), ensure_ascii=False)
        self._store.db.execute(sql, [self._store.clock.utc_us(), counters, device])

    def nobody(self) -> None:
        """The broker is new or gone: a device counts as there again when its birth arrives."""
        self._store.db.execute("UPDATE devices SET online = 0 WHERE online = 1")

    def online(self) -> list[str]:
        """The devices that are there and not revoked."""
        rows = self._store.db.execute("SELECT device FROM devices WHERE online = 1 AND revoked_us IS NULL").fetchall()
        return [row[0] for row in rows]
