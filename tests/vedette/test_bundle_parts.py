"""A recording that left in parts: both verifiers in Python say which are missing or doubled, and from when to when."""

import importlib.util
from pathlib import Path
from typing import Any

import good_bundle
import good_recording
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vedette import bundle, bundle_folder, bundle_verify, verifier
from vedette import report as report_rows
from vedette.bundle_companions import with_companions
from vedette.bundle_parts import MAX_PARTS, RECORDING_PARTS, Part, open_parts
from vedette.cli import main
from vedette.errors import Integrity, VedetteError
from vedette.findings import PARTS, Report
from vedette.records import keyring, open_record, sign_record
from vedette.verifier.parts import parts_of
from vedette.verifier.records import Bad

CASES = good_recording.cases()


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """verify.py as a module."""
    path = tmp_path_factory.mktemp("verifier") / "verify.py"
    path.write_bytes(verifier.script())
    spec = importlib.util.spec_from_file_location("verify_of_parts", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ours_of(report: Report) -> list[tuple[int | None, str]]:
    """(code, None where absent, and sentence) of what is said of the parts."""
    state = [(None if one.absent else one.exit_code, one.message) for one in report.findings if one.what == PARTS]
    return sorted(state, key=str)


def theirs_of(findings: list[Any]) -> list[tuple[int | None, str]]:
    return sorted(((code, said) for what, _where, code, said in findings if what == PARTS), key=str)


@pytest.mark.parametrize("name", CASES)
def test_vedette_and_script_say_which_parts_are_missing_or_doubled(name: str, loaded: Any, tmp_path: Path) -> None:
    """BU-32, BU-41, BU-42, BU-43, BU-44, BU-45, BU-47, BU-25: the same words, by both."""
    case = CASES[name]
    folder = case.lay(tmp_path / "case")
    report = bundle_folder.verify_folder(folder)
    code, findings = loaded.verify(folder, good_bundle.keys()[0].public.raw, good_bundle.ORIGIN)
    failed = [one.message for one in report.findings if not one.ok]
    assert (report.exit_code, code) == (case.exit_code, case.exit_code), failed
    assert ours_of(report) == theirs_of(findings)
    for said in case.says:
        assert any(said in one for one in failed), (said, failed)
        assert any(said in one for _what, _where, bad, one in findings if bad), (said, findings)
    for said in case.notes:
        assert any(said in one for _code, one in ours_of(report)), (said, ours_of(report))
    assert bool(failed) == bool(case.exit_code)


def test_a_bundle_by_itself_holds_and_says_which_parts_are_not_here(loaded: Any, tmp_path: Path) -> None:
    """BU-43, BU-46: and the same of one of which the centre said nothing."""
    path = good_recording.zipped(1, good_recording.word("hhlm"), tmp_path)
    report = bundle_verify.verify(path)
    code, findings = loaded.verify(path)
    assert (report.exit_code, code) == (0, 0)
    of = f"of recording {good_recording.RECORDING}"
    assert next(one.message for one in report.findings if one.what == "recording's part") == f"part 2 of 4 {of}"
    assert ours_of(report) == theirs_of(findings)
    assert [said.partition(" of ")[0] for _code, said in ours_of(report)] == ["part 1", "part 3", "part 4"]
    assert {code for code, _said in ours_of(report)} == {None}
    assert report.to_text().endswith("every check holds; that the recording is whole is not shown")

    silent = good_recording.zipped(2, None, tmp_path)
    said = next(one for one in bundle_verify.verify(silent).findings if one.what == "recording's part")
    assert (said.absent, said.message) == (True, f"part 3 {of}; which others left with it is not known")
    assert [said.message] == [one[3] for one in loaded.verify(silent)[1] if one[0] == "recording's part"]


def test_command_fails_when_one_zip_of_an_export_is_deleted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """BU-21, BU-44: and names the part with its times."""
    folder = CASES["whole"].lay(tmp_path / "case")
    assert main(["evidence", "verify", str(folder)]) == 0
    assert capsys.readouterr().out.endswith("every check holds\n")
    (folder / "0002.zip").unlink()
    assert main(["evidence", "verify", str(folder)]) == Integrity.exit_code
    assert f"part 2 of recording {good_recording.RECORDING} is not here {good_recording.times(2, 2)}" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize("count", [1, MAX_PARTS, MAX_PARTS + 1])
def test_the_centres_word_has_a_bounded_number_of_parts(count: int) -> None:
    """BU-42"""
    centre = good_bundle.keys()[0]
    parts = tuple(
        Part(item=f"01a2076b-4400-7f5c-8293-{at:012x}", sequence=at, state="here", from_us=(1 << 53) - 1, to_us=None)
        for at in range(count)
    )
    record = good_recording.word(parts=parts).sign(centre)
    for parse, key in ((open_parts, centre.public), (parts_of, centre.public.raw)):
        try:
            parse(record, key)  # type: ignore[operator]
        except (VedetteError, Bad):
            assert count > MAX_PARTS
        else:
            assert count <= MAX_PARTS


def test_numbers_far_apart_cost_no_time(loaded: Any, tmp_path: Path) -> None:
    """BU-45: a device may name any number; the hole is one sentence."""
    folder = tmp_path / "case"
    folder.mkdir()
    for at, sequence in ((0, 0), (1, (1 << 53) - 2)):
        bundle.make(folder / f"{at}.zip", good_recording.part(at, None, sequence=sequence))
    report = bundle_folder.verify_folder(folder)
    assert ours_of(report) == theirs_of(loaded.verify(folder)[1])
    assert any(f"parts 2 to {(1 << 53) - 2} of recording" in said for code, said in ours_of(report) if code)


GOOD = good_recording.word("hhlm").sign(good_bundle.keys()[0])
PIECES = [b"", b" ", b"0", b"null", b"1e9", b"-1", b"{}", b"[]", b'"here"', b"true", b"9007199254740992"]


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.integers(0, len(GOOD)), st.sampled_from((0, 1, 2, 8, 60)), st.sampled_from(PIECES))
def test_both_take_or_both_refuse_a_damaged_word(start: int, cut: int, piece: bytes) -> None:
    """BU-25, BU-42, BU-43: also where the centre has signed for the damage"""
    centre = good_bundle.keys()[0]
    data = GOOD[:start] + piece + GOOD[start + cut :]
    taken = []
    for parse, key in ((open_parts, centre.public), (parts_of, centre.public.raw)):
        try:
            parse(data, key)  # type: ignore[operator]
        except (VedetteError, Bad) as error:
            assert 0 < len(str(error)) < 2000
            taken.append(False)
        else:
            taken.append(True)
    assert taken == [data == GOOD] * 2


@pytest.mark.parametrize("name", ["device", "recording", "first", "ended", "parts", "more"])
@pytest.mark.parametrize("value", [None, -1, 5, "x", [], {}, [{}], "0" * 5000])
def test_both_refuse_a_word_whose_field_is_not_what_it_must_be(name: str, value: Any) -> None:
    """BU-42"""
    centre = good_bundle.keys()[0]
    body = {**open_record(RECORDING_PARTS, GOOD, keyring(centre.public)), name: value}
    data = sign_record(RECORDING_PARTS, body, centre)
    with pytest.raises(VedetteError):
        open_parts(data, centre.public)
    with pytest.raises(Bad):
        parts_of(data, centre.public.raw)


@pytest.mark.parametrize("count", [report_rows.MAX_RUNS, report_rows.MAX_RUNS + 1])
def test_report_lists_a_bounded_number_of_stretches(count: int) -> None:
    """BU-50"""
    states = "hl" * count
    parts = tuple(
        Part(item=good_recording.ITEMS[at] if at < 4 else f"01a2076b-4400-7f5c-8293-{at:012x}", sequence=at,
             state="here" if one == "h" else "held", from_us=None, to_us=None)
        for at, one in enumerate(states)
    )  # fmt: skip
    made = with_companions(good_recording.part(0, good_recording.word(parts=parts)), exported_by="amina")
    page = made.companions["report_html"]
    assert isinstance(page, bytes)
    assert page.decode().count("Parts left out of this export") == report_rows.MAX_RUNS
    assert ("Further stretches" in page.decode()) == (count > report_rows.MAX_RUNS)


def test_report_says_of_how_many_parts_only_what_is_known() -> None:
    """BU-50: in each language"""
    said = {
        None: ("part 1; of how many", "partie 1 ; leur nombre", "الجزء 1؛"),
        good_recording.word(): ("This export holds every part", "contient toutes les parties", "كل أجزاء التسجيل"),
        good_recording.word("hhlm"): ("THIS EXPORT IS NOT", "N’EST PAS L’ENREGISTREMENT", "ليس التسجيل كاملا"),
    }
    for word, sentences in said.items():
        page = with_companions(good_recording.part(0, word), exported_by="amina").companions["report_html"]
        assert isinstance(page, bytes)
        assert all(one in page.decode() for one in sentences), sentences
