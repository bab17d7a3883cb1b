"""What the next start makes of a journal that a crash, a bad disk or a hand has changed."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vedette import custody
from vedette.clock import FakeClock
from vedette.custody import Journal
from vedette.errors import Integrity
from vedette.keys import SigningKey

KEY = SigningKey.generate()
Opened = Callable[..., Journal]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal" / "recorder"


@pytest.fixture
def opened(folder: Path) -> Iterator[Opened]:
    journals: list[Journal] = []

    def open_one(key: SigningKey = KEY) -> Journal:
        journals.append(Journal.open(folder, service="recorder", device="car-1", key=key, clock=FakeClock()))
        return journals[-1]

    yield open_one
    for journal in journals:
        journal.close()


@pytest.fixture
def written(opened: Opened, folder: Path) -> Path:
    """The one file of a journal of three lines, closed."""
    journal = opened()
    journal.append("camera.fault")
    journal.append("camera.fault", detail={"why": "again"})
    journal.close()
    return folder / "000000000001.jsonl"


def lines_in(folder: Path) -> list[bytes]:
    return [line for path in sorted(folder.glob("0*.jsonl")) for line in custody.split_lines(path.read_bytes())]


def events_in(folder: Path) -> list[str]:
    return [entry.event for entry in custody.verify_chain(lines_in(folder), KEY.public)]


@pytest.mark.parametrize("torn", [b"{", b'{"boot":"', b"\0" * 300, b"\0\0\n", b"\xff\xfe", b"\n"])
def test_torn_end_is_cut_off_and_recorded_when_the_service_starts_again(
    opened: Opened, folder: Path, written: Path, torn: bytes
) -> None:
    """CJ-13."""
    whole = written.read_bytes()
    written.write_bytes(whole + torn)
    opened()
    assert written.read_bytes() == whole
    assert events_in(folder)[3:] == ["journal.torn", "service.started"]


def test_every_cut_of_the_last_line_is_mended_when_each_length_is_tried(
    opened: Opened, folder: Path, written: Path
) -> None:
    """CJ-13, CJ-9: no cut loses an older line, none leaves a chain that does not verify."""
    whole = written.read_bytes()
    start = whole[:-1].rfind(b"\n") + 1
    for size in range(start + 1, len(whole), 7):
        for path in folder.iterdir():
            path.unlink()
        written.write_bytes(whole[:size])
        opened().close()
        assert events_in(folder) == ["service.started", "camera.fault", "journal.torn", "service.started"]


def test_torn_line_is_described_when_it_is_recorded(opened: Opened, folder: Path, written: Path) -> None:
    """CJ-13."""
    written.write_bytes(written.read_bytes() + b"{torn")
    opened()
    entry = custody.verify_chain(lines_in(folder), KEY.public)[3]
    assert (entry.detail["file"], entry.detail["bytes"]) == ("000000000001.jsonl", 5)


@pytest.mark.parametrize("content", [b"", b'{"seq":4', b"\0" * 4096])
def test_file_goes_when_not_one_line_of_it_was_ever_whole(
    opened: Opened, folder: Path, written: Path, content: bytes
) -> None:
    """CJ-13: the crash fell on the first line of a new file."""
    (folder / "000000000004.jsonl").write_bytes(content)
    opened()
    assert events_in(folder)[:3] == ["service.started", "camera.fault", "camera.fault"]
    assert events_in(folder)[-1] == "service.started"
    assert custody.verify_chain(lines_in(folder), KEY.public)[3].seq == 4


@pytest.mark.parametrize("line", [0, 1])
def test_damage_stays_and_is_recorded_when_a_line_in_the_middle_was_changed(
    opened: Opened, folder: Path, written: Path, line: int
) -> None:
    """CJ-14: the service starts, the checker names the line."""
    lines = written.read_bytes().split(b"\n")
    lines[line] = lines[line].replace(b"car-1", b"car-2")
    written.write_bytes(b"\n".join(lines))
    journal = opened()
    assert written.read_bytes() == b"\n".join(lines)
    assert journal.head[0] == 5
    with pytest.raises(Exception, match=f"line {line + 1}"):
        custody.verify_chain(lines_in(folder), KEY.public)
    assert [entry.event for entry in custody.verify_chain(lines_in(folder)[3:], KEY.public)] == [
        "journal.damaged",
        "service.started",
    ]


def test_chain_follows_the_last_line_as_found_when_that_line_is_damaged(
    opened: Opened, folder: Path, written: Path
) -> None:
    """CJ-14: a line that parses was written whole, so its wrong signature is no tear."""
    written.write_bytes(written.read_bytes().replace(b"again", b"never"))
    opened()
    lines = lines_in(folder)
    assert custody.verify_chain(lines[3:], KEY.public)[0].event == "journal.damaged"
    with pytest.raises(Exception, match=r"line 3 \(seq 3\)"):
        custody.verify_chain(lines, KEY.public)


def test_journal_goes_on_and_says_so_when_the_device_has_a_new_key(opened: Opened, folder: Path, written: Path) -> None:
    """CJ-14."""
    key = SigningKey.generate()
    opened(key)
    found = custody.verify_chain(lines_in(folder)[3:], key.public)
    assert [entry.event for entry in found] == ["journal.damaged", "service.started"]


def test_damage_is_recorded_when_a_file_has_another_s_name(opened: Opened, folder: Path, written: Path) -> None:
    """CJ-14."""
    written.rename(folder / "000000000007.jsonl")
    assert opened().head[0] == 11
    assert b"journal.damaged" in (folder / "000000000010.jsonl").read_bytes()


def test_service_starts_when_the_newest_file_cannot_be_read_at_all(opened: Opened, folder: Path, written: Path) -> None:
    """CJ-14: a folder of its name stands for a bad sector."""
    (folder / "000000000004.jsonl").mkdir()
    assert opened().head[0] == 518
    assert b"journal.damaged" in (folder / "000000000517.jsonl").read_bytes()


def test_kept_head_is_not_believed_when_it_was_changed(opened: Opened, folder: Path, written: Path) -> None:
    """CJ-14, CJ-18."""
    line = written.read_bytes().split(b"\n")[2]
    written.unlink()
    (folder / "head.jsonl").write_bytes(line.replace(b"again", b"never") + b"\n")
    opened()
    assert events_in(folder) == ["journal.damaged", "service.started"]


def test_reader_refuses_a_file_when_its_last_line_is_cut() -> None:
    """CJ-9."""
    with pytest.raises(Integrity, match="cut off"):
        custody.split_lines(b"{}\n{")


@pytest.mark.parametrize(("journal", "lines"), [(b"", []), (b"a\n", [b"a"]), (b"a\n\nb\n", [b"a", b"", b"b"])])
def test_reader_gives_lines_when_the_file_is_whole(journal: bytes, lines: list[bytes]) -> None:
    """CJ-9."""
    assert custody.split_lines(journal) == lines


@pytest.mark.parametrize("extra", [0, 1])
def test_reader_refuses_a_line_when_it_is_over_the_limit(extra: int) -> None:
    """CJ-1."""
    line = b"x" * (16 * 1024)
    assert custody.split_lines(line + b"\n") == [line]
    with pytest.raises(Integrity, match="over 16384"):
        custody.split_lines(line + b"x" + b"y" * extra + b"\n")
