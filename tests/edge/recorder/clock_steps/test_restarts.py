"""A recorder that is started again goes on where it broke off, whatever the wall clock was set to meanwhile."""

import pytest

from vedette.clock import FakeClock
from vedette.records import PRIORITY_BULK, PRIORITY_MARKED
from vedette.timeline import State

SECOND = 1_000_000
RATE = 10


def died(one) -> None:
    """The recorder is gone without a word."""
    one.service._keeping.recording.abandon()
    one.service._keeping._opened.journal.close()
    one.is_closed = True


def ended(one) -> None:
    one.close()


def between(device) -> tuple[str, int, int]:
    """(why, length, its end after the first line) of the one gap, by the monotonic clock."""
    (gap,) = device.entries("gap")
    started = device.entries("service.started")[0]
    to_us = gap.detail["to_mono_us"]
    return gap.detail["why"], to_us - gap.detail["from_mono_us"], to_us - started.mono_us


def lengths(timeline, state: State) -> list[int]:
    return [one.length_us for one in timeline.stretches if one.state is state]


@pytest.mark.parametrize(
    ("end", "why", "state", "when"),
    [
        (died, "killed", State.RESTARTED, "before"),
        (died, "killed", State.RESTARTED, "while it is down"),
        (ended, "service_stopped", State.OFF, "while it is down"),
        (ended, "service_stopped", State.OFF, "after"),
    ],
)
def test_restart_is_a_gap_of_its_length_when_the_clock_is_set_around_it(
    device, bench, camera, scripted, set_clock, accounted, end, why: str, state: State, when: str
) -> None:
    """SP-9, TI-15, TI-28: also where the times of the wall clock say that it ended before it began."""
    one = bench(camera=camera, segment_s=60)
    one.steps(30)
    if when == "before":
        set_clock()
    one.steps(25)
    end(one)
    one.clock.advance(3 * SECOND)
    if when == "while it is down":
        set_clock()
    one.clock.advance(2 * SECOND)
    two = bench(camera=scripted(reads_clock=camera.reads_clock), segment_s=60)
    two.steps(20)
    if when == "after":
        set_clock()
    two.steps(20)
    two.close()
    said, length_us, _to = between(device)
    opened = [entry.item for entry in device.entries("segment.opened")]
    first, second = sorted(device.items(), key=lambda item: opened.index(item.item_id))
    assert said == why
    assert second.manifest.media.frames == 40
    assert length_us == 5 * SECOND + 55 * SECOND // RATE - first.manifest.media.duration_us
    timeline = accounted(device)
    (down_us,) = lengths(timeline, state)
    assert 4 * SECOND <= down_us <= 7 * SECOND
    assert timeline.to_us - timeline.from_us == 5 * SECOND + (55 + 40) * SECOND // RATE


@pytest.mark.parametrize("verb", ["start", "mark"])
def test_standby_goes_on_with_what_it_did_when_the_clock_was_set_while_it_was_down(
    device, bench, camera, scripted, set_clock, post, accounted, verb: str
) -> None:
    """AC-1, AC-4: what a mark kept is kept for as long again after a restart."""
    one = bench(camera=camera, mode="standby", post_event_s=4, pre_event_s=0, segment_s=60)
    one.steps(10)
    post(one, verb, "crash")
    one.steps(20)
    died(one)
    set_clock()
    one.clock.advance(2 * SECOND)
    two = bench(camera=scripted(reads_clock=camera.reads_clock), mode="standby", post_event_s=4, segment_s=60)
    two.steps(35)
    assert two.status()["state"] == "recording"
    two.steps(10)
    assert two.status()["state"] == ("recording" if verb == "start" else "standby")
    two.close()
    said, length_us, _to = between(device)
    assert (said, 2 * SECOND <= length_us <= 3 * SECOND) == ("killed", True)
    accounted(device)


@pytest.mark.parametrize(("down_s", "priority"), [(2, PRIORITY_MARKED), (8, PRIORITY_BULK)])
def test_mark_goes_on_after_a_restart_for_as_long_as_it_was_recent_by_no_clock_that_was_set(
    device, bench, camera, scripted, set_clock, post, accounted, down_s: int, priority: int
) -> None:
    """AC-4: post-event time is five seconds."""
    one = bench(camera=camera, post_event_s=5, segment_s=60)
    one.steps(10)
    post(one, "mark", "crash")
    one.steps(20)
    one.close()
    set_clock()
    one.clock.advance(down_s * SECOND)
    two = bench(camera=scripted(reads_clock=camera.reads_clock), post_event_s=5, segment_s=60)
    two.steps(20)
    two.close()
    before = {item.item_id for item in device.items() if item.manifest.media.frames == 30}
    (again,) = [item for item in device.items() if item.item_id not in before]
    assert again.manifest.priority == priority
    accounted(device)


def test_clock_is_set_and_old_files_of_the_journal_are_gone_before_a_restart(
    device, bench, camera, scripted, set_clock, post, accounted
) -> None:
    """CJ-18, TI-28: the newest file says enough, though it has no line of this run's start."""
    one = bench(camera=camera, mode="standby", pre_event_s=0, segment_s=60)
    one.steps(10)
    post(one, "start")
    one.steps(20)
    post(one, "stop")
    one.steps(5)
    journal = one.service._keeping._filing.journal
    for path in journal.closed_files():
        path.unlink()
    post(one, "start")
    one.steps(20)
    set_clock()
    one.steps(10)
    died(one)
    one.clock.advance(2 * SECOND)
    two = bench(camera=scripted(reads_clock=camera.reads_clock), mode="standby", pre_event_s=0, segment_s=60)
    two.steps(20)
    two.close()
    said, length_us, _to = between(device)
    assert (said, 2 * SECOND <= length_us <= 3 * SECOND) == ("killed", True)


def test_machine_that_started_with_a_wrong_clock_goes_on_and_is_set_right(
    device, bench, step, scripted, post, accounted
) -> None:
    """TI-8, TI-11, TI-28: two boots of the machine cannot be compared by the monotonic clock; each is dated by its own.

    The second boot reads another time than the first, and is set back to the right one while it records.
    """
    one = bench(camera=scripted(reads_clock=True), mode="standby", pre_event_s=0, segment_s=60)
    one.steps(10)
    post(one, "start")
    one.steps(30)
    died(one)
    right_us = one.clock.utc_us() + 60 * SECOND
    again = FakeClock(utc_us=right_us + step[1], mono_us=20 * SECOND)
    again.boot = "b" * 16
    two = bench(
        camera=scripted(clock=again, reads_clock=True), clock=again, mode="standby", pre_event_s=0, segment_s=60
    )
    two.steps(20)
    again.jump(-step[1])
    two.steps(80)
    two.close()
    (gap,) = device.entries("gap")
    assert (gap.detail["why"], gap.detail["from_mono_us"]) == ("killed", None)
    assert gap.detail["to_mono_us"] == 20 * SECOND
    timeline = accounted(device, set_by=[-step[1]])
    assert [one.state for one in timeline.stretches if one.length_us > SECOND] == [
        State.RECORDED, State.POWER_LOST, State.RECORDED,
    ]  # fmt: skip
    (down_us,) = lengths(timeline, State.POWER_LOST)
    assert 60 * SECOND <= down_us <= 62 * SECOND
