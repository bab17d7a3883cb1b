"""The journal as its service writes it: chain, files, locks, and a disk that takes nothing."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vedette import custody
from vedette.clock import FakeClock, uuid7
from vedette.custody import MAX_FILE_ENTRIES, Journal
from vedette.custody_entry import FIRST_PREV, DetailValue, parse_line
from vedette.errors import Integrity, Refused
from vedette.keys import SigningKey

KEY = SigningKey.generate()
Opened = Callable[[], Journal]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal" / "recorder"


@pytest.fixture
def opened(folder: Path, clock: FakeClock) -> Iterator[Opened]:
    """Opens the journal of `folder`; all are closed at the end."""
    journals: list[Journal] = []

    def open_one() -> Journal:
        journals.append(Journal.open(folder, service="recorder", device="car-1", key=KEY, clock=clock))
        return journals[-1]

    yield open_one
    for journal in journals:
        journal.close()


def lines_in(folder: Path) -> list[bytes]:
    return [line for path in sorted(folder.glob("0*.jsonl")) for line in custody.split_lines(path.read_bytes())]


def test_journal_is_one_verified_chain_when_a_service_wrote_and_started_again(
    opened: Opened, folder: Path, clock: FakeClock
) -> None:
    """CJ-2, CJ-3, CJ-4, CJ-15: a new file and a new boot at each start, the gap in `service.started`."""
    first = opened()
    first.append("recording.started", detail={"activation": "button"})
    first.close()
    clock.advance(3_000_000)
    second = opened()
    entries = custody.verify_chain(lines_in(folder), KEY.public, start=(0, FIRST_PREV))
    assert [entry.event for entry in entries] == ["service.started", "recording.started", "service.started"]
    assert [entry.detail.get("gap_us") for entry in entries[::2]] == [None, 3_000_000]
    assert entries[0].boot == entries[1].boot != entries[2].boot
    assert second.head == (3, entries[2].sha256)
    assert sorted(path.name for path in folder.iterdir()) == ["000000000001.jsonl", "000000000003.jsonl"]


def test_line_is_canonical_json_and_a_newline_when_it_reaches_the_disk(opened: Opened, folder: Path) -> None:
    """CJ-1, CJ-9."""
    entry = opened().append("camera.fault", detail={"why": "câble"})
    written = (folder / "000000000001.jsonl").read_bytes()
    assert written.endswith(b"\n" + entry.line + b"\n")
    assert parse_line(entry.line) == entry


def test_append_has_fsynced_file_and_folder_when_it_returns(
    opened: Opened, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CJ-11."""
    journal = opened()
    journal.roll()
    synced: list[str] = []
    real = os.fsync

    def noting(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    journal.append("camera.fault")
    assert synced == [str(folder), str(folder / "000000000002.jsonl")]


def test_journal_refuses_a_second_writer_when_one_is_at_work(opened: Opened) -> None:
    """CJ-10."""
    opened()
    with pytest.raises(Refused, match="another process writes"):
        opened()


def test_journal_opens_when_its_last_writer_was_killed(folder: Path, opened: Opened) -> None:
    """CJ-10: the lock dies with the process; every line that `append` returned for is there."""
    script = (
        "import os, signal, sys; from pathlib import Path; from vedette.custody import Journal;"
        "from vedette.clock import SystemClock; from vedette.keys import SigningKey;"
        "key = SigningKey.load(Path(sys.argv[2]));"
        "j = Journal.open(Path(sys.argv[1]), service='recorder', device='car-1', key=key, clock=SystemClock());"
        " j.append('camera.fault'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    key_file = folder.parents[1] / "sign.pem"
    KEY.save(key_file)
    folder.mkdir(parents=True)
    done = subprocess.run([sys.executable, "-c", script, str(folder), str(key_file)], check=False)
    opened()
    events = [entry.event for entry in custody.verify_chain(lines_in(folder), KEY.public)]
    assert done.returncode == -9
    assert events == ["service.started", "camera.fault", "service.started"]


@pytest.mark.parametrize(
    ("extra", "files"), [(MAX_FILE_ENTRIES - 2, 0), (MAX_FILE_ENTRIES - 1, 1), (MAX_FILE_ENTRIES, 1)]
)
def test_file_is_closed_when_it_holds_as_many_lines_as_allowed(opened: Opened, extra: int, files: int) -> None:
    """CJ-15: 511, 512 and 513 lines (the first is `service.started`)."""
    journal = opened()
    for _ in range(extra):
        journal.append("camera.fault")
    assert len(journal.closed_files()) == files


def test_roll_begins_a_new_file_when_the_next_line_comes(opened: Opened, folder: Path) -> None:
    """CJ-15."""
    journal = opened()
    closed = journal.roll()
    assert closed == folder / "000000000001.jsonl"
    assert journal.closed_files() == [closed]
    assert journal.roll() is None
    journal.append("camera.fault")
    assert journal.closed_files() == [closed]
    assert custody.verify_chain(lines_in(folder), KEY.public)[-1].seq == 2


def test_line_takes_the_same_place_when_the_disk_was_full_and_is_not_any_more(
    opened: Opened, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CJ-12: half the line reached the disk before it was full."""
    journal = opened()
    real = os.write

    def full(descriptor: int, data: bytes) -> int:
        real(descriptor, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("vedette.custody.os.write", full)
    with pytest.raises(Refused, match="No space left"):
        journal.append("camera.fault")
    monkeypatch.setattr("vedette.custody.os.write", real)
    assert journal.append("camera.fault").seq == 2
    assert len(custody.verify_chain(lines_in(folder), KEY.public)) == 2


def test_open_has_no_room_when_the_disk_takes_no_folder(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """CJ-12: nothing was written, and the call may be repeated."""

    def full(*_args: object, **_keys: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(Path, "mkdir", full)
        with pytest.raises(custody.NoRoom, match="No space left"):
            opened()
    assert opened().head[0] == 1


def test_no_empty_file_stays_when_the_first_line_of_a_file_does_not_fit(
    opened: Opened, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CJ-12."""
    journal = opened()
    journal.roll()
    real = os.fsync

    def failing(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("vedette.custody.os.fsync", failing)
    with pytest.raises(Refused, match="Input/output error"):
        journal.append("camera.fault")
    monkeypatch.setattr("vedette.custody.os.fsync", real)
    assert [path.name for path in folder.iterdir()] == ["000000000001.jsonl"]
    assert journal.append("camera.fault").seq == 2


@pytest.mark.parametrize(
    ("event", "item", "detail"),
    [
        ("Camera.Fault", None, {}),
        ("", None, {}),
        ("camera.fault", "car-1", {}),
        ("camera.fault", None, {"why": "x" * 4097}),
        ("camera.fault", None, {f"n{number}": 1 for number in range(33)}),
        ("camera.fault", None, {"a": 1 << 53}),
    ],
)
def test_append_refuses_when_the_line_would_break_the_form(
    opened: Opened, event: str, item: str | None, detail: dict[str, DetailValue]
) -> None:
    """CJ-5: and the journal goes on."""
    journal = opened()
    with pytest.raises(Integrity):
        journal.append(event, item, detail)
    assert journal.append("camera.fault").seq == 2


def test_append_takes_a_line_when_every_limit_is_just_met(opened: Opened, clock: FakeClock) -> None:
    """CJ-5, CJ-1."""
    detail: dict[str, DetailValue] = {f"n{number}": "x" * 400 for number in range(31)}
    entry = opened().append("item.deleted", uuid7(clock), {**detail, "why": "y" * 1000})
    assert len(entry.line) < 16 * 1024


def test_append_refuses_when_the_line_is_over_sixteen_kibibytes(opened: Opened) -> None:
    """CJ-1."""
    with pytest.raises(Integrity, match="over the limit of 16384"):
        opened().append("camera.fault", detail={f"n{number}": "x" * 4096 for number in range(4)})
