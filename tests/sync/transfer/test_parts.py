"""Sets of parts, kept as ranges."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.parts import PartSet


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=30))
def test_part_set_agrees_with_a_plain_set(pairs: list[tuple[int, int]]) -> None:
    """WI-7."""
    parts, plain = PartSet(61), set()
    for one, other in pairs:
        parts.add(min(one, other), max(one, other))
        plain |= set(range(min(one, other), max(one, other) + 1))
    assert [index for index in range(61) if index in parts] == sorted(plain)
    assert list(parts.missing()) == sorted(set(range(61)) - plain)
    for start in range(63):
        assert list(parts.missing(start)) == sorted(set(range(start, 61)) - plain)
    assert parts.count == len(plain) and parts.complete == (len(plain) == 61)
    assert PartSet(61, parts.ranges).ranges == parts.ranges
    assert all(after[0] > before[1] + 1 for before, after in zip(parts.ranges, parts.ranges[1:], strict=False))


@pytest.mark.parametrize(("first", "last"), [(-1, 0), (0, 5), (5, 5), (3, 2)])
def test_part_set_refuses_parts_outside_the_item(first: int, last: int) -> None:
    """WI-7."""
    with pytest.raises(ValueError, match="not within"):
        PartSet(5).add(first, last)
