"""A camera that was opened without sound and brings some later: a track from the next key picture on."""

import io

import av
import pytest

KEYS = 10  # pictures from one key picture to the next
RING = {"mode": "standby", "retroactive_h": 1, "segment_s": 3, "pre_event_s": 2}


def tracks(data: bytes) -> int:
    with av.open(io.BytesIO(data)) as mp4:
        return len(mp4.streams.audio)


def pieces(data: bytes) -> list[int]:
    """The media times of the pieces of sound."""
    with av.open(io.BytesIO(data)) as mp4:
        return [round(float(one.pts * one.time_base) * 1e6) for one in mp4.demux(audio=0) if one.size]


def keep_sound_before(device) -> None:
    path = device.folder / "device.toml"
    path.write_text(path.read_text().replace("[recorder]", "[sound]\npre_event = true\n[recorder]"))


@pytest.mark.parametrize("first", [1, 15, 20, 29])
def test_late_sound_has_a_segment_with_a_track_from_the_next_key_picture_on(device, bench, hearing, first: int):
    """SG-32: no picture is lost, nothing is missed before it came, and none of the sound behind the cut is."""
    one = bench(camera=hearing(hears_from=first), segment_s=60)
    one.steps(first - 1)
    assert one.status()["sound"] == "none"
    one.steps(51 - first)
    assert (one.status()["sound"], one.status()["sound_missing"]) == ("ok", False)
    one.close()
    items = [device.opened(item) for item in device.items()]
    frames = [item.manifest.media.frames for item in device.items()]
    cut = first + -first % KEYS
    assert frames == [cut, 50 - cut]
    assert [tracks(data) for data in items] == [0, 1]
    assert [item.manifest.media.sound for item in device.items()] == [None, "aac"]
    assert pieces(items[1])[0] < 22_000
    assert len(pieces(items[1])) * 64_000 / 3 > (50 - cut) * 100_000 - 150_000
    assert [device.entries(event) for event in ("sound.lost", "gap")] == [[], []]


def test_late_sound_that_stops_again_is_missed(device, bench, hearing):
    """SG-15: from then on it is expected."""
    one = bench(camera=hearing(hears_from=15), segment_s=60)
    one.steps(40)
    one.camera.late_us = 1 << 40
    one.steps(25)
    assert one.status()["sound_missing"]
    assert len(device.entries("sound.lost")) == 1
    one.close()


def test_buffer_has_the_late_sound_at_its_time_when_a_recording_begins_with_it(device, bench, hearing, post):
    """SG-32, SG-14: one segment; the sound of it begins where the camera's did."""
    keep_sound_before(device)
    one = bench(camera=hearing(hears_from=15), mode="standby", pre_event_s=10, segment_s=60)
    one.steps(40)
    post(one, "start")
    one.steps(20)
    one.close()
    (item,) = device.items()
    assert (item.manifest.media.frames, item.manifest.media.sound) == (60, "aac")
    with av.open(io.BytesIO(device.opened(item))) as mp4:
        loud = [frame.pts * frame.time_base for frame in mp4.decode(audio=0) if abs(frame.to_ndarray()).max() > 0.1]
    assert 1.2 < float(loud[0]) < 1.8
    assert device.entries("gap") == []


@pytest.mark.parametrize("keeps", [True, False])
def test_ring_has_a_track_for_late_sound_only_where_the_buffer_keeps_sound(device, bench, hearing, keeps: bool):
    """SG-32, RI-3."""
    if keeps:
        keep_sound_before(device)
    one = bench(camera=hearing(hears_from=15), **RING)
    one.steps(80)
    one.close()
    assert [kept.facts.sound for kept in device.kept()] == ([None, "aac", "aac"] if keeps else [None, None, None])
