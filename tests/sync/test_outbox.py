"""The outbox: an index over the spool that may vanish, and the rules for what goes next."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync import outbox as rules
from sync.outbox import Ageing, Network, Outbox, OutboxItem, failed, next_work, refused_items
from vedette import records, spool
from vedette.clock import FakeClock, uuid7
from vedette.errors import Integrity, NotFound
from vedette.keys import SigningKey
from vedette.records import Manifest

KEY = SigningKey.generate()
Put = Callable[..., str]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    spool.make_folders(tmp_path / "spool")
    return tmp_path / "spool"


@pytest.fixture
def put(root: Path, manifest_of: Callable[..., Manifest]) -> Put:
    """`put(kind, priority)`: commit an item to the spool."""

    def commit(kind: str, priority: int, sealed: bytes = b"sealed") -> str:
        made = manifest_of(sealed, kind=kind, priority=priority)
        spool.part_path(root, kind, made.item).write_bytes(sealed)
        spool.commit(root, kind, made.item, records.sign_record(records.MANIFEST, made.to_body(), KEY))
        return made.item

    return commit


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


def waiting(item_id: str, priority: int, next_try_us: int = 0) -> OutboxItem:
    return OutboxItem(item_id=item_id, kind="segment", priority=priority, size=1, next_try_us=next_try_us)


def test_next_work_is_the_most_urgent_then_the_oldest_when_several_wait() -> None:
    """WI-30."""
    items = [waiting("c", 4), waiting("b", 0), waiting("a", 0), waiting("d", 1)]
    order = []
    while (work := next_work(items, now_us=1, network=Network())) is not None:
        order.append(work.item_id)
        items.remove(work)
    assert order == ["a", "b", "d", "c"]


def test_next_work_leaves_out_bulk_when_the_network_does_not_allow_it() -> None:
    """WI-32."""
    items = [waiting("bulk", records.PRIORITY_BULK)]
    assert next_work(items, now_us=1, network=Network(allow_bulk=False)) is None
    marked = waiting("marked", records.PRIORITY_MARKED)
    assert next_work([*items, marked], now_us=1, network=Network(allow_bulk=False)) == marked


def aged(hours: int, priority: int, utc_us: int = 1_800_000_000_000_000) -> OutboxItem:
    """An item made so many hours before `utc_us`, with priority and age in its id."""
    clock = FakeClock(utc_us=utc_us - hours * 3_600_000_000)
    return OutboxItem(item_id=uuid7(clock), kind="segment", priority=priority, size=1)


@pytest.mark.parametrize(
    ("priority", "hours", "rank"),
    [(4, 23, 4), (4, 25, 3), (3, 25, 2), (2, 25, 1), (1, 25, 1), (0, 25, 0), (4, 9999, 3)],
)
def test_old_item_rises_one_priority_and_never_to_that_of_hits(priority: int, hours: int, rank: int) -> None:
    """WI-65."""
    ageing = Ageing.at(1_800_000_000_000_000, 24)
    assert ageing.rank(aged(hours, priority)) == rank
    assert Ageing.at(1_800_000_000_000_000, 0).rank(aged(hours, priority)) == priority


def test_next_work_takes_an_old_recording_before_a_young_marked_one_and_after_every_hit() -> None:
    """WI-65. WI-30."""
    hit, old, marked, young = aged(0, 0), aged(30, 4), aged(1, 3), aged(2, 4)
    items, order = [young, marked, old, hit], []
    ageing = Ageing.at(1_800_000_000_000_000, 24)
    while (work := next_work(items, now_us=1, network=Network(), ageing=ageing)) is not None:
        order.append(work)
        items.remove(work)
    assert order == [hit, old, marked, young]


def test_old_bulk_still_waits_for_a_network_that_is_for_bulk() -> None:
    """WI-65. WI-32: age makes no megabyte cheaper."""
    ageing = Ageing.at(1_800_000_000_000_000, 24)
    items = [aged(500, 4)]
    assert next_work(items, now_us=1, network=Network(allow_bulk=False), ageing=ageing) is None
    assert next_work(items, now_us=1, network=Network(), ageing=ageing) == items[0]


def test_next_work_waits_when_an_item_failed_or_is_under_way() -> None:
    """WI-28."""
    items = [waiting("later", 0, next_try_us=10), waiting("under way", 1)]
    assert next_work(items, now_us=9, network=Network(), under_way=frozenset({"under way"})) is None
    assert next_work(items, now_us=10, network=Network()) == items[0]


@settings(deadline=None)
@given(st.integers(0, 200))
def test_failed_item_is_tried_again_within_bounds_when_it_failed_any_number_of_times(tries: int) -> None:
    """WI-28: nothing ages out and nothing waits for ever."""
    item = OutboxItem(item_id="x", kind="hit", priority=0, size=1, tries=tries)
    again = failed(item, now_us=5, code="busy", temporary=True, why="w" * 1000)
    assert rules.FIRST_RETRY_US <= again.next_try_us - 5 <= rules.MOST_RETRY_US
    assert again.tries == tries + 1 and again.refused == "" and len(again.why) == 300
    refused = failed(item, now_us=5, code="invalid", temporary=False, why="w")
    assert refused.next_try_us == 5 + rules.REFUSED_RETRY_US and refused.refused == "invalid"


def test_outbox_finds_everything_when_its_database_was_deleted(root: Path, database: Path, put: Put) -> None:
    """WI-33."""
    ids = {put("hit", 0), put("custody", 1), put("segment", 4)}
    first = Outbox(database, root)
    assert set(first.refresh(1)) == ids
    first.close()
    for path in database.parent.glob("outbox.db*"):
        path.unlink()
    second = Outbox(database, root)
    second.refresh(1)
    assert set(second.items) == ids


@pytest.mark.parametrize("content", [b"not a database at all", b"SQLite format 3\x00" + bytes(200), b""])
def test_outbox_is_rebuilt_when_its_database_is_damaged(root: Path, database: Path, put: Put, content: bytes) -> None:
    """WI-33."""
    item = put("hit", 0)
    database.write_bytes(content)
    outbox = Outbox(database, root)
    outbox.refresh(1)
    assert list(outbox.items) == [item]


def test_outbox_opens_and_finds_everything_wherever_its_database_is_damaged(
    root: Path, database: Path, put: Put
) -> None:
    """WI-33. Also where the schema is whole and the rows are not: single bytes, runs of noise, another type."""
    there = {put("hit", 0), put("segment", 4), put("custody", 1)}
    first = Outbox(database, root)
    first.refresh(1)
    first._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    first.close()
    good = database.read_bytes()
    for seed in range(300):
        chance = random.Random(seed)
        damaged = bytearray(good)
        at, length = chance.randrange(100, len(good)), chance.choice((1, 8, 200))
        damaged[at : at + length] = chance.randbytes(len(damaged[at : at + length]))
        for path in database.parent.glob("outbox.db*"):
            path.unlink()
        database.write_bytes(damaged)
        outbox = Outbox(database, root)
        outbox.refresh(1)
        assert set(outbox.items) == there, f"seed {seed}"
        assert next_work(outbox.items.values(), now_us=1, network=Network()) is not None
        outbox.close()


def test_outbox_is_rebuilt_when_a_row_is_of_another_type(root: Path, database: Path, put: Put) -> None:
    """WI-33."""
    item = put("hit", 0)
    first = Outbox(database, root)
    first.refresh(1)
    first._db.execute("UPDATE items SET priority = 'soon'")
    first.close()

    outbox = Outbox(database, root)
    outbox.refresh(1)

    assert outbox.items[item].priority == 0


def test_outbox_is_rebuilt_when_its_database_is_of_another_version(root: Path, database: Path, put: Put) -> None:
    """WI-33."""
    import sqlite3

    with sqlite3.connect(database) as old:
        old.execute("CREATE TABLE items (item_id PRIMARY KEY, something)")
    outbox = Outbox(database, root)
    item = put("hit", 0)
    outbox.refresh(1)
    assert list(outbox.items) == [item]


def test_outbox_sees_a_new_item_when_it_came_right_after_a_look(root: Path, database: Path, put: Put) -> None:
    """WI-33: even where the folder's time stamp did not move."""
    outbox = Outbox(database, root)
    outbox.refresh(1)
    stamp = (root / "hit").stat().st_mtime_ns
    item = put("hit", 0)
    os.utime(root / "hit", ns=(stamp, stamp))
    assert outbox.refresh(rules.SETTLED_US) == [item]


def test_outbox_does_not_list_a_folder_again_when_it_has_not_changed(root: Path, database: Path, put: Put) -> None:
    """WI-33."""
    put("hit", 0)
    outbox = Outbox(database, root)
    outbox.refresh(1)
    stamp = (root / "hit").stat().st_mtime_ns
    put("hit", 0)
    os.utime(root / "hit", ns=(stamp, stamp))
    assert outbox.refresh(rules.SETTLED_US + 2) == []


def test_outbox_lets_go_of_an_item_when_it_left_the_spool(root: Path, database: Path, put: Put) -> None:
    """WI-33."""
    item = put("hit", 0)
    outbox = Outbox(database, root)
    outbox.refresh(1)
    spool.manifest_path(root, "hit", item).unlink()
    outbox.refresh(2)
    assert outbox.items == {}
    with pytest.raises(NotFound, match=item):
        outbox.load(item)


def test_outbox_does_not_offer_an_item_again_when_it_is_done(root: Path, database: Path, put: Put) -> None:
    """WI-33."""
    outbox = Outbox(database, root)
    (item,) = [put("hit", 0)]
    outbox.refresh(1)
    outbox.done(item)
    put("hit", 0)
    outbox.refresh(2)
    assert item not in outbox.items and len(outbox.items) == 1


def test_outbox_names_a_damaged_item_and_sends_the_others_when_the_spool_holds_one(
    root: Path, database: Path, put: Put
) -> None:
    """WI-33."""
    bad, good = put("hit", 0), put("hit", 0)
    spool.final_path(root, "hit", bad).write_bytes(b"shorter")
    outbox = Outbox(database, root)
    assert outbox.refresh(1) == [good]
    assert list(outbox.bad) == [f"{bad}.manifest"]
    with pytest.raises(Integrity):
        outbox.load(bad)


def test_outbox_remembers_a_refusal_and_tries_again_when_it_is_opened_again(
    root: Path, database: Path, put: Put
) -> None:
    """WI-28. WI-33."""
    item = put("segment", 4)
    outbox = Outbox(database, root)
    outbox.refresh(1)
    outbox.fail(item, now_us=1, code="conflict", temporary=False, why="other bytes are stored under this id")
    assert next_work(outbox.items.values(), now_us=2, network=Network()) is None
    outbox.close()
    assert [(one.item_id, one.refused) for one in refused_items(database)] == [(item, "conflict")]
    again = Outbox(database, root)
    again.refresh(1)
    assert again.items[item].refused == "conflict"
    assert next_work(again.items.values(), now_us=2, network=Network()) is not None


def test_outbox_goes_on_when_its_database_cannot_be_written(root: Path, database: Path, put: Put) -> None:
    """WI-33: a full disk must not stop the sending that empties it."""
    outbox = Outbox(database, root)
    outbox.close()
    item = put("hit", 0)
    assert outbox.refresh(1) == [item]
    outbox.done(item)
    assert outbox.items == {}


def test_outbox_lives_in_memory_when_the_disk_takes_no_database(root: Path, tmp_path: Path, put: Put) -> None:
    """WI-33: also at the start, here because its folder is not there."""
    item = put("hit", 0)
    outbox = Outbox(tmp_path / "none" / "outbox.db", root)
    assert outbox.refresh(1) == [item]
    outbox.close()


def test_refused_items_are_none_when_there_is_no_index(database: Path) -> None:
    """WI-33."""
    assert refused_items(database) == []
