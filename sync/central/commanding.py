"""Works off the commands that people asked for: signs, sends, and takes down what the device says of them.

Decided here: a command goes out when its device is there, is signed anew each time it is sent, and goes again in a new
session, after silence, or when the device says that it came too late for it (its clock is ahead of ours); never once it
is over or answered. Several workers send it once (`sent_us` is taken by one). Implements AC-32 and AC-33 of
docs/spec/activation.md.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from sync.central.remote_commands import COLUMNS, CommandRow
from sync.central.store import Store
from vedette.activation_messages import LATE, CommandAnswer
from vedette.activation_record import RemoteCommand
from vedette.custody_entry import parse_line
from vedette.errors import VedetteError
from vedette.keys import SigningKey
from vedette.topics import COMMAND, Address

AGAIN_US = 10_000_000
CUSTODY_EVERY_US = 2_000_000
CUSTODY_FOR_US = 7 * 86_400_000_000
CUSTODY_LINES = 2_000
MAX_WAITING = 500
ACCEPTED = "command.accepted"
Publish = Callable[[str, bytes], None]

_WAITING = (
    f"SELECT {', '.join('c.' + name for name in COLUMNS.split(', '))} FROM remote_commands c"
    " JOIN devices d ON d.device = c.device WHERE c.expires_us > ? AND (c.outcome IS NULL OR c.outcome = ?)"
    " AND d.online = 1 AND d.revoked_us IS NULL ORDER BY c.id LIMIT ?"
)


class Commanding:
    """Stepped by an ingest worker; what it knows itself may be lost at any moment."""

    def __init__(self, store: Store, key: SigningKey, publish: Publish) -> None:
        """`key` is the centre's; `publish(topic, payload)` sends or is as if the message had been lost."""
        self._store, self._key, self._publish = store, key, publish
        self._born_us: dict[str, int] = {}
        self._read_to: dict[str, int] = {}
        self._custody_at_us = 0

    def came(self, device: str) -> None:
        """The device begins a session: what it was told before may not have reached it."""
        self._born_us[device] = self._store.clock.utc_us()

    def step(self) -> None:
        """Send what is due; now and then see what custody says of what was sent."""
        now_us = self._store.clock.utc_us()
        for row in self._store.db.execute(_WAITING, [now_us, LATE, MAX_WAITING]).fetchall():
            asked = CommandRow(**dict(zip(CommandRow.__slots__, row, strict=True)))
            if is_due(asked, born_us=self._born_us.get(asked.device, 0), now_us=now_us):
                self._send(asked, now_us)
        if now_us >= self._custody_at_us:
            self._custody_at_us = now_us + CUSTODY_EVERY_US
            self._look_in_custody(now_us)

    def answer(self, device: str, said: CommandAnswer) -> None:
        """Take down what a device says of a command to it; the first answer that settles it stays."""
        sql = (
            "UPDATE remote_commands SET outcome = ?, why = ?, answered_us = ?"
            " WHERE id = ? AND device = ? AND (outcome IS NULL OR outcome = ?)"
        )
        row = [said.outcome, said.why, self._store.clock.utc_us(), said.id, device, LATE]
        self._store.db.execute(sql, row)

    def _send(self, asked: CommandRow, now_us: int) -> None:
        command = RemoteCommand(
            id=asked.id,
            device=asked.device,
            command=asked.command,
            reason="",  # what a person wrote is kept here: the broker would read it (WI-46)
            issued_us=now_us,
            expires_us=asked.expires_us,
            from_us=asked.from_us,
            to_us=asked.to_us,
        )
        record = command.sign(self._key)
        sql = "UPDATE remote_commands SET sent_us = ?, record = ? WHERE id = ? AND coalesce(sent_us, 0) = ?"
        if self._store.db.execute(sql, [now_us, record, asked.id, asked.sent_us or 0]).rowcount == 1:
            self._publish(Address(device=asked.device, name=COMMAND).topic, record)

    def _look_in_custody(self, now_us: int) -> None:
        """Find each device's own signed line about a command, which is what can be shown to others."""
        sql = (
            "SELECT id, device FROM remote_commands WHERE custody_seq IS NULL AND sent_us IS NOT NULL"
            " AND asked_us > ? ORDER BY id DESC LIMIT ?"
        )
        unproven: dict[str, set[str]] = {}
        for command, device in self._store.db.execute(sql, [now_us - CUSTODY_FOR_US, MAX_WAITING]).fetchall():
            unproven.setdefault(device, set()).add(command)
        for device, wanted in unproven.items():
            self._read_journal(device, wanted)

    def _read_journal(self, device: str, wanted: set[str]) -> None:
        db = self._store.db
        where = "FROM custody_lines WHERE device = ? AND service = 'uplink'"
        if device not in self._read_to:
            last = db.execute(f"SELECT coalesce(max(seq), 0) {where}", [device]).fetchone()[0]
            self._read_to[device] = last - CUSTODY_LINES
        sql = f"SELECT seq, line {where} AND seq > ? ORDER BY seq LIMIT ?"
        for seq, line in db.execute(sql, [device, self._read_to[device], CUSTODY_LINES]).fetchall():
            self._read_to[device] = seq
            with suppress(VedetteError):
                entry = parse_line(bytes(line))
                if entry.event == ACCEPTED and entry.detail.get("id") in wanted:
                    sql = "UPDATE remote_commands SET custody_seq = ? WHERE id = ? AND device = ?"
                    db.execute(sql, [seq, entry.detail["id"], device])


def is_due(asked: CommandRow, *, born_us: int, now_us: int) -> bool:
    """Whether a command that is not over and not answered goes out at `now_us`; `born_us`: its session's begin."""
    if asked.sent_us is None or asked.sent_us < born_us:
        return True
    return now_us - asked.sent_us >= AGAIN_US
