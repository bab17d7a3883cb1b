"""The centre's side of the watchlist: import from CSV, sign the next version, publish it, hand out its sealed bytes.

Decided here: a version is signed and sealed to the fleet's list key at import, kept as a blob, and offered to
devices from its publication on; versions only grow. The CSV's rules and the list's form are
vedette.watchlist_csv and vedette.watchlist (docs/spec/watchlist.md).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from sync.central.rows import ListRow
from sync.central.store import Store
from vedette import files
from vedette.errors import NotFound, Refused
from vedette.keys import SigningKey
from vedette.records import keyring
from vedette.sealed import load_identities, open_sealed, seal
from vedette.watchlist import MAX_LIST_BYTES, WatchList, make_list, open_list
from vedette.watchlist_csv import MAX_CSV_BYTES, read_csv
from vedette.wire import ListOffer, ListPart, ListWant

PART_BYTES = 256 * 1024


def import_csv(store: Store, path: Path, user: str, *, expires_s: int) -> ListRow:
    """Read, check, sign and seal `path` as the next version; `BadRows` names every bad row and nothing is imported.

    The list as a whole stops raising hits `expires_s` seconds from now, whatever its entries say.
    """
    entries = read_csv(files.read(path, max_bytes=MAX_CSV_BYTES))
    keys = store.folder / "keys"
    signer = SigningKey.load(keys / "list.pem")
    recipients = [identity.recipient for identity in load_identities(keys / "list.identity")]
    now_us = store.clock.utc_us()
    version = int(store.db.execute("SELECT coalesce(max(version), 0) + 1 FROM lists").fetchone()[0])
    expires_us = now_us + expires_s * 1_000_000
    signed = make_list(
        entries, version=version, issued_us=now_us, expires_us=expires_us, source=path.name[:60], key=signer
    )
    sealed_sha256 = store.blobs.put(seal(signed, recipients))
    row = [version, now_us, len(entries), user, hashlib.sha256(signed).hexdigest(), sealed_sha256]
    columns = "version, issued_us, entries, imported_by, sha256, sealed_sha256"
    sql = f"INSERT INTO lists ({columns}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
    if store.db.execute(sql, row).rowcount != 1:
        raise Refused(f"another import made version {version} meanwhile; run this one again")
    return store.lists()[0]


def publish(store: Store, version: int | None = None) -> ListRow:
    """Offer `version` (the newest by default) to every device; `Refused` for one older than what is out."""
    rows = store.lists()
    row = next((one for one in rows if version in (None, one.version)), None)
    if row is None:
        raise NotFound("there is no such watchlist version; `vedette watchlist import` makes one")
    newest = max((one.version for one in rows if one.published_us is not None), default=0)
    if row.version < newest:
        raise Refused(f"version {newest} is out already and devices take nothing older; import the list again")
    if row.published_us is None:
        sql = "UPDATE lists SET published_us = ? WHERE version = ?"
        store.db.execute(sql, [store.clock.utc_us(), row.version])
    return next(one for one in store.lists() if one.version == row.version)


def open_version(store: Store, version: int | None = None) -> WatchList:
    """A version (the newest by default) opened and verified as a device does; raises as `open_list`."""
    row = next((one for one in store.lists() if version in (None, one.version)), None)
    if row is None:
        raise NotFound("there is no such watchlist version; `vedette watchlist import` makes one")
    keys = store.folder / "keys"
    data = open_sealed(
        store.blobs.read(row.sealed_sha256, max_bytes=2 * MAX_LIST_BYTES), load_identities(keys / "list.identity")
    )
    signer = SigningKey.load(keys / "list.pem").public
    return open_list(data, keyring(signer), now_us=store.clock.utc_us(), newer_than=None)


def offer(store: Store) -> ListOffer | None:
    """What devices are offered now; None before the first publication."""
    sql = "SELECT version, sealed_sha256 FROM lists WHERE published_us IS NOT NULL ORDER BY version DESC LIMIT 1"
    row = store.db.execute(sql).fetchone()
    if row is None:
        return None
    return ListOffer(version=row[0], size=store.blobs.size(row[1]), sha256=row[1])


def part(store: Store, want: ListWant) -> ListPart | None:
    """The bytes a device asked for; None for a version that is not out or an offset past its end."""
    sql = "SELECT sealed_sha256 FROM lists WHERE version = ? AND published_us IS NOT NULL"
    row = store.db.execute(sql, [want.version]).fetchone()
    if row is None:
        return None
    with store.blobs.open(row[0]) as file:
        file.seek(want.offset)
        payload = file.read(PART_BYTES)
    return ListPart(version=want.version, offset=want.offset, payload=payload) if payload else None
