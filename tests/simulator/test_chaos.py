"""`kill -9` of everything that moves evidence, in a short form; a thousand and more with `make chaos`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from simulator import chaos, chaos_plan
from simulator.chaos_account import account_for
from simulator.chaos_plan import DATABASE
from simulator.chaos_scene import LIST, Cast
from simulator.freight import Loader, Packed
from simulator.stage import Scene, Stage, vedette
from sync.central.quarantine import drop, write_counts
from sync.central.receipts import Signer, accept
from sync.central.store import Store
from vedette.keys import SigningKey
from vedette.records import peek_manifest
from vedette.spool import final_path
from vedette.wire import RefuseCode

KILLS = int(os.environ.get("VEDETTE_KILLS", "12"))
DATABASE_KILLS = 6
SEED = int(os.environ.get("VEDETTE_SEED", "7"))


@pytest.mark.timeout(0 if KILLS > 12 else 1200)
def test_nothing_is_lost_or_twice_when_everything_is_killed_at_random(tmp_path: Path) -> None:
    tally = chaos.run(tmp_path / "stage", seed=SEED, kills=KILLS)

    assert tally.kills.total() >= KILLS
    assert tally.account.checked == tally.items >= tally.cast.devices * chaos.KEPT_WAITING
    assert (tally.account.lost, tally.account.twice) == ((), ())
    assert (tally.account.quarantined, tally.account.broken, tally.stuck) == ((), (), [])
    assert tally.deaths == []


@pytest.mark.timeout(1200)
def test_nothing_is_lost_or_twice_when_the_database_is_killed_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CS-5. The centre on PostgreSQL, which is killed most; the device waits until it is there again."""
    if not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        pytest.skip("PostgreSQL is not installed (apt install postgresql)")
    pytest.importorskip("psycopg")
    monkeypatch.setitem(chaos_plan.SHARES, DATABASE, 60.0)

    cast = Cast(devices=2, workers=2, on_postgres=True)
    tally = chaos.run(tmp_path / "stage", seed=SEED, kills=DATABASE_KILLS, cast=cast)

    assert tally.kills[DATABASE] > 0
    assert tally.account.checked == tally.items >= tally.cast.devices * chaos.KEPT_WAITING
    assert tally.ok, (tally.account, tally.stuck, tally.deaths)


@pytest.fixture
def held(tmp_path: Path) -> tuple[Stage, list[Packed]]:
    """A centre that has signed for two items of a device, without any process."""
    stage = Stage(tmp_path / "stage", Scene(device="car-1", camera={}, board={}, recorder={}, watchlist_csv=LIST))
    stage.prepare()
    (stage.central / "broker" / "port").write_text("18883\n")
    vedette("central", "enrol", stage.central, "car-1", "--device", stage.device)
    loader = Loader(stage.device / "device.toml")
    made = [loader.put(2000), loader.put_hit()]
    store = Store(stage.central)
    signer = Signer(origin="vedette.demo/log", key=SigningKey.load(stage.central / "keys" / "centre.pem"))
    for packed in made:
        store.blobs.put(final_path(loader.config.spool, packed.kind, packed.item).read_bytes())
        accept(store, signer, peek_manifest(packed.record), packed.record)
    store.close()
    return stage, made


def test_account_is_clean_when_all_is_there(held: tuple[Stage, list[Packed]]) -> None:
    stage, made = held
    assert account_for(stage.central, made).ok


def test_account_names_an_item_when_its_row_its_bytes_or_its_blob_are_gone(held: tuple[Stage, list[Packed]]) -> None:
    """Every check of the account can fail."""
    stage, (segment, hit) = held
    store = Store(stage.central)
    for (name,) in store.db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        store.db.execute(f"DROP TRIGGER {name}")
    store.db.execute("PRAGMA foreign_keys = OFF")
    store.db.execute("DELETE FROM items WHERE item = ?", [segment.item])
    blob = store.blobs.path(hit.sha256)
    blob.chmod(0o600)
    blob.write_bytes(bytes(hit.size))
    store.close()

    found = account_for(stage.central, [segment, hit])

    assert [segment.item in why for why in found.lost] == [True, False]
    assert "other bytes" in found.lost[1]
    assert found.twice == ("1 rows and 2 leaves",)
    blob.unlink()
    assert len(account_for(stage.central, [hit]).lost) == 1


def test_account_tells_what_a_person_must_look_at(held: tuple[Stage, list[Packed]]) -> None:
    stage, made = held
    store = Store(stage.central)
    store.db.execute(
        "INSERT INTO quarantine (received_us, device, code, text) VALUES (1, 'car-1', 'invalid', 'what is this')"
    )
    store.close()
    assert account_for(stage.central, made).quarantined == ("invalid: what is this",)


def test_account_tells_what_was_complained_of_and_not_kept(held: tuple[Stage, list[Packed]]) -> None:
    stage, made = held
    store = Store(stage.central)
    drop(store, "car-1", RefuseCode.INVALID)
    write_counts(store)
    store.close()
    assert account_for(stage.central, made).quarantined == ("invalid of car-1: 1 not kept",)
