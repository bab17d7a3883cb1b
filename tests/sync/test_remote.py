"""Commands of the centre: carried out once, while they are valid, and never more than a start or a mark."""

from pathlib import Path

import pytest

from sync.remote import SLACK_US, RemoteDesk, RemoteParts
from vedette import commands
from vedette.activation_messages import LATE, REFUSED, TAKEN
from vedette.activation_record import COMMAND, MAX_COMMAND_LIFE_US, RemoteCommand
from vedette.clock import FakeClock, uuid7
from vedette.keys import SigningKey
from vedette.records import keyring, sign_record

S = 1_000_000
CENTRE, OTHER = SigningKey.generate(), SigningKey.generate()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def notes() -> list[tuple[str, dict[str, object]]]:
    return []


@pytest.fixture
def desk(tmp_path: Path, clock: FakeClock, notes: list) -> RemoteDesk:
    return RemoteDesk(
        RemoteParts(
            device="car-1",
            keys=keyring(CENTRE.public),
            run_dir=tmp_path,
            clock=clock,
            note=lambda event, detail: notes.append((event, detail)),
        )
    )


def body(clock: FakeClock, **changed: object) -> dict[str, object]:
    now_us = clock.utc_us()
    return {"id": uuid7(clock), "device": "car-1", "command": "start", "reason": "case 7", "issued_us": now_us,
            "expires_us": now_us + 60 * S, **changed}  # fmt: skip


@pytest.mark.parametrize("verb", ["start", "mark"])
def test_command_is_carried_out_once_and_custody_says_so(desk, clock, notes, tmp_path: Path, verb: str) -> None:
    """AC-28, AC-31."""
    wanted = RemoteCommand(**body(clock, command=verb))  # type: ignore[arg-type]
    payload = wanted.sign(CENTRE)
    assert desk.take(payload)
    assert commands.take(tmp_path, "recorder") == [{"command": verb, "activation": "remote", "id": wanted.id}]
    assert notes == [("command.accepted", {"command": verb, "id": wanted.id})]
    assert not desk.take(payload)
    assert commands.take(tmp_path, "recorder") == []
    assert (desk.taken, desk.refused) == (1, 1)


@pytest.mark.parametrize("verb", ["stop", "mode", "sleep", "stop_ignored", ""])
def test_command_is_refused_when_it_would_end_or_hide_something(desk, clock, tmp_path: Path, verb: str) -> None:
    """AC-30."""
    assert not desk.take(sign_record(COMMAND, body(clock, command=verb), CENTRE))
    assert commands.take(tmp_path, "recorder") == []


@pytest.mark.parametrize(
    ("changed", "key", "why"),
    [
        ({}, OTHER, "not trusted here"),
        ({"device": "car-2"}, CENTRE, "not for car-1"),
        ({"reason": "x" * 201}, CENTRE, "'reason'"),
        ({"more": 1}, CENTRE, "unknown field"),
    ],
)
def test_command_is_refused_when_it_is_not_the_centres_to_this_device(
    desk, clock, notes, changed: dict[str, object], key: SigningKey, why: str
) -> None:
    """AC-29."""
    assert not desk.take(sign_record(COMMAND, body(clock, **changed), key))
    (event, detail) = notes[0]
    assert (event, why in str(detail["why"])) == ("command.refused", True)


@pytest.mark.parametrize(
    ("issued_s", "life_us", "is_taken"),
    [
        (0, 60 * S, True),
        (0, MAX_COMMAND_LIFE_US, True),
        (0, MAX_COMMAND_LIFE_US + 1, False),
        (0, 0, False),
        (10, 60 * S, True),
        (11, 60 * S, False),
        (-50, 50 * S - SLACK_US, True),
        (-50, 50 * S - SLACK_US - 1, False),
        (-101, MAX_COMMAND_LIFE_US, False),
    ],
)
def test_command_counts_only_while_it_is_valid(desk, clock, issued_s: int, life_us: int, is_taken: bool) -> None:
    """AC-31: the last one is from before the uplink ran."""
    clock.advance(100 * S)
    issued_us = clock.utc_us() + issued_s * S
    payload = sign_record(COMMAND, body(clock, issued_us=issued_us, expires_us=issued_us + life_us), CENTRE)
    assert desk.take(payload) is is_taken


def answers(desk: RemoteDesk) -> list[tuple[str, str]]:
    found = []
    while (answer := desk.next_answer()) is not None:
        desk.answered()
        found.append((answer.id, answer.outcome))
    return found


def test_command_is_answered_the_same_however_often_it_comes(desk, clock, tmp_path: Path) -> None:
    """AC-31, AC-33: signed anew it is still the same command, and is carried out once."""
    first = body(clock)
    desk.take(sign_record(COMMAND, first, CENTRE))
    clock.advance(20 * S)
    assert not desk.take(sign_record(COMMAND, {**first, "issued_us": clock.utc_us()}, CENTRE))
    assert answers(desk) == [(first["id"], TAKEN), (first["id"], TAKEN)]
    assert len(commands.take(tmp_path, "recorder")) == 1


def test_command_from_before_this_run_is_late_and_taken_when_it_is_signed_anew(desk, clock, tmp_path: Path) -> None:
    """AC-31, AC-33: so it is where the device's clock is ahead of the centre's."""
    wanted = body(clock, issued_us=clock.utc_us() - 5 * S)
    assert not desk.take(sign_record(COMMAND, wanted, CENTRE))
    clock.advance(10 * S)
    assert desk.take(sign_record(COMMAND, {**wanted, "issued_us": clock.utc_us()}, CENTRE))
    assert answers(desk) == [(wanted["id"], LATE), (wanted["id"], TAKEN)]
    assert len(commands.take(tmp_path, "recorder")) == 1


def test_command_is_answered_as_refused_when_the_disk_takes_none(desk, clock, monkeypatch) -> None:
    """AC-33."""

    def full(*_args: object, **_named: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(commands, "post", full)
    wanted = body(clock)
    assert not desk.take(sign_record(COMMAND, wanted, CENTRE))
    assert answers(desk) == [(wanted["id"], REFUSED)]


def test_nothing_is_answered_to_who_is_not_the_centre(desk, clock) -> None:
    """AC-33."""
    assert not desk.take(sign_record(COMMAND, body(clock), OTHER))
    assert not desk.take(b"start")
    assert answers(desk) == []
