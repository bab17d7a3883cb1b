"""Stealth, mute and sleep: rules, intervals in custody, and what sleep does to camera and recording."""

import pytest

from edge.recorder.modes import Change, Mode, Modes, Permitted, load_modes, parse_change, refusal, save_modes
from vedette import commands
from vedette.errors import Usage


def switch(one, mode: str, on: object = True, by: str = "button") -> None:
    body = {"command": "mode", "mode": mode, "on": on, "activation": by, "id": ""}
    commands.post(one.device.run, "recorder", body, clock=one.clock)
    one.steps(4)


def said(device, *events: str) -> list[tuple[str, object]]:
    return [(e.event, e.detail.get("by")) for event in events for e in device.entries(event)]


def test_change_is_parsed_and_toggles_what_is_on() -> None:
    """AC-10."""
    body = {"command": "mode", "mode": "stealth", "on": "toggle", "activation": "button"}
    assert parse_change(body, Modes()) == Change(mode=Mode.STEALTH, on=True, by="button")
    assert parse_change(body, Modes(stealth=True)) == Change(mode=Mode.STEALTH, on=False, by="button")


@pytest.mark.parametrize(
    "wrong",
    [{"command": "start"}, {"mode": "invisible"}, {"on": 1}, {"on": "yes"}, {"activation": ""}, {"activation": 7},
     {"activation": "x" * 65}],
)  # fmt: skip
def test_change_is_none_when_a_field_is_wrong(wrong: dict[str, object]) -> None:
    """AC-10."""
    body = {"command": "mode", "mode": "mute", "on": True, "activation": "button", **wrong}
    assert parse_change(body, Modes()) is None


@pytest.mark.parametrize("mode", list(Mode))
def test_mode_is_refused_by_policy_and_its_end_never_is(mode: Mode) -> None:
    """AC-11."""
    none = Permitted(stealth=False, mute=False, sleep=False)
    assert refusal(Change(mode=mode, on=True, by="button"), none, is_held=False) == "policy"
    assert refusal(Change(mode=mode, on=False, by="button"), none, is_held=True) is None


def test_modes_file_is_none_when_it_is_not_whole(tmp_path) -> None:
    path = tmp_path / "recorder" / "modes.json"
    assert load_modes(path) == Modes()
    save_modes(path, Modes(stealth=True))
    assert load_modes(path) == Modes(stealth=True)
    for damage in (b"", b"{}", b'{"mute":1,"sleep":false,"stealth":true}', b"[]"):
        path.write_bytes(damage)
        assert load_modes(path) == Modes()


def test_modes_are_intervals_in_custody_with_who_began_and_ended_them(device, bench) -> None:
    """AC-10, AC-12."""
    one = bench()
    for mode in ("stealth", "mute"):
        switch(one, mode)
        assert one.status()["stealth" if mode == "stealth" else "muted"] is True
        switch(one, mode)
        switch(one, mode, on=False, by="command")
    assert said(device, "stealth.began", "stealth.ended") == [("stealth.began", "button"), ("stealth.ended", "command")]
    assert said(device, "mute.began", "mute.ended") == [("mute.began", "button"), ("mute.ended", "command")]


def test_mode_that_policy_forbids_is_noted_and_not_begun(device, bench) -> None:
    """AC-11."""
    one = bench(may_stealth=False)
    switch(one, "stealth")
    assert one.status()["stealth"] is False
    (refused,) = device.entries("stealth.refused")
    assert refused.detail == {"by": "button", "why": "policy"}


def test_sleep_ends_recording_lets_go_of_the_camera_and_keeps_nothing(device, bench, post) -> None:
    """AC-13."""
    one = bench(segment_s=60)
    one.steps(30)
    switch(one, "sleep")
    assert (one.camera.is_open, one.status()["state"], one.status()["asleep"]) == (False, "asleep", True)
    frames = one.status()["frames"]
    one.clock.advance(30_000_000)
    one.steps(20)
    assert one.status()["frames"] == frames
    (item,) = device.items()
    assert item.manifest.media.frames <= 34
    assert said(device, "sleep.began", "sleep.ended") == [("sleep.began", "button")]


@pytest.mark.parametrize(("verb", "why"), [("start", "lights"), ("mark", "crash")])
@pytest.mark.parametrize("mode", ["standby", "continuous"])
def test_activation_wakes_from_sleep_and_records(device, bench, post, verb: str, why: str, mode: str) -> None:
    """AC-14."""
    one = bench(mode=mode, segment_s=60)
    one.steps(20)
    switch(one, "sleep")
    one.clock.advance(60_000_000)
    asked_us = one.clock.utc_us()
    post(one, verb, why)
    one.steps(40)
    assert (one.status()["state"], one.status()["asleep"], one.camera.is_open) == ("recording", False, True)
    assert said(device, "sleep.ended") == [("sleep.ended", why)]
    one.close()
    woken = device.items()[-1]
    assert woken.manifest.activation == (why if mode == "standby" else "continuous")
    assert 0 <= woken.manifest.started_us - asked_us <= 2_000_000
    assert woken.manifest.media.frames >= 30


def test_sleep_is_refused_while_an_activation_is_recorded(device, bench, post) -> None:
    """AC-11: it would be a way round the hold that a stop needs."""
    one = bench(mode="standby")
    one.steps(10)
    post(one, "start")
    one.steps(5)
    switch(one, "sleep")
    assert one.status()["state"] == "recording"
    assert [e.detail["why"] for e in device.entries("sleep.refused")] == ["recording"]


def test_stop_does_not_wake_from_sleep(device, bench, post) -> None:
    """AC-14."""
    one = bench()
    switch(one, "sleep")
    post(one, "stop")
    one.steps(5)
    assert one.status()["state"] == "asleep"


def test_modes_go_on_and_are_said_again_when_the_recorder_was_restarted(device, bench, post) -> None:
    """AC-13, AC-15. A device that starts asleep opens neither camera nor microphone, and wakes as any."""
    one = bench()
    switch(one, "stealth")
    switch(one, "sleep")
    one.close()
    two = bench()
    two.steps(5)
    assert (two.status()["stealth"], two.status()["state"], two.camera.is_open) == (True, "asleep", False)
    assert two.camera.opens == 0
    assert said(device, "stealth.began") == [("stealth.began", "button"), ("stealth.began", "restart")]
    assert said(device, "stealth.ended") == [("stealth.ended", "service_stopped")]
    two.clock.advance(60_000_000)
    post(two, "start")
    two.steps(5)
    assert (two.status()["state"], two.status()["asleep"], two.camera.opens) == ("recording", False, 1)


def test_modes_are_over_when_the_machine_was_restarted(device, bench) -> None:
    """AC-15: the run folder is in memory."""
    one = bench()
    switch(one, "stealth")
    one.close()
    (device.run / "recorder" / "modes.json").unlink()
    two = bench()
    two.steps(5)
    assert two.status()["stealth"] is False


def test_short_stop_is_noted_and_recording_goes_on(device, bench, post) -> None:
    """AC-9."""
    one = bench(mode="standby")
    one.steps(5)
    post(one, "start")
    one.steps(5)
    post(one, "stop_ignored", held_ms=800)
    post(one, "stop_ignored", held_ms="long")
    one.steps(5)
    assert one.status()["state"] == "recording"
    assert [e.detail for e in device.entries("stop.ignored")] == [{"by": "button", "held_ms": 800}]
    assert one.status()["bad_commands"] == 1


def test_schedule_begins_and_ends_recording_by_the_clock(device, bench) -> None:
    """AC-6."""
    one = bench(mode="standby", schedule="mon 08:00-08:01", segment_s=60, pre_event_s=0)
    one.clock.jump(_monday(7, 59, 58) - one.clock.utc_us())
    one.steps(5)
    assert one.status()["state"] == "standby"
    one.steps(40)
    assert (one.status()["state"], one.status()["activation"]) == ("recording", "schedule")
    one.clock.jump(60_000_000)
    one.steps(30)
    assert one.status()["state"] == "standby"


def test_schedule_ends_sleep_when_its_hours_begin_and_not_a_sleep_within_them(device, bench) -> None:
    """AC-14."""
    one = bench(mode="standby", schedule="mon 08:00-09:00", segment_s=60, pre_event_s=0)
    one.clock.jump(_monday(7, 59, 58) - one.clock.utc_us())
    switch(one, "sleep")
    one.steps(5)
    assert one.status()["state"] == "asleep"
    one.clock.advance(3_000_000)
    one.steps(10)
    assert (one.status()["state"], one.status()["activation"]) == ("recording", "schedule")
    assert [entry.detail for entry in device.entries("sleep.ended")] == [{"by": "schedule"}]
    switch(one, "sleep")
    one.clock.advance(3_000_000)
    one.steps(10)
    assert one.status()["state"] == "asleep"


def _monday(hour: int, minute: int, second: int) -> int:
    """2026-11-23 is a Monday."""
    return 1_795_392_000_000_000 + ((hour * 60 + minute) * 60 + second) * 1_000_000


def test_peers_are_told_of_what_began_here_and_of_nothing_else(device, bench, post) -> None:
    """AC-20."""
    one = bench(mode="standby")
    one.service._duty._tells_peers = True
    for why in ("peer", "button", "remote", "lights"):
        post(one, "start", why)
        one.steps(4)
        post(one, "stop")
        one.steps(4)
    told = commands.take(device.run, "uplink")
    assert [(body["command"], body["activation"]) for body in told] == [
        ("tell_peers", "button"),
        ("tell_peers", "lights"),
    ]


def test_recorder_is_refused_when_the_schedule_is_none(bench) -> None:
    with pytest.raises(Usage, match="'always' is no entry"):
        bench(schedule="always")
