"""The keeper: the only service that deletes, an item only for a receipt that it has checked itself (law 6).

Decided here: what is checked before an item goes (the centre's signature, that the receipt names this device, item,
manifest and sealed bytes, and that the file on the disk still has those bytes), and in which order its files go, so
that a crash between them is finished by the next run. A receipt that is wrong is reported and nothing is deleted for
it. When room is low, receipts count at once however long files were to stay (`edge.room`). What was never an item, the
ring, is `edge.keeper_ring`'s. Implements SP-6 of docs/spec/spool.md, RE-21 of docs/spec/record.md, and ST-3 and ST-4 of
docs/spec/storage.md.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge.keeper_ring import RingKeeper
from edge.ring import Now, folder_of
from edge.room import YIELDING, Ladder, Rung, free_bytes, spare_bytes
from vedette import daemon, files, records, spool
from vedette.clock import UUID7, Clock, SystemClock
from vedette.config import DeviceConfig
from vedette.custody import Journal, NoRoom, drop_sealed, seal_closed
from vedette.custody_entry import DetailValue
from vedette.errors import NotTrusted, Refused, VedetteError
from vedette.identity import identity_of
from vedette.keys import SigningKey
from vedette.records import KINDS, MAX_RECORD_BYTES, Receipt, keyring, open_manifest, open_receipt
from vedette.trust import Trust, load_trust

LOOK_S = 1.0
MAX_PER_STEP = 32
ROLL_ENTRIES = 128
MAX_UNSAID = 64
YIELDING_US = 60_000_000
MAX_REPORTED = 1024
_HASH_BLOCK_BYTES = 1 << 20
_ENDING = ".receipt"


@dataclass(slots=True)
class Counts:
    """What this run of the keeper did; sizes in bytes."""

    deleted: int = 0
    freed_bytes: int = 0
    refused: int = 0
    waiting: int = 0


def open_keeper(config: DeviceConfig, clock: Clock | None = None) -> KeeperService:
    """The keeper of the device that `config` describes; NotFound when it is not enrolled, Refused when one runs."""
    key = SigningKey.load(config.keys / "sign.pem")
    return KeeperService(config, clock or SystemClock(), trust=load_trust(config.trust), key=key)


class KeeperService:
    """The service `keeper`; a `vedette.daemon.Step`."""

    name = "keeper"

    def __init__(
        self,
        config: DeviceConfig,
        clock: Clock,
        *,
        trust: Trust,
        key: SigningKey,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._free, self._rung = free, Rung.PLENTY
        self._unsaid: deque[dict[str, DetailValue]] = deque(maxlen=MAX_UNSAID)
        self._yielding_us = self._yielding_bytes = 0
        self._ladder = Ladder(
            low_bytes=config.keeper.low_free_mib << 20,
            unmarked_bytes=config.recorder.min_free_mib << 20,
            marked_bytes=config.recorder.marked_min_free_mib << 20,
        )
        self._config, self._clock, self._trust, self._key = config, clock, trust, key
        self._keep_us = config.keeper.keep_receipted_s * 1_000_000
        self._reported: dict[str, str] = {}
        self._journal: Journal | None = None
        self._rolled_seq = 0
        self.counts = Counts()
        spool.make_folders(config.spool)
        config.receipts.mkdir(parents=True, exist_ok=True, mode=0o750)
        self._ring = RingKeeper(
            folder_of(config.spool),
            hours=config.recorder.retroactive_h,
            most_bytes=config.recorder.retroactive_mib << 20,
            public=key.public,
            say=self._say,
        )
        # On a disk without one free byte no journal can begin; deleting for a receipt makes room for it.
        with suppress(NoRoom):
            self._say("keeper.ready", None, {"receipts": sum(1 for _ in self._receipts())})

    def step(self, now_us: int) -> float:
        """Look at the receipts, at most `MAX_PER_STEP` of them, and delete what they allow."""
        self._look_at_room()
        with suppress(VedetteError, OSError):
            now = Now(utc_us=self._clock.utc_us(), mono_us=now_us, machine=self._clock.machine())
            self._ring.look(now, short_bytes=self._short_bytes())
        due = self._due()
        for path in due[:MAX_PER_STEP]:
            try:
                self._settle(path)
            except VedetteError as error:
                self._report(path, str(error))
            except OSError as error:
                self._report(path, f"its files cannot be read or deleted: {error.strerror}")
        self.counts.waiting = sum(1 for _ in self._receipts())
        self._look_at_yielding(now_us)
        self._seal(ROLL_ENTRIES)
        with suppress(OSError):
            self._write_status()
        return 0.0 if len(due) > MAX_PER_STEP else LOOK_S

    def close(self) -> None:
        """Seal the journal so far and close it."""
        with suppress(Refused, OSError):
            self._say("service.stopped", None, {})
        self._seal(1)
        if self._journal is not None:
            self._journal.close()

    def _look_at_room(self) -> None:
        """Say in custody when another rung of the ladder is entered; later where the disk takes no line now."""
        try:
            free = self._free(self._config.spool)
        except OSError:
            return
        rung = self._ladder.rung(free, self._rung)
        if rung is not self._rung:
            self._rung = rung
            self._unsaid.append({"rung": rung.name.lower(), "free_mib": free >> 20})
        with suppress(Refused, OSError):
            while self._unsaid:
                self._say("room.changed", None, self._unsaid[0])
                self._unsaid.popleft()
        for waiting in self._unsaid:
            waiting.setdefault("since_us", self._clock.utc_us())

    def _look_at_yielding(self, now_us: int) -> None:
        """Once a minute: how much lies here that gives way before anything stops, for the recorder's forecast."""
        if now_us < self._yielding_us:
            return
        self._yielding_us, self._yielding_bytes = now_us + YIELDING_US, self._ring.size_bytes
        for path in self._receipts():
            with suppress(OSError, VedetteError):
                sealed = spool.final_path(self._config.spool, "segment", path.stem)
                self._yielding_bytes += sealed.stat().st_size

    def _short_bytes(self) -> int:
        """How much more must be free before nothing has to give way any more."""
        if self._rung is Rung.PLENTY:
            return 0
        bound = max(self._ladder.low_bytes, self._ladder.unmarked_bytes, self._ladder.marked_bytes)
        return max(0, bound + spare_bytes(bound) - self._free(self._config.spool))

    def _receipts(self) -> Iterator[Path]:
        return (path for path in self._config.receipts.iterdir() if path.suffix == _ENDING)

    def _due(self) -> list[Path]:
        """The receipts to look at now: old enough, and not one that was found wrong and is unchanged since."""
        before = (self._clock.utc_us() - self._keep_us) / 1e6
        due = [path for path in sorted(self._receipts()) if self._reported.get(path.name) != _stamp(path)]
        return (
            due
            if not self._keep_us or self._rung > Rung.PLENTY
            else [path for path in due if path.stat().st_mtime <= before]
        )

    def _settle(self, path: Path) -> None:
        """Delete what the receipt at `path` allows; raises VedetteError when it allows nothing."""
        item = path.name.removesuffix(_ENDING)
        if not UUID7.match(item):
            raise NotTrusted(f"{path.name} is not named after an item")
        data = files.read(path, max_bytes=MAX_RECORD_BYTES)
        receipt = open_receipt(data, keyring(self._trust.centre))
        if receipt.item != item:
            raise NotTrusted(f"the receipt in {path.name} is for item {receipt.item}")
        kind = self._kind_of(item)
        if kind is not None:
            self._delete(kind, receipt, data)
        files.remove(path)

    def _kind_of(self, item: str) -> str | None:
        """The kind under which the item lies in the spool, None when nothing of it is left."""
        root = self._config.spool
        for kind in KINDS:
            if spool.manifest_path(root, kind, item).exists():
                return kind
            if spool.final_path(root, kind, item).exists() or spool.part_path(root, kind, item).exists():
                raise NotTrusted(f"item {item} has no manifest here; its file is kept")
        return None

    def _delete(self, kind: str, receipt: Receipt, receipt_bytes: bytes) -> None:
        root, item = self._config.spool, receipt.item
        manifest_path, sealed = spool.manifest_path(root, kind, item), spool.final_path(root, kind, item)
        manifest_bytes = files.read(manifest_path, max_bytes=MAX_RECORD_BYTES)
        manifest = open_manifest(manifest_bytes, keyring(self._key.public))
        records.check_receipt(receipt, manifest, hashlib.sha256(manifest_bytes).hexdigest())
        # The file may be gone already: a run before this one was killed between the deletions below.
        if sealed.exists() and _sha256(sealed) != receipt.sealed_sha256:
            raise NotTrusted(f"item {item}: the file here is not the one in the receipt; it is kept")
        if kind == "custody":
            drop_sealed(self._config.journals, item, first_seq=manifest.sequence)
        freed = sealed.stat().st_size if sealed.exists() else 0
        files.remove(sealed)
        self._say("item.deleted", item, _detail(kind, receipt, receipt_bytes))
        files.remove(manifest_path)
        self.counts.deleted += 1
        self.counts.freed_bytes += freed

    def _report(self, path: Path, why: str) -> None:
        """Count and say once what is wrong with a receipt; it stays where it is."""
        if len(self._reported) >= MAX_REPORTED:
            self._reported.clear()
        self._reported[path.name] = _stamp(path)
        self.counts.refused += 1
        item = path.name.removesuffix(_ENDING)
        with suppress(Refused, OSError):
            known = item if UUID7.match(item) else None
            self._say("receipt.refused", known, {"file": path.name[:200], "why": why[:512]})

    def _say(self, event: str, item: str | None, detail: dict[str, int | str | bool | None]) -> None:
        if self._journal is None:
            folder = self._config.journals / self.name
            self._journal = Journal.open(
                folder, service=self.name, device=self._config.device.id, key=self._key, clock=self._clock
            )
            self._rolled_seq = self._journal.head[0]
        self._journal.append(event, item, detail)

    def _seal(self, after_entries: int) -> None:
        """Seal the journal into the spool once it has `after_entries` new lines, and whatever was closed before."""
        if self._journal is None:
            return
        with suppress(VedetteError, OSError):
            if self._journal.head[0] - self._rolled_seq >= after_entries:
                self._journal.roll()
                self._rolled_seq = self._journal.head[0]
            recipients = self._trust.lead_recipients()
            seal_closed(self._journal, self._config.spool, recipients, identity=identity_of(self._config))

    def _write_status(self) -> None:
        counts = self.counts
        daemon.write_status(
            self._config.run,
            self.name,
            {
                "pid": os.getpid(),
                "utc_us": self._clock.utc_us(),
                "state": "receipts_refused" if counts.refused else "working",
                "deleted": counts.deleted,
                "freed_bytes": counts.freed_bytes,
                "refused": counts.refused,
                "waiting": counts.waiting,
                "evicted": self._ring.evicted,
                "evicted_bytes": self._ring.evicted_bytes,
                "room": self._rung.name.lower(),
                YIELDING: self._yielding_bytes,
            },
        )


def _detail(kind: str, receipt: Receipt, receipt_bytes: bytes) -> dict[str, int | str | bool | None]:
    return {
        "kind": kind,
        "receipt_sha256": hashlib.sha256(receipt_bytes).hexdigest(),
        "sealed_sha256": receipt.sealed_sha256,
        "sealed_size": receipt.sealed_size,
        "log_index": receipt.log_index,
        "stored_us": receipt.stored_us,
    }


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_HASH_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _stamp(path: Path) -> str:
    """What tells one version of a receipt from another; empty when it is gone."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return ""
    return f"{stat.st_ino}.{stat.st_ctime_ns}.{stat.st_size}"
