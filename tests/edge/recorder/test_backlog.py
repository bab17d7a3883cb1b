"""What the pre-event buffer held is written in slices: durable as it goes, nothing lost of what comes meanwhile."""

import io
import itertools

import av
import pytest

from edge.recorder import backlog

FRAME_US = 100_000
SLICE = 60_000  # some half a second of these pictures


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "SLICE_BYTES", SLICE)


def standby(bench, **more: object):
    """A recorder with eight seconds in its buffer."""
    one = bench(**{"mode": "standby", "pre_event_s": 8, "segment_s": 60, **more})
    one.steps(100)
    return one


def waits(one) -> int:
    return len(one.service._keeping._backlog._waiting)


def shown(device) -> list[int]:
    """When the pictures of all segments were taken (UTC, microseconds), in the order of the segments."""
    found = []
    for item in sorted(device.items(), key=lambda one: (one.manifest.started_us, one.manifest.sequence)):
        with av.open(io.BytesIO(device.opened(item))) as mp4:
            times = sorted(float(one.pts * one.time_base) for one in mp4.demux(video=0) if one.size)
        found += [item.manifest.started_us + round(at * 1e6) for at in times]
    return found


def assert_each_once(device, count: int) -> None:
    times = shown(device)
    assert len(times) == count
    assert all(abs(b - a - FRAME_US) < 1_000 for a, b in itertools.pairwise(times))


def test_buffer_is_written_over_several_steps_and_every_picture_is_recorded_once(
    device, bench, scripted, post, small_slices
):
    """AC-45: each step writes a slice, and no more; what comes meanwhile waits behind."""
    one = standby(bench)
    post(one, "start")
    one.steps(1)
    began = waits(one)
    assert began > 50
    sizes = []
    while waits(one):
        before = one.service._keeping.recording.open_size_bytes
        one.steps(1)
        sizes.append(one.service._keeping.recording.open_size_bytes - before)
    assert len(sizes) > 5
    assert max(sizes) <= SLICE + 4 * 65_552
    one.steps(20)
    one.close()
    assert device.entries("gap") == []
    (item,) = device.items()
    assert_each_once(device, item.manifest.media.frames)
    assert item.manifest.media.frames >= 80 + 20


def test_buffer_becomes_durable_twice_in_each_second_of_it(device, bench, post):
    """SG-17, AC-45: also where one step writes all of it."""
    one = standby(bench)
    post(one, "start")
    one.steps(1)
    assert waits(one) == 0
    media_us = [entry.detail["media_us"] for entry in device.entries("segment.checkpoint")]
    assert len(media_us) >= 15
    assert max(b - a for a, b in itertools.pairwise([0, *media_us])) <= 900_000
    one.close()


def test_what_was_written_of_the_buffer_is_there_when_the_power_goes_before_the_rest_is(
    device, bench, post, small_slices
):
    """AC-45, SG-17: less than a second of it is missing, and the gap begins where it ends."""
    one = standby(bench)
    post(one, "start")
    one.steps(8)
    assert waits(one) > 20
    written_us = one.service._keeping.recording.open_media_us
    one.service._keeping.recording.abandon()
    one.service._keeping._opened.journal.close()
    one.is_closed = True
    two = bench(mode="standby", segment_s=60)
    two.steps(2)
    (item,) = device.items()
    assert written_us > 2_000_000
    assert item.manifest.media.duration_us > written_us - 1_000_000
    (gap,) = device.entries("gap")
    assert abs(gap.detail["from_us"] - item.manifest.started_us - item.manifest.media.duration_us) < FRAME_US + 1_000
    two.close()


@pytest.mark.parametrize("how", ["stop", "close", "sleep"])
def test_all_of_the_buffer_is_recorded_when_the_recording_ends_before_it_is_written(
    device, bench, post, small_slices, how: str
):
    """AC-45."""
    one = standby(bench)
    post(one, "start")
    one.steps(3)
    waiting = waits(one)
    assert waiting > 20
    if how == "close":
        one.close()
    elif how == "sleep":
        post(one, "sleep")
        one.steps(3)
        one.close()
    else:
        post(one, "stop")
        one.steps(3)
        one.close()
    assert device.entries("gap") == []
    assert len(shown(device)) >= 80
    assert_each_once(device, len(shown(device)))


def test_all_of_the_buffer_is_recorded_when_the_camera_breaks_before_it_is_written(
    device, bench, scripted, post, small_slices
):
    """AC-45: the crash that activates may take the camera with it; the hole behind is a gap."""
    one = standby(bench, camera=scripted(breaks_at=104))
    post(one, "start")
    one.steps(3)
    assert waits(one) > 20
    one.steps(2)
    one.clock.advance(2_000_000)
    one.steps(30)
    one.close()
    (first, *_) = sorted(device.items(), key=lambda item: item.manifest.started_us)
    assert first.manifest.media.frames >= 80
    assert [entry.detail["why"] for entry in device.entries("gap")] == ["camera_fault"]


def test_rest_of_the_buffer_is_kept_when_the_disk_fills_before_it_is_written(device, bench, post, small_slices):
    """AC-45: it is the beginning of what is recorded once there is space again; what was cut in a group is a gap."""
    free = [4 << 30]
    one = standby(bench, min_free_mib=512, terms={"free_bytes": lambda _folder: free[0]})
    post(one, "start")
    one.steps(4)
    assert waits(one) > 20
    free[0] = 0
    one.steps(12)
    assert one.status()["state"] == "disk_full"
    assert waits(one) == 0
    free[0] = 4 << 30
    one.steps(60)
    one.close()
    (gap,) = device.entries("gap")
    assert gap.detail["to_us"] - gap.detail["from_us"] < 1_100_000
    assert len(shown(device)) > 80 + 70


def test_muting_leaves_the_sound_of_the_buffer_that_waits(device, bench, hearing, post, small_slices):
    """AC-45, SG-13: a piece belongs to the time in which it was heard, not to that in which it is written."""
    path = device.folder / "device.toml"
    path.write_text(path.read_text().replace("[recorder]", "[sound]\npre_event = true\n[recorder]"))
    one = standby(bench, camera=hearing())
    post(one, "start")
    one.steps(2)
    assert waits(one) > 20
    muted_us = one.clock.utc_us()
    one.service._keeping.mute(True, "button")
    one.steps(40)
    one.close()
    (item,) = device.items()
    with av.open(io.BytesIO(device.opened(item))) as mp4:
        loud = [
            item.manifest.started_us + round(float(frame.pts * frame.time_base) * 1e6)
            for frame in mp4.decode(audio=0)
            if abs(frame.to_ndarray()).max() > 0.1
        ]
    assert muted_us - 300_000 < loud[-1] <= muted_us
    assert max(b - a for a, b in itertools.pairwise(loud)) < 30_000


def test_camera_that_broke_within_the_buffer_is_a_gap_within_it(device, bench, scripted, post, small_slices):
    """AC-45, CF-8: two stretches, each in a segment of its own."""
    one = bench(camera=scripted(breaks_at=60), mode="standby", pre_event_s=8, segment_s=60)
    one.steps(61)
    one.clock.advance(2_000_000)
    one.steps(39)
    post(one, "start")
    one.steps(30)
    one.close()
    assert [entry.detail["why"] for entry in device.entries("gap")] == ["camera_fault"]
    assert len(device.items()) == 2
