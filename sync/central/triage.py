"""Opens what the centre may open, hits and custody journals, with its triage identity, once they are receipted.

Decided here: what a hit's row holds (its record; its pictures stay sealed), and how far each service's chain is
believed: line by line from seq 1, in order, however the journals arrive. A journal that does not follow is
never dropped and never believed: its chain is marked broken, with the reason, for people to see. Implements
RC-11 to RC-13 of docs/spec/receipt.md.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from itertools import accumulate

from sync.central.database import Database
from sync.central.store import Store
from vedette import canonical, hitfile
from vedette.custody_entry import FIRST_PREV, Entry, parse_line
from vedette.custody_verify import split_lines, verify_chain
from vedette.errors import Integrity, VedetteError
from vedette.fields import Fields
from vedette.keys import PublicKey
from vedette.records import Manifest, peek_manifest
from vedette.sealed import load_identities, open_sealed

MAX_OPENED_BYTES = 32 << 20
GAP = "gap"

_WAITING = (
    "SELECT i.manifest, d.public_key FROM to_open w JOIN items i ON i.item = w.item"
    " JOIN devices d ON d.device = i.device ORDER BY w.item LIMIT ?"
)

_log = logging.getLogger("vedette.triage")


@dataclass(frozen=True, slots=True)
class _Chain:
    """How far a service's chain is read: the last line's seq and hash, and what is wrong with it."""

    seq: int = 0
    head: str = FIRST_PREV
    utc_us: int = 0
    problem: str | None = None


class Triage:
    """Works off the items that wait to be opened; a crash repeats one item and changes nothing."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._identities = load_identities(store.folder / "keys" / "triage.identity")

    def open_waiting(self, most: int) -> bool:
        """Open up to `most` items that are stored and not opened yet, in one transaction, and as many bytes as may be
        opened at once; whether these were all that waited.
        """
        rows = self._store.db.execute(_WAITING, [most]).fetchall()
        found = [(peek_manifest(bytes(manifest)), PublicKey.from_text(key)) for manifest, key in rows]
        sizes = accumulate(manifest.sealed_size for manifest, _ in found)
        fitting = max(1, sum(size <= MAX_OPENED_BYTES for size in sizes))
        opened = [(manifest, key, *self._opened(manifest)) for manifest, key in found[:fitting]]
        if opened:
            with self._store.writing() as db:
                for manifest, key, payload, problem in opened:
                    self._keep(db, manifest, key, payload, problem)
        return len(opened) == len(rows) < most

    def _opened(self, manifest: Manifest) -> tuple[bytes, str | None]:
        """(what is sealed in the item, why it cannot be opened)."""
        try:
            return self._payload(manifest), None
        except VedetteError as error:
            return b"", str(error)
        except Exception as error:  # whatever a hostile file does to the opener, the next item is opened
            _log.exception("item %s cannot be opened", manifest.item)
            return b"", f"item {manifest.item}: the opener failed: {type(error).__name__}"

    def _keep(self, db: Database, manifest: Manifest, key: PublicKey, payload: bytes, problem: str | None) -> None:
        if problem is None and manifest.kind == "hit":
            problem = _keep_hit(db, manifest, payload)
        elif problem is None:
            problem = _keep_journal(db, manifest, payload, key)
        db.execute(
            "INSERT INTO opened (item, opened_us, problem) VALUES (?, ?, ?)"
            " ON CONFLICT (item) DO UPDATE SET opened_us = excluded.opened_us, problem = excluded.problem",
            [manifest.item, self._store.clock.utc_us(), problem],
        )
        db.execute("DELETE FROM to_open WHERE item = ?", [manifest.item])

    def _payload(self, manifest: Manifest) -> bytes:
        sealed_bytes = self._store.blobs.read(manifest.sealed_sha256, max_bytes=MAX_OPENED_BYTES)
        payload = open_sealed(sealed_bytes, self._identities)
        if manifest.plain_sha256 not in (None, hashlib.sha256(payload).hexdigest()):
            raise Integrity(f"item {manifest.item}: what is sealed in it is not what its manifest names")
        return payload


def _keep_hit(db: Database, manifest: Manifest, payload: bytes) -> str | None:
    """Add the hit's row; what is wrong with it where it gets none."""
    try:
        hit, pictures = hitfile.unpack(payload)
    except VedetteError as error:
        return str(error)
    if hit.device != manifest.device:
        return f"hit {hit.hit} says it is of {hit.device}, its item is of {manifest.device}"
    row = [
        hit.hit,
        manifest.item,
        hit.device,
        hit.raised_us,
        hit.text_ascii,
        canonical.dumps(hit.to_body()),
        json.dumps(list(pictures)),
    ]
    sql = (
        "INSERT INTO hits (hit, item, device, raised_us, text_ascii, body, pictures)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
    )
    if db.execute(sql, row).rowcount != 1:
        return f"hit {hit.hit} is here already from another item"
    return None


def _keep_journal(db: Database, manifest: Manifest, payload: bytes, public: PublicKey) -> str | None:
    """Believe the journal if it follows what is believed already, let it wait if it is early; else what is wrong."""
    try:
        lines = split_lines(payload)
        first = parse_line(lines[0]) if lines else None
        if first is None or first.device != manifest.device:
            raise Integrity(f"custody item {manifest.item}: no journal of {manifest.device}")
    except VedetteError as error:
        service = manifest.journal.service if manifest.journal else "unknown"
        _save(db, manifest.device, service, _broken(_chain(db, manifest.device, service), manifest.item, error))
        return str(error)
    chain = _chain(db, manifest.device, first.service)
    if first.seq > chain.seq + 1 and chain.problem is None:
        row = [manifest.item, manifest.device, first.service, first.seq]
        db.execute("INSERT INTO custody_waiting (item, device, service, first_seq) VALUES (?, ?, ?, ?)", row)
        _save(db, manifest.device, first.service, chain)
        return None
    problem, chain = _extend(db, manifest.item, chain, first, lines, public)
    _save(db, manifest.device, first.service, chain)
    _call_waiting(db, manifest.device, first.service, chain)
    return problem


def _extend(
    db: Database, item: str, chain: _Chain, first: Entry, lines: list[bytes], public: PublicKey
) -> tuple[str | None, _Chain]:
    """(what is wrong with this journal, the chain after it)."""
    follows = first.seq == chain.seq + 1
    start = (chain.seq, chain.head) if follows and chain.problem is None else None
    end = (first.seq + len(lines) - 1, hashlib.sha256(lines[-1]).hexdigest())
    error = _believe(db, item, lines, public, start)
    if error is not None:
        chain = _broken(chain, item, error)
        if start is not None:
            _believe(db, item, lines, public, None)  # it may be whole in itself and only not follow
    if end[0] > chain.seq and (follows or error is None):
        chain = _Chain(seq=end[0], head=end[1], utc_us=chain.utc_us if error else _utc_us(lines), problem=chain.problem)
    return None if error is None else str(error), chain


def _believe(
    db: Database, item: str, lines: list[bytes], public: PublicKey, start: tuple[int, str] | None
) -> VedetteError | None:
    """Keep these lines if they are a chain that follows `start`; else why they are not."""
    try:
        for entry in verify_chain(lines, public, start=start):
            _keep_line(db, item, entry)
    except VedetteError as error:
        return error
    return None


def _utc_us(lines: list[bytes]) -> int:
    return parse_line(lines[-1]).utc_us


def _keep_line(db: Database, item: str, entry: Entry) -> None:
    place = [entry.device, entry.service, entry.seq]
    sql = "SELECT line FROM custody_lines WHERE device = ? AND service = ? AND seq = ?"
    known = db.execute(sql, place).fetchone()
    if known is not None:
        if bytes(known[0]) != entry.line:
            raise Integrity(f"custody seq {entry.seq} of {entry.service}: two different signed lines with that number")
        return
    sql = "INSERT INTO custody_lines (device, service, seq, line, item, subject) VALUES (?, ?, ?, ?, ?, ?)"
    db.execute(sql, [*place, entry.line, item, entry.item])
    if entry.event == GAP:
        detail = Fields(dict(entry.detail), f"custody seq {entry.seq}, gap")
        gap = [detail.integer("from_us"), detail.integer("to_us"), detail.text("why")]
        sql = "INSERT INTO gaps (device, service, seq, from_us, to_us, why) VALUES (?, ?, ?, ?, ?, ?)"
        db.execute(sql, [*place, *gap])


def _call_waiting(db: Database, device: str, service: str, chain: _Chain) -> None:
    """Put the waiting journals whose turn has come back in the queue (all of them where the chain is broken anyway)."""
    turn = chain.seq + 1 if chain.problem is None else 1 << 53
    where = "FROM custody_waiting WHERE device = ? AND service = ? AND first_seq <= ?"
    db.execute(f"INSERT INTO to_open (item) SELECT item {where}", [device, service, turn])
    db.execute(f"DELETE {where}", [device, service, turn])


def _chain(db: Database, device: str, service: str) -> _Chain:
    sql = "SELECT seq, head, utc_us, problem FROM chains WHERE device = ? AND service = ?"
    row = db.execute(sql, [device, service]).fetchone()
    return _Chain() if row is None else _Chain(*row)


def _broken(chain: _Chain, item: str, error: VedetteError) -> _Chain:
    problem = chain.problem or f"broken after seq {chain.seq} by item {item}: {error}"
    return _Chain(seq=chain.seq, head=chain.head, utc_us=chain.utc_us, problem=problem)


def _save(db: Database, device: str, service: str, chain: _Chain) -> None:
    db.execute(
        "INSERT INTO chains (device, service, seq, head, utc_us, problem) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (device, service) DO UPDATE SET seq = excluded.seq, head = excluded.head,"
        " utc_us = excluded.utc_us, problem = excluded.problem",
        [device, service, chain.seq, chain.head, chain.utc_us, chain.problem],
    )
