"""Thousands of seeded damages to an item and a bundle: each is found and placed, none breaks the verifier."""

import os
import random
from pathlib import Path

import pytest

from simulator import mutation_trial, mutations
from simulator.mutation_trial import Subjects
from vedette.cli import main

COUNT = int(os.environ.get("VEDETTE_MUTANTS", "1500"))
MOST_GROWTH_BYTES = 64 << 20


def test_every_damage_is_found_and_placed_when_items_and_bundles_are_mutated() -> None:
    """BU-3, BU-16, BU-18, BU-22, BU-30, BU-31, CJ-19, RD-40: more with VEDETTE_MUTANTS, an hour with `make fuzz`."""
    tally = mutation_trial.run(seed=20261125, count=COUNT)
    assert [f"{one.form} {one.file} {one.how} at {one.first}: {one.why}" for one in tally.missed] == []
    assert tally.count == COUNT
    assert {form for form, _how in tally.tried} == {"item", "folder", "relisted", "zip"}
    assert len({how for _form, how in tally.tried}) == 17
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
    return Subjects.make(tmp_path_factory.mktemp("subjects"), 150_000)


def test_run_fails_when_a_verifier_would_miss_a_damage(subjects: Subjects) -> None:
    """The trial itself can fail: a good report of a damaged file is a miss."""
    good = subjects.check_bundle("0.zip")
    assert good.ok
    mutant = mutations.Mutant("bit flipped", b"", 40_000)
    name = f"{subjects.item}.segment.age"
    assert mutation_trial._why_missed(good, name, mutant) == "NOT CAUGHT"
    assert "CRASH" in str(mutation_trial._why_missed(ValueError("x"), name, mutant))


@pytest.mark.parametrize(
    ("place", "stretch"), [(0, "byte 0 and byte 16000"), (40_000, "byte 32000 and byte 48000"), (-1, "byte 144000")]
)
def test_fragment_is_named_when_a_byte_of_the_sealed_file_is_flipped(
    subjects: Subjects, place: int, stretch: str
) -> None:
    """CJ-20: half a second of the recording."""
    path = subjects.folder / "item" / f"{subjects.item}.segment.age"
    good = path.read_bytes()
    at = place % len(good)
    path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
    report = subjects.check_item()
    path.write_bytes(good)
    assert any(stretch in one.message for one in report.findings if not one.ok)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda lines: lines[1:], "its beginning is missing"),
        (lambda lines: lines[:-1], "its tail is missing"),
        (lambda lines: [*lines[:3], *lines[4:]], "lines are missing, repeated or out of order"),
        (lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]], "lines are missing, repeated or out of order"),
        (lambda lines: [*lines[:3], lines[2], *lines[3:]], "lines are missing, repeated or out of order"),
    ],
)
def test_cut_and_reordered_journal_is_found_when_an_item_is_checked_with_it(
    subjects: Subjects, change: object, named: str
) -> None:
    """CJ-7, BU-12, RE-18: a cut tail too, which leaves a whole chain."""
    path = subjects.folder / "item" / "journal.jsonl"
    good = path.read_bytes()
    path.write_bytes(b"".join(change(good.splitlines(keepends=True))))  # type: ignore[operator]
    report = subjects.check_item()
    path.write_bytes(good)
    assert report.exit_code == 10
    assert any(named in one.message for one in report.findings if not one.ok)


def test_manifest_of_another_item_is_named_when_it_was_put_in_place_of_this_one(subjects: Subjects) -> None:
    """RE-18: both are genuine."""
    name = f"{subjects.item}.manifest"
    path = subjects.folder / "item" / name
    path.write_bytes(subjects.donor_files[name][0])
    report = subjects.check_item()
    path.write_bytes(subjects.files[name])
    assert any("put under another name" in one.message and one.where == name for one in report.findings)


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
    path, good = subjects.folder / "relisted" / name, subjects.files[name]
    data = good[:-3] + bytes([good[-3] ^ 1]) + good[-2:]
    path.write_bytes(data)
    subjects.list_anew(name, data)
    report = subjects.check_bundle("relisted")
    path.write_bytes(good)
    subjects.list_anew(name, good)
    assert [one.where for one in report.findings if not one.ok and one.what == what] == [name]
    assert not [
        one for one in report.findings if not one.ok and one.what in ("file", "container", "listing's signature")
    ]
