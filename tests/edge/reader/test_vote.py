"""Consensus: several looks agree on exactly one text, or there is no read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.camera.port import SmallFrame
from edge.reader.detect import Detection
from edge.reader.look import Look
from edge.reader.ocr import Alternative, PlateText
from edge.reader.vote import MAX_ALTERNATIVES, MAX_TEXTS, Ballot, Rules
from vedette.plates import to_ascii

RULES = Rules(min_looks=2, confidence_permille=600)
PLATE, OTHER = "12345|أ|6", "12346|أ|6"


def frame(index: int = 0) -> SmallFrame:
    picture = np.zeros((12, 16), np.uint8)
    return SmallFrame(i420=picture, index=index, utc_us=1000 + index, mono_us=index, media_us=index)


def look(text: str | None, confidence: int = 900, *, width: int = 100, others: tuple[Alternative, ...] = ()) -> Look:
    corners = ((0.0, 0.0), (float(width), 0.0), (float(width), 25.0), (0.0, 25.0))
    plate = text and PlateText(
        text=text, text_ascii=to_ascii(text), region="MA", confidence_permille=confidence, alternatives=others
    )
    return Look(detection=Detection(corners_px=corners, confidence_permille=900), plate=plate or None)


def ballot(*looks: Look, rules: Rules = RULES) -> Ballot:
    votes = Ballot(rules)
    for index, one in enumerate(looks):
        votes.add(one, frame(index))
    return votes


def read(*looks: Look, rules: Rules = RULES) -> str | None:
    found = ballot(*looks, rules=rules).consensus()
    return found and found.text


@pytest.mark.parametrize(("looks", "expected"), [(1, None), (2, PLATE), (3, PLATE)])
def test_read_needs_two_looks_when_two_is_the_rule(looks: int, expected: str | None) -> None:
    """HT-20."""
    assert read(*[look(PLATE, 1000)] * looks) == expected


@pytest.mark.parametrize(("looks", "expected"), [(3, None), (4, PLATE)])
def test_read_needs_more_looks_when_the_rule_says_so(looks: int, expected: str | None) -> None:
    """HT-20."""
    assert read(*[look(PLATE)] * looks, rules=Rules(min_looks=4, confidence_permille=600)) == expected


@pytest.mark.parametrize(("confidence", "expected"), [(599, None), (600, PLATE)])
def test_look_does_not_vote_when_it_is_below_the_confidence(confidence: int, expected: str | None) -> None:
    """HT-20."""
    assert read(*[look(PLATE, confidence)] * 2) == expected


def test_look_does_not_vote_when_no_text_was_read() -> None:
    """HT-20, HT-24."""
    votes = ballot(look(None), look(None))
    assert (votes.consensus(), votes.voted) == (None, False)


def test_there_is_no_read_when_the_looks_all_differ() -> None:
    """HT-20, HT-22."""
    votes = ballot(look(PLATE), look(OTHER), look("12347|أ|6"))
    assert (votes.consensus(), votes.voted) == (None, True)


def test_heaviest_text_is_read_when_looks_disagree() -> None:
    """HT-21."""
    assert read(look(PLATE), look(OTHER), look(PLATE)) == PLATE
    assert read(look(PLATE, 700), look(OTHER, 990), look(PLATE, 700), look(OTHER, 990)) == OTHER
    assert read(look(PLATE, width=40), look(OTHER, width=120), look(PLATE, width=40), look(OTHER, width=120)) == OTHER


def test_there_is_no_read_when_two_texts_weigh_the_same() -> None:
    """HT-21."""
    assert read(look(PLATE), look(OTHER), look(PLATE), look(OTHER)) is None


def test_width_counts_only_up_to_its_limit() -> None:
    """HT-21."""
    assert read(look(PLATE, width=160), look(OTHER, width=900), look(PLATE, width=160), look(OTHER, width=900)) is None


def test_consensus_names_looks_times_and_alternatives() -> None:
    """HT-3, HT-22."""
    seen = Alternative(text="12345|ب|6", region="MA", confidence_permille=30)
    found = ballot(look(PLATE, 800), look(OTHER, 700), look(PLATE, 900, others=(seen,))).consensus()
    assert found is not None
    assert (found.looks, found.first_seen_us, found.last_seen_us) == (2, 1000, 1002)
    assert (found.text_ascii, found.region) == ("12345A6", "MA")
    assert [one.text for one in found.alternatives] == [OTHER, "12345|ب|6"]
    assert found.alternatives[0].confidence_permille == 1000 * 70_001 // 240_003
    assert found.confidence_permille < 800


def test_consensus_holds_the_picture_of_the_best_look_at_its_text() -> None:
    """HT-5."""
    found = ballot(look(OTHER, 990), look(PLATE, 700), look(PLATE, 950), look(PLATE, 800)).consensus()
    assert found is not None
    assert (found.text, found.frame.index) == (PLATE, 2)
    assert found.best.plate is not None and found.best.plate.confidence_permille == 950


def test_vote_begins_anew_when_another_plate_takes_the_place_of_the_first() -> None:
    """HT-23."""
    first = [look(PLATE)] * 50
    assert read(*first, look(OTHER), look(OTHER)) == PLATE
    found = ballot(*first, look(OTHER), look(OTHER), look(OTHER)).consensus()
    assert found is not None
    assert (found.text, found.looks, found.first_seen_us, found.alternatives) == (OTHER, 3, 1050, ())


def test_vote_stays_when_the_other_looks_are_not_in_a_row() -> None:
    """HT-23."""
    assert read(*[look(PLATE)] * 9, *[look(OTHER), look(PLATE)] * 4) == PLATE


def test_ballot_is_bounded_when_every_look_says_something_else() -> None:
    """HT-20."""
    others = [look(f"{number}{number}|ب|1", 600, width=20) for number in range(1, 3 * MAX_TEXTS)]
    votes = ballot(*[look(PLATE)] * 6, *others)
    found = votes.consensus()
    assert found is not None
    assert (found.text, len(found.alternatives)) == (PLATE, MAX_ALTERNATIVES)
    assert len(votes._tallies) == MAX_TEXTS


def test_there_is_no_read_when_another_text_has_more_weight_behind_its_characters() -> None:
    """HT-38, HT-39: the heaviest text has its two looks, but most weight has another last digit."""
    looks = [look("12345", 600, width=100), look("12345", 600, width=100)]
    looks += [look("12346", 900, width=100), look("12846", 840, width=100)]
    votes = ballot(*looks)
    assert votes.leader == "12345"
    assert votes.consensus() is None
    votes.add(look("12345", 900), frame(9))
    assert votes.consensus() is not None


def test_text_is_read_only_when_enough_looks_say_exactly_it_though_it_comes_first_by_characters() -> None:
    """HT-20, HT-38."""
    looks = [look("12345", 600), look("12345", 600), look("12346", 900), look("12846", 840)]
    assert read(*looks, look("12346", 700)) == "12346"


def test_consensus_tells_of_each_character_how_much_weight_agrees() -> None:
    """HT-39."""
    found = ballot(look("12345", 900), look("12345", 900), look("12845", 600)).consensus()
    assert found is not None
    assert [one.character for one in found.characters] == list("12345")
    weights = [2 * (1 + 900 * 100), 1 + 600 * 100]
    assert [one.agree_permille for one in found.characters] == [
        1000,
        1000,
        1000 * weights[0] // sum(weights),
        1000,
        1000,
    ]
    assert found.characters[2].others == (("8", 1000 * weights[1] // sum(weights)),)


@given(st.lists(st.tuples(st.text(alphabet="123", min_size=3, max_size=6), st.integers(600, 1000)), max_size=25))
def test_a_read_is_always_a_text_that_enough_looks_said(looks: list[tuple[str, int]]) -> None:
    """HT-20, HT-22, HT-39."""
    found = ballot(*[look(text, confidence) for text, confidence in looks]).consensus()
    said = [text for text, _ in looks]
    assert found is None or said.count(found.text) >= found.looks >= RULES.min_looks
