"""The encoder: one picture in, one unit out, key pictures where recordings may be cut."""

from fractions import Fraction

import numpy as np
import pytest

from edge.camera.annexb import nal_type, nal_units
from edge.camera.encode import X264Encoder
from vedette.errors import Refused


def grey(level: int, width: int = 64, height: int = 48) -> np.ndarray:
    return np.full((height * 3 // 2, width), level, np.uint8)


def test_each_picture_gives_one_unit_with_its_times():
    encoder = X264Encoder(64, 48, 10)
    units = [encoder.encode(grey(n), n * 100_000, utc_us=n, mono_us=2 * n) for n in range(25)]
    assert [len(found) for found in units] == [1] * 25
    assert [(unit.pts_us, unit.utc_us, unit.mono_us) for (unit,) in units] == [
        (n * 100_000, n, 2 * n) for n in range(25)
    ]
    assert encoder.flush() == []


@pytest.mark.parametrize("rate", [10, 25, Fraction(30_000, 1001)])
def test_a_key_unit_with_parameter_sets_comes_at_least_every_second(rate: Fraction | int):
    encoder = X264Encoder(64, 48, rate)
    units = [unit for n in range(70) for unit in encoder.encode(grey(n), int(n * 1_000_000 / rate))]
    keys = [n for n, unit in enumerate(units) if unit.is_key]
    assert keys == list(range(0, 70, round(rate)))
    assert all({7, 8, 5} <= {nal_type(nal) for nal in nal_units(units[n].data)} for n in keys)


@pytest.mark.parametrize("size", [(63, 48), (64, 47), (14, 48), (64, 14), (4098, 48), (0, 0)])
def test_size_that_cannot_be_encoded_is_refused(size: tuple[int, int]):
    with pytest.raises(Refused, match="cannot be encoded"):
        X264Encoder(*size, 25)


@pytest.mark.parametrize("size", [(16, 16), (4096, 2304)])
def test_size_at_the_limit_is_taken(size: tuple[int, int]):
    X264Encoder(*size, 25)


@pytest.mark.parametrize("rate", [0, 241])
def test_rate_out_of_bounds_is_refused(rate: int):
    with pytest.raises(Refused, match="pictures a second"):
        X264Encoder(64, 48, rate)


def test_unknown_preset_is_refused_and_the_known_are_named():
    with pytest.raises(Refused, match="superfast"):
        X264Encoder(64, 48, 25, preset="placebo")


def test_picture_of_another_size_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="shape"):
        X264Encoder(64, 48, 25).encode(grey(0, width=32), 0)


@pytest.mark.parametrize("size", [(64, 48), (66, 50), (130, 34)])
def test_picture_may_be_overwritten_as_soon_as_it_is_encoded(size: tuple[int, int]):
    """Its memory is the encoder's only during the call; writable or not, it is not changed by it."""
    width, height = size
    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 256, (height * 3 // 2, width), dtype=np.uint8) for _ in range(40)]
    kept, reused = X264Encoder(width, height, 30), X264Encoder(width, height, 30)
    buffer = np.empty_like(pictures[0])
    for index, picture in enumerate(pictures):
        before = picture.copy()
        picture.flags.writeable = False
        buffer[:] = picture
        expected = kept.encode(picture, index * 33_333)
        assert reused.encode(buffer, index * 33_333) == expected
        assert np.array_equal(picture, before) and np.array_equal(buffer, before)
        buffer[:] = 0
    assert reused.flush() == kept.flush()
