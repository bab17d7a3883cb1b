"""Bundles taken out of an exported recording, or put in twice: both verifiers name the part, and the trial can fail."""

import random
from pathlib import Path

import pytest

from simulator import taken_parts
from simulator.subjects import Subjects
from simulator.taken_parts import why_not_told


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> Subjects:
    return Subjects.make(tmp_path_factory.mktemp("subjects"))


@pytest.mark.parametrize("way", taken_parts.WAYS, ids=lambda way: way.__name__.strip("_"))
def test_parts_are_named_when_bundles_of_a_recording_are_taken_out_or_doubled(
    subjects: Subjects, way: taken_parts.Way
) -> None:
    """BU-32, BU-44: of a recording that the product's recorder made"""
    exported = subjects.exported
    for seed in range(4):
        taken = way(exported, random.Random(seed))
        subjects.lay_recording(taken.files)
        for check in (subjects.check_bundle, subjects.check_travelling):
            assert why_not_told(check("recording"), taken, exported.recording) is None, taken.how


def test_trial_misses_a_way_that_no_verifier_names(subjects: Subjects, tmp_path: Path) -> None:
    """A good report is a miss, and so is one that names another part."""
    exported = subjects.exported
    left_out = taken_parts.WAYS[0](exported, random.Random(0))
    subjects.lay_recording(exported.good)
    good = subjects.check_bundle("recording")
    assert good.ok, good.to_text()
    assert why_not_told(good, left_out, exported.recording) == "NOT CAUGHT"
    assert "CRASH" in str(why_not_told(ValueError("x"), left_out, exported.recording))
    subjects.lay_recording(left_out.files)
    (gone,) = left_out.missing
    other = taken_parts.Taken("bundle left out", left_out.files, missing=frozenset({(gone + 1) % 3}))
    assert "not said" in str(why_not_told(subjects.check_bundle("recording"), other, exported.recording))
