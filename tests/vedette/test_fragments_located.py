"""A change of an opened recording in a bundle is located to the fragment, by the device's word alone: what `vedette
evidence verify` and `verify.py` say, which is the same.
"""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import good_fragments
import pytest

from simulator.mutations import mutate
from vedette import bundle_verify
from vedette.errors import Refused
from vedette.findings import Report
from vedette.verifier import command

CASES = ["good", *(name for name in good_fragments.cases() if name != "good")]
WHAT = "opened fragments"
MUTANTS = 250


def ours(report: Report) -> list[tuple[str, str, int | None, str]]:
    """The findings as `verify.py` has them."""
    return [(one.what, one.where, None if one.absent else one.exit_code, one.message) for one in report.findings]


def about(findings: list[Any]) -> list[Any]:
    """What is said of fragments; of a key file that is none each verifier has words of its own."""
    return [one if one[0] == WHAT else one[:3] for one in findings if one[0] in (WHAT, "marks")]


@pytest.mark.parametrize("name", CASES)
def test_what_is_said_of_fragments_is_true_and_the_same_when_they_are(tmp_path: Path, name: str) -> None:
    """BU-54, BU-55, BU-56, BU-57, CJ-34, CJ-36, CJ-37: each way to change it, and each thing that may be missing."""
    parts, code, wanted = good_fragments.cases()[name]
    path = tmp_path / "b.zip"
    path.write_bytes(good_fragments.packed(parts, tmp_path))
    report = bundle_verify.verify(path)
    theirs_code, theirs = command.verify(path)
    assert (report.exit_code, theirs_code) == (code, code), report.to_text()
    assert any(wanted in one[3] or one[0] == wanted for one in ours(report)), report.to_text()
    assert about(theirs), "nothing is said of fragments"
    assert about(theirs) == about(ours(report))


def test_every_damage_is_located_when_it_is_drawn_at_random(tmp_path: Path) -> None:
    """BU-56: flips, cuts, swaps, insertions, splices; the fragment of the first byte that differs is named."""
    _maker, good, other, _cut = good_fragments.made()
    content, rng, missed = good_fragments.video(good), random.Random(11), []
    places = good_fragments.fragments(content)
    for number in range(MUTANTS):
        mutant = mutate(content, [good_fragments.video(other)], rng)
        path = tmp_path / f"{number}.zip"
        path.write_bytes(good_fragments.packed(good_fragments.opened(good, mutant.data), tmp_path))
        said = [one for one in ours(bundle_verify.verify(path)) if one[0] == WHAT]
        is_same = said == [one for one in command.verify(path)[1] if one[0] == WHAT]
        path.unlink()
        if not is_same or not names(said[0][3], mutant.first, len(content), places):
            missed.append((mutant.how, mutant.first, said))
    assert missed == []


def names(said: str, first: int, size: int, places: list[tuple[int, int]]) -> bool:
    """Whether the fragment that byte `first` is of, or the one that something stands behind, is named."""
    if first >= size:
        return f"bytes follow behind its end (byte {size})" in said or "a second time" in said
    wanted = next(at for at, (_begin, end) in enumerate(places, start=1) if first < end)
    named = [(int(one), int(other or one)) for one, other in re.findall(r"fragments? (\d+)(?: to (\d+))? of", said)]
    return any(one - 1 <= wanted <= other + 1 for one, other in named[:1])


def test_key_to_the_marks_does_not_leave_when_the_opened_file_does_not(tmp_path: Path) -> None:
    """BU-54: what a redacted copy covers could be guessed at with it."""
    _maker, good, _other, _cut = good_fragments.made()
    with pytest.raises(Refused, match="leaves only beside the opened file"):
        good_fragments.packed(good_fragments.opened(good, None), tmp_path)  # type: ignore[arg-type]
