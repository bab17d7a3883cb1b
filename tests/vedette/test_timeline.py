"""A shift laid out second by second from lines that the real journal wrote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.clock import FakeClock
from vedette.errors import Integrity
from vedette.timeline import Layer, State, Stretch, lay_out
from vedette.timeline_layers import read_timeline

SECOND = 1_000_000
EIGHT = FakeClock().utc_us()


def claims() -> st.SearchStrategy[list[Layer]]:
    edges = st.tuples(st.integers(-50, 150), st.integers(0, 90)).map(lambda one: (one[0], one[0] + one[1]))
    layer = st.builds(
        lambda rank, edge, state: Layer(rank=rank, stretch=Stretch(from_us=edge[0], to_us=edge[1], state=state)),
        st.integers(0, 9), edges, st.sampled_from(State),
    )  # fmt: skip
    return st.lists(layer, max_size=12)


@given(claims())
def test_stretches_cover_everything_once_whatever_is_claimed(layers: list[Layer]) -> None:
    """TI-1, TI-4: against the claims looked up moment by moment."""
    found = lay_out([*layers, Layer(rank=-1, stretch=Stretch(from_us=0, to_us=100, state=State.OFF))], 0, 100)
    assert (found[0].from_us, found[-1].to_us) == (0, 100)
    for at in range(100):
        holding = [one for one in found if one.from_us <= at < one.to_us]
        strongest = [one for one in layers if one.stretch.from_us <= at < one.stretch.to_us]
        top = max((one.rank for one in strongest), default=-1)
        wanted = [one.stretch.state for one in strongest if one.rank == top] or [State.OFF]
        assert len(holding) == 1
        if State.UNKNOWN not in wanted:
            assert holding[0].state is wanted[-1]


def test_a_day_on_which_everything_happens_is_accounted_for(shift: Any, hard_day: Callable[[Any], None]) -> None:
    """TI-1, TI-2, TI-14, TI-15, TI-17."""
    hard_day(shift)
    timeline = shift.read()
    assert timeline.unexplained_us == 0
    assert sum(timeline.totals.values()) == timeline.to_us - timeline.from_us
    assert [(state, int(seconds)) for state, seconds in shift.states(timeline) if seconds >= 1] == [
        ("standby", 600), ("recorded", 1500), ("restarted", 2), ("recorded", 1200), ("camera", 75), ("recorded", 1500),
        ("power_lost", 233), ("recorded", 900), ("full", 420), ("recorded", 900), ("standby", 1200), ("asleep", 1500),
        ("standby", 300), ("off", 900), ("recorded", 1800),
    ]  # fmt: skip


def test_a_hole_in_a_recording_is_unexplained_when_no_line_speaks_of_it(shift: Any) -> None:
    """TI-3."""
    shift.start()
    shift.begin()
    shift.film(20)
    shift.end_segment()
    shift.wait(5)
    shift.open_segment()
    shift.film(10)
    shift.end()
    timeline = shift.read()
    assert shift.states(timeline)[:3] == [("recorded", 20), ("unknown", 5), ("recorded", 10)]
    assert timeline.unexplained_us == 5 * SECOND


def test_a_sliver_goes_to_what_was_not_recorded_and_never_to_what_was(shift: Any) -> None:
    """TI-5."""
    shift.start()
    shift.begin()
    shift.film(10)
    shift.wait(0.7)
    shift.end()
    shift.wait(9)
    shift.stop()
    assert shift.states(shift.read()) == [("recorded", 10), ("standby", 9.8)]


def test_a_sliver_stays_unexplained_when_it_lies_between_two_recordings() -> None:
    """TI-5."""
    layers = [
        Layer(rank=1, stretch=Stretch(from_us=one, to_us=one + SECOND, state=State.RECORDED)) for one in (0, 1_400_000)
    ]
    found = lay_out(layers, 0, 2_400_000)
    assert [one.state for one in found] == [State.RECORDED, State.UNKNOWN, State.RECORDED]


@pytest.mark.parametrize(("in_order", "after"), [(True, "off"), (False, "unknown")])
def test_time_after_the_last_line_is_off_only_when_it_stopped_in_order(shift: Any, in_order: bool, after: str) -> None:
    """TI-6."""
    shift.start()
    shift.wait(60)
    shift.say("service.stopped" if in_order else "keeper.ready")
    shown = shift.read().between(EIGHT - 10 * SECOND, EIGHT + 100 * SECOND)
    assert shift.states(shown) == [("unknown", 10), ("standby", 60), (after, 40)]
    assert shown.unexplained_us == (10 + (0 if in_order else 40)) * SECOND


def test_a_part_has_what_lies_in_it_when_it_is_cut_out(shift: Any, hard_day: Callable[[Any], None]) -> None:
    """TI-1, TI-6."""
    hard_day(shift)
    shown = shift.read().between(EIGHT + 900 * SECOND, EIGHT + 1100 * SECOND)
    assert shift.states(shown) == [("recorded", 200)]
    assert [(one.row, (one.to_us - one.from_us) / SECOND) for one in shown.overlays] == [("muted", 100)]


def test_a_cut_segment_is_recorded_to_its_last_checkpoint_and_no_further(shift: Any) -> None:
    """TI-12, TI-13."""
    shift.start()
    recording = shift.begin()
    shift.film(7)
    shift.wait(0.9)
    shift.kill()
    shift.wait(3)
    shift.start()
    shift.recover()
    timeline = shift.read()
    assert shift.states(timeline) == [("recorded", 7), ("restarted", 3.9)]
    assert [(one.at_us - EIGHT, one.value) for one in timeline.notes if one.kind == "proven_to"] == [
        (7 * SECOND, recording)
    ]


def test_video_from_before_the_activation_is_recorded(shift: Any) -> None:
    """TI-12: the pre-event buffer."""
    shift.start()
    shift.wait(100)
    shift.say("recording.started", activation="button", held=True, recording="r")
    shift.open_segment(before_s=60)
    shift.film(5)
    assert shift.states(shift.read()) == [("standby", 40), ("recorded", 65)]


def test_no_standby_is_shown_behind_what_is_recorded_when_the_activation_s_line_came_late(shift: Any) -> None:
    """TI-12, TI-17: a busy machine wrote `recording.started` after the media time of the last mark before it died."""
    shift.start()
    shift.wait(100)
    shift.say("recording.started", activation="button", held=True, recording="r")
    shift.open_segment(before_s=10)
    shift.mark(8)
    shift.wait(0.4)
    shift.kill()
    shift.wait(3)
    shift.start()
    assert shift.states(shift.read()) == [("standby", 90), ("recorded", 8), ("starting", 2), ("restarted", 3.4)]


def test_a_stall_within_a_segment_is_not_recorded(shift: Any) -> None:
    """TI-14."""
    shift.start()
    shift.begin()
    shift.film(10)
    from_us = shift.clock.utc_us()
    shift.film(4)
    shift.gap(from_us, "camera_stalled")
    shift.film(6)
    assert shift.states(shift.read()) == [("recorded", 10), ("camera", 4), ("recorded", 6)]


def test_a_gap_with_an_unknown_word_shows_the_word(shift: Any) -> None:
    """TI-2, TI-14."""
    shift.start()
    shift.begin()
    shift.film(3)
    shift.end_segment()
    from_us = shift.clock.utc_us()
    shift.wait(30)
    shift.gap(from_us, "eclipse")
    shift.open_segment()
    shift.film(3)
    timeline = shift.read()
    assert shift.states(timeline)[1] == ("other", 30)
    assert timeline.stretches[1].why == "eclipse"


@pytest.mark.parametrize("why", ["starting", "waking"])
def test_a_gap_until_a_camera_has_started_is_starting(shift: Any, why: str) -> None:
    """TI-2, TI-14: it was asked for, and the first picture was not there yet."""
    shift.start()
    from_us = shift.clock.utc_us() + 5_000_000
    shift.wait(8)
    shift.gap(from_us, why)
    shift.begin()
    shift.film(3)
    assert shift.states(shift.read()) == [("standby", 5), ("starting", 3), ("recorded", 3)]


def test_missing_lines_are_unexplained_except_what_the_others_prove(shift: Any) -> None:
    """TI-16."""
    shift.start()
    shift.begin()
    for _ in range(5):
        shift.film(20)
    entries = shift.entries()
    hole = [*entries[:20], *entries[40:]]
    assert read_timeline(hole).unexplained_us == 0
    shift.end()
    shift.wait(300)
    shift.say("keeper.ready")
    shift.wait(300)
    shift.say("keeper.ready")
    entries = shift.entries()
    timeline = read_timeline([*entries[:-2], entries[-1]])
    assert shift.states(timeline)[-1] == ("unknown", 600)
    assert [one.value for one in timeline.notes if one.kind == "lines_missing"] == [
        f"{len(entries) - 1}–{len(entries) - 1}"
    ]


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        ("disk_full", "full"),
        ("disk_fault", "disk"),
        ("camera_fault", "camera"),
        ("thermal", "thermal"),
        ("stopped", "standby"),
    ],
)
def test_a_recording_that_stopped_for_a_trouble_leaves_that_trouble(shift: Any, reason: str, state: str) -> None:
    """TI-18."""
    shift.start()
    shift.begin()
    shift.film(10)
    shift.end(reason)
    shift.wait(50)
    shift.begin()
    shift.film(10)
    assert [(one, round(seconds)) for one, seconds in shift.states(shift.read())] == [
        ("recorded", 10), (state, 50), ("recorded", 10),
    ]  # fmt: skip


def test_a_camera_that_gives_nothing_after_the_start_is_starting_for_a_time_only(shift: Any) -> None:
    """TI-17."""
    shift.start()
    shift.wait(200)
    shift.begin("continuous")
    shift.film(10)
    assert shift.states(shift.read()) == [("starting", 60), ("unknown", 140), ("recorded", 10)]


def test_sleep_lasts_to_the_end_of_the_run_when_it_is_not_ended(shift: Any) -> None:
    """TI-17, TI-19."""
    shift.start()
    shift.wait(10)
    shift.say("sleep.began", by="button")
    shift.say("mute.began", by="button")
    shift.wait(100)
    shift.say("keeper.ready")
    shift.kill()
    shift.wait(7)
    shift.start()
    shift.wait(20)
    shift.stop()
    timeline = shift.read()
    assert shift.states(timeline) == [("standby", 10), ("asleep", 100), ("restarted", 7), ("standby", 20)]
    assert [(one.row, (one.to_us - one.from_us) // SECOND, one.label) for one in timeline.overlays] == [
        ("muted", 100, "button")
    ]


def test_rest_for_heat_is_a_state_and_heat_a_row_beside_it(shift: Any) -> None:
    """HE-6, TI-17, TI-19."""
    shift.start()
    shift.wait(10)
    shift.say("heat.began", celsius=88, limit_c=85, since_us=shift.clock.utc_us())
    shift.say("rest.began", why="thermal")
    shift.wait(40)
    shift.say("rest.ended", by="cooler")
    shift.say("heat.ended", most_c=91, since_us=shift.clock.utc_us(), lasted_us=1)
    shift.wait(5)
    shift.say("keeper.ready")
    timeline = shift.read()
    assert shift.states(timeline) == [("standby", 10), ("thermal", 40), ("standby", 5)]
    assert [(one.row, (one.to_us - one.from_us) // SECOND) for one in timeline.overlays] == [("heat", 40)]


def test_a_camera_fault_is_beside_what_was_recorded(shift: Any) -> None:
    """TI-19: a frozen picture is recorded, and said to be frozen."""
    shift.start()
    shift.begin()
    shift.film(10)
    since_us = shift.clock.utc_us() - 2 * SECOND
    shift.say("camera.fault", kind="frozen", since_us=since_us, why="the same picture")
    shift.film(5)
    shift.say("camera.recovered", kind="frozen", since_us=since_us, lasted_us=7 * SECOND)
    shift.film(5)
    timeline = shift.read()
    assert shift.states(timeline) == [("recorded", 20)]
    assert [(one.row, one.from_us - EIGHT, one.to_us - EIGHT, one.label) for one in timeline.overlays] == [
        ("camera", 8 * SECOND, 15 * SECOND, "frozen")
    ]


def test_the_length_of_a_power_cut_is_said_to_be_unproven_when_no_clock_knew_it(shift: Any) -> None:
    """TI-20."""
    shift.clock.source = "rtc"
    shift.start()
    shift.kill()
    shift.reboot(100)
    shift.start()
    timeline = shift.read()
    assert [one.kind for one in timeline.notes] == ["off_length_unproven", "died_between"]
    shift.kill()
    assert {one.label for one in timeline.overlays} == {"unset:rtc"}


def test_suspect_time_is_shown_until_it_is_trusted_again(shift: Any) -> None:
    """TI-20."""
    shift.start()
    shift.wait(10)
    shift.say("time.suspect", off_us=5, source="gnss")
    shift.wait(30)
    shift.say("time.trusted")
    shown = [(one.row, one.label, one.to_us - one.from_us) for one in shift.read().overlays]
    assert shown == [("clock", "suspect", 30 * SECOND)]


@pytest.mark.parametrize(("filming", "kinds"), [(True, ["proven_to"]), (False, ["died_between"])])
def test_when_an_idle_run_died_is_said_to_be_unknown(shift: Any, filming: bool, kinds: list[str]) -> None:
    """TI-15: a recording says so to a second, by its checkpoints."""
    shift.start()
    if filming:
        shift.begin()
        shift.film(5)
    shift.kill()
    shift.wait(100)
    shift.start()
    timeline = shift.read()
    assert ("restarted", 100) in shift.states(timeline)
    assert [one.kind for one in timeline.notes] == kinds


def test_no_line_is_no_timeline(tmp_path: Path) -> None:
    with pytest.raises(Integrity, match="no line"):
        read_timeline([])


def test_a_time_without_sound_is_beside_what_was_recorded(shift: Any) -> None:
    """TI-19: from the moment that the lines name, and not from when they were written."""
    shift.start()
    shift.begin()
    shift.film(10)
    since_us = shift.clock.utc_us() - 2 * SECOND
    shift.say("sound.lost", since_us=since_us, why="no sound for 1.5 s")
    shift.film(5)
    shift.say("sound.found", since_us=since_us, lasted_us=6 * SECOND)
    shift.film(5)
    timeline = shift.read()
    assert shift.states(timeline) == [("recorded", 20)]
    assert [(one.row, one.from_us - EIGHT, one.to_us - EIGHT, one.label) for one in timeline.overlays] == [
        ("sound", 8 * SECOND, 14 * SECOND, "sound_lost")
    ]


@pytest.mark.parametrize("event", ["sound.lost", "sound.found"])
def test_a_time_without_sound_is_told_by_either_line_alone(shift: Any, event: str) -> None:
    """TI-19: a full disk may have taken one of the two; without an end it lasts to the end of the run."""
    shift.start()
    shift.begin()
    shift.film(10)
    since_us = shift.clock.utc_us() - 4 * SECOND
    detail = {"why": "gone"} if event == "sound.lost" else {"lasted_us": 3 * SECOND}
    shift.say(event, since_us=since_us, **detail)
    shift.film(5)
    shift.end()
    shift.stop()
    length_us = 9 * SECOND if event == "sound.lost" else 3 * SECOND
    assert [(one.row, one.from_us - EIGHT, round(one.to_us - one.from_us, -6)) for one in shift.read().overlays] == [
        ("sound", 6 * SECOND, length_us)
    ]
