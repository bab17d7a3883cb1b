"""The reader service: pictures from the frame bus in, sealed hits into the spool, an alert to the officer.

Decided here: what a step does and in which order, and that a missing bus, list or disk is waited for and counted, never
a reason to stop. A plate that matches nothing leaves no trace but a number in the status file (law 5).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from edge.board import open_alerts
from edge.board.alerts import LIST_EXPIRED
from edge.board.port import Board
from edge.camera.port import SmallFrame
from edge.reader.current_list import CurrentList
from edge.reader.eyes import Eyes, ModelEyes
from edge.reader.hits import HitSpool
from edge.reader.look import Looker
from edge.reader.raising import Raising
from edge.reader.reads import Reads
from edge.reader.repeats import Repeats
from edge.reader.vote import Rules
from edge.recorder.framebus import FrameBusReader
from vedette import sealed, spool
from vedette.clock import Clock
from vedette.config import DeviceConfig
from vedette.custody import seal_closed
from vedette.daemon import write_status
from vedette.errors import VedetteError
from vedette.identity import identity_of
from vedette.keys import SigningKey
from vedette.records import keyring
from vedette.trust import load_trust
from vedette.waiting_journal import WaitingJournal

SERVICE = "reader"
FRAME_BUS = "framebus"
STATUS_US = 1_000_000
ROLL_US = 60_000_000
NO_ROOM_US = 2_000_000
NO_PICTURE_S = 0.02
NO_BUS_S = 0.5


class Bus(Protocol):
    """Where pictures come from; see `edge.recorder.framebus.FrameBusReader`. `skipped` passed unseen."""

    skipped: int

    def latest(self, after_index: int) -> SmallFrame | None:
        """The newest picture above `after_index`."""

    def stale(self) -> bool:
        """Whether no picture came for a while."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What the service works with."""

    clock: Clock
    bus: Bus
    bus_path: Path
    eyes: Eyes
    current: CurrentList
    hits: HitSpool
    raising: Raising
    board: Board
    journal: WaitingJournal
    recipients: Sequence[sealed.Recipient]
    rules: Rules


class ReaderService:
    """Reads plates and raises hits; made by `open_reader`."""

    name = SERVICE

    def __init__(self, config: DeviceConfig, parts: Parts) -> None:
        self._config = config
        self._parts = parts
        self._reads = Reads(parts.rules)
        self._after = -1
        self._bus_inode = 0
        self._errors = 0
        self._status_us = 0
        self._roll_us = parts.clock.mono_us() + self._roll_pause_us
        self._rolled_seq = 0
        self._list_state = ""

    def step(self, now_us: int) -> float:
        """Look at the newest picture, if there is a new one, and do what else is due; seconds until the next step."""
        self._parts.current.step(now_us)
        self._watch_list_state()
        frame = self._next_frame()
        if frame is not None:
            self._take(frame, now_us)
        elif self._parts.bus.stale():
            self._reads.end_all()
        self._parts.raising.flush(now_us)
        self._roll(now_us)
        self._show(now_us)
        if frame is not None or self._parts.current.building:
            return 0.0
        return NO_BUS_S if self._parts.bus.stale() else NO_PICTURE_S

    def close(self) -> None:
        """End the tracks, say so in custody, seal the journal; what is in memory goes to the disk if it can."""
        self._reads.end_all()
        self._parts.hits.flush()
        with self._counting_errors():
            self._parts.journal.append("service.stopped", detail={"hits_waiting": self._parts.hits.waiting})
        self._seal_journal()
        self._show(self._status_us)
        self._parts.journal.close()
        self._parts.board.close()

    def _next_frame(self) -> SmallFrame | None:
        # A restarted recorder counts from 0 again on a new file; an index kept from the old one would hide them.
        with contextlib.suppress(OSError):
            inode = self._parts.bus_path.stat().st_ino
            if inode != self._bus_inode:
                self._bus_inode, self._after = inode, -1
        try:
            frame = self._parts.bus.latest(self._after)
        except (OSError, VedetteError):
            self._errors += 1
            return None
        if frame is not None:
            self._after = frame.index
        return frame

    def _take(self, frame: SmallFrame, now_us: int) -> None:
        eyes, luma = self._parts.eyes, frame.luma
        taken = self._reads.take(frame, eyes.detect(luma), partial(eyes.read, luma))
        index = self._parts.current.index
        if index is None:
            return
        for read in taken.reads:
            self._parts.raising.consider(read, index, now_us)

    def _roll(self, now_us: int) -> None:
        """Close the journal's file once a minute where it has new lines, so that custody goes out with its hits.

        Where the disk had no room at the start, this is what tries again.
        """
        if now_us < self._roll_us:
            return
        with self._counting_errors():
            if not self._parts.hits.recovered:
                self._parts.hits.recover()
            if self._parts.journal.head[0] != self._rolled_seq:
                self._seal_journal()
        self._roll_us = now_us + self._roll_pause_us

    @property
    def _roll_pause_us(self) -> int:
        return ROLL_US if self._parts.journal.is_open else NO_ROOM_US

    def _seal_journal(self) -> None:
        with self._counting_errors():
            journal = self._parts.journal.opened()
            journal.roll()
            seal_closed(journal, self._config.spool, self._parts.recipients, identity=self._parts.hits.identity)
            self._rolled_seq = journal.head[0]

    def _watch_list_state(self) -> None:
        state = self._parts.current.state
        if state == "expired" != self._list_state:
            self._parts.board.signal(LIST_EXPIRED)
        self._list_state = state

    def _show(self, now_us: int) -> None:
        if now_us < self._status_us:
            return
        self._status_us = now_us + STATUS_US
        current, raised = self._parts.current, self._parts.raising.counters
        status = {
            "utc_us": self._parts.clock.utc_us(),
            **asdict(self._reads.counters),
            "frames_skipped": self._parts.bus.skipped,
            **asdict(raised),
            "hits_waiting": self._parts.hits.waiting,
            "custody": "ok" if self._parts.journal.is_open else "no room",
            "list": current.state,
            "list_version": current.version,
            "list_age_s": current.age_s,
            "list_refusal": current.refusal,
            "errors": self._errors + raised.errors + self._parts.hits.failures,
        }
        with self._counting_errors():
            write_status(self._config.run, SERVICE, status)

    @contextlib.contextmanager
    def _counting_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, VedetteError):
            self._errors += 1


class IdleReader:
    """What runs where `[reader] enabled` is false: nothing is looked at."""

    name = SERVICE

    def __init__(self, run_dir: Path, clock: Clock) -> None:
        self._run_dir = run_dir
        self._clock = clock

    def step(self, now_us: int) -> float:
        """Say so in the status file."""
        write_status(self._run_dir, SERVICE, {"utc_us": self._clock.utc_us(), "enabled": False})
        return STATUS_US / 1_000_000

    def close(self) -> None:
        """Nothing is open."""


def open_reader(config: DeviceConfig, clock: Clock, eyes: Eyes | None = None) -> ReaderService | IdleReader:
    """The reader of the device in `config`; with `eyes` in place of the shipped models where given.

    A disk without room is waited for (HT-35). Raises `NotFound` for missing keys or models, `Refused` where another
    reader runs or a key is no key.
    """
    if not config.reader.enabled:
        return IdleReader(config.run, clock)
    trust = load_trust(config.trust)
    identities = sealed.load_identities(config.keys / "list.identity")
    key = SigningKey.load(config.keys / "sign.pem")
    spool.make_folders(config.spool)
    folder = config.data / config.reader.models if config.reader.models else None
    eyes = eyes or ModelEyes(Looker.load(threads=config.reader.threads, folder=folder))
    board = open_alerts(config, clock)
    journal = WaitingJournal(config.journals / SERVICE, service=SERVICE, device=config.device.id, key=key, clock=clock)
    recipients, signers = trust.lead_recipients(), keyring(trust.list_signer)
    identity = identity_of(config)
    hits = HitSpool(config.spool, recipients=recipients, journal=journal, clock=clock, identity=identity)
    with contextlib.suppress(OSError, VedetteError):
        hits.recover()
    raising = Raising(
        device=config.device.id,
        run_dir=config.run,
        clock=clock,
        board=board,
        hits=hits,
        repeats=_open_repeats(config, clock),
        models=eyes.model_hashes,
    )
    bus_path = config.run / FRAME_BUS
    parts = Parts(
        clock=clock,
        bus=FrameBusReader(bus_path, clock=clock),
        bus_path=bus_path,
        eyes=eyes,
        current=CurrentList(config.data, identities=identities, keys=signers, journal=journal, clock=clock),
        hits=hits,
        raising=raising,
        board=board,
        journal=journal,
        recipients=recipients,
        rules=Rules(min_looks=config.reader.min_looks, confidence_permille=config.reader.confidence_permille),
    )
    return ReaderService(config, parts)


def _open_repeats(config: DeviceConfig, clock: Clock) -> Repeats:
    def is_committed(item: str) -> bool:
        """A hit reached the spool when it is there, or was there and the centre has signed for it."""
        in_spool = spool.manifest_path(config.spool, "hit", item).exists()
        return in_spool or (config.receipts / f"{item}.receipt").exists()

    return Repeats(
        config.run / SERVICE / "repeats.json",
        repeat_us=config.reader.repeat_s * 1_000_000,
        is_committed=is_committed,
        now_us=clock.mono_us(),
    )
