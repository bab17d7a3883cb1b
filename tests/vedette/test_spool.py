"""The spool: commit order, names, and what counts as an item."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from vedette import files, records, spool
from vedette.errors import Integrity, Refused
from vedette.keys import SigningKey
from vedette.records import Manifest

KEY = SigningKey.generate()
Put = Callable[[], spool.Item]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    spool.make_folders(tmp_path)
    return tmp_path


@pytest.fixture
def put(root: Path, manifest_of: Callable[..., Manifest]) -> Put:
    """`put()`: commit a hit to the spool."""

    def commit() -> spool.Item:
        made = manifest_of(b"sealed")
        spool.part_path(root, "hit", made.item).write_bytes(b"sealed")
        return spool.commit(root, "hit", made.item, records.sign_record(records.MANIFEST, made.to_body(), KEY))

    return commit


def test_spool_finds_an_item_when_it_is_committed(root: Path, put: Put) -> None:
    """SP-1. SP-2."""
    made = put()
    assert spool.scan(root) == ([made], [])
    assert made.path.read_bytes() == b"sealed"
    assert not spool.part_path(root, "hit", made.item_id).exists()
    assert made.manifest_sha256 == hashlib.sha256(made.manifest_path.read_bytes()).hexdigest()


def test_spool_has_no_item_when_the_crash_came_before_the_manifest(
    root: Path, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SP-2."""

    def crash(_path: Path, _data: bytes) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "write_new", crash)
    with pytest.raises(KeyboardInterrupt):
        put()
    assert spool.scan(root) == ([], [])
    assert [path.suffix for path in (root / "hit").iterdir()] == [".age"]


def test_spool_refuses_to_commit_when_the_item_is_there(root: Path, put: Put) -> None:
    """SP-3."""
    made = put()
    spool.part_path(root, "hit", made.item_id).write_bytes(b"sealed")
    with pytest.raises(Refused, match="not overwritten"):
        spool.commit(root, "hit", made.item_id, made.manifest_bytes)


@pytest.mark.parametrize("item_id", ["../../x", "a/b", "", "0192f000-0000-4000-8000-000000000000"])
def test_spool_makes_no_path_when_the_id_is_not_a_uuid7(root: Path, item_id: str) -> None:
    """SP-1."""
    with pytest.raises(Integrity):
        spool.part_path(root, "hit", item_id)


def test_spool_names_the_bad_and_keeps_the_good_when_both_are_there(root: Path, put: Put) -> None:
    """SP-4."""
    good, short, moved, torn = put(), put(), put(), put()
    short.path.write_bytes(b"seal")
    moved.manifest_path.rename(root / "custody" / moved.manifest_path.name)
    torn.manifest_path.write_bytes(torn.manifest_bytes[:-1])
    (root / "hit" / "notes.manifest").write_bytes(b"not ours")
    items, bad = spool.scan(root)
    assert [item.item_id for item in items] == [good.item_id]
    assert sorted(one.path.stem for one in bad) == sorted([short.item_id, moved.item_id, torn.item_id])
    assert any("not 6 bytes long" in one.why for one in bad)


def test_spool_lists_ids_without_opening_files(root: Path, put: Put) -> None:
    """SP-4."""
    made = put()
    made.manifest_path.write_bytes(b"torn")
    assert list(spool.item_ids(root)) == [("hit", made.item_id, made.manifest_path)]
