"""A redacted copy leaves without its original: both verifiers in Python say what it proves and what it cannot."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import good_bundle
import good_redacted_only
import pytest

from vedette import bundle, bundle_verify
from vedette.bundle_companions import with_companions
from vedette.errors import Refused
from vedette.findings import ORIGINAL
from vedette.verifier import command

NAMES = (
    "good", "copy-changed", "copy-swapped", "record-changed", "record-of-another-copy", "record-of-another-item",
    "plan-left-out", "original-added", "another-original-added",
)  # fmt: skip


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return good_redacted_only.cases(tmp_path_factory.mktemp("made"))


@pytest.mark.parametrize("name", NAMES)
def test_both_judge_a_bundle_without_its_original_alike(name: str, cases: Any, tmp_path: Path) -> None:
    """BU-51, BU-52, BU-25, RD-38, RD-40: copy, record and parent are checked, and an added original is found"""
    assert set(cases) == set(NAMES)
    data, code, named = cases[name]
    path = tmp_path / "b.zip"
    path.write_bytes(data)
    ours = bundle_verify.verify(path)
    theirs, found = command.verify(path)
    lines = [f"{one.what} | {one.where} | {one.message}" for one in ours.findings if not one.ok]
    others = [f"{what} | {where} | {said}" for what, where, bad, said in found if bad]
    assert (ours.exit_code, theirs) == (code, code), (lines, others)
    assert named in "\n".join(lines)
    assert named in "\n".join(others)


def test_what_cannot_be_compared_is_said_and_is_no_failure(cases: Any, tmp_path: Path) -> None:
    """BU-52, RD-41: absent, in the verdict, beside what was changed"""
    path = tmp_path / "b.zip"
    path.write_bytes(cases["good"][0])
    report = bundle_verify.verify(path)
    (one,) = [one for one in report.findings if one.what == ORIGINAL]
    assert (one.ok, one.absent, one.where) == (True, True, good_redacted_only.COPY_NAME)
    assert one.message.startswith(good_redacted_only.SAID)
    said = "what a redacted copy left unchanged cannot be compared with the original here"
    assert said in report.to_text().splitlines()[-1]
    _code, found = command.verify(path)
    assert (ORIGINAL, one.where, None, one.message) in found
    changes = {what: message for what, _where, _bad, message in found}["redaction's changes"]
    assert changes.startswith("20 of 50 pictures covered")


def test_nothing_is_said_of_a_missing_original_where_it_is_there(tmp_path: Path) -> None:
    """BU-52"""
    for number, left_out in enumerate(({"sealed": None}, {"opened": None})):
        made = dataclasses.replace(good_bundle.redacted(good_bundle.parts()), **left_out)  # type: ignore[arg-type]
        path = bundle.make(tmp_path / f"{number}.zip", made)
        assert ORIGINAL not in bundle_verify.verify(path).to_text()
        assert ORIGINAL not in str(command.verify(path))


def test_bundle_without_original_and_without_copy_is_not_made(tmp_path: Path) -> None:
    """BU-1, BU-51"""
    good = dataclasses.replace(good_bundle.parts(), sealed=None, opened=None)
    with pytest.raises(Refused, match="a redacted copy"):
        bundle.make(tmp_path / "b.zip", good)
    half = good_redacted_only.with_companions(good_redacted_only.redacted_only(), redaction_plan=None)
    with pytest.raises(Refused, match="a redacted copy"):
        bundle.make(tmp_path / "b.zip", half)


def test_report_and_readme_say_that_the_original_is_not_there(tmp_path: Path) -> None:
    """BU-51: in each language; and nothing of the sort where it is"""
    alone = with_companions(good_redacted_only.redacted_only(), exported_by="chief")
    beside = with_companions(good_bundle.redacted(good_bundle.parts()), exported_by="chief")
    said = ("THE ORIGINAL IS NOT IN THIS", "L’ORIGINAL N’EST PAS DANS", "الأصل غير موجود في هذا الملف")
    for made, is_said in ((alone, True), (beside, False)):
        page = made.companions["report_html"]
        assert isinstance(page, bytes)
        assert [one in page.decode() for one in said] == [is_said] * 3
        folder = bundle.make(tmp_path / str(is_said), made)
        assert ("THE ORIGINAL IS NOT HERE" in (folder / "README.txt").read_text()) == is_said
    report = bundle_verify.verify(tmp_path / "True")
    assert report.ok, report.to_text()
    original = {f"{good_bundle.ITEM}{ending}" for ending in (".segment.age", ".mp4", ".onvif.mp4")}
    assert not original & {path.name for path in (tmp_path / "True").iterdir()}
