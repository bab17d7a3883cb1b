"""Opens what the centre may open, hits and custody journals, with its triage identity, once they are receipted.

Decided here: what a hit's row holds (its record; its pictures stay sealed), and how far each service's chain is
believed: line by line from seq 1, in order, however the journals arrive. A journal that does not follow is
never dropped and never believed: its chain is marked broken, with the reason, for people to see; so is one whose lines
are not those that the device had signed for (heads.py). Implements RC-11 to RC-13 of docs/spec/receipt.md.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from sync.central import chains, heads
from sync.central.chains import Chain
from sync.central.database import Database
from sync.central.quarantine import quarantine
from sync.central.store import Store
from sync.central.store_trouble import DISK_TROUBLE
from vedette import canonical, hitfile
from vedette.custody_entry import Entry, parse_line
from vedette.custody_tail import MAX_FILE_ENTRIES
from vedette.custody_verify import split_lines, verify_chain
from vedette.errors import Integrity, VedetteError
from vedette.fields import Fields
from vedette.keys import PublicKey
from vedette.records import Manifest, peek_manifest
from vedette.sealed import load_identities, open_sealed
from vedette.wire import RefuseCode

MAX_OPENED_BYTES = 32 << 20
GAP = "gap"
# What the store did not give is asked for again after this; of so many at most, or the store is taken to be away.
AGAIN_US, MAX_UNREADABLE = 5_000_000, 256

_WAITING = (
    "SELECT i.item, i.device, i.sealed_size, i.manifest, d.public_key FROM to_open w JOIN items i ON i.item = w.item"
    " JOIN devices d ON d.device = i.device ORDER BY i.priority, i.log_index LIMIT ?"
)

_log = logging.getLogger("vedette.triage")


@dataclass(frozen=True, slots=True)
class _Opened:
    """An item that waited: what is sealed in it, or why that is not known."""

    item: str
    device: str
    manifest: Manifest | None = None
    key: PublicKey | None = None
    payload: bytes = b""
    problem: str | None = None


class Triage:
    """Works off the items that wait to be opened; a crash repeats one batch and changes nothing."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._identities = load_identities(store.folder / "keys" / "triage.identity")
        self._unreadable: set[str] = set()
        self._again_us = 0

    def open_waiting(self, most: int) -> bool:
        """Open up to `most` items that are stored and not opened yet, hits first, in one transaction, and as many bytes
        as may be opened at once; whether these were all that can be opened now.
        """
        now_us = self._store.clock.mono_us()
        if now_us >= self._again_us:
            self._unreadable.clear()
            self._again_us = now_us + AGAIN_US
        if len(self._unreadable) >= MAX_UNREADABLE:
            return True
        rows = self._store.db.execute(_WAITING, [most + len(self._unreadable)]).fetchall()
        waiting = [row for row in rows if row[0] not in self._unreadable]
        sizes = accumulate(int(size) for _item, _device, size, _manifest, _key in waiting[:most])
        batch = waiting[: max(1, sum(size <= MAX_OPENED_BYTES for size in sizes))]
        found = [self._opened(str(item), str(device), manifest, key) for item, device, _, manifest, key in batch]
        self._keep_all([one for one in found if one is not None])
        return len(batch) == len(waiting) < most

    def _opened(self, item: str, device: str, record: bytes, key: str) -> _Opened | None:
        """What is sealed in the item, or why it cannot be opened; None where the store does not give it now."""
        try:
            manifest = peek_manifest(bytes(record))
            return _Opened(item, device, manifest, PublicKey.from_text(key), self._payload(manifest))
        except VedetteError as error:
            return _Opened(item, device, problem=str(error))
        except DISK_TROUBLE as error:
            _log.error("item %s cannot be read now: %s", item, error)
            self._unreadable.add(item)
            return None
        except Exception as error:  # whatever a hostile file does to the opener, the next item is opened
            _log.exception("item %s cannot be opened", item)
            return _Opened(item, device, problem=f"item {item}: the opener failed: {type(error).__name__}")

    def _keep_all(self, opened: Sequence[_Opened]) -> None:
        """Keep them together; one that no row can be made of is kept as that, and holds up nobody."""
        if not opened:
            return
        try:
            with self._store.writing() as db:
                problems = [self._keep(db, one) for one in opened]
        except DISK_TROUBLE:
            raise
        except Exception as error:
            if len(opened) > 1:
                for one in opened:
                    self._keep_all([one])
                return
            _log.exception("item %s cannot be kept", opened[0].item)
            problems = [f"item {opened[0].item}: what is in it cannot be kept: {type(error).__name__}"]
            with self._store.writing() as db:
                self._done(db, opened[0].item, problems[0])
        for one, problem in zip(opened, problems, strict=True):
            if problem is not None:
                quarantine(self._store, one.device, one.item, RefuseCode.INVALID, problem)

    def _keep(self, db: Database, one: _Opened) -> str | None:
        """Add the rows of one item; what is wrong with it."""
        problem = one.problem
        if one.manifest is not None and one.key is not None:
            if one.manifest.kind == "hit":
                problem = _keep_hit(db, one.manifest, one.payload)
            else:
                problem = _keep_journal(db, one.manifest, one.payload, one.key)
        self._done(db, one.item, problem)
        return problem

    def _done(self, db: Database, item: str, problem: str | None) -> None:
        db.execute(
            "INSERT INTO opened (item, opened_us, problem) VALUES (?, ?, ?)"
            " ON CONFLICT (item) DO UPDATE SET opened_us = excluded.opened_us, problem = excluded.problem",
            [item, self._store.clock.utc_us(), problem],
        )
        db.execute("DELETE FROM to_open WHERE item = ?", [item])

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
        if len(lines) > MAX_FILE_ENTRIES:
            raise Integrity(
                f"custody item {manifest.item}: {len(lines)} lines, a journal has {MAX_FILE_ENTRIES} at most"
            )
        first = parse_line(lines[0]) if lines else None
        if first is None or first.device != manifest.device:
            raise Integrity(f"custody item {manifest.item}: no journal of {manifest.device}")
    except VedetteError as error:
        service = manifest.journal.service if manifest.journal else "unknown"
        chains.save(
            db, manifest.device, service, _broken(chains.read(db, manifest.device, service), manifest.item, error)
        )
        return str(error)
    chain = chains.read(db, manifest.device, first.service)
    if first.seq > chain.seq + 1 and chain.problem is None:
        row = [manifest.item, manifest.device, first.service, first.seq]
        db.execute("INSERT INTO custody_waiting (item, device, service, first_seq) VALUES (?, ?, ?, ?)", row)
        chains.save(db, manifest.device, first.service, chain)
        return None
    problem, chain = _extend(db, manifest.item, chain, first, lines, public)
    loss = heads.hold_against(db, manifest.device, first.service)
    if loss is not None:
        problem, chain = problem or loss, chain.broken(loss)
    chains.save(db, manifest.device, first.service, chain)
    chains.call_waiting(db, manifest.device, first.service, chain)
    return problem


def _extend(
    db: Database, item: str, chain: Chain, first: Entry, lines: list[bytes], public: PublicKey
) -> tuple[str | None, Chain]:
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
        chain = Chain(seq=end[0], head=end[1], utc_us=chain.utc_us if error else _utc_us(lines), problem=chain.problem)
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


def _broken(chain: Chain, item: str, error: VedetteError) -> Chain:
    return chain.broken(f"broken after seq {chain.seq} by item {item}: {error}")
