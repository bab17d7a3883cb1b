"""`verify.html` with the bundles of a recording that left in parts, and with one of them by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import good_recording
import pytest

from vedette import bundle_folder, bundle_verify
from vedette.findings import PARTS, Report

CASES = good_recording.cases()


def check(verify_page: Any, into: str, files: Any) -> Any:
    verify_page.evaluate("document.getElementById('verdict').className = 'busy'")
    verify_page.set_input_files(into, files)
    verify_page.wait_for_selector("#verdict:not(.busy)", state="attached")
    return verify_page.evaluate("globalThis.vedette")


def said_by(found: Any) -> list[tuple[int | None, str]]:
    return sorted(((one["code"], one["said"]) for one in found["findings"] if one["what"] == PARTS), key=str)


def ours_of(report: Report) -> list[tuple[int | None, str]]:
    state = [(None if one.absent else one.exit_code, one.message) for one in report.findings if one.what == PARTS]
    return sorted(state, key=str)


@pytest.mark.parametrize("name", CASES)
def test_page_says_which_parts_are_missing_or_doubled(name: str, verify_page: Any, tmp_path: Path) -> None:
    """BU-32, BU-42, BU-43, BU-44, BU-45, BU-47, BU-25: in the words of the other two."""
    case = CASES[name]
    folder = case.lay(tmp_path / "case")
    found = check(verify_page, "#folder", str(folder))
    assert found["exit_code"] == case.exit_code, found["findings"]
    assert said_by(found) == ours_of(bundle_folder.verify_folder(folder))
    for said in case.says:
        assert any(said in one["said"] for one in found["findings"] if one["code"]), said


def test_page_says_of_a_bundle_by_itself_that_the_recording_is_not_whole(verify_page: Any, tmp_path: Path) -> None:
    """BU-43, BU-46: in the verdict too; of several zips those that were not chosen are missing"""
    whole, of = good_recording.word(), f"of recording {good_recording.RECORDING}"
    paths = [good_recording.zipped(at, whole, tmp_path) for at in range(4)]
    found = check(verify_page, "#zip", str(paths[1]))
    assert found["exit_code"] == 0
    assert said_by(found) == ours_of(bundle_verify.verify(paths[1]))
    assert "That the recording is whole is not shown" in verify_page.locator("#verdict").inner_text()
    assert verify_page.locator("td", has_text=f"part 2 of 4 {of}").count() == 1
    assert check(verify_page, "#zip", [str(one) for one in paths])["exit_code"] == 0
    assert verify_page.locator("#verdict").inner_text() == "Every check holds."
    found = check(verify_page, "#zip", [str(one) for one in paths[:3]])
    assert found["exit_code"] == 10
    assert any(f"part 4 {of} is not here" in said for code, said in said_by(found) if code)
