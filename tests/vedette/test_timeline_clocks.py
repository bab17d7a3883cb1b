"""Clocks in a timeline: steps, wrong dates, and which boot of the machine a run belongs to."""

from __future__ import annotations

from typing import Any

import pytest

from vedette.clock import FakeClock
from vedette.timeline import State

SECOND = 1_000_000
EIGHT = FakeClock().utc_us()


@pytest.mark.parametrize("jump_s", [-3600, -2, 0.5, 86_400])
def test_order_and_lengths_stay_when_the_clock_is_set(shift: Any, jump_s: float) -> None:
    """TI-7, TI-8, TI-9."""
    shift.start()
    shift.begin()
    shift.film(30)
    shift.clock.jump(round(jump_s * SECOND))
    shift.film(10)
    shift.end()
    timeline = shift.read()
    assert shift.states(timeline)[0] == ("recorded", 40)
    assert timeline.from_us == EIGHT
    steps = [(one.from_us - EIGHT, one.label) for one in timeline.overlays if one.row == "clock"]
    assert steps == [(31 * SECOND, f"step:{jump_s:+.3f} s")]
    assert [one.value for one in timeline.notes if one.kind == "clock_step"] == [f"{jump_s:+.3f} s"]


def test_a_boot_is_dated_by_its_best_clock_when_it_began_with_a_wrong_one(shift: Any) -> None:
    """TI-8, TI-20."""
    shift.clock.source = "none"
    shift.start()
    shift.begin()
    shift.film(50)
    shift.clock.jump(3600 * SECOND)
    shift.clock.source = "gnss"
    shift.film(5)
    shift.end()
    timeline = shift.read()
    assert timeline.from_us == EIGHT + 3600 * SECOND
    unset = [one for one in timeline.overlays if one.label == "unset:none"]
    assert [(one.from_us - timeline.from_us, one.to_us - one.from_us) for one in unset] == [(0, 50 * SECOND)]


def test_a_slow_slew_is_no_step(shift: Any) -> None:
    """TI-9."""
    shift.start()
    shift.begin()
    for _ in range(5):
        shift.film(10)
        shift.clock.jump(150_000)
    assert [one.label for one in shift.read().overlays if one.row == "clock"] == ["step:+0.300 s", "step:+0.300 s"]


@pytest.mark.parametrize("rank", ["ntp", "rtc"])
def test_a_boot_is_moved_and_said_so_when_its_date_contradicts_the_order(shift: Any, rank: str) -> None:
    """TI-7, TI-11."""
    shift.start()
    shift.begin()
    shift.film(100)
    shift.kill()
    shift.reboot(30, utc_error_s=-600)
    shift.clock.source = rank
    shift.start()
    shift.recover()
    shift.begin()
    shift.film(10)
    timeline = shift.read()
    assert [one for one in shift.states(timeline) if one[1]] == [("recorded", 100), ("recorded", 10)]
    assert [one.value for one in timeline.notes if one.kind == "boot_moved"] == ["+570.000 s"]


def test_the_earlier_boot_is_moved_when_its_clock_is_the_worse(shift: Any) -> None:
    """TI-11."""
    shift.clock.source = "none"
    shift.start()
    shift.wait(60)
    shift.stop()
    shift.reboot(-3600)
    shift.clock.source = "ntp"
    shift.start()
    shift.wait(60)
    shift.stop()
    timeline = shift.read()
    assert shift.states(timeline) == [("standby", 120)]
    assert timeline.to_us == shift.clock.utc_us()
    assert [(one.kind, one.value) for one in timeline.notes if one.value] == [("boot_moved", "-3600.000 s")]


def test_a_reboot_is_told_from_a_restart_when_the_monotonic_clock_went_on_higher(shift: Any) -> None:
    """TI-10: the first boot of the machine was short, so that the second one's clock reads more at its first line."""
    shift.start()
    shift.kill()
    shift.reboot(500)
    shift.clock.advance(200 * SECOND)
    shift.start()
    assert shift.states(shift.read()) == [("power_lost", 700)]


@pytest.mark.parametrize(("second", "state"), [("a" * 16, "restarted"), ("b" * 16, "power_lost")])
def test_the_named_boot_of_the_machine_counts_when_the_clocks_would_say_otherwise(
    shift: Any, second: str, state: str
) -> None:
    """TI-10, TI-15."""
    shift.clock.boot = "a" * 16
    shift.start()
    shift.kill()
    shift.clock.advance(5 * SECOND)
    shift.clock.jump((0 if second[0] == "b" else 90_000) * SECOND)
    shift.clock.boot = second
    shift.start()
    assert shift.states(shift.read()) == [(state, 5)]


@pytest.mark.parametrize("jitter_us", [-40_000, -1, 1, 40_000])
def test_gap_that_begins_where_a_segment_ended_leaves_nothing_between(shift: Any, jitter_us: int) -> None:
    """TI-14: the second run reads its two clocks at moments a little further apart than the first did."""
    shift.start()
    shift.begin()
    shift.film(7)
    shift.wait(0.5)
    shift.mark(7)
    shift.kill()
    shift.clock = shift.clock.__class__(
        utc_us=shift.clock.utc_us() + SECOND // 2, mono_us=shift.clock.mono_us() + SECOND // 2 + jitter_us
    )
    shift.start()
    shift.recover()
    ended_us = shift.picture_us
    shift.say("recording.started", activation="button", held=True, recording="r")
    shift.gap(ended_us, "killed")
    shift.open_segment()
    shift.film(5)
    timeline = shift.read()
    assert [one.state for one in timeline.stretches] == [State.RECORDED, State.RESTARTED, State.RECORDED]
    assert [one.to_us for one in timeline.stretches][:1] == [EIGHT + 7 * SECOND]


@pytest.mark.parametrize("jump_s", [-86_400, -3_600, -7, 3_600])
def test_what_was_read_before_the_clock_was_set_is_shown_where_it_was(shift: Any, jump_s: int) -> None:
    """TI-7, TI-8, TI-19: lines that name UTC alone; a clock that is put back shows nothing ahead of its line."""
    shift.start()
    shift.begin()
    shift.film(20)
    stalled_us = since_us = shift.clock.utc_us()
    shift.wait(2)
    shift.clock.jump(jump_s * SECOND)
    shift.wait(3)
    shift.say("camera.fault", kind="unplugged", since_us=since_us, why="the cable is out")
    shift.gap(stalled_us, "camera_fault")
    shift.end_segment()
    shift.open_segment()
    shift.say("camera.recovered", kind="unplugged", since_us=since_us, lasted_us=5 * SECOND)
    shift.film(10)
    shift.end()
    timeline = shift.read()
    assert shift.states(timeline)[:3] == [("recorded", 20), ("camera", 5), ("recorded", 10)]
    assert timeline.unexplained_us == 0
    (fault,) = [one for one in timeline.overlays if one.row == "camera"]
    assert (fault.from_us - timeline.from_us, fault.to_us - timeline.from_us) == (20 * SECOND, 25 * SECOND)


def test_monotonic_times_count_where_a_line_names_them(shift: Any) -> None:
    """TI-12, TI-14, TI-28: a camera may go on in the wall clock's earlier time."""
    shift.start()
    shift.begin()
    shift.film(10)
    ended = shift.clock.utc_us(), shift.clock.mono_us()
    shift.end_segment()
    shift.clock.jump(-3_600 * SECOND)
    shift.wait(20)
    shift.say(
        "gap", from_us=ended[0], to_us=ended[0] + 20 * SECOND, from_mono_us=ended[1], to_mono_us=shift.clock.mono_us(),
        why="camera_fault",
    )  # fmt: skip
    shift.open_segment(started_us=ended[0] + 20 * SECOND, mono_us=shift.clock.mono_us())
    shift.film(10)
    shift.end()
    timeline = shift.read()
    assert shift.states(timeline)[:3] == [("recorded", 10), ("camera", 20), ("recorded", 10)]


def test_gap_that_began_before_the_machine_did_names_no_monotonic_time_for_it(shift: Any) -> None:
    """TI-14, TI-28: the first end is where the segment of that time ended, in the boot before."""
    shift.clock.boot = "a" * 16
    shift.start()
    shift.begin()
    shift.film(10)
    shift.kill()
    ended_us = shift.picture_us
    shift.reboot(60, utc_error_s=-3_600)
    shift.clock.boot = "b" * 16
    shift.start()
    shift.recover()
    shift.say(
        "gap", from_us=ended_us, to_us=shift.clock.utc_us(), from_mono_us=None, to_mono_us=shift.clock.mono_us(),
        why="killed",
    )  # fmt: skip
    shift.begin()
    shift.clock.jump(3_600 * SECOND)
    shift.film(10)
    shift.end()
    found = [one for one in shift.states(shift.read()) if one[1]]
    assert found[:3] == [("recorded", 10), ("power_lost", 60), ("recorded", 10)]
