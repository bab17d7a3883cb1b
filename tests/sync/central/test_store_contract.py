"""What every store of a case must do, on SQLite and a folder and on PostgreSQL and S3: CS-1 to CS-9.

The other modules of conftest's `BOTH_STORES` say the rest.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sync.central import receipts
from sync.central.log import Log
from sync.central.store import Store
from sync.central.uploads import Uploads
from vedette import merkle
from vedette.errors import Integrity, NotFound
from vedette.wire import Sealed

ROOT = Path(__file__).parents[3]
MANY = 40
OTHER_DIALECTS = r"\b(INSERT OR|LIMIT -1|IS \?|WHERE 1\b|AUTOINCREMENT|last_insert_rowid|strftime|ILIKE|RETURNING)\b"


def statements() -> list[tuple[str, str]]:
    """(module, text) of every string in the centre that is a statement, as far as it is written in one piece."""
    found = []
    for path in sorted((ROOT / "sync" / "central").rglob("*.py")):
        if path.stem in ("postgres", "moving", "schema"):  # they speak one database's own tongue
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append((path.stem, node.value))
    return [(name, text) for name, text in found if re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b", text)]


def test_statements_are_in_the_dialect_that_both_databases_read() -> None:
    """CS-1."""
    known = statements()

    assert len(known) > 30
    assert [one for one in known if re.search(OTHER_DIALECTS, one[1]) or "PRAGMA" in one[1]] == []


def test_transaction_is_undone_whole_when_it_fails(centre: Any) -> None:
    """CS-2."""
    centre.store.note_access("chief", "before", "x")

    with pytest.raises(RuntimeError), centre.store.writing() as db:
        db.execute("INSERT INTO accesses (at_us, user, action, subject, reason) VALUES (1, 'a', 'b', 'c', 'd')")
        raise RuntimeError

    assert [row.action for row in centre.store.accesses()] == ["before"]
    centre.store.note_access("chief", "after", "x")
    assert [row.action for row in centre.store.accesses()] == ["after", "before"]


def test_statement_that_the_database_refuses_undoes_the_transaction(centre: Any) -> None:
    """CS-2. Nothing of it is kept, even where the caller would go on."""
    with pytest.raises(Exception), centre.store.writing() as db:  # noqa: B017 - each driver has its own
        db.execute("INSERT INTO to_open (item) VALUES (?)", ["an item that is not there"])

    assert centre.store.db.execute("SELECT count(*) FROM to_open").fetchone()[0] == 0


def test_what_a_device_writes_comes_back_when_it_is_no_plain_text(centre: Any, device: Any) -> None:
    """CS-1. Quotes, percent signs, question marks, Arabic; a zero character is not lost silently but replaced."""
    text = "100 % of 'user' \"x\"? أ \u2028 %s"
    centre.store.note_access("chief", "open", text, text)

    (row,) = centre.store.accesses(subject=text)

    assert (row.user, row.subject, row.reason) == ("chief", text, text)


def test_a_leaf_and_its_row_are_one_when_the_row_cannot_be_written(
    centre: Any, device: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CS-3."""
    good, bad = device.item(b"good"), device.item(b"bad")
    for item in (good, bad):
        centre.store.blobs.put(item.sealed_bytes)
    real = receipts._row

    def row(manifest: Any, *rest: Any) -> dict[str, object]:
        made = real(manifest, *rest)
        return made if manifest.item == good.id else {**made, "device": "nobody-is-called-so"}

    monkeypatch.setattr(receipts, "_row", row)
    with pytest.raises(Exception):  # noqa: B017 - each driver has its own
        receipts.accept_all(centre.store, centre.signer, [(one.manifest, one.manifest_bytes) for one in (good, bad)])

    assert (centre.store.items(), centre.store.log_size()) == ([], 0)
    assert centre.store.db.execute("SELECT count(*) FROM subtrees").fetchone()[0] == 0


def test_log_is_one_line_when_many_workers_append_at_once(centre: Any, device: Any) -> None:
    """CS-3 and CS-4. Each item has one row and one leaf, no leaf is missing, and each checkpoint is of its tree."""
    items = [device.item(os.urandom(20)) for _ in range(MANY)]

    def take(worker: int) -> None:
        store = Store(centre.folder, centre.clock)
        for number in range(MANY):  # each tries all, in another order
            item = items[(number * 7 + worker * 10) % MANY]
            receipts.accept(store, centre.signer, item.manifest, item.manifest_bytes)
        store.close()

    with ThreadPoolExecutor(4) as workers:
        list(workers.map(take, range(4)))  # raises what any of them met

    rows = centre.store.items(limit=500)
    log = Log(centre.store.db)
    assert {row.item for row in rows} == {item.id for item in items} and len(rows) == MANY
    assert sorted(row.log_index for row in rows) == list(range(MANY)) and log.size == MANY
    tree = merkle.tree_of([merkle.leaf_hash(leaf) for leaf in log.leaves(0, MANY)])
    for size in range(1, MANY + 1):
        assert log.checkpoint(size).splitlines()[2] == _base64(tree.root(size))


def test_totals_are_those_of_the_items_when_some_came_twice_or_failed(
    centre: Any, device: Any, worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CS-3. They are part of the same transaction."""
    other = centre.device("car-2")
    items = [device.item(b"one"), device.item(b"twice"), other.item(b"other")]
    for item in [*items, items[1]]:
        worker.upload(item)
    with monkeypatch.context() as broken:
        broken.setattr(receipts, "TRIAGED_KINDS", None)
        with pytest.raises(TypeError):
            receipts.accept(centre.store, centre.signer, device.item(b"x").manifest, b"")

    counts, rows = centre.store.counts(), centre.store.devices()

    assert [row.items for row in rows] == [2, 1]
    sizes = [sum(len(one.sealed_bytes) for one in items if one.manifest.device == row.device) for row in rows]
    assert [row.stored_bytes for row in rows] == sizes
    assert (counts.items, counts.stored_bytes) == (3, sum(sizes))


@pytest.mark.embedded
def test_totals_are_counted_when_an_older_store_is_opened(centre: Any, device: Any, worker: Any) -> None:
    """CS-3."""
    for _ in range(3):
        worker.upload(device.item(os.urandom(9)))
    before = centre.store.devices()
    centre.store.db.execute("DROP TABLE totals")
    centre.store.db.execute("DELETE FROM _sqlite_migrations WHERE name = 'totals'")

    assert Store(centre.folder, centre.clock).devices() == before


def test_unfinished_uploads_of_other_workers_go_on_when_one_writes(centre: Any) -> None:
    """CS-4. A worker adds rows that nobody else touches."""
    other = Store(centre.folder, centre.clock)
    with other.adding() as db:
        db.execute("INSERT INTO transfers VALUES ('w2', 'item', 'car-1', 1, ?, 1)", [b"[]"])

    rows = centre.store.db.execute("SELECT worker, have FROM transfers").fetchall()

    assert [(worker, bytes(have)) for worker, have in rows] == [("w2", b"[]")]
    other.close()


def test_a_blob_comes_back_when_it_was_put(centre: Any) -> None:
    """CS-7."""
    blobs, data = centre.store.blobs, os.urandom(3_000_000)
    blobs.check()

    sha256 = blobs.put(data)

    assert sha256 == blobs.put(data) == hashlib.sha256(data).hexdigest()
    assert blobs.has(sha256) and blobs.size(sha256) == len(data) and blobs.holds(sha256, len(data))
    assert not blobs.holds(sha256, len(data) - 1)
    assert blobs.read(sha256, max_bytes=len(data)) == data
    with blobs.local(sha256) as path:
        assert path.read_bytes() == data
    with blobs.open(sha256) as file:
        file.seek(1_500_000)
        assert file.read(1_000) == data[1_500_000:1_501_000]
        assert file.seek(-10, os.SEEK_END) == len(data) - 10 and file.read() == data[-10:]
        assert file.read() == b""


@pytest.mark.parametrize("size", [0, 1, (16 << 20) - 1, 16 << 20, (16 << 20) + 1, 2 * (16 << 20)])
def test_a_file_is_adopted_whole_when_it_is_of_any_size(centre: Any, tmp_path: Path, size: int) -> None:
    """CS-8."""
    data = os.urandom(size)
    source = tmp_path / "source"
    source.write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()

    centre.store.blobs.adopt(source, sha256)

    assert not source.exists()
    assert centre.store.blobs.holds(sha256, size)
    with centre.store.blobs.open(sha256) as file:
        assert file.read() == data


@pytest.mark.parametrize("call", ["size", "open", "local", "read"])
def test_blob_is_not_found_when_it_is_not_there(centre: Any, call: str) -> None:
    """CS-7."""
    blobs, absent = centre.store.blobs, "ab" * 32

    def ask() -> object:
        if call == "read":
            return blobs.read(absent, max_bytes=10)
        return blobs.local(absent).__enter__().read_bytes() if call == "local" else getattr(blobs, call)(absent)

    with pytest.raises((NotFound, FileNotFoundError)):
        ask()
    assert not blobs.has(absent) and not blobs.holds(absent, 0)


@pytest.mark.parametrize("name", ["../keys/centre.pem", "", "AB" * 32, "ab" * 33, f"{'ab' * 32}\n"])
def test_blob_s_name_is_refused_when_it_is_no_hash(centre: Any, name: str) -> None:
    """CS-7."""
    with pytest.raises(Integrity):
        centre.store.blobs.has(name)


def test_item_is_stored_when_the_worker_died_between_blob_and_row(
    centre: Any, device: Any, worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CS-9. The bytes are asked for no second time."""
    item = device.item(b"video" * 9_000)
    worker.say(device.id, item.init())
    worker.say(device.id, *item.parts())
    with monkeypatch.context() as dead:
        dead.setattr("sync.central.receipts.accept_all", _die)
        with pytest.raises(KeyboardInterrupt):
            worker.say(device.id, item.fin())
    assert centre.store.blobs.has(item.manifest.sealed_sha256) and centre.store.items() == []

    worker.restart()
    (answer,) = worker.say(device.id, item.init())

    assert isinstance(answer, Sealed)
    assert [row.item for row in centre.store.items()] == [item.id]
    assert list((centre.folder / "incoming" / "centre").iterdir()) == []


def test_receipt_is_the_same_when_the_worker_died_between_row_and_receipt(
    centre: Any, device: Any, worker: Any
) -> None:
    """CS-9."""
    item = device.item(b"video")
    (first,) = worker.upload(item)

    worker.restart()
    (second,) = worker.say(device.id, item.init())

    assert isinstance(first, Sealed) and first == second
    assert centre.store.log_size() == 1


@pytest.mark.parametrize("when", ["in_the_lease", "after_the_lease", "before_more_parts"])
def test_bytes_left_at_one_worker_go_when_another_stored_the_item(
    centre: Any, device: Any, worker: Any, when: str
) -> None:
    """CS-14, RC-10. The device turned to another worker in the middle of an upload."""
    item, said = device.item(b"video" * 9_000), []
    (centre.folder / "incoming").mkdir(exist_ok=True)
    worker.say(device.id, item.init())
    worker.say(device.id, *item.parts()[:2])
    left = centre.folder / "incoming" / "centre" / f"{item.id}.part"
    assert left.exists()
    if when == "after_the_lease":
        centre.clock.advance(120_000_000)
        worker.step()
        assert left.exists()
    other = Uploads(centre.store, centre.signer, worker.limits, lambda _, message: said.append(message), worker="w2")
    other.receive(device.id, item.init(), centre.clock.mono_us())
    other.settle(centre.clock.mono_us())
    for message in (*item.parts(), item.fin()):
        other.receive(device.id, message, centre.clock.mono_us())
    while not any(isinstance(one, Sealed) for one in said):
        other.settle(centre.clock.mono_us())
    if when == "before_more_parts":  # what was in the broker's line
        worker.say(device.id, *item.parts()[2:4])
        assert centre.store.db.execute("SELECT count(*) FROM transfers").fetchone() == (1,)

    for _ in range(2):  # the lease is over; then the rests go
        centre.clock.advance(120_000_000)
        worker.step()

    assert not left.exists()
    assert [row.item for row in centre.store.items()] == [item.id]
    assert centre.store.db.execute("SELECT count(*) FROM transfers").fetchone() == (0,)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _die(*_: object) -> None:
    raise KeyboardInterrupt
