"""What a person's hand or a slip can make of a plan: refused, or carried out to the letter."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vedette import cli

COVER = """
[[region]]
name = "all"
reason = "the whole picture"
from_us = 0
to_us = 400_000
keys = [[0, 0, 0, 320, 180]]
"""
MUTE = '\n[[mute]]\nfrom_us = 900_000\nto_us = 1_500_000\nreason = "a name"\n'


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("end_us = 960_000", "end_us = 900_000", "ends at 960000 us, the plan is for one of 900000 us"),
        ("has_sound = true", "has_sound = false", "whether it has sound"),
        ("frames = 25", "frames = 24", "has 25 pictures, the plan is for 24"),
    ],
)
def test_a_recordings_plan_that_says_less_of_a_part_than_is_there_is_refused(
    old: str, new: str, said: str, grey_drive: Callable[..., Any], key_file: Path, tmp_path: Path,
    edited: Callable[[Path, str], Path], capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """RD-43, RD-44, RD-45: its last pictures would stay open, its sound would be heard"""
    drive, plan = grey_drive("aac", 2), tmp_path / "plan.toml"
    words = ["evidence", "redact", str(drive.folder), "--identity", str(drive.identity)]
    assert cli.main([*words, "--propose", str(plan), "--no-plates"]) == 0
    edited(plan, COVER + MUTE)
    begin, second = plan.read_text().rsplit("[[part]]", 1)
    assert old in second
    plan.write_text(f"{begin}[[part]]{second.replace(old, new)}")
    capsys.readouterr()
    assert cli.main([*words, "--apply", str(plan), "-o", str(tmp_path / "out"), "--key", str(key_file)]) == 1
    assert re.search(f"part 2 of 2, .*{said}", capsys.readouterr().err)
    assert {one.name for one in tmp_path.iterdir()} == {"plan.toml"}


def test_a_plan_that_says_another_end_is_refused(
    tone: Callable[[str], Path], key_file: Path, tmp_path: Path, edited: Callable[[Path, str], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """RD-1"""
    plan, parent = tmp_path / "plan.toml", str(tone("aac"))
    assert cli.main(["evidence", "redact", parent, "--propose", str(plan), "--no-plates"]) == 0
    edited(plan, "")
    plan.write_text(plan.read_text().replace("end_us = 1_480_000", "end_us = 1_400_000"))
    words = ["--apply", str(plan), "-o", str(tmp_path / "c.mp4"), "--key", str(key_file)]
    assert cli.main(["evidence", "redact", parent, *words]) == 1
    assert "ends at 1480000 us, the plan is for one of 1400000 us" in capsys.readouterr().err
    assert {one.name for one in tmp_path.iterdir()} == {"plan.toml"}


def test_every_character_of_a_reason_is_in_plan_and_record(
    grey_drive: Callable[..., Any], key_file: Path, tmp_path: Path, edited: Callable[[Path, str], Path]
) -> None:
    """RD-44, RD-37: also those that TOML knows only as an escape"""
    drive, plan = grey_drive("aac", 2), tmp_path / "plan.toml"
    words = ["evidence", "redact", str(drive.folder), "--identity", str(drive.identity)]
    assert cli.main([*words, "--propose", str(plan), "--no-plates"]) == 0
    edited(plan, COVER.replace("the whole", r"the \u007f whole \u0001 \" \\ \n"))
    assert cli.main([*words, "--apply", str(plan), "-o", str(tmp_path / "out"), "--key", str(key_file)]) == 0
    assert cli.main([*words, "--check", str(tmp_path / "out")]) == 0


def test_a_plan_that_could_not_be_written_is_refused_before_a_picture_is_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """RD-16: proposing takes hours for hours of video"""
    parent = tmp_path / "parent.mp4"
    parent.write_bytes(b"no video")
    assert cli.main(["evidence", "redact", str(parent), "--propose", str(tmp_path / "none" / "plan.toml")]) == 3
    assert "none is not there" in capsys.readouterr().err
    (tmp_path / "link.toml").symlink_to("nowhere")
    assert cli.main(["evidence", "redact", str(parent), "--propose", str(tmp_path / "link.toml")]) == 1
    assert "link.toml exists already" in capsys.readouterr().err
