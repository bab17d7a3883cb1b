"""The spool: commit order, names, and what counts as an item."""

import hashlib
from pathlib import Path

import pytest

from vedette import files, records, spool
from vedette.clock import FakeClock, uuid7
from vedette.errors import Integrity, Refused
from vedette.keys import SigningKey

KEY = SigningKey.generate()


def manifest_bytes(item_id: str, sealed: bytes, kind: str = "hit") -> bytes:
    made = records.Manifest(
        item=item_id,
        kind=kind,
        device="car-1",
        sealed_sha256=hashlib.sha256(sealed).hexdigest(),
        sealed_size=len(sealed),
        plain_sha256=None,
        plain_size=0,
        created_us=1,
        started_us=1,
        ended_us=1,
        time_source="simulated",
        time_error_us=None,
        complete=True,
        priority=0,
        recording=None,
        sequence=0,
        activation=None,
        media=None,
        journal=None,
        software="vedette 0.1.0",
        models={},
    )
    return records.sign_record(records.MANIFEST, made.to_body(), KEY)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    spool.make_folders(tmp_path)
    return tmp_path


def put(root: Path, sealed: bytes = b"sealed", kind: str = "hit") -> spool.Item:
    item_id = uuid7(FakeClock())
    spool.part_path(root, kind, item_id).write_bytes(sealed)
    return spool.commit(root, kind, item_id, manifest_bytes(item_id, sealed, kind))


def test_spool_finds_an_item_when_it_is_committed(root: Path) -> None:
    """SP-1. SP-2."""
    made = put(root)
    assert spool.scan(root) == ([made], [])
    assert made.path.read_bytes() == b"sealed"
    assert not spool.part_path(root, "hit", made.item_id).exists()
    assert made.manifest_sha256 == hashlib.sha256(made.manifest_path.read_bytes()).hexdigest()


def test_spool_has_no_item_when_the_crash_came_before_the_manifest(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SP-2."""

    def crash(_path: Path, _data: bytes) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "write_new", crash)
    with pytest.raises(KeyboardInterrupt):
        put(root)
    assert spool.scan(root) == ([], [])
    assert [path.suffix for path in (root / "hit").iterdir()] == [".age"]


def test_spool_refuses_to_commit_when_the_item_is_there(root: Path) -> None:
    """SP-3."""
    made = put(root)
    spool.part_path(root, "hit", made.item_id).write_bytes(b"sealed")
    with pytest.raises(Refused, match="not overwritten"):
        spool.commit(root, "hit", made.item_id, made.manifest_bytes)


@pytest.mark.parametrize("item_id", ["../../x", "a/b", "", "0192f000-0000-4000-8000-000000000000"])
def test_spool_makes_no_path_when_the_id_is_not_a_uuid7(root: Path, item_id: str) -> None:
    """SP-1."""
    with pytest.raises(Integrity):
        spool.part_path(root, "hit", item_id)


def test_spool_names_the_bad_and_keeps_the_good_when_both_are_there(root: Path) -> None:
    """SP-4."""
    good, short, moved, torn = put(root), put(root), put(root), put(root)
    short.path.write_bytes(b"seal")
    moved.manifest_path.rename(root / "custody" / moved.manifest_path.name)
    torn.manifest_path.write_bytes(torn.manifest_bytes[:-1])
    (root / "hit" / "notes.manifest").write_bytes(b"not ours")
    items, bad = spool.scan(root)
    assert [item.item_id for item in items] == [good.item_id]
    assert sorted(one.path.stem for one in bad) == sorted([short.item_id, moved.item_id, torn.item_id])
    assert any("not 6 bytes long" in one.why for one in bad)


def test_spool_lists_ids_without_opening_files(root: Path) -> None:
    """SP-4."""
    made = put(root)
    made.manifest_path.write_bytes(b"torn")
    assert list(spool.item_ids(root)) == [("hit", made.item_id, made.manifest_path)]
