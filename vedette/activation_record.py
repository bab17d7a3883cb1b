"""What asks a camera to record over a network: a peer's `vedette/activation/1` and the centre's `vedette/command/1`.

Decided here: the two signed records, and that a record counts only while it is fresh, once, and never from the device
itself. A command may start, mark and recover, never stop, mute, hide or put to sleep: that takes a hand on the device.
Implements docs/spec/activation.md, AC-20 to AC-31.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vedette import canonical
from vedette.enrolment import Enrolment
from vedette.errors import Expired, NotTrusted, Refused
from vedette.fields import Fields
from vedette.keys import PublicKey, SigningKey
from vedette.records import open_record, sign_record

ACTIVATION = "vedette/activation/1"
COMMAND = "vedette/command/1"
MAX_ACTIVATION_BYTES = 1024
MAX_COMMAND_BYTES = 4096
MAX_NAME = 64
MAX_REASON = 200
MAX_SEEN = 1024
MAX_COMMAND_LIFE_US = 600_000_000
RECOVER = "recover"
# What the device's custody says in place of a recovery's reason: the centre keeps its words under the command's id.
AT_CENTRE = "at_the_centre"
VERBS = ("start", "mark")


@dataclass(frozen=True, kw_only=True, slots=True)
class Activation:
    """A device tells the cameras around it that it was activated: why, when (`at_us`), and when it says so."""

    id: str
    device: str
    activation: str
    at_us: int
    sent_us: int

    def sign(self, key: SigningKey) -> bytes:
        """The record's bytes, one datagram."""
        return sign_record(ACTIVATION, {name: getattr(self, name) for name in self.__slots__}, key)


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteCommand:
    """The centre asks one device to `start`, to `mark`, or to `recover` what it kept from `from_us` to `to_us` (UTC)
    without an activation, with a reason, until it expires. Only `recover` has the two times.
    """

    id: str
    device: str
    command: str
    reason: str
    issued_us: int
    expires_us: int
    from_us: int | None = None
    to_us: int | None = None

    def sign(self, key: SigningKey) -> bytes:
        """The record's bytes, the payload on `cmd/<device>/command`."""
        names = [name for name in self.__slots__ if self.command == RECOVER or name not in ("from_us", "to_us")]
        return sign_record(COMMAND, {name: getattr(self, name) for name in names}, key)

    def to_message(self, activation: str) -> dict[str, Any]:
        """The message to the recorder. The words of a reason may hold a name or a plate: they stay at the centre."""
        body = {"command": self.command, "activation": activation, "id": self.id}
        more = {"reason": AT_CENTRE, "from_us": self.from_us, "to_us": self.to_us}
        return {**body, **more} if self.command == RECOVER else body


def open_activation(data: bytes, peers: Mapping[str, Enrolment]) -> Activation:
    """The activation in a record by one of `peers` (key id → enrolment) that names the signer's own device.

    Raises `Integrity` for bytes that are no such record and `NotTrusted` for a foreign key or another's name.
    """
    keys = {key_id: peer.key for key_id, peer in peers.items()}
    fields = Fields(open_record(ACTIVATION, data, keys, max_bytes=MAX_ACTIVATION_BYTES), "activation")
    found = Activation(
        id=fields.uuid7("id"),
        device=fields.device("device"),
        activation=fields.text("activation", most=MAX_NAME),
        at_us=fields.integer("at_us"),
        sent_us=fields.integer("sent_us"),
    )
    fields.close()
    if peers[canonical.loads(data)["key"]].device != found.device:
        raise NotTrusted(f"the activation names {found.device}, which did not sign it")
    return found


def open_command(data: bytes, keys: Mapping[str, PublicKey], *, device: str) -> RemoteCommand:
    """The command to `device` in a record by one of `keys` (the centre's).

    Raises `Integrity`, `NotTrusted` for another key or another device's command, `Refused` for a life that is too long,
    and for a recovery of no time.
    """
    fields = Fields(open_record(COMMAND, data, keys, max_bytes=MAX_COMMAND_BYTES), "command")
    verb = fields.one_of("command", (*VERBS, RECOVER))
    found = RemoteCommand(
        id=fields.uuid7("id"),
        device=fields.device("device"),
        command=verb,
        reason=fields.text("reason", most=MAX_REASON),
        issued_us=fields.integer("issued_us"),
        expires_us=fields.integer("expires_us"),
        from_us=fields.integer("from_us") if verb == RECOVER else None,
        to_us=fields.integer("to_us") if verb == RECOVER else None,
    )
    fields.close()
    if verb == RECOVER and (found.from_us or 0) >= (found.to_us or 0):
        raise Refused(f"command {found.id} would recover no time at all")
    if found.device != device:
        raise NotTrusted(f"the command is for {found.device}, not for {device}")
    if not 0 < found.expires_us - found.issued_us <= MAX_COMMAND_LIFE_US:
        raise Refused(f"command {found.id} would be valid for longer than {MAX_COMMAND_LIFE_US // 1_000_000} s")
    return found


@dataclass(kw_only=True)
class Fresh:
    """Lets each id through once, while it is fresh; remembers ids for as long as they could come again.

    `started_us` is when this run began to listen: nothing signed before it counts, so that a restart, which forgets
    the ids, opens no door for a replay.
    """

    slack_us: int
    started_us: int
    _until: dict[str, int] = field(default_factory=dict)

    def knows(self, record_id: str) -> bool:
        """Whether this record was let through already."""
        return record_id in self._until

    def admit(self, record_id: str, *, from_us: int, until_us: int, now_us: int) -> None:
        """Return when a record that is valid from `from_us` to `until_us` is new at `now_us`.

        Raises `Expired` when it is too old or from before this run, `Refused` when it is from the future, was seen
        before, or too many are remembered.
        """
        if now_us > until_us + self.slack_us:
            raise Expired(f"record {record_id} ended {(now_us - until_us) // 1_000_000} s ago")
        if from_us < self.started_us:
            raise Expired(f"record {record_id} is from before this service began to listen")
        if from_us > now_us + self.slack_us:
            raise Refused(f"record {record_id} is {(from_us - now_us) // 1_000_000} s in the future")
        self._until = {one: until for one, until in self._until.items() if until + self.slack_us >= now_us}
        if record_id in self._until:
            raise Refused(f"record {record_id} was heard before")
        if len(self._until) >= MAX_SEEN:
            raise Refused(f"more than {MAX_SEEN} records at once; record {record_id} is left out")
        self._until[record_id] = until_us
