"""The pre-event buffer: how much it keeps, and that what it keeps can be opened."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.camera.port import EncodedUnit
from edge.recorder.preevent import PreEventBuffer


def unit(second_tenths: int, *, is_key: bool, size: int = 10) -> EncodedUnit:
    at_us = second_tenths * 100_000
    return EncodedUnit(data=bytes(size), pts_us=at_us, is_key=is_key, utc_us=at_us, mono_us=at_us)


def stream(count: int, key_every: int = 10, size: int = 10) -> list[EncodedUnit]:
    return [unit(n, is_key=n % key_every == 0, size=size) for n in range(count)]


def filled(buffer: PreEventBuffer, units: list[EncodedUnit]) -> list[EncodedUnit]:
    for one in units:
        buffer.add(one)
    return taken(buffer)


def taken(buffer: PreEventBuffer) -> list[EncodedUnit]:
    return [unit for stretch in buffer.take() for unit in stretch.units]


def test_buffer_keeps_its_length_from_a_key_unit_when_more_came():
    kept = filled(PreEventBuffer(length_us=2_000_000), stream(100))
    assert kept[0].is_key
    assert kept[-1].pts_us - kept[0].pts_us >= 2_000_000
    assert kept[-1].pts_us - kept[0].pts_us < 3_000_000


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 20])
def test_buffer_keeps_everything_when_less_than_its_length_came(count: int):
    units = stream(count)
    assert filled(PreEventBuffer(length_us=60_000_000), units) == units


def test_buffer_keeps_nothing_when_its_length_is_zero():
    assert filled(PreEventBuffer(length_us=0), stream(30)) == []


def test_buffer_waits_for_a_key_unit_when_the_stream_begins_without():
    kept = filled(PreEventBuffer(length_us=60_000_000), stream(30)[5:])
    assert kept[0].pts_us == 1_000_000


@pytest.mark.parametrize(("limit", "kept"), [(200, 20), (199, 10), (100, 10), (99, 0)])
def test_buffer_drops_whole_groups_when_bytes_reach_the_limit(limit: int, kept: int):
    assert len(filled(PreEventBuffer(length_us=60_000_000, most_bytes=limit), stream(20))) == kept


def test_buffer_is_empty_when_it_was_taken():
    buffer = PreEventBuffer(length_us=60_000_000)
    filled(buffer, stream(20))
    assert (taken(buffer), buffer.size_bytes) == ([], 0)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 50)), max_size=80), st.integers(0, 3_000_000))
def test_buffer_stays_in_its_bounds_when_any_stream_comes(shape: list[tuple[bool, int]], length_us: int):
    buffer = PreEventBuffer(length_us=length_us, most_bytes=200)
    for n, (is_key, size) in enumerate(shape):
        buffer.add(unit(n, is_key=is_key, size=size))
        assert buffer.size_bytes <= 200
    kept = taken(buffer)
    assert all(one.is_key for one in kept[:1])
    assert [one.pts_us for one in kept] == sorted(one.pts_us for one in kept)
