"""The copies of a whole recording: every checker holds a whole set and says which member is missing or another's."""

import importlib.util
from pathlib import Path
from typing import Any

import good_bundle
import good_set
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vedette import bundle, bundle_folder, bundle_verify, verifier
from vedette.errors import VedetteError
from vedette.keys import PublicKey
from vedette.redaction import MAX_PARTS, Member, RedactedSet, open_redaction
from vedette.verifier.records import Bad
from vedette.verifier.redactions import redaction_of

CASES = good_set.cases()


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """verify.py as a module."""
    path = tmp_path_factory.mktemp("verifier") / "verify.py"
    path.write_bytes(verifier.script())
    spec = importlib.util.spec_from_file_location("verify_of_sets", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", CASES)
def test_vedette_and_script_say_of_a_set_what_is_wrong_and_where(name: str, loaded: Any, tmp_path: Path) -> None:
    """BU-32, RD-50, RD-51, RD-52, RD-53, RD-26"""
    case = CASES[name]
    folder = case.lay(tmp_path / "case")
    centre = good_bundle.keys()[0]
    ours = bundle_folder.verify_folder(folder)
    code, findings = loaded.verify(folder, centre.public.raw, good_bundle.ORIGIN)
    lines = [f"{one.what} | {one.where} | {one.message}" for one in ours.findings if not one.ok]
    theirs = [f"{what} | {where} | {said}" for what, where, bad, said in findings if bad]
    assert (ours.exit_code, code) == (case.exit_code, case.exit_code), (lines, theirs)
    for said in case.says:
        assert any(said in line for line in lines), (said, lines)
        assert any(said in line for line in theirs), (said, theirs)
    assert bool(lines) == bool(theirs) == bool(case.exit_code)


def test_a_bundle_of_a_set_by_itself_holds_and_says_which_part_it_is(loaded: Any, tmp_path: Path) -> None:
    """RD-51: that the others are not there is no fault of this one"""
    path = bundle.make(tmp_path / "b.zip", good_set.member(1))
    report = bundle_verify.verify(path)
    said = {one.what: one.message for one in report.findings}
    assert report.ok, report.to_text()
    assert said["redaction's place"] == f"part 2 of 3 of recording {good_set.RECORDING}"
    code, findings = loaded.verify(path)
    assert code == 0
    assert said["redaction's place"] in [one[3] for one in findings]


def test_a_folder_that_is_a_bundle_or_holds_none_is_checked_as_one(tmp_path: Path, loaded: Any) -> None:
    """BU-32"""
    made = bundle.make(tmp_path / "case", good_set.member(1))
    assert bundle_folder.bundles_in(made) == loaded.bundles_in(made) == []
    (tmp_path / "empty").mkdir()
    assert bundle_folder.bundles_in(tmp_path / "empty") == loaded.bundles_in(tmp_path / "empty") == []
    assert bundle_folder.bundles_in(tmp_path) == loaded.bundles_in(tmp_path) == [made]
    assert loaded.verify(tmp_path / "empty")[0] == 10


@pytest.mark.parametrize("name", ["whole", "by-two-keys"])
def test_a_redactor_who_is_named_is_the_only_one_who_counts(name: str, loaded: Any, tmp_path: Path) -> None:
    """RD-39, RD-53"""
    folder = CASES[name].lay(tmp_path / "case")
    asked = bundle_verify.Asked(redactor=good_set.KEY.public)
    ours = bundle_folder.verify_folder(folder, None, (), asked)
    code, _findings = loaded.verify(folder, redactor=good_set.KEY.public.raw)
    wanted = 0 if name == "whole" else 10  # the record of the other key does not count, so its copy is missing
    assert (ours.exit_code, code) == (wanted, wanted)


def sets(count: int) -> RedactedSet:
    ids = [f"01a2076b-4400-7f5c-8293-{number:012x}" for number in range(2 * count)]
    members = tuple(
        Member(item=ids[2 * at], parent=ids[2 * at + 1], sequence=at, derived_sha256="ab" * 32) for at in range(count)
    )
    return RedactedSet(recording=good_set.RECORDING, plan_sha256="ab" * 32, members=members)


def record_of(together: RedactedSet) -> bytes:
    record = good_set.member(0, together=together).companions["redaction"]
    assert isinstance(record, bytes)
    return record


def taken(parse: Any, data: bytes) -> bool:
    try:
        parse(data)
    except (VedetteError, Bad) as error:
        assert 0 < len(str(error)) < 2000
        return False
    return True


@pytest.mark.parametrize("count", [0, 1, MAX_PARTS, MAX_PARTS + 1])
def test_a_set_has_a_thousand_members_at_most(count: int) -> None:
    """RD-50"""
    record = record_of(sets(count))
    for parse in (lambda data: open_redaction(data, None), lambda data: redaction_of(data, None)):
        assert taken(parse, record) == (count <= MAX_PARTS)


GOOD = record_of(good_set.TOGETHER)
PIECES = [b"", b" ", b"0", b"null", b"1e9", b"-1", b"{}", b"[]", b'"set":{},', b"vedette/redaction/1"]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.integers(0, len(GOOD)), st.sampled_from((0, 1, 2, 8, 60)), st.sampled_from(PIECES))
def test_both_take_or_both_refuse_a_damaged_record_of_a_set(start: int, cut: int, piece: bytes) -> None:
    """BU-25, RD-26"""
    data = GOOD[:start] + piece + GOOD[start + cut :]
    key = PublicKey.from_text(good_set.KEY.public.text)
    assert taken(lambda one: open_redaction(one, key), data) == taken(lambda one: redaction_of(one, key.raw), data)
