"""What the centre holds of the items that were made: the same bytes, a receipt that holds, one row and one leaf each.

Decided here: everything is read from the disk as it lies there after the last process has ended, and nothing is taken
from what any process said of itself.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simulator.database import Database
from simulator.freight import Packed
from sync.central.fleet import centre_trust
from sync.central.log import Log
from sync.central.quarantine import all_counts
from sync.central.store import Store
from vedette import proof
from vedette.errors import VedetteError
from vedette.proof import LogLeaf
from vedette.records import check_receipt, keyring, open_receipt, peek_manifest
from vedette.trust import Trust


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """The faults found, one text each; `checked` items were looked at."""

    checked: int = 0
    lost: tuple[str, ...] = ()
    twice: tuple[str, ...] = ()
    quarantined: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not (self.lost or self.twice or self.quarantined or self.broken)


def account_for(central: Path, made: Sequence[Packed], database: Database | None = None) -> Account:
    """Look for each of `made` in the central store at `central`, and for what should not be there.

    `database` is where its rows are, if not in a file of its own.
    """
    store = Store(central)
    try:
        trust = centre_trust(central)
        lost = [why for packed in made if (why := _fault(store, trust, packed))]
        return Account(
            checked=len(made),
            lost=tuple(lost),
            twice=tuple(_twice(store)),
            quarantined=tuple(_quarantined(store)),
            broken=tuple(_broken(store, database)),
        )
    finally:
        store.close()


def _fault(store: Store, trust: Trust, packed: Packed) -> str:
    """Why the centre does not hold `packed` as it was made; empty when it does."""
    try:
        row = store.item(packed.item)
        with store.blobs.open(row.sealed_sha256) as file:
            found = hashlib.sha256(file.read()).hexdigest()
        if (row.sealed_sha256, found, row.sealed_size) != (packed.sha256, packed.sha256, packed.size):
            return f"item {packed.item}: other bytes than it was made of"
        receipt = open_receipt(store.receipt(packed.item), keyring(trust.centre))
        check_receipt(receipt, peek_manifest(packed.record), hashlib.sha256(packed.record).hexdigest())
        leaf, _checkpoint = proof.verify(
            proof.Proof.from_text(store.proof(packed.item)), trust.log_origin, trust.centre
        )
        if (leaf.item, leaf.sealed_sha256) != (packed.item, packed.sha256):
            return f"item {packed.item}: the leaf its receipt names is another's"
    except VedetteError as error:
        return f"item {packed.item}: {error}"
    return ""


def _twice(store: Store) -> list[str]:
    leaves = (LogLeaf.from_bytes(one).item for one in Log(store.db).leaves(0, store.log_size()))
    found = [f"item {item} has {count} leaves" for item, count in Counter(leaves).items() if count > 1]
    for table, key in (("items", "item"), ("items", "log_index"), ("hits", "hit"), ("hits", "item")):
        sql = f"SELECT {key}, count(*) FROM {table} GROUP BY {key} HAVING count(*) > 1"
        found += [f"{table}.{key} {value} has {count} rows" for value, count in store.db.execute(sql)]
    if store.log_size() != (rows := store.db.execute("SELECT count(*) FROM items").fetchone()[0]):
        found.append(f"{rows} rows and {store.log_size()} leaves")
    return found


def _quarantined(store: Store) -> list[str]:
    """What a person must look at, whether it was kept or, beyond what is kept, only counted."""
    counted = (one for one in all_counts(store) if one.outcome == "dropped")
    kept = [f"{row.code}: {row.text}" for row in store.quarantine()]
    return [*kept, *(f"{one.code} of {one.device}: {one.times} not kept" for one in counted)]


def _broken(store: Store, database: Database | None) -> list[str]:
    found = [f"custody of {one.device} {one.service}: {one.problem}" for one in store.chains() if one.problem]
    if database is not None:
        return [*found, *(f"database: {line}" for line in database.faults())]
    (said,) = store.db.execute("PRAGMA integrity_check").fetchone()
    return found if said == "ok" else [*found, f"store.db: {said}"]
