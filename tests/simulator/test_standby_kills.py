"""The real recorder in standby under `kill -9`: in each state what was promised is there."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from simulator.film import Film, Piece
from simulator.recorder_kills import MOST_LOST_US, Found
from simulator.reel import PICTURE_US
from simulator.standby_account import Aim, ShiftTrial, judge
from vedette.cli import main
from vedette.custody_entry import Entry

KILLS = int(os.environ.get("VEDETTE_KILLS_STANDBY", "5"))
S = 1_000_000
ITEM = "0192d3a0-0000-7000-8000-000000000001"
Line = tuple[int, int, str, Mapping[str, object]]


@pytest.mark.timeout(200 + 30 * KILLS)
def test_what_was_promised_is_there_wherever_in_a_shift_the_recorder_is_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """AC-45 to AC-47, SG-9, CJ-21, TI-3: more with VEDETTE_KILLS_STANDBY or `vedette sim kills --from standby`."""
    folder = ["--folder", str(tmp_path / "stage")]
    code = main(["sim", "kills", "--from", "standby", "--count", str(KILLS), "--seed", "4", *folder, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (found["faults"], code, found["kills"]) == ([], 0, KILLS)
    assert sum(one["kills"] for one in found["states"].values()) == KILLS
    assert set(found["states"]) >= {Aim.STANDBY.value, Aim.RECOVERY.value}
    assert found["lost_us"][-1] <= MOST_LOST_US
    assert found["unproven_us"][-1] <= MOST_LOST_US
    assert found["pictures"] > 0


def test_standby_is_refused_with_a_camera_whose_pictures_are_not_known_for_so_long(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["sim", "kills", "--from", "standby", "--camera", "gst"]) == 2
    assert "goes with the copied clip" in capsys.readouterr().err


def entries(lines: list[Line]) -> list[Entry]:
    """Lines as a journal has them: (run, microseconds of the shift, event, detail)."""
    return [
        Entry(
            seq=seq,
            prev="0" * 64,
            utc_us=1_000 * S + at_us,
            mono_us=500 * S + at_us,
            time_source="ntp",
            time_error_us=1000,
            boot=f"0192d3a0-0000-7000-8000-00000000000{run}",
            device="car-1",
            service="recorder",
            event=event,
            item=ITEM if event.startswith("segment.") else None,
            detail=detail,
        )
        for seq, (run, at_us, event, detail) in enumerate(lines, 1)
    ]


def at(seconds: float) -> int:
    return 1_000 * S + round(seconds * S)


START = {"command": "start", "activation": "button", "id": ""}
STOP = {**START, "command": "stop"}
IDLE: list[Line] = [(1, 0, "service.started", {"gap_us": None, "machine": "m"}), (1, S, "recorder.state", {})]
# Activated at 10 s, buffered since 4 s, proven to 12.5 s, killed at 13 s.
ACTIVE: list[Line] = [
    *IDLE,
    (1, 10 * S, "activation.received", START),
    (1, 10 * S, "recording.started", {"activation": "button", "held": True, "recording": "r"}),
    (1, 10 * S, "segment.opened", {"recording": "r", "started_us": at(4), "mono_us": 504 * S, "marked": False}),
    (1, 12_600_000, "segment.checkpoint", {"media_us": 8_500_000, "offset": 1, "sha256": "", "frames": 1}),
]
NEXT: list[Line] = [(2, 20 * S, "service.started", {"gap_us": 7 * S, "machine": "m"})]
GAP = {"from_us": at(12.5), "to_us": at(21), "from_mono_us": 512_500_000, "to_mono_us": 521 * S, "why": "killed"}
GOES_ON: list[Line] = [
    *NEXT,
    (2, 20 * S, "recording.started", {"activation": "button", "held": True, "recording": "q"}),
    (2, 21 * S, "gap", GAP),
]
LOST: list[Line] = [*NEXT, (2, 20 * S, "pre_event.lost", {"most_us": 120 * S})]


def shift(aim: Aim = Aim.RECORDING, **more: object) -> ShiftTrial:
    """A kill at 13 s of a run that was in standby since 2 s and gave pictures from 4 s on."""
    made: dict[str, object] = {"number": 1, "started_us": at(0), "ready_us": at(2), "killed_us": at(13)}
    return ShiftTrial(aim=aim, **{**made, "first_us": at(4), "taken_us": at(13), **more})


def item(from_s: float, to_s: float, *, proven_s: float | None = None) -> Found:
    count = round((to_s - from_s) * S / PICTURE_US)
    made = Found(item=ITEM, from_us=at(from_s), proven_us=at(to_s if proven_s is None else proven_s))
    made.film = Film(pictures=tuple(Piece(n * PICTURE_US, (n + 1) * PICTURE_US, b"") for n in range(count)))
    return made


def said(trial: ShiftTrial, found: list[Found], lines: list[Line]) -> list[str]:
    return [one.partition("): ")[2] or one for one in judge([trial], found, entries(lines))]


def test_recording_that_was_killed_and_goes_on_is_no_fault() -> None:
    trial = shift()
    assert said(trial, [item(4, 12.8, proven_s=12.5)], [*ACTIVE, *GOES_ON]) == []
    assert (trial.fell, trial.lost_us, trial.unproven_us) == (Aim.RECORDING, 200_000, 500_000)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (item(4, 11.9), "1.080 s of pictures are missing"),
        (item(4, 12.8, proven_s=11.9), "1.100 s of pictures are without a checkpoint"),
        (item(6, 12.8), "it begins 2.000 s behind the first picture that was buffered"),
    ],
)
def test_account_finds_what_a_killed_recording_lacks(found: Found, expected: str) -> None:
    """The account itself can fail."""
    assert expected in said(shift(), [found], [*ACTIVE, *GOES_ON])


def test_account_finds_a_gap_that_hides_what_was_not_recorded_or_says_too_much() -> None:
    """AC-46: a gap of an hour would call an hour of standby a death."""
    for from_s, expected in ((13.0, "+0.500"), (-3_000.0, "-3012.500")):
        gap = {**GAP, "from_us": at(from_s), "from_mono_us": 512_500_000}
        lines = [*ACTIVE, *GOES_ON[:-1], (2, 21 * S, "gap", gap)]
        assert f"its gap begins {expected} s from where the proof ends" in said(shift(), [item(4, 12.8)], lines)


def test_account_finds_an_activation_that_was_forgotten() -> None:
    """AC-46: by the next run, or before custody had it."""
    assert "the last run did not go on with what the last kill broke off" in said(
        shift(), [item(4, 12.8)], [*ACTIVE, *NEXT]
    )
    taken = "the start was taken and is not in custody"
    assert taken in said(shift(Aim.WRITING), [], [*IDLE, *LOST])
    assert taken not in said(shift(Aim.WRITING, waiting=("start",)), [], [*IDLE, *LOST])


def test_account_finds_a_stop_that_was_not_obeyed() -> None:
    """AC-46."""
    stopped: list[Line] = [*ACTIVE, (1, 12_700_000, "activation.received", STOP), *GOES_ON]
    first, second = shift(Aim.STOPPING), shift(Aim.STANDBY, started_us=at(19), ready_us=at(22), killed_us=at(30))
    second.first_us = second.taken_us = at(19)
    faults = judge([first, second], [item(4, 12.8)], entries(stopped))
    assert first.fell is Aim.STOPPING
    assert not [one for one in faults if "went on" in one]
    second.resumed = True
    faults = judge([first, second], [item(4, 12.8)], entries(stopped))
    assert "kill 1 (standby): it went on though nothing was activated" in faults
    unseen = shift(Aim.STOPPING)
    assert "the stop was taken and is not in custody" in said(unseen, [item(4, 12.8)], [*ACTIVE, *GOES_ON])


def test_account_finds_a_buffer_that_was_lost_without_a_word_and_items_of_standby() -> None:
    """AC-47."""
    trial = shift(Aim.STANDBY)
    assert said(trial, [], [*IDLE, *LOST]) == []
    assert trial.fell is Aim.STANDBY
    assert "custody does not say that the pre-event buffer was lost" in said(trial, [], [*IDLE, *NEXT])
    assert said(trial, [item(4, 5)], [*IDLE, *LOST]) == ["1 items begin in standby"]


def test_buffer_that_is_being_written_is_owed_only_as_far_as_it_came() -> None:
    """AC-45: but once it was written the bound of a recording holds."""
    late: list[Line] = [
        *ACTIVE[:-1],
        (1, 12_600_000, "segment.checkpoint", {"media_us": 3 * S, "offset": 1, "sha256": "", "frames": 1}),
    ]
    gap = {**GAP, "from_us": at(7), "from_mono_us": 507 * S}
    trial = shift(Aim.WRITING)
    assert said(trial, [item(4, 7.2, proven_s=7)], [*late, *GOES_ON[:-1], (2, 21 * S, "gap", gap)]) == []
    assert (trial.fell, trial.unwritten_us, trial.lost_us) == (Aim.WRITING, 5_800_000, 0)


def test_second_that_nobody_explains_is_a_fault() -> None:
    """TI-3."""
    hidden = [*ACTIVE, (2, 20 * S, "service.started", {"gap_us": 7 * S, "machine": "m"})]
    lines = [one for one in entries(hidden) if one.event != "recorder.state"]
    faults = judge([shift()], [item(4, 12.8)], lines)
    assert any(one.startswith("custody does not explain") for one in faults)
