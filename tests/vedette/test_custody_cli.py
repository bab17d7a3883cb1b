"""`vedette custody verify|show`."""

import argparse
import json
import zipfile
from pathlib import Path

import pytest

from vedette import custody_cli
from vedette.clock import FakeClock, uuid7
from vedette.custody import Journal
from vedette.errors import Integrity, NotFound, NotTrusted, Usage
from vedette.keys import SigningKey

VECTORS = Path(__file__).parents[1] / "vectors" / "bundle"
KEY = SigningKey.generate()
ITEM = uuid7(FakeClock())


def run(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    custody_cli.register(parser.add_subparsers())
    args = parser.parse_args(["custody", *map(str, arguments)])
    return int(args.run(args))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A journal in three files of two lines each but the last."""
    folder = tmp_path / "recorder"
    journal = Journal.open(folder, service="recorder", device="car-1", key=KEY, clock=FakeClock())
    for event in ("segment.opened", "camera.fault", "segment.quarantined", "service.stopped"):
        journal.append(event, ITEM if event.startswith("segment") else None, {"why": "test"})
        if event in ("segment.opened", "segment.quarantined"):
            journal.roll()
    journal.close()
    return folder


def test_verify_says_the_chain_is_unbroken_when_the_folder_is_whole(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """CJ-7."""
    assert run("verify", folder, "--key", KEY.public.text) == 0
    assert capsys.readouterr().out == "5 lines of car-1/recorder, from its beginning to seq 5: unbroken\n"


def test_verify_says_where_the_chain_begins_when_older_files_are_gone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """CJ-8."""
    (folder / "000000000001.jsonl").unlink()
    assert run("verify", folder, "--key", KEY.public.text, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["first_seq"], said["last_seq"], said["lines"]) == (3, 5, 3)


def test_verify_takes_files_in_any_order_when_they_make_one_chain(folder: Path) -> None:
    """CJ-7."""
    assert run("verify", *sorted(folder.glob("*.jsonl"), reverse=True), "--key", KEY.public.text) == 0


def test_verify_names_the_hole_when_a_file_between_is_gone(folder: Path) -> None:
    """CJ-7."""
    (folder / "000000000003.jsonl").unlink()
    with pytest.raises(Integrity, match=r"line 3 \(seq 3\): its seq is 5"):
        run("verify", folder, "--key", KEY.public.text)


def test_verify_names_the_file_when_its_last_line_is_cut(folder: Path) -> None:
    """CJ-9."""
    path = folder / "000000000003.jsonl"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(Integrity, match=r"000000000003\.jsonl: custody journal: the last line is cut off"):
        run("verify", folder, "--key", KEY.public.text)


def test_verify_is_not_trusted_when_the_key_is_another(folder: Path) -> None:
    """CJ-3."""
    with pytest.raises(NotTrusted, match="signed by key"):
        run("verify", folder, "--key", SigningKey.generate().public.text)


def test_verify_asks_for_a_key_when_none_is_given(folder: Path) -> None:
    with pytest.raises(Usage, match="--key"):
        run("verify", folder)


def test_verify_finds_nothing_when_the_folder_is_empty(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        run("verify", tmp_path, "--key", KEY.public.text)


def test_verify_takes_the_device_s_key_from_a_bundle_when_the_centre_vouches_for_it(tmp_path: Path) -> None:
    """BU-9."""
    with zipfile.ZipFile(VECTORS / "zip" / "whole.zip") as archive:
        archive.extractall(tmp_path)
    keys = ["--keys", tmp_path / "keys.json", "--trust", VECTORS / "trust.json"]
    assert run("verify", tmp_path / "journal.jsonl", *keys) == 0


def test_show_finds_nothing_when_the_folder_is_empty(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no line"):
        run("show", tmp_path)


def test_show_prints_a_table_when_asked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", folder) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["SEQ", "TIME", "EVENT", "ITEM", "DETAIL"]
    assert [line.split()[2] for line in lines[1:3]] == ["service.started", "segment.opened"]


def test_show_prints_one_item_s_lines_when_asked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", folder, "--item", ITEM, "--json") == 0
    assert [line["event"] for line in json.loads(capsys.readouterr().out)] == ["segment.opened", "segment.quarantined"]
