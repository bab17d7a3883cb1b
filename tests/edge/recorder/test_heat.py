"""A board that gets hot: what custody says, and a camera that rests for it where policy says so."""

import pytest

from edge.board.heat import write_heat
from edge.camera.condition import Moment
from edge.recorder.heat import Heat
from vedette.custody import verify_chain
from vedette.keys import SigningKey
from vedette.timeline import State
from vedette.timeline_layers import read_timeline

SECOND = 1_000_000
HOT, COOLER, COOL = 85_000, 80_000, 79_999


def looked(heat: Heat, *measured: tuple[int | None, int]) -> list[tuple[int, str, dict[str, object]]]:
    """What is said in which second, for measurements that hold for so many seconds each."""
    values = [milli_c for milli_c, seconds in measured for _ in range(seconds)]
    return [
        (second, event, dict(detail))
        for second, milli_c in enumerate(values)
        for event, detail in heat.look(milli_c, Moment(utc_us=second * SECOND, mono_us=second * SECOND))
    ]


def test_board_is_hot_after_ten_seconds_and_no_more_five_degrees_below() -> None:
    """HE-3: with the most that was measured, and when it began."""
    said = looked(Heat(85), (40_000, 3), (HOT, 11), (93_700, 2), (COOLER, 20), (COOL, 5))
    assert said == [
        (13, "heat.began", {"celsius": 85, "limit_c": 85, "since_us": 3 * SECOND}),
        (37, "heat.ended", {"most_c": 93, "since_us": 3 * SECOND, "lasted_us": 33 * SECOND}),
    ]


@pytest.mark.parametrize(
    ("limit_c", "measured"),
    [(85, [(HOT, 10), (84_999, 1), (HOT, 10)]), (85, [(84_999, 60)]), (0, [(HOT, 60)]), (85, [(None, 60)])],
)
def test_nothing_is_said_of_a_board_that_is_not_hot_for_long(limit_c: int, measured) -> None:
    """HE-3."""
    assert looked(Heat(limit_c), *measured) == []


def test_heat_is_over_where_nobody_measures_any_more() -> None:
    """HE-3: else a dead sensor would keep the camera at rest."""
    heat = Heat(85)
    assert [event for _second, event, _detail in looked(heat, (HOT, 12), (None, 3))] == ["heat.began", "heat.ended"]
    assert heat.is_hot is False


def runs(one, seconds: int, milli_c: int) -> None:
    """The recorder for so long, on a board of this temperature."""
    until_us = one.clock.mono_us() + seconds * SECOND
    while one.clock.mono_us() < until_us:
        write_heat(one.device.run, milli_c, now_us=one.clock.utc_us())
        one.steps(1)
        if not one.camera.is_open:
            one.clock.advance(200_000)


def said(device, *events: str) -> list[tuple[str, object]]:
    return [(e.event, e.detail.get("by", e.detail.get("why"))) for event in events for e in device.entries(event)]


def states(device) -> list[tuple[State, int]]:
    timeline = read_timeline(verify_chain(device.lines(), SigningKey.load(device.folder / "keys" / "sign.pem").public))
    assert timeline.unexplained_us == 0
    return [(one.state, round(one.length_us / SECOND)) for one in timeline.stretches if one.length_us > SECOND]


@pytest.mark.parametrize("mode", ["continuous", "standby"])
def test_heat_changes_nothing_that_is_recorded_unless_policy_says_so(device, bench, mode: str) -> None:
    """HE-4: it is said, and that is all."""
    one = bench(mode=mode)
    runs(one, 30, 90_000)
    assert one.camera.is_open
    assert one.status()["state"] == ("recording" if mode == "continuous" else "standby")
    one.close()
    assert said(device, "rest.began") == []
    assert [entry.detail["celsius"] for entry in device.entries("heat.began")] == [90]


def test_camera_rests_while_it_is_hot_and_records_again_when_it_is_cooler(device, bench) -> None:
    """HE-4, HE-6: every second of it is accounted for."""
    one = bench(hot_rests=True, segment_s=60)
    runs(one, 10, 60_000)
    runs(one, 60, 90_000)
    assert (one.status()["state"], one.camera.is_open, one.status()["asleep"]) == ("thermal", False, False)
    runs(one, 20, 70_000)
    assert one.status()["state"] == "recording"
    one.close()
    assert said(device, "rest.began", "rest.ended") == [("rest.began", "thermal"), ("rest.ended", "cooler")]
    assert [entry.detail["reason"] for entry in device.entries("recording.stopped")] == ["thermal", "service_stopped"]
    (first, rest, last) = states(device)
    assert (first[0], rest[0], last[0]) == (State.RECORDED, State.THERMAL, State.RECORDED)
    assert 48 <= rest[1] <= 53


@pytest.mark.parametrize("verb", ["start", "mark"])
@pytest.mark.parametrize("mode", ["continuous", "standby"])
def test_activation_is_recorded_however_hot_it_is(device, bench, post, mode: str, verb: str) -> None:
    """HE-5: and the camera rests again when it is over."""
    one = bench(mode=mode, hot_rests=True, hit_after_s=10, post_event_s=10, segment_s=60)
    runs(one, 30, 90_000)
    assert one.status()["state"] == "thermal"
    asked_us = one.clock.utc_us()
    post(one, verb, "crash" if verb == "mark" else "button")
    runs(one, 8, 95_000)
    assert one.status()["state"] == "recording"
    post(one, "stop")
    runs(one, 20, 95_000)
    assert one.status()["state"] == "thermal"
    one.close()
    why = "crash" if verb == "mark" else "button"
    assert said(device, "rest.began", "rest.ended") == [
        ("rest.began", "thermal"), ("rest.began", "thermal"), ("rest.ended", why),
    ]  # fmt: skip
    kept = [item.manifest for item in device.items() if item.manifest.started_us >= asked_us]
    assert kept[0].started_us - asked_us <= 2 * SECOND
    assert kept[0].media.frames >= 70
    assert State.THERMAL in {state for state, _length in states(device)}


def test_recording_that_was_activated_goes_on_through_any_heat(device, bench, post) -> None:
    """HE-4: only what nobody needs gives way."""
    one = bench(mode="standby", hot_rests=True, segment_s=60)
    runs(one, 5, 60_000)
    post(one, "start")
    runs(one, 60, 105_000)
    assert one.status()["state"] == "recording"
    one.close()
    assert said(device, "rest.began") == []


def test_sleep_takes_the_place_of_rest_and_rest_of_sleep(device, bench, post) -> None:
    """HE-4: never both, and the camera stays let go of."""
    one = bench(mode="standby", hot_rests=True)
    runs(one, 20, 90_000)
    opens = one.camera.opens
    post(one, "mode", mode="sleep", on=True)
    runs(one, 5, 90_000)
    assert one.status()["state"] == "asleep"
    post(one, "mode", mode="sleep", on=False)
    runs(one, 5, 90_000)
    assert one.status()["state"] == "thermal"
    assert one.camera.opens == opens
    one.close()
    assert said(device, "rest.ended") == [("rest.ended", "sleep")]
    assert [state for state, _length in states(device)][-3:] == [State.THERMAL, State.ASLEEP, State.THERMAL]
