"""A recording is redacted whole or not at all, and its check says which copy is missing, swapped or another's."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.redact.make import WHOLE_PLAN
from vedette import bundle, cli
from vedette.keys import SigningKey
from vedette.records import MANIFEST, peek_manifest, sign_record

COVER = """
[[region]]
name = "sign"
reason = "shop's name"
from_us = 0
to_us = 2_900_000
keys = [[0, 100, 10, 160, 60]]
"""


@pytest.fixture
def redact(key_file: Path, tmp_path: Path, edited: Callable[[Path, str], Path]) -> Callable[..., int]:
    """`redact(drive, *parents, out="out")`: plans without plates, a cover over all, makes copies; the exit code."""

    def make(drive: Any, *parents: Path, out: str = "out", plan: Path | None = None) -> int:
        words = ["evidence", "redact", *map(str, parents or (drive.folder,)), "--identity", str(drive.identity)]
        if plan is None:
            plan = tmp_path / f"{out}.toml"
            code = cli.main([*words, "--propose", str(plan), "--no-plates"])
            if code:
                return code
            edited(plan, COVER)
        return cli.main([*words, "--apply", str(plan), "-o", str(tmp_path / out), "--key", str(key_file)])

    return make


@pytest.fixture
def moved(tmp_path: Path) -> Callable[[Any], Any]:
    """`moved(drive)`: the drive's folder copied, to be changed there; the paths of its items."""

    def copy(drive: Any) -> list[Path]:
        shutil.copytree(drive.folder, tmp_path / "spool")
        return [tmp_path / "spool" / one.name for one in drive.items]

    return copy


def copies(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.mp4"))


def checked(capsys: pytest.CaptureFixture[str], drive: Any, folder: Path, *parents: Path) -> tuple[int, str]:
    """The exit code of the check of all copies, and its failed findings as lines."""
    capsys.readouterr()
    words = ["evidence", "redact", *map(str, parents or (drive.folder,)), "--check", str(folder), "--json"]
    code = cli.main([*words, "--identity", str(drive.identity)])
    findings = json.loads(capsys.readouterr().out)["findings"]
    return code, "\n".join(f"{one['what']} | {one['where']} | {one['message']}" for one in findings if not one["ok"])


@pytest.mark.parametrize("at", [0, 2])
def test_no_copy_is_made_when_one_part_is_damaged(
    at: int, grey_drive: Callable[..., Any], redact: Callable[..., int], moved: Callable[[Any], list[Path]],
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """RD-49, RD-16: the error says which part and which file"""
    drive = grey_drive("aac", 3)
    assert redact(drive, out="good") == 0
    items = moved(drive)
    sealed = bytearray(items[at].read_bytes())
    sealed[-40] ^= 1
    items[at].write_bytes(sealed)
    before = {one.name for one in tmp_path.iterdir()}
    capsys.readouterr()
    assert redact(drive, tmp_path / "spool", plan=tmp_path / "good" / WHOLE_PLAN) == 10
    said = capsys.readouterr().err
    assert f"part {at + 1} of 3, {items[at]}" in said
    assert {one.name for one in tmp_path.iterdir()} == before


def test_nothing_is_overwritten_and_nothing_is_left_of_a_refusal(
    grey_drive: Callable[..., Any], redact: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """RD-49, RD-2, RD-16"""
    drive = grey_drive("aac", 3)
    (tmp_path / "out").mkdir()
    assert redact(drive) == 1
    assert "out exists already and is not overwritten" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []
    plan = tmp_path / "fresh.toml"
    words = ["evidence", "redact", str(drive.folder), "--identity", str(drive.identity)]
    assert cli.main([*words, "--propose", str(plan), "--no-plates"]) == 0
    assert redact(drive, out="new", plan=plan) == 1
    assert "checked_by is empty" in capsys.readouterr().err
    assert {one.name for one in tmp_path.iterdir()} == {"out", "out.toml", "fresh.toml"}


def test_items_that_do_not_make_a_recording_are_refused_and_named(
    grey_drive: Callable[..., Any], drive: Any, redact: Callable[..., int], moved: Callable[[Any], list[Path]],
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """RD-42"""
    grey = grey_drive("aac", 3)
    items = moved(grey)

    def said(*parents: Path, code: int = 1) -> str:
        assert redact(grey, *parents) == code
        return capsys.readouterr().err

    assert "segment 1 of recording" in said(items[0], items[2])
    assert "are both segment 0" in said(items[0], grey.items[0])
    assert f"of recording {drive.recording}" in said(items[0], drive.items[1])
    (tmp_path / "empty").mkdir()
    assert "holds no bundle and no sealed segment" in said(tmp_path / "empty", code=3)
    assert "is not there" in said(items[0], tmp_path / "none.segment.age", code=3)
    opened = tmp_path / "opened.mp4"
    opened.write_bytes(grey.plains[1])
    assert "has no manifest beside it" in said(items[0], opened)
    manifest = items[2].with_name(items[2].name.partition(".")[0] + ".manifest")
    body = peek_manifest(manifest.read_bytes()).to_body()
    manifest.write_bytes(sign_record(MANIFEST, {**body, "recording": None}, SigningKey.generate()))
    assert "not a segment of a recording" in said(*items)


def test_parts_of_another_size_or_another_plan_are_refused(
    grey_drive: Callable[..., Any], redact: Callable[..., int], redact_kit: Any, drive: Any, tmp_path: Path,
    manifest_of: Callable[..., Any], capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """RD-42, RD-43"""
    grey = grey_drive("aac", 3)
    mixed = redact_kit.sealed_drive(tmp_path / "mixed", [grey.plains[0], drive.plains[0]], manifest_of)
    assert redact(mixed) == 1
    assert "part 2 of 2" in (said := capsys.readouterr().err)
    assert "its pictures are 640x360, those before it 320x180" in said
    assert redact(grey, out="good") == 0
    plan = tmp_path / "good" / WHOLE_PLAN
    assert redact(grey, *grey.items[:2], out="b", plan=plan) == 1
    assert f"part 3 of the plan, item {grey.manifests[2].item}" in capsys.readouterr().err
    assert redact(drive, out="b", plan=plan) == 1
    assert f"the plan is for recording {grey.recording}" in capsys.readouterr().err


def test_a_swapped_copy_is_located(
    grey_drive: Callable[..., Any], redact: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """RD-54, RD-55, RD-28, RD-29: with its plan and record, and the picture alone"""
    drive = grey_drive("aac", 3)
    assert redact(drive) == 0
    first, second, _third = copies(tmp_path / "out")
    for ending in (".mp4", ".plan.toml", ".redaction"):
        one, other = first.with_suffix(ending), second.with_suffix(ending)
        one.rename(tmp_path / "aside")
        other.rename(one)
        (tmp_path / "aside").rename(other)
        if ending == ".mp4":
            code, said = checked(capsys, drive, tmp_path / "out")
            assert code == 10
            assert f"copy | {first.name} | its bytes are not those that the record names" in said
            assert f"copy | {second.name} | its bytes" in said
    code, said = checked(capsys, drive, tmp_path / "out")
    assert code == 10
    assert f"parent | {drive.items[0]} | it is not the parent of this copy" in said
    assert f"place | {first.with_suffix('.redaction').name} | item {drive.manifests[0].item} is not segment 1" in said
    assert f"part's plan | {first.with_suffix('.plan.toml').name}" in said
    assert "part 1 of 3" in said


def test_a_missing_copy_and_a_missing_item_are_located(
    grey_drive: Callable[..., Any], redact: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """RD-55"""
    drive = grey_drive("aac", 3)
    assert redact(drive) == 0
    third = copies(tmp_path / "out")[2]
    code, said = checked(capsys, drive, tmp_path / "out", *drive.items[:2])
    assert code == 10
    assert f"not here: the copy of item {drive.manifests[2].item} (segment 2)" in said
    assert f"folder | out | {third.name} is no copy of the items given" in said
    third.unlink()
    code, said = checked(capsys, drive, tmp_path / "out")
    assert code == 10
    assert f"copy | {third.name} | the copy of part 3, item {drive.manifests[2].item}, is not here" in said
    assert "part 3 of 3" in said


def test_a_copy_of_another_set_and_another_plan_are_located(
    grey_drive: Callable[..., Any], redact: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """RD-55, RD-56: made of the same item by the same plan, but at another time"""
    drive = grey_drive("aac", 3)
    assert redact(drive) == 0
    assert redact(drive, out="again", plan=tmp_path / "out" / WHOLE_PLAN) == 0
    ours, theirs = (copies(tmp_path / name)[1] for name in ("out", "again"))
    for ending in (".mp4", ".plan.toml", ".redaction"):
        shutil.copy(theirs.with_suffix(ending), ours.with_suffix(ending))
    code, said = checked(capsys, drive, tmp_path / "out")
    assert code == 10
    assert "part 2 of 3" in said
    assert "one set | out | the copies are of 2 sets" in said
    plan = tmp_path / "again" / WHOLE_PLAN
    plan.write_bytes(plan.read_bytes().replace(b"to_us = 2_900_000", b"to_us = 1_900_000"))
    shutil.copy(tmp_path / "out" / ours.name, tmp_path / "again" / ours.name)
    code, said = checked(capsys, drive, tmp_path / "again")
    assert code == 10
    assert f"one set | again | {WHOLE_PLAN} is not the plan that the records name" in said
    third = copies(tmp_path / "again")[2].with_suffix(".plan.toml").name
    assert f"part's plan | {third} | it is not what {WHOLE_PLAN} makes of part 3" in said


def test_a_folder_of_bundles_is_a_recording_too(
    grey_drive: Callable[..., Any], redact: Callable[..., int], tmp_path: Path
) -> None:
    """RD-42: as the export of a recording leaves it"""
    drive = grey_drive("aac", 3)
    (tmp_path / "export").mkdir()
    for number, (item, one) in enumerate(zip(drive.items, drive.manifests, strict=True), start=1):
        parts = bundle.BundleParts(
            manifest=item.with_name(f"{one.item}.manifest").read_bytes(), receipt=b"{}", proof="proof", journal=[],
            enrolment=b"{}", log_origin="test/log", signer=SigningKey.generate(), made_us=1, sealed=item,
        )  # fmt: skip
        bundle.make(tmp_path / "export" / f"{number:04d}-{one.item}{'.zip' if number > 1 else ''}", parts)
    assert redact(drive, tmp_path / "export") == 0
    assert redact(drive, out="sealed") == 0
    ours, theirs = (copies(tmp_path / name) for name in ("out", "sealed"))
    assert [one.name for one in ours] == [one.name for one in theirs]
    assert [one.read_bytes() for one in ours] == [one.read_bytes() for one in theirs]
