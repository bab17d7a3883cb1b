"""`verify.html` with the bundles of a recording that was redacted as a whole: as several zips and as their folder."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import good_set
import pytest

CASES = good_set.cases()


def check(verify_page: Any, into: str, files: Any) -> tuple[int, list[str]]:
    """Exit code and failed findings as lines."""
    verify_page.evaluate("document.getElementById('verdict').className = 'busy'")
    verify_page.set_input_files(into, files)
    verify_page.wait_for_selector("#verdict:not(.busy)", state="attached")
    found = verify_page.evaluate("globalThis.vedette")
    lines = [f"{one['what']} | {one['where']} | {one['said']}" for one in found["findings"] if one["code"]]
    return found["exit_code"], lines


@pytest.mark.parametrize("name", CASES)
def test_page_says_of_a_set_what_is_wrong_and_where(name: str, verify_page: Any, tmp_path: Path) -> None:
    """BU-32, RD-50, RD-51, RD-52, RD-53, RD-26"""
    case = CASES[name]
    folder = case.lay(tmp_path / "case")
    code, lines = check(verify_page, "#folder", str(folder))
    assert code == case.exit_code, lines
    for said in case.says:
        assert any(said in line for line in lines), (said, lines)


def test_page_takes_several_zips_and_folders_of_them(verify_page: Any, tmp_path: Path) -> None:
    """BU-32: chosen together, or unpacked beside each other; one zip by itself is one bundle"""
    folder = CASES["whole"].lay(tmp_path / "case")
    zips = sorted(folder.iterdir())
    assert check(verify_page, "#zip", [str(one) for one in zips]) == (0, [])
    assert verify_page.locator("td", has_text="redaction's set").count() == 1
    code, lines = check(verify_page, "#zip", [str(one) for one in zips[:2]])
    assert code == 10
    assert [line.split(" | ")[0] for line in lines] == ["redaction's set"]
    for one in zips:
        zipfile.ZipFile(one).extractall(folder / one.stem)
        one.unlink()
    assert check(verify_page, "#folder", str(folder)) == (0, [])
    assert verify_page.locator("td", has_text="redaction's place").count() == 3
