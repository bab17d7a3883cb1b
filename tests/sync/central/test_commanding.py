"""Commands to devices at the centre: asked with a reason, signed by ingest only, sent while they hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sync.central import fleet, remote_commands
from sync.central.ingest import Ingest
from sync.central.remote_commands import ask, command_of, commands_to
from sync.link import Buffer, Connected, Event, Message
from vedette import topics, wire
from vedette.activation_messages import LATE, REFUSED, TAKEN, CommandAnswer
from vedette.activation_record import COMMAND, RemoteCommand, open_command
from vedette.clock import uuid7
from vedette.config import IngestSection
from vedette.errors import NotFound, Refused
from vedette.records import keyring
from vedette.wire import Birth

S = 1_000_000


@dataclass
class RawLink:
    """A connection to nobody that keeps what was published as it was."""

    connected: bool = True
    emptied: bool = True
    waited_us: int | None = None
    waiting: list[Event] = field(default_factory=lambda: [Connected()])
    sent: list[tuple[str, bytes]] = field(default_factory=list)

    def publish(self, topic: str, payload: bytes, *, behind: Buffer = b"", retain: bool = False) -> bool:
        self.sent.append((topic, payload))
        return True

    def poll(self, timeout_s: float) -> list[Event]:
        events, self.waiting = self.waiting, []
        return events

    def close(self) -> None:
        self.connected = False


class Desk:
    """An ingest worker, and the devices it hears."""

    def __init__(self, centre: Any) -> None:
        self.centre = centre
        self.restart()

    def restart(self) -> None:
        self.link = RawLink()
        self.ingest = Ingest(self.centre.store, self.link, self.centre.signer, IngestSection())
        self.run()

    def hear(self, device: str, message: wire.Message) -> None:
        self.link.waiting.append(Message(topic=topics.topic(device, message), payload=message.encode()))
        self.run()

    def birth(self, device: str, *, online: bool = True) -> None:
        clock = self.centre.clock
        birth = Birth(online=online, boot=uuid7(clock), software="1", list_version=0, utc_us=clock.utc_us())
        self.hear(device, birth)

    def run(self, seconds: float = 0.6) -> None:
        for _ in range(round(seconds / 0.2)):
            self.centre.clock.advance(200_000)
            self.ingest.step(self.centre.clock.mono_us())

    def commands(self, device: str) -> list[RemoteCommand]:
        """What was sent to `device` since the last call, opened as it does."""
        topic = f"cmd/{device}/command"
        found = [payload for to, payload in self.link.sent if to == topic]
        self.link.sent = [one for one in self.link.sent if one[0] != topic]
        keys = keyring(self.centre.signer.key.public)
        return [open_command(payload, keys, device=device) for payload in found]

    def answer(self, device: str, command: str, outcome: str, why: str = "") -> None:
        self.hear(device, CommandAnswer(id=command, outcome=outcome, why=why))


@pytest.fixture
def desk(centre: Any) -> Desk:
    return Desk(centre)


def asked(centre: Any, device: str = "car-1", **changed: Any) -> str:
    wanted = {"user": "amina", "reason": "call 4711", "valid_s": 120, **changed}
    return ask(centre.store, device, wanted.pop("command", "start"), **wanted).id


def state(centre: Any, command: str) -> str:
    return command_of(centre.store, command).state(centre.clock.utc_us())


def test_command_is_logged_sent_and_answered(centre: Any, device: Any, desk: Desk) -> None:
    """AC-32, AC-33. The reason stays at the centre."""
    desk.birth(device.id)
    command = asked(centre)
    (access,) = centre.store.accesses(subject=device.id)
    assert (access.user, access.action, access.reason) == ("amina", "command.start", "call 4711")
    assert (state(centre, command), command_of(centre.store, command).sent_us) == ("waiting", None)
    desk.run()
    (sent,) = desk.commands(device.id)
    assert (sent.id, sent.command, sent.reason, state(centre, command)) == (command, "start", "", "sent")
    desk.answer(device.id, command, TAKEN)
    assert state(centre, command) == "taken"
    desk.answer(device.id, command, REFUSED, "never mind")
    desk.run(30)
    assert (state(centre, command), desk.commands(device.id)) == ("taken", [])


def test_recovery_names_its_stretch_and_never_its_reason(centre: Any, device: Any, desk: Desk) -> None:
    """AC-30, AC-32."""
    desk.birth(device.id)
    command = asked(centre, command="recover", span=(1_000, 2_000))
    desk.run()
    (sent,) = desk.commands(device.id)
    assert (sent.id, sent.command, sent.from_us, sent.to_us, sent.reason) == (command, "recover", 1_000, 2_000, "")


def test_offline_device_gets_a_command_when_it_is_back_while_it_holds(centre: Any, device: Any, desk: Desk) -> None:
    """AC-31, AC-33: signed for the session in which it is sent, to the end that was asked for."""
    command = asked(centre, valid_s=60)
    desk.run(30)
    assert (state(centre, command), desk.commands(device.id)) == ("waiting", [])
    before_us = centre.clock.utc_us()
    desk.birth(device.id)
    desk.run()
    (sent,) = desk.commands(device.id)
    assert sent.issued_us >= before_us
    assert sent.expires_us == command_of(centre.store, command).expires_us


def test_command_lapses_when_nobody_took_it(centre: Any, device: Any, desk: Desk) -> None:
    """AC-31, AC-33."""
    command = asked(centre, valid_s=10)
    desk.run(11)
    desk.birth(device.id)
    desk.run(30)
    assert (state(centre, command), desk.commands(device.id)) == ("lapsed", [])


@pytest.mark.parametrize("again", ["new session", "silence", "late"])
def test_command_is_signed_anew_until_it_is_answered(centre: Any, device: Any, desk: Desk, again: str) -> None:
    """AC-33."""
    desk.birth(device.id)
    command = asked(centre)
    desk.run()
    (first,) = desk.commands(device.id)
    if again == "late":
        desk.answer(device.id, command, LATE, "from before this service began to listen")
        assert state(centre, command) == "waiting"
    if again == "new session":
        desk.birth(device.id)
    else:
        desk.run(8)
        assert desk.commands(device.id) == []
        desk.run(3)
    (second,) = desk.commands(device.id)
    assert (second.id, second.expires_us) == (first.id, first.expires_us)
    assert second.issued_us > first.issued_us
    desk.answer(device.id, command, TAKEN)
    assert state(centre, command) == "taken"


def test_command_is_sent_once_by_two_workers_and_after_a_restart_of_the_centre(centre: Any, device: Any) -> None:
    """AC-33."""
    one, two = Desk(centre), Desk(centre)
    one.birth(device.id)
    asked(centre)
    one.run(0.2)
    two.run(0.2)
    assert len(one.commands(device.id)) + len(two.commands(device.id)) == 1
    one.restart()
    two.restart()
    one.birth(device.id)
    assert len(one.commands(device.id)) + len(two.commands(device.id)) == 1


def test_answer_counts_only_from_the_device_that_was_asked(centre: Any, device: Any, desk: Desk) -> None:
    """AC-33. WI-3."""
    other = centre.device("car-2")
    desk.birth(device.id)
    desk.birth(other.id)
    command = asked(centre)
    desk.run()
    desk.answer(other.id, command, REFUSED)
    assert (state(centre, command), desk.commands(other.id)) == ("sent", [])


def test_custody_of_the_device_proves_what_it_took(centre: Any, device: Any, desk: Desk, worker: Any) -> None:
    """AC-28, AC-33: also where its answer was lost."""
    desk.birth(device.id)
    command, other = asked(centre), asked(centre)
    desk.run()
    journal = device.journal("uplink")
    line = journal.append("command.accepted", detail={"command": "start", "id": command})
    journal.append("command.refused", detail={"why": other})
    journal.roll()
    (path,) = (device.folder / "journal" / "uplink").glob("*.jsonl")
    worker.upload(device.custody(path, "uplink"))
    worker.step()
    desk.run(3)
    row = command_of(centre.store, command)
    assert (row.custody_seq, row.state(centre.clock.utc_us())) == (line.seq, "taken")
    assert command_of(centre.store, other).custody_seq is None


@pytest.mark.embedded
@pytest.mark.parametrize(
    "changed",
    [
        {"command": "stop"},
        {"command": "recover"},
        {"command": "recover", "span": (5, 5)},
        {"command": "start", "span": (5, 6)},
        {"command": "mute"},
        {"reason": " \n "},
        {"reason": "x" * 201},
        {"valid_s": 9},
        {"valid_s": 601},
    ],
)
def test_nothing_is_asked_or_logged_when_a_command_breaks_a_rule(
    centre: Any, device: Any, changed: dict[str, Any]
) -> None:
    """AC-30, AC-32."""
    with pytest.raises(Refused):
        asked(centre, **changed)
    assert (commands_to(centre.store), centre.store.accesses(subject=device.id)) == ([], [])


def test_nothing_is_asked_of_a_device_that_is_unknown_or_revoked(centre: Any, device: Any, desk: Desk) -> None:
    """AC-32. What was asked before it was revoked is not sent either."""
    with pytest.raises(NotFound):
        asked(centre, "car-7")
    desk.birth(device.id)
    asked(centre)
    fleet.revoke(centre.store, device.id)
    desk.run(3)
    assert desk.commands(device.id) == []
    with pytest.raises(Refused, match="revoked"):
        asked(centre)


def test_command_is_never_deleted(centre: Any, device: Any) -> None:
    """AC-32."""
    asked(centre)
    with pytest.raises(Exception, match="append-only"):
        centre.store.db.execute("DELETE FROM remote_commands")


def test_pages_and_command_line_never_touch_the_centres_key() -> None:
    """AC-32: what asks is apart from what signs."""
    for path in (Path(remote_commands.__file__), *Path(fleet.__file__).parent.joinpath("web").rglob("*.py")):
        text = path.read_text()
        assert "centre.pem" not in text and "commanding" not in text.replace("commanding.py", ""), path
    assert COMMAND not in Path(remote_commands.__file__).read_text()
