"""Disks as a power cut may leave them, SQLite's own writes included: a receipt that left the centre is kept, and what
lies in the device's spool is found again.

A real ingest worker, and a real outbox, run in a child under strace (simulator/straced.py), so that each write, fsync,
name and removal of Python and of SQLite is there in one order; of all that no fsync made sure of, any may be there or
not, whole or torn. `POWER_CUTS=10000` looks at that many states of each, which differ from all others in what lies in
some file. The centre without its fsyncs is the proof that the states are bad enough: there the check must fail.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from simulator.disk import Disk, Names, Sync
from simulator.freight import Loader
from simulator.straced import mark, watched
from sync.central.store import DATABASE, Store
from sync.outbox import Outbox
from vedette.errors import NotFound, VedetteError
from vedette.wire import Sealed

STATES = int(os.environ.get("POWER_CUTS", "200"))
DRAWS_FOR_ONE = 50
BAD_STATES = 400
GOES_ON_EVERY = 40
SMALL_WAL_PAGES = 8


@dataclass
class Recorded:
    """What was done to a disk, and what was promised after how many operations."""

    disk: Disk
    promised: list[tuple[int, str]]

    def states(self, count: int) -> Iterator[tuple[int, dict[str, bytes], set[str]]]:
        """That many different states: how each was drawn, its files, and what was promised before the cut."""
        seen: set[bytes] = set()
        for number in range(count * DRAWS_FOR_ONE):
            chance = random.Random(number)
            at = chance.randrange(len(self.disk.operations) + 1)
            files = self.disk.left_after(at, chance)
            known = len(seen)
            seen.add(fingerprint(files))
            if len(seen) > known:
                yield number, files, {item for after, item in self.promised if after <= at}
            if len(seen) == count:
                return
        raise AssertionError(f"only {len(seen)} of {count} states differ")


def fingerprint(files: dict[str, bytes]) -> bytes:
    """What tells a state from another."""
    told = hashlib.sha256()
    for path, content in sorted(files.items()):
        told.update(f"{path}\0{len(content)}\0".encode())
        told.update(content)
    return told.digest()


def record(folder: Path, work: Callable[[], None], trace: Path) -> Recorded:
    """Do `work` in a child and tell all it did below `folder`."""
    try:
        disk, found = watched(folder, work, trace)
    except NotFound as error:
        pytest.skip(str(error))
    return Recorded(disk, found.marks)


def same_as_there(recorded: Recorded, folder: Path) -> set[str]:
    """The files of `folder`, each with the bytes that the operations gave it: nothing was passed over."""
    files = recorded.disk.whole()
    there = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    there = {name: path for name, path in there.items() if not name.endswith("-shm")}
    assert set(files) == set(there)
    assert [name for name, path in there.items() if files[name] != path.read_bytes()] == []
    return set(there)


def take_in(centre: Any, worker_class: Any, items: list[Any], wal_pages: int) -> None:
    """Take these in by a store of its own, whose WAL goes into the database at `wal_pages`."""
    centre.store = Store(centre.folder, centre.clock)
    centre.store.db.execute(f"PRAGMA wal_autocheckpoint={wal_pages}").fetchall()
    worker = worker_class(centre)
    publish = worker.link.publish

    def noting(topic: str, payload: bytes, *, behind: bytes = b"", retain: bool = False) -> bool:
        taken: bool = publish(topic, payload, behind=behind, retain=retain)
        message = worker.link.sent[-1][1]
        if isinstance(message, Sealed):
            mark(message.item)
        return taken

    worker.link.publish = noting
    for one in items:
        worker.upload(one)


@pytest.fixture
def made(device: Any) -> list[Any]:
    """What the centre takes in."""
    segments = [device.item(random.Random(n).randbytes(size)) for n, size in enumerate((1, 20_000, 40_001))]
    return [*segments, device.hit(), device.hit("AB124CD"), device.hit("AB125CD")]


@pytest.fixture
def recorded(centre: Any, made: list[Any], worker: Any, tmp_path: Path) -> Recorded:
    """Two stores in turn: one goes by the product's own settings until it closes, one is cut off with a WAL that went
    into the database many times."""

    def work() -> None:
        take_in(centre, worker.__class__, made[::2], 1000)
        centre.store.close()
        take_in(centre, worker.__class__, made[1::2], SMALL_WAL_PAGES)
        os._exit(0)

    centre.store.close()
    found = record(centre.folder, work, tmp_path / "trace")
    assert {item for _, item in found.promised} == {one.id for one in made}
    assert {DATABASE, f"{DATABASE}-wal"} <= same_as_there(found, centre.folder)
    return found


@pytest.mark.timeout(3600)
def test_receipt_that_left_is_kept_whatever_of_sqlites_writes_a_power_cut_leaves(
    recorded: Recorded, centre: Any, made: list[Any], goes_on: Callable[[Path, list[Any]], None], memory: Path
) -> None:
    """RC-1 to RC-3, RC-8, with SQLite not taken at its word: 200 different states, 10,000 by `make chaos`."""
    for number, files, promised in recorded.states(STATES):
        lay_out(recorded.disk, files, memory / "state")
        check_centre(memory / "state", made, promised, number)
        if number % GOES_ON_EVERY == 0:
            goes_on(memory / "state", made)


def test_states_are_bad_enough_to_find_a_store_that_does_not_wait_for_its_disk(
    recorded: Recorded, made: list[Any], memory: Path
) -> None:
    """The same operations, had SQLite not called fsync."""
    forget_fsyncs(recorded.disk, DATABASE)
    found = sum(
        is_bad(recorded.disk, files, memory / "state", made, promised)
        for _, files, promised in recorded.states(BAD_STATES)
    )
    assert found > BAD_STATES // 10


def forget_fsyncs(disk: Disk, beginning: str) -> None:
    """Take away every fsync of a file whose name ever began so."""
    named = [change for _, one in disk.operations if isinstance(one, Names) for change in one.changes]
    files = {number for _, name, number in named if name.startswith(beginning)}
    files |= {number for path, number in disk.before.items() if path.startswith(beginning)}
    disk.operations = [(at, one) for at, one in disk.operations if not (isinstance(one, Sync) and one.what in files)]


def is_bad(disk: Disk, files: dict[str, bytes], folder: Path, made: list[Any], promised: set[str]) -> bool:
    lay_out(disk, files, folder)
    try:
        check_centre(folder, made, promised, 0)
    except (AssertionError, sqlite3.DatabaseError, VedetteError):
        return True
    return False


def lay_out(disk: Disk, files: dict[str, bytes], folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    disk.lay_out(files, folder)


def check_centre(folder: Path, made: list[Any], promised: set[str], number: int) -> None:
    """Every row has its bytes and its leaf, and every item whose receipt had left has a row."""
    store = Store(folder)
    try:
        (said,) = store.db.execute("PRAGMA integrity_check").fetchone()
        assert said == "ok", f"state {number}"
        rows = {row.item: row for row in store.items()}
        assert promised <= set(rows), f"state {number}"
        for one in made:
            if one.id in rows:
                blob = store.blobs.read(rows[one.id].sealed_sha256, max_bytes=1 << 20)
                assert blob == one.sealed_bytes, f"state {number}"
                assert store.receipt(one.id), f"state {number}"
        assert store.log_size() == len(rows), f"state {number}"
    finally:
        store.close()


def put_and_send(folder: Path, loader: Loader, sizes: list[int]) -> None:
    """In the child: items come into the spool; some are refused, one is sent."""
    outbox = Outbox(folder / "outbox.db", loader.config.spool)
    for number, size in enumerate(sizes):
        packed = loader.put(size) if size else loader.put_hit()
        mark(packed.item)
        outbox.refresh(number * 3_000_000)
        if number % 2:
            outbox.fail(packed.item, now_us=number, code="quarantined", temporary=number % 4 == 1, why="a test")
    outbox.close()
    again = Outbox(folder / "outbox.db", loader.config.spool)
    again.refresh(0)
    for item in list(again.items):
        again.fail(item, now_us=0, code="busy", temporary=True, why="again")


@pytest.mark.timeout(3600)
def test_outbox_has_what_lies_in_the_spool_whatever_of_its_index_a_power_cut_leaves(
    device: Any, memory: Path, tmp_path: Path
) -> None:
    """WI-26, with an index that never waits for the disk: 200 different states, 10,000 by `make chaos`."""
    loader = Loader(device.folder / "device.toml")
    recorded = record(
        device.folder, lambda: put_and_send(device.folder, loader, [1, 5_000, 0, 70_000, 0, 9, 0]), tmp_path / "trace"
    )
    assert "outbox.db-wal" in same_as_there(recorded, device.folder)
    for number, files, promised in recorded.states(STATES):
        lay_out(recorded.disk, files, memory / "state")
        outbox = Outbox(memory / "state" / "outbox.db", memory / "state" / "spool")
        outbox.refresh(1)
        assert promised <= set(outbox.items), f"state {number}"
        assert all(outbox.load(item).item_id == item for item in promised), f"state {number}"
        outbox.close()
