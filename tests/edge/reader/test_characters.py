"""The vote character by character: how it ranks what was read, and that it makes nothing up."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.reader.characters import MAX_COMPARED, aligned, by_character, likeness, ranked

TEXTS = st.text(alphabet="123|أب", min_size=1, max_size=9)
VOTES = st.dictionaries(TEXTS, st.integers(1, 200_000), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("text", "other", "expected"),
    [
        ("12345", "12845", "12845"),
        ("12345", "1234", "1234."),
        ("12345", "2345", ".2345"),
        ("12345", "123345", "12345"),
        ("1234", "", "...."),
        ("11|أ|6", "1|أ|6", ".1|أ|6"),
    ],
)
def test_characters_stand_where_the_fewest_changes_put_them(text: str, other: str, expected: str) -> None:
    """HT-38."""
    assert "".join(one or "." for one in aligned(text, other)) == expected


def test_likeness_is_the_share_of_places_that_are_the_same() -> None:
    """HT-38."""
    assert (likeness("12345", "12345"), likeness("12345", "12346"), likeness("1234", "12345")) == (1.0, 0.8, 0.8)
    assert likeness("12", "34") == 0.0


def test_text_comes_first_when_its_characters_have_the_most_weight() -> None:
    """HT-38: the example of the specification."""
    assert ranked({"12345": 200, "12346": 150, "12846": 140}) == ["12346", "12345", "12846"]


def test_heavier_text_comes_first_when_there_are_two() -> None:
    """HT-38."""
    assert ranked({"12346": 1, "12345": 2}) == ["12345", "12346"]
    assert ranked({"12345": 1}) == ["12345"]


def test_only_the_heaviest_texts_are_compared_when_there_are_many() -> None:
    """HT-38."""
    weights = {f"{number}": number for number in range(1, 40)}
    assert sorted(map(int, ranked(weights))) == list(range(40 - MAX_COMPARED, 40))


def test_each_character_carries_the_share_that_agrees_and_what_the_others_had() -> None:
    """HT-39."""
    votes = by_character("1234", {"1234": 600, "1284": 300, "124": 100})
    assert [one.character for one in votes] == list("1234")
    assert [one.agree_permille for one in votes] == [1000, 1000, 600, 1000]
    assert votes[2].others == (("8", 300), ("", 100))


@given(VOTES)
def test_no_text_comes_out_that_did_not_go_in(weights: dict[str, int]) -> None:
    """HT-39."""
    assert set(ranked(weights)) <= set(weights)
    for text in weights:
        votes = by_character(text, weights)
        assert "".join(one.character for one in votes) == text
        assert all(0 <= one.agree_permille <= 1000 for one in votes)


@given(TEXTS, TEXTS)
def test_alignment_is_made_of_the_other_text_in_its_order(text: str, other: str) -> None:
    """HT-38."""
    found = aligned(text, other)
    assert len(found) == len(text)
    rest = iter(other)
    assert all(character in rest for character in found if character)


def test_likeness_is_the_same_in_both_directions() -> None:
    """HT-38."""
    texts = ["12345", "1234", "2345", "12", "777", "1|أ|6"]
    assert all(likeness(a, b) == pytest.approx(likeness(b, a)) for a, b in product(texts, texts))
