"""What strace saw of a process, as operations on a disk: the whole of it, or an error that names the call."""

from __future__ import annotations

import mmap
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from simulator.disk import Disk, Names, Sync, Write
from simulator.straced import Traced, mark, watched
from vedette.errors import NotFound, Refused


def watch(folder: Path, work: Callable[[], None], trace: Path) -> tuple[Disk, Traced]:
    try:
        return watched(folder, work, trace)
    except NotFound as error:
        pytest.skip(str(error))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "disk"
    (made / "deep").mkdir(parents=True)
    (made / "old").write_bytes(b"what was there")
    (made / "deep" / "log").write_bytes(b"1\n")
    return made


def everything(folder: Path) -> None:
    """Each way in which Python and SQLite change files."""
    with (folder / "deep" / "log").open("ab") as file:
        file.write(b"2\n")
    (folder / "old").write_bytes(b"new")
    (folder / "new.part").write_bytes(b"x" * 10_000)
    descriptor = os.open(folder / "new.part", os.O_RDWR)
    os.read(descriptor, 7)
    os.write(descriptor, b"eighth")
    os.pwrite(descriptor, b"far", 20_000)
    os.ftruncate(descriptor, 15_000)
    other = os.dup(descriptor)
    os.write(descriptor, b"one place")
    os.write(other, b"for both")
    os.close(descriptor)
    os.fsync(other)
    os.close(other)
    (folder / "new.part").rename(folder / "deep" / "new")
    (folder / "second").hardlink_to(folder / "deep" / "new")
    (folder / "gone").write_bytes(b"soon")
    (folder / "gone").unlink()
    opened = os.open(folder / "deep", os.O_DIRECTORY)
    os.close(os.open("relative", os.O_CREAT | os.O_WRONLY, dir_fd=opened))
    os.fsync(opened)
    os.close(opened)
    db = sqlite3.connect(folder / "wal.db")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE t (x)")
    db.commit()
    kept = sqlite3.connect(folder / "rollback.db")
    kept.execute("CREATE TABLE t (x)")
    kept.execute("INSERT INTO t VALUES (zeroblob(20000))")
    kept.commit()
    kept.close()
    os._exit(0)  # with the WAL as it is


def test_all_that_was_done_gives_the_folder_as_it_is(folder: Path, tmp_path: Path) -> None:
    disk, _ = watch(folder, lambda: everything(folder), tmp_path / "trace")
    there = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    there.pop("wal.db-shm")
    assert "wal.db-wal" in there
    assert disk.whole() == there


def test_marks_lie_between_what_was_done_before_and_after(folder: Path, tmp_path: Path) -> None:
    def work() -> None:
        with (folder / "log").open("wb", buffering=0) as file:
            mark("named")
            file.write(b"1")
            os.fsync(file.fileno())
            mark("durable")

    disk, found = watch(folder, work, tmp_path / "trace")
    assert [type(operation) for _, operation in disk.operations] == [Names, Write, Sync]
    assert found.marks == [(1, "named"), (3, "durable")]


def write_many(path: Path) -> None:
    with path.open("wb") as file:
        os.writev(file.fileno(), [b"1", b"2"])


def write_mapped(path: Path) -> None:
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0:1] = b"W"


def write_by_a_number_of_its_choice(path: Path) -> None:
    with path.open("wb") as file, Path("/dev/null").open("wb") as other:
        os.dup2(file.fileno(), other.fileno())
        os.write(other.fileno(), b"1")


def copy_inside_the_kernel(path: Path) -> None:
    with Path("/bin/sh").open("rb") as source, path.open("wb") as file:
        os.copy_file_range(source.fileno(), file.fileno(), 100)


def reserve(path: Path) -> None:
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 100)


@pytest.mark.parametrize(
    "work", [write_many, write_mapped, write_by_a_number_of_its_choice, copy_inside_the_kernel, reserve]
)
def test_a_call_that_is_not_known_is_refused_not_passed_over(
    folder: Path, tmp_path: Path, work: Callable[[Path], None]
) -> None:
    with pytest.raises(Refused, match="strace: "):
        watch(folder, lambda: work(folder / "old"), tmp_path / "trace")


def lines_of(folder: Path, end: str) -> list[str]:
    name = "".join(f"\\x{byte:02x}" for byte in str(folder / "old").encode())
    return [
        f'1 openat(AT_FDCWD, "{name}", O_RDWR) = 3',
        r'1 pwrite64(3, "\x31", 1, 0) = 1',
        "2 fdatasync(3 <unfinished ...>",
        r'1 pwrite64(3, "\x32", 1, 1) = 1',
        f"2 <... fdatasync resumed>) {end}",
    ]


def test_what_is_written_while_another_thread_syncs_is_not_taken_to_be_durable(folder: Path) -> None:
    found = Traced(root=str(folder), numbers={"old": 0})
    found.take(lines_of(folder, "= 0"))
    assert [type(operation) for operation in found.operations] == [Write, Sync, Write]


def test_a_sync_that_fails_is_refused_not_passed_over(folder: Path) -> None:
    with pytest.raises(Refused, match="strace: "):
        Traced(root=str(folder), numbers={"old": 0}).take(lines_of(folder, "= -1 EIO (Input/output error)"))


def test_a_child_that_fails_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="child ended"):
        watch(folder, lambda: os._exit(3), tmp_path / "trace")


def test_a_cut_before_the_first_operation_leaves_what_was_there(folder: Path, tmp_path: Path) -> None:
    before = {"old": b"what was there", "deep/log": b"1\n"}
    disk, _ = watch(folder, lambda: everything(folder), tmp_path / "trace")
    assert disk.left_after(0, Random(1)) == before
