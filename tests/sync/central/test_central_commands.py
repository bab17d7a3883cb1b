"""The centre's command line, as a person types it."""

from __future__ import annotations

import argparse
import io
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sync.central import commands, schema
from sync.central.store import Store
from vedette.clock import SystemClock, iso
from vedette.errors import Refused, Usage, VedetteError
from vedette.keys import SigningKey

Run = Callable[..., Any]


@pytest.fixture
def vedette(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run one command line; its JSON when it printed some, else its text."""
    parser = argparse.ArgumentParser()
    commands.register(parser.add_subparsers())

    def run(*words: object) -> Any:
        args = parser.parse_args([str(word) for word in words])
        capsys.readouterr()
        assert args.run(args) == 0
        printed = capsys.readouterr().out
        return json.loads(printed) if "--json" in words else printed

    return run


@pytest.fixture
def made(tmp_path: Path, vedette: Run) -> Path:
    vedette("central", "init", tmp_path / "central", "--keys", tmp_path / "escrow")
    return tmp_path / "central"


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    now_us = SystemClock().utc_us()
    first, last = (iso(now_us + days * 86_400_000_000)[:10] for days in (-1, 30))
    path = tmp_path / "list.csv"
    head = "plate,region,reason,priority,source,valid_from,valid_to"
    path.write_text(f"{head}\nAB123CD,FR,stolen,high,test,{first},{last}\n", encoding="utf-8")
    return path


def test_keys_go_beside_the_centre_when_no_folder_is_named(tmp_path: Path, vedette: Run) -> None:
    value = vedette("central", "init", tmp_path / "mine", "--json")

    assert value["escrow"] == str(tmp_path / "mine-keys")
    assert (tmp_path / "mine-keys" / "evidence.identity").is_file()
    assert "take them off this machine" in vedette("central", "init", tmp_path / "other")


def test_init_is_refused_when_there_is_a_centre(made: Path, vedette: Run) -> None:
    with pytest.raises(Refused):
        vedette("central", "init", made)


@pytest.mark.parametrize("host", ["not a host", 'a"b', "a\nb", "", "-a"])
def test_init_is_refused_and_leaves_nothing_when_the_host_is_no_address(
    tmp_path: Path, vedette: Run, host: str
) -> None:
    with pytest.raises(Refused, match="no address"):
        vedette("central", "init", tmp_path / "central", f"--host={host}")
    assert list(tmp_path.iterdir()) == []


def test_init_leaves_nothing_when_the_disk_is_full(
    tmp_path: Path, vedette: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_db: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(schema, "migrate", full)
    with pytest.raises(sqlite3.OperationalError):
        vedette("central", "init", tmp_path / "central")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("days", [-1, 0, 367, 99_999_999])
def test_watchlist_is_not_imported_when_its_days_are_out_of_bounds(
    made: Path, vedette: Run, csv: Path, days: int
) -> None:
    with pytest.raises(Usage, match="from 1 to 366"):
        vedette("watchlist", "import", made, csv, f"--expires-days={days}")
    assert Store(made).lists() == []


@pytest.mark.parametrize("limit", [-1, 0, 501, 10**30])
@pytest.mark.parametrize("noun", ["evidence", "hits"])
def test_listing_is_refused_when_its_limit_is_out_of_bounds(made: Path, vedette: Run, noun: str, limit: int) -> None:
    with pytest.raises(Usage, match="from 1 to 500"):
        vedette(noun, "list", made, f"--limit={limit}")


@pytest.mark.parametrize("limit", [1, 500])
def test_listing_is_made_when_its_limit_is_just_within_bounds(made: Path, vedette: Run, limit: int) -> None:
    assert vedette("evidence", "list", made, f"--limit={limit}", "--json") == []
    assert vedette("hits", "list", made, f"--limit={limit}", "--json") == []


def test_user_is_added_when_the_password_comes_on_standard_input(
    made: Path, vedette: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse\n"))

    vedette("central", "user", "add", made, "chief", "--role", "admin")

    assert Store(made).check_password("chief", "correct horse") is not None
    assert [user["role"] for user in vedette("central", "user", "list", made, "--json")] == ["admin"]


def test_device_is_listed_when_it_was_enrolled_and_revoked(made: Path, vedette: Run, tmp_path: Path) -> None:
    folder = tmp_path / "car-1"
    (folder / "keys").mkdir(parents=True)
    SigningKey.generate().save(folder / "keys" / "sign.pem")
    (folder / "device.toml").write_text('[device]\nid = "car-1"\ndata = "."\n')
    value = vedette("central", "enrol", made, "car-1", "--device", folder, "--json")
    vedette("central", "revoke", made, "car-1")

    status = vedette("central", "status", made, "--json")

    assert value["port"] > 0 and value["device"] == "car-1"
    assert [(one["device"], one["revoked"]) for one in status["per_device"]] == [("car-1", True)]
    assert (status["running"], status["items"], status["log_size"]) == (False, 0, 0)
    assert "revoked" in vedette("central", "status", made)


def test_watchlist_goes_from_csv_to_published_when_commanded(made: Path, vedette: Run, csv: Path) -> None:
    assert vedette("watchlist", "import", made, csv, "--json")["version"] == 1
    assert vedette("watchlist", "publish", made, "--json")["published_us"] > 0

    shown = vedette("watchlist", "show", made, "--entries", "--json")

    assert [entry["plate"] for entry in shown["list"]] == ["AB123CD"]
    assert "AB123CD" not in vedette("watchlist", "show", made)
    assert Store(made).accesses()[0].action == "watchlist.show"


def test_lists_are_empty_when_nothing_came_in(made: Path, vedette: Run) -> None:
    assert vedette("evidence", "list", made, "--json") == []
    assert vedette("hits", "list", made, "--json") == []


def test_rows_are_printed_when_items_came_in(centre: Any, device: Any, worker: Any, vedette: Run) -> None:
    worker.upload(device.hit("AB123CD"))
    worker.upload(device.item(b"video"))

    (hit,) = vedette("hits", "list", centre.folder, "--json")
    items = vedette("evidence", "list", centre.folder, "--json")

    assert (hit["text"], hit["sighting"]["entry"]["reason"]) == ("AB123CD", "stolen")
    assert [(item["kind"], item["opened"]) for item in items] == [("segment", None), ("hit", True)]
    assert "AB123CD" in vedette("hits", "list", centre.folder)
    assert "verified" in vedette("evidence", "list", centre.folder)


def test_bundle_is_made_when_exported(centre: Any, device: Any, worker: Any, vedette: Run, tmp_path: Path) -> None:
    item = device.item(b"video")
    worker.upload(item)
    out = tmp_path / "out.zip"

    (made,) = vedette("evidence", "export", centre.folder, item.id, "-o", out, "--reason", "court order", "--json")

    assert made["path"] == str(out) and out.is_file()


@pytest.mark.parametrize(
    "words", [("central", "status"), ("evidence", "list"), ("watchlist", "show"), ("hits", "list")]
)
def test_command_says_what_to_do_when_there_is_no_centre(vedette: Run, tmp_path: Path, words: tuple[str, str]) -> None:
    with pytest.raises(VedetteError, match="central init"):
        vedette(*words, tmp_path)
