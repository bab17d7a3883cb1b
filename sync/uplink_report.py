"""What the uplink tells: its status file for people on the device, birth and status messages for the centre.

Decided here: which figures leave the device. Counters only; other services' texts stay here, because a text could name
a plate, a position or an officer. Also when the uplink's own custody journal is rolled and sealed into the spool.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sync.estimate import Progress, account_text
from sync.outbox import Outbox
from vedette import daemon
from vedette.clock import Clock, uuid7
from vedette.custody import seal_closed
from vedette.errors import VedetteError
from vedette.identity import SOFTWARE, Identity
from vedette.records import PRIORITY_BULK
from vedette.sealed import Recipient
from vedette.waiting_journal import WaitingJournal
from vedette.wire import MAX_COUNTERS, Birth, Status

FILE_EVERY_US = 1_000_000
MESSAGE_EVERY_US = 10_000_000
SEAL_EVERY_US = 30_000_000
OTHER_SERVICES = ("recorder", "reader", "keeper")
_log = logging.getLogger("vedette.uplink")


@dataclass(kw_only=True)
class UplinkReport:
    """Counters of this run of the service and where they are told."""

    clock: Clock
    run_dir: Path
    spool_root: Path
    recipients: Sequence[Recipient]
    identity: Identity = field(default_factory=Identity)
    boot: str = ""
    bytes_sent: int = 0
    receipts: int = 0
    receipts_refused: int = 0
    refused: int = 0
    commands_ignored: int = 0
    messages_refused: int = 0
    last_error: str = ""
    journalled: bool = False
    bulk_waits: str = ""
    progress: Progress = field(default_factory=Progress)
    _due_us: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.boot = self.boot or uuid7(self.clock)

    def trouble(self, why: str) -> None:
        """Remember (and log once) what went wrong last."""
        if why != self.last_error:
            _log.warning("%s", why)
        self.last_error = why[:200]

    def file_due(self, now_us: int) -> bool:
        """Whether the status file is due."""
        return self._due("file", now_us, FILE_EVERY_US)

    def message_due(self, now_us: int) -> bool:
        """Whether a status message is due."""
        return self._due("message", now_us, MESSAGE_EVERY_US)

    def counters(self, *, outbox: Outbox, list_version: int) -> dict[str, int | str]:
        """The uplink's own figures."""
        items = outbox.items.values()
        pending_bytes = sum(one.size for one in items)
        bulk_bytes = sum(one.size for one in items if one.priority == PRIORITY_BULK) if self.bulk_waits else 0
        empty_in_s = self.progress.empty_in_s(pending_bytes - bulk_bytes)
        return {
            "items_pending": len(items),
            "bytes_pending": pending_bytes,
            "bulk_waits": self.bulk_waits,
            "bytes_per_s": self.progress.bytes_per_s,
            **({} if empty_in_s is None else {"empty_in_s": empty_in_s}),
            "items_refused": sum(1 for one in items if one.refused),
            "items_bad": len(outbox.bad),
            "bytes_sent": self.bytes_sent,
            "receipts": self.receipts,
            "receipts_refused": self.receipts_refused,
            "refused": self.refused,
            "commands_ignored": self.commands_ignored,
            "messages_refused": self.messages_refused,
            "list_version": list_version,
            "last_error": self.last_error,
        }

    def write_file(self, *, connected: bool, outbox: Outbox, list_version: int) -> None:
        """Leave the counters in `RUN/status/uplink.json`."""
        counters = self.counters(outbox=outbox, list_version=list_version)
        state = {"state": "connected" if connected else "not connected", "utc_us": self.clock.utc_us()}
        account = {"account": account_text(counters, connected=connected)}
        try:
            daemon.write_status(self.run_dir, "uplink", {"connected": connected, **state, **account, **counters})
        except OSError as error:
            _log.warning("status file: %s", error)

    def birth(self, *, online: bool, list_version: int) -> Birth:
        """The birth message; as a will, `online` is false."""
        return Birth(
            online=online,
            boot=self.boot,
            software=SOFTWARE,
            list_version=list_version,
            utc_us=self.clock.utc_us(),
        )

    def status(self, *, outbox: Outbox, list_version: int) -> Status:
        """The status message: own figures, and the integers of the other services' status files."""
        counters = self.counters(outbox=outbox, list_version=list_version)
        for service in OTHER_SERVICES:
            for name, value in daemon.read_status(self.run_dir, service).items():
                if isinstance(value, int) and name != "pid" and len(counters) < MAX_COUNTERS:
                    counters[f"{service}.{name}"[:100]] = int(value)
        return Status(utc_us=self.clock.utc_us(), counters=counters)

    def seal_journal(self, journal: WaitingJournal, now_us: int) -> None:
        """Copy closed custody into the spool, and close what has new lines now and then."""
        if not self._due("seal", now_us, SEAL_EVERY_US):
            return
        try:
            opened = journal.opened()
            if self.journalled:
                opened.roll()
                self.journalled = False
            seal_closed(opened, self.spool_root, self.recipients, identity=self.identity)
        except (VedetteError, OSError) as error:
            self.trouble(f"custody is not sealed yet: {error}")

    def _due(self, what: str, now_us: int, every_us: int) -> bool:
        if now_us < self._due_us.get(what, 0):
            return False
        self._due_us[what] = now_us + every_us
        return True
