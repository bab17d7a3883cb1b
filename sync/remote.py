"""Commands of the centre to this device: checked, then handed to the recorder as a command file.

Decided here: which command is carried out, what custody says of it and what the centre is answered. It may start,
mark and recover, never stop (AC-30). Implements docs/spec/activation.md, AC-28 to AC-33.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sync.peers import MAX_TOLD_REFUSALS, Note
from vedette import commands
from vedette.activation_messages import LATE, MAX_WHY, REFUSED, TAKEN, CommandAnswer
from vedette.activation_record import MAX_SEEN, Fresh, RemoteCommand, open_command
from vedette.clock import Clock
from vedette.errors import Expired, VedetteError
from vedette.keys import PublicKey

REMOTE = "remote"
SLACK_US = 10_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteParts:
    """What the desk works with; `keys` are the centre's."""

    device: str
    keys: Mapping[str, PublicKey]
    run_dir: Path
    clock: Clock
    note: Note


class RemoteDesk:
    """Takes the payloads of `cmd/<device>/command`."""

    def __init__(self, parts: RemoteParts) -> None:
        self._parts = parts
        self._fresh = Fresh(slack_us=SLACK_US, started_us=parts.clock.utc_us())
        self._given: dict[str, CommandAnswer] = {}
        self._answers: deque[CommandAnswer] = deque(maxlen=MAX_SEEN)
        self.taken = self.refused = 0

    def take(self, payload: bytes) -> bool:
        """Carry out the command in `payload`; False when it is refused, which custody says with the reason."""
        parts = self._parts
        try:
            wanted = open_command(payload, parts.keys, device=parts.device)
        except VedetteError as error:
            self._refuse(error)
            return False
        try:
            self._carry_out(wanted)
        except (VedetteError, OSError) as error:
            self._refuse(error)
            outcome = LATE if isinstance(error, Expired) else REFUSED
            self._answer(CommandAnswer(id=wanted.id, outcome=outcome, why=str(error)[:MAX_WHY]))
            return False
        self.taken += 1
        parts.note("command.accepted", {"command": wanted.command, "id": wanted.id})
        self._answer(CommandAnswer(id=wanted.id, outcome=TAKEN, why=""))
        return True

    def next_answer(self) -> CommandAnswer | None:
        """What the centre is to be told next, or None; call `answered` when the link took it."""
        return self._answers[0] if self._answers else None

    def answered(self) -> None:
        """The link took the answer."""
        self._answers.popleft()

    def _carry_out(self, wanted: RemoteCommand) -> None:
        parts = self._parts
        now_us = parts.clock.utc_us()
        self._fresh.admit(wanted.id, from_us=wanted.issued_us, until_us=wanted.expires_us, now_us=now_us)
        commands.post(parts.run_dir, "recorder", wanted.to_message(REMOTE), clock=parts.clock)

    def _refuse(self, error: Exception) -> None:
        self.refused += 1
        if self.refused <= MAX_TOLD_REFUSALS:
            self._parts.note("command.refused", {"why": str(error)[:MAX_WHY]})

    def _answer(self, answer: CommandAnswer) -> None:
        """Say what became of a command; of one that was taken the same again, however often it comes."""
        if answer.outcome == TAKEN:
            while len(self._given) >= MAX_SEEN:
                del self._given[next(iter(self._given))]
            self._given[answer.id] = answer
        self._answers.append(self._given.get(answer.id, answer))
