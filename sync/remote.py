"""Commands of the centre to this device: checked, then handed to the recorder as a command file.

Decided here: which command is carried out and what custody says of it. It may start and mark, never stop (AC-30).
Implements docs/spec/activation.md, AC-28 to AC-31.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sync.peers import MAX_TOLD_REFUSALS, Note
from vedette import commands
from vedette.activation_record import Fresh, open_command
from vedette.clock import Clock
from vedette.errors import VedetteError
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
        self.taken = self.refused = 0

    def take(self, payload: bytes) -> bool:
        """Carry out the command in `payload`; False when it is refused, which custody says with the reason."""
        parts = self._parts
        try:
            wanted = open_command(payload, parts.keys, device=parts.device)
            now_us = parts.clock.utc_us()
            self._fresh.admit(wanted.id, from_us=wanted.issued_us, until_us=wanted.expires_us, now_us=now_us)
            body = {"command": wanted.command, "activation": REMOTE, "id": wanted.id}
            commands.post(parts.run_dir, "recorder", body, clock=parts.clock)
        except (VedetteError, OSError) as error:
            self.refused += 1
            if self.refused <= MAX_TOLD_REFUSALS:
                parts.note("command.refused", {"why": str(error)[:300]})
            return False
        self.taken += 1
        parts.note("command.accepted", {"command": wanted.command, "id": wanted.id})
        return True
