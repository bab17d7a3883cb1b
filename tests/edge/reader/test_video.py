"""A video looked at as a camera."""

from __future__ import annotations

import numpy as np
import pytest

from edge.reader.clips import ClipFrame
from edge.reader.reads import Reads
from edge.reader.video import look_through, small_frame
from edge.reader.vote import Rules


def clip_frame(number: int, *, height: int = 240, width: int = 320) -> ClipFrame:
    luma = np.full((height, width), 90, dtype=np.uint8)
    luma[0, 0] = number + 1
    return ClipFrame(number=number, at_us=40_000 * number, luma=luma)


@pytest.mark.parametrize(("height", "width"), [(240, 320), (241, 321), (1, 1)])
def test_frame_of_any_size_becomes_a_picture_of_a_camera(height: int, width: int) -> None:
    frame = small_frame(clip_frame(3, height=height, width=width))
    assert frame.luma.shape == (height + height % 2, width + width % 2)
    assert (frame.luma[:height, :width] == clip_frame(3, height=height, width=width).luma).all()
    assert (frame.index, frame.mono_us, frame.utc_us) == (3, 120_000, 120_000)


def test_every_picture_is_looked_at_and_only_what_is_worth_it_is_read(eyes) -> None:
    """HT-20."""
    asked = {"detect": 0, "read": 0}
    detect, read = eyes.detect, eyes.read

    def counting(name, really):
        def call(*args):
            asked[name] += 1
            return really(*args)

        return call

    eyes.detect, eyes.read = counting("detect", detect), counting("read", read)
    reads = Reads(Rules(min_looks=2, confidence_permille=600))
    looked = list(look_through(map(clip_frame, range(9)), eyes, reads))
    assert [one.number for one in looked] == list(range(9))
    assert asked == {"detect": 9, "read": 2}
    assert all(one.ms >= 0 for one in looked)
    assert [seen.looks for one in looked for seen in one.taken.seen] == [0] + [2] * 8
