"""Commands of the centre to its devices, as people ask for them and see what became of them.

Decided here: who asked what of which device and why is kept for ever beside every look at the evidence; a command holds
for ten minutes at most; what its state is. Nothing here signs: pages and command line leave a row, and the ingest
process, which has the centre's key, works it off (commanding.py). Implements AC-32 of docs/spec/activation.md.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from sync.central.store import Store
from vedette.activation_messages import LATE, REFUSED, TAKEN
from vedette.activation_record import MAX_COMMAND_LIFE_US, MAX_REASON, RECOVER, VERBS
from vedette.clock import uuid7
from vedette.errors import NotFound, Refused

LEAST_VALID_S = 10
MOST_VALID_S = MAX_COMMAND_LIFE_US // 1_000_000
USUAL_VALID_S = 120
MAX_ROWS = 200

CommandState = Literal["waiting", "sent", "taken", "refused", "lapsed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandRow:
    """One command: what was asked, and what its device said. `custody_seq` is the device's own line about it.

    Only `recover` has a span from `from_us` to `to_us`.
    """

    id: str
    device: str
    command: str
    reason: str
    asked_by: str
    asked_us: int
    expires_us: int
    from_us: int | None
    to_us: int | None
    sent_us: int | None
    outcome: str | None
    why: str | None
    answered_us: int | None
    custody_seq: int | None

    def state(self, now_us: int) -> CommandState:
        """Where it stands at `now_us`: an answer counts whenever it came, without one a command ends by itself."""
        if self.outcome == TAKEN or self.custody_seq is not None:
            return "taken"
        if self.outcome == REFUSED:
            return "refused"
        if now_us > self.expires_us:
            return "lapsed"
        return "waiting" if self.sent_us is None or self.outcome == LATE else "sent"


COLUMNS = ", ".join(field.name for field in fields(CommandRow))


def ask(
    store: Store,
    device: str,
    command: str,
    *,
    user: str,
    reason: str,
    valid_s: int = USUAL_VALID_S,
    span: tuple[int, int] | None = None,
) -> CommandRow:
    """Ask `device` to `start`, to `mark`, or to `recover` a `span` (UTC µs), within `valid_s` seconds, for `user`.

    Raises `NotFound` for a device that is not enrolled and `Refused` for one that is revoked, for another verb, without
    a reason, for a time out of bounds and where a span is missing, empty or too much.
    """
    reason = " ".join(reason.split())
    if command not in (*VERBS, RECOVER):
        raise Refused(f"{command[:40]!r} cannot be asked of a device; one of {', '.join(VERBS)}, {RECOVER}")
    if (span is not None) != (command == RECOVER) or (span is not None and not 0 <= span[0] < span[1]):
        raise Refused(f"{RECOVER}, and no other command, is for a stretch of time, whose end is after its begin")
    if not reason or len(reason) > MAX_REASON:
        raise Refused(f"a command needs a reason of 1 to {MAX_REASON} characters; it is kept here")
    if not LEAST_VALID_S <= valid_s <= MOST_VALID_S:
        raise Refused(f"a command holds for {LEAST_VALID_S} to {MOST_VALID_S} s, not {valid_s}")
    if store.device(device).revoked_us is not None:
        raise Refused(f"{device} is revoked; nothing is said to it any more")
    now_us, command_id = store.clock.utc_us(), uuid7(store.clock)
    row = [command_id, device, command, reason, user, now_us, now_us + valid_s * 1_000_000, *(span or (None, None))]
    with store.writing() as db:
        db.execute(
            "INSERT INTO remote_commands (id, device, command, reason, asked_by, asked_us, expires_us, from_us, to_us)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )
        store.note_access(user, f"command.{command}", device, reason)
    return command_of(store, command_id)


def command_of(store: Store, command_id: str) -> CommandRow:
    """One command; `NotFound` when there is none of that id."""
    found = _rows(store, "WHERE id = ?", [command_id])
    if not found:
        raise NotFound(f"there is no command {command_id[:40]!r}")
    return found[0]


def commands_to(store: Store, device: str | None = None, limit: int = 50) -> list[CommandRow]:
    """Commands to one device or to all, the newest first."""
    where, values = ("WHERE device = ?", [device]) if device is not None else ("", [])
    return _rows(store, f"{where} ORDER BY id DESC LIMIT ?", [*values, max(1, min(limit, MAX_ROWS))])


def _rows(store: Store, where: str, values: list[object]) -> list[CommandRow]:
    names = [field.name for field in fields(CommandRow)]
    rows = store.db.execute(f"SELECT {COLUMNS} FROM remote_commands {where}", values).fetchall()
    return [CommandRow(**dict(zip(names, row, strict=True))) for row in rows]
