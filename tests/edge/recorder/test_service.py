"""The recorder as a whole: what it keeps, when, and what it says of it."""

import io

import av
import pytest


def test_recorder_keeps_every_picture_when_mode_is_continuous(device, bench):
    one = bench(segment_s=4)
    one.steps(100)
    one.service.close()
    items = device.items()
    assert [item.manifest.sequence for item in items] == [0, 1, 2]
    assert sum(item.manifest.media.frames for item in items) == 100
    print(items[0].manifest)
    for item in items:
        data = device.opened(item)
        with av.open(io.BytesIO(data)) as mp4:
            assert len([f for f in mp4.decode(video=0)]) == item.manifest.media.frames
    for l in device.lines():
        print(l[:300])
    assert 0
