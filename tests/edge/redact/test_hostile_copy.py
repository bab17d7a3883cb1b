"""A damaged copy or parent, held against the other: findings or our own errors, whatever the bytes are."""

from __future__ import annotations

import io
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.redact.plan import Part, Plan
from edge.redact.tracks import compare_sound, compare_stamp
from vedette.errors import VedetteError

EXAMPLES = settings().max_examples if settings().max_examples > 100 else 40
PLAN = Plan(
    parts=(Part(parent_sha256="ab" * 32, frames=75, end_us=3_000_000),),
    width=640,
    height=360,
    checked_by="A. Tazi",
    why="disclosure",
    stamp="without_position",
    sound="keep",
    models={},
    regions=(),
    mutes=(),
)


def test_tracks_are_refused_with_our_own_error_when_the_file_is_damaged(clip: Path) -> None:
    """RD-35, RD-36: the boxes at both ends are damaged more often than the pictures between them."""
    good = clip.read_bytes()
    assert compare_sound(io.BytesIO(good), io.BytesIO(good), PLAN, None).same > 0

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.data())
    def trial(data: st.DataObject) -> None:
        size = len(good)
        where = st.one_of(st.integers(0, 200), st.integers(size - 6000, size), st.integers(0, size))
        broken = good
        for _ in range(data.draw(st.integers(1, 4))):
            start = data.draw(where)
            end = min(size, start + data.draw(st.integers(0, 40)))
            broken = broken[:start] + data.draw(st.binary(max_size=40)) + broken[end:]
        is_parent = data.draw(st.booleans())
        parent, copy = (broken, good) if is_parent else (good, broken)
        for compare in (compare_sound, compare_stamp):
            try:
                compare(io.BytesIO(parent), io.BytesIO(copy), PLAN, None)
            except VedetteError as error:
                assert 0 < len(str(error)) < 2000

    trial()
