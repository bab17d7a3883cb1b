"""Disks as a power cut may leave them, at the centre and on the device: nothing that was acknowledged is missing.

Every file operation of a real run is recorded (simulator/disk.py), and states are drawn that a cut after any of them
may leave. SQLite is taken at its word: with synchronous=FULL a commit that returned is there and one that did not is
there whole or not at all, so a state has the database as it was after any commit that a cut at that moment allows
(its own authors test that by simulated crashes; its pages are not recorded here). The outbox's index on the device runs
with synchronous=OFF and is therefore given every damage there is. `POWER_CUTS=10000` looks at that many states, each of
which differs from all others in what lies in some file. SQLite's own writes are test_sqlite_cut.py's business.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edge.keeper import open_keeper
from simulator.disk import Disk
from simulator.freight import Loader, Packed
from sync.central.receipts import accept
from sync.central.schema import Sqlite
from sync.central.store import DATABASE, Store
from sync.holdings import Holdings
from sync.outbox import Outbox
from vedette import spool
from vedette.records import keyring, peek_manifest
from vedette.trust import load_trust
from vedette.wire import Sealed

STATES = int(os.environ.get("POWER_CUTS", "200"))
FULL_RECOVERY_EVERY = 40
DRAWS_FOR_ONE = 50


@dataclass
class Commits:
    """The database after each commit, as a file of its own."""

    folder: Path
    copies: list[Path] = field(default_factory=list)

    def take(self, connection: sqlite3.Connection) -> None:
        path = self.folder / f"{len(self.copies):04d}.db"
        copy = sqlite3.connect(path)
        connection.backup(copy)
        copy.close()
        self.copies.append(path)

    @contextmanager
    def watched(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Take a copy whenever something was committed."""
        real = Sqlite.execute
        changes = store.db.conn.total_changes  # type: ignore[attr-defined]
        self.take(store.db.conn)  # type: ignore[attr-defined]

        def execute(db: Any, *arguments: Any) -> Any:
            nonlocal changes
            found = real(db, *arguments)
            if not db.conn.in_transaction and db.conn.total_changes != changes:
                changes = db.conn.total_changes
                self.take(db.conn)
            return found

        with monkeypatch.context() as patch:
            patch.setattr(Sqlite, "execute", execute)
            yield

    @property
    def newest(self) -> int:
        return len(self.copies) - 1


class Distinct:
    """Numbers for drawing by chance until STATES states were new, by what lies in their files."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def numbers(self) -> Iterator[int]:
        """As many as are needed; fails where new ones have run out."""
        for number in range(STATES * DRAWS_FOR_ONE):
            if len(self._seen) == STATES:
                return
            yield number
        raise AssertionError(f"only {len(self._seen)} of {STATES} states differ")

    def is_new(self, files: dict[str, bytes], *more: object) -> bool:
        """Whether no state before had these files, and `more`, which says what else lies there."""
        told = hashlib.sha256(repr(more).encode())
        for path, content in sorted(files.items()):
            told.update(f"{path}\0{len(content)}\0".encode())
            told.update(content)
        known = len(self._seen)
        self._seen.add(told.digest())
        return len(self._seen) > known


@dataclass
class Said:
    """A receipt that left the centre, and how far disk and database were then."""

    item: str
    operations: int
    commit: int


def uploads(worker: Any, made: list[Any], said: list[Said], disk: Disk, commits: Commits) -> None:
    """Upload everything by two and two, parts in an order of chance, and note each receipt as it leaves."""
    chance, publish = random.Random(5), worker.link.publish

    def noting(topic: str, payload: bytes, *, behind: bytes = b"", retain: bool = False) -> bool:
        taken: bool = publish(topic, payload, behind=behind, retain=retain)
        message = worker.link.sent[-1][1]
        if isinstance(message, Sealed):
            said.append(Said(message.item, len(disk.operations), commits.newest))
        return taken

    worker.link.publish = noting
    for first, second in zip(made[::2], made[1::2], strict=True):
        device = first.manifest.device
        worker.say(device, first.init(), second.init())
        parts = [*first.parts(), *second.parts()]
        chance.shuffle(parts)
        for at in range(0, len(parts), 3):
            worker.say(device, *parts[at : at + 3])
        worker.say(device, first.fin())
        worker.say(device, second.fin())


@pytest.mark.timeout(3600)
def test_centre_has_everything_it_signed_for_after_a_power_cut_at_any_moment(
    centre: Any,
    device: Any,
    worker: Any,
    goes_on: Callable[[Path, list[Any]], None],
    monkeypatch: pytest.MonkeyPatch,
    memory: Path,
) -> None:
    """RC-1 to RC-3, RC-8: the blob with its bytes, the row, one leaf; and what was cut off can be sent again."""
    made = [device.item(random.Random(n).randbytes(size)) for n, size in enumerate((1, 20_000, 50_000, 70_001))]
    made += [device.hit(), device.hit("AB124CD")]
    (memory / "commits").mkdir()
    commits, said = Commits(memory / "commits"), list[Said]()
    disk = Disk(centre.folder, lambda: commits.newest)
    with commits.watched(centre.store, monkeypatch), disk.watched():
        uploads(worker, made, said, disk, commits)
    centre.store.close()
    assert {one.item for one in said} == {one.id for one in made}

    distinct = Distinct()
    for number in distinct.numbers():
        chance = random.Random(number)
        count, commit = _moment(disk, commits, chance)
        files = disk.left_after(count, chance)
        if not distinct.is_new(files, commit):
            continue
        _lay_out(disk, files, commits.copies[commit], memory / "state")
        promised = [one.item for one in said if one.operations <= count and one.commit <= commit]
        _check_centre(memory / "state", made, promised, number)
        if number % FULL_RECOVERY_EVERY == 0:
            goes_on(memory / "state", made)


def _moment(disk: Disk, commits: Commits, chance: random.Random) -> tuple[int, int]:
    """After how many operations the cut comes, and the number of the newest commit that is there then."""
    count = chance.randrange(len(disk.operations) + 1)
    least = disk.operations[count - 1][0] if count else 0
    most = disk.operations[count][0] if count < len(disk.operations) else commits.newest
    return count, chance.randint(least, most)


def _lay_out(disk: Disk, files: dict[str, bytes], database: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    disk.lay_out(files, folder)
    for name in (f"{DATABASE}-wal", f"{DATABASE}-shm"):
        (folder / name).unlink(missing_ok=True)
    shutil.copyfile(database, folder / DATABASE)


def _check_centre(folder: Path, made: list[Any], promised: list[str], number: int) -> None:
    """Every row has its bytes, and every item whose receipt had left has a row."""
    store = Store(folder)
    try:
        rows = {row.item: row for row in store.items()}
        assert set(promised) <= set(rows), f"state {number}"
        for one in made:
            if one.id in rows:
                blob = store.blobs.read(rows[one.id].sealed_sha256, max_bytes=1 << 20)
                assert blob == one.sealed_bytes, f"state {number}"
        assert store.log_size() == len(rows)
    finally:
        store.close()


def receipts_come(centre: Any, loader: Loader, made: list[Packed], signed: dict[str, int], disk: Disk) -> None:
    """The uplink's and the keeper's part in turn: write a receipt, forget the item, delete what it names."""
    config = loader.config
    outbox = Outbox(config.data / "outbox.db", config.spool)
    holdings = Holdings(outbox, config.receipts, keyring(load_trust(config.trust).centre))
    keeper = open_keeper(config)
    outbox.refresh(1)
    for number, packed in enumerate(made):
        record = accept(centre.store, centre.signer, peek_manifest(packed.record), packed.record)
        signed[packed.item] = len(disk.operations)
        holdings.offer(packed.item)
        holdings.keep_receipt(packed.item, record)
        holdings.release(packed.item)
        outbox.done(packed.item)
        if number % 2:
            keeper.step(number * 2_000_000)
            outbox.refresh(number * 2_000_000)
    keeper.close()
    outbox.close()


DAMAGE: dict[str, Callable[[bytes, random.Random], bytes | None]] = {
    "gone": lambda _data, _chance: None,
    "whole": lambda data, _chance: data,
    "empty": lambda _data, _chance: b"",
    "cut": lambda data, chance: data[: chance.randrange(len(data))],
    "noise": lambda data, chance: chance.randbytes(len(data)),
    "flipped": lambda data, chance: bytes(b ^ (chance.random() < 0.01) for b in data),
}


@pytest.mark.timeout(3600)
def test_device_keeps_what_is_not_signed_for_after_a_power_cut_at_any_moment(
    centre: Any, device: Any, memory: Path
) -> None:
    """WI-26, WI-33, WI-34, SP-6: with whatever is left of the outbox's index, each item is to be sent or has its
    receipt, and only what the centre had signed for is gone."""
    loader = Loader(device.folder / "device.toml")
    made = [loader.put(size) for size in (1, 5_000, 70_000)] + [loader.put_hit() for _ in range(3)]
    signed: dict[str, int] = {}
    disk = Disk(device.folder, lambda: 0)
    with disk.watched():
        receipts_come(centre, loader, made, signed, disk)
    index = (device.folder / "outbox.db").read_bytes()
    keys = keyring(load_trust(loader.config.trust).centre)

    distinct = Distinct()
    for number in distinct.numbers():
        chance = random.Random(number)
        count = chance.randrange(len(disk.operations) + 1)
        folder = memory / "state"
        shutil.rmtree(folder, ignore_errors=True)
        left_files = disk.left_after(count, chance)
        files = {path: data for path, data in left_files.items() if not path.startswith("outbox.db")}
        damage = chance.choice(list(DAMAGE))
        if not distinct.is_new(files, damage):
            continue
        disk.lay_out(files, folder)
        left = DAMAGE[damage](index, chance)
        if left is not None:
            (folder / "outbox.db").write_bytes(left)
        _check_device(folder, made, {item for item, at in signed.items() if at <= count}, keys)


def _check_device(folder: Path, made: list[Packed], signed: set[str], keys: Any) -> None:
    outbox = Outbox(folder / "outbox.db", folder / "spool")
    holdings = Holdings(outbox, folder / "receipts", keys)
    try:
        outbox.refresh(1)
        for packed in made:
            path = spool.final_path(folder / "spool", packed.kind, packed.item)
            if packed.item not in signed:
                assert path.stat().st_size == packed.size
                assert packed.item in outbox.items
                assert not holdings.has_receipt(packed.item)
            elif packed.item in outbox.items and not holdings.has_receipt(packed.item):
                assert path.stat().st_size == packed.size
    finally:
        outbox.close()
