"""A wall clock that is set while the recorder runs changes nothing of what is kept, how long and how it is marked."""

import pytest

from edge.recorder.framebus import FrameBusReader
from vedette.records import PRIORITY_BULK, PRIORITY_MARKED

SECOND = 1_000_000
RATE = 10
HIT = "01a2076b-4464-7fc4-bd32-a7de5a2452ea"
CONTINUOUS = {"mode": "continuous", "segment_s": 4, "hit_before_s": 1, "hit_after_s": 3}
STANDBY = {"mode": "standby", "pre_event_s": 4, "hit_before_s": 2, "hit_after_s": 3, "post_event_s": 3, "segment_s": 60}


def until_standby(one) -> int:
    """Step until nothing is recorded; how many pictures had come then, 200 more at most."""
    end = one.camera.index + 200
    while one.service._keeping.recording is not None and one.camera.index < end:
        one.steps(1)
    assert one.status()["state"] == "standby"
    return int(one.camera.index)


def kept(one) -> tuple[int, int]:
    """(first, behind the last) of the pictures that the one recording has once it is over."""
    end = until_standby(one)
    found = one.device.items()
    assert {item.manifest.recording for item in found} == {found[0].manifest.recording}
    assert one.device.entries("gap") == []
    return end - sum(item.manifest.media.frames for item in found), end


def test_recording_goes_on_without_a_gap_when_the_clock_is_set(
    device, bench, post, camera, set_clock, accounted
) -> None:
    """TI-8, TI-9, TI-12: each picture once, each second once, and the step where it happened."""
    one = bench(camera=camera, mode="standby", pre_event_s=0, segment_s=2)
    one.steps(10)
    post(one, "start")
    one.steps(40)
    set_clock()
    one.steps(45)
    one.close()
    timeline = accounted(device)
    frames = sum(item.manifest.media.frames for item in device.items())
    assert frames >= 75
    assert device.entries("gap") == []
    assert [one.length_us for one in timeline.stretches if one.state.value == "recorded"] == [frames * SECOND // RATE]


def test_hit_keeps_its_time_when_the_clock_is_set_before_it_is_told(
    device, bench, post, camera, set_clock, accounted
) -> None:
    """AC-4, AC-42: seen before the step."""
    one = bench(camera=camera, **STANDBY)
    one.steps(60)
    seen = FrameBusReader(device.run / "framebus").latest(-1)
    one.steps(5)
    set_clock()
    one.steps(1)
    post(one, "mark", "hit", id=HIT, from_us=seen.utc_us, from_mono_us=seen.mono_us)
    one.steps(3)
    first, end = kept(one)
    assert first <= seen.index - 2 * RATE
    assert seen.index + 3 * RATE < end <= seen.index + 3 * RATE + 3
    one.close()
    assert [item.manifest.priority for item in device.items()] == [PRIORITY_MARKED]
    accounted(device)


@pytest.mark.parametrize("before", [1, 30])
def test_hit_that_is_seen_after_the_step_keeps_its_time(
    device, bench, post, camera, set_clock, accounted, before: int
) -> None:
    """AC-4: the step may lie in the pre-event buffer."""
    one = bench(camera=camera, **STANDBY)
    one.steps(70 - before)
    set_clock()
    one.steps(before)
    seen = FrameBusReader(device.run / "framebus").latest(-1)
    post(one, "mark", "hit", id=HIT, from_us=seen.utc_us, from_mono_us=seen.mono_us)
    one.steps(3)
    first, end = kept(one)
    assert first <= seen.index - 4 * RATE + RATE
    assert seen.index + 3 * RATE < end <= seen.index + 3 * RATE + 3
    one.close()
    accounted(device)


def test_mark_that_was_told_lasts_as_long_when_the_clock_is_set_in_its_time(
    device, bench, post, camera, set_clock, accounted
) -> None:
    """AC-4."""
    one = bench(camera=camera, **STANDBY)
    one.steps(60)
    post(one, "mark", "crash")
    one.steps(15)
    set_clock()
    first, end = kept(one)
    assert first <= 60 - 3 * RATE
    assert 60 + 3 * RATE < end <= 60 + 3 * RATE + 5
    one.close()
    accounted(device)


def test_start_that_comes_after_the_step_is_recorded_until_the_stop(
    device, bench, post, camera, set_clock, accounted
) -> None:
    """AC-1: with what the pre-event buffer holds."""
    one = bench(camera=camera, **STANDBY)
    one.steps(60)
    set_clock()
    one.steps(1)
    post(one, "start", "peer")
    one.steps(40)
    assert one.status()["state"] == "recording"
    post(one, "stop")
    one.steps(3)
    first, end = kept(one)
    assert first <= 62 - 4 * RATE + RATE
    assert 100 <= end <= 105
    one.close()
    accounted(device)


@pytest.mark.parametrize("set_first", [True, False])
def test_tail_of_a_stop_is_as_long_as_configured_when_the_clock_is_set(
    device, bench, post, camera, set_clock, accounted, set_first: bool
) -> None:
    """AC-3."""
    one = bench(camera=camera, stop_tail_s=3, **STANDBY)
    one.steps(10)
    post(one, "start")
    one.steps(30)
    if set_first:
        set_clock()
    post(one, "stop")
    one.steps(10)
    if not set_first:
        set_clock()
    _first, end = kept(one)
    assert 40 + 3 * RATE < end <= 40 + 3 * RATE + 5
    one.close()
    accounted(device)


def test_hit_marks_the_segments_of_its_time_when_the_clock_is_set_before_it(
    device, bench, post, camera, set_clock, accounted
) -> None:
    """AC-4, RE-13: one second before, three after; segments of four seconds."""
    one = bench(camera=camera, **CONTINUOUS)
    one.steps(45)
    set_clock()
    one.steps(16)
    mark_what_is_seen(one, post, meanwhile=lambda: None)
    accounted(device)


def test_hit_marks_the_segments_of_its_time_when_the_clock_is_set_after_it(
    device, bench, post, camera, set_clock, accounted
) -> None:
    """AC-4, RE-13."""
    one = bench(camera=camera, **CONTINUOUS)
    one.steps(61)
    mark_what_is_seen(one, post, meanwhile=set_clock)
    accounted(device)


def mark_what_is_seen(one, post, *, meanwhile) -> None:
    """A hit in the sixth second marks the second and third segment of four."""
    seen = FrameBusReader(one.device.run / "framebus").latest(-1)
    meanwhile()
    one.steps(2)
    post(one, "mark", "hit", id=HIT, from_us=seen.utc_us, from_mono_us=seen.mono_us)
    one.steps(77)
    one.close()
    assert [item.manifest.priority for item in items_of(one.device)] == [
        PRIORITY_BULK, PRIORITY_MARKED, PRIORITY_MARKED, PRIORITY_BULK
    ]  # fmt: skip


def test_start_in_continuous_mode_marks_until_the_stop_when_the_clock_is_set_between(
    device, bench, post, camera, set_clock, accounted
) -> None:
    """AC-2."""
    one = bench(camera=camera, mode="continuous", segment_s=4, pre_event_s=1)
    one.steps(60)
    post(one, "start")
    one.steps(10)
    set_clock()
    one.steps(30)
    post(one, "stop")
    one.steps(70)
    one.close()
    assert [item.manifest.priority for item in items_of(device)] == [
        PRIORITY_BULK, PRIORITY_MARKED, PRIORITY_MARKED, PRIORITY_BULK, PRIORITY_BULK
    ]  # fmt: skip
    accounted(device)


def items_of(device) -> list:
    return sorted(device.items(), key=lambda item: item.manifest.sequence)


def test_hit_keeps_its_time_when_recorder_and_clock_began_anew_since_it_was_seen(
    device, bench, post, clock, camera, set_clock
) -> None:
    """AC-4, AC-42: the reader tells the second run of a picture of the first."""
    one = bench(camera=camera, **STANDBY)
    one.steps(20)
    seen = FrameBusReader(device.run / "framebus").latest(-1)
    one.close()
    set_clock()
    clock.advance(SECOND)
    two = bench(**STANDBY)
    two.steps(3)
    post(two, "mark", "hit", id=HIT, from_us=seen.utc_us, from_mono_us=seen.mono_us)
    two.steps(3)
    assert two.status()["state"] == "recording"
    _first, end = kept(two)
    assert 2 * RATE - 2 <= end <= 2 * RATE + 3


@pytest.mark.parametrize("set_first", [True, False])
def test_hit_that_names_utc_alone_keeps_its_time_by_the_clock_as_it_is_told(
    device, bench, post, scripted, set_clock, set_first: bool
) -> None:
    """AC-42: as a message that names no other; the clock is set before it was seen, or once it is told."""
    one = bench(camera=scripted(reads_clock=True), **STANDBY)
    if set_first:
        set_clock()
    one.steps(60)
    seen = FrameBusReader(device.run / "framebus").latest(-1)
    one.steps(5)
    post(one, "mark", "hit", id=HIT, from_us=seen.utc_us)
    one.steps(3)
    if not set_first:
        set_clock()
    first, end = kept(one)
    assert first <= seen.index - 2 * RATE
    assert seen.index + 3 * RATE < end <= seen.index + 3 * RATE + 3


def test_start_and_stop_are_obeyed_in_their_order_when_the_clock_is_set_between(
    bench, post, clock, camera, set_clock
) -> None:
    """AC-42: both wait when the recorder looks for them."""
    one = bench(camera=camera, **STANDBY)
    one.steps(10)
    post(one, "start")
    clock.advance(1_000)
    set_clock()
    post(one, "stop")
    one.steps(5)
    assert one.status()["state"] == "standby"
    post(one, "start")
    one.steps(5)
    assert one.status()["state"] == "recording"
    post(one, "stop")
    clock.advance(1_000)
    set_clock()
    post(one, "start")
    one.steps(5)
    assert one.status()["state"] == "recording"
