"""The centre's command to recover what nobody had activated: two times, no words, once."""

from pathlib import Path

import pytest

from edge.ring import parse_claim
from sync.remote import RemoteDesk, RemoteParts
from vedette import commands
from vedette.activation_record import COMMAND, RemoteCommand, open_command
from vedette.clock import FakeClock, uuid7
from vedette.errors import Integrity, Refused
from vedette.keys import SigningKey
from vedette.records import keyring, sign_record

S = 1_000_000
CENTRE = SigningKey.generate()


def wanted(clock: FakeClock, **changed: object) -> dict[str, object]:
    now_us = clock.utc_us()
    body = {"id": uuid7(clock), "device": "car-1", "command": "recover", "reason": "", "issued_us": now_us}
    return {**body, "expires_us": now_us + 60 * S, "from_us": now_us - 600 * S, "to_us": now_us - 300 * S, **changed}


def test_a_signed_command_reaches_the_recorder_as_a_claim(tmp_path: Path) -> None:
    """RI-12, RI-19, AC-28."""
    clock, notes = FakeClock(), []
    parts = RemoteParts(
        device="car-1", keys=keyring(CENTRE.public), run_dir=tmp_path, clock=clock, note=lambda *one: notes.append(one)
    )
    command = RemoteCommand(**wanted(clock))  # type: ignore[arg-type]
    assert RemoteDesk(parts).take(command.sign(CENTRE))
    assert notes == [("command.accepted", {"command": "recover", "id": command.id})]
    (body,) = commands.take(tmp_path, "recorder")
    claim = parse_claim(body, now_us=clock.utc_us())
    assert claim is not None
    assert (claim.id, claim.by, claim.reason) == (command.id, "remote", "at_the_centre")
    assert (claim.from_us, claim.to_us) == (command.from_us, command.to_us)


@pytest.mark.parametrize("missing", ["from_us", "to_us"])
def test_a_recovery_without_its_times_is_no_command(missing: str) -> None:
    """RI-19."""
    body = wanted(FakeClock())
    del body[missing]
    with pytest.raises(Integrity, match=missing):
        open_command(sign_record(COMMAND, body, CENTRE), keyring(CENTRE.public), device="car-1")


def test_a_recovery_of_no_time_is_refused() -> None:
    """RI-19."""
    body = wanted(FakeClock(), from_us=7, to_us=7)
    with pytest.raises(Refused, match="no time at all"):
        open_command(sign_record(COMMAND, body, CENTRE), keyring(CENTRE.public), device="car-1")


def test_a_start_with_times_is_no_command() -> None:
    """RI-19: only a recovery has them."""
    body = wanted(FakeClock(), command="start")
    with pytest.raises(Integrity, match="unknown field"):
        open_command(sign_record(COMMAND, body, CENTRE), keyring(CENTRE.public), device="car-1")
