"""What says how far a device had signed for its journal, damaged in a bundle: found and placed by both verifiers."""

from __future__ import annotations

import random

import pytest

from simulator import mutation_trial
from simulator.mutations import _BYTES, Mutant, mutate
from simulator.subjects import Subjects

SEEDS = 40


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> Subjects:
    return Subjects.make(tmp_path_factory.mktemp("subjects"))


def why_missed(subjects: Subjects, form: str, mutant: Mutant) -> list[str | None]:
    name = f"{subjects.item}.heads"
    with subjects.changed(form, {name: mutant.data}):
        reports = [mutation_trial._report(check, form) for check in (subjects.check_bundle, subjects.check_travelling)]
    return [mutation_trial.why_missed(one, name, mutant, subjects.good, has_key=False) for one in reports]


@pytest.mark.parametrize("form", ["folder", "relisted"])
def test_every_damage_to_heads_is_found_and_placed(subjects: Subjects, form: str) -> None:
    """BU-22, BU-35, BU-37: in a bundle that is listed anew over it too, where its own signatures alone tell."""
    name, rng = f"{subjects.item}.heads", random.Random(SEEDS)
    done = set()
    for _ in range(SEEDS):
        mutant = mutate(subjects.files[name], subjects.others(name), rng)
        done.add(mutant.how)
        assert why_missed(subjects, form, mutant) == [None, None], (mutant.how, mutant.first)
    assert len(done) > len(_BYTES) // 2


@pytest.mark.parametrize("whose", ["sibling", "another_day", "another_device"])
def test_genuine_heads_of_another_item_are_named(subjects: Subjects, whose: str) -> None:
    """BU-35, BU-37: they are signed by the same centre, and two of them by the same device."""
    name, sources = f"{subjects.item}.heads", subjects.sources
    others = {"sibling": sources.siblings[0], "another_day": sources.another_day}
    other = others.get(whose, sources.another_device)
    assert why_missed(subjects, "relisted", Mutant("replayed", other[name], 0)) == [None, None]
