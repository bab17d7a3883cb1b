"""How the officer is reminded of a recording is an interval in custody, and so is that nobody is."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.camera.condition import Moment
from edge.recorder.reminding import PANEL_FRESH_US, Reminding, period_of
from vedette import daemon
from vedette.custody_entry import Entry, parse_line
from vedette.timeline_layers import read_timeline
from vedette.timeline_words import Words


def panel_says(one, period_s: int | None, *, age_us: int = 0) -> None:
    """The panel's status, of this moment."""
    told = {} if period_s is None else {"reminder_s": period_s}
    daemon.write_status(one.device.run, "panel", {"utc_us": one.clock.utc_us() - age_us, **told})


def run(one, seconds: int, period_s: int | None = 120) -> None:
    """Step a recorder beside a panel that runs; ten pictures are a second."""
    for _ in range(seconds):
        panel_says(one, period_s)
        one.steps(10)


def intervals(device) -> list[tuple[object, ...]]:
    """What custody says: (period, why) as one begins, (by,) as it ends."""
    entries = map(parse_line, device.lines())
    found = [entry for entry in entries if entry.event.startswith("reminder.")]
    return [
        (entry.detail["period_s"], entry.detail["why"]) if entry.event == "reminder.began" else (entry.detail["by"],)
        for entry in found
    ]


def test_reminder_is_one_interval_from_the_beginning_of_a_recording_to_its_end(device, bench, post) -> None:
    """AC-48: however often the officer is reminded within it."""
    one = bench(mode="standby", segment_s=60)
    run(one, 3)
    assert intervals(device) == []
    post(one, "start")
    run(one, 30, period_s=10)
    assert intervals(device) == [(10, None)]
    post(one, "stop")
    run(one, 3)
    assert intervals(device) == [(10, None), ("stopped",)]
    one.close()
    assert len(intervals(device)) == 2


def test_stealth_ends_the_interval_and_has_its_own_before_the_status_says_stealth(device, bench, post) -> None:
    """AC-48, AC-12: custody says that nobody is reminded, and since when somebody is again."""
    one = bench(mode="standby", segment_s=60)
    post(one, "start")
    run(one, 3)
    post(one, "mode", mode="stealth", on=True)
    one.clock.advance(100_000)
    one.steps(1)
    told = daemon.read_status(device.run, "recorder")
    assert (told["stealth"], intervals(device)) == (True, [(120, None), ("stealth",), (None, "stealth")])
    run(one, 5)
    post(one, "mode", mode="stealth", on=False)
    run(one, 2)
    one.close()
    assert intervals(device)[3:] == [("reminded",), (120, None), ("service_stopped",)]


def test_policy_without_a_reminder_is_an_interval_too(device, bench, post) -> None:
    """AC-48."""
    one = bench(segment_s=60)
    run(one, 8, period_s=0)
    one.close()
    assert intervals(device) == [(None, "policy"), ("service_stopped",)]


@pytest.mark.parametrize("found", ["nothing", "old", "without"])
def test_panel_that_does_not_run_reminds_nobody_and_custody_says_so_within_six_seconds(
    device, bench, found: str
) -> None:
    """AC-48: but one that is only started anew does not fill the journal."""
    one = bench(segment_s=60)
    run(one, 2)
    if found == "nothing":
        (device.run / "status" / "panel.json").unlink()
        one.steps(70)
    else:
        for _ in range(7):
            panel_says(one, None if found == "without" else 120, age_us=6_000_000 if found == "old" else 0)
            one.steps(10)
    assert intervals(device) == [(120, None), ("panel",), (None, "panel")]
    run(one, 2)
    one.steps(40)
    run(one, 2)
    assert intervals(device)[3:] == [("reminded",), (120, None)]
    one.close()


def test_panel_that_starts_after_the_recording_is_waited_for(device, bench) -> None:
    """AC-48: and one that does not come for 5 s is said not to run."""
    one = bench(segment_s=60)
    one.steps(30)
    run(one, 2)
    one.close()
    assert intervals(device) == [(120, None), ("service_stopped",)]
    (device.run / "status" / "panel.json").unlink()
    two = bench(segment_s=60)
    two.steps(65)
    assert intervals(device)[2:] == [(None, "panel")]


def test_interval_is_said_to_be_over_when_the_disk_takes_it_again(tmp_path: Path) -> None:
    """AC-48: a recording that the disk broke off did not remind anybody until it began again."""
    one, at = Reminding(tmp_path), Moment(0, 0)
    assert one.look(at, recording=True, stealth=True, can_say=True) != []
    assert one.look(at, recording=False, stealth=True, can_say=False) == []
    again = one.look(at, recording=True, stealth=True, can_say=True)
    assert [event for event, _detail in again] == ["reminder.ended", "reminder.began"]
    assert again[0][1] == {"by": "stopped"}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"utc_us": 0, "reminder_s": 120}, 120),
        ({"utc_us": PANEL_FRESH_US, "reminder_s": 0}, 0),
        ({"utc_us": -PANEL_FRESH_US, "reminder_s": 3600}, 3600),
        ({"utc_us": -PANEL_FRESH_US - 1, "reminder_s": 120}, None),
        ({"utc_us": 0, "reminder_s": 3601}, None),
        ({"utc_us": 0, "reminder_s": "120"}, None),
        ({"utc_us": 0}, None),
        ({"reminder_s": 120}, None),
        ({}, None),
    ],
)
def test_period_is_what_a_panel_that_runs_says(status: dict[str, object], expected: int | None) -> None:
    assert period_of(status, utc_us=0) == expected


def test_timeline_shows_reminders_in_both_languages(device, bench, post) -> None:
    """AC-48, TI-19: a row beside the states, which ends with the run where no line ends it."""
    one = bench(mode="standby", segment_s=60)
    post(one, "start")
    run(one, 20)
    post(one, "mode", mode="stealth", on=True)
    run(one, 10)
    entries: list[Entry] = [parse_line(line) for line in device.lines()]
    rows = [overlay for overlay in read_timeline(entries).overlays if overlay.row == "reminder"]
    said = [Words("en").label(overlay.label) for overlay in rows]
    assert said == ["the officer is reminded every 120 s", "no reminder: stealth"]
    assert Words("fr").label(rows[0].label) == "rappel à l’agent toutes les 120 s"
    assert [Words(one).row("reminder") for one in ("en", "fr")] == ["reminder", "rappel"]
    assert rows[0].to_us == rows[1].from_us
    assert 18_000_000 < rows[0].to_us - rows[0].from_us < 21_500_000
    one.close()
