"""Thousands of seeded damages to an item and a bundle: each is found and placed, none breaks the verifier."""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from simulator import forgeries, mutation_trial, mutations, redacted_alone, taken_parts
from simulator.film import play
from simulator.mutation_trial import why_missed, why_not_named
from simulator.subjects import Subjects
from vedette.age_stream import SEALED_CHUNK_BYTES
from vedette.cli import main
from vedette.evidence_item import Vouched, verify_item
from vedette.findings import PARTS, Finding, Report

COUNT = int(os.environ.get("VEDETTE_MUTANTS", "1500"))
MOST_GROWTH_BYTES = 64 << 20
WAYS = (
    len(mutations._BYTES)
    + len(mutations._LINES)
    + sum(len(one.WAYS) for one in (forgeries, taken_parts, redacted_alone))
)


def test_every_damage_is_found_and_placed_when_items_and_bundles_are_mutated() -> None:
    """BU-3, BU-16, BU-18, BU-22, BU-30, BU-31, BU-44, BU-52, CJ-19, RD-40: more by VEDETTE_MUTANTS, `make fuzz`."""
    tally = mutation_trial.run(seed=20261125, count=COUNT)
    assert [f"{one.form} {one.file} {one.how} at {one.first}: {one.why}" for one in tally.missed] == []
    assert tally.count == COUNT
    assert {form for form, _how in tally.tried} == set(mutation_trial.FORMS)
    assert len({how for _form, how in tally.tried}) == WAYS
    assert tally.grown_bytes < MOST_GROWTH_BYTES


@pytest.mark.parametrize("how", [*sorted(mutations._BYTES), *sorted(mutations._LINES)])
def test_damage_is_really_done_when_any_way_is_taken(how: str) -> None:
    """A way that never changes anything would prove nothing."""
    good, donor = (b"".join(b'{"line":%d}\n' % number for number in range(at, at + 40)) for at in (0, 100))
    ways = {**mutations._BYTES, **mutations._LINES}
    changed = [ways[how](good, [donor], random.Random(seed)) for seed in range(50)]
    assert sum(data != good for data in changed) >= 25
    assert all(
        good[: mutations.first_difference(good, data)] == data[: mutations.first_difference(good, data)]
        for data in changed
    )


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> Subjects:
    return Subjects.make(tmp_path_factory.mktemp("subjects"))


def failed(report: Report) -> list[Finding]:
    return [one for one in report.findings if not one.ok]


def test_specimen_is_a_recording_that_plays_and_its_siblings_are_of_the_same(subjects: Subjects) -> None:
    """What is damaged is what a recorder makes: H.264 that decodes, several chunks, several checkpoints."""
    for files in (subjects.files, *subjects.sources.siblings, subjects.sources.another_day):
        shown = play(files[f"{subjects.item}.mp4"])
        assert (shown.decoded, shown.end_us, shown.fault) == (50, 2_000_000, "")
    recordings = {
        json.loads(files[f"{subjects.item}.manifest"])["body"]["recording"]
        for files in (subjects.files, *subjects.sources.siblings)
    }
    assert len(recordings) == 1
    assert len(subjects.good.marks) >= 5
    assert len(subjects.good.sealed) > 4 * SEALED_CHUNK_BYTES


def test_run_fails_when_a_verifier_would_miss_a_damage(subjects: Subjects) -> None:
    """The trial itself can fail: a good report of a damaged file is a miss."""
    good = subjects.check_bundle("0.zip")
    assert good.ok
    mutant = mutations.Mutant("bit flipped", b"", 40_000)
    name = subjects.good.sealed_name
    assert why_missed(good, name, mutant, subjects.good, has_key=False) == "NOT CAUGHT"
    assert "CRASH" in str(why_missed(ValueError("x"), name, mutant, subjects.good, has_key=False))
    assert why_not_named(good, frozenset({name})) == "NOT CAUGHT"
    assert "CRASH" in str(why_not_named(ValueError("x"), frozenset({name})))


def test_forgery_is_missed_when_a_file_that_it_changed_is_not_named(subjects: Subjects) -> None:
    name = subjects.good.sealed_name
    with subjects.changed("item", {name: subjects.sources.siblings[0][name]}):
        report = subjects.check_item()
    assert why_not_named(report, frozenset({name})) is None
    assert "['journal.jsonl'] not named" in str(why_not_named(report, frozenset({name, "journal.jsonl"})))


@pytest.mark.parametrize("first", [13, 14, 25, 26])
def test_byte_behind_the_listings_sizes_is_named_when_the_listing_is_gone_with_them(
    subjects: Subjects, first: int
) -> None:
    """BU-16, BU-22: a run of 3,000 blanked from byte 14 on; what stood there only bundle.json tells, which was gone."""
    whole = subjects.whole
    data = whole[:first] + bytes(20_000) + whole[first + 20_000 :]
    (subjects.folder / "blanked.zip").write_bytes(data)
    mutant = mutations.Mutant("piece blanked", data, mutations.first_difference(whole, data))
    for check in bundle_checks(subjects):
        report = check("blanked.zip")
        assert why_missed(report, None, mutant, subjects.good, has_key=False) is None, report.to_text()
        far = mutations.Mutant("piece blanked", data, 5)
        assert "no byte" in str(why_missed(report, None, far, subjects.good, has_key=False))


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize("form", ["item", "folder", "relisted"])
@pytest.mark.parametrize("mark", range(4))
@pytest.mark.parametrize("place", ["first", "second", "middle", "last"])
def test_stretch_and_chunk_are_named_when_a_byte_of_the_sealed_file_is_flipped(
    subjects: Subjects, mark: int, place: str, form: str
) -> None:
    """CJ-21, BU-25: less than a second, by both verifiers; with a key the chunk of 64 KiB too (SF-20)."""
    good = subjects.good
    start, end = good.marks[mark : mark + 2]
    at = {"first": start, "second": start + 1, "middle": (start + end) // 2, "last": end - 1}[place]
    with subjects.changed(form, {good.sealed_name: flipped(good.sealed, at)}):
        reports = [subjects.check_item()] if form == "item" else [check(form) for check in bundle_checks(subjects)]
    for report in reports:
        said = next(one.message for one in failed(report) if one.what == "checkpoints")
        assert f"between byte {start} and byte {end} (" in said
        mutant = mutations.Mutant("bit flipped", b"x", at)
        assert why_missed(report, good.sealed_name, mutant, good, has_key=form == "item") is None


def bundle_checks(subjects: Subjects) -> list[Callable[[str], Report]]:
    return [subjects.check_bundle, subjects.check_travelling]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda lines: lines[1:], "its beginning is missing"),
        (lambda lines: lines[:-1], "its tail is missing"),
        (lambda lines: [*lines[:2], *lines[3:]], "line 3 (seq 11): its seq is 12"),
        (lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]], "line 3 (seq 11): its seq is 12"),
        (lambda lines: [*lines[:3], lines[2], *lines[3:]], "line 4 (seq 12): its seq is 11"),
        (lambda lines: [*lines[:4], lines[4][:-40]], "the last line is cut off (line 5; "),
        (lambda lines: [lines[0], flipped(lines[1], 60), *lines[2:4], lines[4][:-1]], "line 2 (seq 10)"),
    ],
)
@pytest.mark.parametrize("form", ["item", "relisted"])
def test_cut_and_reordered_journal_is_found_and_its_line_named(
    subjects: Subjects, change: Callable[[list[bytes]], list[bytes]], named: str, form: str
) -> None:
    """CJ-7, CJ-9, BU-12, BU-22, RE-18: a cut tail too, which leaves a whole chain."""
    lines = subjects.files["journal.jsonl"].splitlines(keepends=True)
    with subjects.changed(form, {"journal.jsonl": b"".join(change(lines))}):
        reports = [subjects.check_item()] if form == "item" else [check(form) for check in bundle_checks(subjects)]
    for report in reports:
        assert report.exit_code == 10
        assert any(named in one.message and one.where == "journal.jsonl" for one in failed(report))


@pytest.mark.parametrize(
    ("change", "is_longer"),
    [
        (lambda before, lines, after: [before[-1], *lines], True),
        (lambda before, lines, after: [*lines, after[0]], True),
        (lambda before, lines, after: [*before, *lines, *after], True),
        (lambda before, lines, after: [*lines, after[1]], False),
        (lambda before, lines, after: [before[0], *lines], False),
        (lambda before, lines, after: [*lines[:-1], after[0]], False),
        (lambda before, lines, after: [*lines, lines[0]], False),
        (lambda before, lines, after: [], False),
    ],
)
def test_more_of_the_same_chain_is_no_damage_and_every_other_line_is(
    subjects: Subjects, change: Callable[..., list[bytes]], is_longer: bool
) -> None:
    """BU-12: where the centre lists it anew. An hour of `make fuzz` put just the next line of the chain behind it."""
    before, lines, after = (
        one["journal.jsonl"].splitlines(keepends=True)
        for one in (subjects.sources.siblings[0], subjects.files, subjects.sources.siblings[1])
    )
    journal = b"".join(change(before, lines, after))
    with subjects.changed("relisted", {"journal.jsonl": journal}):
        reports = [check("relisted") for check in bundle_checks(subjects)]

    assert subjects.is_longer_stretch("journal.jsonl", journal) is is_longer
    assert not subjects.is_longer_stretch("keys.json", journal)
    for report in reports:
        is_said = any(one.absent and one.what != PARTS for one in report.findings)
        assert (not failed(report) and not is_said) is is_longer


def test_film_is_held_against_the_checkpoints_before_it_when_the_journals_last_line_is_cut(subjects: Subjects) -> None:
    """BU-22, CJ-9: that a line is cut hides neither the chain before it nor what is wrong with the file."""
    good = subjects.good
    torn = {"journal.jsonl": good.journal + good.journal[:50], good.sealed_name: flipped(good.sealed, 70_000)}
    with subjects.changed("relisted", torn):
        reports = [check("relisted") for check in bundle_checks(subjects)]
    with subjects.changed("item", torn):
        reports.append(subjects.check_item())
    for report in reports:
        said = {one.what: one.message for one in failed(report)}
        assert "the last line is cut off (line 6; 50 bytes of it are here)" in said["journal"]
        assert f"between byte {good.marks[1]} and byte {good.marks[2]} (" in said["checkpoints"]
        assert "custody chain" not in said


def test_manifest_of_another_item_is_named_when_it_was_put_in_place_of_this_one(subjects: Subjects) -> None:
    """RE-18: both are genuine."""
    name = f"{subjects.item}.manifest"
    with subjects.changed("item", {name: subjects.sources.siblings[0][name]}):
        report = subjects.check_item()
    assert any("put under another name" in one.message and one.where == name for one in report.findings)


def test_other_devices_key_is_shown_when_the_keys_beside_an_item_are_of_another(subjects: Subjects) -> None:
    """BU-9: two genuine parts that do not fit; who the key is of is said beside the manifest that it did not sign."""
    with subjects.changed("item", {"keys.json": subjects.sources.another_device["keys.json"]}):
        report = subjects.check_item()
    assert failed(report)[0].where == f"{subjects.item}.manifest"
    assert any("the centre vouches for car-2: ed25519:" in one.message for one in report.findings)


@pytest.mark.parametrize("form", ["item", "folder", "relisted"])
@pytest.mark.parametrize("way", forgeries.WAYS, ids=lambda way: way.__name__.strip("_"))
def test_files_are_named_when_several_are_exchanged_for_genuine_ones(
    subjects: Subjects, way: forgeries.Way, form: str
) -> None:
    """BU-10 to BU-13, CJ-7, CJ-22, RE-18: of a sibling, another day, another device; by both verifiers."""
    for seed in range(3):
        forged = way(subjects.sources, random.Random(seed))
        assert any(subjects.files[name] != data for name, data in forged.files.items())
        with subjects.changed(form, forged.files):
            reports = [subjects.check_item()] if form == "item" else [check(form) for check in bundle_checks(subjects)]
        assert [why_not_named(one, forged.named) for one in reports] == [None] * len(reports), forged.how


def test_both_items_are_named_when_film_and_manifest_of_two_siblings_changed_places(
    subjects: Subjects, tmp_path: Path
) -> None:
    """RE-18: each of the four files is genuine and has a genuine name."""
    maker, here = subjects.maker, subjects.item
    both = (subjects.files, subjects.sources.siblings[0])
    pairs = {json.loads(one[f"{here}.manifest"])["body"]["item"]: one for one in both}
    for (item, own), other in zip(pairs.items(), reversed(pairs.values()), strict=True):
        moved = {name: other[name] for name in (f"{here}.segment.age", f"{here}.manifest")}
        for name, data in {**own, **moved}.items():
            (tmp_path / name.replace(here, item)).write_bytes(data)
    for item in pairs:
        report = verify_item(tmp_path / f"{item}.segment.age", Vouched(trust=maker.trust, policy=maker.policy))
        said = [one.message for one in failed(report) if one.where == f"{item}.manifest"]
        assert any("put under another name" in one for one in said)


def test_command_says_what_it_tried_when_it_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "mutate", "--count", "20", "--seed", "3", "--keep", str(tmp_path / "missed")]) == 0
    said = capsys.readouterr().out
    assert "20 mutations in" in said
    assert "20 found and placed, 0 not" in said
    assert list((tmp_path / "missed").iterdir()) == []


@pytest.mark.parametrize(
    ("ending", "what"),
    [
        (".redacted.mp4", "redacted copy"), (".redaction", "redaction"), (".plan.toml", "redaction plan"),
        (".proof", "witnesses"), (".mp4", "opened file"), (".manifest", "manifest"),
    ],
)  # fmt: skip
def test_item_itself_names_the_damage_when_its_bundle_is_listed_anew_over_it(
    subjects: Subjects, ending: str, what: str
) -> None:
    """BU-30, BU-31, RD-38, RD-39: what no listing can cover up. The last byte of a proof is a cosignature's."""
    name = f"{subjects.item}{ending}"
    good = subjects.files[name]
    with subjects.changed("relisted", {name: good[:-3] + bytes([good[-3] ^ 1]) + good[-2:]}):
        report = subjects.check_bundle("relisted")
    assert [one.where for one in failed(report) if one.what == what] == [name]
    assert not [one for one in failed(report) if one.what in ("file", "container", "listing's signature")]


@pytest.mark.parametrize("way", redacted_alone.WAYS, ids=lambda way: way.__name__)
def test_changed_copy_without_its_original_is_named_by_both_verifiers(
    subjects: Subjects, way: redacted_alone.Way
) -> None:
    """BU-51, BU-52, RD-38, RD-40: a swapped copy, a changed record, an original that was added"""
    for seed in range(8):
        changed = way(subjects, random.Random(seed))
        with subjects.changed("redacted", changed.files, is_listed=changed.is_listed):
            for check in (subjects.check_bundle, subjects.check_travelling):
                assert why_not_named(check("redacted"), changed.named) is None, changed.how
    assert subjects.check_bundle("redacted").ok
