"""Durable files."""

from pathlib import Path

import pytest

from vedette import files
from vedette.errors import NotFound, Refused


def test_write_new_refuses_when_the_name_is_taken(tmp_path: Path) -> None:
    """SP-3."""
    files.write_new(tmp_path / "a", b"first")
    with pytest.raises(Refused, match="not overwritten"):
        files.write_new(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_replace_leaves_the_old_bytes_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.replace(tmp_path / "a", b"old")

    def broken(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", broken)
    with pytest.raises(OSError, match="No space") as full:
        files.replace(tmp_path / "a", b"new")
    assert full.value.filename == str(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_write_new_names_the_folder_when_it_is_missing(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        files.write_new(tmp_path / "nowhere" / "a", b"")


def test_read_accepts_a_file_at_the_limit_and_refuses_one_more(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1234")
    assert files.read(tmp_path / "a", max_bytes=4) == b"1234"
    with pytest.raises(Refused, match="larger than 3"):
        files.read(tmp_path / "a", max_bytes=3)


def test_read_says_what_is_wrong_when_there_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        files.read(tmp_path / "a", max_bytes=4)
    with pytest.raises(Refused, match="directory"):
        files.read(tmp_path, max_bytes=4)
