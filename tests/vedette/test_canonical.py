"""Canonical JSON: one byte form, and everything else refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette import canonical
from vedette.errors import Integrity

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-canonical.MAX_INTEGER, canonical.MAX_INTEGER)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="ascii"), max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_canonical_returns_the_value_when_read_back(value: object) -> None:
    """RE-1."""
    assert canonical.loads(canonical.dumps(value)) == value


def test_canonical_orders_keys_and_leaves_text_unescaped() -> None:
    """RE-1."""
    assert canonical.dumps({"b": "أ", "a": [1, True, None]}) == '{"a":[1,true,null],"b":"أ"}'.encode()


@pytest.mark.parametrize("value", [1.5, {"a": float("nan")}, 1 << 53, -(1 << 53), {"é": 1}, b"x", {1: 2}, "\ud800"])
def test_canonical_refuses_to_write_when_the_value_has_no_form(value: object) -> None:
    """RE-1. RE-2."""
    with pytest.raises(Integrity):
        canonical.dumps(value)


@pytest.mark.parametrize(
    "data",
    [
        b'{"b":1,"a":2}',
        b'{"a": 1}',
        b'{"a":1}\n',
        b'{"a":1,"a":1}',
        b'{"a":1.0}',
        b'{"a":1e3}',
        b'{"a":NaN}',
        b'{"a":9007199254740992}',
        b'"\\u0041"',
        b'"\\/"',
        b"\xff",
        b"",
        b"[1,]",
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b"-0",
    ],
)
def test_canonical_refuses_bytes_when_they_are_not_the_one_form(data: bytes) -> None:
    """RE-2. RE-3."""
    with pytest.raises(Integrity):
        canonical.loads(data)


def test_canonical_accepts_nesting_at_the_limit_and_refuses_one_more() -> None:
    """RE-3."""
    deepest = b"[" * canonical.MAX_DEPTH + b"1" + b"]" * canonical.MAX_DEPTH
    assert canonical.dumps(canonical.loads(deepest)) == deepest
    with pytest.raises(Integrity, match="deeper"):
        canonical.loads(b"[" + deepest + b"]")


def test_canonical_accepts_a_size_at_the_limit_and_refuses_one_more() -> None:
    """RE-3."""
    at_limit = b'"' + b"x" * 98 + b'"'
    assert canonical.loads(at_limit, max_bytes=100) == "x" * 98
    with pytest.raises(Integrity, match="limit"):
        canonical.loads(at_limit, max_bytes=99)
