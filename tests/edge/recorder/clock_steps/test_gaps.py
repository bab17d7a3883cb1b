"""What is missing is named and as long as it was, whatever the wall clock is set to meanwhile."""

import pytest

from edge.camera.port import CameraFault
from vedette import commands
from vedette.timeline import State

SECOND = 1_000_000
RATE = 10


def lengths(device) -> list[tuple[str, int]]:
    """(why, length by the monotonic clock) of each gap; UTC has the same one."""
    gaps = [entry.detail for entry in device.entries("gap")]
    assert all(one["to_us"] - one["from_us"] == one["to_mono_us"] - one["from_mono_us"] for one in gaps)
    return [(one["why"], one["to_mono_us"] - one["from_mono_us"]) for one in gaps]


def shown(timeline, state: State) -> list[int]:
    return [one.length_us for one in timeline.stretches if one.state is state]


def items_of(device) -> list:
    """In the order in which they were filed."""
    closed = [entry.item for entry in device.entries("segment.closed")]
    return sorted(device.items(), key=lambda item: closed.index(item.item_id))


def mode(one, name: str, on: bool) -> None:
    body = {"command": "mode", "mode": name, "on": on, "activation": "button", "id": ""}
    commands.post(one.device.run, "recorder", body, clock=one.clock)


def test_stall_within_a_segment_is_a_gap_when_the_clock_is_set_in_it(
    device, bench, camera, set_clock, accounted
) -> None:
    """CF-10, TI-14, TI-28: a second that was not recorded never looks recorded."""
    one = bench(camera=camera, segment_s=60)
    one.steps(30)
    set_clock()
    one.camera.jumps[30] = 3 * SECOND
    one.steps(30)
    one.close()
    assert lengths(device) == [("camera_stalled", 3 * SECOND)]
    (item,) = device.items()
    assert item.manifest.media.duration_us == 9 * SECOND
    one_us = SECOND // RATE
    public = accounted(device, stalled_us=3 * SECOND)
    assert [(s.state, s.length_us) for s in public.stretches][:3] == [
        (State.RECORDED, 30 * one_us), (State.CAMERA, 3 * SECOND), (State.RECORDED, 30 * one_us),
    ]  # fmt: skip


def test_camera_that_was_away_is_a_gap_of_its_length_when_the_clock_is_set_meanwhile(
    device, bench, camera, set_clock, accounted
) -> None:
    """CF-3, CF-2, TI-14."""
    one = bench(camera=camera, segment_s=60)
    camera.breaks_at = 30
    one.steps(31)
    one.clock.advance(2 * SECOND)
    set_clock()
    one.clock.advance(2 * SECOND)
    one.steps(30)
    one.close()
    assert lengths(device) == [("camera_fault", 4 * SECOND)]
    first, second = items_of(device)
    assert (first.manifest.media.frames, second.manifest.media.frames) == (30, 30)
    (recovered,) = device.entries("camera.recovered")
    assert 4 * SECOND <= recovered.detail["lasted_us"] <= 4 * SECOND + 2 * SECOND // RATE
    timeline = accounted(device)
    assert shown(timeline, State.CAMERA) == [4 * SECOND]
    (fault,) = [one for one in timeline.overlays if one.row == "camera"]
    assert 4 * SECOND <= fault.to_us - fault.from_us <= 5 * SECOND


def test_button_while_the_camera_is_away_is_a_gap_until_the_stop_when_the_clock_is_set_between(
    device, bench, camera, set_clock, post, accounted
) -> None:
    """CF-6, CF-8: and what was buffered before is kept."""
    one = bench(camera=camera, mode="standby", pre_event_s=6, segment_s=60)
    camera.breaks_at = 40
    camera.open = lambda: (_ for _ in ()).throw(CameraFault("still out"))
    one.steps(41)
    post(one, "start")
    one.clock.advance(SECOND)
    one.steps(2)
    set_clock()
    one.clock.advance(2 * SECOND)
    one.steps(2)
    post(one, "stop")
    one.clock.advance(SECOND)
    one.steps(2)
    one.close()
    assert [item.manifest.media.frames for item in device.items()] == [40]
    assert lengths(device) == [("camera_fault", 4 * SECOND)]
    accounted(device)


@pytest.mark.parametrize("mode_is", ["standby", "continuous"])
def test_waking_is_a_gap_and_sleep_lasts_as_long_when_the_clock_is_set_in_it(
    device, bench, camera, set_clock, post, accounted, mode_is: str
) -> None:
    """AC-14, TI-17."""
    one = bench(camera=camera, mode=mode_is, segment_s=60)
    one.steps(20)
    mode(one, "sleep", True)
    one.steps(4)
    one.clock.advance(20 * SECOND)
    one.steps(1)
    set_clock()
    one.clock.advance(20 * SECOND)
    one.steps(1)
    post(one, "mark", "crash", id="")
    one.clock.advance(SECOND)
    one.steps(40)
    assert one.status()["state"] == "recording"
    one.close()
    timeline = accounted(device)
    (asleep_us,) = shown(timeline, State.ASLEEP)
    assert 40 * SECOND <= asleep_us <= 42 * SECOND


def test_full_disk_is_a_gap_of_its_length_when_the_clock_is_set_meanwhile(
    device, bench, camera, set_clock, accounted
) -> None:
    """TI-18: the buffer is empty, so that the gap is as long as the trouble."""
    free = {"bytes": 1 << 40}
    one = bench(
        camera=camera, segment_s=60, pre_event_s=0, min_free_mib=100,
        terms={"free_bytes": lambda _path: free["bytes"]},
    )  # fmt: skip
    one.steps(30)
    free["bytes"] = 50 << 20
    one.steps(30)
    set_clock()
    one.steps(30)
    free["bytes"] = 1 << 40
    one.steps(60)
    one.close()
    ((why, length_us),) = lengths(device)
    assert why == "disk_full"
    frames = sum(item.manifest.media.frames for item in device.items())
    assert length_us == (150 - frames) * SECOND // RATE
    assert frames <= 100
    assert shown(accounted(device), State.FULL) == [length_us]


def test_standby_says_within_a_second_that_the_clock_was_set(device, bench, camera, set_clock, step, accounted) -> None:
    """TI-9, TI-27: though nothing is recorded, and though it is set back before a minute is over."""
    one = bench(camera=camera, mode="standby")
    one.steps(25)
    set_clock()
    one.steps(25)
    set_clock()
    one.steps(25)
    said = [entry.detail for entry in device.entries("time.stepped")]
    one.close()
    assert said == [{"by_us": by_us, "source": "simulated"} for by_us in (step[1], -step[1]) if by_us]
    timeline = accounted(device, set_by=[step[1], -step[1]])
    first_us = timeline.from_us
    at_us = [one.from_us - first_us for one in timeline.overlays if one.row == "clock"]
    assert [25 * SECOND // RATE <= at <= 35 * SECOND // RATE for at in at_us[:1]] == [True] * len(at_us[:1])


@pytest.mark.parametrize("step", [(1_795_420_800_000_000, 0)])
@pytest.mark.parametrize("by_s", [0.19, -0.19])
def test_what_a_time_service_slews_is_no_step(device, bench, step: tuple[int, int], by_s: float) -> None:
    """TI-27: up to 0.2 s in a second."""
    one = bench(mode="standby")
    one.steps(15)
    one.clock.jump(round(by_s * SECOND))
    one.steps(15)
    assert device.entries("time.stepped") == []
