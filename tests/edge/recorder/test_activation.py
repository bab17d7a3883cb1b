"""When video is kept and which of it is marked."""

import pytest

from edge.recorder.activation import (
    MAX_MARKS,
    Command,
    Policy,
    State,
    Verb,
    after_command,
    after_time,
    is_marked,
    parse_command,
    wanted,
)

S = 1_000_000
REACH = {"pre_event_us": 20 * S, "post_event_us": 10 * S, "hit_before_us": 60 * S, "hit_after_us": 30 * S}
CONTINUOUS = Policy(continuous=True, **REACH)
STANDBY = Policy(continuous=False, **REACH)
SCHEDULED = Policy(continuous=False, scheduled=True, **REACH)
TAIL = Policy(continuous=False, stop_tail_us=5 * S, **REACH)


def command(verb: Verb, at_s: int = 1000, activation: str = "button") -> Command:
    return Command(verb=verb, activation=activation, reference="", at_us=at_s * S)


def after(policy: Policy, *commands: Command) -> State:
    state = State()
    for one in commands:
        state = after_command(state, one, policy, now_us=one.at_us)
    return state


def test_recording_is_wanted_always_when_mode_is_continuous():
    """AC-1, AC-2."""
    assert wanted(State(), CONTINUOUS) == "continuous"
    assert wanted(after(CONTINUOUS, command(Verb.START), command(Verb.STOP)), CONTINUOUS) == "continuous"


def test_recording_is_wanted_from_start_to_stop_when_mode_is_standby():
    """AC-1."""
    assert wanted(State(), STANDBY) is None
    assert wanted(after(STANDBY, command(Verb.START)), STANDBY) == "button"
    assert wanted(after(STANDBY, command(Verb.START), command(Verb.STOP)), STANDBY) is None


def test_second_start_changes_nothing_when_recording_is_held():
    first = after(STANDBY, command(Verb.START))
    assert after_command(first, command(Verb.START, 1001, "remote"), STANDBY, now_us=1001 * S) == first


def test_hit_keeps_recording_until_post_event_when_mode_is_standby():
    state = after(STANDBY, command(Verb.MARK, 1000, "hit"))
    assert wanted(after_time(state, now_us=1030 * S, oldest_us=0), STANDBY) == "hit"
    assert wanted(after_time(state, now_us=1030 * S + 1, oldest_us=0), STANDBY) is None


@pytest.mark.parametrize(("activation", "from_s", "to_s"), [("hit", 940, 1030), ("crash", 980, 1010)])
def test_mark_reaches_as_far_as_its_activation_says(activation: str, from_s: int, to_s: int):
    """AC-4."""
    state = after(STANDBY, command(Verb.MARK, 1000, activation))
    edges = (from_s * S - 1, from_s * S, to_s * S, to_s * S + 1)
    assert [is_marked(state, from_us=at, to_us=at) for at in edges] == [False, True, True, False]
    assert wanted(after_time(state, now_us=to_s * S, oldest_us=0), STANDBY) == activation
    assert wanted(after_time(state, now_us=to_s * S + 1, oldest_us=0), STANDBY) is None


def test_schedule_records_like_continuous_mode_while_it_is_on():
    """AC-2, AC-6."""
    assert wanted(State(), SCHEDULED) == "schedule"
    stopped = after(SCHEDULED, command(Verb.START, 1000), command(Verb.STOP, 1100))
    assert wanted(stopped, SCHEDULED) == "schedule"
    assert is_marked(stopped, from_us=1050 * S, to_us=1050 * S)
    assert wanted(stopped, STANDBY) is None


def test_stop_has_a_tail_where_one_is_configured_and_a_second_stop_ends_it():
    """AC-3."""
    stopped = after(TAIL, command(Verb.START, 1000), command(Verb.STOP, 1100))
    assert wanted(after_time(stopped, now_us=1105 * S, oldest_us=0), TAIL) == "button"
    assert wanted(after_time(stopped, now_us=1105 * S + 1, oldest_us=0), TAIL) is None
    assert wanted(after_command(stopped, command(Verb.STOP, 1101), TAIL, now_us=1101 * S), TAIL) is None


def test_start_in_the_tail_of_a_stop_holds_the_recording_again():
    """AC-3."""
    state = after(TAIL, command(Verb.START, 1000), command(Verb.STOP, 1100), command(Verb.START, 1102))
    assert wanted(after_time(state, now_us=9999 * S, oldest_us=0), TAIL) == "button"


def test_second_hit_prolongs_recording_when_the_first_is_not_over():
    state = after(STANDBY, command(Verb.MARK, 1000, "hit"), command(Verb.MARK, 1020, "hit"))
    assert wanted(after_time(state, now_us=1050 * S, oldest_us=0), STANDBY) == "hit"


def test_stop_ends_recording_when_a_hit_would_keep_it():
    state = after(STANDBY, command(Verb.START, 999), command(Verb.MARK, 1000, "hit"), command(Verb.STOP, 1005))
    assert wanted(state, STANDBY) is None


def test_recording_goes_on_when_a_hit_is_over_and_the_button_holds_it():
    state = after(STANDBY, command(Verb.START, 999), command(Verb.MARK, 1000, "hit"))
    assert wanted(after_time(state, now_us=2000 * S, oldest_us=0), STANDBY) == "button"


@pytest.mark.parametrize(
    ("from_s", "to_s", "marked"),
    [(900, 939, False), (900, 940, True), (1000, 1000, True), (1030, 1090, True), (1031, 1090, False)],
)
def test_segment_is_marked_when_it_meets_a_hits_time(from_s: int, to_s: int, marked: bool):
    state = after(CONTINUOUS, command(Verb.MARK, 1000, "hit"))
    assert is_marked(state, from_us=from_s * S, to_us=to_s * S) is marked


@pytest.mark.parametrize(("at_s", "marked"), [(979, False), (980, True), (1100, True), (1101, False)])
def test_button_marks_from_pre_event_to_stop_when_mode_is_continuous(at_s: int, marked: bool):
    state = after(CONTINUOUS, command(Verb.START, 1000), command(Verb.STOP, 1100))
    assert is_marked(state, from_us=at_s * S, to_us=at_s * S) is marked


def test_mark_is_open_when_the_button_is_still_down():
    assert is_marked(after(CONTINUOUS, command(Verb.START, 1000)), from_us=9999 * S, to_us=9999 * S)


def test_marks_are_forgotten_when_they_are_old():
    state = after(CONTINUOUS, command(Verb.MARK, 1000, "hit"))
    assert len(after_time(state, now_us=0, oldest_us=1030 * S).marks) == 1
    assert after_time(state, now_us=0, oldest_us=1031 * S).marks == ()


@pytest.mark.parametrize("count", [MAX_MARKS - 1, MAX_MARKS, MAX_MARKS + 1, 2 * MAX_MARKS])
def test_marks_never_exceed_their_limit_and_lose_no_marked_time(count: int):
    marks = [command(Verb.MARK, 1000 + 200 * n, "hit") for n in range(count)]
    state = after(CONTINUOUS, *marks)
    assert len(state.marks) == min(count, MAX_MARKS)
    assert all(is_marked(state, from_us=one.at_us, to_us=one.at_us) for one in marks)


def test_command_is_parsed_when_it_is_whole():
    body = {"command": "mark", "activation": "hit", "id": "x", "from_us": 5}
    found = parse_command(body, now_us=9, offset_us=0)
    assert found == Command(verb=Verb.MARK, activation="hit", reference="x", at_us=5)


@pytest.mark.parametrize(
    ("named", "at_us"),
    [
        ({"from_us": 3_605}, 5),
        ({"from_us": 3_605, "from_mono_us": 4}, 4),
        ({"from_us": 5, "from_mono_us": 4}, 4),
        ({"from_mono_us": 10}, 9),
        ({}, 9),
    ],
)
def test_commands_time_is_monotonic_whatever_the_wall_clock_was_set_to(named: dict[str, int], at_us: int):
    """AC-42: the sender's own counts; UTC alone is taken as the wall clock is now."""
    found = parse_command({"command": "mark", "activation": "hit", **named}, now_us=9, offset_us=3_600)
    assert found is not None
    assert found.at_us == at_us


def test_commands_time_becomes_now_when_it_is_missing_or_in_the_future():
    body = {"command": "start", "activation": "button"}
    assert [parse_command({**body, **more}, now_us=9, offset_us=0).at_us for more in ({}, {"from_us": 10})] == [9, 9]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"command": "erase", "activation": "button"},
        {"command": "start"},
        {"command": "start", "activation": ""},
        {"command": "start", "activation": 7},
        {"command": "start", "activation": "x" * 65},
        {"command": "start", "activation": "button", "id": ["x"]},
        {"command": "start", "activation": "button", "from_us": "now"},
        {"command": "start", "activation": "button", "from_us": True},
        {"command": "start", "activation": "button", "from_us": -1},
        {"command": "start", "activation": "button", "from_mono_us": -1},
        {"command": "start", "activation": "button", "from_mono_us": "now"},
    ],
)
def test_command_is_none_when_a_field_is_wrong(body: dict[str, object]):
    """AC-5."""
    assert parse_command(body, now_us=9, offset_us=0) is None
