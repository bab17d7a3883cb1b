"""Closed journal files become sealed items, once each, and go when the centre has them."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from vedette import custody, custody_seal, files, sealed, spool
from vedette.clock import FakeClock
from vedette.custody import Journal
from vedette.identity import Identity
from vedette.keys import SigningKey
from vedette.records import PRIORITY_CUSTODY, keyring, open_manifest

KEY = SigningKey.generate()
IDENTITY = sealed.HybridIdentity.generate()


class Crash(Exception):
    """Stands for kill -9."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal" / "recorder"


def open_journal(folder: Path) -> Journal:
    return Journal.open(folder, service="recorder", device="car-1", key=KEY, clock=FakeClock())


@pytest.fixture
def journal(folder: Path) -> Iterator[Journal]:
    """A journal with one closed file of two lines."""
    journal = open_journal(folder)
    journal.append("camera.fault")
    journal.roll()
    journal.append("camera.fault")
    yield journal
    journal.close()


def seal(journal: Journal, root: Path) -> list[spool.Item]:
    return custody.seal_closed(journal, root, [IDENTITY.recipient], identity=Identity(software="test 1"))


def test_item_holds_the_closed_file_when_it_is_opened(journal: Journal, folder: Path, root: Path) -> None:
    """CJ-16, CJ-17."""
    [item] = seal(journal, root)
    plain = (folder / "000000000001.jsonl").read_bytes()
    manifest = open_manifest(item.manifest_bytes, keyring(KEY.public))
    last = custody.verify_chain(custody.split_lines(plain), KEY.public)[-1]
    assert sealed.open_sealed(item.path.read_bytes(), [IDENTITY]) == plain
    assert manifest.plain_sha256 == hashlib.sha256(plain).hexdigest()
    assert (manifest.kind, manifest.priority, manifest.sequence) == ("custody", PRIORITY_CUSTODY, 1)
    assert manifest.journal is not None
    assert (manifest.journal.service, manifest.journal.seq, manifest.journal.head) == ("recorder", 2, last.sha256)


def test_nothing_is_sealed_twice_when_it_is_asked_again(journal: Journal, root: Path) -> None:
    """CJ-16."""
    first = seal(journal, root)
    assert len(first) == 1
    assert seal(journal, root) == []
    assert len(spool.scan(root)[0]) == 1


def test_every_closed_file_is_sealed_when_a_service_stopped_and_started(folder: Path, root: Path) -> None:
    """CJ-15, CJ-16."""
    open_journal(folder).close()
    open_journal(folder).close()
    journal = open_journal(folder)
    sequences = [item.manifest.sequence for item in seal(journal, root)]
    journal.close()
    assert sequences == [1, 2]


@pytest.mark.parametrize("step", range(14))
def test_one_file_is_one_item_when_a_crash_falls_at_any_step(
    journal: Journal, root: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """CJ-16: a crash before each fsync, link, rename and marker in turn; then the work is done again."""
    spool.make_folders(root)
    counted = {"steps": 0}

    def crashing(name: str) -> None:
        real = getattr(os, name)

        def call(*args: object, **options: object) -> object:
            counted["steps"] += 1
            if counted["steps"] == step + 1:
                raise Crash
            return real(*args, **options)

        monkeypatch.setattr(os, name, call)

    for name in ("link", "replace", "fsync"):
        crashing(name)
    with pytest.raises(Crash):
        seal(journal, root)
    monkeypatch.undo()
    seal(journal, root)
    items, bad = spool.scan(root)
    assert len(items) == 1
    assert bad == []
    assert not list(root.rglob("*.part"))
    assert seal(journal, root) == []


def test_plain_file_goes_when_the_keeper_drops_its_item(journal: Journal, folder: Path, root: Path) -> None:
    """CJ-18."""
    [item] = seal(journal, root)
    assert custody.drop_sealed(folder.parent, item.item_id) == [folder / "000000000001.jsonl"]
    assert [path.name for path in folder.iterdir()] == ["000000000003.jsonl"]
    assert custody.drop_sealed(folder.parent, item.item_id) == []


def test_only_the_file_that_its_manifest_names_is_looked_at_when_an_item_is_dropped(
    journal: Journal, folder: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CJ-39: a week's files may wait; where the named one is another's, all are looked at."""
    for _ in range(3):
        journal.append("camera.fault")
        journal.roll()
    items = seal(journal, root)
    looked: list[str] = []
    really = custody_seal._read_marker
    monkeypatch.setattr(custody_seal, "_read_marker", lambda path: looked.append(path.stem) or really(path))
    names = [f"{item.manifest.sequence:012d}.jsonl" for item in items]
    for item, name in zip(items[:2], names, strict=False):
        dropped = custody.drop_sealed(folder.parent, item.item_id, first_seq=item.manifest.sequence)
        assert dropped == [folder / name]
    assert [f"{one}.jsonl" for one in looked] == names[:2]
    last = custody.drop_sealed(folder.parent, items[2].item_id, first_seq=items[3].manifest.sequence)
    assert last == [folder / names[2]]


def test_nothing_goes_when_the_item_is_of_no_journal(journal: Journal, folder: Path, root: Path) -> None:
    """CJ-18."""
    seal(journal, root)
    assert custody.drop_sealed(folder.parent, "01a2076b-4400-7f5c-8293-c2c1e62e57d3") == []
    assert (folder / "000000000001.jsonl").exists()


def test_plain_file_goes_when_the_service_died_just_after_the_commit(
    journal: Journal, folder: Path, root: Path
) -> None:
    """CJ-16, CJ-18: else the restarted service would seal other bytes under an id that the centre has."""
    [item] = seal(journal, root)
    marker = folder / "000000000001.item"
    files.replace(marker, b'{"item":"%s","sealed_sha256":null}' % item.item_id.encode())
    custody.drop_sealed(folder.parent, item.item_id)
    assert not (folder / "000000000001.jsonl").exists()
    assert not marker.exists()


def test_file_is_sealed_anew_and_damage_noted_once_when_its_marker_is_damaged(
    journal: Journal, folder: Path, root: Path
) -> None:
    """CJ-14: a service that seals never stops for it; its next start notices."""
    [first] = seal(journal, root)
    (folder / "000000000001.item").write_bytes(b"{}")
    assert custody.drop_sealed(folder.parent, first.item_id) == []
    journal.close()
    again = open_journal(folder)
    second, _ = seal(again, root)
    assert first.manifest.plain_sha256 == second.manifest.plain_sha256
    assert seal(again, root) == []
    again.close()
    assert (folder / "000000000004.jsonl").read_bytes().count(b"journal.damaged") == 1


def test_damage_is_noted_once_and_other_files_are_sealed_when_a_committed_item_is_not_whole(
    journal: Journal, folder: Path, root: Path
) -> None:
    """CJ-14."""
    [item] = seal(journal, root)
    files.replace(folder / "000000000001.item", b'{"item":"%s","sealed_sha256":null}' % item.item_id.encode())
    item.path.write_bytes(b"short")
    journal.close()
    again = open_journal(folder)
    assert [one.manifest.sequence for one in seal(again, root)] == [3]
    assert seal(again, root) == []
    again.close()
    assert (folder / "000000000004.jsonl").read_bytes().count(b"journal.damaged") == 1


def test_chain_goes_on_when_even_the_newest_file_was_dropped(journal: Journal, folder: Path, root: Path) -> None:
    """CJ-18: a service that stopped has all its files at the centre, then starts again."""
    journal.roll()
    head = journal.head
    items = seal(journal, root)
    journal.close()
    dropped = [custody.drop_sealed(folder.parent, item.item_id) for item in items]
    assert [len(paths) for paths in dropped] == [1, 1]
    assert [path.name for path in folder.iterdir()] == ["head.jsonl"]
    again = open_journal(folder)
    again.close()
    lines = custody.split_lines((folder / "000000000004.jsonl").read_bytes())
    assert custody.verify_chain(lines, KEY.public, start=head)[0].event == "service.started"


def test_chain_goes_on_when_only_the_newest_file_was_dropped_and_an_older_one_waits(
    journal: Journal, folder: Path, root: Path
) -> None:
    """CJ-18."""
    journal.roll()
    items = seal(journal, root)
    journal.close()
    custody.drop_sealed(folder.parent, items[1].item_id)
    again = open_journal(folder)
    again.close()
    assert again.head[0] == 4


def test_newest_file_stays_when_its_last_line_is_damaged(folder: Path, root: Path) -> None:
    """CJ-18, CJ-14: there is no head to keep, so nothing is deleted."""
    journal = open_journal(folder)
    closed = journal.roll()
    assert closed is not None
    closed.write_bytes(b"not a line\n")
    [item] = seal(journal, root)
    journal.close()
    assert item.manifest.complete is False
    assert custody.drop_sealed(folder.parent, item.item_id) == []
    assert closed.exists()
