"""The two control messages of a device about activations from afar: its answer to a command, its wish for peers.

Decided here: their fields. Such a message says what a device did; what can be shown to somebody else is its custody
journal. Implements AC-33 and AC-36 of docs/spec/activation.md and WI-4 of docs/spec/wire.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from vedette import canonical
from vedette.wire_fields import VERSION, MessageFields

TAKEN, REFUSED, LATE = "taken", "refused", "late"
OUTCOMES = (TAKEN, REFUSED, LATE)
MAX_WHY = 300


@dataclass(frozen=True, kw_only=True)
class CommandAnswer:
    """Device → centre: the command was taken, refused, or came too late for this run of the uplink, and why."""

    name: ClassVar[str] = "answer"
    id: str
    outcome: str
    why: str

    @staticmethod
    def read(f: MessageFields) -> CommandAnswer:
        return CommandAnswer(id=f.uuid7("id"), outcome=f.one_of("outcome", OUTCOMES), why=f.text("why", most=MAX_WHY))

    def encode(self) -> bytes:
        """The payload."""
        return canonical.dumps({"v": VERSION, "id": self.id, "outcome": self.outcome, "why": self.why})


@dataclass(frozen=True, kw_only=True)
class PeersWant:
    """Device → centre: I talk with peers and have the list of this version (0: none); send me a newer one."""

    name: ClassVar[str] = "peers-want"
    version: int

    @staticmethod
    def read(f: MessageFields) -> PeersWant:
        return PeersWant(version=f.integer("version"))

    def encode(self) -> bytes:
        """The payload."""
        return canonical.dumps({"v": VERSION, "version": self.version})
