"""What the device still has to send: an index over the spool that may be deleted at any time.

Decided here: which item goes next (`next_work`, a pure rule), when a failed one is tried again, and that nothing ever
ages out: an item leaves the outbox by a checked receipt or when its file has left the spool, a refused one stays, is
shown, and is tried again rarely, and one that waits long becomes more urgent. The truth is the spool and the receipts
folder; the database only keeps a restart from reading every manifest again and remembers refusals for people to see.
Implements docs/spec/wire.md, "Outbox".
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import sqlite_utils

from sync.network import Network as Network
from vedette import spool
from vedette.errors import NotFound, VedetteError
from vedette.records import KINDS, PRIORITY_HIT

FIRST_RETRY_US = 15_000_000
MOST_RETRY_US = 600_000_000
REFUSED_RETRY_US = 6 * 3_600_000_000
SETTLED_US = 2_000_000
_TABLE = "items"
_COLUMNS = ("item_id", "kind", "priority", "size", "tries", "refused", "why")
_log = logging.getLogger("vedette.uplink")


@dataclass(frozen=True, kw_only=True, slots=True)
class OutboxItem:
    """One item without a receipt; `next_try_us` is monotonic and 0 after a start, `refused` is the centre's code."""

    item_id: str
    kind: str
    priority: int
    size: int
    tries: int = 0
    refused: str = ""
    why: str = ""
    next_try_us: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Ageing:
    """Which items count as old: those whose id (a UUIDv7, so a time) comes before `old_before`; empty: none."""

    old_before: str = ""

    @staticmethod
    def at(utc_us: int, escalate_h: int) -> Ageing:
        """The rule at `utc_us` where an item is old after `escalate_h` hours; 0 is never."""
        if not escalate_h:
            return NEVER_OLD
        made_ms = f"{max(0, utc_us // 1000 - escalate_h * 3_600_000):012x}"
        return Ageing(old_before=f"{made_ms[:8]}-{made_ms[8:]}")

    def rank(self, item: OutboxItem) -> int:
        """The priority by which `item` is sent: one more urgent than its own when it is old, never that of hits."""
        if item.item_id >= self.old_before:
            return item.priority
        return max(min(item.priority, PRIORITY_HIT + 1), item.priority - 1)


NEVER_OLD = Ageing()


def next_work(
    items: Iterable[OutboxItem],
    *,
    now_us: int,
    network: Network,
    under_way: frozenset[str] = frozenset(),
    ageing: Ageing = NEVER_OLD,
) -> OutboxItem | None:
    """The item to send now, most urgent and then oldest first, or None when nothing may go over this network yet."""
    ready = [
        one
        for one in items
        if one.next_try_us <= now_us and one.item_id not in under_way and network.allows_priority(one.priority)
    ]
    return min(ready, key=lambda one: (ageing.rank(one), one.item_id), default=None)


def failed(item: OutboxItem, *, now_us: int, code: str, temporary: bool, why: str) -> OutboxItem:
    """`item` after a try that ended without a receipt: tried again in 15 s to 10 min, or in 6 h when it was refused."""
    pause_us = min(MOST_RETRY_US, FIRST_RETRY_US << min(item.tries, 10)) if temporary else REFUSED_RETRY_US
    refused = "" if temporary else code
    return replace(item, tries=item.tries + 1, refused=refused, why=why[:300], next_try_us=now_us + pause_us)


class Outbox:
    """The items in `spool_root` that have no receipt, kept in step with the folder by `refresh`."""

    def __init__(self, database: Path, spool_root: Path) -> None:
        self._spool_root = spool_root
        self._db = _open(database)
        self._remembered = {item.item_id: item for item in _rows(self._db)}
        self._items: dict[str, OutboxItem] = {}
        self._done: set[str] = set()
        self._bad: dict[str, str] = {}
        self._listed: tuple[int, ...] = ()
        self._unsettled_until_us = 0

    @property
    def items(self) -> Mapping[str, OutboxItem]:
        """Every item that has no receipt, by id."""
        return self._items

    @property
    def bad(self) -> Mapping[str, str]:
        """Manifests in the spool that are no item, by file name, and why; they are a person's business."""
        return self._bad

    def refresh(self, now_us: int) -> list[str]:
        """Take in what came to the spool and let go of what left it; returns the ids that are new.

        A folder whose time stamp has not moved is not listed again, save shortly after a change: two files within one
        tick of the file system's clock look like one.
        """
        stamps = tuple(_stamp(self._spool_root / kind) for kind in KINDS)
        if stamps == self._listed and now_us > self._unsettled_until_us:
            return []
        if stamps != self._listed:
            self._listed, self._unsettled_until_us = stamps, now_us + SETTLED_US
        there = {item_id: (kind, path) for kind, item_id, path in spool.item_ids(self._spool_root)}
        for item_id in [item_id for item_id in self._items if item_id not in there]:
            self._forget(item_id)
        self._bad = {name: why for name, why in self._bad.items() if name.removesuffix(".manifest") in there}
        self._done &= there.keys()
        new = [item_id for item_id in there if item_id not in self._items and item_id not in self._done]
        return [item_id for item_id in new if self._take(item_id, *there[item_id])]

    def load(self, item_id: str) -> spool.Item:
        """The item as it lies in the spool; NotFound when it is not there (any more), Integrity when it is damaged."""
        for kind in KINDS:
            path = spool.manifest_path(self._spool_root, kind, item_id)
            if path.exists():
                return _load(path)
        raise NotFound(f"item {item_id} is not in the spool")

    def fail(self, item_id: str, *, now_us: int, code: str, temporary: bool, why: str) -> None:
        """A try ended without a receipt."""
        item = self._items.get(item_id)
        if item is not None:
            self._keep(failed(item, now_us=now_us, code=code, temporary=temporary, why=why))

    def try_now(self, item_id: str) -> None:
        """What it waited for is there: it is tried now, and the tries before were not its own failures."""
        item = self._items.get(item_id)
        if item is not None:
            self._items[item_id] = replace(item, tries=0, next_try_us=0)

    def done(self, item_id: str) -> None:
        """A checked receipt for it is on the disk."""
        self._done.add(item_id)
        self._forget(item_id)

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def _take(self, item_id: str, kind: str, path: Path) -> bool:
        remembered = self._remembered.pop(item_id, None)
        if remembered is not None and remembered.kind == kind:
            self._items[item_id] = remembered
            return True
        try:
            manifest = _load(path).manifest
        except VedetteError as error:
            self._bad[path.name] = str(error)
            return False
        self._bad.pop(path.name, None)
        self._keep(OutboxItem(item_id=item_id, kind=kind, priority=manifest.priority, size=manifest.sealed_size))
        return True

    def _keep(self, item: OutboxItem) -> None:
        self._items[item.item_id] = item
        values = [getattr(item, name) for name in _COLUMNS]
        marks = ", ".join("?" * len(values))
        self._write(f"INSERT OR REPLACE INTO {_TABLE} ({', '.join(_COLUMNS)}) VALUES ({marks})", values)

    def _forget(self, item_id: str) -> None:
        self._items.pop(item_id, None)
        self._write(f"DELETE FROM {_TABLE} WHERE item_id = ?", [item_id])

    def _write(self, sql: str, values: Sequence[str | int]) -> None:
        """The index may fall behind (a full disk): the next start reads the spool instead."""
        try:
            self._db.execute(sql, values)
        except sqlite3.Error as error:
            _log.warning("the outbox's index was not written, sending goes on: %s", error)


def refused_items(database: Path) -> list[OutboxItem]:
    """What the centre has refused for good, by the index as it lies there; for people to see, changes nothing."""
    try:
        db = sqlite_utils.Database(sqlite3.connect(f"file:{database}?mode=ro", uri=True))
        rows = list(db.query(f"SELECT * FROM {_TABLE} WHERE refused != '' ORDER BY item_id"))
        db.close()
        return [OutboxItem(**row) for row in rows]
    except (sqlite3.Error, TypeError, ValueError):
        return []


def _load(path: Path) -> spool.Item:
    """As `spool.load`; the keeper may delete between two looks of it."""
    try:
        return spool.load(path)
    except FileNotFoundError:
        raise NotFound(f"{path.name}: the item has just left the spool") from None


def _stamp(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _open(path: Path) -> sqlite_utils.Database:
    """The index; one that is damaged or of another form is thrown away, since the spool has everything."""
    try:
        return _connect(path)
    except (sqlite3.DatabaseError, TypeError, ValueError) as error:  # ValueError: an error text that is no text
        _log.warning("the outbox's index %s is rebuilt from the spool: %s", path, error)
        for name in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal"))):
            name.unlink(missing_ok=True)
    try:
        return _connect(path)
    except sqlite3.OperationalError as error:
        _log.warning("the outbox's index %s cannot be kept, this run has it in memory: %s", path, error)
        return _connect(Path(":memory:"))


def _connect(path: Path) -> sqlite_utils.Database:
    db = sqlite_utils.Database(sqlite3.connect(path, isolation_level=None, timeout=2))
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = OFF")
    db.execute(f"CREATE TABLE IF NOT EXISTS {_TABLE} ({', '.join(_COLUMNS)}, PRIMARY KEY (item_id))")
    if [row["name"] for row in db.query(f"PRAGMA table_info({_TABLE})")] != list(_COLUMNS):
        db.close()
        raise sqlite3.DatabaseError("its columns are of another version")
    _rows(db)  # damage may lie deeper than the schema
    return db


def _rows(db: sqlite_utils.Database) -> list[OutboxItem]:
    """What the index holds; DatabaseError where that is nothing an outbox has written."""
    (said,) = db.execute("PRAGMA quick_check(1)").fetchone()
    items = [OutboxItem(**dict(zip(_COLUMNS, row, strict=True))) for row in db.execute(f"SELECT * FROM {_TABLE}")]
    if said != "ok" or not all(_is_right(item) for item in items):
        raise sqlite3.DatabaseError("its rows are damaged")
    return items


def _is_right(item: OutboxItem) -> bool:
    texts, numbers = (item.item_id, item.kind, item.refused, item.why), (item.priority, item.size, item.tries)
    return all(type(one) is str for one in texts) and all(type(one) is int and one >= 0 for one in numbers)
