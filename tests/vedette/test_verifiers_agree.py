"""The parsers of `verify.py` beside those of Vedette on the same damaged input: both take it or both refuse it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vedette import log_policy, records, redaction
from vedette.errors import VedetteError
from vedette.verifier.records import Bad, manifest_of
from vedette.verifier.redactions import redaction_of
from vedette.verifier.witnesses import policy_of

VECTORS = Path(__file__).parents[1] / "vectors" / "bundle"
EXAMPLES = settings().max_examples if settings().max_examples > 100 else 150
with zipfile.ZipFile(io.BytesIO((VECTORS / "zip" / "redacted.zip").read_bytes())) as _archive:
    PARTS = {name.rpartition(".")[2]: _archive.read(name) for name in _archive.namelist()}

Parser = Callable[[bytes], object]
PAIRS: dict[str, tuple[bytes, Parser, Parser]] = {
    "policy": (
        (VECTORS / "policy.txt").read_bytes(),
        lambda data: log_policy.parse_policy(data.decode("utf-8", "replace")),
        lambda data: policy_of(data.decode("utf-8", "replace")),
    ),
    "redaction": (
        PARTS["redaction"],
        lambda data: redaction.open_redaction(data, None),
        lambda data: redaction_of(data, None),
    ),
    "manifest": (PARTS["manifest"], records.peek_manifest, lambda data: manifest_of(data, None, True)),
}
PIECES = [b"\n", b" ", b"\t", b"+", b"quorum none\n", b"group g any w1\n", b"group most 1 w1\n", b"w1", b"#", b"null"]
PIECES += [b"0", b"-1", b"1e9", b"9" * 17, b'"', b"{}", b"[]", b"all", b"any", b"log ", b"witness "]


def taken(parse: Parser, data: bytes) -> bool:
    try:
        parse(data)
    except (VedetteError, Bad) as error:
        assert 0 < len(str(error)) < 2000
        return False
    return True


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    """A piece cut out, put in, or exchanged; once or twice."""
    data = good
    for _ in range(draw(st.integers(1, 2))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from((0, 0, 1, 2, 8, 60))))
        data = data[:start] + draw(st.sampled_from([b"", *PIECES])) + data[end:]
    return data


@pytest.mark.parametrize("name", PAIRS)
def test_both_take_or_both_refuse_what_is_damaged(name: str) -> None:
    """BU-25, TL-23, RD-26, RE-17."""
    good, ours, theirs = PAIRS[name]
    assert taken(ours, good) and taken(theirs, good)

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(damaged(good))
    def trial(data: bytes) -> None:
        assert taken(ours, data) == taken(theirs, data), data

    trial()


LINES = (VECTORS / "policy.txt").read_text().splitlines()
WORDS = ["log", "witness", "group", "quorum", "w1", "w2", "g", "h", "none", "any", "all", "0", "1", "2", "3", "01"]
KEYS = [line.split(" ")[1 if line.startswith("log") else 2] for line in LINES[:4]]


@settings(max_examples=4 * EXAMPLES, deadline=None)
@given(st.lists(st.lists(st.sampled_from(WORDS + KEYS), max_size=5), max_size=5), st.permutations(LINES))
def test_both_take_or_both_refuse_lines_of_words(lines: list[list[str]], good: list[str]) -> None:
    """TL-23, BU-25: lines of a policy's own words in any order, before and among good ones."""
    for text in ("\n".join([*(" ".join(one) for one in lines), *good]), "\n".join([*good[:4], *map(" ".join, lines)])):
        assert taken(PAIRS["policy"][1], text.encode()) == taken(PAIRS["policy"][2], text.encode()), text
