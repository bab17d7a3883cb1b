"""What a key unit is, and that it carries its parameter sets."""

import pytest

from edge.camera.annexb import ParameterSets, nal_type, nal_units

SPS, PPS, IDR, SLICE = b"\x67sps", b"\x68pps", b"\x65idr", b"\x41p"


def unit(*nals: bytes, start: bytes = b"\x00\x00\x00\x01") -> bytes:
    return b"".join(start + nal for nal in nals)


@pytest.mark.parametrize("start", [b"\x00\x00\x01", b"\x00\x00\x00\x01"])
def test_nal_units_are_found_when_start_codes_are_short_or_long(start: bytes):
    assert nal_units(unit(SPS, PPS, IDR, start=start)) == [SPS, PPS, IDR]


@pytest.mark.parametrize("data", [b"", b"junk", b"\x00\x00"])
def test_no_nal_unit_is_found_when_there_is_no_start_code(data: bytes):
    assert nal_units(data) == []


def test_empty_nal_unit_has_type_zero():
    assert nal_type(b"") == 0


def test_key_unit_stays_as_it_is_when_it_has_its_sets():
    assert ParameterSets().complete(unit(SPS, PPS, IDR)) == (unit(SPS, PPS, IDR), True)


def test_key_unit_gets_the_sets_of_before_when_it_came_without():
    sets = ParameterSets()
    sets.complete(unit(SPS, PPS, IDR))
    assert sets.complete(unit(IDR)) == (unit(SPS, PPS, IDR), True)


def test_key_unit_is_no_beginning_when_no_sets_are_known():
    assert ParameterSets().complete(unit(IDR)) == (unit(IDR), False)


def test_unit_is_no_key_when_it_has_no_idr_slice():
    assert ParameterSets().complete(unit(SPS, PPS, SLICE)) == (unit(SPS, PPS, SLICE), False)
