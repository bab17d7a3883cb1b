"""How far a device had signed for the journal in a bundle: the vectors, by both verifiers in Python (the page's are
in tests/web).
"""

from __future__ import annotations

import base64
import dataclasses
import json
from pathlib import Path
from typing import Any

import good_bundle
import good_heads
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette import bundle, bundle_companions, bundle_verify, records, report
from vedette.bundle_companions import with_companions
from vedette.bundle_heads import HELD_HEADS, Known, check_heads, open_held, shortfall, signed_heads
from vedette.custody_entry import parse_line
from vedette.custody_heads import HEADS
from vedette.errors import Integrity
from vedette.findings import Checks
from vedette.records import sign_record
from vedette.report_html import _article
from vedette.report_words import LANGUAGES
from vedette.trust import load_trust
from vedette.verifier import command, heads
from vedette.verifier.records import Bad, listing_of

VECTORS = Path(__file__).parents[1] / "vectors" / "bundle" / "heads"
CASES = json.loads((VECTORS / "cases.json").read_text())
TRUST = load_trust(VECTORS / "trust.json")
MADE = good_heads.cases()
Found = list[tuple[str, str, int | None, str]]


def by_vedette(path: Path) -> tuple[int, Found]:
    found = bundle_verify.verify(path, TRUST)
    return found.exit_code, [
        (one.what, one.where, None if one.absent else one.exit_code, one.message) for one in found.findings
    ]


def by_script(path: Path) -> tuple[int, Found]:
    return command.verify(path, TRUST.centre.raw, TRUST.log_origin)


@pytest.mark.parametrize("verify", [by_vedette, by_script])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_heads_are_judged_as_the_vector_says(case: dict[str, Any], verify: Any) -> None:
    """BU-25, BU-34 to BU-40, CJ-26."""
    code, found = verify(VECTORS / "zip" / f"{case['name']}.zip")
    failed = "\n".join(f"{what} | {where} | {said}" for what, where, bad, said in found if bad)
    others = "\n".join(f"{what} | {where} | {said}" for what, where, bad, said in found if not bad)
    assert (code, case["names"] in failed, case["says"] in others) == (case["exit_code"], True, True), (failed, others)
    if code:
        assert {(what, where) for what, where, bad, _said in found if bad} == {
            ("signed heads", f"{good_bundle.ITEM}.heads")
        }
    else:
        assert failed == ""


def test_both_say_the_same_of_heads_in_the_same_words() -> None:
    """BU-25."""
    for case in CASES:
        path = VECTORS / "zip" / f"{case['name']}.zip"
        mine, theirs = (
            [one for one in verify(path)[1] if one[0] in ("signed heads", "signed lines", "journal at the centre")]
            for verify in (by_vedette, by_script)
        )
        assert [one[:3] for one in mine] == [one[:3] for one in theirs], case["name"]
        if not case["exit_code"]:
            assert mine == theirs


def test_vectors_are_judged_alike_when_they_are_made_anew(tmp_path: Path) -> None:
    """BU-8, BU-25: what lies beside this test is what its maker makes today, but for the keys."""
    made = MADE
    assert [one["name"] for one in CASES] == list(made)
    trust = dataclasses.replace(TRUST, centre=good_bundle.keys()[0].public)
    for name, (parts, code, named, _said) in made.items():
        path = bundle.make(tmp_path / f"{name}.zip", parts)
        found = bundle_verify.verify(path, trust)
        failed = [f"{one.where}: {one.message}" for one in found.findings if not one.ok]
        assert found.exit_code == command.verify(path, trust.centre.raw)[0] == code, name
        assert named in "\n".join(failed), name


PLACES = (
    ("item",), ("device",), ("service",), ("held",), ("held", "seq"), ("held", "head"), ("problem",), ("records",),
    ("records", 0), ("records", 0, "record"),
)  # fmt: skip
OWN_PLACES = (
    ("device",), ("told_us",), ("time",), ("time", "source"), ("time", "error_us"), ("heads",), ("heads", 0),
    ("heads", 0, "service"), ("heads", 0, "boot"), ("heads", 0, "seq"), ("heads", 0, "head"),
)  # fmt: skip
NASTY: tuple[Any, ...] = (
    None, True, False, 0, -1, 4, 5, 9, (1 << 53) - 1, "", "x", "recorder", "é" * 33, "x" * 513, "ab" * 32, [], {},
    [{}], {"seq": 9, "head": "ab" * 32}, good_heads.AGAIN, "car-2", "QUJD", "QUJ", [[]] * 17,
)  # fmt: skip


@given(st.booleans(), st.integers(0, 10), st.sampled_from(NASTY), st.sampled_from(("put", "drop", "add")))
def test_both_take_or_both_refuse_what_is_changed_and_signed_again(is_own: bool, at: int, value: Any, how: str) -> None:
    """BU-25, BU-35, BU-36, CJ-26: in the device's records and in the centre's."""
    centre, device, _identity = good_bundle.keys()
    made = MADE["more"][0]
    record = json.loads(made.heads or b"")
    own = json.loads(base64.b64decode(record["body"]["records"][0]["record"]))
    places = OWN_PLACES if is_own else PLACES
    *way, name = places[at % len(places)]
    place = own["body"] if is_own else record["body"]
    for step in way:
        place = place[step]
    if how == "drop":
        del place[name]
    else:
        place[name if how == "put" or isinstance(place, list) else "more"] = value
    if is_own:
        told = sign_record(HEADS, own["body"], device)
        record["body"]["records"] = [{"record": base64.b64encode(told).decode()}]
    content = sign_record(HELD_HEADS, record["body"], centre)
    manifest, entries = records.peek_manifest(made.manifest), [parse_line(line) for line in made.journal]
    checks = Checks()
    known = Known(manifest=manifest, entries=entries, centre=centre.public, device=device.public)
    check_heads("h", content, known, checks)
    mine = [(one.exit_code, one.absent) for one in checks.report().findings]
    lines = [(json.loads(line), line) for line in made.journal]
    try:
        (is_short, _said), _to, problem, _owed = heads.check_heads(
            content, json.loads(made.manifest)["body"], lines, (centre.public.raw, device.public.raw)
        )
        theirs = [(0, False), (0, is_short), *([(0, True)] if problem is not None else [])]
    except Bad as error:
        theirs = [(error.code, False)]
    assert mine == theirs, content


@pytest.mark.parametrize(
    ("to", "here_to", "not_here", "not_come"),
    [(9, 4, (5, 9), (0, 0)), (6, 4, (5, 9), (7, 9)), (None, None, (1, 9), (1, 9)), (9, 9, (0, 0), (0, 0)),
     (4, 4, (5, 9), (5, 9)), (8, 8, (9, 9), (9, 9))],
)  # fmt: skip
def test_missing_lines_are_counted_from_what_is_here_and_what_the_centre_has(
    to: int | None, here_to: int | None, not_here: tuple[int, int], not_come: tuple[int, int]
) -> None:
    """BU-38, BU-39: numbers are those of the lines."""
    centre, device, _identity = good_bundle.keys()
    held = open_held(good_heads.held(good_heads.told(good_heads.head(9)), to=to).sign(centre), centre.public)
    found = shortfall(held, signed_heads(held, device.public), here_to)
    ends = [(lines.start, lines.stop - 1) if lines else (0, 0) for lines in (found.not_here, found.not_come)]
    assert ends == [not_here, not_come]


def test_lines_of_a_journal_that_does_not_hold_are_not_taken_for_lines_that_are_here(tmp_path: Path) -> None:
    """BU-22, BU-37: the chain's own finding names the line; the heads are checked as if none were here."""
    made = MADE["more"][0]
    lines = list(made.journal)
    lines[1] = lines[1].replace(b'"utc_us":1', b'"utc_us":2')
    path = bundle.make(tmp_path / "b.zip", dataclasses.replace(made, journal=lines))
    trust = dataclasses.replace(TRUST, centre=good_bundle.keys()[0].public)
    for found in (
        [(one.what, one.ok, one.message) for one in bundle_verify.verify(path, trust).findings],
        [(what, not bad, said) for what, _w, bad, said in command.verify(path, trust.centre.raw)[1]],
    ):
        said = {what: (ok, message) for what, ok, message in found}
        assert said["custody chain"][0] is False
        assert said["signed heads"][0] is True
        assert "no line of it that holds is here" in said["signed lines"][1]


WORDS = {
    "none": ("aucun état signé", "no signed statement", "أي بيان موقّع"),
    "reached": ("toutes les lignes", "every line that the device", "كل الأسطر"),
    "more": ("déclare détenir", "declares that it holds them", "يحتفظ بها"),
    "not-come": ("plus court que", "shorter than", "أقصر مما"),
}


@pytest.mark.parametrize("name", WORDS)
def test_report_says_in_each_language_how_far_the_device_had_signed(name: str) -> None:
    """BU-23, BU-40: in the page and in the PDF alike, which are made from the same sections."""
    made = MADE[name][0]
    facts = bundle_companions._facts(made, "amina", {"listing": "bundle.json"})
    for said in report.reports(facts):
        text = _article(said)
        there = [name for name in WORDS if WORDS[name][LANGUAGES.index(said.language)] in text.lower()]
        assert there == [name], (said.language, text)
        assert ("5 – 9 (5)" in text) is (name in ("more", "not-come"))
        assert ("7 – 9 (3)" in text) is (name == "not-come")


def test_report_shows_what_the_centre_found_wrong_with_the_journal() -> None:
    """BU-40."""
    facts = bundle_companions._facts(MADE["with-a-problem"][0], "amina", {})
    assert all(good_heads.PROBLEM in _article(one) for one in report.reports(facts))


def test_readme_and_report_name_the_file_when_there_is_one(tmp_path: Path) -> None:
    """BU-1, BU-23, BU-34."""
    for name, there in (("more", True), ("none", False)):
        made = with_companions(MADE[name][0], exported_by="amina")
        folder = bundle.make(tmp_path / name, made)
        file = f"{good_bundle.ITEM}.heads"
        assert (file in (folder / "README.txt").read_text()) is there
        assert (file in (folder / "report.html").read_text()) is there
        assert (folder / file).exists() is there
        assert bundle_verify.verify(folder).ok


@pytest.mark.parametrize("count", [32, 33])
def test_listing_has_so_many_files_at_most(count: int) -> None:
    """BU-3: 32, and not one more, by both."""
    one = {"size": 1, "sha256": "ab" * 32, "crc32": 1}
    body = {
        "item": good_bundle.ITEM, "kind": "segment", "device": "car-1", "made_us": 1, "note": "",
        "files": [{"name": f"f{number}", **one} for number in range(count)],
    }  # fmt: skip
    record = sign_record(bundle.BUNDLE, body, good_bundle.keys()[0])
    if count == bundle.MAX_FILES:
        assert len(bundle.Listing.peek(record).files) == len(listing_of(record)["files"]) == count
        return
    with pytest.raises(Integrity):
        bundle.Listing.peek(record)
    with pytest.raises(Bad):
        listing_of(record)
