"""A recorder that is killed between any two lines of its journal goes on with what was asked of it."""

from __future__ import annotations

import pytest

from vedette import commands, custody
from vedette.custody import Journal
from vedette.custody_entry import Entry, parse_line
from vedette.records import PRIORITY_MARKED
from vedette.spool import Item
from vedette.timeline import State
from vedette.timeline_layers import read_timeline


class Killed(BaseException):
    """`kill -9`, which nothing catches."""


@pytest.fixture
def kill_at(monkeypatch: pytest.MonkeyPatch):
    """Have the process die right before or right behind the next line of an event."""
    real = Journal.append

    def arm(event: str, *, is_behind: bool, command: str | None = None) -> None:
        def append(journal: Journal, name: str, *rest: object, **more: object):
            detail = more.get("detail") or {}
            is_it = name == event and command in (None, detail.get("command"))
            if is_it and not is_behind:
                raise Killed
            line = real(journal, name, *rest, **more)
            if is_it:
                raise Killed
            return line

        monkeypatch.setattr(custody.Journal, "append", append)

    yield arm
    monkeypatch.setattr(custody.Journal, "append", real)


@pytest.fixture
def spare(monkeypatch: pytest.MonkeyPatch):
    """Nothing dies any more."""
    real = Journal.append
    return lambda: monkeypatch.setattr(custody.Journal, "append", real)


def drop(one) -> None:
    """What a kill leaves: the open file as it lies, and nobody who holds the journal."""
    recording = one.service._keeping.recording
    if recording is not None:
        recording.abandon()
    one.service._keeping._opened.journal.close()
    one.is_closed = True
    one.clock.advance(3_000_000)


def earlier_recording(one, post) -> None:
    """A recording that ended in order, and a long standby behind it."""
    post(one, "start")
    one.steps(20)
    post(one, "stop")
    one.steps(2)
    one.clock.advance(3_600_000_000)
    one.steps(120)


STARTED = [
    ("activation.received", False),
    ("activation.received", True),
    ("recording.started", False),
    ("recording.started", True),
    ("segment.opened", False),
    ("segment.opened", True),
    ("segment.checkpoint", False),
    ("segment.checkpoint", True),
]


@pytest.mark.parametrize("verb", ["start", "mark"])
@pytest.mark.parametrize(("event", "is_behind"), STARTED)
def test_activation_is_recorded_wherever_the_recorder_was_killed_over_it(
    device, bench, post, spare, kill_at, event: str, is_behind: bool, verb: str
) -> None:
    """AC-46: and the gap does not reach back to the recording before, which an hour of standby lies behind."""
    one = bench(mode="standby", pre_event_s=8)
    earlier_recording(one, post)
    kill_at(event, is_behind=is_behind)
    asked_us = one.clock.utc_us()
    post(one, verb)
    with pytest.raises(Killed):
        one.steps(30)
    spare()
    drop(one)
    two = bench(mode="standby", pre_event_s=8)
    two.steps(20)
    assert (two.status()["state"], two.status()["activation"]) == ("recording", "button")
    gaps = device.entries("gap")
    assert all(gap.detail["from_us"] > asked_us - 10_000_000 for gap in gaps)
    assert len(gaps) == (0 if (event, is_behind) == STARTED[0] else 1)
    two.close()
    found = read_timeline(all_entries(device))
    assert found.totals[State.RESTARTED] <= 20_000_000
    assert found.totals[State.STANDBY] > 3_590_000_000
    assert found.unexplained_us == 0


def all_entries(device) -> list[Entry]:
    return [parse_line(line) for line in device.lines()]


STOPPED = [
    ("activation.received", False),
    ("activation.received", True),
    ("segment.closed", False),
    ("segment.closed", True),
    ("recording.stopped", False),
    ("recording.stopped", True),
]


@pytest.mark.parametrize(("event", "is_behind"), STOPPED)
def test_stop_is_obeyed_wherever_the_recorder_was_killed_over_it(
    device, bench, post, spare, kill_at, event: str, is_behind: bool
) -> None:
    """AC-46: it does not go on with what the officer had stopped."""
    one = bench(mode="standby", segment_s=60)
    post(one, "start")
    one.steps(30)
    kill_at(event, is_behind=is_behind)
    post(one, "stop")
    with pytest.raises(Killed):
        one.steps(5)
    spare()
    drop(one)
    two = bench(mode="standby", segment_s=60)
    two.steps(10)
    assert two.status()["state"] == "standby"
    assert device.entries("recording.stopped")[-1].detail["reason"] == "stopped"
    assert not list(commands.folder(device.run, "recorder").iterdir())
    two.close()
    assert read_timeline(all_entries(device)).unexplained_us == 0


def test_tail_of_a_stop_goes_on_and_ends_where_the_recorder_died_within_it(device, bench, post) -> None:
    """AC-46, AC-3."""
    one = bench(mode="standby", stop_tail_s=6)
    post(one, "start")
    one.steps(30)
    post(one, "stop")
    one.steps(10)
    assert one.status()["state"] == "recording"
    drop(one)
    two = bench(mode="standby", stop_tail_s=6)
    two.steps(10)
    assert two.status()["state"] == "recording"
    two.steps(70)
    assert two.status()["state"] == "standby"


def test_start_within_the_hours_holds_the_recording_behind_them_though_the_recorder_died(device, bench, post) -> None:
    """AC-46, AC-2: the recording that the schedule began is held by the officer's start."""
    hours = {"mode": "standby", "schedule": "mon-sun 00:00-00:00"}
    one = bench(**hours)
    one.steps(10)
    post(one, "start")
    one.steps(10)
    drop(one)
    two = bench(mode="standby")
    two.steps(10)
    assert (two.status()["state"], two.status()["held"]) == ("recording", True)


@pytest.mark.parametrize("mode", ["continuous", "schedule"])
def test_start_goes_on_to_mark_what_is_recorded_always_though_the_recorder_died_twice(
    device, bench, post, mode: str
) -> None:
    """AC-46, AC-2: until the stop, however long that is."""
    policy = {"schedule": "mon-sun 00:00-00:00", "mode": "standby"} if mode == "schedule" else {"mode": "continuous"}
    policy = {**policy, "segment_s": 2, "post_event_s": 3}
    one = bench(**policy)
    one.steps(10)
    post(one, "start")
    for _ in range(2):
        one.steps(60)
        drop(one)
        one = bench(**policy)
    one.steps(90)
    assert one.status()["held"] is True
    post(one, "stop")
    one.steps(60)
    one.close()
    marked = [item.manifest.priority == PRIORITY_MARKED for item in sorted(device.items(), key=began)]
    assert all(marked[:8])
    assert marked[-1] is False


def began(item: Item) -> int:
    return item.manifest.started_us


def test_message_that_kills_its_recorder_twice_is_not_read_a_third_time(device, bench, post, spare, kill_at) -> None:
    """AC-46: a message must not keep the recorder from running."""
    for _ in range(2):
        one = bench(mode="standby")
        kill_at("activation.received", is_behind=False)
        if not list(commands.folder(device.run, "recorder").glob("*.json")):
            post(one, "start")
        with pytest.raises(Killed):
            one.steps(5)
        spare()
        drop(one)
    three = bench(mode="standby")
    three.steps(10)
    assert three.status()["state"] == "standby"


@pytest.mark.parametrize("died", ["standby", "asleep", "stopped", "recording"])
def test_lost_buffer_is_in_custody_where_the_recorder_died_in_standby(device, bench, post, died: str) -> None:
    """AC-47: and nowhere else."""
    one = bench(mode="standby", pre_event_s=20)
    one.steps(30)
    if died == "asleep":
        post(one, "mode", mode="sleep", on=True)
    elif died == "recording":
        post(one, "start")
    one.steps(5)
    if died == "stopped":
        one.close()
    else:
        drop(one)
    two = bench(mode="standby", pre_event_s=20)
    two.steps(3)
    said = [entry.detail for entry in device.entries("pre_event.lost")]
    assert said == ([{"most_us": 20_000_000}] if died == "standby" else [])
    notes = [(note.kind, note.value) for note in read_timeline(all_entries(device)).notes]
    assert (("pre_event_lost", "20 s") in notes) is (died == "standby")


def test_what_obeying_a_command_raises_is_hidden_by_nobody(bench, post, monkeypatch: pytest.MonkeyPatch) -> None:
    """AC-46: only an inbox that cannot be read is passed over; the command waits for the next run."""

    def obey(*_: object) -> None:
        raise OSError(28, "no space left")

    one = bench()
    one.steps(5)
    post(one, "start")
    with monkeypatch.context() as broken, pytest.raises(OSError, match="no space"):
        broken.setattr(one.service._duty, "_obey", obey)
        one.service._duty.take(one.clock.mono_us())
    assert len(list(commands.each(one.service._run, "recorder"))) == 1
