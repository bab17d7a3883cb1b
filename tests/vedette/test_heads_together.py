"""Lines that were signed for are missed only where they ought to be: both verifiers in Python, alone and together."""

from __future__ import annotations

from pathlib import Path

import good_heads_together
import pytest
from good_heads_together import ELSEWHERE, FIRST

from vedette.bundle_folder import verify_folder
from vedette.bundle_heads import SIGNED_LINES
from vedette.verifier import command

CASES = good_heads_together.cases()


@pytest.mark.parametrize("name", CASES)
def test_signed_lines_are_missed_where_they_stand_in_no_bundle_and_not_at_the_centre(name: str, tmp_path: Path) -> None:
    """BU-38, BU-53, BU-25"""
    bundles, is_missed = CASES[name]
    folder = good_heads_together.lay(tmp_path / "case", bundles)
    report = verify_folder(folder)
    assert report.ok, report.to_text()
    code, theirs = command.verify(folder)
    assert code == 0
    (ours,) = [one for one in report.findings if one.what == SIGNED_LINES]
    assert (ours.where, ours.absent) == (FIRST, is_missed), ours.message
    assert (ELSEWHERE in ours.message) == (len(bundles) == 2 and not is_missed)
    assert [one for one in theirs if one[0] == SIGNED_LINES] == [
        (SIGNED_LINES, FIRST, None if is_missed else 0, ours.message)
    ]
