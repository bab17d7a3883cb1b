"""A centre moves to PostgreSQL and S3, whole or not at all; who does not move needs none of their packages."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sync.central import fleet, moving
from sync.central.children import take_lock
from sync.central.log import Log
from sync.central.places import DATABASE, MOVED
from sync.central.quarantine import all_counts
from sync.central.store import Store
from vedette import cli
from vedette.errors import Integrity, NotFound, Refused

pytest.importorskip("psycopg")
pytest.importorskip("botocore")


def test_centre_goes_on_with_everything_when_it_is_moved(
    centre: Any, device: Any, worker: Any, scaled: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """CS-13."""
    for item in (device.item(b"video" * 5_000), device.hit(), device.custody(device.journal().roll())):
        worker.upload(item)
    centre.store.decide_hit(centre.store.hits()[0].hit, "confirmed", "chief", "ü ? %")
    centre.store.add_user("chief", "correct horse", "admin")
    refused = device.item(b"").init(size=99)
    for _ in range(2):
        worker.say(device.id, refused)
    before = _everything(centre.store)
    assert [one.outcome for one in all_counts(centre.store)] == ["repeated"]
    centre.store.close()
    with (centre.folder / fleet.CONFIG).open("a") as config:
        config.write(f"\n{scaled}")
    with pytest.raises(Refused, match="central move"):
        Store(centre.folder, centre.clock)

    assert cli.main(["central", "move", str(centre.folder), "--json"]) == 0

    moved = json.loads(capsys.readouterr().out)
    assert (moved["leaves"], moved["blobs"]) == (3, 3)
    assert not (centre.folder / DATABASE).exists() and (centre.folder / MOVED).is_file()
    centre.store = Store(centre.folder, centre.clock)
    assert _everything(centre.store) == before
    worker.restart()
    worker.upload(device.hit())
    centre.store.note_access("chief", "open", "x")
    assert centre.store.log_size() == 4 and len(centre.store.hits()) == 2


def test_move_goes_on_when_it_was_killed_before_the_old_rows_were_put_away(
    centre: Any, device: Any, worker: Any, scaled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CS-13."""
    worker.upload(device.item(b"video"))
    with (centre.folder / fleet.CONFIG).open("a") as config:
        config.write(f"\n{scaled}")
    with monkeypatch.context() as killed:
        killed.setattr(Path, "replace", _die)
        with pytest.raises(KeyboardInterrupt):
            moving.move(centre.folder, centre.clock)

    moved = moving.move(centre.folder, centre.clock)

    assert (moved.leaves, moved.blobs) == (1, 0)
    assert Store(centre.folder, centre.clock).log_size() == 1


def test_move_is_refused_when_the_centre_runs_or_has_nowhere_to_go(centre: Any, scaled: str) -> None:
    """CS-13."""
    with pytest.raises(Refused, match="nowhere to move to"):
        moving.move(centre.folder, centre.clock)
    with (centre.folder / fleet.CONFIG).open("a") as config:
        config.write(f"\n{scaled}")

    with take_lock(centre.folder / "run"), pytest.raises(Refused, match="running"):
        moving.move(centre.folder, centre.clock)
    moving.move(centre.folder, centre.clock)
    with pytest.raises(NotFound, match="moved already"):
        moving.move(centre.folder, centre.clock)


def test_move_is_refused_when_the_database_is_another_centre_s(far: Any, tmp_path: Path) -> None:
    """CS-13."""
    far.device("car-2")
    other = fleet.make_centre(tmp_path / "other", tmp_path / "other-keys", "other/log", clock=far.clock)
    text = (far.folder / fleet.CONFIG).read_text()
    with other.config.open("a") as config:
        config.write(text[text.index("\n[store]") :])

    with pytest.raises(Integrity, match="PostgreSQL"):
        moving.move(other.folder, far.clock)

    assert (other.folder / DATABASE).is_file()


def test_embedded_centre_needs_no_package_of_the_larger_parts(centre: Any) -> None:
    """CS-12."""
    code = (
        "import sys; from pathlib import Path; from sync.central.store import Store\n"
        f"Store(Path({str(centre.folder)!r})).devices(); import sync.central.commands, sync.central.service\n"
        "print(sorted({'psycopg', 'botocore', 'boto3'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)

    assert done.stdout.strip() == "[]"


def test_package_and_extra_are_named_when_they_are_not_installed(centre: Any, scaled: str) -> None:
    """CS-12."""
    with (centre.folder / fleet.CONFIG).open("a") as config:
        config.write(f"\n{scaled}")
    code = (
        "import sys; sys.modules['psycopg'] = None; from vedette.cli import main\n"
        f"raise SystemExit(main(['central', 'status', {str(centre.folder)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == NotFound.exit_code, done.stderr
    assert "vedette[central-scale]" in done.stderr and "Traceback" not in done.stderr


def _everything(store: Store) -> list[object]:
    log = Log(store.db)
    return [
        store.items(),
        store.hits(),
        store.devices(),
        store.counts(),
        store.chains(),
        store.quarantine(),
        all_counts(store),
        store.users(),
        store.decisions(store.hits()[0].hit),
        store.checkpoint(),
        [store.receipt(row.item) for row in store.items()],
        [store.proof(row.item) for row in store.items()],
        [store.blobs.read(row.sealed_sha256, max_bytes=1 << 20) for row in store.items()],
        list(log.leaves(0, log.size)),
        [bytes(line) for line in store.custody_lines("car-1", "recorder")],
        store.check_password("chief", "correct horse"),
    ]


def _die(*_: object) -> None:
    raise KeyboardInterrupt
